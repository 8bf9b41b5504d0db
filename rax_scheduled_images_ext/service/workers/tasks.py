"""The tasks: scan some pages of servers, and do the next step of one server."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from rax_scheduled_images_ext.engine.find import Page
from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.errors import NoSuchServer
from rax_scheduled_images_ext.model.note import parse_note
from rax_scheduled_images_ext.model.plan import Cause
from rax_scheduled_images_ext.operations.delete import NamingImages
from rax_scheduled_images_ext.service.events import NOT_IMAGED, EventLog, log
from rax_scheduled_images_ext.service.loop import FAILURES, label
from rax_scheduled_images_ext.service.workers.app import LOOK, SCAN, make_app
from rax_scheduled_images_ext.service.workers.metrics import METRICS
from rax_scheduled_images_ext.service.workers.sender import Sender
from rax_scheduled_images_ext.service.workers.settings import (
    engine_of,
    leave_engine,
    settings,
)
from rax_scheduled_images_ext.service.workers.tally import (
    Tally,
    add_page,
    count_missing,
    new_tally,
)

app = make_app()
_EVENTS = EventLog()
# How many seconds a task requests further pages.
_READING = 5.0
_BROKER_FAILURES = (KombuError, AMQPError, OSError)


@app.task(name=SCAN)
def scan(region: str, marker: str | None = None, tally: Tally | None = None) -> None:
    """Scan pages of servers, and send messages for servers and for the next pages.

    :param marker: where the first page starts, None for a new scan, which is skipped
        while the previous one is in progress or its messages wait.
    :param tally: what the previous pages have found.
    """
    # A worker may have been killed during this very scan: then the note is its own.
    again = scan.request.delivery_info.get("redelivered")
    try:
        with Sender.open(app, region) as sender:
            if marker is None and not again and sender.is_busy():
                METRICS.looks.labels(region, "skipped").inc()
                log(logging.DEBUG, "scan skipped", {"region": region})
                return
            _scan(sender, marker, tally or new_tally())
    except _BROKER_FAILURES as error:
        _fail(region, error)


def _scan(sender: Sender, marker: str | None, tally: Tally) -> None:
    region = sender.region
    sender.note_scan()
    try:
        for page in _read_pages(region, marker):
            engine = engine_of(region)
            missing = count_missing(
                page,
                engine.finder.known,
                engine.runner.clock.time(page.now),
                owners=not engine.runner.projects.all_projects,
            )
            tally = add_page(tally, page, missing)
            sender.send_looks(page, engine.runner.limits)
            _log_not_imaged(page)
            marker = page.marker
    except FAILURES as error:
        sender.end_scan()
        leave_engine(region, error)
        _fail(region, error)
        return
    if marker is not None:
        sender.send_scan(marker, tally)
        return
    sender.end_scan()
    METRICS.end_scan(region, tally)
    settings().notifier.ping(good=not tally["missing"])


def _fail(region: str, error: Exception) -> None:
    facts = {"region": region, "reason": f"{label(error)}: {error}"}
    log(logging.ERROR, "scan failed", facts)
    METRICS.looks.labels(region, "failed").inc()
    settings().notifier.ping(good=False)


def _read_pages(region: str, marker: str | None) -> Iterator[Page]:
    engine = engine_of(region)
    is_first = marker is None
    for page in engine.finder.pages(marker, seconds=_READING):
        if is_first:
            _sweep(region, engine.runner, page)
        is_first = False
        yield page


def _sweep(region: str, runner: Runner, page: Page) -> None:
    """Delete what was left behind, and log that."""
    for outcome in runner.sweep(page.open.empty, page.now):
        _EVENTS.add_swept(outcome)
    naming = NamingImages(runner.projects.listing.images)
    left, problem = runner.sweep_volume_snapshots(page.now, naming)
    _EVENTS.add_problem(problem)
    for each in left:
        _EVENTS.add_leftover(each)
    METRICS.orphans.labels(region).set(sum(each.orphaned for each in left))


def _log_not_imaged(page: Page) -> None:
    """Log why no image is made of servers: once in each process, while it lasts."""
    for step in page.steps:
        # Whether the image of an older slot was made is unknown here.
        if step.cause in NOT_IMAGED and step.cause is not Cause.MISSED:
            _EVENTS.add(StepResult(step, Result.NOTHING))


@app.task(name=LOOK)
def look(
    region: str,
    project_id: str,
    server_id: str,
    slot: str,
    sent: float,
    said: tuple[str, str] | None = None,
    hidden: bool = False,
) -> None:
    """Read a server, and do its next step.

    :param slot: the slot that seemed to be due; what is done depends on what the cloud
        shows now.
    :param sent: when this was sent, in unix seconds.
    :param said: the note for the server: its image, and its contents.
    :param hidden: whether the server has hidden images.
    """
    METRICS.wait.labels(region).observe(max(0.0, time.time() - sent))
    try:
        runner = engine_of(region).runner
        runner.deleted = _EVENTS.add_deleted
        note = parse_note(said[1], said[0]) if said else None
        result = runner.step(server_id, project_id, note, hidden=hidden)
    except NoSuchServer:
        # The server has just been deleted; its images stay, as do all schedules.
        return
    except FAILURES as error:
        leave_engine(region, error)
        facts = {"server": server_id, "project": project_id, "slot": slot}
        reason = f"{label(error)}: {error}"
        log(logging.ERROR, "look failed", facts | {"reason": reason})
        METRICS.steps.labels(region, Result.FAILED.value).inc()
        return
    _EVENTS.add(result)
    METRICS.add(region, result)
    settings().notifier.failed(_EVENTS.take_news())
