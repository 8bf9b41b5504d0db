"""Prints the servers that are gone, and what is left of them."""

from __future__ import annotations

from collections.abc import Sequence

from rax_scheduled_images_ext.console.formats import Column
from rax_scheduled_images_ext.console.report import Console
from rax_scheduled_images_ext.console.servers import as_of
from rax_scheduled_images_ext.console.space import gib_column
from rax_scheduled_images_ext.model.gone import GoneServer
from rax_scheduled_images_ext.model.retention import Decision, kept_for_good
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.operations.gone import GoneServers


def gone_columns(found: GoneServers) -> list[Column[GoneServer]]:
    """Return the columns of servers that are gone."""
    ages = as_of(found.now, "{} ago", "in {}")
    old = as_of(found.now, "{} old", "{} ahead")
    return [
        Column("server", "Server", lambda row: row.name or None),
        Column("id", "ID", lambda row: row.id),
        Column("state", "State", lambda row: row.trace.value),
        Column("deleted", "Deleted", lambda row: write_time(row.deleted), ages),
        Column("images", "Images", lambda row: len(row.counted)),
        Column("kept", "Kept", lambda row: sum(map(kept_for_good, row.decisions))),
        Column("newest", "Newest", lambda row: _made(row, 0), old),
        Column("oldest", "Oldest", lambda row: _made(row, -1), old),
        gib_column(lambda row: found.sizes.space(row.images)),
    ]


def say_unknown(console: Console, found: GoneServers) -> bool:
    """Report the servers of which it is unknown whether they are gone.

    :returns: whether there are none.
    """
    for each in found.failures:
        if each.error is not None:
            console.failure(each.item, each.error, 2)
    return not found.failures


def _made(server: GoneServer, place: int) -> str | None:
    """Return when a scheduled image was made: the newest has the place 0."""
    counted: Sequence[Decision] = server.counted
    return write_time(counted[place].image.created) if counted else None
