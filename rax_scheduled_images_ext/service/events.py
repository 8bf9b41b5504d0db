"""The service's log: one line for each event, as text or as JSON."""

from __future__ import annotations

import logging
import re
from datetime import datetime
from typing import Any

from rax_scheduled_images_ext.engine.results import Coverage, Result, StepResult, Tick
from rax_scheduled_images_ext.engine.sweep import Leftover
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.plan import Cause, explain
from rax_scheduled_images_ext.model.policies import Kind, PolicyChange
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.operations.prune import PrunedImage
from rax_scheduled_images_ext.operations.work_queue import Outcome
from rax_scheduled_images_ext.programs.log import LINE, TIME, start_log
from rax_scheduled_images_ext.service.reported import Reported
from rax_scheduled_images_ext.text import printable, quoted

LOG = logging.getLogger("scheduled_images_service")

#: Why no image is made of a server, if that should be reported.
NOT_IMAGED = frozenset(
    {
        Cause.INVALID,
        Cause.STATUS,
        Cause.MISSED,
        Cause.UNKNOWN_IMAGE,
        Cause.HANGS,
        Cause.REFUSED,
        Cause.GIVEN_UP,
    }
)
_LEVELS = {
    Result.STARTED: logging.INFO,
    Result.DISCARDED: logging.INFO,
    Result.DEDUPLICATED: logging.WARNING,
    Result.BROKEN: logging.ERROR,
    Result.UNPROVEN: logging.WARNING,
    Result.RETAINED: logging.INFO,
    Result.UNKNOWN: logging.WARNING,
    Result.QUOTA: logging.ERROR,
    Result.GIVEN_UP: logging.ERROR,
    Result.FAILED: logging.ERROR,
}


# Results, besides failures, that later scans repeat while nothing changes.
_REPEATED = frozenset({Result.UNKNOWN, Result.UNPROVEN})
# The kinds of what is remembered: for each server why no image is made and its last
# failure, what could not be deleted, and how the last tick failed.
_REQUEST_ID = re.compile(r" \(Request-ID: [^)]*\)")
_LASTING, _FAILED, _LEFT, _ERROR = "lasting", "failed", "left", "error"
# The day of what is done once a day.
_DAILY = "daily"
_POLICY, _VANISHED, _POLICIES = "policy", "vanished", "policies"
#: The events of what policies have done.
POLICY_EVENTS = {
    Kind.GIVE: "schedule given",
    Kind.MOVE: "schedule changed",
    Kind.LEAVE: "schedule left to its owner",
    Kind.END: "schedule ended",
    Kind.REPORT: "not covered",
}


# The facts of an event, in the order in which they are written.
_FACTS = (
    "server",
    "server_name",
    "project",
    "region",
    "slot",
    "image",
    "snapshot",
    "request_id",
    "missed",
    "every_seconds",
    "port",
    "url",
    "host",
    "reason",
)


def configure(form: str, level: int) -> None:
    """Write events to stderr.

    :param form: ``text`` or ``json``.
    """
    formatter: logging.Formatter = TextFormatter(LINE, TIME)
    if form == "json":
        from pythonjsonlogger.json import JsonFormatter

        formatter = JsonFormatter(
            LINE,
            TIME,
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "message": "event",
            },
        )
    start_log(LOG, level, formatter)


class TextFormatter(logging.Formatter):
    """The event, followed by its facts as ``key=value``.

    It is one line, from which each value can be read back, whatever it contains.
    """

    def format(self, record: logging.LogRecord) -> str:
        known = vars(record)
        facts = (f"{k}={quoted(str(known[k]))}" for k in _FACTS if k in known)
        event = printable(" ".join(super().format(record).split()))
        return " ".join([event, *facts])


def log(level: int, event: str, facts: dict[str, Any] | None = None) -> None:
    """Write one event; facts that are None are left out."""
    known = {key: value for key, value in (facts or {}).items() if value is not None}
    LOG.log(level, event, extra=known)


def facts_of(result: StepResult) -> dict[str, Any]:
    """Return what identifies an event: server, slot, image and request."""
    step = result.step
    return {
        "server": step.server.id,
        "server_name": step.server.name,
        "project": step.server.project_id,
        "slot": step.slot.name if step.slot else None,
        "image": result.image_id or (step.image.id if step.image else None),
        "request_id": result.request_id,
        "missed": step.missed or None,
        "reason": result.reason,
    }


