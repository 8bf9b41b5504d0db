"""A server in front of the sandbox that passes requests on, or answers wrongly."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from rax_scheduled_images_ext.sandbox import Sandbox


def page(status: str, html: str = "<html><body>Sorry</body></html>") -> bytes:
    """A page for people, as proxies and load balancers make them."""
    return message(status, html.encode(), {"Content-Type": "text/html; charset=UTF-8"})


def message(status: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def json_answer(status: str, body: str, **headers: str) -> bytes:
    """An answer that says it is JSON; ``Retry_After="1"`` is one more header."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return message(status, body.encode(), {"Content-Type": "application/json", **names})


def cut(answer: bytes, missing: int) -> bytes:
    """The answer without its last bytes, which its length still promises."""
    return answer[:-missing]


@dataclass
class Rule:
    """What to answer, and how many more times, None being no answer at all.

    The first ``passed`` requests are answered as usual; with ``done`` all of them
    are passed on, and only their answers are lost.
    """

    method: str
    path: re.Pattern[str]
    answer: bytes | None
    times: int
    passed: int = 0
    done: bool = False


@dataclass
class Edit:
    """What to change in the sandbox's own answers."""

    method: str
    path: re.Pattern[str]
    change: Callable[[bytes], bytes]


class FaultyProxy:
    """A cloud's front door: ``env`` leads clients to it, and it to the sandbox.

    The sandbox makes its catalog from the address it was asked at, so that all
    further requests come through here as well; ``log`` has them all.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.rules: list[Rule] = []
        self.edits: list[Edit] = []
        self.log: list[str] = []
        self.hanging = Event()
        #: What becomes of a path with its query before it is passed on.
        self.rewrite: Callable[[str], str] = str
        self.sandbox = sandbox
        self.target = urlsplit(sandbox.url).netloc
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self) -> FaultyProxy:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hanging.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def env(self) -> dict[str, str | None]:
        """Variables in place of the sandbox's own."""
        auth_url = self.sandbox.env()["OS_AUTH_URL"]
        return {"OS_AUTH_URL": auth_url.replace(self.sandbox.url, self.url)}

    def answer(
        self,
        method: str,
        path: str,
        answer: bytes | None,
        times: int = 99,
        **options: Any,
    ) -> Rule:
        """Answer so to requests whose path and query the expression is found in."""
        rule = Rule(method, re.compile(path), answer, times, **options)
        self.rules.append(rule)
        return rule

    def change(self, method: str, path: str, change: Callable[[bytes], bytes]) -> None:
        """Change the content of answers that are passed on."""
        self.edits.append(Edit(method, re.compile(path), change))

    def without_image_service(self) -> None:
        """Take the image service out of the catalog: compute's proxy remains."""
        self.change("POST", "/tokens$", lambda c: c.replace(b'"image"', b'"picture"'))

    def without_extension(self) -> None:
        """Be a cloud that has no scheduled images: unknown paths are a page."""
        for method in ("GET", "POST", "DELETE"):
            self.answer(
                method, "/servers/.*/rax-si-image-schedule$", page("404 Not Found")
            )

    def edited(self, method: str, path: str, content: bytes) -> bytes:
        """Return what becomes of the content of an answer."""
        for edit in self.edits:
            if edit.method == method and edit.path.search(path):
                content = edit.change(content)
        return content

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


def handler(front: FaultyProxy) -> type[BaseHTTPRequestHandler]:
    """Make the class whose objects serve one connection each."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            front.log.append(f"{self.command} {self.path}")
            wrong = front.wrong_answer(self.command, self.path)
            if wrong is None:
                self.pass_on(body)
                return
            if wrong.done:
                self.ask(body)
            if wrong.answer is None:
                front.hanging.wait()
            self.wfile.write(wrong.answer or b"")
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815

        def ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
            connection = http.client.HTTPConnection(front.target)
            path = front.rewrite(self.path)
            connection.request(self.command, path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer, content

        def pass_on(self, body: bytes) -> None:
            answer, content = self.ask(body)
            content = front.edited(self.command, self.path, content)
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in (
                    "transfer-encoding",
                    "content-length",
                    "connection",
                ):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            pass

    return Handler
