"""Dispatches each request to the API that its URL names."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask

from rax_scheduled_images_ext.sandbox import compute, identity, image, network, volume
from rax_scheduled_images_ext.sandbox.http import admin
from rax_scheduled_images_ext.sandbox.http.common import MOUNT, Services
from rax_scheduled_images_ext.sandbox.http.injection import Injector

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    Middleware = Callable[[WSGIApplication], WSGIApplication]

_OWN = "/sandbox"

# For the whole process: routes are parsed as Python, and 3.11 may fail to do so in two
# threads at once (python/cpython#106905).
_MAKING = threading.Lock()


class Seen(NamedTuple):
    """One request as the dispatcher saw it.

    ``path`` is as sent, with the query; ``status`` is 0 if there was no response.
    """

    method: str
    path: str
    status: int


class Mount(NamedTuple):
    """Where an API is: its paths start after what the pattern matches.

    ``app`` creates the application at its first use, and keeps it.
    """

    pattern: re.Pattern[str]
    app: Callable[[], Flask]


def mounts(services: Services, environment: admin.Environment) -> list[Mount]:
    """Return all that the sandbox serves under one port."""
    apis = _rackspace(services) if services.rackspace else _openstack(services)
    apis[_OWN] = partial(admin.make_app, services, environment)
    return [
        Mount(re.compile(f"{path}(?=/|$)"), cache(make)) for path, make in apis.items()
    ]


def _openstack(services: Services) -> dict[str, Callable[[], Flask]]:
    # The first region's URLs do not name it; all regions share one Keystone.
    others = "|".join(services.regions[1:])
    region = f"(?:/(?P<region>{others}))?" if others else ""
    # Nova takes whatever looks like an ID for a project's.
    project = "(?:/(?P<tenant>[0-9a-f-]+))?"
    return {
        "/identity/v3": partial(identity.make_app, services, "v3"),
        "/identity": partial(identity.make_root, services, "v3"),
        rf"{region}/compute/v2\.1{project}": partial(compute.make_app, services),
        f"{region}/compute/v2{project}": partial(
            compute.make_app, services, legacy=True
        ),
        f"{region}/compute": partial(compute.make_root, services),
        f"{region}/image/v2": partial(image.make_app, services),
        f"{region}/image": image.make_root,
        f"{region}/volume/v3(?:/(?P<tenant>[0-9a-f]{{32}}))?": partial(
            volume.make_app, services
        ),
        f"{region}/volume": volume.make_root,
        rf"{region}/network/v2\.0": partial(network.make_app, services),
        f"{region}/network": network.make_root,
    }


def _rackspace(services: Services) -> dict[str, Callable[[], Flask]]:
    region = f"/(?P<region>{'|'.join(services.regions)})"
    return {
        r"/identity/v2\.0": partial(identity.make_app, services, "v2.0"),
        "/identity": partial(identity.make_root, services, "v2.0"),
        f"{region}/compute(?:/v2(?:/(?P<tenant>[^/]*))?)?": partial(
            compute.make_app, services
        ),
        # novaclient adds the version, which is in the catalog already.
        f"{region}/image/v2(?:/v2)?": partial(image.make_app, services),
        f"{region}/image": image.make_root,
    }


class Dispatcher:
    """The whole sandbox as one WSGI application.

    :param injector: applies faults to requests to the cloud.
    :param latency: how many seconds every response takes at least.
    :param now: the cloud's time in unix seconds, for the date of responses.
    :param seen: called with every request to the cloud, before the response is sent.
    """

    def __init__(
        self,
        mounted: Iterable[Mount],
        injector: Injector,
        *,
        latency: float = 0.0,
        now: Callable[[], float],
        seen: Callable[[Seen], None],
    ) -> None:
        self._mounts = tuple(mounted)
        self._application: WSGIApplication = partial(injector.answer, self._answer)
        self._now = now
        self._latency = latency
        self._seen = seen

    def wrap(self, middleware: Middleware) -> None:
        """Put a WSGI middleware around all APIs of the cloud."""
        self._application = middleware(self._application)

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(f"{_OWN}/"):
            return self._answer(environ, self._dated(start_response))
        if self._latency:
            time.sleep(self._latency)
        seen: list[int] = []
        # Dated first: ``seen`` may move the clock.
        begin = self._dated(self._recorded(environ, start_response, seen))
        content = self._application(environ, begin)
        if not seen:
            self._record(environ, 0)
        return content

    def _dated(self, start_response: StartResponse) -> StartResponse:
        def begin(status, headers, exc_info=None):  # type: ignore[no-untyped-def]
            date = ("Date", formatdate(self._now(), usegmt=True))
            return start_response(status, [*headers, date], exc_info)

        return begin

    def _recorded(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        statuses: list[int],
    ) -> StartResponse:
        def begin(status, headers, exc_info=None):  # type: ignore[no-untyped-def]
            statuses.append(int(status[:3]))
            self._record(environ, statuses[-1])
            return start_response(status, headers, exc_info)

        return begin

    def _record(self, environ: WSGIEnvironment, status: int) -> None:
        self._seen(Seen(environ["REQUEST_METHOD"], environ["REQUEST_URI"], status))

    def _answer(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        for pattern, app in self._mounts:
            found = pattern.match(path)
            if found:
                environ["SCRIPT_NAME"] = found.group()
                environ["PATH_INFO"] = path[found.end() :] or "/"
                environ[MOUNT] = found.groupdict()
                with _MAKING:
                    inner: WSGIApplication = app()
                return inner(environ, start_response)
        text = b"there is nothing here\n"
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
        start_response("404 Not Found", headers)
        return [text]
