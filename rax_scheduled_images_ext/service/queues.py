"""The workers' queues in RabbitMQ: their names, settings and lengths.

Each region has one for the work, and four that hold at most one message: the next scan
that is requested, a note that a scan is in progress, and notes that the day's proofs
have begun and that servers that are gone have been looked for. All these are quorum
queues. Another one is there only while a worker proves images, as its lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from amqp.exceptions import AMQPError, NotFound, ResourceLocked
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

EXCHANGE = Exchange("scheduled-images", "direct", durable=True)
#: Where messages end up that no worker could handle.
DEAD = "scheduled-images.dead"
#: How often a message is delivered before it is dead: each time its worker died.
DELIVERIES = 10
# How many dead letters are kept.
_MOST_DEAD = 10_000
# A scan without a sign of life is taken for dead after the interval between scans, but
# at least and at most these seconds.
_SILENCE = (10, 300)
# Seconds to connect, and to wait for each response.
_CONNECT, _ANSWER = 5, 10


def work(region: str) -> str:
    """Return the name of the queue with a region's work."""
    return f"scheduled-images.{region}"


def wanted(region: str) -> str:
    """Return the name of the queue with a region's next requested scan."""
    return f"{work(region)}.scan"


def scanning(region: str) -> str:
    """Return the name of the queue with a note while a region is being scanned."""
    return f"{work(region)}.scanning"


def consumed(region: str) -> list[Queue]:
    """Return the queues that a region's workers consume."""
    limits = {
        "x-delivery-limit": DELIVERIES,
        "x-dead-letter-exchange": EXCHANGE.name,
        "x-dead-letter-routing-key": DEAD,
    }
    return [_queue(work(region), **limits), _queue(wanted(region), **_single())]


def proven(region: str) -> str:
    """Return the name of the queue with a note that the day's proofs have begun."""
    return f"{work(region)}.proven"


def gone(region: str) -> str:
    """Return the name of the queue with a note that the day's deletion has begun."""
    return f"{work(region)}.gone"


def proving(region: str) -> str:
    """Return the name of the queue that is there while a worker proves images."""
    return f"{work(region)}.proving"


def note(name: str) -> Queue:
    """Return the queue of this name, which holds a note for a while."""
    return _queue(name, **_single())


def silence(every: float) -> float:
    """Return the seconds after which a scan is taken for dead.

    :param every: seconds between two scans.
    """
    least, most = _SILENCE
    return min(max(every, least), most)


def dead() -> Queue:
    """Return the queue of the messages that no worker could handle."""
    return _queue(DEAD, **{"x-max-length": _MOST_DEAD, "x-overflow": "drop-head"})


@contextmanager
def locked(connection: Connection, name: str, seconds: int) -> Iterator[bool]:
    """Hold a lock while a block runs; yield False if another connection holds it.

    :param seconds: when it is released in any case: a machine that lost power does not
        close its connections.
    """
    expiring = {"x-queue-type": "classic", "x-expires": seconds * 1000}
    channel = connection.channel()
    try:
        channel.queue_declare(name, exclusive=True, arguments=expiring)
    except ResourceLocked:
        yield False
        return
    try:
        yield True
    finally:
        # A connection that was lost meanwhile has released it.
        with suppress(AMQPError, OSError):
            channel.queue_delete(name)


def length(connection: Connection, name: str) -> int | None:
    """Return how many messages wait in a queue, None if there is no such queue."""
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except NotFound:
            return None


def lengths(url: str, regions: list[str]) -> dict[str, int]:
    """Return how many messages wait in each queue that workers have created.

    :raises OperationalError: if the broker cannot be reached, or does not answer.
    """
    limits = {"read_timeout": _ANSWER, "write_timeout": _ANSWER}
    names = [queue.name for region in regions for queue in consumed(region)]
    try:
        with Connection(
            url, connect_timeout=_CONNECT, transport_options=limits
        ) as connection:
            connection.ensure_connection(max_retries=1)
            found = {name: length(connection, name) for name in [*names, DEAD]}
    except OSError as error:
        raise OperationalError(f"no response within {_ANSWER} s") from error
    return {name: number for name, number in found.items() if number is not None}


def _single() -> dict[str, Any]:
    return {"x-max-length": 1, "x-overflow": "drop-head"}


def _queue(name: str, **arguments: Any) -> Queue:
    arguments = {"x-queue-type": "quorum", **arguments}
    return Queue(
        name, EXCHANGE, routing_key=name, queue_arguments=arguments, durable=True
    )
