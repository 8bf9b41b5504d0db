"""The calendars of successes and failures: of one server, and of all."""

from __future__ import annotations

from flask import render_template, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.client.snapshots import PASSING, Snapshots
from rax_scheduled_images_ext.console.formats import Column
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.operations.server import read_server_details
from rax_scheduled_images_ext.panel.days import (
    Day,
    Days,
    Lacking,
    days_of_all,
    days_of_server,
    lacking,
)
from rax_scheduled_images_ext.panel.fleet import Fleet
from rax_scheduled_images_ext.panel.histories import MOST_HISTORIES, Histories
from rax_scheduled_images_ext.panel.jobs import within
from rax_scheduled_images_ext.panel.labels import labels_of, short_label
from rax_scheduled_images_ext.panel.pages.common import (
    PATIENCE,
    as_csv_file,
    check_token,
    place,
    project_pages,
)
from rax_scheduled_images_ext.panel.readings import View

pages = project_pages("calendar")
# Of so many days the failures are listed in words, and so many a day; the months show
# all.
_MOST_DAYS, _MOST_TEXTS = 30, 5
_COLUMNS: tuple[Column[Day], ...] = (
    Column("date", "Date", lambda day: day.date.isoformat()),
    Column("made", "Made", lambda day: day.made),
    Column("failed", "Failed", lambda day: len(day.failed)),
    Column("unknown", "Unknown", lambda day: len(day.unknown)),
    Column("why", "Why", lambda day: "; ".join([*day.failed, *day.unknown]) or None),
)


@pages.get("/calendar")
def of_all() -> ResponseReturnValue:
    """Show the days of all servers."""
    view = place().fleet()
    check_token()
    if view.value is None:
        return render_template("waiting.html", view=view, what="the servers"), 503
    labels = labels_of(each.server for each in view.value.servers)
    short = {each: short_label(label, each) for each, label in labels.items()}
    servers = lacking(view.value, short)
    found = place().histories(list(servers)).value if servers else None
    check_token()
    histories = found or Histories()
    days = days_of_all(view.value, servers, histories)
    return _shown("all", days, problem=_unknown(servers, histories), view=view)


def _unknown(servers: dict[str, Lacking], histories: Histories) -> str:
    """Return a sentence about the servers whose records are not known."""
    of = [each for each in servers if each not in histories.attempts]
    if not of:
        return ""
    number = "1 server" if len(of) == 1 else f"{len(of):,} servers"
    asked = f" Of many, only {MOST_HISTORIES} are read." if histories.left else ""
    return (
        f"Why images of {number} are missing is unknown, {servers[of[0]].label} for"
        f" example: Nova's record of their actions was not read.{asked} The calendar of"
        " a server reads its own."
    )


@pages.get("/servers/<server_id>/calendar")
def of_server(server_id: str) -> ResponseReturnValue:
    """Show the days of a server."""
    here = place()
    details = within(PATIENCE, lambda: read_server_details(here.cloud, server_id))
    problem, attempts = "", None
    try:
        attempts = within(
            PATIENCE, lambda: Snapshots(here.cloud.compute).attempts(server_id)
        )
    except (*PASSING, ScheduledImagesError):
        problem = "Nova's record of its actions cannot be read: what failed is unknown."
    label = here.label(server_id)
    return _shown(label, days_of_server(details, attempts), server_id, problem)


def _shown(
    label: str,
    days: Days,
    server_id: str | None = None,
    problem: str = "",
    view: View[Fleet] | None = None,
) -> ResponseReturnValue:
    if request.args.get("format") == "csv":
        return as_csv_file(f"calendar-{label}", _COLUMNS, list(days))
    failed = [day for day in reversed(list(days)) if day.failed or day.unknown]
    return render_template(
        "calendar.html",
        label=label,
        server_id=server_id,
        months=days.months,
        today=days.today,
        failed=failed[:_MOST_DAYS],
        more=len(failed[_MOST_DAYS:]),
        most=_MOST_TEXTS,
        problem=problem,
        view=view,
    )
