"""Prints the servers of a project as rows and as sentences."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rax_scheduled_images_ext.console.formats import (
    Column,
    attribute,
    for_people,
    print_rows,
)
from rax_scheduled_images_ext.console.report import Console
from rax_scheduled_images_ext.console.schedules import (
    further_columns,
    schedule_columns,
)
from rax_scheduled_images_ext.console.space import say_total, space_columns
from rax_scheduled_images_ext.console.terminal import put, say
from rax_scheduled_images_ext.model.consistency import consistency_of
from rax_scheduled_images_ext.model.durations import format_duration
from rax_scheduled_images_ext.model.freshness import ScheduleStatus, State
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MOST_TAGS, why_invalid
from rax_scheduled_images_ext.model.times import read_time, write_time
from rax_scheduled_images_ext.operations.check import CheckResult
from rax_scheduled_images_ext.operations.listing import Listing, Row

_SHORT = (
    *("region", "project", "server", "id", "schedule", "day_of_week", "retention"),
    *("newest", "state", "limit", "verified", "verified_level"),
    *("every", "at", "keep", "most"),
)


@contextmanager
def at_full_speed() -> Iterator[None]:
    """Read a large cloud without delays that Python itself causes.

    The search for reference cycles is off. Nothing here creates any, and scanning the
    responses again and again takes a sixth of the processor time of a list. When the
    program ends, what is left is not scanned either.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)
        if on:
            gc.enable()


def say_failures(console: Console, listing: Listing) -> bool:
    """Report the regions that could not be read; return whether all were read."""
    for each in listing.failures:
        if each.error is not None:
            say(f"{console.error_line(each.error)} (in region {each.item})")
    return not listing.failures


def say_space(listing: Listing, price: float | None) -> None:
    """Report what the images of all servers take, and when quotas are reached.

    :param price: of a GiB a month, None if unknown.
    """
    say_total((row.status.space for row in listing.rows), listing.quotas, price)


def say_unreadable(console: Console, servers: Iterable[ScheduleStatus]) -> bool:
    """Report the servers that could not be read; return whether all were read."""
    read = [(each.server, each.server.problem) for each in servers]
    unreadable = [(server, problem) for server, problem in read if problem]
    unreadable.sort(key=lambda each: (each[0].name, each[0].id))
    for server, problem in unreadable:
        console.failure(server.name, problem, 2)
    return not unreadable


def print_inventory(
    rows: list[Row],
    now: datetime,
    form: str,
    *,
    regions: bool,
    details: bool,
    price: float | None,
) -> None:
    """Print servers ordered by region, name and ID.

    :param now: the time from which ages are counted.
    :param regions: whether to show each server's region.
    :param details: whether to show additional columns.
    :param price: of a GiB a month, None if unknown.
    """
    more = detail_columns(now, price) if details else []
    print_rows([*columns(now, regions=regions), *more], ordered(rows), form)


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Return rows ordered by region, name and ID."""
    return sorted(
        rows, key=lambda row: (row.region or "", row.server.name, row.server.id)
    )


def print_check(result: CheckResult, form: str | None) -> None:
    """Print problems as rows; without a format, as one line for each server."""
    rows = [Row(None, status) for status in result.problems]
    if form is None:
        lines = [line for row in rows for line in problem_lines(row, result)]
        put("\n".join(lines) or all_fresh(result))
    elif rows or form != "table":
        print_rows(check_columns(result), rows, form)


def check_columns(result: CheckResult) -> list[Column[Row]]:
    """Return the columns of servers with problems."""
    proofs = verified_columns(result.now) if result.unproven else []
    whose = [project_column()] if result.all_projects else []
    return [*whose, *columns(result.now), limit_column(), *proofs]


def project_column() -> Column[Row]:
    """Return the column of the server's project."""
    return Column("project", "Project", lambda row: row.server.project_id)


def problem_lines(row: Row, result: CheckResult) -> Iterator[str]:
    """Yield a line for each problem of a server's images."""
    server, known = row.server, row.status.verified
    if row.status.stale or row.status.state is State.UNKNOWN:
        yield problem_line(row, result)
    if server.id in result.unproven:
        why = "no image has ever been proven to boot"
        if known is not None:
            age = _age(result.now - known.time)
            what = "failed" if known.failed else f"reached '{known.word}'"
            why = f"the last proof {what} {age} ago: {known.seen}"
        yield f"unproven: {_which(row, result)}: {why}"


def columns(now: datetime, *, regions: bool = False) -> list[Column[Row]]:
    """Return the columns of servers.

    :param now: the time from which the table counts ages.
    """
    found: list[Column[Row]] = [attribute("region", "Region")] if regions else []
    kind, *number = schedule_columns(_schedule_of)
    return [
        *found,
        Column("server", "Server", lambda row: row.server.name),
        Column("id", "ID", lambda row: row.server.id),
        replace(kind, value=schedule),
        *number,
        Column("counted", "Counted", lambda row: row.status.counted),
        Column("kept", "Kept", lambda row: row.status.kept),
        Column("newest", "Newest", newest, as_of(now, "{} old", "{} ahead")),
        Column(
            "next_due",
            "Next due",
            lambda row: write_time(row.status.next_due),
            as_of(now, "{} ago", "in {}"),
        ),
        Column("state", "State", lambda row: row.status.state.value),
        Column("expires_next", "Expires next", expires_next, _shortened),
        *further_columns(_schedule_of),
    ]


