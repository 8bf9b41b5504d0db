"""Runners on a plain OpenStack: each image once, whatever fails, and nothing lost."""

from __future__ import annotations

import itertools
import json
import re
import threading
import uuid
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from rax_scheduled_images_ext import errors
from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.engine.results import Result
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    OWN_KEY,
    PENDING_KEY,
    RUN_KEY,
    SERVER_KEY,
    SLOT_KEY,
    SNAPSHOT,
    TYPE_KEY,
    claim_metadata,
    run_metadata,
)
from rax_scheduled_images_ext.model.note import NOTE, NOTE_KEY
from rax_scheduled_images_ext.model.plan import Cause, Policy, explain
from rax_scheduled_images_ext.model.slots import (
    Window,
)
from rax_scheduled_images_ext.operations.prune import PrunedImage
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image, ImageQuery

from .fleet import MARKED, MYSERVER, id_of, project_of, sent
from .history import try_of
from .interceptor import DROPPED, Interceptor, json_answer, page
from .runners import (
    advance_to_slot,
    connected,
    made,
    results,
    runner_of,
    schedule,
    slots,
)

pytestmark = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)

ACTION = f"/servers/{MYSERVER}/action"


@pytest.fixture
def runner(cloud: Sandbox) -> Runner:
    """A runner for the project of ``myserver``, which keeps three daily images."""
    schedule(cloud, 3)
    return runner_of(cloud)


def refusal(status: str, message: str, **headers: str) -> Any:
    """A refusal of the compute service."""
    body = '{"forbidden": {"code": 403, "message": "%s"}}'
    return json_answer(status, body % message, **headers)


def test_a_day(cloud: Sandbox, runner: Runner) -> None:
    assert results(runner.tick()) == ["NOTHING"]
    slot = advance_to_slot(cloud)
    sent(cloud)
    tick = runner.tick()
    assert results(tick) == ["STARTED"]
    (image,) = made(cloud)
    assert tick.results[0].image_id == image.id
    assert tick.results[0].request_id
    assert image.name == f"Daily-myserver-{int(image.created)}"
    assert image.properties[SLOT_KEY] == slot
    assert image.properties[RUN_KEY].startswith(f"{MYSERVER}:")
    lines = [line.split("?")[0] for line in sent(cloud)]
    claimed = lines[-3].split("/")[-1].removesuffix(" 204")
    assert lines == [
        "GET /servers/detail",
        # Changed, hidden, being made, not settled.
        *["GET /images"] * 4,
        # The server as it is now, and its images.
        f"GET /servers/{MYSERVER} 200",
        "GET /images",
        # The claim, and the image itself.
        "POST /images 201",
        f"DELETE /images/{claimed} 204",
        f"POST {ACTION} 202",
        # Volume snapshots that were left behind.
        "GET /volume/v3/snapshots/detail",
    ]
    assert results(runner.tick()) == ["NOTHING"]
    cloud.advance("5m")
    sent(cloud)
    assert results(runner.tick()) == ["RETAINED"]
    assert len(own_requests(cloud)) == 4
    (image,) = made(cloud)
    assert PENDING_KEY not in image.properties
    _, _, nonce = image.properties[RUN_KEY].partition(":")
    assert image.properties[OWN_KEY] == f"{image.id}:{nonce}"
    assert results(runner.tick()) == ["NOTHING"]


def own_requests(cloud: Sandbox) -> list[str]:
    """The requests of single servers, without the listings of a look."""
    listings = re.compile(r"/detail|GET /images\?(?!.*instance)")
    return [line for line in sent(cloud) if not listings.search(line)]


def test_the_requests_of_an_image_and_its_retention(
    cloud: Sandbox, runner: Runner
) -> None:
    for _ in range(3):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        runner.tick()
    advance_to_slot(cloud)
    sent(cloud)
    runner.tick()
    making = len(own_requests(cloud))
    cloud.advance("5m")
    (result,) = runner.tick().results
    settling = len(own_requests(cloud))
    assert [each.action for each in result.pruned] == ["deleted"]
    assert making + settling == 10


def test_ten_days(cloud: Sandbox, runner: Runner) -> None:
    expected = []
    for _ in range(10):
        expected.append(advance_to_slot(cloud))
        runner.tick()
        cloud.advance("10m")
        runner.tick()
    assert slots(cloud) == expected[-3:]


