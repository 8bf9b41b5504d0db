"""The service on many machines: a Celery application over RabbitMQ.

``celery -A rax_scheduled_images_ext.service.workers worker`` (or ``beat``, ``flower``)
runs it, with the options of ``scheduled-images-service worker`` in the variable
``SCHEDULED_IMAGES_OPTIONS``.
"""

from rax_scheduled_images_ext.service.workers import exporter, tasks

app = tasks.app

__all__ = ["app", "exporter"]
