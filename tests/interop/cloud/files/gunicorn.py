"""How a web service is served; application and port come from the environment.

Handed over in GUNICORN_CMD_ARGS: Nova's application reads sys.argv itself.
"""

import os
import sys
from typing import Any

wsgi_app = os.environ["CLOUD_APPLICATION"]
bind = "127.0.0.1:" + os.environ["CLOUD_PORT"]
workers = 1
worker_class = "gthread"
threads = int(os.environ["CLOUD_THREADS"])
timeout = 300
# The services keep connections to one another. One that is closed in the moment of the
# next request makes that fail, and nobody repeats a POST.
keepalive = 3600
control_socket_disable = True
# Status, method, path and bytes of each answer.
accesslog = os.environ.get("CLOUD_REQUESTS")
access_log_format = "%(s)s %(m)s %({raw_uri}e)s %(B)s"


def post_fork(_server: Any, _worker: Any) -> None:
    """Tell an application what it looks for in its own command line alone."""
    sys.argv[1:] = os.environ.get("CLOUD_ARGUMENTS", "").split()
