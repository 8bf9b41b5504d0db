"""What the pages of a project share: their URLs, errors and changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any, TypeVar

from flask import (
    Blueprint,
    current_app,
    g,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.console.formats import Column, as_csv
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.operations.space import snapshot_sizes
from rax_scheduled_images_ext.operations.targets import Target
from rax_scheduled_images_ext.operations.work_queue import Outcome
from rax_scheduled_images_ext.panel.addresses import form_address, this_address
from rax_scheduled_images_ext.panel.jobs import Job, within
from rax_scheduled_images_ext.panel.places import Place
from rax_scheduled_images_ext.panel.sessions import Problem, Visitor
from rax_scheduled_images_ext.text import printable

Result = TypeVar("Result")

#: So many rows a page has.
PAGE = 100
#: Seconds that reading the cloud for a page may take.
PATIENCE = 20.0
# Seconds that a page waits for a change before it shows its progress.
_CHANGE = 10.0


def project_pages(name: str) -> Blueprint:
    """Return a blueprint of pages under ``/p/PROJECT/REGION``."""
    pages = Blueprint(name, name, url_prefix="/p/<project_id>/<region>")
    pages.url_value_preprocessor(_note_place)
    pages.before_request(_find_place)
    pages.app_url_defaults(_add_place)
    return pages


def place() -> Place:
    """Return the project and region of the request."""
    found: Place = g.place
    return found


def _note_place(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    values = {} if values is None else values
    g.project_id, g.region = values.pop("project_id"), values.pop("region")


def _add_place(endpoint: str, values: dict[str, Any]) -> None:
    wanted = current_app.url_map.is_endpoint_expecting(endpoint, "project_id")
    if wanted and g.get("place") is not None:
        values.setdefault("project_id", g.place.scope.project.id)
        values.setdefault("region", g.place.region)


def _find_place() -> ResponseReturnValue | None:
    """Find the project and region in the URL, if they are the visitor's."""
    visitor: Visitor = g.visitor
    if visitor.scope is None:
        back = this_address() if request.method == "GET" else form_address()
        return redirect(url_for("entry.choose", next=back), 303)
    if visitor.scope.project.id != g.project_id:
        if request.method != "GET":
            return redirect(form_address() or url_for("entry.home"), 303)
        page = render_template(
            "other_project.html", project_id=g.project_id, next=this_address()
        )
        return page, 403
    g.place = visitor.place(g.region, current_app.extensions["readings"])
    if g.place is None:
        regions = ", ".join(visitor.scope.regions)
        text = f"There is no region '{g.region}' in this project: {regions}."
        return page_for_error(404, "No such region", text)
    return None


def page_of(server_id: str) -> str:
    """Return the URL of a server's page."""
    return url_for("server.shown", server_id=server_id)


def target_of(server_id: str) -> Target:
    """Return a server as the operations expect it."""
    return Target(server_id, server_id)


def only(outcomes: list[Outcome[Target, Result]]) -> Result:
    """Return the result of an operation on one server, or raise its error."""
    (outcome,) = outcomes
    return outcome.result()


def sizes_of(images: Iterable[ServerImage]) -> Sizes:
    """Return the sizes of the volume snapshots that images name."""
    here = place()
    return within(PATIENCE, lambda: snapshot_sizes(here.cloud, images))


def as_csv_file(
    name: str, columns: Sequence[Column[Result]], rows: Iterable[Result]
) -> ResponseReturnValue:
    """Return a table as a file, as the commands print it with ``--format csv``."""
    file = f"{name}-{place().scope.project.name}-{place().region}.csv"
    return send_file(
        BytesIO(f"{as_csv(columns, rows)}\n".encode()),
        mimetype="text/csv",
        as_attachment=True,
        download_name=printable(file),
    )


def asked_page() -> int:
    """Return the number of the page of rows that the request is for."""
    return request.args.get("page", 1, type=int)


def page_of_rows(
    rows: Sequence[Result], page: int
) -> tuple[Sequence[Result], int, int]:
    """Return the rows of a page, its number and the last.

    A number that is too large means the last page.
    """
    pages = max(1, -(-len(rows) // PAGE))
    page = min(max(1, page), pages)
    return rows[(page - 1) * PAGE : page * PAGE], page, pages


class SignedOut(Exception):
    """The cloud no longer accepts the visitor's token."""


def check_token() -> None:
    """Check that the cloud still accepts the visitor's token.

    :raises SignedOut: if it does not.
    """
    if place().expired.is_set():
        raise SignedOut


def page_for_error(status: int, title: str, text: str) -> ResponseReturnValue:
    """Return an error page.

    After a form it has its own URL, so that Back and Forward send no form again.
    """
    here = g.get("place")
    back = url_for("servers.listed") if here else url_for("entry.home")
    problem = Problem(status, title, text, back)
    visitor: Visitor | None = g.get("visitor")
    if request.method == "GET" or visitor is None:
        return page_of_problem(problem)
    number = visitor.keep_problem(problem)
    return redirect(url_for("entry.problem", number=number), 303)


def page_of_problem(problem: Problem) -> ResponseReturnValue:
    """Return the page about a problem."""
    return render_template("error.html", problem=problem), problem.status


def say(kind: str, text: str) -> None:
    """Say something at the top of the next page that the visitor sees."""
    visitor: Visitor = g.visitor
    visitor.say(kind, text)


def submit(
    job: Job,
    work: Callable[[Job], object],
    *,
    show: bool = False,
    repeatable: bool = False,
) -> ResponseReturnValue:
    """Do what a form requests, once, and continue to the page that shows it.

    :param show: always go to the page with the progress.
    :param repeatable: do it as often as the form is sent: it changes nothing.
    """
    visitor: Visitor = g.visitor
    fields = [("job", job.id)] if repeatable else _fields()
    form = [request.path, *(f"{k}={v}" for k, v in fields)]
    job, again = visitor.start(form, job, work)
    if show or not job.wait(_CHANGE):
        return redirect(url_for("jobs.shown", job_id=job.id), 303)
    visitor.announce(job, again=again)
    return redirect(job.then, 303)


def _fields() -> list[tuple[str, str]]:
    fields = request.form.items(multi=True)
    return sorted((k, v) for k, v in fields if k != "csrf_token")
