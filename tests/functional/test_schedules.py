"""scheduled-images-enable, -disable and -show, by the real nova, on both clouds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from .fleet import MYSERVER, NOBODY, NOT_OFFERED, id_of
from .interceptor import Interceptor, json_answer
from .raw import START

DAILY = "Schedule type: Daily\nRetention: {}\n"
WEEKLY = "Schedule type: Weekly on: {}\nRetention: {}\n"
OFF = "ERROR (NotFound): Scheduled images not enabled for server {} (HTTP 404)\n"
UNKNOWN = "ERROR (CommandError): No server with a name or ID of '{}' exists.\n"


pytestmark = pytest.mark.parametrize(
    "cloud",
    ["openstack", "rackspace"],
    indirect=True,
)


@pytest.mark.parametrize("server", ["myserver", MYSERVER])
def test_enable_show_disable(nova: Any, server: str) -> None:
    assert nova.ok("scheduled-images-enable", server, "7") == ""
    assert nova.ok("scheduled-images-show", server) == DAILY.format(7)
    assert nova.ok("scheduled-images-disable", server) == ""
    off = nova("scheduled-images-show", server)
    assert (off.status, off.out, off.err) == (1, "", OFF.format(MYSERVER))


@pytest.mark.parametrize("day", ["saturday", "SATURDAY", "Sat", "sa"])
def test_a_weekly_schedule(nova: Any, day: str) -> None:
    assert (
        nova.ok("scheduled-images-enable", "--day-of-week", day, "myserver", "4") == ""
    )
    assert nova.ok("scheduled-images-show", "myserver") == WEEKLY.format("SATURDAY", 4)


def test_options_may_come_last(nova: Any) -> None:
    nova.ok("scheduled-images-enable", "myserver", "4", "--day-of-week", "mon")
    shown = nova.ok("scheduled-images-show", "myserver", "--format", "value")
    assert shown == f"myserver\t{MYSERVER}\tweekly\tMONDAY\t4\n"


def test_a_plain_enable_makes_a_weekly_schedule_daily(nova: Any) -> None:
    nova.ok("scheduled-images-enable", "--day-of-week", "saturday", "myserver", "4")
    nova.ok("scheduled-images-enable", "myserver", "5")
    assert nova.ok("scheduled-images-show", "myserver") == DAILY.format(5)


@pytest.mark.parametrize("retention", ["1", "65535"])
def test_the_limits_of_retention(nova: Any, retention: str) -> None:
    nova.ok("scheduled-images-enable", "myserver", retention)
    assert nova.ok("scheduled-images-show", "myserver") == DAILY.format(retention)


def recorded(before: str, after: str, *servers: str) -> str:
    """What a change of several servers reports of these."""
    return "".join(f"{server}: was {before}; is {after}\n" for server in servers)


def off(cloud: Sandbox, server: str) -> str:
    """What is reported of one of several servers without a schedule."""
    named = f"{server}: Scheduled images not enabled"
    return OFF.format(id_of(cloud, server)).replace(named.partition(": ")[2], named)


def test_several_servers(nova: Any, cloud: Sandbox) -> None:
    web1, db1 = id_of(cloud, "web1"), id_of(cloud, "db1")
    done = nova("scheduled-images-enable", "web1", MYSERVER, "3")
    assert (done.status, done.out) == (0, "")
    assert done.err == recorded("no schedule", "daily, retention 3", "web1", MYSERVER)
    nova.ok("scheduled-images-enable", "--day-of-week", "sun", "db1", "2")
    shown = nova.ok("scheduled-images-show", "db1", MYSERVER, "web1").splitlines()
    border = f"+{'-' * 38}+{'-' * 38}+----------+--------+-----------+"
    heading = f"| {'Server':36} | {'ID':36} | Schedule | Day    | Retention |"
    assert shown == [
        border,
        heading,
        border,
        f"| {'db1':36} | {db1} | weekly   | SUNDAY | 2         |",
        f"| {MYSERVER} | {MYSERVER} | daily    | -      | 3         |",
        f"| {'web1':36} | {web1} | daily    | -      | 3         |",
        border,
    ]
    done = nova("scheduled-images-disable", "web1", "db1")
    assert (done.status, done.out) == (0, "")
    assert done.err == (
        recorded("daily, retention 3", "no schedule", "web1")
        + recorded("weekly on SUNDAY, retention 2", "no schedule", "db1")
    )


def test_of_several_all_are_tried(nova: Any, cloud: Sandbox) -> None:
    enabled = nova("scheduled-images-enable", "nosuch", "myserver", NOBODY, "web1", "3")
    assert (enabled.status, enabled.out) == (1, "")
    daily = "daily, retention 3"
    assert enabled.err == (
        UNKNOWN.format("nosuch")
        + recorded("no schedule", daily, "myserver")
        + UNKNOWN.format(NOBODY)
        + recorded("no schedule", daily, "web1")
    )

    nova.ok("scheduled-images-disable", "web1")
    shown = nova("scheduled-images-show", "web1", "myserver", "--format", "json")
    assert (shown.status, shown.err) == (1, off(cloud, "web1"))
    assert [row["server"] for row in json.loads(shown.out)] == ["web1", "myserver"]

    disabled = nova("scheduled-images-disable", "web1", "myserver")
    assert (disabled.status, disabled.out) == (1, "")
    assert disabled.err == (
        off(cloud, "web1") + recorded(daily, "no schedule", "myserver")
    )
    assert nova("scheduled-images-show", "myserver").err == OFF.format(MYSERVER)


def test_nothing_to_show_is_an_empty_list(nova: Any) -> None:
    shown = nova("scheduled-images-show", "web1", "db1")
    assert (shown.status, shown.out) == (1, "")
    shown = nova("scheduled-images-show", "nosuch", "--format", "json")
    assert (shown.status, shown.out) == (1, "[]\n")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "json",
            '[\n  {{\n    "server": "web1",\n    "id": "{}",\n    "schedule": null,\n'
            '    "day_of_week": null,\n    "retention": null\n  }},\n  {{\n'
            '    "server": "myserver",\n    "id": "{}",\n    "schedule": "daily",\n'
            '    "day_of_week": null,\n    "retention": 7\n  }}\n]\n',
        ),
        (
            "csv",
            "server,id,schedule,day_of_week,retention\nweb1,{},,,\n"
            "myserver,{},daily,,7\n",
        ),
        ("value", "web1\t{}\t\t\t\nmyserver\t{}\tdaily\t\t7\n"),
    ],
)
def test_a_program_finds_every_server_that_it_named(
    nova: Any, cloud: Sandbox, name: str, rows: str
) -> None:
    web1 = id_of(cloud, "web1")
    nova.ok("scheduled-images-enable", "myserver", "7")
    argv = ("scheduled-images-show", "--format", name, "web1", "nosuch", "myserver")
    shown = nova(*argv)
    assert (shown.status, shown.out) == (1, rows.format(web1, MYSERVER))
    assert shown.err == off(cloud, "web1") + UNKNOWN.format("nosuch")


def test_a_table_has_only_the_servers_with_a_schedule(
    nova: Any, cloud: Sandbox
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    shown = nova("scheduled-images-show", "web1", "myserver")
    assert (shown.status, shown.err) == (1, off(cloud, "web1"))
    assert "web1" not in shown.out
    assert "myserver" in shown.out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "json",
            f"""\
