"""When the next image of each server is expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rax_scheduled_images_ext.engine.results import StepResult
from rax_scheduled_images_ext.model.plan import Cause, Step

# With these causes the latest slot gets no more images.
_NOT_TO_COME = frozenset({Cause.DONE, Cause.NOT_DUE, Cause.MISSED})


@dataclass
class Expectations:
    """Since when each server's next image has been expected, in a region.

    Nothing records when a schedule was enabled. One that the first scan finds may be
    old, so the newest image decides. One that a later scan finds for the first time
    is new, and so is one that makes them at other times, or whose owner has made images
    possible again.
    """

    # By server: when its schedule makes images, and since when.
    _awaited: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _has_looked: bool = False

    def update(
        self,
        results: Iterable[StepResult],
        newest: Mapping[str, datetime],
        now: datetime,
    ) -> dict[str, datetime]:
        """Return when the next image that each server needs was, or will be, due.

        Servers that get no image until their owners act are left out.

        :param newest: when the newest complete image of each server was made.
        """
        awaited: dict[str, tuple[str, datetime]] = {}
        expected: dict[str, datetime] = {}
        for result in results:
            step, server = result.step, result.step.server
            if server.schedule is None or step.slot is None or result.for_owner:
                continue
            when, made = server.schedule.when, newest.get(server.id)
            unseen = now if self._has_looked or made is None else made
            before, since = self._awaited.get(server.id, (when, unseen))
            if before != when:
                since = now
            if step.cause is Cause.DONE:
                since = max(since, step.slot.due)
            if made is not None:
                since = max(since, made)
            awaited[server.id] = when, since
            expected[server.id] = _first_due(step, since, made)
        self._awaited = awaited
        self._has_looked = True
        return expected


def _first_due(step: Step, since: datetime, made: datetime | None) -> datetime:
    """Return when the first image after a moment is due.

    :param made: when the newest image was made, None if there is none.
    """
    server, slot, following = step.server, step.slot, step.next_slot
    assert server.schedule is not None
    assert slot is not None
    assert following is not None
    if since < slot.due:
        period = server.schedule.interval
        between = -((since - slot.due) // period) - 1
        return slot.due - between * period
    has_image = made is not None and made >= slot.due
    # A schedule that was enabled after the slot was due may still get that image.
    return following.due if has_image or step.cause in _NOT_TO_COME else since
