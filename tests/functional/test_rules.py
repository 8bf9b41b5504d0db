"""Schedules beyond daily, weekly and a number, through every front end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, assume, given, settings

from rax_scheduled_images_ext import change, enable, forecast, plan_prune, show
from rax_scheduled_images_ext.errors import InvalidValue, SimpleOnly
from rax_scheduled_images_ext.model.keep import RULES, Keep
from rax_scheduled_images_ext.model.schedule import ImageSchedule, ScheduleSettings
from rax_scheduled_images_ext.model.schedule_tags import schedule_tag
from rax_scheduled_images_ext.panel.words import described
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from ..serviceshell import Service
from ..unit.test_schedule_tags import schedules
from .clouds import PROXIED
from .fleet import MARKED, MYSERVER, add_image, sent
from .panels import Panel, Reader
from .runners import connected

pytestmark = pytest.mark.flow

BIN = Path(sys.executable).parent
ENABLE, UPDATE = "scheduled-images-enable", "scheduled-images-update"
SET = ("server", "image", "schedule", "set")
SHOW = ("server", "image", "schedule", "show")
TAGGED = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
YEAR = "6h, keep 8 last + 7 daily + 4 weekly + 12 monthly"
YEAR_OPTIONS = ("--every", "6h", "--keep", "last=8,daily=7,weekly=4,monthly=12")


def tags(cloud: Sandbox) -> set[str]:
    """The tags of the server."""
    with cloud.region() as region:
        return set(region.servers.get(MYSERVER).tags)


def changed(cloud: Sandbox) -> list[str]:
    """The requests that changed something."""
    return [line for line in sent(cloud) if line.split()[0] not in ("GET", "HEAD")]


def options_of(schedule: ImageSchedule, weekly: str) -> list[str]:
    """What a person writes for a schedule; ``weekly`` is the option of a day."""
    options = ["--at", schedule.at] if schedule.at else []
    if schedule.day_of_week:
        options += [weekly, schedule.day_of_week.lower()]
    else:
        options += ["--every", schedule.every]
    rules = dict(schedule.keep.rules)
    within = rules.pop("within_days", None)
    if within:
        options += ["--keep-within", f"{within}d"]
    if schedule.retention is None:
        options += ["--keep", ",".join(f"{rule}={n}" for rule, n in rules.items())]
    return options


def fields_of(schedule: ImageSchedule) -> dict[str, str]:
    """What a person types into the panel's form for a schedule."""
    rules = {rule: str(schedule.keep.rules.get(rule, "")) for rule in RULES}
    when = (schedule.day_of_week or schedule.every).lower()
    return {
        "when": when,
        "at": schedule.at or "",
        "retention": rules.pop("last"),
        **rules,
    }


# -- laws


@pytest.mark.long
@not_beside_novaclient_7
@pytest.mark.parametrize("cloud", [{"extension": False}, PROXIED], indirect=True)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(schedule=schedules())
def test_what_one_front_end_sets_all_show_alike(
    nova: Nova,
    openstack: OpenStack,
    cloud: Sandbox,
    panel: Panel,
    schedule: ImageSchedule,
) -> None:
    try:
        tag = schedule_tag(schedule)
    except InvalidValue:
        assume(False)
    number = [] if schedule.retention is None else [str(schedule.retention)]

    def seen() -> Iterator[Any]:
        (row,) = json.loads(
            nova.ok("scheduled-images-show", "--format", "json", MYSERVER)
        )
        yield row
        yield openstack.json(*SHOW, MYSERVER)
        (found,) = show(connected(cloud), MYSERVER)
        assert found.result().schedule == schedule
        page = panel.reader().link("myserver")
        assert page.all("#schedule") == [described(schedule)]
        address, fields = reader_fields(panel)
        assert {k: v for k, v in fields if k in fields_of(schedule)} == fields_of(
            schedule
        ), address

    def set_by_panel() -> None:
        reader = panel.reader()
        reader.link("myserver")
        page = reader.submit("#schedule-form", **fields_of(schedule))
        if page.has("form#review"):
            page = reader.submit("#review")
        assert page.messages == [f"Saved: {described(schedule)}."], page.text

    setters = (
        lambda: nova(
            ENABLE, "--yes", *options_of(schedule, "--day-of-week"), MYSERVER, *number
        ),
        lambda: openstack(
            *SET,
            *options_of(schedule, "--weekly"),
            *(["--retention", *number] if number else []),
            *(["--at", "auto"] if not schedule.at else []),
            *(["--keep-within", "0d"] if needs_no_age(schedule) else []),
            "--yes",
            MYSERVER,
        ),
        lambda: change(connected(cloud), MYSERVER, ScheduleSettings.of(schedule)),
        set_by_panel,
    )
    for setter in setters:
        with cloud.region() as region:
            region.servers.set_tags(MYSERVER, ())
        setter()
        assert tags(cloud) == {"scheduled-images", tag}
        ours, theirs = (row for row in seen() if row)
        shown = {key: ours[key] for key in ("day_of_week", "retention", "schedule")}
        assert shown.items() <= theirs.items()
        for key in ("every", "at", "keep", "most"):
            assert ours.get(key) == theirs.get(key)
        assert (ours.get("every") is None) == schedule.is_simple
        if not schedule.is_simple:
            assert Keep(**ours["keep"]) == schedule.keep
            assert ours["schedule"] == schedule.words


