"""What a scan sends, and how it keeps the queue short."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Connection, Producer

from rax_scheduled_images_ext.engine.find import Page
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.model.plan import Step
from rax_scheduled_images_ext.service import queues
from rax_scheduled_images_ext.service.workers.app import LOOK, SCAN
from rax_scheduled_images_ext.service.workers.settings import settings
from rax_scheduled_images_ext.service.workers.tally import Tally


@dataclass(frozen=True)
class Sender:
    """Sends a region's messages.

    What is sent is bounded: a scan begins only when nothing waits of the one before,
    and images to be begun are announced only as far as there are places for them.
    """

    app: Celery
    region: str
    connection: Connection
    producer: Producer

    @classmethod
    @contextmanager
    def open(cls, app: Celery, region: str) -> Iterator[Sender]:
        """Connect to the broker for as long as a block runs.

        Each time anew: a process keeps a connection beyond the end of the broker.

        :raises OperationalError: if the broker cannot be reached.
        """
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=3)
            yield cls(app, region, connection, app.amqp.Producer(connection))

    def is_busy(self) -> bool:
        """Whether messages wait, or a scan is under way."""
        names = (queues.work(self.region), queues.scanning(self.region))
        return any(self._length(name) for name in names)

    def note_scan(self) -> None:
        """Note that a scan is under way; the note is gone after some minutes."""
        queue = queues.note(self.region)
        self.producer.publish(
            {},
            serializer="json",
            exchange=queue.exchange,
            routing_key=queue.routing_key,
            expiration=queues.silence(settings().every),
            declare=[queue, queues.dead()],
        )

    def end_scan(self) -> None:
        """Take the note away."""
        with self.connection.channel() as channel:
            channel.queue_purge(queues.scanning(self.region))

    def send_scan(self, marker: str, tally: Tally) -> None:
        """Send for the next pages."""
        self._send(SCAN, [self.region, marker, tally])

    def send_looks(self, page: Page, limits: Limits) -> None:
        """Send for what a page has shown.

        Images that have been begun come first: they are as few as were begun.
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

    def _length(self, name: str) -> int | None:
        return queues.length(self.connection, name)


def look_arguments(
    region: str, step: Step, now: float, *, hidden: bool = False
) -> list[Any]:
    """Return what a look is sent with.

    Workers of earlier releases, which take part during an upgrade, know of no notes:
    without one all is as they expect it.

    :param now: when it is sent, in unix seconds.
    :param hidden: whether the server has hidden images.
    """
    server, slot, note = step.server, step.slot, step.note
    what = [region, server.project_id, server.id, slot.name if slot else "", now]
    said = [note.image_id, note.text] if note else None
    if hidden:
        return [*what, said, hidden]
    return [*what, said] if said else what
