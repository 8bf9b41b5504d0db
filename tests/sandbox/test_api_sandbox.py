"""The sandbox as a fixture: how it begins and ends, and its own API."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from rax_scheduled_images_ext.sandbox import Sandbox, identity, volume

from ..functional.raw import Box, Caller, box


@pytest.mark.parametrize("like", ["openstack", "rackspace"])
def test_nothing_is_left_behind(like: Any) -> None:
    before = set(threading.enumerate())
    sandbox = Sandbox(like, speed=0)
    sandbox.start()
    session = requests.Session()
    Caller(sandbox, "admin", session).get("/servers")
    address = ("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    silent = socket.create_connection(address)
    sandbox.stop()
    assert not set(threading.enumerate()) - before
    assert silent.recv(1) == b""
    silent.close()
    session.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(address)
    # What was forgotten would be a warning here, and warnings are errors.
    del sandbox
    gc.collect()


def test_one_that_is_never_started_can_be_stopped() -> None:
    Sandbox(speed=0).stop()


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, rax_scheduled_images_ext.sandbox as s;"
        "assert 'flask' not in sys.modules and 'sqlite3' not in sys.modules;"
        "s.Sandbox; assert 'flask' in sys.modules;"
        "print(s.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("['Sandbox']\n", "")


def test_bad_arguments() -> None:
    with pytest.raises(
        ValueError, match="like 'azure' is not one of openstack, rackspace"
    ):
        Sandbox("azure")  # type: ignore[arg-type]
    with Sandbox(speed=0) as taken:
        port = int(taken.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port)
        with pytest.raises(ValueError, match="there is no user nobody: one of admin"):
            taken.env("nobody")
        with pytest.raises(ValueError, match="there is no region DFW: RegionOne"):
            taken.env(region="DFW")
        with pytest.raises(ValueError, match="'soon' is not a duration"):
            taken.advance("soon")
        with pytest.raises(ValueError, match="cannot go back"):
            taken.advance(-1)


def test_the_same_seed_gives_the_same_cloud() -> None:
    def tale(seed: int) -> tuple[Any, ...]:
        with box("openstack", seed=seed, start=0.0) as made:
            admin = made.admin
            server = admin.boot("new")
            path = f"/servers/{server}/rax-si-image-schedule"
            admin.post(path, {"image_schedule": {"retention": 3}})
            made.sandbox.advance("5d")
            listed = admin.image("GET", "/images").json()
            url = made.sandbox.url
            shown = admin.get("/servers/detail").text.replace(url, "")
            return listed, shown, made.sandbox.env()["OS_PASSWORD"]

    assert tale(1) == tale(1)
    assert all(a != b for a, b in zip(tale(1), tale(2), strict=True))


def test_requests_are_recorded_in_order(cloud_box: Box) -> None:
    admin, sandbox = cloud_box.admin, cloud_box.sandbox
    sandbox.requests.clear()
    admin.get("/servers?name=a%20b&limit=1")
    admin.delete("/servers/none")
    admin.get(f"{sandbox.url}/sandbox/state")
    assert sandbox.requests == [
        ("GET", "/compute/v2.1/servers?name=a%20b&limit=1", 200),
        ("DELETE", "/compute/v2.1/servers/none", 404),
    ]
    assert sandbox.requests[1].status == 404
    sandbox.requests.clear()
    assert sandbox.requests == []


def test_verbose_tells_each_request(capsys: pytest.CaptureFixture[str]) -> None:
    with box("openstack", verbose=True) as made:
        made.admin.get("/servers")
    told = capsys.readouterr()
    assert told.err.splitlines()[-1] == "200 GET /compute/v2.1/servers"
    assert told.out == ""


def test_latency(cloud_box: Box) -> None:
    with box("openstack", latency=2) as slow:
        admin = slow.admin
        begun = time.perf_counter()
        # Each waits for itself, not for the others.
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda _: admin.get("/servers"), range(5)))
        assert 2 <= time.perf_counter() - begun < 10
        assert all(answer.ok for answer in answers)


def test_virtual_time_follows_the_speed() -> None:
    with Sandbox(speed=1000) as fast:
        begun = time.monotonic()
        first = fast.advance(0)
        time.sleep(0.05)
        passed = fast.advance(0) - first
        assert 40 < passed <= 1000 * (time.monotonic() - begun)
    with Sandbox(speed=0, start=1000.0) as still:
        assert still.advance(0) == 1000
        assert still.advance("1d12h") == 1000 + 36 * 3600
        assert still.advance(0.5) == 1000.5 + 36 * 3600


def test_a_state_file_is_gone_on_from(tmp_path: Path) -> None:
    state = tmp_path / "cloud.sqlite"
    with box("openstack", state=state) as first:
        token, server = first.admin.token, first.admin.boot("kept")
        listed = first.admin.get("/servers/detail").json()["servers"]
    with box("openstack", state=str(state), servers=3) as second:
        # The token too is still good.
        headers = {"X-Auth-Token": token}
        again = second.admin.get("/servers/detail", headers=headers).json()["servers"]
    assert [each["id"] for each in again] == [each["id"] for each in listed]
    assert again[0]["created"] == listed[0]["created"]
    assert server in {each["id"] for each in again}


def test_many_at_once(cloud_box: Box) -> None:
    admin = cloud_box.admin

    def boot(number: int) -> int:
        wanted = {"name": f"s{number}", "imageRef": image, "flavorRef": "1"}
        headers = {"X-Auth-Token": admin.token}
        answer = requests.post(
            f"{admin.root}/servers",
            json={"server": wanted},
            headers=headers,
            timeout=60,
        )
        return answer.status_code

    image = admin.base_image()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(boot, range(64))) == {202}
    assert len(admin.get("/servers").json()["servers"]) == 68


def test_each_api_is_made_once_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask at first, and for however many APIs and sandboxes."""
    made: list[str] = []
    being_made = threading.Lock()

    def slowed(name: str, make: Callable[..., Flask]) -> Callable[..., Flask]:
        def slow(*arguments: Any, **options: Any) -> Flask:
            assert being_made.acquire(blocking=False)
            time.sleep(0.05)
            being_made.release()
            made.append(name)
            return make(*arguments, **options)

        return slow

    for api in (identity, volume):
        name = api.__name__.rpartition(".")[2]
        monkeypatch.setattr(api, "make_root", slowed(name, api.make_root))
    with Sandbox(speed=0) as one, Sandbox(speed=0) as other:
        urls = [
            f"{box.url}/{api}" for box in (one, other) for api in ("identity", "volume")
        ]
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda url: requests.get(url, timeout=60), urls * 2)
        assert {answer.status_code for answer in answers} == {300}
    assert sorted(made) == ["identity", "identity", "volume", "volume"]


