"""Answers that a sandbox's own faults do not give: invented, changed or hanging."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.sandbox import Sandbox

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; ``Content-Length`` may promise more than there is."""

    status: str
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def message(status: str, content: bytes, headers: Mapping[str, str]) -> Answer:
    """A whole HTTP answer."""
    return Answer(status, content, {"Content-Length": str(len(content)), **headers})


def page(status: str, html: str = "<html><body>Sorry</body></html>") -> Answer:
    """A page for people, as proxies and load balancers make them."""
    return message(status, html.encode(), {"Content-Type": "text/html; charset=UTF-8"})


def json_answer(status: str, body: str, **headers: str) -> Answer:
    """An answer that says it is JSON; ``Retry_After="1"`` is one more header."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return message(status, body.encode(), {"Content-Type": "application/json", **names})


def cut(answer: Answer, missing: int) -> Answer:
    """The answer without its last bytes, which its length still promises."""
    return replace(answer, content=answer.content[:-missing])


#: The connection ends without an answer.
DROPPED = Answer("", b"")


@dataclass
class Rule:
    """What to answer, and how many more times.

    ``DROPPED`` ends the connection without an answer, and with None it hangs. The
    first ``passed`` requests are answered as usual. With ``done`` all of them are done,
    and only their answers are lost.
    """

    method: str
    path: re.Pattern[str]
    answer: Answer | None
    times: int
    passed: int = 0
    done: bool = False


@dataclass
class Edit:
    """What to change in the sandbox's own answers."""

    method: str
    path: re.Pattern[str]
    change: Callable[[bytes], bytes]


class Interceptor:
    """Stands before the APIs of a sandbox; ``log`` has all requests as they came."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.rules: list[Rule] = []
        self.edits: list[Edit] = []
        self.log: list[str] = []
        self.hanging = Event()
        #: Headers that the sandbox never sees, as WSGI names them.
        self.unheard: set[str] = set()
        #: Changes a query before the sandbox sees it.
        self.rewrite: Callable[[str], str] = str
        sandbox.wrap(lambda application: self._around(application))

    def __enter__(self) -> Interceptor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hanging.set()

    def answer(
        self,
        method: str,
        path: str,
        answer: Answer | None,
        times: int = 99,
        **options: Any,
    ) -> Rule:
        """Answer so to requests whose path and query the expression is found in."""
        rule = Rule(method, re.compile(path), answer, times, **options)
        self.rules.append(rule)
        return rule

    def change(self, method: str, path: str, change: Callable[[bytes], bytes]) -> None:
        """Change the content of the sandbox's own answers."""
        self.edits.append(Edit(method, re.compile(path), change))

    def without_image_service(self) -> None:
        """Take the image service out of the catalog: compute's proxy remains."""
        self.change("POST", "/tokens$", lambda c: c.replace(b'"image"', b'"picture"'))

    def without_extension(self) -> None:
        """Be a cloud without the extension's resource: unknown paths are a page."""
        for method in ("GET", "POST", "DELETE"):
            self.answer(
                method, "/servers/.*/rax-si-image-schedule$", page("404 Not Found")
            )

    def without_schedules(self) -> None:
        """Be a cloud without the extension, and too old for tags."""
        self.without_extension()
        missing = '{"itemNotFound": {"code": 404, "message": "Not there"}}'
        self.answer("GET", "/extensions/", json_answer("404 Not Found", missing))
        names = ("X_OPENSTACK_NOVA_API_VERSION", "OPENSTACK_API_VERSION")
        self.unheard |= {f"HTTP_{name}" for name in names}

    def wrong_answer(self, method: str, path: str) -> Rule | None:
        """Take the wrong answer that is due, if any."""
        for rule in self.rules:
            if rule.times and rule.method == method and rule.path.search(path):
                if rule.passed:
                    rule.passed -= 1
                    continue
                rule.times -= 1
                return rule
        return None

    def _around(self, application: WSGIApplication) -> WSGIApplication:
        def intercept(
            environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            method, path = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
            self.log.append(f"{method} {path}")
            wrong = self.wrong_answer(method, path)
            for name in self.unheard:
                environ.pop(name, None)
            environ["QUERY_STRING"] = self.rewrite(environ["QUERY_STRING"])
            if wrong is None:
                return self._edited(application, environ, start_response)
            if wrong.done:
                _collected(application, environ)
            if wrong.answer is None:
                self.hanging.wait()
                return []
            if wrong.answer is DROPPED:
                return []
            start_response(wrong.answer.status, list(wrong.answer.headers.items()))
            return [wrong.answer.content]

        return intercept

    def _edited(
        self,
        application: WSGIApplication,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
        edits = [
            edit
            for edit in self.edits
            if edit.method == method and edit.path.search(path)
        ]
        if not edits:
            return application(environ, start_response)
        status, headers, content = _collected(application, environ)
        for edit in edits:
            content = edit.change(content)
        kept = [each for each in headers if each[0].lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(content)))])
        return [content]


def _collected(
    application: WSGIApplication, environ: WSGIEnvironment
) -> tuple[str, list[tuple[str, str]], bytes]:
    """Let the sandbox answer, and keep that back."""
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def begin(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        begun.append((status, headers))
        return lambda _content: None

    content = b"".join(application(environ, begin))
    return *begun[-1], content
