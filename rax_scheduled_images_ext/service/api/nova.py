"""Nova behind this API: the caller's request, and more on the caller's behalf."""

from __future__ import annotations

import copy
import io
import json as json_format
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

import requests
from webob import Request, Response

from rax_scheduled_images_ext.client.http import RetryPolicy, Transport
from rax_scheduled_images_ext.client.schedules.tags import TagSchedules
from rax_scheduled_images_ext.service.api import versions
from rax_scheduled_images_ext.service.api.reading import read_json

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from keystoneauth1.adapter import Adapter

# Up to the version, or the project that may follow it, and the rest.
_COLLECTIONS = "servers|extensions|os-volumes_boot"
_PATH = re.compile(
    rf".*/(?P<version>v2(\.1)?)(/(?!({_COLLECTIONS})/)[^/]+)?"
    rf"(?P<tail>/({_COLLECTIONS})(/.*)?)"
)
# What one request leaves in its environment must not reach the next one.
_SPENT = re.compile(r"wsgiorg\.routing_args|routes\.|webob\.|REQUEST_URI")
# What belongs only to the caller's own request.
_OWN = ("HTTP_ACCEPT_ENCODING", "CONTENT_TYPE", "CONTENT_LENGTH")
_CONTEXT = "nova.context"
# If this is set, Nova ignores microversions.
_LEGACY = "openstack.legacy_v2"


class Nova:
    """The application behind this API, for one caller.

    :ivar request: the caller's own request.
    :ivar tail: its path after the version and the project.
    :ivar older: its version if that has no tags, else None.
    """

    def __init__(
        self, application: WSGIApplication, environ: WSGIEnvironment, tail: str
    ) -> None:
        self.request = Request(environ)
        self.tail = tail
        self._application = application
        self._environ = environ.copy()
        self._root = environ["PATH_INFO"].removesuffix(tail)
        # Without microversions there are no tags: requests that need them go to /v2.1,
        # unless this is the pipeline of /v2 itself, which leaves that to us.
        self._newer_root = re.sub("/v2(?=/|$)", "/v2.1", self._root)
        legacy = environ.get("SCRIPT_NAME", "").endswith("/v2")
        self._unversioned = legacy or self._newer_root != self._root
        self.older = versions.older_version(self.request)
        if self._unversioned:
            self.older = versions.FIRST

    @classmethod
    def of(cls, application: WSGIApplication, environ: WSGIEnvironment) -> Nova | None:
        """Return the Nova of a request about servers or extensions, else None."""
        found = _PATH.fullmatch(environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"])
        if found is None or not environ["PATH_INFO"].endswith(found["tail"]):
            return None
        return cls(application, environ, found["tail"])

    def pass_on(self) -> Response:
        """Send the caller's own request."""
        # The response is read here.
        self.request.environ.pop("HTTP_ACCEPT_ENCODING", None)
        return self.request.get_response(self._application)

    def read_json(self) -> Any:
        """Return the JSON of the caller's own request, which is passed on as read.

        :raises Refused: for JSON that Nova may read differently.
        """
        found = read_json(self.request)
        self.request.body = json_format.dumps(found).encode()
        self.request.headers["Content-Type"] = "application/json"
        return found

    def pin_version(self) -> None:
        """Make Nova use the version that was read here, if that is an older one."""
        if self.older is not None:
            versions.ask_for(self.request, self.older)

    def send(
        self,
        method: str,
        tail: str,
        *,
        query: str = "",
        body: Any = None,
        with_tags: bool = True,
    ) -> Response:
        """Send another request on the caller's behalf; the response has its version.

        :param tail: the path after the version and the project; not quoted.
        :param body: the JSON of the request, None for none.
        :param with_tags: raise a version without tags to the first with tags.
        """
        environ = {k: v for k, v in self._environ.items() if not _SPENT.match(k)}
        for name in _OWN:
            environ.pop(name, None)
        if _CONTEXT in environ:
            environ[_CONTEXT] = copy.copy(environ[_CONTEXT])
        raised = with_tags and self.older is not None
        root = self._newer_root if raised else self._root
        if raised:
            environ.pop(_LEGACY, None)
        environ |= {"PATH_INFO": root + tail, "QUERY_STRING": query}
        request = Request(environ)
        request.method = method
        request.body = b"" if body is None else json_format.dumps(body).encode()
        if body is not None:
            request.content_type = "application/json"
        if raised:
            versions.ask_for(request, versions.TAGS)
        return request.get_response(self._application)

    def in_own_form(self, answer: Response) -> Response:
        """Give a response the caller's version."""
        if self._unversioned:
            versions.answer_without(answer)
        elif self.older is not None:
            versions.answer_as(answer, self.older)
        return answer

    def own_link(self, href: str) -> str:
        """Return a link in a response for the caller's address."""
        if self._newer_root == self._root:
            return href
        return href.replace("/v2.1/", "/v2/", 1)


class TagsAdapter:
    """Lets :class:`.TagSchedules` send its requests to the application behind this API.

    :ivar last: the last response.
    """

    def __init__(self, nova: Nova) -> None:
        self.last: Response | None = None
        self._nova = nova

    def request(self, url: str, method: str, **options: Any) -> requests.Response:
        """Send a request; of a keystoneauth adapter's options only ``json`` matters."""
        tail = unquote_to_bytes(url).decode("latin-1")
        self.last = self._nova.send(method, tail, body=options.get("json"))
        response = requests.Response()
        response.status_code = self.last.status_int
        response.headers.update(self.last.headers)
        response.raw = io.BytesIO(self.last.body)
        return response

    def schedules(self) -> TagSchedules:
        """Return the schedules of the servers."""
        # Callers learn at once that Nova is busy, and when to retry.
        once = RetryPolicy(tries=1)
        return TagSchedules(Transport(cast("Adapter", self), retry=once))
