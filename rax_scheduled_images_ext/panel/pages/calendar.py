"""The calendars of successes and failures: of one server, and of all."""

from __future__ import annotations

from flask import render_template, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.client.snapshots import PASSING, Snapshots
from rax_scheduled_images_ext.console.formats import Column
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.operations.server import read_server_details
from rax_scheduled_images_ext.panel.days import Day, Days, days_of_all, days_of_server
from rax_scheduled_images_ext.panel.jobs import within
from rax_scheduled_images_ext.panel.labels import labels_of
from rax_scheduled_images_ext.panel.pages.common import (
    PATIENCE,
    as_csv_file,
    check_token,
    place,
    project_pages,
)

pages = project_pages("calendar")
# So many failures are listed in words; the days show all.
_MOST = 100
_COLUMNS: tuple[Column[Day], ...] = (
    Column("date", "Date", lambda day: day.date.isoformat()),
    Column("made", "Made", lambda day: day.made),
    Column("failed", "Failed", lambda day: len(day.failed)),
    Column("why", "Why", lambda day: "; ".join(day.failed) or None),
)


@pages.get("/calendar")
def of_all() -> ResponseReturnValue:
    """Show the days of all servers."""
    view = place().fleet()
    check_token()
    if view.value is None:
        return render_template("waiting.html", view=view, what="the servers"), 503
    labels = labels_of(each.server for each in view.value.servers)
    return _shown("all", days_of_all(view.value, labels))


@pages.get("/servers/<server_id>/calendar")
def of_server(server_id: str) -> ResponseReturnValue:
    """Show the days of a server."""
    here = place()
    details = within(PATIENCE, lambda: read_server_details(here.cloud, server_id))
    problem, attempts = "", []
    try:
        attempts = within(
            PATIENCE, lambda: Snapshots(here.cloud.compute).attempts(server_id)
        )
    except (*PASSING, ScheduledImagesError):
        problem = "The server's history cannot be read: only its images are shown."
    label = here.label(server_id)
    return _shown(label, days_of_server(details, attempts), server_id, problem)


def _shown(
    label: str, days: Days, server_id: str | None = None, problem: str = ""
) -> ResponseReturnValue:
    if request.args.get("format") == "csv":
        return as_csv_file(f"calendar-{label}", _COLUMNS, list(days))
    failed = [day for day in reversed(list(days)) if day.failed]
    return render_template(
        "calendar.html",
        label=label,
        server_id=server_id,
        months=days.months,
        today=days.today,
        failed=failed[:_MOST],
        problem=problem,
    )
