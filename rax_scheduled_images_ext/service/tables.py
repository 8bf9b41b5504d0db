"""The rows that ``plan`` and ``status`` print."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from rax_scheduled_images_ext.console.formats import Column, print_rows
from rax_scheduled_images_ext.console.schedules import (
    further_columns,
    schedule_columns,
)
from rax_scheduled_images_ext.console.space import space_columns
from rax_scheduled_images_ext.engine.find import Page
from rax_scheduled_images_ext.engine.leftovers import LeftBehind
from rax_scheduled_images_ext.model.freshness import ScheduleStatus, schedule_status
from rax_scheduled_images_ext.model.plan import Action, Step, explain
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import Slot
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.model.times import write_time

PLAN: tuple[Column[Step], ...] = (
    Column("server", "Server", lambda step: step.server.name),
    Column("id", "ID", lambda step: step.server.id),
    Column("project", "Project", lambda step: step.server.project_id),
    Column("slot", "Slot", lambda step: step.slot and step.slot.name),
    Column("due", "Due", lambda step: due(step.slot)),
    Column("action", "Action", lambda step: step.action.value),
    Column("reason", "Reason", explain),
    Column("next_due", "Next due", lambda step: due(step.next_slot)),
)


def newest(status: ScheduleStatus) -> str | None:
    """Return when the newest image was made."""
    return write_time(status.newest.created) if status.newest else None


def verified(status_row: StatusRow) -> str | None:
    """Return when the last proof that an image boots was, and what it has reached."""
    known = status_row.status.verified
    return f"{write_time(known.time)} {known.word}" if known else None


def due(slot: Slot | None) -> str | None:
    """Return when the image of a slot is due."""
    return write_time(slot.due) if slot else None


@dataclass(frozen=True)
class StatusRow:
    """A server now: its images, and its next step."""

    status: ScheduleStatus
    step: Step


def rows_of(page: Page, max_age: timedelta, sizes: Sizes) -> list[StatusRow]:
    """Return the rows of all servers of a survey, sorted by name.

    :param sizes: those of volume snapshots.
    """
    images = page.open.by_server
    rows = [
        StatusRow(
            schedule_status(
                step.server, images.get(step.server.id, ()), page.now, max_age, sizes
            ),
            step,
        )
        for step in page.steps
    ]
    return sorted(rows, key=lambda row: (row.step.server.name, row.step.server.id))


def _schedule(row: StatusRow) -> ImageSchedule | None:
    return row.step.server.schedule


STATUS: tuple[Column[StatusRow], ...] = (
    Column("server", "Server", lambda row: row.step.server.name),
    Column("id", "ID", lambda row: row.step.server.id),
    Column("project", "Project", lambda row: row.step.server.project_id),
    *(each for each in schedule_columns(_schedule) if each.key != "day_of_week"),
    Column("counted", "Counted", lambda row: row.status.counted),
    Column("newest", "Newest", lambda row: newest(row.status)),
    Column("next_due", "Next due", lambda row: due(row.step.next_slot)),
    Column("verified", "Verified", verified),
    Column("state", "State", lambda row: row.status.state.value),
    Column("reason", "Reason", lambda row: explain(row.step)),
    *further_columns(_schedule),
)


LEFTOVERS: tuple[Column[LeftBehind], ...] = (
    Column("kind", "Kind", lambda row: row.kind.value),
    Column("id", "ID", lambda row: row.id),
    Column("name", "Name", lambda row: row.name),
    Column("project", "Project", lambda row: row.project_id),
    Column("status", "Status", lambda row: row.status),
    Column("changed", "Changed", lambda row: write_time(row.changed)),
    Column("reason", "Reason", lambda row: row.reason),
    Column("effect", "If deleted", lambda row: row.effect),
)


def print_plan(steps: list[Step], form: str, *, everything: bool) -> None:
    """Print what would be done, with ``everything`` also why nothing would."""
    wanted = [s for s in steps if everything or s.action is not Action.NOTHING]
    print_rows(PLAN, wanted, form)


def print_status(rows: list[StatusRow], form: str, price: float | None) -> None:
    """Print all servers.

    :param price: of a GiB a month, None if unknown.
    """
    more = space_columns(lambda row: row.status.space, price)
    print_rows([*STATUS, *more], rows, form)
