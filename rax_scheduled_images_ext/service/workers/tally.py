"""What a scan has found so far: it travels with its pages."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TypedDict

from rax_scheduled_images_ext.engine.find import KnownImages, Page
from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.model.plan import Action, Cause

# What a hint amounts to as long as nobody has acted on it.
_HINTS = {Action.MAKE: Result.LEFT, Action.RETAIN: Result.UNPROVEN}


_DAY = timedelta(days=1)


class Tally(TypedDict):
    """What the pages of a scan have shown so far.

    ``began`` is in unix seconds; ``oldest`` is for how many seconds the image that is
    most overdue has been due, and ``missing`` of how many servers an image is missing.
    """

    began: float
    servers: int
    due: int
    oldest: float
    invalid: int
    under_way: int
    hanging: int
    missing: int


def new_tally() -> Tally:
    """Return the tally of a scan that begins now."""
    return Tally(
        began=time.time(),
        servers=0,
        due=0,
        oldest=0.0,
        invalid=0,
        under_way=0,
        hanging=0,
        missing=0,
    )


def add_page(tally: Tally, page: Page, missing: int) -> Tally:
    """Return a tally with one page more.

    One that workers of earlier releases pass on lacks what they do not count.

    :param missing: what :func:`count_missing` returns of it.
    """
    tally = Tally(**{**new_tally(), **tally})
    due = [(page.now - s.slot.due).total_seconds() for s in page.make if s.slot]
    return Tally(
        began=tally["began"],
        servers=tally["servers"] + len(page.steps),
        due=tally["due"] + len(due),
        oldest=max(tally["oldest"], *due, 0.0),
        invalid=tally["invalid"] + sum(s.cause is Cause.INVALID for s in page.steps),
        under_way=page.under_way.total(),
        hanging=tally["hanging"] + sum(len(step.hanging) for step in page.steps),
        missing=tally["missing"] + missing,
    )


def count_missing(
    page: Page, known: KnownImages, now: datetime, *, owners: bool
) -> int:
    """Return of how many servers of a page an image is missing, as ``tick`` has it.

    A first image may be due for hours when its schedule is set.

    :param now: the time that was decided by.
    :param owners: as for :meth:`.Tick.overdue`.
    """
    results = (
        StepResult(step, _HINTS.get(step.action, Result.NOTHING))
        for step in page.steps
        if (step.action is not Action.MAKE or known.of(step.server) is not None)
        # Of an older slot it is not known whether its image was made.
        and (step.slot is None or now - step.slot.due < _DAY)
    )
    return sum(
        each.is_overdue(now) and (owners or not each.for_owner) for each in results
    )
