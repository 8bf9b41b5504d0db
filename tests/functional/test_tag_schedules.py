"""Schedules on a plain OpenStack: the requests, and what other hands do to the tags."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import novaclient
import pytest
from novaclient.api_versions import APIVersion

from rax_scheduled_images_ext import (
    ImageSchedule,
    Keep,
    ScheduleSettings,
    connect,
)
from rax_scheduled_images_ext.console.schedules import NEEDS_SERVICE
from rax_scheduled_images_ext.model.image import PENDING_KEY, run_metadata
from rax_scheduled_images_ext.model.keep import RULES
from rax_scheduled_images_ext.model.schedule_tags import (
    OFF_TAG,
    read_schedule_tags,
)
from rax_scheduled_images_ext.operations import schedules as schedules_of
from rax_scheduled_images_ext.sandbox import Sandbox

from .fleet import MYSERVER, NOBODY, NOT_OFFERED, add_image, id_of, sent
from .interceptor import Interceptor, json_answer, page
from .test_python_api import make_client

SERVER = f"/servers/{MYSERVER}"
TAGS = f"{SERVER}/tags"
DAILY = "scheduled-images:daily:{}"
MARKER = "scheduled-images"
SNAPSHOTS = "GET /images?limit=1000&image_type=snapshot 200"
UNKNOWN = "ERROR (CommandError): No server with a name or ID of '{}' exists.\n"
OFF = "ERROR (NotFound): Scheduled images not enabled for server {} (HTTP 404)\n"
# The requests that determine that there is no extension.
ASKED = "GET /extensions/rax-si-image-schedule 404"
# Nova refuses filters that it does not know from microversion 2.75 on.
FILTER_REFUSED = APIVersion("2.75") <= novaclient.API_MAX_VERSION
VERSIONS = ["2.1", "2.25", *(["2.74", "2.75"] if FILTER_REFUSED else ["2.41"])]

pytestmark = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
needs_refusal = pytest.mark.skipif(
    not FILTER_REFUSED, reason="this novaclient speaks no version that refuses filters"
)


def tags(cloud: Sandbox, server: str = MYSERVER) -> list[str]:
    """The tags that a server has."""
    with cloud.region() as region:
        return sorted(region.servers.get(server).tags)


def tag(cloud: Sandbox, *tags: str, server: str = MYSERVER) -> None:
    """Give a server these tags, and no others."""
    with cloud.region() as region:
        region.servers.set_tags(server, tags)


def enable(nova: Any, *argv: str) -> None:
    """Enable scheduled images, as on a cloud that makes none itself."""
    result = nova("scheduled-images-enable", *argv)
    assert (result.status, result.out, result.err) == (0, "", f"{NEEDS_SERVICE}\n")


def test_the_requests_of_one_server(nova: Any, cloud: Sandbox) -> None:
    unknown = [f"GET {SERVER}/rax-si-image-schedule 404", ASKED]
    enable(nova, MYSERVER, "7")
    posted = f"POST {SERVER}/rax-si-image-schedule 404"
    put = [f"PUT {TAGS}/{quote(name)} 201" for name in (DAILY.format(7), MARKER)]
    assert sent(cloud) == [posted, ASKED, f"GET {TAGS} 200", *put]
    nova.ok("scheduled-images-show", MYSERVER)
    assert sent(cloud) == [*unknown, f"GET {TAGS} 200"]
    enable(nova, MYSERVER, "3")
    changed = [
        f"PUT {TAGS}/{quote(DAILY.format(3))} 201",
        f"DELETE {TAGS}/{quote(DAILY.format(7))}",
    ]
    assert sent(cloud)[-2:] == [changed[0], f"{changed[1]} 204"]
    nova.ok("scheduled-images-disable", MYSERVER)
    taken = [f"DELETE {TAGS}/{quote(name)} 204" for name in (MARKER, DAILY.format(3))]
    assert sent(cloud)[-3:] == [f"PUT {TAGS}/{quote(OFF_TAG)} 201", *taken]
    assert tags(cloud) == [OFF_TAG]


@pytest.mark.long
@needs_refusal
def test_of_many_servers_not_each_asks_for_the_extension(
    nova: Any, cloud: Sandbox
) -> None:
    for number in range(200):
        cloud.boot(f"server {number}")
    err = nova.recorded("scheduled-images-enable", "--all", "7")
    assert err.endswith(f"{NEEDS_SERVICE}\n")
    # Two more read what it was before.
    assert len(sent(cloud)) < 200 * 4 + 160
    cloud.requests.clear()
    nova.recorded("scheduled-images-disable", "--all")
    lines = sent(cloud)
    assert lines[:2] == [
        "GET /servers?RAX-SI%3Aimage_schedule=True 400",
        ASKED,
    ]
    assert lines[2] == "GET /servers?tags=scheduled-images 200"
    with cloud.region() as region:
        assert list(region.servers.get(MYSERVER).tags) == [OFF_TAG]


@pytest.mark.parametrize("command", ["show", "disable", "update --daily"])
def test_a_server_without_a_schedule(nova: Any, command: str) -> None:
    verb, *options = command.split()
    result = nova(f"scheduled-images-{verb}", *options, "myserver")
    assert (result.status, result.out, result.err) == (1, "", OFF.format(MYSERVER))


@pytest.mark.parametrize("command", ["show", "disable", "update --daily", "enable"])
def test_no_such_server(nova: Any, cloud: Sandbox, command: str) -> None:
    verb, *options = command.split()
    retention = ["7"] if verb == "enable" else []
    result = nova(f"scheduled-images-{verb}", *options, NOBODY, *retention)
    assert (result.status, result.out, result.err) == (1, "", UNKNOWN.format(NOBODY))


def test_a_value_without_a_marker_is_not_a_schedule(nova: Any, cloud: Sandbox) -> None:
    tag(cloud, DAILY.format(2), "web")
    assert nova("scheduled-images-show", MYSERVER).err == OFF.format(MYSERVER)
    enable(nova, MYSERVER, "7")
    assert tags(cloud) == [MARKER, DAILY.format(7), "web"]


@pytest.mark.parametrize(
    "broken", [[MARKER], [MARKER, DAILY.format(0)], [MARKER, DAILY.format("x"), "web"]]
)
def test_a_malformed_schedule_is_reported_and_can_be_replaced(
    nova: Any, cloud: Sandbox, broken: list[str]
) -> None:
    tag(cloud, *broken)
    wrong = broken[1] if len(broken) > 1 else MARKER
    line = (
        f"ERROR (InvalidSchedule): Server {MYSERVER} has the tag '{wrong}', which is"
        " not a schedule: a schedule requires the tag scheduled-images and one of"
        " scheduled-images:daily:N, scheduled-images:weekly-DAY:N and"
        " scheduled-images:6h@02:30:8l+7d+4w, N being 1 to 65535\n"
    )
    for argv in (("show",), ("update", "--daily"), ("prune", "--yes")):
        result = nova(f"scheduled-images-{argv[0]}", *argv[1:], MYSERVER)
        assert (result.status, result.out, result.err) == (1, "", line)
    assert tags(cloud) == sorted(broken)
    assert "No image" in nova.ok("scheduled-images-enable", "--dry-run", MYSERVER, "7")
    enable(nova, MYSERVER, "7")
    assert nova.ok("scheduled-images-show", MYSERVER).endswith("Retention: 7\n")
    tag(cloud, *broken)
    nova.ok("scheduled-images-disable", MYSERVER)
    assert tags(cloud) == [OFF_TAG, *(name for name in broken if name == "web")]


def test_two_schedules_are_the_one_that_deletes_less(nova: Any, cloud: Sandbox) -> None:
    tag(cloud, MARKER, DAILY.format(3), DAILY.format(10))
    assert nova.ok("scheduled-images-show", MYSERVER).endswith("Retention: 10\n")
    (row,) = json.loads(nova.ok("scheduled-images-list", "--enabled", "--format=json"))
    assert (row["schedule"], row["retention"]) == ("daily", 10)


@needs_refusal
def test_the_list(nova: Any, cloud: Sandbox) -> None:
    enable(nova, "myserver", "7")
    enable(nova, "--day-of-week", "sun", "web1", "2")
    tag(cloud, MARKER, server=id_of(cloud, "db1"))
    sent(cloud)
    shown = nova.ok("scheduled-images-list", "--format", "value")
    rows = {line.split("\t")[0]: line.split("\t")[2:5] for line in shown.splitlines()}
    assert rows == {
        "check-my-task-state": ["", "", ""],
        "db1": [MARKER, "", ""],
        "myserver": ["daily", "", "7"],
        "web1": ["weekly", "SUNDAY", "2"],
    }
    # One page of servers, as on any cloud.
    filtered = "GET /servers?RAX-SI%3Aimage_schedule=True&limit=1 400"
    listed = "GET /servers/detail 200"
    assert sent(cloud) == [listed, filtered, ASKED, SNAPSHOTS]
    for option, names in (
        ("--enabled", ["db1", "myserver", "web1"]),
        ("--disabled", ["check-my-task-state"]),
    ):
        shown = nova.ok("scheduled-images-list", option, "--format", "value")
        assert [line.split("\t")[0] for line in shown.splitlines()] == names
        by = "tags" if option == "--enabled" else "not-tags"
        assert sent(cloud)[-2:] == [
            f"GET /servers/detail?{by}=scheduled-images 200",
            SNAPSHOTS,
        ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("option", ["--enabled", "--disabled", None])
def test_the_list_of_any_microversion(
    nova: Any, cloud: Sandbox, version: str, option: str | None
) -> None:
    enable(nova, "myserver", "7")
    argv = ["--os-compute-api-version", version, "scheduled-images-list"]
    argv += ["--format", "value", *filter(None, [option])]
    shown = [line.split("\t") for line in nova.ok(*argv).splitlines()]
    expected = {"--enabled": [True], "--disabled": [False] * 3, None: [False] * 4}
    having = [row[2] == "daily" for row in shown]
    if option is None:
        assert sorted(having) == [False, False, False, True]
    else:
        assert having == expected[option]


def test_an_image_that_is_not_known_to_be_whole_is_in_no_list(
    nova: Any, cloud: Sandbox
) -> None:
    """All lists go by the rules of this service, though the first page came before."""
    enable(nova, "myserver", "2")
    properties: Any = run_metadata(MYSERVER, "2026-01-05", "0-a")
    properties.pop(PENDING_KEY)
    add_image(cloud, "Daily-myserver-1767614400", **properties)
    cloud.advance("1h")
    properties = run_metadata(MYSERVER, "2026-01-06", "0-b")
    add_image(cloud, "Daily-myserver-1767700800", **properties)
    (row,) = (
        row
        for row in json.loads(nova.ok("scheduled-images-list", "--format=json"))
        if row["schedule"]
    )
    rows = json.loads(
        nova.ok("scheduled-images-image-list", "myserver", "--format=json")
    )
    counted = [each["counted"] for each in rows]
    assert (row["counted"], counted) == (1, [False, True])


def test_pages(nova: Any, cloud: Sandbox) -> None:
    for number in range(60):
        server = cloud.boot(f"server {number}")
        if number % 2:
            tag(cloud, MARKER, DAILY.format(number), server=server.id)
    shown = json.loads(nova.ok("scheduled-images-list", "--enabled", "--format=json"))
    assert sorted(row["retention"] for row in shown) == list(range(1, 60, 2))


def test_check(nova: Any, cloud: Sandbox) -> None:
    enable(nova, "myserver", "7")
    assert nova.ok("scheduled-images-check").startswith("ok: 1 server has")
    cloud.advance("2d")
    result = nova("scheduled-images-check", "--format", "value")
    assert (result.status, result.err) == (3, "")
    assert result.out.split("\t")[0] == "myserver"


def test_check_names_a_malformed_tag(nova: Any, cloud: Sandbox) -> None:
    tag(cloud, MARKER, DAILY.format("x"))
    result = nova("scheduled-images-check")
    assert (result.status, result.err) == (3, "")
    assert DAILY.format("x") in result.out
    (row,) = json.loads(nova("scheduled-images-check", "--format", "json").out)
    assert row["state"] == "invalid"


def test_a_locked_server_can_be_changed(nova: Any, cloud: Sandbox) -> None:
    nova.ok("lock", "myserver")
    enable(nova, "myserver", "7")
    nova.ok("scheduled-images-disable", "myserver")


@pytest.mark.parametrize("user", ["observer"])
def test_who_may_not_set_tags(nova: Any, cloud: Sandbox, user: str) -> None:
    enable(nova, "myserver", "7")
    assert nova.ok("scheduled-images-show", "myserver", user=user)
    for argv in (("enable", "myserver", "3"), ("disable", "myserver")):
        result = nova(f"scheduled-images-{argv[0]}", *argv[1:], user=user)
        assert (result.status, result.out) == (1, "")
        assert result.err.startswith("ERROR (Forbidden): Policy doesn't allow")
    assert tags(cloud) == [MARKER, DAILY.format(7)]


def test_an_error_in_between_leaves_a_schedule(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    enable(nova, "myserver", "7")
    front.answer("DELETE", "/tags/", page("502 Bad Gateway"), times=1)
    result = nova("scheduled-images-enable", "myserver", "3")
    assert result.status == 1
    # The change has not come to its end: what deletes less counts until it does.
    assert nova.ok("scheduled-images-show", "myserver").endswith("Retention: 7\n")
    enable(nova, "myserver", "3")
    assert nova.ok("scheduled-images-show", "myserver").endswith("Retention: 3\n")


def test_losing_a_race_is_not_an_error(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    enable(nova, "myserver", "7")
    stale = json.dumps({"tags": tags(cloud)})
    tag(cloud)
    spoken = {"X_OpenStack_Nova_API_Version": "2.26"}
    front.answer("GET", "/tags$", json_answer("200 OK", stale, **spoken))
    nova.ok("scheduled-images-disable", "myserver")


def test_changes_side_by_side_leave_a_schedule(nova: Any, cloud: Sandbox) -> None:
    ours = connect(make_client(cloud))
    schedules = [ImageSchedule(number) for number in range(3, 9)]
    threads = [
        threading.Thread(target=schedules_of.enable, args=(ours, MYSERVER, schedule))
        for schedule in schedules
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ours.schedules.get(MYSERVER) in schedules


def test_a_cloud_that_is_too_old_for_tags(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    front.without_schedules()
    commands = ("enable --all 7", "show myserver", "list", "list --enabled", "check")
    for command in commands:
        verb, *argv = command.split()
        result = nova(f"scheduled-images-{verb}", *argv)
        assert (result.status, result.out) == (1, ""), command
        assert result.err.endswith(NOT_OFFERED)
        assert len(result.err.splitlines()) <= 2


# -- schedules beyond daily, weekly and a number

SIX_HOURLY = ImageSchedule(hours=6, keep=Keep(last=8, daily=7, weekly=4))


def test_a_tag_that_differs_in_letter_case_only_is_taken_away_first(
    cloud: Sandbox,
) -> None:
    """Nova's database keeps the first of the two, and would delete both."""
    api = connect(make_client(cloud))
    for before in (
        ("Scheduled-Images", "scheduled-images:Daily:7"),
        (MARKER, "scheduled-images:6H:8l+7d+4w"),
        (MARKER, "SCHEDULED-IMAGES:6h:8L+7D+4W", "web"),
    ):
        for schedule in (ImageSchedule(7), SIX_HOURLY):
            tag(cloud, *before)
            (outcome,) = schedules_of.enable(api, MYSERVER, schedule)
            assert outcome.result() == schedule
            assert read_schedule_tags(tags(cloud)) == schedule
            lower = [each.lower() for each in tags(cloud)]
            assert len(lower) == len(set(lower))


def test_a_schedule_with_rules(cloud: Sandbox) -> None:
    api = connect(make_client(cloud))
    (outcome,) = schedules_of.enable(api, MYSERVER, SIX_HOURLY)
    assert outcome.result() == SIX_HOURLY
    assert tags(cloud) == [MARKER, "scheduled-images:6h:8l+7d+4w"]
    (changed,) = schedules_of.change(api, MYSERVER, ScheduleSettings(at="02:30"))
    assert changed.result().before == SIX_HOURLY
    assert tags(cloud) == [MARKER, "scheduled-images:6h@02:30:8l+7d+4w"]
    (shown,) = schedules_of.show(api, MYSERVER)
    assert shown.result().schedule == replace(SIX_HOURLY, at="02:30")
    rules = dict.fromkeys(RULES, 65535)
    sent(cloud)
    (refused,) = schedules_of.enable(api, MYSERVER, ImageSchedule(keep=Keep(**rules)))
    assert "a tag at most 60" in str(refused.error)
    assert not [each for each in sent(cloud) if not each.startswith("GET")]
