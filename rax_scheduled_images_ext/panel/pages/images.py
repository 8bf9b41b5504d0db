"""The actions on the images of a server: protect, unprotect, delete, prune."""

from __future__ import annotations

from collections.abc import Callable

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import (
    NoSuchImage,
    SnapshotsInDoubt,
    SnapshotsLeft,
)
from rax_scheduled_images_ext.model.image import ServerImage, removed_marker
from rax_scheduled_images_ext.model.retention import (
    Decision,
    reason,
    retention_status,
)
from rax_scheduled_images_ext.model.volume_snapshots import (
    named_snapshots,
)
from rax_scheduled_images_ext.operations.delete import delete_image_of
from rax_scheduled_images_ext.operations.protect import protect, unprotect
from rax_scheduled_images_ext.operations.prune import PrunePlan, plan_prune, prune
from rax_scheduled_images_ext.operations.server import (
    ServerDetails,
    read_server_details,
)
from rax_scheduled_images_ext.panel.fate import Fate, fate_without_protection
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.pages.common import (
    PATIENCE,
    only,
    page_for_error,
    page_of,
    place,
    project_pages,
    say,
    submit,
    target_of,
)
from rax_scheduled_images_ext.panel.places import Place
from rax_scheduled_images_ext.panel.review import digest_of

pages = project_pages("images")


@pages.post("/servers/<server_id>/images/<image_id>/protect")
def protect_one(server_id: str, image_id: str) -> ResponseReturnValue:
    """Keep an image for good."""
    done = "is protected: no schedule deletes it."
    return _change(server_id, image_id, protect, "Protect the image", done)


def _change(
    server_id: str,
    image_id: str,
    change: Callable[[Cloud, str], ServerImage],
    title: str,
    done: str,
) -> ResponseReturnValue:
    """Change an image in a job; ``done`` follows its name in the result."""
    here = place()

    def work(job: Job) -> None:
        with here.changing(server_id):
            image = change(here.cloud, image_id)
        job.did(f"{image.name} {done}")

    return submit(Job(title, page_of(server_id)), work)


@pages.get("/servers/<server_id>/images/<image_id>/unprotect")
def ask_unprotect(server_id: str, image_id: str) -> ResponseReturnValue:
    """Show what happens to an image that the schedule counts again, and ask."""
    details, fate = _without_protection(server_id, image_id)
    return render_template(
        "unprotect.html",
        server_id=server_id,
        label=place().label(server_id),
        details=details,
        fate=fate,
        reason=reason,
    )


@pages.post("/servers/<server_id>/images/<image_id>/unprotect")
def unprotect_one(server_id: str, image_id: str) -> ResponseReturnValue:
    """Hand an image back to its schedule, if its fate is as shown."""
    _, fate = _without_protection(server_id, image_id)
    if request.form.get("shown") != fate.digest:
        return _ask_again("images.ask_unprotect", server_id, image_id)
    done = "is no longer protected."
    return _change(server_id, image_id, unprotect, "Unprotect the image", done)


@pages.get("/servers/<server_id>/images/<image_id>/delete")
def ask_delete(server_id: str, image_id: str) -> ResponseReturnValue:
    """Ask whether to delete an image."""
    found = _image(_details(server_id), image_id)
    problem, snapshots = "", []
    try:
        snapshots = named_snapshots(found.image)
    except SnapshotsInDoubt as error:
        problem = str(error)
    return render_template(
        "delete.html",
        server_id=server_id,
        label=place().label(server_id),
        image=found.image,
        snapshots=snapshots,
        problem=problem,
        status=retention_status(found),
        shown=_shown(found),
    )


@pages.post("/servers/<server_id>/images/<image_id>/delete")
def delete(server_id: str, image_id: str) -> ResponseReturnValue:
    """Delete an image, if it is as shown."""
    here = place()
    found = _image(_details(server_id), image_id)
    if request.form.get("shown") != _shown(found):
        return _ask_again("images.ask_delete", server_id, image_id)

    def work(job: Job) -> None:
        with here.changing(server_id):
            try:
                name = delete_image_of(here.cloud, server_id, image_id).name
            except SnapshotsLeft as error:
                name = found.image.name
                job.fail(name, error)
        job.did(f"{name} is deleted.")

    return submit(Job("Delete the image", page_of(server_id)), work)


def _shown(decision: Decision) -> str:
    """Return a digest of what the page shows about an image."""
    image = decision.image
    kept = removed_marker(image) or ""
    return digest_of([image.id, image.name, kept, str(bool(image.protected))])


def _details(server_id: str) -> ServerDetails:
    here = place()
    return within(PATIENCE, lambda: read_server_details(here.cloud, server_id))


def _image(details: ServerDetails, image_id: str) -> Decision:
    """Return an image of a server.

    :raises NoSuchImage: if it is not one of its images.
    """
    for each in details.images:
        if each.image.id == image_id:
            return each
    raise NoSuchImage(image_id)


def _without_protection(server_id: str, image_id: str) -> tuple[ServerDetails, Fate]:
    details = _details(server_id)
    return details, fate_without_protection(details, _image(details, image_id).image)


@pages.errorhandler(NoSuchImage)
def _no_image(error: NoSuchImage) -> ResponseReturnValue:
    text = f"This server has no image {error.image_id}; it may have been deleted."
    return page_for_error(404, "No such image", text)


def _ask_again(endpoint: str, server_id: str, image_id: str) -> ResponseReturnValue:
    say("failed", "This has changed since it was shown. Nothing was done.")
    url = url_for(endpoint, server_id=server_id, image_id=image_id)
    return redirect(url, 303)


@pages.get("/servers/<server_id>/prune")
def ask_prune(server_id: str) -> ResponseReturnValue:
    """Show what pruning would delete, and ask."""
    here = place()
    plan = within(PATIENCE, lambda: _plan(here, server_id))
    return render_template(
        "prune.html",
        server_id=server_id,
        label=here.label(server_id),
        images=plan.images(),
    )


@pages.post("/servers/<server_id>/prune")
def prune_now(server_id: str) -> ResponseReturnValue:
    """Delete the images that were shown and are still surplus."""
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
