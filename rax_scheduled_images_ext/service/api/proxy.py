"""The extension's API as a reverse proxy before a compute service."""

from __future__ import annotations

import logging
import re
import signal
import socket
import threading
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from webob import Response

from rax_scheduled_images_ext.programs.http_server import Server
from rax_scheduled_images_ext.service.api.application import ScheduledImagesApi
from rax_scheduled_images_ext.service.api.rights import CallerRights
from rax_scheduled_images_ext.service.api.upstream import Upstream
from rax_scheduled_images_ext.service.events import log

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Seconds that requests under way are given when the proxy is to end.
_GRACE = 3.0


class Proxy:
    """Serves the API of a compute service with the extension.

    :param compute: the compute service's address, as the catalog has it; its path is
        the same here.
    :param port: 0 for any free one.
    :param threads: how many requests are answered at once.
    :raises OSError: if the port cannot be had.
    """

    def __init__(
        self,
        compute: str,
        host: str,
        port: int,
        *,
        rights: CallerRights | None = None,
        threads: int = 24,
        cacert: str | None = None,
    ) -> None:
        upstream = Upstream(compute, threads, cacert)
        path = urlsplit(compute).path.rstrip("/")
        # Clients also ask for the document with the versions, above the version.
        root = re.sub(r"/v2(\.1)?(/.*)?$", "", path)
        api = ScheduledImagesApi(upstream, rights)
        listening = _bound(host, port)
        self._server = Server(_below(root, api), listening, threads)
        # A daemon: its answers may have no one who reads them.
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{listening.getsockname()[1]}{path}"

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        ended = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            ended.set()

        before = {n: signal.signal(n, end) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            self.start()
            log(logging.INFO, "service started", {"url": self.url})
            ended.wait()
            self.stop()
            log(logging.INFO, "service ended")
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self) -> None:
        """Serve from now on, in threads of this process."""
        self._thread.start()

    def stop(self) -> None:
        """Let requests under way end, for a while, and stop serving."""
        self._server.stop(_GRACE)
        self._thread.join()


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket for an address; waitress would lose one that cannot be had.

    :raises OSError: if the port cannot be had.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def _below(root: str, application: WSGIApplication) -> WSGIApplication:
    """Return an application that answers below a path only."""

    def answer(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        # What resolves dots on the way to Nova must not change what a path means.
        plain = {".", ".."}.isdisjoint(path.split("/"))
        if plain and (path == root or path.startswith(f"{root}/")):
            return application(environ, start_response)
        text = "There is nothing here.\n"
        missing = Response(status=404, text=text, content_type="text/plain")
        nothing: Iterable[bytes] = missing(environ, start_response)
        return nothing

    return answer
