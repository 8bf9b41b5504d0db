"""What can be done with the images of a server: protect, unprotect, delete, prune."""

from __future__ import annotations

from collections.abc import Callable

from flask import render_template, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.operations.images import delete_image
from rax_scheduled_images_ext.operations.prune import PrunePlan, plan_prune, prune
from rax_scheduled_images_ext.operations.retention import protect, unprotect
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.pages.common import (
    PATIENCE,
    only,
    page_for_error,
    page_of,
    place,
    project_pages,
    submit,
    target_of,
)
from rax_scheduled_images_ext.panel.places import Place

pages = project_pages("images")


@pages.post("/servers/<server_id>/images/<image_id>/protect")
def protect_one(server_id: str, image_id: str) -> ResponseReturnValue:
    """Keep an image for good."""
    done = "is protected: no schedule deletes it."
    return _change(server_id, image_id, protect, "Protect the image", done)


@pages.post("/servers/<server_id>/images/<image_id>/unprotect")
def unprotect_one(server_id: str, image_id: str) -> ResponseReturnValue:
    """Hand an image back to its schedule."""
    done = "is the schedule's again."
    return _change(server_id, image_id, unprotect, "Unprotect the image", done)


def _change(
    server_id: str,
    image_id: str,
    change: Callable[[Cloud, str], ServerImage],
    title: str,
    done: str,
) -> ResponseReturnValue:
    """Change an image by a job; ``done`` is what follows its name afterwards."""
    here = place()

    def work(job: Job) -> None:
        with here.changing(server_id):
            image = change(here.cloud, image_id)
        job.did(f"{image.name} {done}")

    return submit(Job(title, page_of(server_id)), work)


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
        with here.changing(server_id):
            image = delete_image(here.cloud, server_id, image_id)
        job.did(f"{image.name} is deleted.")

    return submit(Job("Delete the image", page_of(server_id)), work)


@pages.get("/servers/<server_id>/prune")
def ask_prune(server_id: str) -> ResponseReturnValue:
    """Show what pruning would delete, and ask whether to."""
    here = place()
    plan = within(PATIENCE, lambda: _plan(here, server_id))
    return render_template("prune.html", server_id=server_id, images=plan.images())


@pages.post("/servers/<server_id>/prune")
def prune_now(server_id: str) -> ResponseReturnValue:
    """Delete the images that were shown, as far as that is still right."""
    here = place()
    wanted = set(request.form.getlist("image"))
    job = Job("Prune the images", page_of(server_id), len(wanted))

    def work(job: Job) -> None:
        plan = _plan(here, server_id)
        kept = [each for each in plan.decisions if each.image.id in wanted]
        with here.changing(server_id):
            done = prune(here.cloud, [PrunePlan(server_id, kept)])
        deleted = sum(each.action == "deleted" for each in done)
        images = "1 image was" if deleted == 1 else f"{deleted} images were"
        job.done = deleted
        (job.notes if deleted else job.news).append(f"{images} deleted.")
        for each in done:
            if each.action == "skipped":
                job.news.append(f"{each.image.name} stays: {each.reason}.")
            elif each.error is not None:
                job.fail(each.image.name, each.error)

    return submit(job, work)


def _plan(here: Place, server_id: str) -> PrunePlan:
    return only(plan_prune(here.cloud, target_of(server_id)))
