"""The page that restores a server: the choice, the plan, and the restore itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.console.restore import plan_data, rows_of, with_labels
from rax_scheduled_images_ext.errors import InvalidValue, NoSuchServer, UsageError
from rax_scheduled_images_ext.model.restore import (
    RestorePlan,
    candidates,
    described_flavor,
    requirements,
)
from rax_scheduled_images_ext.model.schedule_tags import is_own_tag
from rax_scheduled_images_ext.model.server import facts_of
from rax_scheduled_images_ext.operations.restore import (
    TIME_LIMIT,
    Restoration,
    Restored,
    plan_restore,
)
from rax_scheduled_images_ext.operations.server import (
    ServerDetails,
    read_server_details,
)
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)
from rax_scheduled_images_ext.panel.forms import RESTORE_FIELDS, read_restore
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.pages.common import (
    PATIENCE,
    page_of,
    place,
    project_pages,
    say,
    submit,
)
from rax_scheduled_images_ext.panel.places import Place
from rax_scheduled_images_ext.panel.words import described, moment, with_moments
from rax_scheduled_images_ext.text import digest_of

pages = project_pages("restore")
# Stands for an ID in a URL that is needed before the ID is known.
_LATER = "later"
# What the page calls the options of the command.
_TERMS = {
    "--as NAME": "As a new server",
    "--in-place": "In place",
    "--image": "Image",
    "--flavor": "Flavor",
    "--schedule": "With the same schedule",
    "--lose-ephemeral": "Lose its ephemeral and swap disks",
    "--no-safety-image": "Make no safety image",
}
_in_terms = partial(with_labels, labels=_TERMS)


@pages.get("/servers/<server_id>/restore")
def ask(server_id: str) -> ResponseReturnValue:
    """Show the images to restore from; with a choice also the plan, and ask."""
    here = place()
    details = within(
        PATIENCE, lambda: read_server_details(here.cloud, server_id, space=True)
    )
    plan, problem, status = None, "", 200
    if "how" in request.args:
        try:
            plan = _plan(here, server_id)
        except NoSuchServer:
            raise
        except (InvalidValue, UsageError) as error:
            status = 400 if isinstance(error, InvalidValue) else 409
            problem = _in_terms(str(error))
    known, name = here.label(server_id), details.server.name
    page = render_template(
        "restore.html",
        details=details,
        server_id=server_id,
        label=name if name and known == server_id else known,
        typed=request.args,
        proofs=details.proofs,
        problem=problem,
        plan=plan,
        rows=_rows(plan) if plan else {},
        old=_old(details) if details.gone else None,
        shown=_digest(plan) if plan else "",
        fields=_fields(request.args),
    )
    return page, status


@pages.post("/servers/<server_id>/restore")
def restore(server_id: str) -> ResponseReturnValue:
    """Restore the server, if the plan is as shown."""
    here = place()
    again = url_for("restore.ask", server_id=server_id, **_fields(request.form))
    try:
        plan = _plan(here, server_id)
    except UsageError:
        return redirect(again, 303)
    if request.form.get("shown") != _digest(plan):
        say("failed", "The plan has changed since it was shown. Nothing was done.")
        return redirect(again, 303)
    made = page_of(_LATER)
    undo = url_for(
        "restore.ask", server_id=plan.server.id, how="in-place", image=_LATER
    )

    def work(job: Job) -> None:
        limits = Timeouts(total=TIME_LIMIT)
        restoration = Restoration(
            here.cloud, plan, Poller(limits=limits, listener=_Progress(job))
        )
        try:
            with here.changing(server_id):
                done = restoration.run(wait=True)
            _say_done(job, done)
        finally:
            safety = restoration.safety
            if plan.in_place and not restoration.requested:
                job.news.append(f"The disk of {plan.server.name} was not changed.")
            if safety is not None:
                job.news.append(f"The safety image {safety.id} is kept.")
                if restoration.requested:
                    job.undo = undo.replace(_LATER, safety.id)
            if restoration.server_id is not None:
                job.then = made.replace(_LATER, restoration.server_id)
            job.now = ""

    name = plan.server.name if plan.in_place else plan.options.new_name
    job = Job(f"Restore {plan.server.name} as {name}", page_of(server_id))
    if plan.in_place:
        job.title = f"Restore {name} in place"
    return submit(job, work, show=True)


class _Progress(Listener):
    """Records the progress of a restore on its job."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def note(self, text: str) -> None:
        self._job.log.append(_in_terms(text))

    def progress(self, text: str) -> None:
        self._job.now = text


def _say_done(job: Job, done: Restored) -> None:
    plan, job.password = done.plan, done.password
    name = plan.server.name if plan.in_place else plan.options.new_name
    image = plan.image.name or plan.image.id
    if not done.changed:
        job.log.append("An earlier restore had already started it.")
    job.did(f"{name} is {done.status}, restored from {image}.")


def _plan(here: Place, server_id: str) -> RestorePlan:
    options = read_restore(request.values)
    return within(PATIENCE, lambda: plan_restore(here.cloud, server_id, options))


def _rows(plan: RestorePlan) -> dict[str, list[str]]:
    """Return what the page shows of a plan: the lines of each title."""
    shown = {
        **plan_data(plan),
        "image_created": moment(plan.image.created),
        "tags": [tag for tag in plan.tags if not is_own_tag(tag)],
        "schedule": described(plan.schedule) if plan.schedule else None,
    }
    rows: dict[str, list[str]] = {}
    for title, line in rows_of(shown):
        rows.setdefault(title or list(rows)[-1], []).append(_in_terms(str(line)))
    return {title: list(map(with_moments, lines)) for title, lines in rows.items()}


@dataclass(frozen=True)
class _Old:
    """What the page says of the flavor of a server that is gone.

    ``flavor`` is None if it is not known; ``needed`` is what an image requires then.
    """

    flavor: str | None
    needed: str


def _old(details: ServerDetails) -> _Old:
    images = [each.image for each in details.images]
    server = details.server
    found = candidates(images, server.id, server.project_id) or images
    facts = facts_of(found[0])
    flavor = described_flavor(facts) if facts else None
    return _Old(flavor, requirements(found[0]))


def _digest(plan: RestorePlan) -> str:
    """Return a digest of what the page shows of a plan."""
    return digest_of([json.dumps(plan_data(plan))])


def _fields(form: Any) -> dict[str, Any]:
    return {key: form[key] for key in RESTORE_FIELDS if form.get(key)}
