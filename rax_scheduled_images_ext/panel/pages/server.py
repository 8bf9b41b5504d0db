"""The page of one server: its schedule, its images and its snapshots."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.console.formats import Column
from rax_scheduled_images_ext.console.images import decision_columns
from rax_scheduled_images_ext.console.schedules import expected_line, quota_line
from rax_scheduled_images_ext.console.simulation import calendar_lines
from rax_scheduled_images_ext.errors import InvalidValue, NoSuchServer, SimpleOnly
from rax_scheduled_images_ext.model.consistency import consistency_of
from rax_scheduled_images_ext.model.outlook import Outlook
from rax_scheduled_images_ext.model.retention import (
    Decision,
    reason,
    retention_status,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule, ScheduleSettings
from rax_scheduled_images_ext.model.simulation import Simulation
from rax_scheduled_images_ext.model.task_states import (
    COPIED,
    COPYING,
    PENDING,
    UPLOADING,
)
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.operations.server import ServerDetails
from rax_scheduled_images_ext.operations.snapshot.begin import begin_snapshot
from rax_scheduled_images_ext.operations.space import quota_forecast
from rax_scheduled_images_ext.panel.forms import (
    SCHEDULE_FIELDS,
    new_image_name,
    read_name,
    read_schedule,
)
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.look import current_look
from rax_scheduled_images_ext.panel.pages.common import (
    PATIENCE,
    as_csv_file,
    check_token,
    page_for_error,
    page_of,
    place,
    project_pages,
    say,
    sizes_of,
    submit,
)
from rax_scheduled_images_ext.panel.review import (
    NothingToDo,
    Preview,
    apply,
    current_words,
    preview,
)
from rax_scheduled_images_ext.panel.runs import KINDS, kind_of, others_of, runs_of
from rax_scheduled_images_ext.panel.security import is_refresh
from rax_scheduled_images_ext.panel.snapshot_end import SnapshotImage
from rax_scheduled_images_ext.panel.words import in_words, signed_out

pages = project_pages("server")


@pages.get("/servers/<server_id>")
def shown(server_id: str) -> ResponseReturnValue:
    """Show one server."""
    view = place().server(server_id)
    check_token()
    if isinstance(view.error, NoSuchServer):
        if is_refresh():
            # The open page is reloaded, and shows it.
            return "", 204, {"HX-Refresh": "true"}
        text = (
            f"{view.error} in project {place().scope.project.name}, region"
            f" {place().region}, and no image of one."
        )
        return page_for_error(404, "No such server", text)
    if view.value is None:
        return render_template("waiting.html", view=view, what="the server"), 503
    details = view.value.details
    if request.args.get("format") == "csv":
        name = details.server.name or server_id
        columns = decision_columns(details.sizes, data=True)
        return as_csv_file(name, [*columns, _proof(details)], details.images)
    return render_template(
        "server.html",
        view=view,
        details=details,
        server=details.server,
        status=details.status,
        progress=view.value.progress,
        end=view.value.end,
        was_here=view.value.was_here,
        label=place().label(details.server.id),
        made_from=current_words(details.server.schedule, details.server.invalid_tag),
        typed={
            key: request.args[key] for key in SCHEDULE_FIELDS if key in request.args
        },
        rights=place().rights,
        proofs=details.proofs,
        trouble=view.value.trouble,
        runs=runs_of(details, current_look()),
        others=others_of(details, current_look()),
        kinds=KINDS,
        phases=(PENDING, COPYING, COPIED, UPLOADING),
        kind_of=kind_of,
        retention_status=retention_status,
        consistency_of=consistency_of,
        reason=reason,
        name=request.args.get("name", new_image_name(details)),
    )


def _proof(details: ServerDetails) -> Column[Decision]:
    def proof(decision: Decision) -> str | None:
        found = details.proofs.get(decision.image.id)
        return f"{found.word} {write_time(found.time)}" if found else None

    return Column("verified", "Verified", proof)


# -- the schedule


@pages.get("/servers/<server_id>/schedule")
def review(server_id: str) -> ResponseReturnValue:
    """Show what a schedule would change, and ask whether to save it.

    ``before`` is the schedule when the form was made: if it has changed since, both are
    shown.
    """
    problem, seen, status = "", None, 200
    try:
        schedule = read_schedule(request.args)
        seen = _preview(server_id, ScheduleSettings.of(schedule))
    except (InvalidValue, SimpleOnly) as error:
        problem, status = str(error), 400
    except NoSuchServer:
        raise
    except Exception as error:
        if signed_out(error):
            raise
        problem, status = in_words(error), 502
    if seen is not None and _made_from() not in (None, seen.before):
        status = 409
    found = seen.outlook if seen else None
    going = [each.image for each in seen.expiring] if seen else []
    sizes = sizes_of(going)
    page = render_template(
        "schedule.html",
        seen=seen,
        **(_in_time(seen.schedule, found) if seen and seen.schedule and found else {}),
        sizes=sizes,
        taken=sizes.space(going),
        problem=problem,
        conflict=status == 409,
        typed={key: request.args.get(key, "") for key in SCHEDULE_FIELDS},
        made_from=_made_from(),
        reason=reason,
        server_id=server_id,
        label=place().label(server_id),
    )
    # htmx does not show error pages.
    return page, 200 if "HX-Request" in request.headers else status


def _in_time(schedule: ImageSchedule, outlook: Outlook) -> dict[str, Any]:
    """Return what a schedule leaves in time, as a page shows it."""
    cloud = place().cloud
    quota = within(PATIENCE, lambda: quota_forecast(cloud, [outlook]))
    year = Simulation.of(schedule, outlook.now.date())
    return {
        "expected": expected_line(outlook),
        "quota": quota_line(quota) if quota else "",
        "calendar": calendar_lines(year),
    }


def _made_from() -> str | None:
    """Return the schedule when the form was made, None if the form lacks it."""
    return request.values.get("before")


def _typed(server_id: str) -> ResponseReturnValue:
    """Go to the review of the schedule that was typed."""
    keys = (*SCHEDULE_FIELDS, "before")
    fields: dict[str, Any] = {key: request.form.get(key) for key in keys}
    return redirect(url_for("server.review", server_id=server_id, **fields), 303)


@pages.post("/servers/<server_id>/forecast")
def forecasted(server_id: str) -> ResponseReturnValue:
    """Show what the schedule in the form would delete; nothing is changed."""
    return _typed(server_id)


@pages.post("/servers/<server_id>/schedule")
def save(server_id: str) -> ResponseReturnValue:
    """Save the schedule; if images expire because of it, only after showing that."""
    try:
        settings = ScheduleSettings.of(read_schedule(request.form))
        seen = _preview(server_id, settings)
    except (InvalidValue, SimpleOnly):
        return _typed(server_id)
    shown = request.form.get("reviewed") == seen.digest
    if _made_from() != seen.before or (seen.expiring and not shown):
        return _typed(server_id)
    here = place()

    def work(job: Job) -> None:
        with here.changing(server_id):
            apply(here.cloud, server_id, settings)
        job.did(f"Saved: {seen.after}.")

    return submit(Job("The schedule", page_of(server_id)), work)


@pages.get("/servers/<server_id>/disable")
def ask_disable(server_id: str) -> ResponseReturnValue:
    """Ask whether to switch off a schedule that is not the one that was shown."""
    try:
        seen = _preview(server_id, None)
    except NothingToDo:
        return redirect(page_of(server_id))
    conflict = _made_from() not in (None, seen.before)
    page = render_template(
        "disable.html",
        seen=seen,
        conflict=conflict,
        made_from=_made_from(),
        server_id=server_id,
        label=place().label(server_id),
    )
    return page, 409 if conflict else 200


@pages.post("/servers/<server_id>/disable")
def disable(server_id: str) -> ResponseReturnValue:
    """Remove the schedule, if it is the one that was shown."""
    here = place()
    try:
        seen = _preview(server_id, None)
    except NothingToDo:
        say("news", "The schedule was already off.")
        return redirect(page_of(server_id), 303)
    if _made_from() != seen.before:
        url = url_for("server.ask_disable", server_id=server_id, before=_made_from())
        return redirect(url, 303)

    def work(job: Job) -> None:
        with here.changing(server_id):
            apply(here.cloud, server_id, None)
        job.did("The schedule is off. The images stay.")

    return submit(Job("The schedule", page_of(server_id)), work)


def _preview(server_id: str, change: ScheduleSettings | None) -> Preview:
    here = place()
    return within(PATIENCE, lambda: preview(here.cloud, server_id, change))


# -- snapshots


@pages.post("/servers/<server_id>/snapshot")
def snapshot(server_id: str) -> ResponseReturnValue:
    """Take a snapshot now."""
    try:
        name = read_name(request.form)
    except InvalidValue as error:
        say("failed", str(error))
        typed = request.form.get("name", "")
        url = url_for("server.shown", server_id=server_id, name=typed or None)
        return redirect(url, 303)
    here = place()

    def work(job: Job) -> None:
        with here.changing(server_id):
            image_id = begin_snapshot(here.cloud, server_id, name)
            here.note_snapshot(server_id, SnapshotImage(image_id, name))
        job.did()
        # Started is not done.
        job.news.append(f"The snapshot {name} has started.")

    return submit(Job("The snapshot", page_of(server_id)), work)