def test_a_client_that_goes_away_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", left.append)
    with Sandbox(speed=0, faults=["delay 0.2s"]) as slow:
        host, _, port = slow.url.removeprefix("http://").partition(":")
        for number in range(1, 6):
            wire = socket.create_connection((host, int(port)))
            wire.sendall(b"GET /compute/v2.1/ HTTP/1.1\r\nHost: x\r\n\r\n")
            while slow.faults()[0][1] < number:
                time.sleep(0.01)
            # It reports its end at once, and accepts no response.
            at_once = struct.pack("ii", 1, 0)
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            wire.close()
    gc.collect()
    assert not left


# -- HTTP itself


def connection(sandbox: Sandbox) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=60)


def test_connections_are_kept(cloud_box: Box) -> None:
    wire = connection(cloud_box.sandbox)
    wire.connect()
    socket_ = wire.sock
    headers = {"X-Auth-Token": cloud_box.admin.token}
    for method, path, body, status in (
        ("GET", "/compute/v2.1/servers", None, 200),
        # What nobody reads does not become the next request.
        ("GET", "/compute/v2.1/servers", b"x" * 100_000, 200),
        ("POST", "/compute/v2.1/nothing", b"GET / HTTP/1.1\r\n\r\n", 404),
        ("HEAD", "/compute/v2.1/servers", None, 200),
        ("DELETE", "/compute/v2.1/servers/none", None, 404),
        ("GET", "/compute/v2.1/servers", None, 200),
    ):
        wire.request(method, path, body, headers)
        answer = wire.getresponse()
        content = answer.read()
        assert answer.status == status
        assert bool(content) == (method != "HEAD")
        assert wire.sock is socket_
    wire.close()


