"""The labels of servers on the pages, so that no two are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rax_scheduled_images_ext.model.freshness import InventoryServer

_SHORT = 8
# The longest label in a list, and how much of a longer one is in it.
_LONGEST, _BEGINNING = 40, 28


def labels_of(servers: Iterable[InventoryServer]) -> dict[str, str]:
    """Return each server's label by ID: its name, with the start of the ID if several
    have that name."""
    named = defaultdict(list)
    for server in servers:
        named[server.name].append(server.id)
    return {
        server_id: _label(name, server_id, ids)
        for name, ids in named.items()
        for server_id in ids
    }


def short_label(label: str, server_id: str) -> str:
    """Return a label for a list: of a long one the beginning, with that of the ID."""
    if len(label) <= _LONGEST:
        return label
    return f"{label[:_BEGINNING]}… ({server_id[:_SHORT]})"


def _label(name: str, server_id: str, ids: list[str]) -> str:
    if not name:
        return server_id
    if len(ids) == 1:
        return name
    for length in (_SHORT, 2 * _SHORT):
        if len({each[:length] for each in ids}) == len(ids):
            return f"{name} ({server_id[:length]})"
    return f"{name} ({server_id})"
