"""Snapshots of quiesced servers, for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rax_scheduled_images_ext.cli.nova.cloud import from_novaclient
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.connection import from_connection
from rax_scheduled_images_ext.operations.snapshot import create
from rax_scheduled_images_ext.operations.snapshot.create import Snapshot as Snapshot


@contextmanager
def quiesced_snapshot(
    cs: Any, server: object, name: str, **options: Any
) -> Iterator[Snapshot]:
    """Quiesce a server for a snapshot: stop, begin the snapshot, resume.

    :param cs: a :class:`.Cloud`, an openstacksdk connection or a novaclient client;
        for the last refusals are novaclient's exceptions as well.
    :param options: as for :func:`.operations.snapshot.create.quiesced_snapshot`, whose
        errors this raises too.
    """
    if _is_connection(cs):
        cs = from_connection(cs)
    if isinstance(cs, Cloud):
        with create.quiesced_snapshot(cs, server, name, **options) as snapshot:
            yield snapshot
        return
    from rax_scheduled_images_ext.cli.nova.errors import novaclient_errors

    cloud = from_novaclient(cs)
    with (
        novaclient_errors(),
        create.quiesced_snapshot(cloud, server, name, **options) as snapshot,
    ):
        yield snapshot


def _is_connection(cs: object) -> bool:
    """Whether it is openstacksdk's, which whoever has one has imported."""
    sdk = sys.modules.get("openstack.connection")
    return sdk is not None and isinstance(cs, sdk.Connection)