[
  {{
    "server": "myserver",
    "id": "{MYSERVER}",
    "schedule": "weekly",
    "day_of_week": "FRIDAY",
    "retention": 4
  }}
]
""",
        ),
        (
            "csv",
            f"""\
server,id,schedule,day_of_week,retention
myserver,{MYSERVER},weekly,FRIDAY,4
""",
        ),
        ("value", f"myserver\t{MYSERVER}\tweekly\tFRIDAY\t4\n"),
        (
            "table",
            f"""\
+----------+--------------------------------------+----------+--------+-----------+
| Server   | ID                                   | Schedule | Day    | Retention |
+----------+--------------------------------------+----------+--------+-----------+
| myserver | {MYSERVER} | weekly   | FRIDAY | 4         |
+----------+--------------------------------------+----------+--------+-----------+
""",
        ),
    ],
)
def test_formats(nova: Any, name: str, text: str) -> None:
    nova.ok("scheduled-images-enable", "--day-of-week", "fri", "myserver", "4")
    assert nova.ok("scheduled-images-show", "--format", name, "myserver") == text


def test_names_are_what_they_are(nova: Any, cloud: Sandbox) -> None:
    names = [
        "größe-服务器",
        "n" * 255,
        "a.b*c[d](e)^$|\\x{2}?+",
        "two words",
        "%41&b=c#d",
    ]
    servers = [cloud.boot(name).id for name in (*names, "web")]
    done = nova("scheduled-images-enable", *names, "web", "7")
    daily = "daily, retention 7"
    assert (done.status, done.err) == (
        0,
        recorded("no schedule", daily, *names, "web"),
    )
    shown = nova.ok("scheduled-images-show", "--format", "json", *servers)
    assert [row["retention"] for row in json.loads(shown)] == [7] * len(servers)
    done = nova("scheduled-images-disable", *names, "web")
    assert (done.status, done.err) == (
        0,
        recorded(daily, "no schedule", *names, "web"),
    )


def test_two_servers_of_one_name(nova: Any, cloud: Sandbox) -> None:
    twins = [cloud.boot("twin").id, cloud.boot("twin").id]
    result = nova("scheduled-images-enable", "twin", "7")
    assert (result.status, result.out) == (1, "")
    assert result.err in [
        "ERROR (CommandError): Multiple server matches found for 'twin', use an ID to"
        f" be more specific: {first}, {second}\n"
        for first, second in (twins, twins[::-1])
    ]
    for server in twins:
        assert nova("scheduled-images-show", server).err == OFF.format(server)


def test_an_id_wins_over_a_name(nova: Any, cloud: Sandbox) -> None:
    impostor = cloud.boot(MYSERVER).id
    nova.ok("scheduled-images-enable", MYSERVER, "7")
    assert nova.ok("scheduled-images-show", "myserver") == DAILY.format(7)
    assert nova("scheduled-images-show", impostor).err == OFF.format(impostor)


def test_a_name_may_look_like_an_id(nova: Any, cloud: Sandbox) -> None:
    server_id = cloud.boot(NOBODY).id
    nova.ok("scheduled-images-enable", NOBODY, "7")
    assert nova.ok("scheduled-images-show", server_id) == DAILY.format(7)
    nova.ok("scheduled-images-disable", NOBODY)


def test_names_are_found_on_every_page(nova: Any) -> None:
    with Sandbox(speed=0, start=START, max_limit=1) as cloud:
        twins = [cloud.boot("twin").id for _ in range(3)]
        result = nova("scheduled-images-show", "twin", cloud=cloud)
        assert all(server in result.err for server in twins)
        assert nova("scheduled-images-show", "web1", cloud=cloud).err.startswith(
            "ERROR (NotFound): Scheduled images not enabled"
        )


def test_a_cloud_that_takes_names_literally(nova: Any, front: Interceptor) -> None:
    front.answer("GET", r"name=%5E", json_answer("200 OK", '{"servers": []}'))
    nova.ok("scheduled-images-enable", "myserver", "7")


def test_a_deleted_server(nova: Any) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    nova("delete", "myserver")
    for verb in ("show", "disable"):
        result = nova(f"scheduled-images-{verb}", MYSERVER)
        assert (result.status, result.err) == (1, UNKNOWN.format(MYSERVER))
    result = nova("scheduled-images-enable", MYSERVER, "7")
    assert (result.status, result.err) == (1, UNKNOWN.format(MYSERVER))


@pytest.mark.parametrize("server", ["myserver", MYSERVER])
@pytest.mark.parametrize(
    "argv",
    [
        ["scheduled-images-show", "{}"],
        ["scheduled-images-enable", "{}", "7"],
        ["scheduled-images-disable", "{}"],
        ["scheduled-images-show", "{}", "web1", "db1"],
        ["scheduled-images-enable", "--all", "7"],
    ],
)
def test_a_cloud_without_the_extension(
    nova: Any, front: Interceptor, argv: list[str], server: str
) -> None:
    front.without_schedules()
    result = nova(*[word.format(server) for word in argv])
    count = "About to change 4 servers in this project.\n" if "--all" in argv else ""
    assert (result.status, result.out, result.err) == (1, "", count + NOT_OFFERED)


@pytest.mark.parametrize(
    ("method", "argv"),
    [
        ("GET", ["scheduled-images-show", MYSERVER]),
        ("POST", ["scheduled-images-enable", MYSERVER, "7"]),
        ("DELETE", ["scheduled-images-disable", MYSERVER]),
    ],
)
def test_a_404_that_nothing_explains(
    nova: Any, front: Interceptor, method: str, argv: list[str]
) -> None:
    front.without_extension()
    result = nova(*argv)
    assert (result.status, result.err) == (
        1,
        f"ERROR (NotFound): The compute service refused {method}"
        f" /servers/{MYSERVER}/rax-si-image-schedule without a readable reason"
        " (the content is text/html) (HTTP 404)\n",
    )


@pytest.mark.parametrize(
    ("user", "may_enable", "may_disable"),
    [
        ("admin", True, True),
        ("admin2", True, True),
        ("creator", True, False),
        ("observer", False, False),
        ("global-observer", False, False),
    ],
)
def test_roles(nova: Any, user: str, may_enable: bool, may_disable: bool) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    enabled = nova("scheduled-images-enable", "myserver", "8", user=user)
    retention = 8 if may_enable else 7
    shown = nova.ok("scheduled-images-show", "myserver", user=user)
    assert shown == DAILY.format(retention)
    disabled = nova("scheduled-images-disable", "myserver", user=user)
    for result, allowed in ((enabled, may_enable), (disabled, may_disable)):
        assert (result.status, result.out) == (0 if allowed else 1, "")
        assert result.err.startswith("" if allowed else "ERROR (Forbidden): ")
        assert result.err.count("\n") == (0 if allowed else 1)
    after = nova("scheduled-images-show", "myserver")
    assert after.status == (1 if may_disable else 0)


def test_another_projects_servers_are_not_there(nova: Any) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    result = nova("scheduled-images-disable", MYSERVER, user="stranger")
    assert (result.status, result.err) == (1, UNKNOWN.format(MYSERVER))
    assert nova.ok("scheduled-images-show", "myserver") == DAILY.format(7)
