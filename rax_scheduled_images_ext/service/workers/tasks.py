"""The tasks: scan some pages of servers, and do the next step of one server."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from multiprocessing import Event

from amqp.exceptions import AMQPError
from celery.signals import worker_shutting_down
from kombu.exceptions import KombuError

from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.engine.find import Page
from rax_scheduled_images_ext.engine.policies import PolicyScan, PolicyWork
from rax_scheduled_images_ext.engine.proofs import ServerKey
from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.errors import InvalidPolicies, NoSuchServer
from rax_scheduled_images_ext.model.note import parse_note
from rax_scheduled_images_ext.model.plan import Cause
from rax_scheduled_images_ext.model.policies import Policies
from rax_scheduled_images_ext.operations.delete import NamingImages
from rax_scheduled_images_ext.operations.policy_file import parse_policies
from rax_scheduled_images_ext.operations.snapshot.signals import Interrupted
from rax_scheduled_images_ext.service.cli import gone_work, make_proofs
from rax_scheduled_images_ext.service.events import NOT_IMAGED, EventLog, log
from rax_scheduled_images_ext.service.loop import FAILURES, label
from rax_scheduled_images_ext.service.proofs import Ending, ProofLog
from rax_scheduled_images_ext.service.workers.app import (
    DELETE_GONE,
    LONGEST_TASK,
    LOOK,
    PROVE,
    SCAN,
    make_app,
)
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
    add_turns,
    count_missing,
    new_tally,
)

app = make_app()
_EVENTS = EventLog()
# How many seconds a task requests further pages.
_READING = 5.0
# How many seconds it begins with further changes by policies.
_COVERING = 60.0
# How many seconds a task begins with further servers that are gone.
_DELETING = 1200.0
_BROKER_FAILURES = (KombuError, AMQPError, OSError)
# Set when the worker is told to end; the only way its processes learn of it.
_ENDING = Event()
worker_shutting_down.connect(lambda **_: _ENDING.set(), weak=False)


@app.task(name=SCAN)
def scan(
    region: str,
    marker: str | None = None,
    tally: Tally | None = None,
    policies: str | None = None,
) -> None:
    """Scan pages of servers, and send messages for servers and for the next pages.

    :param marker: where the first page starts, None for a new scan, which is skipped
        while the previous one is in progress or its messages wait.
    :param tally: what the previous pages have found.
    :param policies: the text of the policies, None without any.
    """
    # A worker may have been killed during this very scan: then the note is its own.
    again = scan.request.delivery_info.get("redelivered")
    try:
        with Sender.open(app, region) as sender:
            if marker is None and not again and sender.is_busy():
                METRICS.looks.labels(region, "skipped").inc()
                log(logging.DEBUG, "scan skipped", {"region": region})
                return
            _scan(sender, marker, tally or new_tally(), policies)
    except _BROKER_FAILURES as error:
        _fail(region, error)


def _scan(
    sender: Sender, marker: str | None, tally: Tally, policies: str | None
) -> None:
    region = sender.region
    sender.note_scan()
    try:
        covering = _begin_covering(region, marker, policies)
        for page in _read_pages(region, marker):
            engine = engine_of(region)
            now = engine.runner.clock.time(page.now)
            missing = count_missing(
                page,
                engine.finder.known,
                now,
                owners=not engine.runner.projects.all_projects,
            )
            if marker is None and _looks_for_proofs(sender, now):
                tally["proofs"] = []
            tally = add_page(tally, page, missing)
            add_turns(tally, page, now, settings().args.verify_every)
            sender.send_looks(page, engine.runner.limits)
            _log_not_imaged(page)
            marker = page.marker
        if covering is not None:
            _end_covering(region, covering)
    except FAILURES as error:
        sender.end_scan()
        leave_engine(region, error)
        _fail(region, error)
        return
    if marker is not None:
        sender.send_scan(marker, tally, policies)
        return
    sender.end_scan()
    if tally["proofs"] is not None:
        sender.send_proofs(sorted(tally["proofs"]), now.timestamp(), time.time())
    if settings().args.after_delete is not None and not sender.has_looked_for_gone():
        sender.send_delete_gone()
    METRICS.end_scan(region, tally)
    settings().notifier.ping(good=not tally["missing"])


def _begin_covering(
    region: str, marker: str | None, policies: str | None
) -> PolicyScan | None:
    """Let policies see the pages that follow; a new scan gives schedules first."""
    if policies is None:
        return None
    engine = engine_of(region)
    work = PolicyWork(partial(_read_policies, policies))
    return work.begin(
        engine.finder,
        engine.runner.limits,
        _ENDING.is_set,
        seconds=_COVERING,
        uncovered=marker is None,
    )


def _read_policies(text: str) -> tuple[Policies | None, str | None]:
    try:
        return parse_policies(text), None
    except InvalidPolicies as error:
        # Beat is of another release.
        return None, str(error)


def _end_covering(region: str, covering: PolicyScan) -> None:
    coverage = covering.end()
    if coverage.unprotected is not None:
        METRICS.unprotected.labels(region).set(coverage.unprotected)
    _EVENTS.add_coverage(coverage)


def _looks_for_proofs(sender: Sender, now: datetime) -> bool:
    """Whether this scan looks for servers whose turn it is to be proven.

    One scan a day does, in the window.
    """
    args = settings().args
    if args.verify_every is None or not args.window.contains(now):
        return False
    return not sender.has_proven()


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


@app.task(name=PROVE, time_limit=LONGEST_TASK)
def prove(region: str, servers: list[ServerKey], looked: float, began: float) -> None:
    """Prove images of the first servers that are due, and request the other proofs.

    So there is one such message, and never more test servers than are allowed.

    :param servers: those whose turn it is, ordered by project.
    :param looked: when it was their turn, in unix seconds by the cloud's clock.
    :param began: when the day's proofs have begun, in unix seconds.
    """
    if settings().args.verify_every is None:
        return
    try:
        with Sender.open(app, region) as sender, sender.proving() as alone:
            rest = _prove(sender, servers, looked) if alone else ()
        if rest:
            # Over a new connection: the other one has been idle for long.
            with Sender.open(app, region) as sender:
                sender.send_proofs(rest, looked, began)
    except (*FAILURES, *PASSING, *_BROKER_FAILURES) as error:
        leave_engine(region, error)
        reason = f"{label(error)}: {error}"
        log(logging.ERROR, "proofs failed", {"region": region, "reason": reason})


def _prove(
    sender: Sender, servers: Sequence[ServerKey], looked: float
) -> Sequence[ServerKey]:
    """Prove images of the first servers that are due, and return the other servers."""
    region, options = sender.region, settings()
    proofs = make_proofs(options.args, engine_of(region).runner.projects)
    if not proofs.has_room():
        # Test servers of a killed worker, or of another user: a later scan looks again.
        sender.forget_proofs()
        return ()
    due, rest = proofs.next_due(servers, datetime.fromtimestamp(looked, timezone.utc))
    several = len(options.regions) > 1
    events = ProofLog(region, options.notifier, METRICS, several=several)
    try:
        proofs.prove(due, events, Ending(_ENDING.is_set))
    except Interrupted:
        # Another worker continues with all of them.
        return servers
    return rest


@app.task(name=DELETE_GONE, time_limit=LONGEST_TASK)
def delete_gone(region: str) -> None:
    """Delete images of servers that are gone, and request what is left of that.

    All is read from the cloud again, so it may be done twice.
    """
    work, deadline = gone_work(settings().args, region), time.monotonic() + _DELETING
    if work is None:
        return

    def stopping() -> bool:
        return _ENDING.is_set() or time.monotonic() >= deadline

    try:
        for error in work.delete(engine_of(region).runner, _EVENTS, stopping):
            leave_engine(region, error)
        if stopping():
            with Sender.open(app, region) as sender:
                sender.send_delete_gone()
    except (*FAILURES, *_BROKER_FAILURES) as error:
        leave_engine(region, error)
        _EVENTS.add_gone_failed(error)