def detail_columns(now: datetime, price: float | None) -> list[Column[Row]]:
    """Return the columns that only a long list has.

    :param price: as for :func:`.space_columns`.
    """
    return [
        volumes_column(),
        *verified_columns(now),
        consistency_column(),
        *space_columns(lambda row: row.status.space, price),
    ]


def verified_columns(now: datetime) -> list[Column[Row]]:
    """Return the columns of the last proof that an image boots."""
    return [
        Column("verified", "Verified", verified, as_of(now, "{} ago", "in {}")),
        Column(
            "verified_level",
            "Verified level",
            lambda row: row.status.verified and row.status.verified.word,
        ),
    ]


def consistency_column() -> Column[Row]:
    """Return the column of what the data of the newest image may be like."""
    return Column("consistency", "Consistency", consistency)


def short(found: Iterable[Column[Row]]) -> list[Column[Row]]:
    """Return the columns that are listed by default."""
    return [each for each in found if each.key in _SHORT]


def volumes_column() -> Column[Row]:
    """Return the column of the attached volumes that are not in the images."""
    return Column(
        "volumes_not_in_images",
        "Volumes not in images",
        lambda row: ", ".join(row.server.left_out) or None,
    )


def newest_columns() -> list[Column[Row]]:
    """Return the columns of the newest image itself."""
    return [
        Column("newest_image", "Newest image", lambda row: _newest(row, "name")),
        Column("newest_image_id", "Newest image ID", lambda row: _newest(row, "id")),
    ]


def limit_column() -> Column[Row]:
    """Return the column of the maximum age of fresh images, in seconds."""
    return Column(
        "limit",
        "Limit",
        lambda row: row.status.limit and int(row.status.limit.total_seconds()),
        lambda seconds: for_people(seconds and format_duration(seconds)),
    )


def schedule(row: Row) -> str | None:
    """Return the schedule in short, or the invalid tag."""
    server = row.server
    return server.schedule.short if server.schedule else server.invalid_tag


def newest(row: Row) -> str | None:
    """Return when the newest image was made."""
    image = row.status.newest
    return None if image is None else write_time(image.created)


def verified(row: Row) -> str | None:
    """Return the time of the last proof."""
    return None if row.status.verified is None else write_time(row.status.verified.time)


def consistency(row: Row) -> str | None:
    """Return what the data of the newest image may be like."""
    image = row.status.newest
    return None if image is None else consistency_of(image).value


def expires_next(row: Row) -> str | None:
    """Return the names of the images that the next one replaces, oldest first."""
    names = [image.name or image.id for image in row.status.expires_next]
    return ", ".join(names) or None


def _newest(row: Row, name: str) -> str | None:
    return getattr(row.status.newest, name, None)


def _schedule_of(row: Row) -> ImageSchedule | None:
    return row.server.schedule


def as_of(now: datetime, past: str, future: str) -> Callable[[Any], str]:
    """Return a function that turns a time into its distance from now."""

    def shown(text: Any) -> str:
        moment = read_time(text)
        if moment is None:
            return for_people(text)
        form = past if moment <= now else future
        return form.format(format_duration(abs((now - moment).total_seconds())))

    return shown


def _shortened(names: str | None) -> str:
    """Return the first of several names, and the number of the others."""
    first, *others = (names or "-").split(", ")
    return f"{first} and {len(others)} more" if others else first


def _which(row: Row, result: CheckResult) -> str:
    """Return what names a server."""
    server = row.server
    project = f" in project {server.project_id}" if result.all_projects else ""
    return f"{server.name} ({server.id}){project}"


def problem_line(row: Row, result: CheckResult) -> str:
    """Return the line about the problem of a server's images."""
    found, server, now = row.status, row.server, result.now
    line = f"{found.state.value}: {_which(row, result)}: "
    if found.state is State.UNKNOWN:
        return line + "its schedule could not be read"
    if found.state is State.INVALID:
        return line + why_invalid(str(server.invalid_tag))
    if found.state is State.UNPROTECTED:
        full = server.tag_count > MOST_TAGS - 3
        many = f", and {server.tag_count} of {MOST_TAGS} tags" if full else ""
        return line + f"it has no schedule{many}"
    if found.state is State.VANISHED and found.newest and found.newest.created:
        day = found.newest.created
        return line + f"had images until {day.day} {day:%B %Y}, has no schedule"
    limit = _age(found.limit or timedelta())
    if found.newest is None or found.newest.created is None:
        if server.created is None:
            return line + "no image yet"
        return (
            line + f"no image yet, and the server is {_age(now - server.created)} old"
        )
    old = _age(now - found.newest.created)
    return line + f"newest image {old} old, limit {limit}: {found.newest.name}"


def all_fresh(result: CheckResult) -> str:
    """Return the line for no problems."""
    found = result.servers
    if not found:
        return "ok: no server has scheduled images"
    waiting = sum(each.state is State.NEVER for each in found)
    servers = "1 server has" if len(found) == 1 else f"{len(found)} servers have"
    first = f", {waiting} still without a first one" if waiting else ""
    more = ", and no other lacks them" if result.all_protected else ""
    return f"ok: {servers} scheduled images, none is late{first}{more}"


def _age(length: timedelta) -> str:
    return format_duration(length.total_seconds())
