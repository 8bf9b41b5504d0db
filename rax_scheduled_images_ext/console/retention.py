"""What the commands about the retention of images print: rows, columns, sentences.

Imported by commands only once there is something to print.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.formats import (
    Column,
    as_table,
    attribute,
    print_rows,
)
from rax_scheduled_images_ext.console.report import ErrorLine, attempt, failure
from rax_scheduled_images_ext.console.terminal import put, say
from rax_scheduled_images_ext.errors import NoSuchServer
from rax_scheduled_images_ext.model.retention import (
    Decision,
    expires_in_runs,
    reason,
    retention_status,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.operations.forecast import Forecast, next_expiry
from rax_scheduled_images_ext.operations.protect import protect, unprotect
from rax_scheduled_images_ext.operations.prune import PrunedImage


def size_for_people(size: int | None) -> str:
    """Return a number of bytes in the largest unit of which there is one."""
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


# These columns are of rows with an attribute `image`.
_IMAGE: tuple[Column[Any], ...] = (
    Column("id", "ID", lambda row: row.image.id),
    Column("name", "Name", lambda row: row.image.name),
    Column("created", "Created", lambda row: write_time(row.image.created)),
    Column("size", "Size", lambda row: row.image.size, size_for_people),
)
IMAGES: tuple[Column[Any], ...] = (
    *_IMAGE,
    Column("status", "Status", lambda decision: decision.image.status),
    Column("retention_status", "Retention", retention_status),
    Column("reason", "Reason", reason),
)
#: The same for programs, with the data behind the words.
IMAGES_AS_DATA: tuple[Column[Any], ...] = (
    *IMAGES,
    Column("code", "Code", lambda decision: decision.reason.value),
    Column("counted", "Counted", lambda decision: decision.counted),
    Column("expires_in_runs", "Runs left", expires_in_runs),
    Column("protected", "Protected", lambda decision: decision.image.protected),
)


def print_images(decisions: Sequence[Decision], form: str) -> None:
    """Print images, each with its retention status."""
    print_rows(IMAGES if form == "table" else IMAGES_AS_DATA, decisions, form)


def pruned_columns(labels: Mapping[str, str]) -> tuple[Column[PrunedImage], ...]:
    """Return the columns of images that were or would be deleted.

    :param labels: what the user called the servers, by their IDs.
    """
    return (
        Column("server", "Server", lambda row: labels[row.server_id]),
        *_IMAGE,
        attribute("action", "Action"),
        attribute("reason", "Reason"),
    )


def pruned_table(rows: Sequence[PrunedImage], labels: Mapping[str, str]) -> str:
    """Return the table of images that would be deleted."""
    return as_table(pruned_columns(labels), rows)


def print_pruned(
    rows: Sequence[PrunedImage], labels: Mapping[str, str], form: str
) -> None:
    """Print images that were or would be deleted; no table for none."""
    if rows or form != "table":
        print_rows(pruned_columns(labels), rows, form)


def print_forecast(server: str, forecast: Forecast) -> None:
    """Print what a change of a schedule would do."""
    old, new = forecast.current, forecast.new
    change = "no change" if old == new else f"now {described(old)}"
    put(f"{server}: {described(new)} ({change})")
    if forecast.expiring:
        put("These images expire with the next scheduled image:")
        print_rows(IMAGES, forecast.expiring, "table")
    else:
        put("No image expires with the next scheduled image.")


def described(schedule: ImageSchedule | None) -> str:
    """Return a schedule in a few words."""
    if schedule is None:
        return "no schedule"
    day = f" on {schedule.day_of_week}" if schedule.day_of_week else ""
    return f"{schedule.kind}{day}, retention {schedule.retention}"


def next_expiry_line(server_id: str, expiring: Sequence[Decision] | None) -> str:
    """Return a line that says which images of a server expire before all others.

    :param expiring: those images; None for a server without a schedule.
    """
    if expiring is None:
        return f"No image of server {server_id} expires: it has no schedule"
    if not expiring:
        return f"No image of server {server_id} expires"
    images = ", ".join(f"{v.image.name} ({v.image.id})" for v in expiring)
    left = expires_in_runs(expiring[0])
    when = "with the next scheduled image" if left == 1 else f"in {left} runs"
    return f"Expires next on server {server_id}: {images}, {when}"


def protect_each(cloud: Cloud, images: Sequence[str], error_line: ErrorLine) -> bool:
    """Keep images for good, whatever becomes of the others; return whether all are.

    :param images: names or IDs.
    :param error_line: returns the line about an error.
    """
    return attempt(
        images, lambda image: protect(cloud, image), _naming(images, error_line)
    )


def unprotect_each(cloud: Cloud, images: Sequence[str], error_line: ErrorLine) -> bool:
    """Hand images back to their schedules, and report on stderr what expires next.

    The parameters and the result are those of :func:`protect_each`.
    """
    # In the order given, each once.
    servers: dict[str, None] = {}

    def hand_back(wanted: str) -> None:
        image = unprotect(cloud, wanted)
        servers[str(image.server_id)] = None

    done = attempt(images, hand_back, _naming(images, error_line))
    for server_id in servers:
        say(_next_expiry(cloud, server_id))
    return done


def _naming(
    images: Sequence[str], error_line: ErrorLine
) -> Callable[[str, Exception], str]:
    """Return what makes the lines of failures; among several they name the image."""
    return lambda image, error: failure(image, error, len(images), error_line)


def _next_expiry(cloud: Cloud, server_id: str) -> str:
    """Return what expires next; the images are handed back even if that is unknown."""
    try:
        return next_expiry_line(server_id, next_expiry(cloud, server_id))
    except NoSuchServer:
        return f"No image of server {server_id} expires: it no longer exists"
    except Exception as error:
        why = " ".join(str(error).split())
        return f"Which image of server {server_id} expires next is not known: {why}"
