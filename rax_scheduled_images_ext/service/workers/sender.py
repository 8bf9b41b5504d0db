"""Sends a scan's messages, and keeps the queue short."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Connection, Producer

from rax_scheduled_images_ext.engine.find import Page
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.engine.proofs import ServerKey
from rax_scheduled_images_ext.model.plan import Step
from rax_scheduled_images_ext.service import queues
from rax_scheduled_images_ext.service.proofs import PAUSE
from rax_scheduled_images_ext.service.workers.app import (
    DELETE_GONE,
    LONGEST_TASK,
    LOOK,
    PROVE,
    SCAN,
)
from rax_scheduled_images_ext.service.workers.settings import settings
from rax_scheduled_images_ext.service.workers.tally import Tally

# The least seconds that the note of running proofs lasts: they may take more than a
# day.
_LEAST_PAUSE = 3600.0


@dataclass(frozen=True)
class Sender:
    """Sends a region's messages.

    Their number is bounded: a scan starts only when none of the previous one's messages
    wait, and images to start are announced only if there are places for them.
    """

    app: Celery
    region: str
    connection: Connection
    producer: Producer

    @classmethod
    @contextmanager
    def open(cls, app: Celery, region: str) -> Iterator[Sender]:
        """Connect to the broker while a block runs.

        A new connection each time: a process would keep one that the broker has lost.

        :raises OperationalError: if the broker cannot be reached.
        """
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=3)
            yield cls(app, region, connection, app.amqp.Producer(connection))

    def is_busy(self) -> bool:
        """Whether messages wait, or a scan is in progress."""
        names = (queues.work(self.region), queues.scanning(self.region))
        return any(self._length(name) for name in names)

    def note_scan(self) -> None:
        """Record that a scan is in progress; the note expires after some minutes."""
        seconds = queues.silence(settings().every)
        self._note(queues.scanning(self.region), seconds)

    def end_scan(self) -> None:
        """Remove the note."""
        self._remove_note(queues.scanning(self.region))

    def proving(self) -> AbstractContextManager[bool]:
        """Keep other workers from proving while a block runs; yield whether none is."""
        name = queues.proving(self.region)
        return queues.locked(self.connection, name, LONGEST_TASK)

    def has_proven(self) -> bool:
        """Whether the day's proofs have begun."""
        return bool(self._length(queues.proven(self.region)))

    def note_proofs(self, began: float) -> None:
        """Record that the day's proofs have begun, and have not ended.

        :param began: when, in unix seconds.
        """
        left = began + PAUSE.total_seconds() - time.time()
        self._note(queues.proven(self.region), max(left, _LEAST_PAUSE))

    def forget_proofs(self) -> None:
        """Let the next scan look again for servers whose turn it is."""
        self._remove_note(queues.proven(self.region))

    def send_proofs(
        self, servers: Sequence[ServerKey], looked: float, began: float
    ) -> None:
        """Request the proofs of servers, some at once.

        :param looked: when it was their turn, in unix seconds by the cloud's clock.
        :param began: when the day's proofs have begun, in unix seconds.
        """
        self.note_proofs(began)
        self._send(PROVE, [self.region, list(servers), looked, began])

    def has_looked_for_gone(self) -> bool:
        """Whether servers that are gone have been looked for today."""
        return bool(self._length(queues.gone(self.region)))

    def send_delete_gone(self) -> None:
        """Request the deletion of images of servers that are gone."""
        self._note(queues.gone(self.region), PAUSE.total_seconds())
        self._send(DELETE_GONE, [self.region])

    def send_scan(self, marker: str, tally: Tally, policies: str | None) -> None:
        """Request the scan of the next pages.

        Workers of earlier releases know no policies.
        """
        more = [] if policies is None else [policies]
        self._send(SCAN, [self.region, marker, tally, *more])

    def send_looks(self, page: Page, limits: Limits) -> None:
        """Request what a page's hints need.

        Images that were started come first: they are only as many as were started.
        """
        self._send_looks(page, page.look_after)
        if page.make:
            waiting = self._length(queues.work(self.region)) or 0
            self._send_looks(page, page.make_next(limits, waiting))

    def _send_looks(self, page: Page, steps: Iterable[Step]) -> None:
        for step in steps:
            hidden = step.server.id in page.open.hidden
            arguments = look_arguments(self.region, step, time.time(), hidden=hidden)
            self._send(LOOK, arguments)

    def _send(self, task: str, args: list[Any]) -> None:
        self.app.send_task(
            task, args, queue=queues.work(self.region), producer=self.producer
        )

    def _note(self, name: str, seconds: float) -> None:
        queue = queues.note(name)
        self.producer.publish(
            {},
            serializer="json",
            exchange=queue.exchange,
            routing_key=queue.routing_key,
            expiration=seconds,
            declare=[queue, queues.dead()],
        )

    def _remove_note(self, name: str) -> None:
        with self.connection.channel() as channel:
            channel.queue_purge(name)

    def _length(self, name: str) -> int | None:
        return queues.length(self.connection, name)


def look_arguments(
    region: str, step: Step, now: float, *, hidden: bool = False
) -> list[Any]:
    """Return the arguments of a ``look`` message.

    Workers of earlier releases, which may run during an upgrade, know no notes: without
    one, the arguments are as they expect.

    :param now: when it is sent, in unix seconds.
    :param hidden: whether the server has hidden images.
    """
    server, slot, note = step.server, step.slot, step.note
    what = [region, server.project_id, server.id, slot.name if slot else "", now]
    said = [note.image_id, note.text] if note else None
    if hidden:
        return [*what, said, hidden]
    return [*what, said] if said else what
