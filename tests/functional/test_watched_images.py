"""``nova snapshot-watch`` knows a lost image though the server's history has none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from rax_scheduled_images_ext.operations.snapshot.polling import Timeouts
from rax_scheduled_images_ext.sandbox import Sandbox

from ..waiting import until
from .interceptor import Answer, Interceptor, json_answer, page
from .snapshots import following, images, started

pytestmark = pytest.mark.flow

SERVERS = ("db1", "myserver", "web1")
WATCH = ("snapshot-watch", "--interval", "0.1")
LISTING = r"/images(/detail)?\?"
IMAGE = "/images/[-0-9a-f]{36}$"
BROKEN = page("500 Internal Server Error")


def success(content: bytes) -> bytes:
    """Report a snapshot as Nova does, which records it as done once started."""
    action = json.loads(content)["instanceAction"]
    action["message"] = None
    for event in action.get("events", []):
        event |= {"result": "Success", "traceback": None, "details": None}
    return json.dumps({"instanceAction": action}).encode()


@pytest.fixture
def front(cloud: Sandbox) -> Iterator[Interceptor]:
    """The cloud, whose history tells of no failure, and whose time passes."""
    with following(cloud), Interceptor(cloud) as front:
        front.change("GET", "/os-instance-actions/", success)
        yield front


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait one second only for what should be done already."""
    defaults: Any = Timeouts.__init__.__defaults__
    monkeypatch.setattr(Timeouts.__init__, "__defaults__", (*defaults[:-1], 1))


def requests(front: Interceptor, expression: str) -> int:
    return sum(bool(re.search(f"GET .*{expression}", line)) for line in front.log)


def lost(name: str, image_id: str, how: str = "gone") -> str:
    return (
        f"ERROR (ImageLost): The snapshot of server {name} has failed: image"
        f" {image_id} of server {name} is {how}\n"
    )


@pytest.mark.parametrize("state", ["image_snapshot", "image_uploading"])
@pytest.mark.parametrize("proxy", [False, True])
def test_an_image_that_vanishes(
    nova: Any, cloud: Sandbox, front: Interceptor, state: str, proxy: bool
) -> None:
    if proxy:
        front.without_image_service()
    cloud.fault(f"lose-image {state}")
    nova.ok("image-create", "db1", "x")
    image_id = images(cloud)["x"].id
    front.log.clear()
    result = nova(*WATCH, "db1")
    assert (result.status, result.err) == (4, lost("db1", image_id)), result
    assert requests(front, LISTING) == 1
    # A single 404 could be anybody's.
    assert requests(front, IMAGE) == 2


