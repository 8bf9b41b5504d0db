"""What a scan has found so far: it travels with its pages."""

from __future__ import annotations

import time
from typing import TypedDict

from rax_scheduled_images_ext.engine.find import Page
from rax_scheduled_images_ext.model.plan import Cause


class Tally(TypedDict):
    """What the pages of a scan have shown so far.

    ``began`` is in unix seconds; ``oldest`` is for how many seconds the image that is
    most overdue has been due.
    """

    began: float
    servers: int
    due: int
    oldest: float
    invalid: int
    under_way: int
    hanging: int


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
    )


def add_page(tally: Tally, page: Page) -> Tally:
    """Return a tally with one page more.

    One that workers of earlier releases pass on lacks what they do not count.
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
    )
