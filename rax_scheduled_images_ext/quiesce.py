"""Snapshots that hold a server no longer than needed, for programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rax_scheduled_images_ext.cli.nova.cloud import cloud_of
from rax_scheduled_images_ext.cli.nova.errors import novaclient_errors
from rax_scheduled_images_ext.operations.snapshot import create
from rax_scheduled_images_ext.operations.snapshot.create import Snapshot as Snapshot


@contextmanager
def quiesced_snapshot(
    cs: Any, server: object, name: str, **options: Any
) -> Iterator[Snapshot]:
    """Hold a server for a snapshot: stop, begin the snapshot, resume.

    :param cs: a novaclient client.
    :param options: as for :func:`.operations.snapshot.create.quiesced_snapshot`, whose
        errors this raises too; refusals are novaclient's exceptions as well.
    """
    with (
        novaclient_errors(),
        create.quiesced_snapshot(cloud_of(cs), server, name, **options) as snapshot,
    ):
        yield snapshot
