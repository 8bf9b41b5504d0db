"""The actions on the images of a server: protect, unprotect, delete, prune."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.console.images import decision_columns
from rax_scheduled_images_ext.console.prune import pruned_columns
from rax_scheduled_images_ext.errors import (
    NoSuchImage,
    SnapshotsInDoubt,
    SnapshotsLeft,
)
from rax_scheduled_images_ext.model.image import removed_marker
from rax_scheduled_images_ext.model.retention import (
    Decision,
    reason,
    retention_status,
)
from rax_scheduled_images_ext.model.volume_snapshots import (
    named_snapshots,
)
from rax_scheduled_images_ext.operations.delete import delete_image_of
from rax_scheduled_images_ext.operations.gone import check_was_here, read_gone
from rax_scheduled_images_ext.operations.protect import protect_images, unprotect
from rax_scheduled_images_ext.operations.prune import PrunePlan, plan_prune, prune
from rax_scheduled_images_ext.operations.server import (
    ServerDetails,
    read_server_details,
)
from rax_scheduled_images_ext.panel.fate import Fate, fate_without_protection
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.pages.common import (
    PATIENCE,
    as_csv_file,
    only,
    page_for_error,
    page_of,
    place,
    project_pages,
    say,
    sizes_of,
    submit,
    target_of,
)
from rax_scheduled_images_ext.panel.places import Place
from rax_scheduled_images_ext.text import digest_of

pages = project_pages("images")


@pages.post("/servers/<server_id>/images/protect")
def protect_some(server_id: str) -> ResponseReturnValue:
    """Keep images for good."""
    ids = request.form.getlist("image")
    if not ids:
        return _none_chosen(server_id)
    here = place()
    job = Job(f"Protect {_images(len(ids))}", page_of(server_id), len(ids))

    def work(job: Job) -> None:
        with here.changing(server_id):
            for done in protect_images(here.cloud, ids):
                if done.value is None:
                    job.fail(done.item, done.error or NoSuchImage(done.item))
                else:
                    name = done.value.name or done.item
                    job.did(f"{name} is protected: no schedule deletes it.")

    return submit(job, work)


@pages.get("/servers/<server_id>/images/<image_id>/unprotect")
def ask_unprotect(server_id: str, image_id: str) -> ResponseReturnValue:
    """Show what happens to an image that the schedule counts again, and ask."""
    details, fate = _without_protection(server_id, image_id)
    shown = [fate.decision, *fate.expiring]
    return render_template(
        "unprotect.html",
        server_id=server_id,
        label=place().label(server_id),
        details=details,
        fate=fate,
        sizes=sizes_of(each.image for each in shown),
        reason=reason,
    )


@pages.post("/servers/<server_id>/images/<image_id>/unprotect")
def unprotect_one(server_id: str, image_id: str) -> ResponseReturnValue:
    """Hand an image back to its schedule, if its fate is as shown."""
    _, fate = _without_protection(server_id, image_id)
    if request.form.get("shown") != fate.digest:
        return _ask_again("images.ask_unprotect", server_id, image_id=image_id)
    here = place()

    def work(job: Job) -> None:
        with here.changing(server_id):
            image = unprotect(here.cloud, image_id)
        job.did(f"{image.name} is no longer protected.")

    return submit(Job("Unprotect the image", page_of(server_id)), work)


@pages.post("/servers/<server_id>/images/choose")
def choose_deletion(server_id: str) -> ResponseReturnValue:
    """Continue to the question whether to delete the chosen images."""
    ids = request.form.getlist("image")
    if not ids:
        return _none_chosen(server_id)
    return redirect(url_for("images.ask_delete", server_id=server_id, image=ids), 303)


@pages.get("/servers/<server_id>/images/delete")
def ask_delete(server_id: str) -> ResponseReturnValue:
    """Ask whether to delete images."""
    found = _to_delete(server_id, request.args.getlist("image"))
    sizes = sizes_of(each.image for each in found)
    if _wants_csv():
        columns = decision_columns(sizes, data=True)
        return as_csv_file(f"delete-{place().label(server_id)}", columns, found)
    problems, snapshots = {}, {}
    for each in found:
        try:
            if each.image.protected:
                problems[each.image.id] = "it is protected in the image service"
            else:
                snapshots[each.image.id] = named_snapshots(each.image)
        except SnapshotsInDoubt as error:
            problems[each.image.id] = f"its volume snapshots are unknown ({error})"
    going = [each for each in found if each.image.id not in problems]
    return render_template(
        "delete.html",
        server_id=server_id,
        label=place().label(server_id),
        images=found,
        going=going,
        sizes=sizes,
        taken=sizes.space(each.image for each in going),
        snapshots=[name for names in snapshots.values() for name in names],
        problems=problems,
        reason=retention_status,
        shown=_shown(going),
        csv=url_for(
            "images.ask_delete",
            server_id=server_id,
            image=[each.image.id for each in found],
            format="csv",
        ),
    )


@pages.post("/servers/<server_id>/images/delete")
def delete(server_id: str) -> ResponseReturnValue:
    """Delete images, if they are as shown."""
    here, ids = place(), request.form.getlist("image")
    found = _to_delete(server_id, ids)
    if request.form.get("shown") != _shown(found):
        return _ask_again("images.ask_delete", server_id, image=ids)
    job = Job(f"Delete {_images(len(found))}", page_of(server_id), len(found))

    def work(job: Job) -> None:
        with here.changing(server_id):
            for number, each in enumerate(found, 1):
                name = each.image.name or each.image.id
                try:
                    delete_image_of(here.cloud, server_id, each.image.id)
                    job.did(f"{name} is deleted.")
                except SnapshotsLeft as error:
                    job.did(f"{name} is deleted.")
                    job.fail(name, error)
                except Exception as error:
                    job.fail(name, error)
                job.progress(number, len(found))

    return submit(job, work)


def _wants_csv() -> bool:
    return request.args.get("format") == "csv"


def _none_chosen(server_id: str) -> ResponseReturnValue:
    say("failed", "No image is chosen. Nothing was done.")
    return redirect(page_of(server_id), 303)


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number} images"


def _shown(decisions: list[Decision]) -> str:
    """Return a digest of what the page shows about images."""
    images = [each.image for each in decisions]
    return digest_of(
        text
        for image in images
        for text in (
            image.id,
            image.name,
            removed_marker(image) or "",
            str(bool(image.protected)),
        )
    )


def _details(server_id: str) -> ServerDetails:
    here = place()
    return within(PATIENCE, lambda: read_server_details(here.cloud, server_id))


def _chosen(details: ServerDetails, ids: list[str]) -> list[Decision]:
    """Return images of a server.

    :raises NoSuchImage: if one is not one of its images.
    """
    known = {each.image.id: each for each in details.images}
    for image_id in ids or [""]:
        if image_id not in known:
            raise NoSuchImage(image_id)
    return [known[image_id] for image_id in dict.fromkeys(ids)]


def _to_delete(server_id: str, ids: list[str]) -> list[Decision]:
    """Return images of a server that may be deleted.

    :raises NotGone: if the server is not there, and may be in another region.
    """
    details, here = _details(server_id), place()
    if details.gone:
        left = within(PATIENCE, lambda: read_gone(here.cloud, server_id))
        if left is not None:
            check_was_here(left)
    return _chosen(details, ids)


def _without_protection(server_id: str, image_id: str) -> tuple[ServerDetails, Fate]:
    details = _details(server_id)
    return details, fate_without_protection(
        details, _chosen(details, [image_id])[0].image
    )


@pages.errorhandler(NoSuchImage)
def _no_image(error: NoSuchImage) -> ResponseReturnValue:
    text = f"This server has no image {error.image_id}; it may have been deleted."
    return page_for_error(404, "No such image", text)


def _ask_again(endpoint: str, server_id: str, **shown: Any) -> ResponseReturnValue:
    say("failed", "This has changed since it was shown. Nothing was done.")
    return redirect(url_for(endpoint, server_id=server_id, **shown), 303)


@pages.get("/servers/<server_id>/prune")
def ask_prune(server_id: str) -> ResponseReturnValue:
    """Show what pruning would delete, and ask."""
    here, gone = place(), "gone" in request.args
    plan = within(PATIENCE, lambda: _plan(here, server_id, gone=gone))
    images = plan.images()
    sizes = sizes_of(each.image for each in images)
    if _wants_csv():
        label = here.label(server_id)
        columns = pruned_columns({server_id: label}, sizes)
        return as_csv_file(f"prune-{label}", columns, images)
    return render_template(
        "prune.html",
        server_id=server_id,
        gone=gone,
        back=url_for("gone.listed") if gone else page_of(server_id),
        label=here.label(server_id),
        images=images,
        sizes=sizes,
        taken=sizes.space(each.image for each in images if each.action == "delete"),
    )


@pages.post("/servers/<server_id>/prune")
def prune_now(server_id: str) -> ResponseReturnValue:
    """Delete the images that were shown and are still surplus."""
    here, gone = place(), "gone" in request.form
    wanted = set(request.form.getlist("image"))
    then = url_for("gone.listed") if gone else page_of(server_id)
    job = Job("Prune the images", then, len(wanted))

    def work(job: Job) -> None:
        plan = _plan(here, server_id, gone=gone)
        kept = [each for each in plan.decisions if each.image.id in wanted]
        with here.changing(server_id):
            done = prune(here.cloud, [PrunePlan(server_id, kept)])
        deleted = sum(each.action == "deleted" for each in done)
        images = "1 image was" if deleted == 1 else f"{deleted} images were"
        job.done = deleted
        (job.notes if deleted else job.news).append(f"{images} deleted.")
        left = len(wanted - {each.image.id for each in kept})
        if left:
            shown = _images(left) + (" that was" if left == 1 else " that were")
            job.news.append(
                f"{shown} shown {'stays' if left == 1 else 'stay'}, or"
                f" {'was' if left == 1 else 'were'} gone already: the plan has changed"
                " since."
            )
        for each in done:
            if each.action == "skipped":
                job.news.append(f"{each.image.name} stays: {each.reason}.")
            elif each.error is not None:
                job.fail(each.image.name, each.error)

    return submit(job, work)


def _plan(here: Place, server_id: str, *, gone: bool) -> PrunePlan:
    """Plan for a server; for one that is to be gone, all its scheduled images."""
    servers = server_id if gone else target_of(server_id)
    return only(plan_prune(here.cloud, servers, gone=gone))
