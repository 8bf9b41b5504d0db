"""The page of one server: its schedule, its images and its snapshots."""

from __future__ import annotations

from flask import render_template, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.client.errors import NoSuchServer
from rax_scheduled_images_ext.model.errors import InvalidValue
from rax_scheduled_images_ext.model.retention import reason, retention_status
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.operations import schedules
from rax_scheduled_images_ext.operations.retention import Forecast, forecast
from rax_scheduled_images_ext.operations.snapshot.begin import begin_snapshot
from rax_scheduled_images_ext.panel.forms import read_name, read_schedule
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.pages.common import (
    PATIENCE,
    check_token,
    only,
    page_for_error,
    page_of,
    place,
    project_pages,
    submit,
    target_of,
)
from rax_scheduled_images_ext.panel.timeline import kind_of, timeline
from rax_scheduled_images_ext.panel.words import described, in_words

pages = project_pages("server")


@pages.get("/servers/<server_id>")
def shown(server_id: str) -> ResponseReturnValue:
    """Show one server."""
    view = place().server(server_id)
    check_token()
    if view.value is None:
        if isinstance(view.error, NoSuchServer):
            text = (
                f"{view.error} in project {place().scope.project.name}, region"
                f" {place().region}, and no image of one."
            )
            return page_for_error(404, "No such server", text)
        return render_template("waiting.html", view=view, what="the server"), 503
    details = view.value.details
    return render_template(
        "server.html",
        view=view,
        details=details,
        server=details.server,
        status=details.status,
        progress=view.value.progress,
        rights=place().rights,
        line=timeline(details),
        kind_of=kind_of,
        retention_status=retention_status,
        reason=reason,
        name=_new_name(details.server.name),
    )


def _new_name(server_name: str) -> str:
    return f"{server_name}-snapshot"


# -- the schedule


@pages.post("/servers/<server_id>/forecast")
def forecasted(server_id: str) -> ResponseReturnValue:
    """Show what the schedule in the form would delete; nothing is changed."""
    try:
        schedule = read_schedule(request.form)
        told = _told(_forecast(server_id, schedule))
    except InvalidValue as error:
        told = {"error": str(error)}
    except Exception as error:
        told = {"error": in_words(error)}
    return render_template("forecast.html", **told, server_id=server_id)


@pages.post("/servers/<server_id>/schedule")
def save(server_id: str) -> ResponseReturnValue:
    """Save the schedule; if images expire by it, only once that was shown."""
    try:
        schedule = read_schedule(request.form)
    except InvalidValue as error:
        return page_for_error(400, "That is no schedule", str(error))
    found = _forecast(server_id, schedule)
    told = _told(found)
    if found.expiring and request.form.get("reviewed") != told["reviewed"]:
        return render_template("forecast.html", **told, server_id=server_id)
    here = place()

    def work(job: Job) -> None:
        with here.changing(server_id):
            only(schedules.enable(here.cloud, target_of(server_id), schedule))
        job.notes.append(f"Saved: {described(schedule)}.")

    return submit(Job("The schedule", page_of(server_id)), work)


@pages.post("/servers/<server_id>/disable")
def disable(server_id: str) -> ResponseReturnValue:
    """Take the schedule away."""
    here = place()

    def work(job: Job) -> None:
        with here.changing(server_id):
            for outcome in schedules.disable(here.cloud, target_of(server_id)):
                outcome.result()
        job.notes.append("The schedule is off. The images stay.")

    return submit(Job("The schedule", page_of(server_id)), work)


def _forecast(server_id: str, schedule: ImageSchedule) -> Forecast:
    here = place()

    def look() -> Forecast:
        return only(forecast(here.cloud, target_of(server_id), schedule))

    return within(PATIENCE, look)


def _told(found: Forecast) -> dict[str, object]:
    """Return what the template of a forecast shows."""
    return {
        "forecast": found,
        "new": found.new,
        "described": described(found.new),
        "reason": reason,
        "reviewed": ",".join(
            [str(found.new.retention), *(each.image.id for each in found.expiring)]
        ),
    }


# -- snapshots


@pages.post("/servers/<server_id>/snapshot")
def snapshot(server_id: str) -> ResponseReturnValue:
    """Take a snapshot now."""
    try:
        name = read_name(request.form)
    except InvalidValue as error:
        return page_for_error(400, "That is no name", str(error))
    here = place()

    def work(job: Job) -> None:
        with here.changing(server_id):
            begin_snapshot(here.cloud, server_id, name)
        job.notes.append(f"The snapshot {name} has begun.")

    return submit(Job("The snapshot", page_of(server_id)), work)
