"""A sandbox that writes a line for each response: status, method, path, bytes.

A program of its own: ``python counted.py OPTIONS``, with the arguments of
:class:`.Sandbox` as JSON. It prints the variables of a user, and ends with its input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.sandbox import Sandbox

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def main() -> None:
    """Serve until the input ends."""
    with Sandbox(**json.loads(sys.argv[1])) as sandbox:
        sandbox.wrap(_counted)
        print(json.dumps(sandbox.env()), flush=True)
        sys.stdin.read()


def _counted(application: WSGIApplication) -> WSGIApplication:
    def answer(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        statuses: list[str] = []

        def begin(status: str, *arguments: Any) -> Any:
            statuses.append(status[:3])
            return start_response(status, *arguments)

        content = list(application(environ, begin))
        size = sum(map(len, content))
        what = f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']}"
        print(*statuses[-1:], what, size, file=sys.stderr)
        return content

    return answer


if __name__ == "__main__":
    main()
