"""Prints the images of a server, and which of them expires next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rax_scheduled_images_ext.console.formats import Column, print_rows
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.errors import NoSuchServer
from rax_scheduled_images_ext.model.consistency import consistency_of
from rax_scheduled_images_ext.model.keep import KeptBy, period_name
from rax_scheduled_images_ext.model.retention import (
    Decision,
    expires_in_runs,
    reason,
    retention_status,
    until_words,
)
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.operations.work_queue import Outcome


def size_for_people(size: int | None) -> str:
    """Return a number of bytes in the largest unit that fits into it."""
    if size is None:
        return "-"
    number, units = float(size), iter(("B", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while number >= 1024 and unit != "TiB":
        number, unit = number / 1024, next(units)
    return (
        f"{number:.0f} {unit}"
        if number >= 10 or unit == "B"
        else f"{number:.1f} {unit}"
    )


def kept_by(decision: Decision) -> list[dict[str, Any]] | None:
    """Return the rules that keep an image; None where a number decides."""
    number, created = decision.keep and decision.keep.number, decision.image.created
    if decision.keep is None or number is not None or created is None:
        return None
    return rules_of(decision.kept_by, created)


def rules_of(kept: Iterable[KeptBy], created: datetime) -> list[dict[str, Any]]:
    """Return rules that keep an image, for programs.

    Each has its name, the place of the image among those that it keeps, how many it
    keeps, and the period that the image is of, None without periods.
    """
    return [{**vars(each), "period": period_name(each.rule, created)} for each in kept]


def image_columns(sizes: Sizes) -> list[Column[Any]]:
    """Return the columns of rows that have an attribute `image`.

    :param sizes: those of the volume snapshots that the images name.
    """
    return [
        Column("id", "ID", lambda row: row.image.id),
        Column("name", "Name", lambda row: row.image.name),
        Column("created", "Created", lambda row: write_time(row.image.created)),
        Column(
            "size",
            "Size",
            lambda row: sizes.of(row.image),
            size_for_people,
        ),
    ]


def decision_columns(sizes: Sizes, *, data: bool = False) -> list[Column[Any]]:
    """Return the columns of decisions on images.

    :param sizes: as for :func:`image_columns`.
    :param data: also those for programs, with the data behind the words.
    """
    found: list[Column[Any]] = [
        *image_columns(sizes),
        Column("status", "Status", lambda decision: decision.image.status),
        Column("retention_status", "Retention", retention_status),
        Column("reason", "Reason", reason),
    ]
    if not data:
        return found
    return [
        *found,
        Column("code", "Code", lambda decision: decision.reason.value),
        Column("counted", "Counted", lambda decision: decision.counted),
        Column("expires_in_runs", "Runs left", expires_in_runs),
        Column("protected", "Protected", lambda decision: decision.image.protected),
        Column(
            "consistency",
            "Consistency",
            lambda decision: consistency_of(decision.image).value,
        ),
        Column("kept_by", "Kept by", kept_by, further=True),
        Column(
            "until", "Until", lambda decision: write_time(decision.until), further=True
        ),
    ]


def print_images(decisions: Sequence[Decision], sizes: Sizes, form: str) -> None:
    """Print images, each with its retention status."""
    print_rows(decision_columns(sizes, data=form != "table"), decisions, form)


def next_expiry_line(server_id: str, expiring: Sequence[Decision] | None) -> str:
    """Return a line that names the images of a server that expire first.

    :param expiring: these images; None for a server without a schedule.
    """
    if expiring is None:
        return f"No image of server {server_id} expires: it has no schedule"
    if not expiring:
        return f"No image of server {server_id} expires"
    images = ", ".join(f"{v.image.name} ({v.image.id})" for v in expiring)
    left, until = expires_in_runs(expiring[0]), until_words(expiring[0])
    when = f"in {left} runs" if left else f"about {until}"
    if left == 1:
        when = "with the next scheduled image"
    return f"Expires next on server {server_id}: {images}, {when}"


def say_next_expiries(servers: Iterable[Outcome[str, list[Decision] | None]]) -> None:
    """Report on stderr which images of the servers expire next."""
    for each in servers:
        if each.error is None:
            say(next_expiry_line(each.item, each.value))
        elif isinstance(each.error, NoSuchServer):
            say(f"No image of server {each.item} expires: it no longer exists")
        else:
            server = f"server {each.item}"
            say(f"It is not known which image of {server} expires next: {each.error}")