def test_the_reason_is_reported_if_there_is_one(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    front.edits.clear()
    cloud.fault("lose-image")
    nova.ok("image-create", "db1", "x")
    image_id = images(cloud)["x"].id
    result = nova(*WATCH, "db1")
    assert result.status == 4
    assert result.err == (
        "ERROR (ImageLost): The snapshot of server db1 has failed (Image"
        f" {image_id} could not be found.)\n"
    )


@pytest.mark.parametrize("status", ["killed", "deleted"])
def test_an_image_that_breaks(
    nova: Any, cloud: Sandbox, front: Interceptor, status: str
) -> None:
    nova.ok("image-create", "db1", "x")
    image_id = images(cloud)["x"].id
    word = json.dumps(status).encode()
    front.change("GET", IMAGE, lambda c: c.replace(b'"active"', word))
    result = nova(*WATCH, "db1")
    how = {"killed": "ERROR", "deleted": "DELETED"}[status]
    assert (result.status, result.err) == (4, lost("db1", image_id, how))


def test_one_image_of_many_vanishes(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    cloud.fault("lose-image of myserver")
    for name in SERVERS:
        nova.ok("image-create", name, f"{name}-image")
    image_id = images(cloud)["myserver-image"].id
    front.log.clear()
    result = nova(*WATCH, *SERVERS)
    assert (result.status, result.err) == (4, lost("myserver", image_id)), result
    assert requests(front, LISTING) == 1
    assert requests(front, IMAGE) == 4
    # The others were watched on to their ends.
    assert result.out.count("task_state: none") == len(SERVERS)


def test_each_that_begins_costs_a_listing(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    cloud.fault("freeze of db1", "lose-image of web1")
    nova.ok("image-create", "db1", "db1-image")
    cloud.requests.clear()
    watch = started(cloud, *WATCH, "--wait-start", "60s", "db1", "web1")
    assert watch.stdout is not None
    watch.stdout.readline()
    nova.ok("image-create", "web1", "web1-image")
    until(lambda: "web1-image" not in images(cloud))
    cloud.clear_faults()
    _, err = watch.communicate(timeout=60)
    assert watch.returncode == 4, err
    listings = [seen.path for seen in cloud.requests if "/images?" in seen.path]
    assert len(listings) == 2
    assert all("instance_uuid=" in path for path in listings)


def test_an_image_of_an_earlier_accident_is_not_this_one(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    """A stale image stays in the making for ever; only the newest one counts."""
    nova.ok("image-create", "db1", "x")
    stale = "11111111-2222-4333-8444-555555555555"

    def with_stale(content: bytes) -> bytes:
        body = json.loads(content)
        (image,) = body["images"]
        old = image | {"id": stale, "created_at": "2020-01-01T00:00:00Z"}
        body["images"] = [old, image, old]
        return json.dumps(body).encode()

    front.change("GET", r"/images\?", with_stale)
    front.log.clear()
    result = nova(*WATCH, "db1")
    assert (result.status, result.err) == (0, "")
    assert requests(front, IMAGE) == 1
    assert requests(front, f"/images/{stale}") == 0


def test_an_image_that_is_slow_to_be_active(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    nova.ok("image-create", "db1", "x")
    slow = iter([b'"saving"', b'"queued"'])
    front.change(
        "GET", IMAGE, lambda c: c.replace(b'"active"', next(slow, b'"active"'))
    )
    front.log.clear()
    result = nova(*WATCH, "db1")
    assert (result.status, result.err) == (0, "")
    assert requests(front, IMAGE) == 3


def test_an_image_that_never_is_active(
    nova: Any, cloud: Sandbox, front: Interceptor, hasty: None
) -> None:
    nova.ok("image-create", "db1", "x")
    image_id = images(cloud)["x"].id
    front.change("GET", IMAGE, lambda c: c.replace(b'"active"', b'"saving"'))
    result = nova(*WATCH, "db1")
    assert result.status == 6
    assert result.err == (
        "ERROR (TimeLimitReached): The snapshot of server db1 is over, but image"
        f" {image_id} of server db1 is still SAVING\n"
    )


def test_a_time_limit_holds_for_images_too(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    nova.ok("image-create", "db1", "x")
    front.change("GET", IMAGE, lambda c: c.replace(b'"active"', b'"saving"'))
    result = nova(*WATCH, "--time-limit", "3s", "db1")
    assert result.status == 6


@pytest.mark.parametrize("servers", [SERVERS[:1], SERVERS[:2]])
@pytest.mark.parametrize(
    "answer", [BROKEN, json_answer("403 Forbidden", "{}"), json_answer("200 OK", "[]")]
)
def test_images_that_cannot_be_listed_are_not_lost(
    nova: Any,
    cloud: Sandbox,
    front: Interceptor,
    servers: tuple[str, ...],
    answer: Answer,
) -> None:
    for name in servers:
        nova.ok("image-create", name, "x")
    front.answer("GET", LISTING, answer)
    front.log.clear()
    result = nova(*WATCH, *servers)
    assert result.status == 0, result
    assert result.err.startswith("The images being made cannot be read: ")
    assert len(result.err.splitlines()) == 1
    assert requests(front, LISTING) == 3
    assert requests(front, IMAGE) == 0


def test_a_listing_that_fails_once_is_sent_again(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    cloud.fault("lose-image")
    nova.ok("image-create", "db1", "x")
    front.answer("GET", LISTING, BROKEN, times=1)
    result = nova(*WATCH, "db1")
    assert result.status == 4
    assert "has failed: image" in result.err


def test_an_image_that_cannot_be_looked_at_is_not_lost(
    nova: Any, cloud: Sandbox, front: Interceptor, hasty: None
) -> None:
    nova.ok("image-create", "db1", "x")
    image_id = images(cloud)["x"].id
    front.answer("GET", IMAGE, BROKEN)
    result = nova(*WATCH, "db1")
    assert result.status == 0
    told = f"The result of image {image_id} of server db1 is not known: "
    assert result.err.startswith(told)
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("answer", [BROKEN, page("404 Not Found")])
def test_a_moment_of_trouble_at_the_end_is_not_told(
    nova: Any, cloud: Sandbox, front: Interceptor, answer: Answer
) -> None:
    nova.ok("image-create", "db1", "x")
    front.answer("GET", IMAGE, answer, times=1)
    result = nova(*WATCH, "db1")
    assert (result.status, result.err) == (0, "")


def test_a_watch_that_begins_too_late_knows_no_image(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    nova.ok("image-create", "db1", "x")
    front.change("GET", r"/images\?", lambda c: c.replace(b'"queued"', b'"active"'))
    front.log.clear()
    result = nova(*WATCH, "db1")
    assert (result.status, result.err) == (0, "")
    assert requests(front, LISTING) == 1
    assert requests(front, IMAGE) == 0


def test_a_copied_disk_needs_no_look_at_the_image(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    nova.ok("image-create", "db1", "x")
    front.log.clear()
    result = nova(*WATCH, "--until", "disk-copied", "db1")
    assert (result.status, result.err) == (0, "")
    assert requests(front, IMAGE) == 0
