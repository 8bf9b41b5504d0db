"""The extension's API as a reverse proxy in front of a compute service."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from webob import Response

from rax_scheduled_images_ext.programs.http_server import Server
from rax_scheduled_images_ext.programs.signals import ended_by_signals
from rax_scheduled_images_ext.service.api.application import ScheduledImagesApi
from rax_scheduled_images_ext.service.api.rights import CallerRights
from rax_scheduled_images_ext.service.api.upstream import Upstream
from rax_scheduled_images_ext.service.events import log

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Proxy:
    """Serves the API of a compute service, with the extension.

    :param compute: the compute service's address, as the catalog has it; its path is
        the same here.
    :param port: 0 for any free one.
    :param threads: how many requests are answered at once.
    :raises CannotListen: if it cannot listen on the address.
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
        # Clients also request the list of versions, one level above.
        root = re.sub(r"/v2(\.1)?(/.*)?$", "", path)
        self._application = _below(root, ScheduledImagesApi(upstream, rights))
        self._server = Server(host, port, threads)
        self.url = self._server.url + path

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        ended = threading.Event()
        with ended_by_signals(ended):
            self.start()
            log(logging.INFO, "service started", {"url": self.url})
            ended.wait()
            self.stop()
            log(logging.INFO, "service ended")

    def start(self) -> None:
        """Start to serve, in threads of this process."""
        self._server.start(self._application)

    def stop(self) -> None:
        """Give requests in progress a few seconds, then stop serving."""
        self._server.stop()


def _below(root: str, application: WSGIApplication) -> WSGIApplication:
    """Return an application that answers only below a path."""

    def answer(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        # Dots that are resolved on the way to Nova must not change a path's meaning.
        plain = {".", ".."}.isdisjoint(path.split("/"))
        if plain and (path == root or path.startswith(f"{root}/")):
            return application(environ, start_response)
        text = "There is nothing here.\n"
        missing = Response(status=404, text=text, content_type="text/plain")
        nothing: Iterable[bytes] = missing(environ, start_response)
        return nothing

    return answer