def test_a_weekly_schedule(cloud: Sandbox) -> None:
    schedule(cloud, 2, "SATURDAY")
    runner = runner_of(cloud)
    for _ in range(15):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("10m")
        runner.tick()
    days = [date.fromisoformat(slot) for slot in slots(cloud)]
    assert [day.strftime("%A") for day in days] == ["Saturday"] * 2
    assert days[1] - days[0] == timedelta(days=7)
    assert all(image.name.startswith("Weekly-") for image in made(cloud))


# -- two runners


def test_runners_at_the_same_moment_make_one_image(cloud: Sandbox) -> None:
    schedule(cloud)
    others = [cloud.boot(f"server {number}").id for number in range(8)]
    for server_id in others:
        schedule(cloud, server_id=server_id)
    cloud.advance("1d")
    runners = [runner_of(cloud, limits=Limits(100, 100, 4)) for _ in range(4)]
    ticks: list[Any] = []
    threads = [
        threading.Thread(target=lambda each=runner: ticks.append(each.tick()))
        for runner in runners
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begun = [name for tick in ticks for name in results(tick) if name == "STARTED"]
    servers = [image.properties[SERVER_KEY] for image in made(cloud)]
    assert len(begun) == len(servers) == len(set(servers)) > 4
    assert not [tick for tick in ticks if tick.failures]


def test_who_was_held_up_after_looking_makes_no_second_image(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    first, second = runner_of(cloud), runner_of(cloud)
    seen: list[str] = []

    def meanwhile() -> None:
        # The other one makes the image, and it is done.
        seen.extend(results(first.tick()))
        cloud.advance("5m")
        first.tick()

    hold_up(second, meanwhile)
    assert results(second.tick()) == ["LEFT"]
    assert seen == ["STARTED"]
    assert len(made(cloud, deleted=True)) == 0
    assert len(made(cloud)) == 1


def hold_up(runner: Runner, meanwhile: Callable[[], object]) -> None:
    """Let something happen when a runner has looked at a server."""
    images = runner.projects.listing.images
    read = images.list

    def held_up(**wanted: Any) -> Any:
        found = list(read(**wanted))
        if wanted.get("server_id"):
            meanwhile()
        return iter(found)

    object.__setattr__(images, "list", held_up)


def test_whose_claim_is_too_old_makes_no_image(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    passed = iter([0.0, 0.0])
    runner = runner_of(cloud, clock=Clock(lambda: next(passed, 121.0)))
    (result,) = runner.tick().results
    assert result.result is Result.FAILED
    assert "it expired" in str(result.reason)
    assert made(cloud) == []


@pytest.mark.parametrize("minutes", [-4, 4])
def test_clocks_that_differ_by_minutes(cloud: Sandbox, minutes: int) -> None:
    """Close to the end of an interval a claim is good for the next one as well."""
    schedule(cloud)
    advance_to_slot(cloud, 58 * 60)
    first, second = runner_of(cloud), runner_of(cloud)
    now = first.tick().now
    second.clock = Clock(at=now + timedelta(minutes=minutes))
    assert results(second.tick()) in (["NOTHING"], ["LEFT"])
    assert len(made(cloud)) == 1


def test_a_claim_that_is_held_is_not_used_in_the_next_interval(
    cloud: Sandbox, front: Interceptor
) -> None:
    """Near the end of its interval it takes a claim of the next one as well."""
    schedule(cloud)
    advance_to_slot(cloud)
    first, second = runner_of(cloud), runner_of(cloud)
    front.answer("POST", "/action$", refusal("409 Conflict", "Cannot"), times=1)
    assert results(first.tick()) == ["BUSY"]
    cloud.advance("58m")
    # By its clock the hour is over; it has the next one's try, and is held up.
    assert results(make_nothing(second, front, timedelta(minutes=3))) == ["UNKNOWN"]
    assert results(first.tick()) == ["LEFT"]


def make_nothing(runner: Runner, front: Interceptor, ahead: timedelta) -> Any:
    """Let a runner, whose clock is ahead, come as far as the request for the image."""
    now = runner.projects.listing.compute.get("/servers").headers["date"]
    front.answer("POST", "/action$", DROPPED, times=1)
    runner.clock = Clock(at=parsedate_to_datetime(now) + ahead)
    return runner.tick()


def test_who_looked_an_interval_ago_makes_no_image(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud, 50 * 60)
    first = runner_of(cloud)
    late = runner_of(cloud, clock=Clock(lambda: cloud.advance(0)))

    def meanwhile() -> None:
        # The other one makes the image; then the next interval begins.
        assert results(first.tick()) == ["STARTED"]
        cloud.advance("12m")

    hold_up(late, meanwhile)
    assert results(late.tick()) == ["LEFT"]
    assert len(made(cloud)) == 1


def test_a_request_that_was_held_up_on_its_way_leaves_no_second_image(
    cloud: Sandbox, runner: Runner
) -> None:
    """The younger image of a slot goes, and the retention counts the older one."""
    schedule(cloud, 1)
    slot = advance_to_slot(cloud)
    assert results(runner.tick()) == ["STARTED"]
    cloud.advance("5m")
    assert results(runner.tick()) == ["RETAINED"]
    late_request(cloud, slot, "0-late")
    cloud.advance("5m")
    (result,) = runner.tick().results
    assert result.result is Result.DEDUPLICATED
    assert slots(cloud) == [slot]
    assert results(runner.tick()) == ["NOTHING"]


def test_an_image_that_two_delete_at_once(
    cloud: Sandbox, runner: Runner, front: Interceptor
) -> None:
    schedule(cloud, 1)
    for _ in range(2):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        deleted = "Image status transition from deleted to deleted is not allowed"
        answer = refusal("400 Bad Request", deleted)
        front.answer("DELETE", "/images/", answer, times=1, done=True)
        (result,) = runner.tick().results
    (pruned,) = result.pruned
    assert (pruned.action, pruned.reason) == ("skipped", "already gone")
    assert not result.failed
    assert len(made(cloud)) == 1


def test_an_image_that_is_still_shown_as_deleted(
    cloud: Sandbox, runner: Runner, front: Interceptor
) -> None:
    schedule(cloud, 1)
    for _ in range(2):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        first = made(cloud)[0].id
        deleted = "Image status transition from deleted to deleted is not allowed"
        front.answer("DELETE", first, refusal("400 Bad Request", deleted), times=1)
        shown = json.dumps({"id": first, "status": "deleted"})
        front.answer("GET", f"/images/{first}$", json_answer("200 OK", shown), times=1)
        (result,) = runner.tick().results
    (pruned,) = result.pruned
    assert (pruned.action, pruned.reason) == ("skipped", "already gone")
    assert not result.failed


def late_request(cloud: Sandbox, slot: str, nonce: str, name: str | None = None) -> str:
    """Let a request for an image arrive; the image's ID."""
    with cloud.region() as region:
        return region.snapshots.create(
            MYSERVER,
            name or "Daily-myserver-1767225600",
            run_metadata(MYSERVER, slot, nonce),
            user_id="someone",
        ).id


def test_a_snapshot_of_a_server_rebuilt_from_its_own_image_is_not_a_duplicate(
    cloud: Sandbox, runner: Runner
) -> None:
    slot = advance_to_slot(cloud)
    assert results(runner.tick()) == ["STARTED"]
    cloud.advance("5m")
    (image,) = made(cloud)
    _, _, nonce = image.properties[RUN_KEY].partition(":")
    # It has what its base image had, the run included; or a name of its own.
    late_request(cloud, slot, nonce)
    cloud.advance("5m")
    late_request(cloud, slot, "another", name="by hand")
    cloud.advance("5m")
    assert results(runner.tick()) == ["RETAINED"]
    assert results(runner.tick()) == ["NOTHING"]
    assert len(made(cloud)) == 3


# -- failures


@pytest.mark.long
def test_a_lost_image_is_tried_three_times(cloud: Sandbox, runner: Runner) -> None:
    advance_to_slot(cloud)
    cloud.fault("lose-image")
    moments = []
    for _ in range(14 * 12):
        if "STARTED" in results(runner.tick()):
            moments.append(cloud.advance(0))
        cloud.advance("5m")
    assert len(moments) == 3
    assert [round((b - a) / 3600) for a, b in itertools.pairwise(moments)] == [1, 1]
    cloud.clear_faults()
    advance_to_slot(cloud)
    assert results(runner.tick()) == ["STARTED"]


@pytest.mark.long
def test_other_runners_know_how_often_it_was_tried(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    cloud.fault("lose-image")
    came: list[str] = []
    for _ in range(14 * 12):
        came += results(runner_of(cloud).tick())
        cloud.advance("5m")
    assert came.count("STARTED") == 3
    # A note says so to all others.
    assert came.count("GIVEN_UP") == 1
    assert made(cloud) == []
    assert [note.properties[SERVER_KEY] for note in notes(cloud)] == [MYSERVER]


@pytest.mark.long
def test_a_runner_that_comes_late_has_three_tries_too(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud, 5 * 3600)
    cloud.fault("lose-image")
    came: list[str] = []
    for _ in range(8 * 6):
        came += results(runner_of(cloud).tick())
        cloud.advance("10m")
    assert came.count("STARTED") == 3


def test_what_is_too_late_is_not_made(cloud: Sandbox, runner: Runner) -> None:
    schedule(cloud)
    first = advance_to_slot(cloud)
    runner.tick()
    cloud.advance("5m")
    runner.tick()
    cloud.advance("2d12h")
    tick = runner_of(cloud).tick()
    (result,) = tick.results
    assert result.step.cause is Cause.MISSED
    assert tick.left == tick.overdue(owners=True) == [result]
    assert slots(cloud) == [first]


@pytest.mark.long
def test_tries_that_outlast_the_longest_delay_end_in_a_failure(cloud: Sandbox) -> None:
    """Also of a server that never had an image."""
    schedule(cloud)
    policy = Policy(max_delay=timedelta(hours=1))
    advance_to_slot(cloud)
    cloud.fault("lose-image")
    came: list[str] = []
    for _ in range(8):
        tick = runner_of(cloud, policy=policy).tick()
        came += results(tick)
        cloud.advance("30m")
    assert came.count("STARTED") in (1, 2)
    assert came.count("GIVEN_UP") == 1
    assert tick.results[0].step.cause is Cause.GIVEN_UP
    assert tick.overdue(owners=True) == tick.results


def test_a_short_delay_is_not_a_failure_for_a_new_schedule(
    cloud: Sandbox,
) -> None:
    policy = Policy(max_delay=timedelta(hours=1))
    advance_to_slot(cloud, 2 * 3600)
    schedule(cloud)
    # To find out if there were any tries is not to look like one to who comes next.
    for _ in range(3):
        tick = runner_of(cloud, policy=policy).tick()
        assert (results(tick), tick.left) == (["NOTHING"], [])
        assert notes(cloud) == []


@pytest.mark.long
@pytest.mark.parametrize(
    "answer",
    [page("500 Internal Server Error"), page("504 Gateway Timeout"), DROPPED],
)
@pytest.mark.parametrize("done", [True, False])
def test_an_unclear_answer(
    cloud: Sandbox, runner: Runner, front: Interceptor, answer: Any, done: bool
) -> None:
    advance_to_slot(cloud)
    front.answer("POST", "/action$", answer, times=1, done=done)
    (result,) = runner.tick().results
    assert result.result is Result.UNKNOWN
    images = made(cloud)
    assert (result.image_id is not None) == done == bool(images)
    for _ in range(12 * 12):
        cloud.advance("5m")
        runner.tick()
    # Done or not, one image was made in the end.
    assert len(made(cloud)) == 1
    assert len(made(cloud, deleted=True)) == 0


@pytest.mark.parametrize("path", ["GET /servers", "GET /images", "POST /images"])
def test_an_error_before_the_image_makes_none(
    cloud: Sandbox, runner: Runner, path: str
) -> None:
    advance_to_slot(cloud)
    cloud.fault(f"{path} 500 x1")
    if path == "POST /images":
        tick = runner.tick()
        assert results(tick) == ["FAILED"]
        assert "500" in str(tick.failures[0].reason)
    else:
        with pytest.raises(errors.ApiError, match="HTTP 500"):
            runner.tick()
    assert made(cloud) == []
    cloud.advance("1h")
    assert results(runner.tick()) == ["STARTED"]


@pytest.mark.parametrize("status", ["409 Conflict", "429 Too Many Requests"])
def test_a_refusal_that_passes_costs_minutes(
    cloud: Sandbox, runner: Runner, front: Interceptor, status: str
) -> None:
    """The next runner continues the attempt: every tick is another process."""
    advance_to_slot(cloud)
    answer = refusal(status, "Cannot 'createImage'", Retry_After="1")
    rule = front.answer("POST", "/action$", answer, times=3)
    came = []
    for _ in range(20):
        came += results(runner_of(cloud).tick())
        cloud.advance("1m")
        if "STARTED" in came:
            break
    # After one minute, two more, and four more.
    assert came == ["BUSY", "BUSY", "NOTHING", "BUSY", *["NOTHING"] * 3, "STARTED"]
    assert not rule.times
    assert [try_of(image) for image in made(cloud)] == [0]
    assert notes(cloud) == []


def notes(cloud: Sandbox) -> list[Image]:
    """The notes that are there."""
    with cloud.region() as region:
        images = region.images.select(ImageQuery())
    return [image for image in images if NOTE_KEY in image.properties]


@pytest.mark.long
def test_a_server_that_refuses_for_hours_loses_no_try(
    cloud: Sandbox, front: Interceptor
) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    rule = front.answer("POST", "/action$", refusal("409 Conflict", "Cannot"))
    asked = 0
    for _ in range(5 * 12):
        asked += results(runner_of(cloud).tick()).count("BUSY")
        cloud.advance("5m")
        assert len(notes(cloud)) == 1
    assert 20 < asked < 40
    rule.times = 0
    cloud.advance("10m")
    assert results(runner_of(cloud).tick()) == ["STARTED"]
    assert [try_of(image) for image in made(cloud)] == [0]


def test_of_two_that_read_a_note_one_goes_on(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    cloud.fault(f"POST {ACTION} 409 x1")
    assert results(runner_of(cloud).tick()) == ["BUSY"]
    cloud.advance("2m")
    first, second = runner_of(cloud), runner_of(cloud)
    hold_up(second, lambda: first.tick())
    assert results(second.tick()) == ["LEFT"]
    assert len(made(cloud)) == 1


def test_a_note_whose_turn_was_used_costs_an_interval(
    cloud: Sandbox, front: Interceptor
) -> None:
    """Somebody was killed before it could take the note away."""
    schedule(cloud)
    advance_to_slot(cloud)
    cloud.fault(f"POST {ACTION} 409 x1")
    runner_of(cloud).tick()
    (note,) = notes(cloud)
    cloud.advance("2m")
    front.answer("DELETE", note.id, page("500 Internal Server Error"), times=1)
    front.answer("POST", "/action$", DROPPED, times=1)
    assert results(runner_of(cloud).tick()) == ["UNKNOWN"]
    assert results(runner_of(cloud).tick()) == ["LEFT"]
    cloud.advance("1h")
    assert results(runner_of(cloud).tick()) == ["STARTED"]
    assert [try_of(image) for image in made(cloud)] == [1]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"slot": 1}', "x" * 300])
def test_an_unreadable_note_is_none(cloud: Sandbox, text: str) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    properties: Any = {**claim_metadata(MYSERVER, NOTE), NOTE_KEY: text}
    owner = project_of(cloud)
    with cloud.region() as region:
        region.images.add(owner=owner, name="note", properties=properties, hidden=True)
    assert results(runner_of(cloud).tick()) == ["STARTED"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("status", "message"),
    [("403 Forbidden", "Image quota exceeded"), ("413 Too Large", "Over the limit")],
)
def test_an_exceeded_quota_is_tried_less_and_less_often(
    cloud: Sandbox, runner: Runner, front: Interceptor, status: str, message: str
) -> None:
    advance_to_slot(cloud)
    rule = front.answer("POST", "/action$", refusal(status, message))
    tick = runner.tick()
    assert results(tick) == ["QUOTA"]
    assert message in str(tick.failures[0].reason)
    asked = []
    for minute in range(5, 11 * 60, 5):
        cloud.advance("5m")
        tick = runner_of(cloud).tick()
        asked += [minute] * len(tick.failures)
        assert tick.failures or message in explain(tick.results[0].step)
    assert asked[:5] == [5, 15, 35, 75, 135]
    rule.times = 0
    cloud.advance("1h")
    assert results(runner_of(cloud).tick()) == ["STARTED"]


def test_a_quota_that_forbids_even_the_claim(
    cloud: Sandbox, runner: Runner, front: Interceptor
) -> None:
    advance_to_slot(cloud)
    answer = json_answer("413 Too Large", '{"message": "Image quota is used up"}')
    rule = front.answer("POST", "/images$", answer)
    for _ in range(11):
        tick = runner.tick()
        assert results(tick) == ["QUOTA"]
        assert "Image quota is used up" in str(tick.failures[0].reason)
        cloud.advance("1h")
    # Once a look.
    assert rule.times == 99 - 11
    rule.times = 0
    assert results(runner.tick()) == ["STARTED"]


@pytest.mark.parametrize("late", [0, 58 * 60, 5 * 3600])
@pytest.mark.parametrize("noted", [False, True])
def test_the_last_free_place_of_a_quota_is_enough(
    cloud: Sandbox, runner: Runner, noted: bool, late: int
) -> None:
    """Neither claims nor a note keep it from the image."""
    advance_to_slot(cloud, late)
    own = project_of(cloud)
    with cloud.region() as region:
        images = [i for i in region.images.select(ImageQuery()) if i.owner == own]
    cloud.cloud.image_quota = len(images) + 1
    if noted:
        cloud.fault(f"POST {ACTION} 409 x1")
        assert results(runner.tick()) == ["BUSY"]
        assert len(notes(cloud)) == 1
        cloud.advance("2m")
    assert results(runner_of(cloud).tick()) == ["STARTED"]


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Unavailable"])
@pytest.mark.parametrize("header", [True, False])
def test_all_requests_wait_when_the_cloud_is_busy(
    cloud: Sandbox, front: Interceptor, status: str, header: bool
) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    runner = runner_of(cloud, limits=Limits(pause=77))
    throttle = runner.projects.listing.throttle
    assert throttle is not None
    asked: list[float] = []
    object.__setattr__(throttle, "slow_down", asked.append)
    headers = {"Retry_After": "42"} if header else {}
    path = "/action$" if header else "/images$"
    answer = json_answer(status, "{}", **headers)
    front.answer("POST", path, answer, times=1)
    runner.tick()
    assert asked == [42.0 if header else 77.0]


def test_a_cloud_that_names_no_time(cloud: Sandbox, runner: Runner) -> None:
    """Its time is this machine's then."""
    compute = runner.projects.listing.schedules.tags.compute
    send = compute.send

    def without_date(*args: Any, **options: Any) -> Any:
        answer = send(*args, **options)
        answer.response.headers.pop("date", None)
        return answer

    object.__setattr__(compute, "send", without_date)
    before = datetime.now(timezone.utc)
    assert before <= runner.tick().now <= datetime.now(timezone.utc)


def test_a_server_that_is_deleted_meanwhile(
    cloud: Sandbox, runner: Runner, front: Interceptor
) -> None:
    schedule(cloud, server_id=id_of(cloud, "web1"))
    advance_to_slot(cloud)
    missing = '{"itemNotFound": {"code": 404, "message": "could not be found"}}'
    front.answer("POST", "/action$", json_answer("404 Not Found", missing), times=1)
    tick = runner.tick()
    assert not tick.failures
    web1 = id_of(cloud, "web1")
    with cloud.region() as region:
        assert len(region.servers.get(web1).tags) == 2


def test_an_image_that_the_loser_of_a_race_leaves_behind(
    cloud: Sandbox, runner: Runner
) -> None:
    """As Nova answers two simultaneous requests: 500, and an image without data."""
    slot, project_id = advance_to_slot(cloud), project_of(cloud)
    with cloud.region() as region:
        orphan = region.images.add(
            owner=project_id,
            name="orphan",
            properties=run_metadata(MYSERVER, slot, "nonce"),
        )
    assert results(runner.tick()) == ["NOTHING"]
    cloud.advance("9m")
    assert results(runner.tick()) == ["NOTHING"]
    cloud.advance("2m")
    tick = runner.tick()
    assert (results(tick), tick.results[0].image_id) == (["DISCARDED"], orphan.id)
    assert results(runner.tick()) == ["STARTED"]


def test_what_is_left_behind_is_swept(cloud: Sandbox, runner: Runner) -> None:
    day = "2025-12-30"
    kinds: dict[str, dict[str, str]] = {
        "claim": claim_metadata(MYSERVER, "x"),
        "orphan": run_metadata(MYSERVER, day, "x"),
        "foreign": run_metadata("other", day, "x") | {SERVER_KEY: MYSERVER},
        "own": {**MARKED, SERVER_KEY: MYSERVER, TYPE_KEY: SNAPSHOT},
    }
    project_id = project_of(cloud)
    with cloud.region() as region:
        for name, properties in kinds.items():
            region.images.add(owner=project_id, name=name, properties=properties)

    def left() -> list[str]:
        return sorted(image.name for image in cloud.images() if image.name in kinds)

    runner.tick()
    assert left() == ["claim", "foreign", "orphan", "own"]
    cloud.advance("11m")
    runner.tick()
    # It was made since the last slot was due, and will never be that slot's image.
    assert left() == ["foreign", "own"]
    with cloud.region() as region:
        older = kinds["orphan"]
        region.images.add(owner=project_id, name="orphan", properties=older)
    cloud.advance("1d1h")
    # While the server has a task, nobody knows whose image that is.
    assert results(runner.tick()) == ["STARTED"]
    assert left() == ["foreign", "orphan", "own"]
    cloud.advance("5m")
    runner.tick()
    assert left() == ["foreign", "own"]


def test_what_is_left_behind_is_swept_without_any_schedule(
    cloud: Sandbox, runner: Runner
) -> None:
    project_id = project_of(cloud)
    with cloud.region() as region:
        properties = claim_metadata(MYSERVER, "x")
        region.images.add(owner=project_id, name="claim", properties=properties)
        region.servers.set_tags(MYSERVER, ())
    cloud.advance("11m")
    assert [outcome.value for outcome in runner.tick().swept] == [True]
    assert "claim" not in {image.name for image in cloud.images()}


def test_a_claim_that_could_not_be_deleted_is_swept(
    cloud: Sandbox, runner: Runner
) -> None:
    advance_to_slot(cloud)
    cloud.fault("DELETE /images/ 500 x1")
    assert results(runner.tick()) == ["STARTED"]
    assert [CLAIM_KEY in image.properties for image in cloud.images()].count(True) == 1
    cloud.advance("11m")
    assert [each.value for each in runner.tick().swept] == [True]
    assert [CLAIM_KEY in image.properties for image in cloud.images()].count(True) == 0


# -- what users do


def test_a_protected_image_is_neither_counted_nor_deleted(
    cloud: Sandbox, runner: Runner, nova: Any
) -> None:
    schedule(cloud, 1)
    first = advance_to_slot(cloud)
    runner.tick()
    cloud.advance("5m")
    runner.tick()
    (image,) = made(cloud)
    nova.ok("scheduled-images-protect", image.id)
    assert results(runner.tick()) == ["NOTHING"]
    for _ in range(2):
        last = advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        runner.tick()
    assert [image.properties[SLOT_KEY] for image in made(cloud)] == [first, last]


def test_a_lower_retention_waits_for_the_next_image(
    cloud: Sandbox, runner: Runner
) -> None:
    for _ in range(3):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        runner.tick()
    schedule(cloud, 1)
    runner.tick()
    assert len(made(cloud)) == 3
    last = advance_to_slot(cloud)
    runner.tick()
    cloud.advance("5m")
    assert len(made(cloud)) == 4
    runner.tick()
    assert slots(cloud) == [last]


def make_surplus(cloud: Sandbox, runner: Runner) -> None:
    """Have six images, of which the next look deletes five."""
    schedule(cloud, 5)
    for _ in range(5):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        runner.tick()
    schedule(cloud, 1)
    advance_to_slot(cloud)
    runner.tick()
    cloud.advance("5m")


@pytest.mark.parametrize("end", [True, False])
def test_what_changes_between_two_deletions_keeps_the_rest(
    cloud: Sandbox, runner: Runner, end: bool
) -> None:
    """Who corrects a mistaken retention, or ends the schedule, loses no more."""
    make_surplus(cloud, runner)

    def correct(pruned: PrunedImage) -> None:
        with cloud.region() as region:
            tags = () if end else ("scheduled-images", "scheduled-images:daily:5")
            region.servers.set_tags(MYSERVER, tags)

    runner.deleted = correct
    (result,) = runner.tick().results
    assert [each.action for each in result.pruned] == ["deleted"]
    assert len(made(cloud)) == 5


def test_a_schedule_that_was_read_a_while_ago_is_read_again(cloud: Sandbox) -> None:
    schedule(cloud, 1)
    runner = runner_of(cloud, clock=Clock(lambda: cloud.advance(0)))
    for _ in range(2):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        if len(made(cloud)) == 1:
            runner.tick()

    def meanwhile() -> None:
        with cloud.region() as region:
            region.servers.set_tags(MYSERVER, ())
        cloud.advance(10)

    hold_up(runner, meanwhile)
    assert results(runner.tick()) == ["RETAINED"]
    assert len(made(cloud)) == 2


def test_who_is_to_stop_deletes_nothing_more(cloud: Sandbox, runner: Runner) -> None:
    make_surplus(cloud, runner)
    deleted: list[PrunedImage] = []
    runner.deleted = deleted.append
    runner.stopping = lambda: bool(deleted)
    assert results(runner.tick()) == ["RETAINED"]
    assert len(deleted) == 1
    runner.stopping = lambda: False
    # The next one goes on where it ended.
    assert results(runner.tick()) == ["RETAINED"]
    assert len(made(cloud)) == 1


def test_an_image_that_its_user_deletes(cloud: Sandbox, runner: Runner) -> None:
    advance_to_slot(cloud)
    runner.tick()
    cloud.advance("5m")
    (image,) = made(cloud)
    with cloud.region() as region:
        region.images.delete(image.id)
    # Within the hour nobody knows whether it was ever there.
    assert results(runner.tick()) == ["LEFT"]


@pytest.mark.parametrize(
    ("status", "again"), [("409 Conflict", False), ("500 Error", True)]
)
def test_an_image_that_cannot_be_deleted_does_not_keep_the_others(
    cloud: Sandbox, runner: Runner, front: Interceptor, status: str, again: bool
) -> None:
    for _ in range(4):
        advance_to_slot(cloud)
        runner.tick()
        cloud.advance("5m")
        runner.tick()
    schedule(cloud, 1)
    advance_to_slot(cloud)
    runner.tick()
    cloud.advance("5m")
    oldest = made(cloud)[0]
    front.answer("DELETE", f"/images/{oldest.id}", page(status))
    (result,) = runner.tick().results
    actions = [each.action for each in result.pruned]
    assert (result.failed, actions) == (True, ["failed", "deleted", "deleted"])
    # What is refused would be refused again; what failed is tried again.
    assert results(runner.tick()) == (["RETAINED"] if again else ["NOTHING"])
    assert len(made(cloud)) == 2


def test_who_is_to_stop_begins_nothing(cloud: Sandbox, runner: Runner) -> None:
    advance_to_slot(cloud)
    runner.stopping = lambda: True
    sent(cloud)
    assert results(runner.tick()) == ["LEFT"]
    assert {line.split()[0] for line in sent(cloud)} == {"GET"}
    runner.stopping = lambda: False
    assert results(runner.tick()) == ["STARTED"]


def test_a_server_booted_from_a_scheduled_image(cloud: Sandbox, runner: Runner) -> None:
    """What its image was made for is handed on to snapshots that people make of it."""
    slot = advance_to_slot(cloud)
    for _ in range(2):
        runner.tick()
        cloud.advance("5m")
    (image,) = made(cloud)
    # Its own image is due later on the same day.
    later = range(20 * 3600, 23 * 3600)
    ids = (str(uuid.UUID(int=number)) for number in itertools.count())
    server_id = next(each for each in ids if Window().second_of_day(each) in later)
    child = cloud.boot("child", server_id=server_id, image_id=image.id)
    schedule(cloud, server_id=child.id)
    with cloud.region() as region:
        by_hand = region.snapshots.create(child.id, "by hand", {}, user_id="someone")
    assert by_hand.properties[SLOT_KEY] == slot
    assert by_hand.properties[RUN_KEY].startswith(f"{MYSERVER}:")
    cloud.advance("6h")
    assert sorted(results(runner.tick())) == ["NOTHING", "STARTED"]
    cloud.advance("5m")
    assert sorted(results(runner.tick())) == ["NOTHING", "RETAINED"]
    own = made(cloud)[-1]
    assert own.properties[SERVER_KEY] == child.id
    assert own.properties[RUN_KEY].startswith(f"{child.id}:")
    assert own.properties[SLOT_KEY] == slot
    assert {image.id, by_hand.id} < {each.id for each in made(cloud)}


def test_a_malformed_schedule_is_not_acted_upon(cloud: Sandbox, runner: Runner) -> None:
    with cloud.region() as region:
        region.servers.set_tags(
            MYSERVER, ("scheduled-images", "scheduled-images:daily:x")
        )
    advance_to_slot(cloud)
    (result,) = runner.tick().results
    assert result.step.cause.name == "INVALID"
    assert made(cloud) == []


def test_a_read_only_role_is_shown(cloud: Sandbox) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    tick = runner_of(cloud, "observer").tick()
    assert results(tick) == ["FAILED"]
    assert "403" in str(tick.failures[0].reason)


# -- limits


@pytest.mark.parametrize("limits", [Limits(3, 9, 4), Limits(9, 3, 4)])
def test_limits_hold_for_all_runners(cloud: Sandbox, limits: Limits) -> None:
    for number in range(8):
        schedule(cloud, server_id=cloud.boot(f"server {number}").id)
    # All are due at the same time, a day after they were booted.
    cloud.advance("23h59m")
    policy = Policy(max_delay=Policy().max_delay * 2)
    first, second = (runner_of(cloud, policy=policy, limits=limits) for _ in range(2))
    assert results(first.tick()).count("STARTED") == 3
    assert results(second.tick()).count("LIMITED") == 5
    cloud.advance("5m")
    assert results(second.tick()).count("STARTED") == 3
    assert len(made(cloud)) == 6


def test_a_cloud_without_tags(cloud: Sandbox, front: Interceptor) -> None:
    runner = runner_of(cloud)
    front.without_schedules()
    with pytest.raises(errors.NotOffered):
        runner.tick()


def test_connecting_logs_in(cloud: Sandbox) -> None:
    assert connected(cloud).compute.get("/servers").status == 200
