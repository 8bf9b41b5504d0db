"""scheduled-images-service api, as it is called: a proxy before any compute service."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import requests
from webob import Request

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.service.api.upstream import Upstream

from ..serviceshell import Service
from ..waiting import until
from .conftest import Start
from .fleet import MYSERVER
from .raw import Box

PROGRAM = Path(sys.executable).with_name("scheduled-images-service")
SCHEDULE = f"/servers/{MYSERVER}/rax-si-image-schedule"

pytestmark = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
Started = tuple[subprocess.Popen[str], str]


@pytest.fixture
def started(cloud: Sandbox, start: Start) -> Callable[..., Started]:
    """Start the program: it, and the address that it logs; it is ended at last."""

    def run(compute: str, *options: str) -> Started:
        argv = ("api", "--compute", compute, "--port", "0", *options)
        process = start(PROGRAM, *argv, env=cloud.environ())
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(r"\S+ INFO service started url=(\S+)\n", line)
        assert found is not None, line
        return process, found[1]

    return run


def ended(process: subprocess.Popen[str]) -> str:
    """End a process as it is to be ended; what it has logged."""
    process.send_signal(signal.SIGTERM)
    # Long before a request that hangs would be over.
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    return err


def test_it_serves_until_it_is_stopped(
    cloud_box: Box, started: Callable[..., Started]
) -> None:
    admin = cloud_box.admin
    process, url = started(admin.root, "--roles", "rackspace")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/compute/v2\.1", url)
    creator = cloud_box.as_("creator")
    body = {"image_schedule": {"retention": 5}}
    assert creator.post(url + SCHEDULE, body).json() == body
    assert creator.delete(url + SCHEDULE).status_code == 403
    assert admin.delete(url + SCHEDULE).status_code == 202
    # The document of the versions is above the version; nothing is beside it.
    root = url.removesuffix("/v2.1")
    versions = requests.get(f"{root}/", timeout=60).json()["versions"]
    assert versions[-1]["links"][0]["href"] == f"{root}/v2.1/"
    beside = root.removesuffix("/compute") + "/identity/v3"
    assert requests.get(beside, timeout=60).status_code == 404
    assert re.fullmatch(r"\S+ INFO service ended\n", ended(process))


def test_a_request_that_hangs_does_not_keep_it(
    cloud: Sandbox, cloud_box: Box, started: Callable[..., Started]
) -> None:
    process, url = started(cloud_box.admin.root)
    cloud.fault("GET /flavors delay 600s")

    def ask() -> None:
        with pytest.raises(requests.ConnectionError):
            cloud_box.admin.get(f"{url}/flavors")

    asking = Thread(target=ask)
    asking.start()
    until(lambda: cloud.faults()[0][1] > 0)
    ended(process)
    asking.join(60)
    assert not asking.is_alive()


def test_a_request_under_way_is_answered(
    cloud: Sandbox, cloud_box: Box, started: Callable[..., Started]
) -> None:
    process, url = started(cloud_box.admin.root)
    cloud.fault("GET /flavors delay 0.5s")
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(cloud_box.admin.get, f"{url}/flavors")
        until(lambda: cloud.faults()[0][1] > 0)
        ended(process)
        assert asking.result().json()["flavors"]


@pytest.fixture
def service() -> Iterator[tuple[str, list[Any], Event]]:
    """A service that tells half of its answer, and the rest when the event is set."""
    seen: list[Any] = []
    go_on = Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, dict(self.headers), content))
            self.send_response(299, "As It Likes")
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("X-Own", "value")
            self.send_header("Set-Cookie", "a=1")
            self.send_header("Set-Cookie", "b=2")
            self.end_headers()
            for half in (b"first ", b"second"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(half), half))
                self.wfile.flush()
                go_on.wait(60)
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: Any) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen, go_on
        go_on.set()
        server.shutdown()
        thread.join()


def test_the_rest_passes_as_it_comes(
    started: Callable[..., Started], service: tuple[str, list[Any], Event]
) -> None:
    address, seen, go_on = service
    _, url = started(address)
    content = "ä".encode() * 100_000
    path = "/v2.1/x%20y/%C3%A4;a=1/~b?c=%2F&d=e+f&d"
    headers = {"X-Sent": "one, two", "Accept-Encoding": "gzip", "X-Forwarded-For": "1"}
    with requests.post(
        url + path, content, headers=headers, stream=True, timeout=60
    ) as answer:
        pieces = answer.iter_content(1024)
        # The second half has not been sent.
        assert next(pieces) == b"first "
        go_on.set()
        assert b"".join(pieces) == b"second"
    assert (answer.status_code, answer.reason) == (299, "As It Likes")
    assert answer.headers["X-Own"] == "value"
    assert answer.cookies.get_dict() == {"a": "1", "b": "2"}
    ((sent_path, sent, sent_content),) = seen
    assert (sent_path, sent_content) == (path, content)
    assert sent["X-Sent"] == "one, two"
    assert sent["Accept-Encoding"] == "gzip"
    assert sent["X-Forwarded-For"] == "1, 127.0.0.1"
    assert f"http://{sent['Host']}" == url


def test_a_service_that_is_not_there(started: Callable[..., Started]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        process, url = started(f"http://127.0.0.1:{taken.getsockname()[1]}/v2.1")
        for path in ("/servers", SCHEDULE, "/flavors"):
            answer = requests.get(f"{url}{path}", timeout=60)
            assert answer.status_code == 502
            assert "cannot be reached" in answer.json()["computeFault"]["message"]
    lines = ended(process).splitlines()
    assert len(lines) == 4
    for line in lines[:3]:
        assert " ERROR compute service failed reason=" in line


@pytest.mark.usefixtures("cloud")
def test_a_service_that_drips() -> None:
    """Each byte ends its silence, and none comes to an end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        gone = Event()

        def drip() -> None:
            connection = listening.accept()[0]
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not gone.wait(0.1):
                    connection.sendall(b"x")

        dripping = Thread(target=drip)
        dripping.start()
        environ = Request.blank("/v2.1/servers", method="POST").environ
        answer = Request(environ).get_response(Upstream(address, 1, limit=1.0))
        gone.set()
        dripping.join()
    assert answer.status_int == 502


