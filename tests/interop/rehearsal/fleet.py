"""The servers of a rehearsal, and what their project holds."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    FACTS_KEY,
    OWN_KEY,
    RUN_KEY,
    SERVER_KEY,
    SLOT_KEY,
)
from rax_scheduled_images_ext.model.note import NOTE
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag

from ...scenarios.resources import Workshop
from ..cloud.layout import Layout

# What is different each time, though the same is done.
_VOLATILE = "checksum created_at file id os_hash_value self updated_at".split()
_COMPARED = ("name", "status", "OS-EXT-STS:task_state", "tags", "metadata")


@dataclass(frozen=True)
class History:
    """What was ever made, deleted or not, since a moment.

    ``filled`` counts the images that got data, ``empty`` those that never did, each by
    server and slot; ``claims`` counts the claims of a slot.
    """

    filled: Counter[tuple[str, str]]
    empty: Counter[tuple[str, str]]
    claims: Counter[tuple[str, str]]


class Fleet:
    """Servers with a daily schedule, in the project of a user."""

    def __init__(self, env: Mapping[str, str], layout: Layout) -> None:
        self.env = dict(env)
        self.servers: list[str] = []
        self._workshop = Workshop(env)
        self._database = layout.databases / "glance.sqlite"

    @contextmanager
    def booted(self, number: int, retention: int) -> Iterator[None]:
        """Have that many servers with this retention, and remove them at last."""
        tags = [MARKER_TAG, schedule_tag(ImageSchedule(retention))]
        try:
            for _ in range(number):
                _, server_id = self._workshop.boot()
                self.servers.append(server_id)
                path = f"/servers/{server_id}/tags"
                self._workshop.api.do("compute", "PUT", path, {"tags": tags})
            yield
        finally:
            self.delete_images()
            self._workshop.clear()

    def delete_images(self) -> None:
        """Delete all images of the servers."""
        for image in (*self._images(), *self._images("&os_hidden=true")):
            if image.get(SERVER_KEY) in self.servers:
                self._workshop.delete_image(image["id"])

    def holding(self) -> Counter[str]:
        """Return what the project holds: all its images, and the servers, as JSON.

        What no two runs have in common is left out.
        """
        images = map(_constant, self._images())
        servers = (
            {key: value for key, value in server.items() if key in _COMPARED}
            for server in self._servers()
        )
        return Counter(json.dumps(each, sort_keys=True) for each in (*images, *servers))

    def unfinished(self) -> list[dict[str, Any]]:
        """Return the images that have no data so far, claims among them."""
        return [image for image in self._images() if image["status"] != "active"]

    def history(self, since: datetime) -> History:
        """Return what was made of the servers, by the image service's own records."""
        query = (
            "SELECT image_id, checksum IS NOT NULL, p.name, value FROM images i"
            " JOIN image_properties p ON p.image_id = i.id WHERE i.created_at >= ?"
        )
        begun = since.strftime("%Y-%m-%d %H:%M:%S")
        filled: dict[str, bool] = {}
        properties: dict[str, dict[str, str]] = {}
        address = f"file:{self._database}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            for image_id, has_data, name, value in connection.execute(query, [begun]):
                filled[image_id] = bool(has_data)
                properties.setdefault(image_id, {})[name] = value
        found = History(Counter(), Counter(), Counter())
        for image_id, known in properties.items():
            server_id = known.get(SERVER_KEY, "")
            # A note is of no try, and says nothing of what was made.
            if server_id not in self.servers or known.get(CLAIM_KEY) == NOTE:
                continue
            if CLAIM_KEY in known:
                found.claims[server_id, known[CLAIM_KEY].split(":")[1]] += 1
            elif SLOT_KEY in known:
                counter = found.filled if filled[image_id] else found.empty
                counter[server_id, known[SLOT_KEY]] += 1
        return found

    def _images(self, only: str = "") -> list[dict[str, Any]]:
        """Return the project's images, without the hidden ones unless only those."""
        api = self._workshop.api
        return list(api.pages(f"/images?owner={api.project_id}{only}"))

    def _servers(self) -> list[dict[str, Any]]:
        answer = self._workshop.api.ask("compute", "GET", "/servers/detail?limit=1000")
        found: list[dict[str, Any]] = answer.json()["servers"]
        return found


def _constant(image: Mapping[str, Any]) -> dict[str, Any]:
    """Return an image without what is different each time."""
    kept = {key: value for key, value in image.items() if key not in _VOLATILE}
    # The second at which it was begun, and what only one request has.
    kept["name"] = re.sub(r"\d{9,11}$", "N", str(image["name"]))
    if RUN_KEY in kept:
        kept[RUN_KEY] = kept[RUN_KEY].partition(":")[0]
    if OWN_KEY in kept:
        kept[OWN_KEY] = kept[OWN_KEY].startswith(f"{image['id']}:")
    if FACTS_KEY in kept:
        kept[FACTS_KEY] = kept[FACTS_KEY].replace(image["id"], "its own", 1)
    return kept
