"""Deciding which images of a server stay, and what to do for many servers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone

from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
    age_order,
)
from rax_scheduled_images_ext.model.keep import RULES, WITHIN, Keep
from rax_scheduled_images_ext.model.plan import Known, plan
from rax_scheduled_images_ext.model.retention import apply_policy
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    PREFIX,
    read_schedule_tags,
)

from .measure import ratios
from .results import Result, Target
from .setting import Setting

_PART = "j: decide"
_IMAGES = _SERVERS = 10_000
_TIMES = 15
_KEEP = Keep(**dict.fromkeys(RULES, 24) | {WITHIN: 30})
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


# Of every kind.
_MIXED = (
    "daily:7",
    "weekly-saturday:4",
    "daily@02:30:7d+4w+12m",
    "6h:8l+7d+4w+12m+2y",
    "1h@00:15:24h+7d+4w+12m",
)


def measure(setting: Setting) -> None:
    """Measure both."""
    _decide(setting)
    _plan(setting)


def _decide(setting: Setting) -> None:
    """Measure a decision by all rules, and the sorting that it begins with."""
    number = setting.times(_IMAGES, 100)
    images = _images(number)
    decided, ordered = list[float](), list[float]()
    for _ in range(setting.times(_TIMES, 2)):
        decided.append(_seconds(lambda: apply_policy(images, "s", _KEEP, "p")))
        ordered.append(_seconds(lambda: sorted(images, key=age_order, reverse=True)))
    what = f"decide on {number} images by all rules"
    beside = [1000 * (d - o) for d, o in zip(decided, ordered, strict=True)]
    setting.report.add(
        Result(_PART, f"{what}, beside sorting", "ms", beside, target=Target(50)),
        Result(_PART, f"{what} / sort them", "x", ratios(decided, ordered)),
    )


def _plan(setting: Setting) -> None:
    """Measure reading the tags of a fleet and planning, by the kinds of schedules."""
    number = setting.times(_SERVERS, 50)
    simple, mixed = list[float](), list[float]()
    for _ in range(setting.times(_TIMES, 2)):
        simple.append(_seconds(lambda: _look(number, _MIXED[:1])))
        mixed.append(_seconds(lambda: _look(number, _MIXED)))
    what = f"plan {number} servers, mixed / daily schedules"
    setting.report.add(
        Result(_PART, what, "x", ratios(mixed, simple), target=Target(1.25))
    )


def _look(number: int, kinds: Sequence[str]) -> None:
    known = Known(_START - timedelta(minutes=1))
    for each in range(number):
        schedule = read_schedule_tags((MARKER_TAG, PREFIX + kinds[each % len(kinds)]))
        server = InventoryServer(
            f"{each:036}", "s", project_id="p", status="ACTIVE", schedule=schedule
        )
        plan(server, (), _START, known=known)


def _images(number: int) -> list[ServerImage]:
    """Return images of one server, one an hour, in no order."""
    metadata = {MARKER_KEY: MARKER_VALUE, TYPE_KEY: SNAPSHOT}
    images = [
        ServerImage(
            id=f"{each:036}",
            name=f"Daily-s-{each}",
            status="ACTIVE",
            created=_START + each * timedelta(hours=1),
            size=1,
            server_id="s",
            owner="p",
            metadata=metadata,
        )
        for each in range(number)
    ]
    random.Random(number).shuffle(images)
    return images


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