def test_a_service_that_breaks_off(
    cloud: Sandbox, cloud_box: Box, started: Callable[..., Started]
) -> None:
    process, url = started(cloud_box.admin.root)
    cloud.fault("PUT /metadata drop x1")
    put = cloud_box.admin.put
    path = f"{url}/servers/{MYSERVER}/metadata/a"
    assert put(path, {"meta": {"a": "1"}}).status_code == 502
    assert put(path, {"meta": {"a": "1"}}).status_code == 200
    assert " ERROR compute service failed reason=" in ended(process)


def test_a_port_that_is_taken(cloud: Sandbox) -> None:
    port = cloud.url.rpartition(":")[2]
    result = Service(cloud)("api", "--compute", "http://127.0.0.1:1", "--port", port)
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        f"scheduled-images-service: error: cannot listen on 127.0.0.1 port {port}:"
        " Address already in use\n"
    )


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ("", "the following arguments are required: --compute"),
        ("--compute nova", "'nova' is not an address: write it as http://HOST:PORT"),
        ("--compute ftp://nova", "'ftp://nova' is not an address: write it as http"),
        ("--compute http://nova:x", "'http://nova:x' is not an address"),
        ("--compute http://nova --port x", "'x' is not allowed: a whole number from"),
        ("--compute http://nova --roles some", "invalid choice: 'some'"),
        ("--compute http://nova --roles rackspace", "--roles requires --auth-url or"),
        ("--compute https://nova --cacert /none", "cannot read /none"),
    ],
)
def test_bad_input(cloud: Sandbox, argv: str, problem: str) -> None:
    result = Service(cloud)("api", *argv.split(), env=dict.fromkeys(cloud.env()))
    assert (result.status, result.out) == (2, "")
    assert problem in result.err
    assert result.err.count("\n") == 1