def test_chunks(cloud_box: Box) -> None:
    wire = connection(cloud_box.sandbox)
    headers = {"X-Auth-Token": cloud_box.admin.token}
    body = json.dumps({"name": "in pieces"}).encode()
    for _ in range(2):
        pieces = iter([body[:5], body[5:]])
        wire.request("POST", "/image/v2/images", pieces, headers, encode_chunked=True)
        answer = wire.getresponse()
        assert (answer.status, json.load(answer)["name"]) == (201, "in pieces")
    wire.close()


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort",
    ],
)
def test_nonsense_ends_a_connection_and_nothing_else(
    cloud_box: Box, text: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    address = ("127.0.0.1", int(cloud_box.sandbox.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=60) as wire:
        wire.sendall(text)
        wire.shutdown(socket.SHUT_WR)
        while wire.recv(4096):
            pass
    assert cloud_box.admin.get("/servers").ok
    assert capsys.readouterr().err == ""


# -- the API under /sandbox


def test_advance_and_state(cloud_box: Box) -> None:
    admin, url = cloud_box.admin, f"{cloud_box.sandbox.url}/sandbox"
    path = f"/servers/{admin.server_id()}/rax-si-image-schedule"
    weekly = {"retention": 2, "day_of_week": "MONDAY"}
    admin.post(path, {"image_schedule": weekly})
    before = requests.get(f"{url}/state", timeout=60).json()["now"]
    answer = requests.post(f"{url}/advance", json={"duration": "15d"}, timeout=60)
    assert answer.status_code == 200
    state = requests.get(f"{url}/state", timeout=60).json()
    assert state["now"] == answer.json()["now"] > before
    servers = {s["name"]: s for s in state["regions"]["RegionOne"]["servers"]}
    mine = servers["myserver"]
    assert {k: mine["schedule"][k] for k in weekly} == weekly
    assert [image["name"][:16] for image in mine["images"]] == ["Weekly-myserver-"] * 2
    assert servers["web1"]["schedule"] is None
    images = state["regions"]["RegionOne"]["images"]
    assert {image["name"][:9] for image in images} == {"Appliance", "Debian 12"}
    answer = requests.post(f"{url}/advance", json={"seconds": 1.5}, timeout=60)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"duration": "soon"},
        {"duration": 5},
        {"seconds": "5"},
        {"seconds": -1},
        {"seconds": True},
        {"seconds": float("inf")},
        {"seconds": float("nan")},
    ],
)
def test_advance_refuses(cloud_box: Box, body: Any) -> None:
    now = cloud_box.sandbox.advance(0)
    url = f"{cloud_box.sandbox.url}/sandbox/advance"
    headers = {"Content-Type": "application/json"}
    answer = requests.post(url, data=json.dumps(body), headers=headers, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert cloud_box.sandbox.advance(0) == now


def test_env(cloud_box: Box) -> None:
    url = f"{cloud_box.sandbox.url}/sandbox/env"
    assert requests.get(url, timeout=60).json() == cloud_box.sandbox.env()
    creator = requests.get(f"{url}?user=creator", timeout=60).json()
    assert creator["OS_USERNAME"] == "creator"
    unknown = requests.get(f"{url}?user=nobody", timeout=60)
    assert unknown.status_code == 404
    assert "there is no user nobody" in unknown.json()["error"]


@pytest.mark.parametrize("like", ["openstack", "rackspace"])
def test_the_operators_hand(like: str) -> None:
    with box(like) as made:
        admin = made.admin
        server_id = admin.server_id()
        url = f"{made.sandbox.url}/sandbox/servers/{server_id}/state"

        def force(state: str) -> requests.Response:
            return requests.post(url, json={"state": state}, timeout=60)

        def status() -> str:
            shown = admin.get(f"/servers/{server_id}").json()["server"]
            return str(shown["status"])

        assert force("held").json()["held"] is True
        assert status() == "SHUTOFF"
        action = {"createImage": {"name": "x"}}
        path = f"/servers/{server_id}/action"
        assert admin.post(path, action).status_code == 409
        assert admin.post(path, {"os-start": None}).status_code == 409
        assert force("released").json()["held"] is False
        assert status() == "ACTIVE"
        assert force("error").json()["status"] == "ERROR" == status()
        assert admin.post(path, action).status_code == 409
        assert force("active").ok
        assert admin.post(path, action).status_code == 202
        assert force("purple").status_code == 400
        nowhere = url.replace(server_id, "none")
        assert (
            requests.post(nowhere, json={"state": "held"}, timeout=60).status_code
            == 404
        )


def test_other_paths_of_the_sandbox(cloud_box: Box) -> None:
    for path, status in (("/sandbox/nothing", 404), ("/sandbox", 404), ("/", 404)):
        answer = requests.get(cloud_box.sandbox.url + path, timeout=60)
        assert answer.status_code == status
    assert (
        requests.get(f"{cloud_box.sandbox.url}/sandbox/advance", timeout=60).status_code
        == 405
    )


class TestWebPages:
    """The sandbox's own API asks for no token, so it is not for web pages."""

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8740", "10.0.0.1", "127.0.0.1.evil.de"]
    )
    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "env"), ("GET", "state"), ("POST", "advance")]
    )
    def test_a_host_of_others(
        self, cloud_box: Box, host: str, method: str, path: str
    ) -> None:
        before = cloud_box.sandbox.cloud.clock.now()
        answer = requests.request(
            method,
            f"{cloud_box.sandbox.url}/sandbox/{path}",
            json={"duration": "1d"} if method == "POST" else None,
            headers={"Host": host},
            timeout=60,
        )
        assert answer.status_code == 403
        assert cloud_box.sandbox.env()["OS_PASSWORD"] not in answer.text
        assert cloud_box.sandbox.cloud.clock.now() == before

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.9", "[::1]"])
    def test_a_host_of_this_machine(self, cloud_box: Box, host: str) -> None:
        url = f"{cloud_box.sandbox.url}/sandbox/state"
        for name in (host, f"{host}:8740"):
            assert requests.get(url, headers={"Host": name}, timeout=60).ok

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "env"), ("POST", "advance"), ("DELETE", "faults")]
    )
    def test_any_origin(
        self, cloud_box: Box, origin: str, method: str, path: str
    ) -> None:
        answer = requests.request(
            method,
            f"{cloud_box.sandbox.url}/sandbox/{path}",
            json={"duration": "1d"} if method == "POST" else None,
            headers={"Origin": origin},
            timeout=60,
        )
        assert (answer.status_code, answer.json()) == (
            403,
            {"error": "not for web pages"},
        )

    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", None]
    )
    @pytest.mark.parametrize("path", ["advance", "faults"])
    def test_only_json(self, cloud_box: Box, kind: str | None, path: str) -> None:
        answer = requests.post(
            f"{cloud_box.sandbox.url}/sandbox/{path}",
            data=b'{"duration": "1d", "faults": ["GET / 503"]}',
            headers={"Content-Type": kind} if kind else {},
            timeout=60,
        )
        assert (answer.status_code, cloud_box.sandbox.faults()) == (415, [])