def needs_no_age(schedule: ImageSchedule) -> bool:
    return schedule.retention is None and not schedule.keep.within_days


def reader_fields(panel: Panel) -> tuple[str, list[tuple[str, str]]]:
    """The fields of the form as the page of the server has them."""
    reader = panel.reader()
    reader.link("myserver")
    return reader.fill("#schedule-form")


# -- what is wrong

NOT_KEPT = (
    "'{}' is not a list of rules such as last=8,daily=7: use each of last, hourly,"
    " daily, weekly, monthly, yearly at most once"
)
OFTEN = "'{}' is not an interval: use one of daily, weekly, 12h, 8h, 6h, 4h, 3h, 2h, 1h"
WRONG = [
    *(
        (["--keep", text], f"argument --keep: {NOT_KEPT.format(text)}")
        for text in (
            "",
            "7",
            "daily",
            "daily=",
            "dayly=7",
            "daily=7,daily=8",
            "within=3",
            "last=1.5",
        )
    ),
    (
        ["--keep", "daily=999999"],
        "argument --keep: '999999' is not a number of images: daily=1 to 65535",
    ),
    (
        ["--keep", "daily=0"],
        "argument --keep: '0' is not a number of images: daily=1 to 65535",
    ),
    *(
        (["--every", text], f"argument --every: {OFTEN.format(text)}")
        for text in ("5h", "06h", "day", "")
    ),
    *(
        (
            ["--at", text],
            f"argument --at: '{text}' is not a time of day: a UTC time such as 02:30",
        )
        for text in ("2:30", "24:00", "noon", "")
    ),
    *(
        (
            ["--keep-within", text],
            f"argument --keep-within: '{text}' is not an age: 1d to 65535d",
        )
        for text in ("30", "4w", "d", "70000d")
    ),
    (
        ["--keep", "daily=7", "--keep", "weekly=4"],
        "argument --keep: is given twice: write one list, such as last=8,daily=7",
    ),
    (
        ["--keep", "daily=7", "--keep-within", "30d"],
        "keeping by age requires last=2 or more: otherwise the first image after a gap"
        " would let all others be deleted",
    ),
    (
        ["--keep", "daily=7", "--every", "weekly"],
        "a weekly schedule requires a day of the week: add --day-of-week",
    ),
    (
        ["--keep", "daily=7", "--every", "6h", "--at", "06:00"],
        "'06:00' is not the first time of a day for images every 6h: use 00:00 to"
        " 05:59",
    ),
]


@pytest.mark.parametrize(("options", "text"), WRONG)
def test_nova_refuses_what_cannot_be(
    nova: Nova, cloud: Sandbox, options: list[str], text: str
) -> None:
    result = nova(ENABLE, *options, "myserver")
    assert (result.status, result.out) == (2, "")
    assert f"error: {text}" in result.err.splitlines()
    assert sent(cloud) == []


