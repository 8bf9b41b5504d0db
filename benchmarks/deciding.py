"""Deciding which of many images of one server stay, beside sorting them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
    age_order,
)
from rax_scheduled_images_ext.model.keep import RULES, WITHIN, Keep
from rax_scheduled_images_ext.model.retention import apply_policy

from .measure import ratios
from .results import Result, Target
from .setting import Setting

_PART = "j: decide"
_IMAGES = 10_000
_TIMES = 15
_KEEP = Keep(**dict.fromkeys(RULES, 24) | {WITHIN: 30})
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def measure(setting: Setting) -> None:
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
