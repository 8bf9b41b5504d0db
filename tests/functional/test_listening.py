"""Where the programs listen: addresses of IPv6, and what is no address."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
import requests

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.service.metrics import Metrics, MetricsServer

from ..serviceshell import Service
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
    server = MetricsServer(Metrics().registry, "::1", 0)
    try:
        answer = requests.get(f"http://[::1]:{server.port}/metrics", timeout=60)
        assert "scheduled_images_under_way" in answer.text
    finally:
        server.close()


@ipv6
@PLAIN
def test_the_api(cloud_box: Box, started: Callable[..., Started]) -> None:
    process, url = started(cloud_box.admin.root, "--host", "::1")
    assert url.startswith("http://[::1]:")
    assert cloud_box.admin.get(f"{url}/servers").status_code == 200
    ended(process)


@pytest.mark.parametrize("host", ["", "..", "a..b", "x" * 64])
def test_what_is_no_host(cloud: Sandbox, host: str) -> None:
    for argv in (
        ["run", "--metrics-port", "0", "--metrics-host", host],
        ["api", "--compute", "http://nova", "--host", host],
    ):
        result = Service(cloud)(*argv)
        assert (result.status, result.out) == (2, "")
        assert result.err.endswith(
            "that is not a host: write a name or an address, such as ::1\n"
        )
        assert result.err.count("\n") == 1
