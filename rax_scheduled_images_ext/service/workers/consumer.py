"""Celery's consumer, less what no message of ours needs."""

from __future__ import annotations

from celery.worker import consumer


class Consumer(consumer.Consumer):
    """Sets up no queues for delayed messages: none is sent with a delay."""

    class Blueprint(consumer.Consumer.Blueprint):
        """The steps of the start."""

        default_steps = tuple(
            step
            for step in consumer.Consumer.Blueprint.default_steps
            if "delayed_delivery" not in step
        )
