"""The runs of a server's schedule: which have an image, which do not, what is next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from rax_scheduled_images_ext.model.freshness import MAX_AGE
from rax_scheduled_images_ext.model.image import removed_marker
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.retention import (
    Decision,
    reason,
    retention_status,
)
from rax_scheduled_images_ext.model.slots import period_of
from rax_scheduled_images_ext.operations.server import ServerDetails
from rax_scheduled_images_ext.panel.look import Look

# An image is not missing before its second attempt may have failed.
_GRACE = MAX_AGE - timedelta(days=1)
# Of so many runs those without an image are shown.
_MOST = 60
_UTC = Look()
#: The kinds of runs, each with a sign: its meaning never depends on the colour alone.
KINDS = {
    "kept": ("✓", "kept for now"),
    "expires": ("↓", "expires next"),
    "missing": ("✗", "missing"),
    "past": ("·", "no image left"),
    "next": ("…", "next"),
    "exempt": ("★", "kept for good"),
    "other": ("-", "not counted"),
}


@dataclass(frozen=True)
class Run:
    """A run of a schedule, or an image beside it.

    ``time`` is in the zone of whoever looks. ``sign`` is that of its kind or the
    initials of the rules that keep its image.
    """

    time: datetime
    kind: str
    text: str
    sign: str
    image_id: str | None = None


def runs_of(details: ServerDetails, look: Look = _UTC) -> list[Run]:
    """Return the runs of a server's schedule, the oldest first, and the next one.

    No cloud shows since when there is a schedule: runs are expected from the oldest
    image on.
    """
    counted = [
        _of_image(each, look) for each in reversed(details.images) if each.counted
    ]
    schedule, status = details.server.schedule, details.status
    if schedule is None:
        return counted
    gaps = [look.there(time) for time in _gaps(details)][-_MOST:]
    made = [run.time for run in counted]
    runs = [
        *counted,
        *(
            Run(time, "missing", f"{look.day(time)}: no image", KINDS["missing"][0])
            if _would_be_there(time, made, schedule.keep)
            else Run(
                time, "past", f"{look.day(time)}: no image is left", KINDS["past"][0]
            )
            for time in gaps
        ),
    ]
    runs.sort(key=lambda run: run.time)
    if status.next_due is not None:
        due = look.there(status.next_due)
        text = f"The next image, about {look.words(due)}"
        runs.append(Run(due, "next", text, KINDS["next"][0]))
    return runs


def others_of(details: ServerDetails, look: Look = _UTC) -> list[Run]:
    """Return the dated images that no schedule counts, the oldest first."""
    return [
        _of_image(each, look)
        for each in reversed(details.images)
        if not each.counted and each.image.created
    ]


def kind_of(decision: Decision) -> str:
    """Return the kind of an image's run: kept, expires, exempt or other."""
    status = retention_status(decision)
    if status == "kept (exempt)":
        return "exempt"
    if status == "expires next":
        return "expires"
    return "kept" if decision.counted else "other"


def _of_image(decision: Decision, look: Look) -> Run:
    image, kind = decision.image, kind_of(decision)
    assert image.created is not None
    sign = KINDS[kind][0]
    if kind == "kept" and decision.keep is not None and decision.keep.number is None:
        sign = "".join(kept.rule[0] for kept in decision.kept_by)
    time = look.there(image.created)
    text = f"{image.name}, made {look.words(time)}: {retention_status(decision)}"
    return Run(time, kind, f"{text}, {reason(decision)}", sign, image.id)


def _gaps(details: ServerDetails) -> Iterator[datetime]:
    """Yield when an image was due of which there is none, the oldest first."""
    schedule = details.server.schedule
    assert schedule is not None
    # One that was protected since was made all the same.
    made = [
        each.image
        for each in reversed(details.images)
        if each.image.created and (each.counted or removed_marker(each.image))
    ]
    end = details.now - _GRACE
    # As freshness has it, the image of a weekly schedule has a week, whatever followed.
    steps = [max(schedule.interval, period_of(image)) for image in made]
    times = [image.created for image in made if image.created]
    spans = [(a, b) for a, b in pairwise(times)]
    for (begin, until), step in zip(spans, steps, strict=False):
        yield from _every(begin, until - step / 2, step)
    if times:
        yield from _every(times[-1], end, steps[-1])


def _every(begin: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    """Yield the latest moments in steps after one, up to another."""
    number = max(1, (end - begin) // step - _MOST)
    while begin + number * step <= end:
        yield begin + number * step
        number += 1


def _would_be_there(time: datetime, made: list[datetime], keep: Keep) -> bool:
    """Whether an image of a moment would still be kept, had it been made."""
    moments = sorted([*made, time], reverse=True)
    return bool(keep.decide(moments)[moments.index(time)])
