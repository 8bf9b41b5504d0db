"""What the service tells: one log line for each event, as text or as JSON."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from rax_scheduled_images_ext.engine.results import Result, StepResult, Tick
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.plan import Cause, explain
from rax_scheduled_images_ext.model.text import printable, quoted
from rax_scheduled_images_ext.operations.prune import PrunedImage
from rax_scheduled_images_ext.operations.volume_snapshots import Leftover
from rax_scheduled_images_ext.operations.work_queue import Outcome

LOG = logging.getLogger("scheduled_images_service")

#: Why a server is not imaged, where somebody should know.
TOLD = frozenset(
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
    Result.BEGUN: logging.INFO,
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


# What an event may say of itself, in the order in which it is written.
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
    "reason",
)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def configure(form: str, level: int) -> None:
    """Let events be written to stderr.

    :param form: ``text`` or ``json``.
    """
    formatter: logging.Formatter = TextFormatter(
        "%(asctime)s %(levelname)s %(message)s", _TIME
    )
    if form == "json":
        from pythonjsonlogger.json import JsonFormatter

        formatter = JsonFormatter(
            "%(asctime)s %(levelname)s %(message)s",
            _TIME,
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "message": "event",
            },
        )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    LOG.handlers[:] = [handler]
    LOG.setLevel(level)
    LOG.propagate = False


class TextFormatter(logging.Formatter):
    """The event, and after it what it says of itself as ``key=value``.

    It is one line, from which each value can be read back, whatever others have
    written into it.
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
    """Writes the results of ticks; what lasts is written when it begins, once."""

    def __init__(self) -> None:
        self._lasting: dict[str, tuple[Any, ...]] = {}
        # The last failure of each server, and those of this tick that are new.
        self._failed: dict[str, tuple[Any, ...]] = {}
        self._news: list[StepResult] = []

    def add(self, result: StepResult) -> None:
        """Write what has come of a step, as soon as it is known."""
        step = result.step
        if result.result is Result.NOTHING:
            self._add_lasting(result)
            return
        self._lasting.pop(step.server.id, None)
        level = _LEVELS.get(result.result, logging.DEBUG)
        if result.failed and not self._is_news(result):
            level = logging.DEBUG
        log(level, result.result.value, facts_of(result))

    def add_deleted(self, pruned: PrunedImage) -> None:
        """Write what the retention has done with an image, as soon as it is done."""
        image = pruned.image
        level = logging.INFO if pruned.error is None else logging.ERROR
        facts = {"server": pruned.server_id, "project": image.owner, "image": image.id}
        log(level, f"image {pruned.action}", facts | {"reason": pruned.reason})

    def _is_news(self, result: StepResult) -> bool:
        """Whether a failure is another one than before: the same try fails again."""
        step = result.step
        failure = (result.result, step.slot and step.slot.name, step.attempt)
        if self._failed.get(step.server.id) == failure:
            return False
        self._failed[step.server.id] = failure
        self._news.append(result)
        return True

    def _add_lasting(self, result: StepResult) -> None:
        step = result.step
        state = (step.cause, step.slot and step.slot.name, step.server.status)
        before = self._lasting.get(step.server.id)
        self._lasting[step.server.id] = state
        if step.cause in TOLD and before != state:
            facts = facts_of(result) | {"reason": explain(step)}
            log(logging.WARNING, "no image", facts)

    def end(self, tick: Tick) -> list[StepResult]:
        """Write what a tick has swept, and forget servers that are gone.

        :returns: the failures that are new.
        """
        for outcome in tick.swept:
            self.add_swept(outcome)
        for left in tick.leftovers:
            self.add_leftover(left)
        known = {server.id for server in tick.servers}
        for lasting in (self._lasting, self._failed):
            for server_id in set(lasting) - known:
                del lasting[server_id]
        news, self._news = self._news, []
        return news

    def add_leftover(self, left: Leftover) -> None:
        """Write what has come of a volume snapshot that should be gone."""
        snapshot = left.snapshot
        facts = {"snapshot": snapshot.id, "image": snapshot.image_id}
        facts |= {"project": snapshot.project_id, "reason": left.reason or None}
        event = "volume snapshot deleted" if left.deleted else "volume snapshot left"
        log(logging.INFO if left.deleted else logging.WARNING, event, facts)

    def add_swept(self, outcome: Outcome[ServerImage, bool]) -> None:
        """Write what has come of an image that was left behind."""
        image = outcome.item
        facts = {"image": image.id, "server": image.server_id, "project": image.owner}
        if outcome.error is not None:
            facts["reason"] = str(outcome.error)
            log(logging.WARNING, "empty image not deleted", facts)
        elif outcome.value:
            log(logging.INFO, Result.DISCARDED.value, facts)
