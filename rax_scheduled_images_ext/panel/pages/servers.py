"""The servers page: all servers of a project, late ones first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.formats import Column
from rax_scheduled_images_ext.console.images import image_columns
from rax_scheduled_images_ext.console.schedules import expected_line, quota_line
from rax_scheduled_images_ext.console.servers import columns, verified_columns
from rax_scheduled_images_ext.console.space import gib_column
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.freshness import ScheduleStatus, State
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.schedule import ScheduleSettings
from rax_scheduled_images_ext.model.times import LONG_AGO
from rax_scheduled_images_ext.operations.listing import Row
from rax_scheduled_images_ext.operations.space import quota_forecast, snapshot_sizes
from rax_scheduled_images_ext.operations.targets import Target, for_each
from rax_scheduled_images_ext.operations.work_queue import Outcome, Report
from rax_scheduled_images_ext.panel.fleet import FILTERS, Fleet
from rax_scheduled_images_ext.panel.forms import SCHEDULE_FIELDS, read_change
from rax_scheduled_images_ext.panel.jobs import Job
from rax_scheduled_images_ext.panel.labels import labels_of, short_label
from rax_scheduled_images_ext.panel.pages.common import (
    PAGE,
    as_csv_file,
    asked_page,
    check_token,
    page_for_error,
    page_of_rows,
    place,
    project_pages,
    say,
    submit,
)
from rax_scheduled_images_ext.panel.places import Place
from rax_scheduled_images_ext.panel.review import (
    NothingToDo,
    Preview,
    Review,
    Reviews,
    ServerRow,
    apply,
    preview,
)
from rax_scheduled_images_ext.panel.words import (
    named_words,
    overdue_since,
    schedule_words,
)

pages = project_pages("servers")

# So many images that a search has found are named.
_MOST_IMAGES = 10
_URGENCY = (
    State.LATE,
    State.VANISHED,
    State.UNPROTECTED,
    State.INVALID,
    State.UNKNOWN,
    State.NEVER,
    State.OK,
    State.OFF,
)
# Those that are filters by themselves.
_STATES = ("invalid", "unknown", "never", "ok", "off")
#: What servers can be sorted by, in words.
SORTS = {
    "status": "Status",
    "name": "Server",
    "schedule": "Schedule",
    "newest": "Newest image",
    "due": "Next image",
    "space": "Space",
}


def is_bad(status: ScheduleStatus) -> bool:
    """Whether a server lacks an image, or one that boots."""
    return status.stale or status.failed_proof


def _sort_key(sort: str) -> Callable[[ScheduleStatus], Any]:
    """Return by what servers are sorted; those that are equal, by name."""
    keys: dict[str, Callable[[ScheduleStatus], Any]] = {
        "name": lambda each: each.server.name.lower(),
        "schedule": lambda each: schedule_words(each.server.schedule),
        "newest": lambda each: (each.newest and each.newest.created) or LONG_AGO,
        "due": lambda each: overdue_since(each) or each.next_due or LONG_AGO,
        "space": lambda each: each.space.known if each.space else 0,
    }
    urgency = {state: number for number, state in enumerate(_URGENCY)}
    return keys.get(sort, lambda each: (not is_bad(each), urgency[each.state]))


@dataclass(frozen=True)
class Listing:
    """One page of the servers that match, and what else a search has found."""

    rows: Sequence[ScheduleStatus]
    found: int
    page: int
    pages: int
    images: list[ServerImage]


@dataclass(frozen=True)
class FoundImage:
    """An image that a search has found."""

    image: ServerImage


def _sorted(fleet: Fleet, name: str, status: str, sort: str) -> list[ScheduleStatus]:
    """Return the servers that match.

    :param name: as for :meth:`.Fleet.matching`, like ``status``.
    :param sort: one of ``SORTS``, with a minus to reverse it.
    """
    found = fleet.matching(name, status)
    found.sort(key=lambda each: (each.server.name.lower(), each.server.id))
    key = _sort_key(sort.removeprefix("-"))
    found.sort(key=key, reverse=sort.startswith("-"))
    return found


def _listing(fleet: Fleet, asked: dict[str, str], page: int) -> Listing:
    """Filter, sort and page the servers."""
    found = _sorted(fleet, **asked)
    rows, page, pages = page_of_rows(found, page)
    return Listing(rows, len(found), page, pages, fleet.images_found(asked["name"]))


@pages.get("/servers")
def listed() -> ResponseReturnValue:
    """Show the servers."""
    args = request.args
    asked = {
        "name": args.get("name", "").strip(),
        "status": args.get("status", ""),
        "sort": args.get("sort", "status"),
    }
    view = place().fleet()
    check_token()
    fleet = view.value
    if fleet is None:
        return render_template("waiting.html", view=view, what="the servers"), 503
    if args.get("format") == "csv":
        rows = [Row(place().region, each) for each in _sorted(fleet, **asked)]
        return as_csv_file("servers", [*columns(fleet.now), *_further(fleet)], rows)
    if args.get("format") == "images":
        images = map(FoundImage, fleet.images_found(asked["name"]))
        return as_csv_file("images", _found_columns(fleet), images)
    return render_template(
        "servers.html",
        view=view,
        fleet=fleet,
        listing=_listing(fleet, asked, asked_page()),
        asked=asked,
        sorts=SORTS,
        states=[*FILTERS, *_STATES],
        most_images=_MOST_IMAGES,
        labels=labels_of(each.server for each in fleet.servers),
        short_label=short_label,
        chosen=args.getlist("server"),
        typed=args,
        rights=place().rights,
        query=_unusual(asked),
    )


def _found_columns(fleet: Fleet) -> list[Column[FoundImage]]:
    """Return the columns of images that a search has found."""
    names = {each.server.id: each.server.name for each in fleet.servers}
    return [
        *image_columns(fleet.sizes),
        Column("status", "Status", lambda row: row.image.status),
        Column("server", "Server", lambda row: names.get(row.image.server_id)),
        Column("server_id", "Server ID", lambda row: row.image.server_id),
    ]


def _further(fleet: Fleet) -> list[Column[Row]]:
    """Return the columns that only a file has."""
    return [
        gib_column(lambda row: row.status.space),
        *verified_columns(fleet.now),
        Column("trouble", "Trouble", lambda row: _trouble(fleet, row)),
    ]


def _trouble(fleet: Fleet, row: Row) -> str | None:
    found = fleet.troubles.get(row.server.id)
    return found.text if found else None


# -- several at once


@pages.post("/servers")
def look() -> ResponseReturnValue:
    """Forecast a change of several servers, and continue to its review."""
    try:
        change = read_change(request.form)
    except InvalidValue as error:
        return _choose_again(str(error))
    ids = request.form.getlist("server")
    if request.form.get("all") == "yes":
        view = place().fleet()
        if view.value is None:
            return _choose_again("The servers cannot be read. Nothing was done.")
        name, status = (request.form.get(f"filter-{k}", "") for k in ("name", "status"))
        ids = [each.server.id for each in view.value.matching(name, status)]
    if not ids:
        return _choose_again("No server is chosen. Choose servers in the list.")
    return _look(change, _targets(ids), _filters(request.form))


def _choose_again(problem: str) -> ResponseReturnValue:
    """Return to the list with what was chosen and typed, and show the problem."""
    say("failed", problem)
    return redirect(_list_with(request.form), 303)


def _list_with(form: MultiDict[str, str]) -> str:
    """Return the URL of the list with what a form chooses and says."""
    kept = ("server", "action", "all", *SCHEDULE_FIELDS)
    fields: dict[str, Any] = {k: form.getlist(k) for k in kept if k in form}
    # No proxy takes an address of any length.
    fields["server"] = fields.get("server", [])[:PAGE]
    return url_for("servers.listed", **fields, **_filters(form))


def _filters(form: MultiDict[str, str]) -> dict[str, Any]:
    """Return what the list showed when a form was sent from it, and in which order."""
    sent = {key: form.get(f"filter-{key}", "") for key in ("name", "status", "sort")}
    return _unusual(sent)


def _unusual(asked: dict[str, str]) -> dict[str, Any]:
    """Return what an address of the list has to say."""
    return {k: v for k, v in asked.items() if v and (k, v) != ("sort", "status")}


def _look(
    change: ScheduleSettings | None, targets: list[Target], filters: dict[str, Any]
) -> ResponseReturnValue:
    here, found = place(), _reviews()
    review = Review(_owner(), change, targets, filters=filters)
    found.keep(review)
    then = url_for("servers.reviewed", review_id=review.id)
    number = "1 server" if len(targets) == 1 else f"{len(targets):,} servers"
    job = Job(f"Look at {number}", then, len(targets))
    review.job_id = job.id

    def work(job: Job) -> None:
        review.rows = list(map(ServerRow.of, _previews(here, change, targets, job)))
        review.quota = quota_forecast(here.cloud, review.outlooks)
        review.sizes = snapshot_sizes(here.cloud, review.expiring)
        job.done = len(review.rows)

    return submit(job, work, repeatable=True)


def _previews(
    here: Place, change: ScheduleSettings | None, targets: list[Target], job: Job
) -> list[Outcome[Target, Preview]]:
    def action(cloud: Cloud, server_id: str) -> Preview:
        return preview(cloud, server_id, change)

    return for_each(here.cloud, targets, action, Report(progress=job.progress))


def _reviews() -> Reviews:
    found: Reviews = current_app.extensions["reviews"]
    return found


def _owner() -> tuple[object, ...]:
    """Return who may see a review made here."""
    here = place()
    return (here.scope.project.id, here.region, here.scope.user_name)


@pages.get("/servers/review/<review_id>")
def reviewed(review_id: str) -> ResponseReturnValue:
    """Show what a change of several servers would do."""
    review = _reviews().find(review_id, _owner())
    if review is None:
        return _forgotten()
    if review.rows is None:
        return redirect(url_for("jobs.shown", job_id=review.job_id))
    # Servers that lose images come first.
    rows = sorted(
        review.included, key=lambda row: (-len(row.expiring), row.target.label)
    )
    left_out = sorted(review.left_out, key=lambda row: row.idle)
    if request.args.get("format") == "csv":
        return as_csv_file("review", _reviewed_columns(review), [*rows, *left_out])
    return render_template(
        "review.html",
        review=review,
        short_label=short_label,
        rows=rows[:PAGE],
        more=len(rows) - len(rows[:PAGE]),
        left_out=left_out[:PAGE],
        expected=expected_line(*review.outlooks) if review.outlooks else "",
        quota=quota_line(review.quota) if review.quota else "",
        unknown=not all(row.idle for row in left_out),
        ids=[row.target.id for row in review.rows][:PAGE],
    )


def _reviewed_columns(review: Review) -> list[Column[ServerRow]]:
    """Return the columns of the servers of a review, and of those left out."""

    def seen(row: ServerRow, name: str) -> str | None:
        return getattr(row.preview, name, None)

    return [
        Column("server", "Server", lambda row: row.target.label),
        Column("id", "ID", lambda row: row.target.id),
        Column("now", "Schedule now", lambda row: seen(row, "before")),
        Column("then", "Schedule then", lambda row: seen(row, "after")),
        Column("expiring", "Expiring", _expiring),
        gib_column(lambda row: review.space_of(row.expiring)),
        Column("left_out", "Left out", lambda row: row.problem or None),
    ]


def _expiring(row: ServerRow) -> str | None:
    return "; ".join(each.name or each.id for each in row.expiring) or None


def _forgotten() -> ResponseReturnValue:
    text = (
        "It belongs to another user, is more than a day old, or the panel was restarted"
        " since. It changed nothing. Choose the servers again."
    )
    return page_for_error(404, "Unknown review", text)


@pages.post("/servers/review/<review_id>")
def change(review_id: str) -> ResponseReturnValue:
    """Change the servers that are still as shown."""
    review = _reviews().find(review_id, _owner())
    if review is None:
        return _forgotten()
    if request.form.get("reviewed") != review.digest:
        say("failed", "This is not what you were shown. Nothing was changed.")
        return redirect(url_for("servers.reviewed", review_id=review_id), 303)
    here, store = place(), _reviews()
    filters = review.filters
    again = Review(
        review.owner, review.change, [], again=True, rows=[], filters=filters
    )
    address = url_for("servers.reviewed", review_id=again.id)
    then = url_for("servers.listed", **filters)
    job = Job(review.title, then, len(review.included))

    def work(job: Job) -> None:
        again.rows = _change(here, review, job)
        again.targets = [row.target for row in again.rows]
        if again.rows:
            again.sizes = snapshot_sizes(here.cloud, again.expiring)
            store.keep(again)
            names = named_words([row.target.label for row in again.rows])
            job.news.append(
                f"Left unchanged: {names}. What this would do there has changed since"
                " it was shown. Continue to see it as it is now."
            )
            job.then = address

    return submit(job, work, show=True)


def _change(here: Place, review: Review, job: Job) -> list[ServerRow]:
    """Change the servers that are as shown; return the others as they are now.

    Each is read right before it is changed.
    """
    shown = {row.target.id: row for row in review.included}

    def action(cloud: Cloud, server_id: str) -> ServerRow | None:
        row = shown[server_id]
        try:
            seen = preview(cloud, server_id, review.change)
        except NothingToDo as error:
            return ServerRow(row.target, problem=str(error), idle=True)
        if row.preview is None or seen.digest != row.preview.digest:
            return ServerRow(row.target, seen)
        apply(cloud, server_id, review.change)
        return None

    def note(outcome: Outcome[Target, ServerRow | None]) -> None:
        if outcome.error is not None:
            job.fail(outcome.item.label, outcome.error)
        elif outcome.value is None:
            job.did()

    targets = [row.target for row in review.included]
    with here.changing(*(str(target.id) for target in targets)):
        done = for_each(here.cloud, targets, action, Report(note, job.progress))
    return [each.value for each in done if each.value is not None]


def _targets(ids: list[str]) -> list[Target]:
    """Return servers with their labels, as far as known."""
    labels = place().labels()
    return [Target(labels.get(each, each), each) for each in dict.fromkeys(ids)]
