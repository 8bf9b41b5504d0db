"""The page of one server: its schedule, its images and its snapshots."""

from __future__ import annotations

from typing import TypeVar

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.client.errors import NoSuchServer
from rax_scheduled_images_ext.model.errors import InvalidValue
from rax_scheduled_images_ext.model.retention import reason, retention_status
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.operations import schedules
from rax_scheduled_images_ext.operations.images import delete_image
from rax_scheduled_images_ext.operations.prune import PrunePlan, plan_prune, prune
from rax_scheduled_images_ext.operations.retention import (
    Forecast,
    forecast,
    protect,
    unprotect,
)
from rax_scheduled_images_ext.operations.snapshot.begin import begin_snapshot
from rax_scheduled_images_ext.operations.targets import Target
from rax_scheduled_images_ext.operations.work_queue import Outcome
from rax_scheduled_images_ext.panel.forms import read_name, read_schedule
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.pages.common import (
    check_token,
    page_for_error,
    place,
    project_pages,
    submit,
)
from rax_scheduled_images_ext.panel.places import Place
from rax_scheduled_images_ext.panel.timeline import kind_of, timeline
from rax_scheduled_images_ext.panel.words import described, in_words

pages = project_pages("server")
Result = TypeVar("Result")
# Seconds that a look at the cloud may take.
_PATIENCE = 20.0


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


def _page(server_id: str) -> str:
    return url_for("server.shown", server_id=server_id)


def _target(server_id: str) -> Target:
    return Target(server_id, server_id)


def _only(outcomes: list[Outcome[Target, Result]]) -> Result:
    (outcome,) = outcomes
    return outcome.result()


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
        try:
            result = schedules.enable(
                here.cloud, Target(server_id, server_id), schedule
            )
            result[0].result()
        finally:
            here.changed(server_id)
        job.notes.append(f"Saved: {described(schedule)}.")

    return submit(Job("The schedule", _page(server_id)), work)


@pages.post("/servers/<server_id>/disable")
def disable(server_id: str) -> ResponseReturnValue:
    """Take the schedule away."""
    here = place()

    def work(job: Job) -> None:
        try:
            for outcome in schedules.disable(here.cloud, _target(server_id)):
                outcome.result()
        finally:
            here.changed(server_id)
        job.notes.append("The schedule is off. The images stay.")

    return submit(Job("The schedule", _page(server_id)), work)


def _forecast(server_id: str, schedule: ImageSchedule) -> Forecast:
    here = place()

    def look() -> Forecast:
        return _only(forecast(here.cloud, _target(server_id), schedule))

    return within(_PATIENCE, look)


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


# -- images


@pages.post("/servers/<server_id>/images/<image_id>/protect")
def protect_image(server_id: str, image_id: str) -> ResponseReturnValue:
    """Keep an image for good."""
    here = place()

    def work(job: Job) -> None:
        try:
            image = protect(here.cloud, image_id)
        finally:
            here.changed(server_id)
        job.notes.append(f"{image.name} is protected: no schedule deletes it.")

    return submit(Job("Protect the image", _page(server_id)), work)


@pages.post("/servers/<server_id>/images/<image_id>/unprotect")
def unprotect_image(server_id: str, image_id: str) -> ResponseReturnValue:
    """Hand an image back to its schedule."""
    here = place()

    def work(job: Job) -> None:
        try:
            image = unprotect(here.cloud, image_id)
        finally:
            here.changed(server_id)
        job.notes.append(f"{image.name} is the schedule's again.")

    return submit(Job("Unprotect the image", _page(server_id)), work)


@pages.get("/servers/<server_id>/images/<image_id>/delete")
def ask_delete(server_id: str, image_id: str) -> ResponseReturnValue:
    """Ask whether to delete an image."""
    view = place().server(server_id)
    images = view.value.details.images if view.value else []
    found = next((each for each in images if each.image.id == image_id), None)
    if found is None:
        text = f"No image {image_id} of this server is known; it may be gone already."
        return page_for_error(404, "No such image", text)
    return render_template("delete.html", server_id=server_id, image=found.image)


@pages.post("/servers/<server_id>/images/<image_id>/delete")
def delete(server_id: str, image_id: str) -> ResponseReturnValue:
    """Delete an image."""
    here = place()

    def work(job: Job) -> None:
        try:
            image = delete_image(here.cloud, server_id, image_id)
        finally:
            here.changed(server_id)
        job.notes.append(f"{image.name} is deleted.")

    return submit(Job("Delete the image", _page(server_id)), work)


# -- pruning


@pages.get("/servers/<server_id>/prune")
def ask_prune(server_id: str) -> ResponseReturnValue:
    """Show what pruning would delete, and ask whether to."""
    here = place()
    plan = within(_PATIENCE, lambda: _plan(here, server_id))
    return render_template("prune.html", server_id=server_id, images=plan.images())


@pages.post("/servers/<server_id>/prune")
def prune_now(server_id: str) -> ResponseReturnValue:
    """Delete the images that were shown, as far as that is still right."""
    here = place()
    wanted = set(request.form.getlist("image"))
    job = Job("Prune the images", _page(server_id), len(wanted))

    def work(job: Job) -> None:
        plan = _plan(here, server_id)
        kept = [each for each in plan.decisions if each.image.id in wanted]
        try:
            done = prune(here.cloud, [PrunePlan(server_id, kept)])
        finally:
            here.changed(server_id)
        deleted = sum(each.action == "deleted" for each in done)
        images = "1 image was" if deleted == 1 else f"{deleted} images were"
        job.notes.append(f"{images} deleted.")
        for each in done:
            if each.action == "skipped":
                job.notes.append(f"{each.image.name} stays: {each.reason}.")
            elif each.error is not None:
                job.fail(each.image.name, each.error)

    return submit(job, work)


def _plan(here: Place, server_id: str) -> PrunePlan:
    return _only(plan_prune(here.cloud, _target(server_id)))


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
        try:
            begin_snapshot(here.cloud, server_id, name)
        finally:
            here.changed(server_id)
        job.notes.append(f"The snapshot {name} has begun.")

    return submit(Job("The snapshot", _page(server_id)), work)
