"""Faults of the sandbox, as any client meets them."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.sandbox import Sandbox, cli
from rax_scheduled_images_ext.sandbox.faults.grammar import STATES

from ..functional.raw import Box, Caller, box

PROGRAM = Path(sys.executable).with_name("scheduled-images-sandbox")
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def task_state(admin: Caller, server_id: str) -> str | None:
    server = admin.get(f"/servers/{server_id}").json()["server"]
    state: str | None = server["OS-EXT-STS:task_state"]
    return state


# -- requests


def test_errors_are_in_the_words_of_each_service(cloud_box: Box, admin: Caller) -> None:
    cloud_box.sandbox.fault("409")
    compute = admin.get("/servers")
    assert compute.status_code == 409
    assert compute.json()["conflictingRequest"]["code"] == 409
    assert "x-openstack-request-id" in compute.headers
    image = admin.image("GET", "/images")
    assert (image.status_code, "409" in image.text) == (409, True)
    identity = requests.get(cloud_box.sandbox.env()["OS_AUTH_URL"], timeout=60)
    assert identity.json()["error"]["code"] == 409
    for root in ("/identity", "/compute", "/image"):
        answer = requests.get(f"{cloud_box.sandbox.url}{root}", timeout=60)
        assert answer.status_code == 409


@pytest.mark.parametrize("like", ["openstack", "rackspace"])
def test_refused(like: str) -> None:
    with box(like) as made:
        admin = made.admin
        made.sandbox.fault("POST /action$ refuse")
        action = {"createImage": {"name": "x"}}
        answer = admin.post(f"/servers/{admin.server_id()}/action", action)
        assert answer.status_code == 403
        assert "a fault of the sandbox" in answer.json()["forbidden"]["message"]
        assert task_state(admin, admin.server_id()) is None


def test_every_error_can_be_answered(cloud_box: Box, admin: Caller) -> None:
    for status in http.HTTPStatus:
        if status >= 400:
            cloud_box.sandbox.fault(f"{status.value} x1")
            assert admin.get("/servers").status_code == status
    assert admin.get("/servers").ok


def test_twice_and_then_all_is_well(cloud_box: Box, admin: Caller) -> None:
    cloud_box.sandbox.fault("GET /servers$ 503 retry-after=7 after 1 x2")
    answers = [admin.get("/servers") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 503, 503, 200]
    told = [answer.headers.get("Retry-After") for answer in answers]
    assert told == [None, "7", "7", None]
    assert cloud_box.sandbox.faults() == [
        ("GET /servers$ 503 retry-after=7 after 1 x2", 2)
    ]
    assert [seen.status for seen in cloud_box.sandbox.requests[-4:]] == [
        200,
        503,
        503,
        200,
    ]


def test_a_page_of_a_proxy(cloud_box: Box, admin: Caller) -> None:
    cloud_box.sandbox.fault("502 retry-after=1 html x1")
    answer = admin.get("/servers")
    assert answer.status_code == 502
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.headers["Retry-After"] == "1"
    assert "<h1>502 Bad Gateway</h1>" in answer.text


def test_a_dropped_request_is_not_done(cloud_box: Box, admin: Caller) -> None:
    cloud_box.sandbox.fault("POST /servers$ drop x1")
    with pytest.raises(BROKEN):
        admin.boot("new")
    assert cloud_box.sandbox.requests[-1] == ("POST", "/compute/v2.1/servers", 0)
    assert "new" not in admin.get("/servers").text


def test_a_lost_answer_is_to_a_request_that_was_done(
    cloud_box: Box, admin: Caller
) -> None:
    cloud_box.sandbox.fault("POST /servers$ lose-answer x1")
    with pytest.raises(BROKEN):
        admin.boot("new")
    assert cloud_box.sandbox.requests[-1] == ("POST", "/compute/v2.1/servers", 0)
    assert "new" in admin.get("/servers").text


@pytest.mark.parametrize(("how", "share"), [("", 0.5), ("0", 0), ("10", None)])
def test_a_truncated_answer_promises_all_of_it(
    cloud_box: Box, admin: Caller, how: str, share: float | None
) -> None:
    whole = len(admin.get("/servers").content)
    cloud_box.sandbox.fault(f"GET /servers$ truncate {how} x1")
    wire = http.client.HTTPConnection(cloud_box.sandbox.url.removeprefix("http://"))
    wire.request("GET", "/compute/v2.1/servers", None, {"X-Auth-Token": admin.token})
    answer = wire.getresponse()
    assert int(answer.headers["Content-Length"]) == whole
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    assert len(caught.value.partial) == (10 if share is None else int(whole * share))
    wire.close()
    assert len(admin.get("/servers").content) == whole


def test_an_answer_takes_its_time(cloud_box: Box, admin: Caller) -> None:
    cloud_box.sandbox.fault("GET /servers$ delay 1s x1")
    begun = time.monotonic()
    assert admin.get("/servers").ok
    assert time.monotonic() - begun >= 1
    assert admin.get("/servers").ok
    assert [happened for _, happened in cloud_box.sandbox.faults()] == [1]


def test_a_delay_does_not_outlive_the_sandbox() -> None:
    before = set(threading.enumerate())
    with box("openstack") as made:
        admin = made.admin
        made.sandbox.fault("delay 1h")
        asking = threading.Thread(target=_ask_in_vain, args=(admin,))
        asking.start()
        while not made.sandbox.faults()[0][1]:
            time.sleep(0.01)
    asking.join()
    assert set(threading.enumerate()) <= before


def _ask_in_vain(admin: Caller) -> None:
    with suppress(*BROKEN):
        admin.get("/servers")


@pytest.mark.parametrize("like", ["openstack", "rackspace"])
def test_tokens_expire_once(like: str) -> None:
    with box(like) as made:
        old = made.admin
        assert old.get("/servers").ok
        made.sandbox.fault("GET /servers$ expire")
        # A new login does not match it.
        Caller(made.sandbox, "admin", made.session)
        assert made.sandbox.faults() == [("GET /servers$ expire", 0)]
        assert old.get("/servers").status_code == 401
        assert old.get("/servers").status_code == 401
        new = Caller(made.sandbox, "admin", made.session)
        assert new.get("/servers").ok
        assert old.get("/servers").status_code == 401


def test_a_fault_waits_for_a_state(cloud_box: Box, admin: Caller) -> None:
    server_id = admin.server_id()
    cloud_box.sandbox.fault("GET /servers$ 500 while image_uploading")
    admin.snapshot(server_id, "x")
    assert admin.get("/servers").ok
    cloud_box.sandbox.advance(50)
    assert admin.get("/servers").status_code == 500
    cloud_box.sandbox.advance(100)
    assert admin.get("/servers").ok


def test_the_sandboxs_own_requests_are_spared(cloud_box: Box) -> None:
    cloud_box.sandbox.fault("drop", "delay 1h")
    answer = requests.get(f"{cloud_box.sandbox.url}/sandbox/state", timeout=60)
    assert answer.ok
    assert [happened for _, happened in cloud_box.sandbox.faults()] == [0, 0]


# -- snapshots


@pytest.mark.parametrize("state", STATES)
def test_a_frozen_snapshot_goes_on_when_all_is_well_again(
    cloud_box: Box, admin: Caller, state: str
) -> None:
    server_id = admin.server_id()
    cloud_box.sandbox.fault(f"freeze {state}")
    image_id = admin.snapshot(server_id, "x")
    cloud_box.sandbox.advance("2d")
    assert task_state(admin, server_id) == state
    status = admin.image("GET", f"/images/{image_id}").json()["status"]
    assert status == ("saving" if state == "image_uploading" else "queued")
    cloud_box.sandbox.clear_faults()
    assert task_state(admin, server_id) == state
    cloud_box.sandbox.advance(122)
    assert task_state(admin, server_id) is None
    assert admin.image("GET", f"/images/{image_id}").json()["status"] == "active"


def test_a_snapshot_freezes_where_it_is(cloud_box: Box, admin: Caller) -> None:
    first, second = admin.server_id("db1"), admin.server_id("web1")
    admin.snapshot(first, "x")
    cloud_box.sandbox.advance(10)
    cloud_box.sandbox.fault("freeze")
    admin.snapshot(second, "y")
    cloud_box.sandbox.advance("1h")
    assert task_state(admin, first) == "image_snapshot"
    assert task_state(admin, second) == "image_snapshot_pending"
    cloud_box.sandbox.clear_faults()
    # Ten of the forty seconds had passed.
    cloud_box.sandbox.advance(31)
    assert task_state(admin, first) == "image_snapshot"
    cloud_box.sandbox.advance(1.5)
    assert task_state(admin, first) == "image_pending_upload"


def test_what_is_past_a_state_does_not_come_back_to_it(
    cloud_box: Box, admin: Caller
) -> None:
    server_id = admin.server_id()
    admin.snapshot(server_id, "x")
    cloud_box.sandbox.advance(50)
    cloud_box.sandbox.fault("freeze image_snapshot")
    cloud_box.sandbox.advance(100)
    assert task_state(admin, server_id) is None


def test_what_is_done_is_neither_lost_nor_frozen(cloud_box: Box, admin: Caller) -> None:
    server_id = admin.server_id()
    image_id = admin.snapshot(server_id, "x")
    # The image is ACTIVE a second before the task state is cleared.
    cloud_box.sandbox.advance(120.5)
    assert task_state(admin, server_id) == "image_uploading"
    cloud_box.sandbox.fault("lose-image", "freeze")
    assert [happened for _, happened in cloud_box.sandbox.faults()] == [0, 0]
    cloud_box.sandbox.advance(1)
    assert task_state(admin, server_id) is None
    assert admin.image("GET", f"/images/{image_id}").json()["status"] == "active"


def test_one_server_is_frozen_and_another_is_not(cloud_box: Box, admin: Caller) -> None:
    cloud_box.sandbox.fault("freeze image_snapshot of db1")
    for name in ("db1", "web1"):
        admin.snapshot(admin.server_id(name), "x")
    cloud_box.sandbox.advance("1h")
    assert task_state(admin, admin.server_id("db1")) == "image_snapshot"
    assert task_state(admin, admin.server_id("web1")) is None


@pytest.mark.parametrize("state", ["", *STATES])
def test_a_lost_image(cloud_box: Box, admin: Caller, state: str) -> None:
    server_id = admin.server_id()
    cloud_box.sandbox.fault(f"lose-image {state} x1")
    image_id = admin.snapshot(server_id, "x")
    seen = set()
    while found := task_state(admin, server_id):
        seen.add(found)
        assert admin.image("GET", f"/images/{image_id}").ok
        cloud_box.sandbox.advance(1)
    assert seen == {*STATES[: STATES.index(state or "image_uploading") + 1]}
    assert admin.image("GET", f"/images/{image_id}").status_code == 404
    path = f"/servers/{server_id}/os-instance-actions"
    (action,) = (
        action
        for action in admin.get(path).json()["instanceActions"]
        if action["action"] == "createImage"
    )
    assert action["message"] == f"Image {image_id} could not be found."
    # The next one is as good as any.
    image_id = admin.snapshot(server_id, "x")
    cloud_box.sandbox.advance("5m")
    assert admin.image("GET", f"/images/{image_id}").json()["status"] == "active"


def test_the_request_that_began_a_failure_is_in_the_history(
    cloud_box: Box, admin: Caller
) -> None:
    cloud_box.sandbox.fault("lose-image")
    path = f"/servers/{admin.server_id()}"
    begun = admin.post(f"{path}/action", {"createImage": {"name": "x"}})
    request_id = begun.headers["x-openstack-request-id"]
    cloud_box.sandbox.advance("5m")
    shown = admin.get(f"{path}/os-instance-actions/{request_id}", version="2.51")
    action = shown.json()["instanceAction"]
    assert action["request_id"] == request_id
    assert "could not be found" in action["message"]
    assert action["events"][0]["result"] == "Error"


def test_a_scheduled_image_that_is_lost_is_tried_again(
    cloud_box: Box, admin: Caller
) -> None:
    server_id = admin.server_id()
    path = f"/servers/{server_id}/rax-si-image-schedule"
    admin.post(path, {"image_schedule": {"retention": 5}})
    cloud_box.sandbox.fault("lose-image x2")

    def images() -> list[str]:
        listed = admin.image("GET", "/images").json()["images"]
        return [each["name"] for each in listed if each["name"].startswith("Daily-")]

    while not images():
        cloud_box.sandbox.advance("30m")
    history = admin.get(f"/servers/{server_id}/os-instance-actions").json()
    tries = sorted(
        datetime.fromisoformat(action["start_time"])
        for action in history["instanceActions"]
        if action["action"] == "createImage"
    )
    # Each an hour after the one before was known to have failed.
    waits = [
        round((later - sooner).total_seconds()) for sooner, later in pairwise(tries)
    ]
    assert waits == [3720, 3720]
    cloud_box.sandbox.advance("1d")
    assert len(images()) == 2


def test_clearing_spares_an_image_that_was_to_be_lost(
    cloud_box: Box, admin: Caller
) -> None:
    cloud_box.sandbox.fault("lose-image")
    image_id = admin.snapshot(admin.server_id(), "x")
    cloud_box.sandbox.advance(60)
    cloud_box.sandbox.clear_faults()
    cloud_box.sandbox.advance(100)
    assert admin.image("GET", f"/images/{image_id}").json()["status"] == "active"


def test_what_is_frozen_stays_so_in_the_state_file(tmp_path: Path) -> None:
    state = tmp_path / "cloud.db"
    with box("openstack", state=state, faults=["freeze image_snapshot"]) as made:
        made.admin.snapshot(made.admin.server_id(), "x")
        made.sandbox.advance("1h")
    with box("openstack", state=state) as made:
        server_id = made.admin.server_id()
        made.sandbox.advance("1h")
        assert task_state(made.admin, server_id) == "image_snapshot"
        made.sandbox.clear_faults()
        made.sandbox.advance("5m")
        assert task_state(made.admin, server_id) is None


# -- how they are given


def test_none_is_added_where_one_is_bad(cloud_box: Box) -> None:
    with pytest.raises(ValueError, match="'oops' is not a fault"):
        cloud_box.sandbox.fault("500", "oops")
    assert cloud_box.sandbox.faults() == []
    with pytest.raises(ValueError, match="'oops' is not a fault"):
        Sandbox(faults=["oops"])


def test_over_http(cloud_box: Box) -> None:
    url = f"{cloud_box.sandbox.url}/sandbox/faults"
    texts = ["GET /x 500 x1", "drop after 9"]
    listed = [{"fault": text, "happened": 0} for text in texts]
    answer = requests.post(url, json={"faults": texts}, timeout=60)
    assert (answer.status_code, answer.json()) == (200, {"faults": listed})
    assert requests.get(url, timeout=60).json() == {"faults": listed}
    for wrong in (["oops"], "500", [5], None):
        answer = requests.post(url, json={"faults": wrong}, timeout=60)
        assert answer.status_code == 400
        assert answer.json()["error"]
    assert requests.get(url, timeout=60).json() == {"faults": listed}
    assert requests.delete(url, timeout=60).json() == {"faults": []}
    assert requests.put(url, timeout=60).status_code == 405


def test_the_verb(
    cloud: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SANDBOX_URL", cloud.url)
    assert cli.main(["fault"]) == 0
    assert cli.main(["fault", "GET /servers 503 x2", "freeze"]) == 0
    assert capsys.readouterr() == ("", "")
    assert cli.main(["fault", "expire"]) == 0
    assert cli.main(["fault"]) == 0
    assert capsys.readouterr() == (
        "0  GET /servers 503 x2\n0  freeze\n0  expire\n",
        "",
    )
    assert cli.main(["fault", "--clear"]) == 0
    assert cli.main(["fault"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "argv",
    [["fault", "500", "oops"], ["run", "--fault", "oops"], ["exec", "--fault=oops"]],
)
def test_a_bad_one_is_one_line(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*argv, "--", "true"] if argv[0] == "exec" else argv)
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert "'oops' is not a fault: 'oops' is not one of refuse, drop, " in err
    assert "such as 'POST /action$ 503 x2'" in err


def test_the_option_and_the_help() -> None:
    script = "nova list; scheduled-images-sandbox fault; nova list | grep -c ACTIVE"
    done = subprocess.run(
        [PROGRAM, "exec", "--fault", "GET /servers 418 x1", "--", "sh", "-c", script],
        capture_output=True,
        text=True,
    )
    assert "(HTTP 418)" in done.stderr
    assert done.stdout.splitlines() == ["1  GET /servers 418 x1", "4"]
    helped = subprocess.run(
        [PROGRAM, "fault", "--help"], capture_output=True, text=True
    )
    assert "[METHOD] [/PATH] WHAT [while STATE] [after N] [xN]" in helped.stdout


def test_a_real_client_gets_over_them(nova: Any, cloud: Sandbox) -> None:
    cloud.fault(
        "GET /rax-si-image-schedule$ expire",
        "GET /rax-si-image-schedule$ 503 retry-after=0 x2",
        "GET /rax-si-image-schedule$ 429 retry-after=0 x1",
    )
    nova.ok("scheduled-images-enable", "myserver", "7")
    assert "Retention: 7" in nova.ok("scheduled-images-show", "myserver")
    assert json.dumps(cloud.faults()).count(", 2]") == 1
    assert [happened for _, happened in cloud.faults()] == [1, 2, 1]
