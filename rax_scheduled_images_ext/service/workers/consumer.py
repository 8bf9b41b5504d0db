"""Celery's consumer, without what our messages do not need."""

from __future__ import annotations

from celery.worker import consumer


class Consumer(consumer.Consumer):
    """Sets up no queues for delayed messages, as we send none."""

    class Blueprint(consumer.Consumer.Blueprint):
        """The steps of the startup."""

        default_steps = tuple(
            step
            for step in consumer.Consumer.Blueprint.default_steps
            if "delayed_delivery" not in step
        )
