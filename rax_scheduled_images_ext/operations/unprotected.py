"""Which servers no schedule covers, although nobody has excepted them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rax_scheduled_images_ext.model.freshness import ScheduleStatus, State


def unprotected(statuses: Iterable[ScheduleStatus]) -> list[ScheduleStatus]:
    """Return the servers without a valid schedule that are not excepted.

    Those of which it is unknown are among them. Their state says more than that there
    is none. A server that had images of a schedule has lost it: whoever ends one leaves
    a tag that says so.
    """
    return [
        _judged(status)
        for status in statuses
        if status.state in (State.INVALID, State.UNKNOWN)
        or (status.state is State.OFF and not status.server.excepted)
    ]


def _judged(status: ScheduleStatus) -> ScheduleStatus:
    if status.state is not State.OFF:
        return status
    state = State.UNPROTECTED if status.newest is None else State.VANISHED
    return replace(status, state=state, stale=True)