@not_beside_novaclient_7
@pytest.mark.parametrize(("options", "text"), WRONG[:-3])
def test_openstack_refuses_what_cannot_be(
    openstack: OpenStack, cloud: Sandbox, options: list[str], text: str
) -> None:
    result = openstack(*SET, *options, "myserver")
    assert (result.status, result.out) == (2, "")
    assert result.err.splitlines()[-1].endswith(f"error: {text}")
    assert sent(cloud) == []


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (
            ["myserver", "7", "--keep", "daily=3"],
            "<retention> and --keep cannot be used together",
        ),
        (
            ["myserver", "web1", "7", "--keep", "daily=3"],
            "<retention> and --keep cannot be used together",
        ),
        (
            ["--day-of-week", "sat", "--every", "6h", "myserver", "7"],
            "a schedule cannot be both weekly and several times a day",
        ),
        (
            ["--day-of-week", "sat", "--every", "daily", "myserver", "7"],
            "a schedule cannot be both daily and weekly",
        ),
        (
            ["--every", "6h", "myserver"],
            "the following arguments are required: <retention>",
        ),
    ],
)
def test_what_does_not_go_together(
    nova: Nova, cloud: Sandbox, argv: list[str], text: str
) -> None:
    result = nova(ENABLE, *argv)
    assert (result.status, result.out) == (2, "")
    lines = result.err.splitlines()
    assert f"error: {text}" in lines
    assert sent(cloud) == []


@TAGGED
def test_a_schedule_that_no_tag_can_say_is_refused(nova: Nova, cloud: Sandbox) -> None:
    rules = ",".join(f"{rule}=65535" for rule in RULES[:-1])
    result = nova(ENABLE, "--every", "1h", "--keep", rules, "myserver")
    assert (result.status, result.out) == (2, "")
    assert "and a tag at most 60: use fewer rules" in result.err
    assert sent(cloud) == []


@pytest.mark.parametrize("cloud", [{"like": "rackspace"}, {}], indirect=True)
def test_the_clouds_own_extension_is_not_sent_what_it_cannot_have(
    nova: Nova, cloud: Sandbox
) -> None:
    line = (
        f"This cloud does not support the schedule '{YEAR}': it only has daily and"
        " weekly schedules with a retention number\n"
    )
    for dry_run in ([], ["--dry-run"]):
        result = nova(ENABLE, *YEAR_OPTIONS, *dry_run, MYSERVER)
        assert (result.status, result.out) == (1, "")
        assert result.err == f"ERROR (CommandError): {line}"
        # Once, not for every server.
        result = nova(ENABLE, *YEAR_OPTIONS, *dry_run, "--yes", "--all")
        assert (result.status, result.out) == (1, "")
        assert result.err.endswith(f"ERROR (CommandError): {line}")
        assert result.err.count("does not support") == 1
    settings = ScheduleSettings(hours=6, retention=3)
    reached = connected(cloud)
    outcomes: list[Any] = [
        *change(reached, MYSERVER, settings),
        *forecast(reached, MYSERVER, settings),
        *enable(reached, MYSERVER, ImageSchedule(3, hours=6)),
    ]
    for outcome in outcomes:
        assert isinstance(outcome.error, SimpleOnly)
        assert "'6h, retention 3'" in str(outcome.error)
    assert changed(cloud) == []


@not_beside_novaclient_7
def test_openstack_does_not_send_the_clouds_own_extension_what_it_cannot_have(
    openstack: OpenStack, cloud: Sandbox
) -> None:
    for options in (["--at", "02:30", "--retention", "7"], YEAR_OPTIONS):
        for dry_run in ([], ["--dry-run"]):
            result = openstack(*SET, *options, *dry_run, MYSERVER)
            assert (result.status, result.out) == (1, "")
            (line,) = result.err.splitlines()
            assert line.startswith("This cloud does not support the schedule '")
    assert changed(cloud) == []


@pytest.mark.parametrize("cloud", [{"like": "rackspace"}, {}], indirect=True)
def test_the_panel_says_what_the_clouds_own_extension_cannot_have(
    cloud: Sandbox, panel: Panel
) -> None:
    reader = panel.reader()
    reader.link("myserver")
    sent(cloud)
    address, fields = reader.fill("#schedule-form", when="6h", retention="7")
    for path in (address, address.replace("/schedule", "/forecast")):
        page = reader.post(path, fields)
        (shown,) = page.all("#forecast")
        assert shown.startswith("This cloud does not support the schedule '6h, ")
        assert page.status == 400
    assert changed(cloud) == []


# -- many tags


@pytest.mark.parametrize("cloud", [{"extension": False}, PROXIED], indirect=True)
@pytest.mark.parametrize(("others", "fits"), [(46, True), (48, True), (49, False)])
@pytest.mark.parametrize("before", ["", "daily:7", "6h:3d", "6h:03d"])
def test_a_server_with_many_tags(
    nova: Nova, cloud: Sandbox, others: int, before: str, fits: bool
) -> None:
    own = ["scheduled-images", f"scheduled-images:{before}"] if before else []
    left = {f"t{number}" for number in range(others)}
    given = {*own[: 50 - others], *left}
    with cloud.region() as region:
        region.servers.set_tags(MYSERVER, sorted(given))
    result = nova(ENABLE, "--yes", "--every", "6h", "--keep", "daily=3", MYSERVER)
    assert (result.status == 0) == fits, result.err
    wanted = {"scheduled-images", "scheduled-images:6h:3d"}
    assert tags(cloud) == ({*wanted, *left} if fits else given)
    if not fits:
        (line,) = [each for each in result.err.splitlines() if "ERROR" in each]
        assert (
            f"Server {MYSERVER} has 49 other tags, and a server has at most 50: a"
            " schedule requires two" in line
        )


