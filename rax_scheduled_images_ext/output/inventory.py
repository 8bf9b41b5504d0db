"""What the commands about a whole fleet print: rows, columns and sentences.

Imported by commands only once there is something to print.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rax_scheduled_images_ext.model.durations import format_duration
from rax_scheduled_images_ext.model.freshness import FleetServer, ScheduleStatus, State
from rax_scheduled_images_ext.model.times import read_time, write_time
from rax_scheduled_images_ext.output.formats import Column, attribute, for_people


@dataclass(frozen=True)
class Row:
    """How it stands with one server, in a region."""

    region: str | None
    standing: ScheduleStatus

    @property
    def server(self) -> FleetServer:
        """The server itself."""
        return self.standing.server


def columns(now: datetime, *, regions: bool = False) -> list[Column[Row]]:
    """Return what there is to tell of each server.

    :param now: for people times are told as seen from here.
    """
    found: list[Column[Row]] = [attribute("region", "Region")] if regions else []
    return [
        *found,
        Column("server", "Server", lambda row: row.server.name),
        Column("id", "ID", lambda row: row.server.id),
        _of_schedule("kind", "schedule", "Schedule"),
        _of_schedule("day_of_week", "day_of_week", "Day"),
        _of_schedule("retention", "retention", "Retention"),
        Column("counted", "Counted", lambda row: row.standing.counted),
        Column("kept", "Kept", lambda row: row.standing.kept),
        Column("newest", "Newest", newest, _seen_from(now, "{} old", "{} ahead")),
        Column(
            "next_due",
            "Next due",
            lambda row: write_time(row.standing.next_due),
            _seen_from(now, "{} ago", "in {}"),
        ),
        Column("state", "State", lambda row: row.standing.state.value),
        Column("expires_next", "Expires next", expires_next, _shortened),
    ]


def limit_column() -> Column[Row]:
    """Return the column of the age at which images are no longer fresh, in seconds."""
    return Column(
        "limit",
        "Limit",
        lambda row: row.standing.limit and int(row.standing.limit.total_seconds()),
        lambda seconds: for_people(seconds and format_duration(seconds)),
    )


def newest(row: Row) -> str | None:
    """Return when the newest image was made."""
    image = row.standing.newest
    return None if image is None else write_time(image.created)


def expires_next(row: Row) -> str | None:
    """Return the names of what goes when the next image is made, the oldest first."""
    names = [image.name or image.id for image in row.standing.expires_next]
    return ", ".join(names) or None


def _of_schedule(name: str, key: str, title: str) -> Column[Row]:
    return Column(key, title, lambda row: getattr(row.server.schedule, name, None))


def _seen_from(now: datetime, past: str, future: str) -> Callable[[Any], str]:
    """Return how to tell a written time as a distance from now."""

    def told(text: Any) -> str:
        moment = read_time(text)
        if moment is None:
            return for_people(text)
        form = past if moment <= now else future
        return form.format(format_duration(abs((now - moment).total_seconds())))

    return told


def _shortened(names: str | None) -> str:
    """Return the first of some names, and how many more there are."""
    first, *others = (names or "-").split(", ")
    return f"{first} and {len(others)} more" if others else first


def decision(row: Row, now: datetime) -> str:
    """Return the line that tells what is wrong with a server's images."""
    found, server = row.standing, row.server
    line = f"{found.state.value}: {server.name} ({server.id}): "
    if found.state is State.UNKNOWN:
        return line + "its schedule could not be read"
    limit = _age(found.limit or timedelta())
    if found.newest is None or found.newest.created is None:
        if server.created is None:
            return line + "no image yet"
        return (
            line + f"no image yet, and the server is {_age(now - server.created)} old"
        )
    old = _age(now - found.newest.created)
    return line + f"newest image {old} old, limit {limit}: {found.newest.name}"


def all_fresh(found: list[ScheduleStatus]) -> str:
    """Return the line that tells that nothing is wrong."""
    if not found:
        return "ok: no server has scheduled images"
    waiting = sum(each.state is State.NEVER for each in found)
    servers = "1 server has" if len(found) == 1 else f"{len(found)} servers have"
    first = f", {waiting} still without a first one" if waiting else ""
    return f"ok: {servers} scheduled images, none is late{first}"


def _age(length: timedelta) -> str:
    return format_duration(length.total_seconds())
