"""The Celery application: its connection and its routes."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.beat import BeatLazyFunc

from rax_scheduled_images_ext.service import queues
from rax_scheduled_images_ext.service.workers.settings import settings

SCAN, LOOK = "scheduled_images.scan", "scheduled_images.look"
PROVE = "scheduled_images.prove"
DELETE_GONE = "scheduled_images.delete_gone"
# Seconds after which a task is killed: less than the half hour after which RabbitMQ
# closes the channel of a consumer that has not acknowledged a message.
_LONGEST = 900
#: The same of one that waits for test servers, or lists all images.
LONGEST_TASK = 1500


def make_app() -> Celery:
    """Return the application for the regions of the settings."""
    regions = settings().regions
    app = Celery("scheduled_images", set_as_current=False)
    app.conf.update(
        # Wait for a lost broker, however long it takes.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"confirm_publish": True},
        accept_content=["json"],
        task_queues=[queue for region in regions for queue in queues.consumed(region)],
        task_default_exchange=queues.EXCHANGE.name,
        task_default_queue=queues.work(regions[0]),
        task_default_queue_type="quorum",
        task_create_missing_queues=False,
        task_create_missing_queue_type="quorum",
        task_ignore_result=True,
        # If a worker dies, another one does its task.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=_LONGEST,
        worker_consumer="rax_scheduled_images_ext.service.workers.consumer:Consumer",
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        worker_send_task_events=True,
        # Without a file: when it last sent does not matter.
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule={f"scan {region}": _entry(region) for region in regions},
    )
    return app


def _entry(region: str) -> dict[str, Any]:
    every = settings().every
    # The broker's own time limit: Celery's would compare the clocks of two machines.
    options = {"queue": queues.wanted(region), "expiration": every}
    args: list[Any] = [region]
    if settings().args.policies is not None:
        # Read whenever a scan is requested: the workers need not have the file.
        args += [None, None, BeatLazyFunc(settings().policies)]
    return {"task": SCAN, "schedule": every, "args": args, "options": options}
