"""The extension's API as a WSGI application around Nova's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from webob import Response

from rax_scheduled_images_ext.model.extension import ALIAS, KEPT_AS_TAGS, KEPT_HEADER
from rax_scheduled_images_ext.service.api import extensions, servers, tags
from rax_scheduled_images_ext.service.api.answers import Refused, fault, tell_about
from rax_scheduled_images_ext.service.api.nova import Nova
from rax_scheduled_images_ext.service.api.reading import normalize
from rax_scheduled_images_ext.service.api.rights import CallerRights
from rax_scheduled_images_ext.service.api.schedules import ScheduleResource

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    # Returns None for requests that Nova answers by itself.
    Handler = Callable[[Nova, CallerRights, re.Match[str]], Response | None]

_SERVER = "/servers/(?P<server>[^/]+)"


def _resource(nova: Nova, rights: CallerRights, found: re.Match[str]) -> Response:
    return ScheduleResource(nova, rights, found["server"]).answer()


def _one_tag(nova: Nova, rights: CallerRights, found: re.Match[str]) -> None:
    tags.may_change_tag(nova, rights, found["tag"])


# The first that matches answers.
_ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
    (methods, re.compile(path), handler)
    for methods, path, handler in (
        ("GET POST DELETE", f"{_SERVER}/{ALIAS}", _resource),
        (
            "GET",
            "/servers/?",
            lambda nova, *_: servers.server_list(nova, detail=False),
        ),
        (
            "GET",
            "/servers/detail/?",
            lambda nova, *_: servers.server_list(nova, detail=True),
        ),
        (
            "GET PUT",
            f"{_SERVER}/?",
            lambda nova, _, found: servers.one_server(nova, found["server"]),
        ),
        (
            "POST",
            f"{_SERVER}/action/?",
            lambda nova, _, found: servers.one_server(nova, found["server"]),
        ),
        (
            "GET PUT DELETE",
            f"{_SERVER}/tags/?",
            lambda nova, rights, _: tags.all_tags(nova, rights),
        ),
        ("PUT DELETE", f"{_SERVER}/tags/(?P<tag>[^/]+)/?", _one_tag),
        (
            "POST",
            "/(servers|os-volumes_boot)/?",
            lambda nova, rights, _: tags.new_server(nova, rights),
        ),
        ("GET", "/extensions/?", lambda nova, *_: extensions.extension_list(nova)),
        (
            "GET",
            f"/extensions/{ALIAS}/?",
            lambda nova, *_: extensions.our_extension(nova),
        ),
    )
)


def _refusal(nova: Nova, refused: Refused) -> Response:
    """Return a refusal like Nova's own, with its time and the request's version."""
    if not refused.own:
        return refused.answer
    # Nova authenticates the caller.
    about = nova.send("GET", "/servers", query="limit=0", with_tags=False)
    if 400 <= about.status_int < 500:
        return about
    if about.status_int < 300:
        tell_about(refused.answer, about)
    return refused.answer


# Paths that any Nova, older ones included, may take for a change of tags.
_TAGS = re.compile(r".*/servers/[^/]+/tags([./].*)?")
_CREATION = re.compile(r".*/(servers|os-volumes_boot)(\.[^/]*)?/?")


class ScheduledImagesApi:
    """Nova's API with the scheduled images extension, stored as server tags.

    :param application: Nova's, or one that forwards requests to Nova.
    :param rights: who may change schedules; None for everyone who may change tags.
    """

    def __init__(
        self, application: WSGIApplication, rights: CallerRights | None = None
    ) -> None:
        self._application = application
        self._rights = rights or CallerRights()

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            normalize(environ)
            answer = self._answer(environ)
        except Refused as refused:
            answer = refused.answer
        if answer is not None:
            answer.headers[KEPT_HEADER] = KEPT_AS_TAGS
        application = self._application if answer is None else answer
        content: Iterable[bytes] = application(environ, start_response)
        return content

    def _answer(self, environ: WSGIEnvironment) -> Response | None:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        nova = Nova.of(self._application, environ)
        if nova is not None:
            for methods, pattern, handler in _ROUTES:
                found = pattern.fullmatch(nova.tail)
                if found and method in methods.split():
                    try:
                        return handler(nova, self._rights, found)
                    except Refused as refused:
                        return _refusal(nova, refused)
        # A request that cannot be judged is not passed on.
        if (method in ("PUT", "DELETE") and _TAGS.fullmatch(path)) or (
            method == "POST" and _CREATION.fullmatch(path)
        ):
            raise Refused(fault(404, "The resource could not be found."))
        return None
