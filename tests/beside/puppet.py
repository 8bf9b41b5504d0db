"""Runs commands of the service by any version of it, request by request.

``python puppet.py FOLDER`` imports the package in the folder. Each line of its input
with the arguments of a command starts that in a process of its own, which waits before
each request for a line that says what happens to it (:class:`.actors.Command`). Lines
are JSON; what the command prints itself goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

import requests

_KILLED = 137


class Strings:
    """What the puppet hangs on: a line comes for each that is sent."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb", 0)
        self._in = os.fdopen(os.dup(0), "rb", 0)
        os.dup2(2, 1)
        self.lock = threading.Lock()
        self._real, self._shift = time.monotonic, 0.0

    def send(self, *said: Any) -> None:
        self._out.write(json.dumps(said).encode() + b"\n")

    def receive(self) -> Any:
        return json.loads(self._in.readline() or "null")

    def seconds(self) -> float:
        """The clock: this machine's, and what the test lets pass besides."""
        return self._real() + self._shift

    def request(self, session: requests.Session, prepared: Any, **options: Any) -> Any:
        """Do with a request what the test says."""
        url = str(prepared.url)
        if "/identity/" in url:
            return _send(session, prepared, **options)
        with self.lock:
            body = prepared.body if prepared.method == "POST" else None
            text = body.decode() if isinstance(body, bytes) else body
            self.send("request", prepared.method, url, text)
            command, passed = self.receive()
            self._shift += passed
            if command == "kill":
                os._exit(_KILLED)
            if command == "cut":
                raise requests.ConnectionError("cut")
            if isinstance(command, int):
                return _refusal(prepared, command)
            answer = _send(session, prepared, **options)
            if command == "kill after":
                os._exit(_KILLED)
            if command == "lose":
                raise requests.ConnectionError("lost")
            return answer


def _refusal(prepared: requests.PreparedRequest, status: int) -> requests.Response:
    response = requests.Response()
    response.status_code, response.reason = status, "refused"
    response.url, response.request = str(prepared.url), prepared
    response.headers["Retry-After"] = "0"
    response._content = b""
    return response


_send = requests.Session.send
_sleep = time.sleep


def main(folder: str) -> None:
    strings = Strings()
    # Before the package is imported, which takes them as they are then.
    time.monotonic = strings.seconds
    time.sleep = lambda seconds: _sleep(min(float(seconds), 0.01))
    requests.Session.send = lambda self, prepared, **options: strings.request(  # type: ignore[method-assign]
        self, prepared, **options
    )
    sys.path.insert(0, folder)
    import rax_scheduled_images_ext
    import rax_scheduled_images_ext.engine.runner
    import rax_scheduled_images_ext.service.cli as cli
    import rax_scheduled_images_ext.service.clouds
    import rax_scheduled_images_ext.service.loop

    assert str(rax_scheduled_images_ext.__file__).startswith(folder)
    strings.send("ready")
    while (argv := strings.receive()) is not None:
        pid = os.fork()
        if pid == 0:
            try:
                status = cli.main(argv)
            except SystemExit as error:
                status = int(error.code or 0)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, waited = os.waitpid(pid, 0)
        strings.send("end", os.waitstatus_to_exitcode(waited))


if __name__ == "__main__":
    main(sys.argv[1])