class EventLog:
    """Writes the results of ticks; what lasts is written when it begins, once.

    :param reported: what was written before, by this process or another one.
    :param region: is named in all events, None where there is only one.
    """

    def __init__(
        self, reported: Reported | None = None, region: str | None = None
    ) -> None:
        self._reported = reported or Reported()
        self._region = region
        # The failures that are new and that nobody has been notified of.
        self._news: list[StepResult] = []
        # What is left behind as of this tick.
        self._left: set[str] = set()
        self._news_of_policies: str | None = None

    def add(self, result: StepResult) -> None:
        """Write the result of a step, as soon as it is known."""
        step = result.step
        if result.result is Result.NOTHING:
            self._add_lasting(result)
            return
        level = _LEVELS.get(result.result, logging.DEBUG)
        if result.failed or result.result in _REPEATED:
            if not self._is_news(result):
                level = logging.DEBUG
        elif level == logging.INFO:
            self._reported.forget(_LASTING, step.server.id)
            self._reported.forget(_FAILED, step.server.id)
        self._log(level, result.result.value, facts_of(result))

    def add_deleted(self, pruned: PrunedImage) -> None:
        """Write what the retention did with an image, as soon as it is done."""
        image = pruned.image
        level = logging.INFO if pruned.error is None else logging.ERROR
        if pruned.in_doubt:
            level = logging.WARNING
        facts = {"server": pruned.server_id, "project": image.owner, "image": image.id}
        self._log(level, f"image {pruned.action}", facts | {"reason": pruned.reason})

    def add_coverage(self, coverage: Coverage) -> bool:
        """Write what policies did; return whether their problem is new."""
        about: set[str] = set()
        for outcome in coverage.done:
            self._add_change(outcome, about)
        for server, made in coverage.vanished:
            about.add(server.id)
            if self._reported.is_news(_VANISHED, server.id, [str(write_time(made))]):
                reason = f"it had images until {write_time(made)}"
                facts: dict[str, Any] = {"server": server.id}
                facts |= {"server_name": server.name}
                facts |= {"project": server.project_id, "reason": reason}
                self._log(logging.WARNING, "schedule vanished", facts)
        if coverage.unprotected is not None:
            # All servers were read.
            self._reported.keep([_POLICY, _VANISHED], about)
        if coverage.problem is None:
            self._reported.forget(_POLICIES, "problem")
            return False
        same = _REQUEST_ID.sub("", coverage.problem)
        news = self._reported.is_news(_POLICIES, "problem", [same])
        level = logging.ERROR if news else logging.DEBUG
        self._log(level, "policies not obeyed", {"reason": coverage.problem})
        return news

    def _add_change(
        self, outcome: Outcome[PolicyChange, bool], about: set[str]
    ) -> None:
        """Write what a policy did; what lasts is written once.

        :param about: gets the servers with which something lasts.
        """
        change, error = outcome.item, outcome.error
        server, event = change.server, POLICY_EVENTS[change.kind]
        facts: dict[str, Any] = {"server": server.id, "server_name": server.name}
        facts |= {"project": server.project_id, "reason": change.reason}
        level = logging.WARNING if change.kind is Kind.END else logging.INFO
        if error is not None or change.kind is Kind.REPORT:
            about.add(server.id)
            if error is not None:
                event, facts["reason"] = f"{event}: failed", str(error)
            same = [event, _REQUEST_ID.sub("", str(facts["reason"]))]
            news = self._reported.is_news(_POLICY, server.id, same)
            level = logging.WARNING if news else logging.DEBUG
        elif not outcome.value:
            return
        self._log(level, event, facts)

    def _is_news(self, result: StepResult) -> bool:
        """Whether a failure differs from the last: the same attempt may fail again."""
        step = result.step
        slot = step.slot.name if step.slot else None
        # A repeated refusal is the same one, however often the request is sent.
        which = str(write_time(step.note.since)) if step.note else step.attempt
        failure = (result.result.value, slot, which)
        news = self._reported.is_news(_FAILED, step.server.id, failure)
        if news and result.failed:
            self._news.append(result)
        return news

    def _add_lasting(self, result: StepResult) -> None:
        step, note = result.step, result.step.note
        if step.cause not in NOT_IMAGED or (note is not None and not note.lasts):
            self._reported.forget(_LASTING, step.server.id)
            return
        slot = step.slot.name if step.slot else None
        state = (step.cause.value, slot, step.server.status)
        if self._reported.is_news(_LASTING, step.server.id, state):
            facts = facts_of(result) | {"reason": explain(step)}
            self._log(logging.WARNING, "no image", facts)

    def begins_day(self, what: str, now: datetime) -> bool:
        """Record that something is done today; return whether that is new."""
        return self._reported.is_news(_DAILY, what, [now.date().isoformat()])

    def add_gone_failed(self, error: Exception) -> None:
        """Write that images of servers that are gone could not be looked at."""
        reason = {"reason": f"{type(error).__name__}: {error}"}
        self._log(logging.ERROR, "servers that are gone not read", reason)

    def save(self) -> None:
        """Write down what was recorded."""
        self._reported.save()

    def take_news_of_policies(self) -> str | None:
        """Return why policies are not obeyed, if that is new since the last time."""
        news, self._news_of_policies = self._news_of_policies, None
        return news

    def take_news(self) -> list[StepResult]:
        """Return the failures since the last time."""
        news, self._news = self._news, []
        return news

    def add_failed(self, kind: str, reason: str) -> bool:
        """Write that a tick failed; return whether the one before did not.

        :param kind: of the error. A different one is written, the same is not repeated.
        """
        news = self._reported.is_news(_ERROR, "kind", [kind])
        first = self._reported.is_news(_ERROR, "any", [])
        level = logging.ERROR if news else logging.DEBUG
        self._log(level, "tick failed", {"reason": f"{kind}: {reason}"})
        self._reported.save()
        return first

    def end(self, tick: Tick) -> list[StepResult]:
        """Write what a tick swept, and forget servers that are gone.

        :returns: the failures that are new.
        """
        for outcome in tick.swept:
            self.add_swept(outcome)
        for left in tick.leftovers:
            self.add_leftover(left)
        self.add_problem(tick.problem)
        if tick.coverage is not None and self.add_coverage(tick.coverage):
            self._news_of_policies = tick.coverage.problem
        self._reported.keep([_LASTING, _FAILED], {server.id for server in tick.servers})
        self._reported.keep([_LEFT], self._left)
        self._reported.keep([_ERROR], set())
        self._reported.save()
        self._left = set()
        return self.take_news()

    def add_leftover(self, left: Leftover) -> None:
        """Write the result for a volume snapshot that should be gone."""
        snapshot = left.snapshot
        facts = {"snapshot": snapshot.id, "image": snapshot.image_id}
        facts |= {"project": snapshot.project_id, "reason": left.reason or None}
        event = (
            "volume snapshot deletion requested"
            if left.deleted
            else "volume snapshot left"
        )
        level = logging.INFO
        if left.deleted:
            # Until it is gone, remember what was reported.
            self._left.add(snapshot.id)
        else:
            level = self._level_left(snapshot.id, left.reason)
        self._log(level, event, facts)

    def add_problem(self, problem: str | None) -> None:
        """Write why volume snapshots that were left behind could not be listed."""
        if problem is not None:
            level = self._level_left("volume snapshots", problem)
            self._log(level, "volume snapshots not listed", {"reason": problem})

    def _level_left(self, about: str, reason: str) -> int:
        """Return the level for something not deleted: it is reported once."""
        self._left.add(about)
        # The same error has a new request ID each time.
        same = _REQUEST_ID.sub("", reason)
        news = self._reported.is_news(_LEFT, about, [same])
        return logging.WARNING if news else logging.DEBUG

    def add_swept(self, outcome: Outcome[ServerImage, bool]) -> None:
        """Write the result for an image that was left behind."""
        image = outcome.item
        facts = {"image": image.id, "server": image.server_id, "project": image.owner}
        if outcome.error is not None:
            facts["reason"] = str(outcome.error)
            level = self._level_left(image.id, str(outcome.error))
            self._log(level, "empty image not deleted", facts)
        elif outcome.value:
            self._log(logging.INFO, Result.DISCARDED.value, facts)

    def _log(self, level: int, event: str, facts: dict[str, Any]) -> None:
        log(level, event, {"region": self._region, **facts})
