"""``server_image_schedule``, on a cloud with the extension and on one with tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.console.schedules import NEEDS_SERVICE
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER, NOBODY
from ..novashell import Nova
from .conftest import Play, run, schedule

NONE = {"schedule": None, "day_of_week": None, "retention": None}
EXTENSION, TAGS = {"extension": True}, {"extension": False}
both = pytest.mark.parametrize("cloud", [EXTENSION, TAGS], indirect=True)
tagged = pytest.mark.parametrize("cloud", [TAGS], indirect=True)


def daily(retention: int) -> dict[str, Any]:
    return {"schedule": "daily", "day_of_week": None, "retention": retention}


def weekly(day: str, retention: int) -> dict[str, Any]:
    return {"schedule": "weekly", "day_of_week": day, "retention": retention}


def shown(result: dict[str, Any]) -> dict[str, Any]:
    """The schedule of a result, without the server."""
    found = dict(result["schedule"])
    assert (found.pop("server"), found.pop("id")) == ("myserver", MYSERVER)
    return found


def changes(cloud: Sandbox) -> list[str]:
    """The requests that change something, without those for tokens."""
    return [
        f"{seen.method} {seen.path}"
        for seen in cloud.requests
        if seen.method != "GET" and "/auth/tokens" not in seen.path
    ]


@both
def test_only_what_is_named_changes_and_only_once(play: Play, cloud: Sandbox) -> None:
    steps: list[tuple[dict[str, Any], bool, dict[str, Any]]] = [
        ({"retention": 7}, True, daily(7)),
        ({"retention": 7}, False, daily(7)),
        ({"weekly": "sat"}, True, weekly("SATURDAY", 7)),
        ({"retention": 4, "daily": False}, True, weekly("SATURDAY", 4)),
        ({"daily": True}, True, daily(4)),
        ({"day_of_week": "sunday", "retention": 2}, True, weekly("SUNDAY", 2)),
        ({}, False, weekly("SUNDAY", 2)),
    ]
    results = play(*(schedule(**arguments) for arguments, _, _ in steps))
    changed = [changed for _, changed, _ in steps]
    assert [each["changed"] for each in results] == changed
    assert [shown(each) for each in results] == [after for _, _, after in steps]
    assert not any("diff" in each for each in results)
    # With each change it is said where it takes a service to make images.
    told = [NEEDS_SERVICE] if not cloud.cloud.extension else []
    warnings = [each.get("warnings", []) for each in results]
    assert warnings == [told if each else [] for each in changed]
    nova = Nova(cloud)
    expected = "Schedule type: Weekly on: SUNDAY\nRetention: 2\n"
    assert nova.ok("scheduled-images-show", "myserver") == expected
    gone = play(schedule(state="absent"), schedule(state="absent"))
    assert [each["changed"] for each in gone] == [True, False]
    assert [shown(each) for each in gone] == [NONE, NONE]
    assert not any("warnings" in each for each in gone)
    assert nova("scheduled-images-show", "myserver").status == 1


@both
def test_check_mode_tells_what_would_change_and_changes_nothing(
    play: Play, cloud: Sandbox
) -> None:
    options = ("--check", "--diff")
    (made,) = play(schedule(retention=7), options=options)
    assert (made["changed"], shown(made)) == (True, daily(7))
    assert made["diff"] == {"before": NONE, "after": daily(7)}
    assert "warnings" not in made
    assert changes(cloud) == []
    Nova(cloud)("scheduled-images-enable", "myserver", "7")
    cloud.requests.clear()
    changed, same, gone = play(
        schedule(weekly="monday"),
        schedule(retention=7),
        schedule(state="absent"),
        options=options,
    )
    assert changed["diff"] == {"before": daily(7), "after": weekly("MONDAY", 7)}
    assert (same["changed"], same["diff"]["before"]) == (False, same["diff"]["after"])
    assert (gone["changed"], shown(gone)) == (True, NONE)
    assert gone["diff"] == {"before": daily(7), "after": NONE}
    assert changes(cloud) == []
    (real,) = play(schedule(state="absent"), options=("--diff",))
    assert (real["changed"], real["diff"]) == (True, gone["diff"])


def test_bad_input_is_named_before_any_request(play: Play, cloud: Sandbox) -> None:
    not_a_day = (
        "is not a day of the week: use one of sunday, monday, tuesday, wednesday,"
        " thursday, friday, saturday"
    )
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"retention": 0}, "'0' is not a retention: a whole number from 1 to 65535"),
        ({"retention": 65536}, "'65536' is not a retention: a whole number from 1 to"),
        ({"retention": True}, "True is not a retention: it must be an int"),
        ({"retention": "seven"}, "argument 'retention' is of type"),
        ({"retention": 7, "weekly": "funday"}, f"'funday' {not_a_day}"),
        ({"weekly": "t"}, "'t' is ambiguous: tuesday or thursday"),
        ({"weekly": "sat", "daily": True}, "cannot be both daily and weekly"),
        ({"state": "absent", "retention": 0}, "'0' is not a retention"),
        ({"state": "off"}, "value of state must be one of: present, absent, got: off"),
    ]
    results = play(*(schedule(**arguments) for arguments, _ in wrong))
    for (arguments, message), result in zip(wrong, results, strict=True):
        assert result["failed"], arguments
        assert message in result["msg"], arguments
    assert list(cloud.requests) == []


@both
def test_a_server_that_is_not_there_fails_whatever_is_wanted(
    play: Play, cloud: Sandbox
) -> None:
    names = ("nobody", NOBODY)
    results = play(schedule(names[0], retention=7), schedule(names[1], state="absent"))
    for name, result in zip(names, results, strict=True):
        assert result["failed"]
        assert result["msg"] == f"No server with a name or ID of '{name}' exists."
    assert changes(cloud) == []


def test_of_two_servers_with_the_name_none_is_taken(play: Play, cloud: Sandbox) -> None:
    cloud.boot("twin")
    cloud.boot("twin")
    (result,) = play(schedule("twin", retention=7))
    assert result["msg"].startswith("Multiple server matches found for 'twin'")
    assert changes(cloud) == []


@tagged
def test_a_new_schedule_needs_a_retention(play: Play, cloud: Sandbox) -> None:
    results = play(schedule(), schedule(weekly="monday"))
    for result in results:
        assert result["failed"]
        assert result["msg"] == (
            "Server 'myserver' has no schedule: to give it one, give retention or keep"
        )
    assert changes(cloud) == []


# -- beyond daily, weekly and a number


@tagged
def test_rules_are_set_shown_and_changed(play: Play, cloud: Sandbox) -> None:
    keep = {"last": 8, "daily": 7, "weekly": 4}
    words = "6h at 02:30, keep 8 last + 7 daily + 4 weekly"
    full: dict[str, Any] = {"schedule": words, "day_of_week": None, "retention": None}
    full |= {"every": "6h", "at": "02:30", "keep": keep, "most": 16}
    tasks = (
        schedule(every="6h", at="02:30", keep=keep),
        schedule(keep=keep),
        schedule(keep={"daily": 7}, at="auto"),
        schedule(retention=7, every="daily"),
    )
    made, same, less, simple = play(*tasks)
    assert (made["changed"], shown(made), made["expires_next"]) == (True, full, [])
    assert (same["changed"], shown(same)) == (False, full)
    assert "expires_next" not in same
    assert shown(less)["schedule"] == "6h, keep 7 daily"
    assert shown(simple) == daily(7)


def test_rules_that_cannot_be_are_named(play: Play, cloud: Sandbox) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"keep": {"daily": 0}}, "omit a rule instead of setting it to 0"),
        ({"keep": {}}, "no rules: use at least one of last, hourly, daily, weekly"),
        ({"keep": {"within_days": 30}}, "keeping by age requires last=2 or more"),
        (
            {"keep": {"daily": 7}, "retention": 7},
            "either by number or by rules",
        ),
        (
            {"retention": 7, "every": "5h"},
            "value of every must be one of: daily, weekly",
        ),
        ({"retention": 7, "every": "weekly"}, "requires a day of the week: weekly"),
        ({"retention": 7, "at": "2:30"}, "'2:30' is not a time of day"),
    ]
    results = play(*(schedule(**arguments) for arguments, _ in wrong))
    for (arguments, message), result in zip(wrong, results, strict=True):
        assert result["failed"], arguments
        assert message in result["msg"], arguments
    assert list(cloud.requests) == []


@pytest.mark.parametrize("cloud", [{"like": "rackspace"}, {}], indirect=True)
def test_the_clouds_own_extension_is_not_sent_rules(play: Play, cloud: Sandbox) -> None:
    wanted = ({"keep": {"daily": 7}}, {"retention": 7, "at": "02:30"})
    for options in ((), ("--check",)):
        for refused in play(*(schedule(**each) for each in wanted), options=options):
            assert refused["failed"]
            assert "it only has daily and weekly schedules" in refused["msg"]
    assert not [line for line in changes(cloud) if "tokens" not in line]


# -- tags


def tags(cloud: Sandbox) -> list[str]:
    with cloud.region() as region:
        return sorted(region.servers.get(MYSERVER).tags)


def tag(cloud: Sandbox, *names: str) -> None:
    with cloud.region() as region:
        region.servers.set_tags(MYSERVER, names)


@tagged
def test_malformed_tags_are_replaced_only_by_a_whole_schedule(
    play: Play, cloud: Sandbox
) -> None:
    broken = ("scheduled-images", "scheduled-images:hourly:3")
    tag(cloud, *broken)
    partial = play(schedule(retention=3), schedule(weekly="sat"))
    for result in partial:
        assert result["failed"]
        assert "'scheduled-images:hourly:3', which is not a schedule" in result["msg"]
        assert result["msg"].endswith(
            ". To replace it, give retention or keep, and weekly, daily or every"
        )
    assert tags(cloud) == sorted(broken)
    (whole,) = play(schedule(retention=3, daily=True), options=("--diff",))
    assert (whole["changed"], shown(whole)) == (True, daily(3))
    assert whole["diff"]["before"] == {**NONE, "schedule": "invalid"}
    assert tags(cloud) == ["scheduled-images", "scheduled-images:daily:3"]


@tagged
def test_malformed_tags_can_be_removed(play: Play, cloud: Sandbox) -> None:
    tag(cloud, "scheduled-images", "scheduled-images:daily:0", "mine")
    gone = play(schedule(state="absent"), schedule(state="absent"))
    assert [each["changed"] for each in gone] == [True, False]
    assert tags(cloud) == ["mine", "scheduled-images:off"]


# -- the cloud, and who one is


def test_the_cloud_is_found_as_by_the_modules_of_openstack_cloud(
    play: Play, cloud: Sandbox, tmp_path: Path
) -> None:
    known = cloud.env()
    auth = {
        key.lower().removeprefix("os_"): known[key]
        for key in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME")
    }
    auth |= {"user_domain_name": "Default", "project_domain_name": "Default"}
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(json.dumps({"clouds": {"mycloud": {"auth": auth}}}))
    wrong = {**auth, "password": "wrong-word"}
    *right, refused, unknown = play(
        schedule(retention=1, cloud="mycloud"),
        schedule(retention=2, auth=auth, region_name="RegionOne"),
        schedule(retention=3, cloud={"auth": auth}),
        schedule(retention=4, auth=wrong),
        schedule(retention=5, cloud="nocloud"),
        environment={"OS_CLIENT_CONFIG_FILE": str(clouds)},
    )
    assert [each.get("msg") for each in right] == [None] * 3
    assert [each["schedule"]["retention"] for each in right] == [1, 2, 3]
    assert "HTTP 401" in refused["msg"]
    assert "nocloud" in unknown["msg"]
    printed = json.dumps([*right, refused, unknown])
    assert known["OS_PASSWORD"] not in printed
    assert "wrong-word" not in printed


def test_module_defaults_of_the_group_hold(play: Play, cloud: Sandbox) -> None:
    known = {"region_name": "Nowhere"}
    defaults = {"group/rax.scheduled_images.openstack": known}
    ours, theirs = play(
        {**schedule(retention=7), "module_defaults": [defaults]},
        {"openstack.cloud.server_info": {}, "module_defaults": [defaults]},
    )
    assert "Nowhere" in ours["msg"]
    assert "Nowhere" in theirs["msg"]


def test_a_refusal_is_the_cloud_s_own_word(play: Play, cloud: Sandbox) -> None:
    (refused,) = play(schedule(retention=7), user="observer")
    assert refused["failed"]
    assert "(HTTP 403)" in refused["msg"]


def test_an_error_is_reported_and_nothing_is_taken_away(
    play: Play, cloud: Sandbox
) -> None:
    Nova(cloud).ok("scheduled-images-enable", "myserver", "7")
    cloud.requests.clear()
    cloud.fault("GET /rax-si-image-schedule$ 502 html")
    (unread,) = play(schedule(state="absent"))
    assert unread["failed"]
    assert "(HTTP 502)" in unread["msg"]
    assert changes(cloud) == []
    cloud.clear_faults()
    cloud.fault("DELETE /rax-si-image-schedule$ drop")
    (unknown,) = play(schedule(state="absent"))
    assert unknown["failed"]
    assert "rax-si-image-schedule" in unknown["msg"]
    assert Nova(cloud).ok("scheduled-images-show", "myserver").endswith(": 7\n")


def test_a_missing_package_is_named(play: Play, tmp_path: Path) -> None:
    hidden = tmp_path / "rax_scheduled_images_ext.py"
    hidden.write_text("raise ModuleNotFoundError('No module named ' + __name__)\n")
    without = {"environment": {"PYTHONPATH": str(tmp_path)}}
    (result,) = play({**schedule(retention=7), **without})
    assert result["failed"]
    expected = "Failed to import the required Python library (rax-scheduled-images-ext)"
    assert result["msg"].startswith(expected)


def test_a_task_by_hand(cloud: Sandbox) -> None:
    module = "rax.scheduled_images.server_image_schedule"
    arguments = "name=myserver retention=7 weekly=sat"
    command = ("ansible", "localhost", "-m", module, "-a", arguments)
    done = run(*command, env=cloud.environ())
    assert (done.returncode, done.stderr) == (0, "")
    first, _, rest = done.stdout.partition(" => ")
    assert first == "localhost | CHANGED"
    assert json.loads(rest)["schedule"]["day_of_week"] == "SATURDAY"
