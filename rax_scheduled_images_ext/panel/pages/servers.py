"""The servers page: all servers of a project, what is late first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.model.errors import InvalidValue
from rax_scheduled_images_ext.model.freshness import ScheduleStatus, State
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.operations import schedules
from rax_scheduled_images_ext.operations.inventory import Inventory
from rax_scheduled_images_ext.operations.retention import Forecast, forecast
from rax_scheduled_images_ext.operations.targets import Target
from rax_scheduled_images_ext.operations.work_queue import Outcome
from rax_scheduled_images_ext.panel.forms import read_schedule
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.pages.common import (
    PATIENCE,
    check_token,
    page_for_error,
    place,
    project_pages,
    submit,
)
from rax_scheduled_images_ext.panel.places import Place
from rax_scheduled_images_ext.panel.words import described, in_words, schedule_words

pages = project_pages("servers")

_PAGE = 100
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
_URGENCY = (
    State.LATE,
    State.INVALID,
    State.UNKNOWN,
    State.NEVER,
    State.OK,
    State.OFF,
)
#: What servers can be sorted by; each ends with the name.
SORTS: dict[str, Callable[[ScheduleStatus], Any]] = {
    "status": lambda each: (not each.stale, _URGENCY.index(each.state)),
    "name": lambda each: each.server.name.lower(),
    "schedule": lambda each: schedule_words(each.server.schedule),
    "retention": lambda each: getattr(each.server.schedule, "retention", 0),
    "newest": lambda each: (each.newest and each.newest.created) or _LONG_AGO,
    "due": lambda each: each.next_due or _LONG_AGO,
    "task": lambda each: each.server.task_state or "",
}


@dataclass(frozen=True)
class Listing:
    """One page of the servers that were asked for."""

    rows: list[ScheduleStatus]
    found: int
    page: int
    pages: int


def listing(
    inventory: Inventory, name: str, state: str, sort: str, page: int
) -> Listing:
    """Filter, sort and cut the servers.

    :param name: part of a name or ID, in any letter case; empty for all.
    :param state: a status, or ``stale`` for what is late in any way; empty for all.
    :param sort: a key of ``SORTS``, with a minus for the other way round.
    :param page: from 1 on; a number that is too large is the last page.
    """
    part = name.lower()
    found = [
        each
        for each in inventory.servers
        if (part in each.server.name.lower() or part == each.server.id)
        and (
            not state or each.state.value == state or (state == "stale" and each.stale)
        )
    ]
    key = SORTS.get(sort.removeprefix("-"), SORTS["status"])
    found.sort(key=lambda each: (each.server.name.lower(), each.server.id))
    found.sort(key=key, reverse=sort.startswith("-"))
    pages = max(1, -(-len(found) // _PAGE))
    page = min(max(1, page), pages)
    return Listing(found[(page - 1) * _PAGE : page * _PAGE], len(found), page, pages)


@pages.get("/servers")
def listed() -> ResponseReturnValue:
    """Show the servers."""
    args = request.args
    asked = {
        "name": args.get("name", "").strip(),
        "status": args.get("status", ""),
        "sort": args.get("sort", "status"),
    }
    view = place().inventory()
    check_token()
    if view.value is None:
        return render_template("waiting.html", view=view, what="the servers"), 503
    shown = listing(
        view.value,
        asked["name"],
        asked["status"],
        asked["sort"],
        args.get("page", 1, type=int),
    )
    return render_template(
        "servers.html",
        view=view,
        inventory=view.value,
        late=sum(each.stale for each in view.value.servers),
        listing=shown,
        asked=asked,
        states=[state.value for state in _URGENCY],
        rights=place().rights,
        query={k: v for k, v in asked.items() if v and (k, v) != ("sort", "status")},
    )


@pages.post("/servers/review")
def review() -> ResponseReturnValue:
    """Show what a change of several servers would do, before it is done."""
    ids = request.form.getlist("server")
    action = request.form.get("action", "")
    if not ids:
        return page_for_error(400, "No server is chosen", "Choose servers in the list.")
    try:
        change = _change(action)
    except InvalidValue as error:
        return page_for_error(400, "That is no schedule", str(error))
    rows = _rows(_targets(ids), change)
    return render_template(
        "review.html",
        title=_title(change, len(rows)),
        rows=rows,
        form=request.form,
        disabling=change is None,
        expiring=sum(row.expiring or 0 for row in rows),
    )


@dataclass(frozen=True)
class Row:
    """What a change does to one server.

    ``expiring`` is how many images the next scheduled image deletes, None where that
    is not known, and ``problem`` is why.
    """

    target: Target
    before: str
    expiring: int | None = 0
    problem: str = ""


def _rows(targets: list[Target], change: ImageSchedule | int | None) -> list[Row]:
    """Look at what a change would do to each server, as it is now."""
    if change is None:
        return [Row(target, _before(target)) for target in targets]
    # The day makes no difference to what expires.
    schedule = ImageSchedule(change) if isinstance(change, int) else change
    here = place()
    found = within(PATIENCE, lambda: forecast(here.cloud, targets, schedule))
    return [_row(outcome, change) for outcome in found]


def _row(outcome: Outcome[Target, Forecast], change: ImageSchedule | int | None) -> Row:
    target, found = outcome.item, outcome.value
    if found is None or outcome.error is not None:
        problem = in_words(outcome.error) if outcome.error else ""
        return Row(target, "unknown", None, problem)
    if found.current is None and isinstance(change, int):
        return Row(target, "no schedule", None, "stays without a schedule")
    now = described(found.current) if found.current else "no schedule"
    return Row(target, now, len(found.expiring))


def _before(target: Target) -> str:
    view = place().inventory()
    found = (
        [e for e in view.value.servers if e.server.id == target.id]
        if view.value
        else []
    )
    schedule = found[0].server.schedule if found else None
    return described(schedule) if schedule else "no schedule"


@pages.post("/servers/change")
def change() -> ResponseReturnValue:
    """Change the schedules of several servers."""
    ids = request.form.getlist("server")
    if not ids:
        return page_for_error(400, "No server is chosen", "Choose servers in the list.")
    try:
        wanted = _change(request.form.get("action", ""))
    except InvalidValue as error:
        return page_for_error(400, "That is no schedule", str(error))
    here, targets = place(), _targets(ids)
    job = Job(_title(wanted, len(ids)), url_for("servers.listed"), len(ids))
    return submit(job, partial(_apply, here, targets, wanted), show=True)


def _apply(
    here: Place,
    targets: list[Target],
    wanted: ImageSchedule | int | None,
    job: Job,
) -> None:
    def note(outcome: Outcome[Target, Any]) -> None:
        if outcome.error is not None:
            job.fail(outcome.item.label, outcome.error)

    with here.changing(*(str(target.id) for target in targets)):
        if isinstance(wanted, ImageSchedule):
            schedules.enable(here.cloud, targets, wanted, note, job.progress)
        elif wanted is None:
            schedules.disable(here.cloud, targets, note, job.progress)
        else:
            schedules.update(
                here.cloud,
                targets,
                retention=wanted,
                report=note,
                progress=job.progress,
            )


def _change(action: str) -> ImageSchedule | int | None:
    """Return what a form asks for: a schedule, a retention alone, or none at all."""
    if action == "disable":
        return None
    schedule = read_schedule(request.form)
    return schedule.retention if action == "update" else schedule


def _title(wanted: ImageSchedule | int | None, number: int) -> str:
    servers = "1 server" if number == 1 else f"{number} servers"
    if wanted is None:
        return f"Switch the schedules of {servers} off"
    if isinstance(wanted, int):
        return f"Keep {wanted} images of {servers}"
    return f"Set {servers} to {described(wanted)}"


def _targets(ids: list[str]) -> list[Target]:
    """Return servers by their names, as far as those are known."""
    view = place().inventory()
    known = view.value.servers if view.value else []
    names = {each.server.id: each.server.name for each in known}
    return [Target(names.get(each) or each, each) for each in dict.fromkeys(ids)]
