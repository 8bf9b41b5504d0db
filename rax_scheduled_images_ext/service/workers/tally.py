"""What a scan has found so far, sent along with its pages."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TypedDict

from rax_scheduled_images_ext.engine.find import KnownImages, Page
from rax_scheduled_images_ext.engine.proofs import ServerKey, key_of
from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.model.plan import Action, Cause
from rax_scheduled_images_ext.model.verify import is_turn

# The result of a hint until it is acted on.
_HINTS = {Action.MAKE: Result.LEFT, Action.RETAIN: Result.UNPROVEN}


_DAY = timedelta(days=1)


class Tally(TypedDict):
    """What the pages of a scan have shown so far.

    ``began`` is in unix seconds; ``oldest`` is how many seconds ago the most overdue
    image was due, and ``missing`` how many servers lack an image.
    """

    began: float
    servers: int
    due: int
    oldest: float
    invalid: int
    under_way: int
    hanging: int
    missing: int
    #: The servers whose turn it is to be proven, None if this scan does not look.
    proofs: list[ServerKey] | None


def new_tally() -> Tally:
    """Return the tally of a scan that starts now."""
    return Tally(
        began=time.time(),
        servers=0,
        due=0,
        oldest=0.0,
        invalid=0,
        under_way=0,
        hanging=0,
        missing=0,
        proofs=None,
    )


def add_page(tally: Tally, page: Page, missing: int) -> Tally:
    """Return a tally with one more page.

    A tally from workers of earlier releases lacks what they do not count.

    :param missing: what :func:`count_missing` returns for the page.
    """
    tally = Tally(**{**new_tally(), **tally})
    due = [(page.now - s.since).total_seconds() for s in page.make if s.since]
    return Tally(
        began=tally["began"],
        servers=tally["servers"] + len(page.steps),
        due=tally["due"] + len(due),
        oldest=max(tally["oldest"], *due, 0.0),
        invalid=tally["invalid"] + sum(s.cause is Cause.INVALID for s in page.steps),
        under_way=page.under_way.total(),
        hanging=tally["hanging"] + sum(len(step.hanging) for step in page.steps),
        missing=tally["missing"] + missing,
        proofs=tally["proofs"],
    )


def add_turns(tally: Tally, page: Page, now: datetime, every: timedelta) -> None:
    """Add the servers of a page whose turn it is, if this scan looks for them."""
    if tally["proofs"] is not None:
        tally["proofs"] += [
            key_of(step.server)
            for step in page.steps
            if step.server.schedule and is_turn(step.server.id, every, now)
        ]


def count_missing(
    page: Page, known: KnownImages, now: datetime, *, owners: bool
) -> int:
    """Return how many servers of a page lack an image, as ``tick`` counts them.

    A first image may already be hours overdue when its schedule is set.

    :param now: the time of the decisions.
    :param owners: as for :meth:`.Tick.overdue`.
    """
    results = (
        StepResult(step, _HINTS.get(step.action, Result.NOTHING))
        for step in page.steps
        if (step.action is not Action.MAKE or known.of(step.server) is not None)
        # Whether the image of an older slot was made is unknown.
        and (step.slot is None or now - step.slot.due < _DAY)
    )
    return sum(
        each.is_overdue(now) and (owners or not each.for_owner) for each in results
    )
