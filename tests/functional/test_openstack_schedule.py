"""``openstack server image schedule``, through the real shell."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rax_scheduled_images_ext.console.schedules import NEEDS_SERVICE
from rax_scheduled_images_ext.sandbox import Sandbox

from ..openstackshell import OpenStack, not_beside_novaclient_7
from ..waiting import until
from .fleet import MYSERVER, NOBODY, NOT_OFFERED, id_of
from .interceptor import Interceptor, page

pytestmark = not_beside_novaclient_7

TAGGED = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
OFF = "Scheduled images not enabled for server {} (HTTP 404)\n"
UNKNOWN = "No server with a name or ID of '{}' exists.\n"
SCHEDULE = ("server", "image", "schedule")


def schedules(cloud: Sandbox) -> dict[str, tuple[int, str | None]]:
    """The schedules that the cloud's servers have, by the servers' names."""
    return {
        server.name: (server.schedule.retention, server.schedule.day_of_week)
        for server in cloud.servers()
        if server.schedule
    }


def auth_only(cloud: Sandbox) -> bool:
    """Whether nothing but a token has been asked for."""
    return all("/identity/" in seen.path for seen in cloud.requests)


# -- set and unset


def test_a_schedule_comes_and_goes(openstack: OpenStack, cloud: Sandbox) -> None:
    assert openstack.ok(*SCHEDULE, "set", "--retention", "7", "myserver") == ""
    assert schedules(cloud) == {"myserver": (7, None)}
    assert openstack.ok(*SCHEDULE, "unset", "myserver") == ""
    assert schedules(cloud) == {}
    result = openstack(*SCHEDULE, "unset", "myserver")
    assert (result.status, result.out) == (1, "")
    assert result.err == OFF.format(MYSERVER)


def test_only_what_is_named_is_changed(openstack: OpenStack, cloud: Sandbox) -> None:
    steps: list[tuple[list[str], tuple[int, str | None]]] = [
        (["--retention", "4", "--weekly", "sat"], (4, "SATURDAY")),
        (["--retention", "5"], (5, "SATURDAY")),
        (["--weekly", "Sunday"], (5, "SUNDAY")),
        (["--daily"], (5, None)),
        (["--daily", "--retention", "9"], (9, None)),
    ]
    for options, expected in steps:
        assert openstack.ok(*SCHEDULE, "set", *options, MYSERVER) == ""
        assert schedules(cloud) == {"myserver": expected}


def test_what_is_right_already_is_not_sent(
    openstack: OpenStack, cloud: Sandbox
) -> None:
    openstack.ok(*SCHEDULE, "set", "--retention", "7", MYSERVER)
    cloud.requests.clear()
    openstack.ok(*SCHEDULE, "set", "--retention", "7", "--daily", MYSERVER)
    assert [seen.method for seen in cloud.requests if "/servers/" in seen.path] == [
        "GET"
    ]


def test_a_server_without_a_schedule_needs_a_retention(
    openstack: OpenStack, cloud: Sandbox
) -> None:
    result = openstack(*SCHEDULE, "set", "--weekly", "sat", "myserver")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        f"Scheduled images not enabled for server {MYSERVER}, and no number of"
        " images to keep was given\n"
    )
    assert schedules(cloud) == {}


def test_of_several_servers_the_others_are_done(
    openstack: OpenStack, cloud: Sandbox
) -> None:
    argv = ("--retention", "3", "myserver", "nobody", NOBODY, "web1")
    result = openstack(*SCHEDULE, "set", *argv)
    assert (result.status, result.out) == (1, "")
    is_daily = "was no schedule; is daily, retention 3\n"
    assert result.err == (
        f"myserver: {is_daily}"
        + UNKNOWN.format("nobody")
        + UNKNOWN.format(NOBODY)
        + f"web1: {is_daily}"
    )
    assert schedules(cloud) == {"myserver": (3, None), "web1": (3, None)}
    result = openstack(*SCHEDULE, "unset", "db1", "web1")
    assert (result.status, result.err) == (
        1,
        f"db1: {OFF.format(id_of(cloud, 'db1'))}"
        "web1: was daily, retention 3; is no schedule\n",
    )
    assert schedules(cloud) == {"myserver": (3, None)}


def test_all_servers_or_those_of_a_name(openstack: OpenStack, cloud: Sandbox) -> None:
    def changed(*argv: str) -> str:
        result = openstack(*SCHEDULE, *argv)
        assert (result.status, result.out) == (0, "")
        return result.err

    told = changed("set", "--retention", "3", "--name", "^(web|db)")
    assert told == (
        "About to change 2 servers whose names match '^(web|db)'.\n"
        "db1: was no schedule; is daily, retention 3\n"
        "web1: was no schedule; is daily, retention 3\n"
    )
    assert schedules(cloud) == {"db1": (3, None), "web1": (3, None)}
    # Without a retention it is about the servers that have a schedule.
    told = changed("set", "--weekly", "mon", "--all")
    assert told.startswith("About to change 2 servers in this project.\n")
    assert schedules(cloud) == {"db1": (3, "MONDAY"), "web1": (3, "MONDAY")}
    changed("set", "--retention", "4", "--all")
    assert schedules(cloud)["db1"] == (4, "MONDAY")
    assert schedules(cloud)["myserver"] == (4, None)
    told = changed("unset", "--name", "1$")
    assert told.endswith("web1: was weekly on MONDAY, retention 4; is no schedule\n")
    assert schedules(cloud).keys() == {"myserver", "check-my-task-state"}
    result = openstack(*SCHEDULE, "unset", "--name", "^nothing")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "There is no server with scheduled images whose name matches '^nothing' in"
        " this project\n"
    )


def test_a_dry_run_changes_nothing(openstack: OpenStack, cloud: Sandbox) -> None:
    openstack.ok(*SCHEDULE, "set", "--retention", "7", "--weekly", "sat", "myserver")
    cloud.advance("30d")
    newest, *_, oldest = cloud.images(MYSERVER)
    argv = ("--retention", "1", "--dry-run", "myserver", "web1")
    out = openstack.ok(*SCHEDULE, "set", *argv)
    first, *_, last, nothing, expected = out.splitlines()
    was = "weekly on SATURDAY, retention"
    assert first == f"myserver: {was} 1 (now {was} 7)"
    assert oldest.id in out
    assert newest.id in out
    assert last == "web1: daily, retention 1 (now no schedule)"
    assert nothing == "No image expires with the next scheduled image."
    assert (
        expected
        == "Expected: in a week 1 image, in a month 1 image, in a year 1 image."
    )
    assert schedules(cloud) == {"myserver": (7, "SATURDAY")}
    result = openstack(*SCHEDULE, "set", "--dry-run", "--daily", "web1")
    assert (result.status, result.out) == (1, "")
    assert "no number of images to keep was given" in result.err


WAYS = "choose servers in one way: by <server>..., by --all or by --name"
WRONG = {
    "nothing to change": (
        ["set", "web1"],
        "nothing to change: use --daily, --weekly, --every, --at, --retention, --keep"
        " or --keep-within",
    ),
    "no server": (["set", "--daily"], WAYS),
    "no server to unset": (["unset"], WAYS),
    "servers in two ways": (["unset", "--all", "web1"], WAYS),
    "all and a name": (["set", "--daily", "--all", "--name", "x"], WAYS),
    "a retention": (
        ["set", "--retention", "0", "web1"],
        "argument --retention: '0' is not a retention: a whole number from 1 to 65535",
    ),
    "a day": (
        ["set", "--weekly", "t", "web1"],
        "argument --weekly: 't' is ambiguous: tuesday or thursday",
    ),
    "daily and weekly": (
        ["set", "--daily", "--weekly", "sat", "web1"],
        "argument --weekly: not allowed with argument --daily",
    ),
    "a name": (
        ["set", "--daily", ""],
        "argument <server>: '' is not a name or ID of 1 to 255 characters",
    ),
    "an expression": (
        ["list", "--name", "("],
        "argument --name: '(' is not a regular expression: missing ),"
        " unterminated subpattern at position 0",
    ),
    "both kinds": (
        ["list", "--enabled", "--disabled"],
        "argument --disabled: not allowed with argument --enabled",
    ),
    "an age": (
        ["check", "--max-age", "0s"],
        "argument --max-age: '0s' is too short: it must be more than 0",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage(openstack: OpenStack, cloud: Sandbox, case: str) -> None:
    argv, told = WRONG[case]
    result = openstack(*SCHEDULE, *argv)
    assert (result.status, result.out) == (2, "")
    *usage, line = result.err.splitlines()
    assert usage[0].startswith(f"usage: openstack server image schedule {argv[0]} ")
    assert line == f"openstack server image schedule {argv[0]}: error: {told}"
    # The shell itself logs in before it reads the arguments.
    assert auth_only(cloud)


@TAGGED
def test_a_cloud_that_makes_none_says_what_does(
    openstack: OpenStack, cloud: Sandbox
) -> None:
    result = openstack(*SCHEDULE, "set", "--retention", "7", "myserver")
    assert (result.status, result.out) == (0, "")
    assert result.err == f"{NEEDS_SERVICE}\n"
    # It has been said.
    openstack.ok(*SCHEDULE, "set", "--weekly", "sat", "myserver")
    assert openstack.json(*SCHEDULE, "show", "myserver")["day_of_week"] == "SATURDAY"


@TAGGED
def test_malformed_tags_are_replaced_as_a_whole(
    openstack: OpenStack, cloud: Sandbox
) -> None:
    tag = "scheduled-images:weekly-saturday:0"
    with cloud.region() as region:
        region.servers.set_tags(MYSERVER, ("scheduled-images", tag))
    for argv in (["set", "--retention", "4"], ["set", "--weekly", "sat"], ["show"]):
        result = openstack(*SCHEDULE, *argv, "myserver")
        assert (result.status, result.out) == (1, "")
        assert f"has the tag '{tag}', which is not a schedule" in result.err
    check = openstack(*SCHEDULE, "check", "-f", "value", "-c", "State")
    assert (check.status, check.out, check.err) == (3, "invalid\n", "")
    for argv in (["set", "--retention", "4"], ["set", "--weekly", "sat"]):
        assert openstack(*SCHEDULE, *argv, "myserver").err.endswith(
            ": to replace it, set both when images are made and what is kept\n"
        )
    for options, after in (
        (["--retention", "4", "--weekly", "sat"], "weekly-saturday:4"),
        (["--keep", "daily=7", "--daily"], "daily:7d"),
        (["--keep", "last=3", "--every", "6h"], "6h:3"),
        (["--keep", "last=2", "--keep-within", "9d", "--daily"], "daily:2l+in9d"),
    ):
        with cloud.region() as region:
            region.servers.set_tags(MYSERVER, ("scheduled-images", tag))
        assert openstack(*SCHEDULE, "set", *options, "myserver").status == 0
        with cloud.region() as region:
            assert set(region.servers.get(MYSERVER).tags) == {
                "scheduled-images",
                f"scheduled-images:{after}",
            }


def test_a_cloud_without_schedules(openstack: OpenStack, front: Interceptor) -> None:
    front.without_schedules()
    for argv in (["set", "--retention", "1", "myserver", "web1"], ["show", "web1"]):
        result = openstack(*SCHEDULE, *argv)
        assert (result.status, result.out) == (1, "")
        assert f"ERROR (NotFound): {result.err}" == NOT_OFFERED


def test_an_interrupted_command_says_how_far_it_came(
    cloud: Sandbox, front: Interceptor
) -> None:
    ids = [cloud.boot(f"server {number}").id for number in range(30)]
    front.answer("POST", "/rax-si-image-schedule$", None, passed=5)
    process = subprocess.Popen(
        [
            *(Path(sys.executable).with_name("openstack"), *SCHEDULE),
            *("set", "--retention", "7", *ids),
        ],
        env=cloud.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: len(schedules(cloud)) >= 5, 120)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    told = "\nInterrupted: 5 of 30 servers done; result unknown: "
    assert told in err
    assert len(schedules(cloud)) == 5


# -- show, list and check


def test_show(openstack: OpenStack, cloud: Sandbox) -> None:
    openstack.ok(*SCHEDULE, "set", "--retention", "7", "myserver")
    shown = openstack.json(*SCHEDULE, "show", "myserver")
    first = (shown["schedule"], shown["state"], shown["newest"], shown["next_due"])
    assert first == ("daily", "never", None, None)
    cloud.advance("10d")
    newest, *_, oldest = cloud.images(MYSERVER)
    shown = openstack.json(*SCHEDULE, "show", "myserver")
    assert shown == {
        "server": "myserver",
        "id": MYSERVER,
        "schedule": "daily",
        "day_of_week": None,
        "retention": 7,
        "next_due": shown["next_due"],
        "state": "ok",
        "newest": shown["newest"],
        "limit": 26 * 3600,
        "newest_image": newest.name,
        "newest_image_id": newest.id,
        "counted": 7,
        "kept": 0,
        "expires_next": oldest.name,
        "volumes_not_in_images": None,
        "verified": None,
        "verified_level": None,
        "consistency": "crash",
    }
    assert openstack.json(*SCHEDULE, "show", MYSERVER) == shown
    table = openstack.ok(*SCHEDULE, "show", "myserver")
    assert re.search(r"^\| newest  +\| \d+h(\d+m)? old  +\|$", table, re.M)
    assert re.search(r"^\| limit  +\| 1d2h  +\|$", table, re.M)
    argv = ("show", "-c", "retention", "-c", "newest_image", "-f", "value", "myserver")
    assert openstack.ok(*SCHEDULE, *argv) == f"7\n{newest.name}\n"
    assert 'retention="7"\nstate="ok"' in openstack.ok(
        *SCHEDULE, "show", "-f", "shell", "-c", "retention", "-c", "state", "myserver"
    )


def test_what_cannot_be_shown(openstack: OpenStack) -> None:
    for server, told in (
        ("myserver", OFF.format(MYSERVER)),
        (NOBODY, UNKNOWN.format(NOBODY)),
    ):
        result = openstack(*SCHEDULE, "show", "-f", "json", server)
        assert (result.status, result.out, result.err) == (1, "", told)


def test_list(openstack: OpenStack, cloud: Sandbox) -> None:
    openstack.ok(*SCHEDULE, "set", "--retention", "7", "myserver")
    openstack.ok(*SCHEDULE, "set", "--retention", "10", "--weekly", "sat", "web1")
    cloud.advance("10d")
    rows = openstack.json(*SCHEDULE, "list")
    assert [row["Server"] for row in rows] == [
        *("check-my-task-state", "db1", "myserver", "web1")
    ]
    assert list(rows[2]) == [
        *("Server", "ID", "Schedule", "Day", "Retention", "Newest", "State")
    ]
    *_, oldest = cloud.images(MYSERVER)
    long = openstack.json(*SCHEDULE, "list", "--long", "--enabled")
    assert [row["Server"] for row in long] == ["myserver", "web1"]
    assert long[0].items() >= rows[2].items()
    assert long[0]["Expires Next"] == oldest.name
    assert (long[0]["Counted"], long[0]["Kept"], long[1]["Day"]) == (7, 0, "SATURDAY")
    disabled = openstack.json(*SCHEDULE, "list", "--disabled", "--name", "b1$")
    assert [row["Server"] for row in disabled] == ["db1"]

    text = openstack.ok(*SCHEDULE, "list", "-f", "csv")
    as_csv = list(csv.DictReader(io.StringIO(text)))
    assert [row["Retention"] for row in as_csv] == ["", "", "7", "10"]
    assert as_csv[2]["Newest"] == rows[2]["Newest"]
    as_yaml = openstack.ok(*SCHEDULE, "list", "-f", "yaml", "--name", "^my")
    assert "Day: null\n" in as_yaml
    assert "  Retention: 7\n" in as_yaml
    argv = ("-f", "value", "-c", "Server", "--sort-column", "Retention")
    assert openstack.ok(*SCHEDULE, "list", *argv, "--enabled").split() == [
        *("myserver", "web1")
    ]
    assert openstack.ok(
        *SCHEDULE, "list", *argv, "--enabled", "--sort-descending"
    ).split() == ["web1", "myserver"]
    # Where some have none, the rest is still in order.
    assert openstack.ok(*SCHEDULE, "list", *argv).split()[:2] == ["myserver", "web1"]
    newest = ("-f", "value", "-c", "Server", "--sort-column", "Newest")
    assert openstack.ok(*SCHEDULE, "list", *newest).split()[:2] == ["web1", "myserver"]


def test_a_table_is_for_people(openstack: OpenStack, cloud: Sandbox) -> None:
    openstack.ok(*SCHEDULE, "set", "--retention", "7", "myserver")
    cloud.advance("3d")
    result = openstack(*SCHEDULE, "list", "--enabled", "--long")
    table = result.out
    assert re.fullmatch(r"In all: [0-9.]+ GiB in 3 images of 1 server\.\n", result.err)
    (row,) = [line for line in table.splitlines() if "myserver" in line]
    assert re.search(r"\| \d+h(\d+m)? old \| in \d+h(\d+m)? ", row)
    narrow = openstack(*SCHEDULE, "list", "--long", "--max-width", "100").out
    assert max(map(len, narrow.splitlines())) < max(map(len, table.splitlines()))
    assert openstack.ok(*SCHEDULE, "list", "--name", "^none$") == ""


def test_who_is_late(openstack: OpenStack, cloud: Sandbox) -> None:
    assert openstack.ok(*SCHEDULE, "check", "-f", "value") == ""
    for server in ("myserver", "web1"):
        openstack.ok(*SCHEDULE, "set", "--retention", "7", server)
    cloud.advance("3d")
    assert openstack.json(*SCHEDULE, "check") == []
    with cloud.region() as region:
        region.servers.hold(MYSERVER, True)
    cloud.advance("2d")
    late = openstack(*SCHEDULE, "check", "-f", "json")
    assert (late.status, late.err) == (3, "")
    (row,) = json.loads(late.out)
    assert (row["Server"], row["State"], row["Limit"]) == ("myserver", "late", 93600)
    argv = ("check", "--max-age", "9d", "--name", "my")
    assert openstack.json(*SCHEDULE, *argv) == []
    nobody = openstack(*SCHEDULE, "check", "--name", "^nothing")
    assert (nobody.status, nobody.out) == (1, "")
    assert "whose name matches '^nothing'" in nobody.err
    told = openstack(*("-v", *SCHEDULE), "check", "--max-age", "9d")
    assert "ok: 2 servers have scheduled images, none is late" in told.err


def test_what_cannot_be_read_is_reported(
    openstack: OpenStack, cloud: Sandbox, front: Interceptor
) -> None:
    openstack.ok(*SCHEDULE, "set", "--retention", "7", "myserver")
    front.change(
        "GET", "/servers/detail", lambda c: c.replace(b"RAX-SI:image_schedule", b"x")
    )
    broken = page("500 Internal Server Error")
    front.answer("GET", f"{MYSERVER}/rax-si-image-schedule$", broken)
    for verb in ("list", "check"):
        result = openstack(
            *SCHEDULE, verb, "-f", "value", "-c", "Server", "-c", "State"
        )
        assert result.status == 1
        assert "myserver unknown\n" in result.out
        assert result.err.startswith("myserver: The compute service refused GET ")
        assert len(result.err.splitlines()) == 1
