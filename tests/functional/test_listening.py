"""Where the programs listen: IPv6 addresses, and invalid addresses."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest
import requests

from rax_scheduled_images_ext.panel.cli import main as panel
from rax_scheduled_images_ext.programs.http_server import Server
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.cli import main as sandbox
from rax_scheduled_images_ext.service.cli import main as service
from rax_scheduled_images_ext.service.metrics import Metrics, metrics_app

from ..serviceshell import Service
from ..shell import untouched_logging
from .raw import Box
from .test_service_api_proxy import Started, ended, started

__all__ = ["started"]


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
PLAIN = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)


@ipv6
def test_metrics() -> None:
    server = Server("::1", 0, threads=1)
    server.start(metrics_app(Metrics().registry))
    try:
        answer = requests.get(f"{server.url}/metrics", timeout=60)
        assert "scheduled_images_under_way" in answer.text
    finally:
        server.stop()


@ipv6
@PLAIN
def test_the_api(cloud_box: Box, started: Callable[..., Started]) -> None:
    process, url = started(cloud_box.admin.root, "--host", "::1")
    assert url.startswith("http://[::1]:")
    assert cloud_box.admin.get(f"{url}/servers").status_code == 200
    ended(process)


UNKNOWN, TAKEN = "nowhere.invalid", "127.0.0.1"


@pytest.mark.parametrize("host", [UNKNOWN, TAKEN])
@pytest.mark.parametrize(
    ("main", "argv"),
    [
        (service, ("run", "--metrics-host", "HOST", "--metrics-port", "PORT")),
        (service, ("api", "--compute", "http://x", "--host", "HOST", "--port", "PORT")),
        (sandbox, ("run", "--host", "HOST", "--port", "PORT")),
        (panel, ("--login", "--host", "HOST", "--port", "PORT")),
    ],
)
def test_where_none_can_listen(
    cloud: Sandbox,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    main: Callable[[list[str]], int],
    argv: tuple[str, ...],
    host: str,
) -> None:
    """All programs say the same."""
    for name, value in cloud.env().items():
        monkeypatch.setenv(name, value)
    port = cloud.url.rpartition(":")[2]
    words = {"HOST": host, "PORT": port}
    with untouched_logging():
        assert main([words.get(each, each) for each in argv]) == 1
    out, err = capsys.readouterr()
    # What a resolver says depends on the machine.
    why = "Address already in use" if host == TAKEN else "(?!Unknown error).+"
    line = rf"scheduled-images-\w+: error: cannot listen on {host} port {port}: {why}\n"
    assert (out, bool(re.fullmatch(line, err))) == ("", True), err


@pytest.mark.parametrize("host", ["", "..", "a..b", "x" * 64])
def test_not_a_host(cloud: Sandbox, host: str) -> None:
    for argv in (
        ["run", "--metrics-port", "0", "--metrics-host", host],
        ["api", "--compute", "http://nova", "--host", host],
    ):
        result = Service(cloud)(*argv)
        assert (result.status, result.out) == (2, "")
        assert result.err.endswith(
            "not a host: write a name or an address, such as ::1\n"
        )
        assert result.err.count("\n") == 1
