"""Serves the metrics of a worker's processes, and of the queues, while it runs."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import worker_ready
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from rax_scheduled_images_ext.errors import CannotListen
from rax_scheduled_images_ext.programs.http_server import Server
from rax_scheduled_images_ext.service.events import log
from rax_scheduled_images_ext.service.metrics import THREADS, metrics_app
from rax_scheduled_images_ext.service.workers.metrics import QueueCollector
from rax_scheduled_images_ext.service.workers.settings import settings


@worker_ready.connect
def serve(sender: Any, **_: object) -> None:
    """Serve metrics on the port of the options, if there is one."""
    args = settings().args
    if args.metrics_port is None:
        return
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(QueueCollector(sender.app.conf.broker_url, settings().regions))
    try:
        server = Server(args.metrics_host, args.metrics_port, THREADS)
    except CannotListen as error:
        log(logging.ERROR, "metrics cannot be served", {"reason": str(error)})
        return
    server.start(metrics_app(registry))
    log(logging.INFO, "metrics served", {"port": server.port})