# -- rules that let many images go


@pytest.fixture
def week(cloud: Sandbox) -> list[str]:
    """Seven images of seven days, of a server that keeps seven."""
    with cloud.region() as region:
        region.servers.set_tags(
            MYSERVER, ("scheduled-images", "scheduled-images:daily:7d")
        )
    return add_week(cloud)


def add_week(cloud: Sandbox) -> list[str]:
    """Add seven images of seven days."""
    made: list[str] = []
    for _ in range(7):
        cloud.advance("1d")
        marks = {"instance_uuid": MYSERVER, "image_type": "snapshot", **MARKED}
        made.append(
            add_image(cloud, f"Daily-myserver-{1767614400 + len(made)}", **marks)
        )
    return made


@pytest.mark.parametrize("cloud", [{"extension": False}, PROXIED], indirect=True)
def test_rules_that_free_many_images_are_asked_about(
    nova: Nova, cloud: Sandbox, week: list[str]
) -> None:
    argv = (ENABLE, "--keep", "weekly=4", MYSERVER)
    before = tags(cloud)
    result = nova(*argv)
    line = (
        f"Server {MYSERVER}: changing 'daily, keep 7 daily' to 'daily, keep 4 weekly'"
        " would let 6 images expire with the next scheduled image; use --yes to confirm"
    )
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines()[-1] == f"ERROR (CommandError): {line}"
    assert tags(cloud) == before
    console = "rax_scheduled_images_ext.console.consent"
    for answer in (False, True):
        with (
            mock.patch(f"{console}.can_ask", return_value=True),
            mock.patch(f"{console}.agreed", return_value=answer),
        ):
            result = nova(*argv)
        assert "6 of its images would expire with the next" in result.err
        assert (result.status == 0) == answer
        assert (tags(cloud) == before) == (not answer)
    # A number in place of rules is asked about as well, and none in place of a number.
    result = nova(ENABLE, MYSERVER, "2")
    assert result.status == 1
    assert "let 6 images" in result.err or "let 5 images" in result.err
    assert nova(ENABLE, "--yes", MYSERVER, "7").status == 0
    assert nova(ENABLE, MYSERVER, "2").status == 0


@not_beside_novaclient_7
@pytest.mark.parametrize("cloud", [{"extension": False}, PROXIED], indirect=True)
@pytest.mark.parametrize("number", ["7", "65535"])
def test_a_number_replaces_rules(
    nova: Nova, openstack: OpenStack, cloud: Sandbox, number: str
) -> None:
    rules = (ENABLE, "--yes", *YEAR_OPTIONS, MYSERVER)
    after = {"scheduled-images", f"scheduled-images:daily:{number}"}
    for shell, *argv in (
        (nova, ENABLE, MYSERVER, number),
        (nova, ENABLE, MYSERVER, "web1", number),
        (nova, UPDATE, "--every", "daily", "--retention", number, MYSERVER),
        (openstack, *SET, "--daily", "--retention", number, MYSERVER),
    ):
        assert nova(*rules).status == 0
        assert len(tags(cloud) - after) == 1
        assert isinstance(shell, (Nova, OpenStack))
        result = shell(*map(str, argv))
        assert (result.status, result.out) == (0, ""), result.err
        assert tags(cloud) == after


@not_beside_novaclient_7
@TAGGED
def test_an_age_that_new_rules_do_not_fit_is_named(
    nova: Nova, openstack: OpenStack, cloud: Sandbox
) -> None:
    aged = ("--keep", "last=2", "--keep-within", "9d")
    nova(ENABLE, *aged, MYSERVER)
    before = tags(cloud)
    line = (
        "the schedule also keeps images within 9 days, which requires last=2 or more:"
        " add that, or remove that rule with --keep-within 0d"
    )
    for result in (
        nova(UPDATE, "--keep", "daily=7", MYSERVER),
        openstack(*SET, "--keep", "daily=7", MYSERVER),
    ):
        assert (result.status, result.out) == (1, "")
        assert line in result.err
    assert tags(cloud) == before
    argv = (UPDATE, "--keep", "daily=7", "--keep-within", "0d", MYSERVER)
    assert nova(*argv).status == 0
    assert "scheduled-images:daily:7d" in tags(cloud)


