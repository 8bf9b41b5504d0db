"""The rows that ``plan`` and ``status`` print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rax_scheduled_images_ext.console.formats import Column, attribute, print_rows
from rax_scheduled_images_ext.console.schedules import (
    further_columns,
    schedule_columns,
)
from rax_scheduled_images_ext.console.space import space_columns
from rax_scheduled_images_ext.engine.find import Page
from rax_scheduled_images_ext.engine.leftovers import LeftBehind
from rax_scheduled_images_ext.model.freshness import ScheduleStatus, schedule_status
from rax_scheduled_images_ext.model.plan import Action, Step, explain
from rax_scheduled_images_ext.model.policies import Match, Policies, PolicyChange
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import Slot
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.model.times import write_time


def _of_step(value: Callable[[Step], object]) -> Callable[[Step | PolicyChange], Any]:
    """Return the value of a column that only steps have."""
    return lambda row: value(row) if isinstance(row, Step) else None


PLAN: tuple[Column[Step | PolicyChange], ...] = (
    Column("server", "Server", lambda row: row.server.name),
    Column("id", "ID", lambda row: row.server.id),
    Column("project", "Project", lambda row: row.server.project_id),
    Column("slot", "Slot", _of_step(lambda step: step.slot and step.slot.name)),
    Column("due", "Due", _of_step(lambda step: due(step.slot))),
    Column(
        "action",
        "Action",
        lambda row: (row.action if isinstance(row, Step) else row.kind).value,
    ),
    Column(
        "reason",
        "Reason",
        lambda row: explain(row) if isinstance(row, Step) else row.reason,
    ),
    Column("next_due", "Next due", _of_step(lambda step: due(step.next_slot))),
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


def print_plan(
    steps: list[Step], changes: list[PolicyChange], form: str, *, everything: bool
) -> None:
    """Print what would be done, with ``everything`` also why nothing would.

    What policies would change comes first.
    """
    rows: list[Step | PolicyChange] = sorted(
        changes, key=lambda each: (each.server.name, each.server.id)
    )
    rows += [s for s in steps if everything or s.action is not Action.NOTHING]
    print_rows(PLAN, rows, form)


@dataclass(frozen=True)
class PolicyRow:
    """A policy as it is printed."""

    policy: str
    tag: str
    matches: str
    schedule: str


POLICIES: tuple[Column[PolicyRow], ...] = (
    attribute("policy", "Policy"),
    attribute("matches", "Servers"),
    attribute("schedule", "Schedule"),
    attribute("tag", "Tag"),
)


def print_policies(policies: Policies, form: str) -> None:
    """Print the policies of a file, in their order, and its exceptions."""
    rows = [
        PolicyRow(
            policies.tag_of(each).name,
            str(policies.tag_of(each)),
            _words(each.match, " and ") or "all others" * bool(n) or "all",
            each.schedule.words,
        )
        for n, each in enumerate(policies.policies)
    ]
    if policies.excepted:
        excepted = _words(policies.excepted, " or ")
        rows.append(PolicyRow("none", "", excepted, "no schedule"))
    print_rows(POLICIES, rows, form)


def _words(match: Match, link: str) -> str:
    """Return what servers must be like."""
    parts = [f"tag {tag}" for tag in sorted(match.tags)]
    parts += [f"metadata {k}={v}" for k, v in sorted(match.metadata.items())]
    parts += [f"name {match.name.pattern}"] if match.name else []
    parts += (
        [f"project {' or '.join(sorted(match.projects))}"] if match.projects else []
    )
    return link.join(parts)


def print_status(rows: list[StatusRow], form: str, price: float | None) -> None:
    """Print all servers.

    :param price: of a GiB a month, None if unknown.
    """
    more = space_columns(lambda row: row.status.space, price)
    print_rows([*STATUS, *more], rows, form)
