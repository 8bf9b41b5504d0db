"""Restores in place that were started here: each runs in a thread of its own.

Horizon has no better place for what outlives a request; it uploads images so. What a
restore has made and requested is in the cloud: if its thread ends with the process, the
same restore continues it. What people read about it is in Django's cache, which all
processes of Horizon share.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from django.core.cache import cache

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.model.restore import RestorePlan
from rax_scheduled_images_ext.operations.restore import TIME_LIMIT, Restoration
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)

LOG = logging.getLogger(__name__)

# Seconds for which the result can be read.
_KEPT = 24 * 3600
# No step of a restore is silent for so long.
_SILENCE = timedelta(minutes=3)


@dataclass(frozen=True)
class Progress:
    """What is known of a restore in place, last heard of at ``heard``.

    ``text`` is what was seen last, in the end why it failed. ``requested`` is whether
    the disk may have been replaced. From the image ``undo_id`` the last restore that
    has replaced it can be undone, which may be an earlier one.
    """

    server_id: str
    image: str
    heard: datetime
    text: str = ""
    state: str = "running"
    requested: bool = False
    undo_id: str | None = None

    def save(self) -> None:
        """Let all processes know."""
        cache.set(_key(self.server_id), self, _KEPT)


def progress_of(server_id: str) -> Progress | None:
    """Return the last restore of a server in place, None if none is known.

    Its state is ``running``, ``done``, ``failed``, or ``lost`` if its process seems to
    have ended.
    """
    found: Progress | None = cache.get(_key(server_id))
    silent = found and datetime.now(timezone.utc) - found.heard > _SILENCE
    if found and silent and found.state == "running":
        return replace(found, state="lost")
    return found


def start(cloud: Cloud, plan: RestorePlan) -> None:
    """Start to restore a server in place."""
    record = _Record(cloud, plan)
    record.save()
    threading.Thread(target=record.run, daemon=True).start()


class _Record(Listener):
    """A restore whose progress is kept for people."""

    def __init__(self, cloud: Cloud, plan: RestorePlan) -> None:
        poller = Poller(limits=Timeouts(total=TIME_LIMIT), listener=self)
        self._plan = plan
        before = progress_of(plan.server.id)
        self._earlier = before.undo_id if before else None
        self._restoration = Restoration(cloud, plan, poller)

    def save(self, text: str = "", state: str = "running") -> None:
        """Record what was seen."""
        plan, safety = self._plan, self._restoration.safety
        made = safety.id if safety else None
        requested = self._restoration.requested
        Progress(
            plan.server.id,
            plan.image.name or plan.image.id,
            datetime.now(timezone.utc),
            text,
            state,
            requested,
            made if requested else self._earlier,
        ).save()

    note = progress = save

    def run(self) -> None:
        """Restore the server."""
        try:
            done = self._restoration.run(wait=True)
            self.save(str(done.status), "done")
        except Exception as error:
            LOG.warning("Restore of server %s: %s", self._plan.server.id, error)
            self.save(str(error) or type(error).__name__, "failed")


def _key(server_id: str) -> str:
    return f"scheduled_images-restore-{server_id}"
