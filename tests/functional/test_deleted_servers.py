"""A server that Nova still shows for a moment after its deletion is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from .interceptor import Interceptor


@pytest.fixture
def front(cloud: Sandbox) -> Iterator[Interceptor]:
    """The cloud, in which db1 is deleted once it has been seen in a snapshot."""
    seen = []

    def deleted(content: bytes) -> bytes:
        body = json.loads(content)
        for server in body.get("servers", [body.get("server", {})]):
            if server.get("OS-EXT-STS:task_state") is None:
                continue
            seen.append(server)
            if len(seen) > 1:
                server |= {"status": "DELETED", "OS-EXT-STS:vm_state": "deleted"}
                server["OS-EXT-STS:task_state"] = None
        return json.dumps(body).encode()

    with Interceptor(cloud) as front:
        front.change("GET", "/servers/", deleted)
        yield front


@pytest.mark.parametrize("servers", [["db1"], ["db1", "web1"]])
def test_watching_it(nova: Any, front: Interceptor, servers: list[str]) -> None:
    nova.ok("image-create", "db1", "x")
    argv = ("snapshot-watch", "--interval", "0.1", *servers)
    result = nova(*argv)
    assert result.status == 5
    assert "DELETED" not in result.out
    line = "ERROR (ServerDisappeared): server db1 has disappeared!"
    assert line in result.err.splitlines()


def test_holding_it(nova: Any, front: Interceptor) -> None:
    hooks = ("--before", "echo held", "--after", "echo resumed")
    argv = ("snapshot-create", "--interval", "0.1", *hooks, "db1", "x")
    result = nova(*argv)
    assert result.status == 5
    assert result.err.count("\nresumed\n") == 1
    assert "ERROR (ServerDisappeared): server db1 has disappeared!" in result.err