@TAGGED
def test_few_images_are_not_asked_about(
    nova: Nova, cloud: Sandbox, week: list[str]
) -> None:
    assert nova(UPDATE, "--keep", "daily=7,weekly=4", MYSERVER).status == 0
    assert nova(UPDATE, "--every", "6h", MYSERVER).status == 0
    assert tags(cloud) == {"scheduled-images", "scheduled-images:6h:7d+4w"}


# -- the same words everywhere


@TAGGED
def test_images_are_kept_until_about_a_day(
    nova: Nova, cloud: Sandbox, panel: Panel, week: list[str]
) -> None:
    assert nova(UPDATE, "--keep", "daily=7,weekly=2", MYSERVER).status == 0
    rows = json.loads(
        nova.ok("scheduled-images-image-list", "--format", "json", MYSERVER)
    )
    newest, oldest = rows[0], rows[-1]
    assert newest["reason"] == "daily of 12 January, weekly of week 3"
    assert newest["retention_status"].startswith("kept until about ")
    assert newest["until"] > newest["created"]
    assert newest["kept_by"][1] == {
        "rule": "weekly",
        "rank": 1,
        "limit": 2,
        "period": "2026-W03",
    }
    assert [row["retention_status"] for row in rows][-1] == "expires next"
    assert oldest["expires_in_runs"] == 1
    page = panel.reader().link("myserver")
    shown = [each.text for each in page.soup.select("#image-table .retention")]
    assert shown == [row["retention_status"] for row in rows]
    told = nova("scheduled-images-unprotect", newest["id"]).err
    assert "Expires next on server" in told
    argv = ("scheduled-images-prune", "--dry-run", "--format", "json", MYSERVER)
    assert json.loads(nova(*argv).out) == []
    assert nova(UPDATE, "--yes", "--keep", "weekly=2", MYSERVER).status == 0
    plan = json.loads(nova.ok(*argv))
    assert {row["reason"] for row in plan} == {"no rule keeps it"}


@TAGGED
def test_the_service_says_the_schedule_as_the_list_does(
    nova: Nova, cloud: Sandbox
) -> None:
    service = Service(cloud)
    nova(ENABLE, *YEAR_OPTIONS, MYSERVER)
    nova(ENABLE, "--at", "02:30", "db1", "3")
    nova(ENABLE, "web1", "3")
    keys = ("server", "schedule", "retention", "every", "at", "keep", "most")
    argv = ("scheduled-images-list", "--enabled", "--format", "json")
    listed, told = (
        [{key: row[key] for key in keys if key in row} for row in json.loads(out)]
        for out in (nova.ok(*argv), service("status", "--format", "json").out)
    )
    assert listed == told
    assert {row["server"]: row["schedule"] for row in told} == {
        "db1": "daily at 02:30, retention 3",
        "myserver": YEAR,
        "web1": "daily",
    }
    table = service("status").out
    assert YEAR in table
    assert "At most" not in table


# -- prune by rules


@not_beside_novaclient_7
@pytest.mark.parametrize(
    "cloud", [{"extension": False}, PROXIED, {"like": "rackspace"}, {}], indirect=True
)
def test_images_are_pruned_by_rules(
    nova: Nova, openstack: OpenStack, cloud: Sandbox
) -> None:
    made = add_week(cloud)
    rules = ("--keep", "last=1,weekly=2")
    argv = ("scheduled-images-prune", "--dry-run", "--format", "json", *rules, MYSERVER)
    rows = json.loads(nova.ok(*argv))
    assert {row["reason"] for row in rows} == {"no rule keeps it"}
    # The newest one is of a Monday, the one before it the last of its week.
    assert [row["id"] for row in rows] == made[:5]
    if cloud.like != "rackspace":
        more = ("server", "snapshot", "prune", "--dry-run", *rules, MYSERVER)
        ours = openstack.json(*more)
        assert [row["ID"] for row in ours] == [row["id"] for row in rows]
    (planned,) = plan_prune(connected(cloud), MYSERVER, Keep(last=1, weekly=2))
    assert [each.image.id for each in planned.result().images()] == [
        row["id"] for row in rows
    ]
    age = ("--keep", "2", "--keep-within", "4d")
    within = nova.ok(*argv[:4], *age, MYSERVER)
    assert [row["id"] for row in json.loads(within)] == made[:3]
    nova.ok("scheduled-images-prune", "--yes", *rules, MYSERVER)
    assert {image.id for image in cloud.images(MYSERVER)} == set(made[5:])


