"""A sandbox whose new servers are in BUILD for a while; it makes them at once.

A program of its own: ``python slow_boots.py SECONDS OPTIONS``, with the arguments of
:class:`.Sandbox` as JSON. It prints the variables of a user, and ends with its input.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.sandbox import Sandbox

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SECONDS = float(sys.argv[1])
# When each new server is ACTIVE.
_active: dict[str, float] = {}


def main() -> None:
    """Serve until the input ends."""
    with Sandbox(**json.loads(sys.argv[2])) as sandbox:
        sandbox.wrap(_slowly)
        print(json.dumps(sandbox.env()), flush=True)
        sys.stdin.read()


def _slowly(application: WSGIApplication) -> WSGIApplication:
    def answer(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        started: list[Any] = []

        def begin(*arguments: Any) -> Any:
            started[:] = arguments
            return lambda _: None

        content = b"".join(application(environ, begin))
        if "/servers" in environ["PATH_INFO"] and content[:1] == b"{":
            content = _seen(environ["REQUEST_METHOD"], json.loads(content))
        status, headers, *more = started
        kept = [each for each in headers if each[0].lower() != "content-length"]
        length = ("Content-Length", str(len(content)))
        start_response(status, [*kept, length], *more)
        return [content]

    return answer


def _seen(method: str, answer: dict[str, Any]) -> bytes:
    """Note a new server, and show one that is new as it is on a real cloud."""
    server = answer.get("server", {})
    if method == "POST" and "id" in server:
        _active[server["id"]] = time.monotonic() + _SECONDS
    for each in (server, *answer.get("servers", ())):
        if "status" in each and time.monotonic() < _active.get(each["id"], 0.0):
            each |= {"status": "BUILD", "OS-EXT-STS:task_state": "spawning"}
    return json.dumps(answer).encode()


if __name__ == "__main__":
    main()
