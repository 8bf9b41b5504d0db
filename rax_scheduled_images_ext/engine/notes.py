"""Writes notes to the image service, and deletes them."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass

from rax_scheduled_images_ext.client.images.glance import GlanceImages
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.errors import NoSuchImage
from rax_scheduled_images_ext.model.image import claim_metadata
from rax_scheduled_images_ext.model.note import NOTE, Note


@dataclass(frozen=True)
class Notes:
    """The notes of one project's servers."""

    images: GlanceImages

    def leave(self, server_id: str, note: Note) -> None:
        """Write a note, if the service accepts it: without it only time is lost."""
        properties = claim_metadata(server_id, NOTE) | note.metadata
        name = f"note of {server_id}:{note.slot}"
        with suppress(*PASSING):
            self.images.reserve(str(uuid.uuid4()), name, properties, hidden=True)

    def remove(self, note: Note) -> None:
        """Delete a note; one that cannot be deleted is swept later."""
        with suppress(*PASSING, NoSuchImage):
            self.images.delete(note.image_id)