@not_beside_novaclient_7
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--keep", "daily=0"], "argument --keep: '0' is not a number of images: "),
        (["--keep", "dayly=7"], "argument --keep: 'dayly=7' is not a list of rules"),
        (
            ["--keep", "some"],
            "argument --keep: 'some' is not a retention: a whole number from 1 to"
            " 65535, or rules such as last=8,daily=7",
        ),
        (["--keep-within", "0d"], "argument --keep-within: '0d' is not an age"),
        (["--keep-within", "9d"], "keeping by age requires last=2 or more"),
        (["--keep", "daily=7", "--keep-within", "9d"], "keeping by age requires"),
        (["--keep", "1", "--keep-within", "9d"], "keeping by age requires last=2"),
    ],
)
def test_prune_refuses_what_cannot_be_kept(
    nova: Nova, openstack: OpenStack, cloud: Sandbox, options: list[str], text: str
) -> None:
    for result in (
        nova("scheduled-images-prune", "--dry-run", *options, "myserver"),
        openstack("server", "snapshot", "prune", "--dry-run", *options, "myserver"),
    ):
        assert (result.status, result.out) == (2, "")
        assert f"error: {text}" in result.err
        assert "Traceback" not in result.err
    assert sent(cloud) == []


# -- what there will be


@pytest.mark.parametrize(
    "cloud", [{"extension": False, "image_quota": 12}], indirect=True
)
def test_the_forecast_names_the_day_on_which_the_quota_is_reached(
    nova: Nova, cloud: Sandbox, panel: Panel
) -> None:
    argv = (ENABLE, "--dry-run", "--keep", "daily=7,weekly=4", "myserver")
    assert "quota of 12 images is not reached within a year" in nova.ok(*argv)
    marks = {"instance_uuid": MYSERVER, "image_type": "snapshot", **MARKED}
    add_image(cloud, "Daily-myserver-1", **marks)
    add_image(cloud, "another")
    out = nova.ok(ENABLE, "--dry-run", "--keep", "last=30", "myserver")
    expected, quota = out.splitlines()[-2:]
    assert expected == (
        "Expected: in a week 8 images (32 B), in a month 30 images (120 B), in a year"
        " 30 images (120 B)."
    )
    begin = "The project's quota of 12 images is reached about "
    assert quota.startswith(begin)
    day = datetime.strptime(quota.removeprefix(begin), "%d %B %Y.")
    assert 9 <= (day.replace(tzinfo=timezone.utc) - created(cloud)).days <= 11
    reader = panel.reader()
    reader.link("myserver")
    page = reader.post(*filled(reader, retention="30", when="daily", path="forecast"))
    assert page.all("#expected") == [f"{expected} {quota}"]
    assert page.at("#calendar").text.splitlines()[0] == "daily, retention 30"


def created(cloud: Sandbox) -> datetime:
    (image,) = cloud.images(MYSERVER)
    return datetime.fromtimestamp(image.created, timezone.utc)


def filled(
    reader: Reader, path: str, **values: str
) -> tuple[str, list[tuple[str, str]]]:
    """The form of the schedule, sent to another address."""
    address, fields = reader.fill("#schedule-form", **values)
    return address.replace("/schedule", f"/{path}"), fields


# -- simulated


def test_a_schedule_is_simulated_without_a_cloud() -> None:
    programs = (
        (BIN / "openstack", "server", "image", "schedule", "simulate"),
        (BIN / "scheduled-images-service", "simulate"),
    )
    start = ("--start", "2026-01-01")
    printed = set()
    for program in programs:
        done = subprocess.run(
            [*program, *YEAR_OPTIONS, *start],
            env={k: v for k, v in os.environ.items() if not k.startswith("OS_")},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        printed.add(done.stdout)
    (text,) = printed
    lines = text.splitlines()
    assert lines[0] == YEAR
    assert lines[1] == (
        "1460 images are made in a year; there are 13 after a week, 15 after a month,"
        " 26 after a year, and never more than 27."
    )
    assert lines[4] == "Jan 2026  ..............................m"
    assert lines[15] == "Dec 2026  ............w......w....ddwdddm"
