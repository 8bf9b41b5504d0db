"""scheduled-images-list and -check: whole fleets, by the real nova."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import novaclient
import pytest
from novaclient.api_versions import APIVersion

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from .fleet import MARKED, MYSERVER, NOT_OFFERED, add_image, id_of, sent
from .interceptor import Interceptor, json_answer, page
from .runners import schedule

SNAPSHOTS = "GET /images?limit=1000&image_type=snapshot 200"
# 2026-01-01T00:00:00Z, a Thursday.
START = 1_767_225_600
NAMES = ["check-my-task-state", "db1", "myserver", "web1"]


both_types = pytest.mark.parametrize(
    "cloud",
    [{"start": START}, {"like": "rackspace", "start": START}],
    ids=["openstack", "rackspace"],
    indirect=True,
)


def listed(nova: Any, *options: str, **where: Any) -> dict[str, dict[str, Any]]:
    """The rows of a list, by the names of the servers."""
    rows = json.loads(
        nova.ok("scheduled-images-list", "--format", "json", *options, **where)
    )
    assert [row["server"] for row in rows] == sorted(row["server"] for row in rows)
    return {row["server"]: row for row in rows}


def states(nova: Any, *options: str, **where: Any) -> dict[str, str]:
    return {name: row["state"] for name, row in listed(nova, *options, **where).items()}


def enable(cloud: Sandbox, name: str, retention: int, day: str | None = None) -> str:
    server_id = id_of(cloud, name)
    with cloud.region() as region:
        region.schedules.set(server_id, retention, day)
    return server_id


def hold(cloud: Sandbox, name: str) -> None:
    """Shut a server down, so that no image can be made of it."""
    server_id = id_of(cloud, name)
    with cloud.region() as region:
        region.servers.hold(server_id, True)


def hide(front: Interceptor, pattern: bytes) -> None:
    """Take something out of what lists of servers say of each."""
    front.change("GET", "/servers/detail", lambda c: re.sub(pattern, b"", c))


WITHOUT_ATTRIBUTE = rb',\s*"RAX-SI:image_schedule":\s*\{[^}]*\}'
WITHOUT_DAY = rb'"day_of_week":\s*"[A-Z]+",\s*'


# -- list


@both_types
def test_what_there_is_to_tell(nova: Any, cloud: Sandbox) -> None:
    enable(cloud, "myserver", 3)
    enable(cloud, "web1", 2, "SATURDAY")
    cloud.advance("10d")
    rows = listed(nova)
    assert list(rows) == NAMES
    mine, web, off = rows["myserver"], rows["web1"], rows["db1"]
    assert list(mine) == [
        *("server", "id", "schedule", "day_of_week", "retention", "counted", "kept"),
        *("newest", "next_due", "state", "expires_next"),
    ]
    assert mine["id"] == MYSERVER
    assert (mine["schedule"], mine["day_of_week"]) == ("daily", None)
    assert (mine["retention"], mine["counted"], mine["kept"]) == (3, 3, 0)
    assert mine["newest"].startswith("2026-01-10T")
    # A day later, to the minute.
    assert mine["next_due"] == mine["newest"].replace("-10T", "-11T")
    assert re.fullmatch("Daily-myserver-17678[0-9]{5}", mine["expires_next"])
    assert (web["schedule"], web["day_of_week"]) == ("weekly", "SATURDAY")
    # The Saturdays are the 3rd, the 10th and the 17th.
    assert (web["counted"], web["state"]) == (2, "ok")
    assert web["next_due"].startswith("2026-01-17T")
    assert (off["schedule"], off["retention"], off["state"]) == (None, None, "off")
    assert (off["newest"], off["next_due"], off["expires_next"]) == (None, None, None)


@both_types
def test_the_table_is_for_people(nova: Any, cloud: Sandbox) -> None:
    enable(cloud, "myserver", 7)
    cloud.advance("3d")
    lines = nova.ok("scheduled-images-list", "--name", "^myserver$").splitlines()
    titles = [cell.strip() for cell in lines[1].strip("|").split("|")]
    cells = [cell.strip() for cell in lines[3].strip("|").split("|")]
    row = dict(zip(titles, cells, strict=True))
    assert row["Server"] == "myserver"
    assert re.fullmatch("[0-9]+h([0-9]+m)? old", row["Newest"])
    assert re.fullmatch("in [0-9]+h([0-9]+m)?", row["Next due"])
    # Three of seven: none goes next.
    assert (row["Counted"], row["Expires next"], row["State"]) == ("3", "-", "ok")


@both_types
def test_the_formats_say_the_same(nova: Any, cloud: Sandbox) -> None:
    enable(cloud, "myserver", 1)
    cloud.advance("3d")
    rows = listed(nova)
    texts = list(
        csv.DictReader(io.StringIO(nova.ok("scheduled-images-list", "--format", "csv")))
    )
    as_text = [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in rows.values()
    ]
    assert texts == as_text
    values = nova.ok("scheduled-images-list", "--format", "value").splitlines()
    assert values == ["\t".join(row.values()) for row in as_text]


@both_types
def test_what_is_kept_for_good_is_counted_apart(nova: Any, cloud: Sandbox) -> None:
    enable(cloud, "myserver", 3)
    cloud.advance("5d")
    oldest = listed(nova)["myserver"]["expires_next"]
    nova.ok("scheduled-images-protect", oldest)
    row = listed(nova)["myserver"]
    assert (row["counted"], row["kept"], row["expires_next"]) == (2, 1, None)


@both_types
def test_more_than_one_may_go_next(nova: Any, cloud: Sandbox) -> None:
    enable(cloud, "myserver", 4)
    cloud.advance("6d")
    enable(cloud, "myserver", 2)
    going = listed(nova)["myserver"]["expires_next"].split(", ")
    assert (len(going), going) == (3, sorted(going))
    table = nova.ok("scheduled-images-list", "--name", "myserver")
    assert f"{going[0]} and 2 more |" in table
    cloud.advance("1d")
    left = {line.split(",")[1] for line in image_lines(nova)}
    assert not left & set(going)


def image_lines(nova: Any) -> list[str]:
    argv = ("scheduled-images-image-list", "myserver", "--format", "csv")
    lines: list[str] = nova.ok(*argv).splitlines()
    return lines[1:]


@pytest.mark.parametrize(
    ("option", "names", "query"),
    [
        ("--enabled", ["myserver", "web1"], "?RAX-SI%3Aimage_schedule=True"),
        ("--disabled", NAMES[:2], "?RAX-SI%3Aimage_schedule=False"),
    ],
)
def test_the_cloud_filters(
    nova: Any, cloud: Sandbox, option: str, names: list[str], query: str
) -> None:
    for name in ("myserver", "web1"):
        enable(cloud, name, 3)
    cloud.requests.clear()
    assert list(listed(nova, option)) == names
    requests = sent(cloud)
    assert requests[0] == f"GET /servers/detail{query} 200"
    # Whether an unknown filter was passed over is seen by the attribute; where
    # there is none to see, it is asked once whether anybody has a schedule.
    probes = ["GET /servers?RAX-SI%3Aimage_schedule=True&limit=1 200"]
    assert requests[1:] == [*(probes if option == "--disabled" else []), SNAPSHOTS]


def test_one_request_a_page(nova: Any) -> None:
    with Sandbox(
        speed=0, start=START, servers=26, images_per_server=3, max_limit=10
    ) as cloud:
        rows = listed(nova, cloud=cloud)
        requests = [re.split("[? ]", line)[1] for line in sent(cloud)]
        # 30 servers; 78 images, and a page that tells that there are no more.
        assert requests.count("/servers/detail") == 4
        assert requests.count("/images") == 8
        assert len(requests) == 12
    assert len(rows) == 30
    fleet = [row for name, row in rows.items() if name.startswith("server-")]
    assert {(row["counted"], row["state"]) for row in fleet} == {(3, "ok")}


@pytest.mark.parametrize("pattern", ["web|db", "1$", "^(db|web)[0-9]"])
def test_names_are_chosen_by_a_regular_expression(nova: Any, pattern: str) -> None:
    assert list(listed(nova, "--name", pattern)) == ["db1", "web1"]


def test_nothing_to_list_is_not_an_error(nova: Any) -> None:
    assert nova.ok("scheduled-images-list", "--name", "x", "--format", "json") == "[]\n"


@both_types
@pytest.mark.parametrize("options", [(), ("--enabled",), ("--disabled",)])
@pytest.mark.parametrize("filters", [True, False])
def test_where_the_list_lacks_the_attribute_each_server_is_asked(
    nova: Any,
    cloud: Sandbox,
    front: Interceptor,
    options: tuple[str, ...],
    filters: bool,
) -> None:
    enable(cloud, "myserver", 3)
    enable(cloud, "web1", 2, "SATURDAY")
    cloud.advance("8d")
    expected = listed(nova, *options)
    assert len(expected) == (2 if options else 4)
    hide(front, WITHOUT_ATTRIBUTE)
    if not filters:
        front.rewrite = lambda path: re.sub("RAX-SI[^&]*", "x=y", path)
    front.log.clear()
    assert listed(nova, *options) == expected
    # All of them, or those that the filter has left; none if it left those without.
    number = 0 if filters and options == ("--disabled",) else 4
    assert len(asked(front)) == (2 if filters and options == ("--enabled",) else number)


@pytest.mark.parametrize("option", ["--enabled", "--disabled"])
def test_a_cloud_may_refuse_the_filter(
    nova: Any, cloud: Sandbox, front: Interceptor, option: str
) -> None:
    enable(cloud, "myserver", 3)
    expected = listed(nova, option)
    message = '{"badRequest": {"message": "Additional properties", "code": 400}}'
    front.answer("GET", "RAX-SI", json_answer("400 Bad Request", message))
    assert listed(nova, option) == expected


def test_nothing_is_asked_if_no_server_has_a_schedule(
    nova: Any, cloud: Sandbox
) -> None:
    cloud.requests.clear()
    assert set(states(nova).values()) == {"off"}
    assert sent(cloud) == [
        "GET /servers/detail 200",
        "GET /servers?RAX-SI%3Aimage_schedule=True&limit=1 200",
        SNAPSHOTS,
    ]


def test_a_cloud_without_scheduled_images_says_so(
    nova: Any, front: Interceptor, cloud: Sandbox
) -> None:
    unknown = json_answer(
        "400 Bad Request", '{"badRequest": {"message": "?", "code": 400}}'
    )
    front.without_schedules()
    front.answer("GET", "RAX-SI", unknown)
    for command in ("list", "check"):
        result = nova(f"scheduled-images-{command}")
        assert (result.status, result.out, result.err) == (1, "", NOT_OFFERED)


@pytest.mark.parametrize("shown", [b'"3"', b"5", b"true", b"[]"])
def test_an_unreadable_attribute_is_asked_for(
    nova: Any, cloud: Sandbox, front: Interceptor, shown: bytes
) -> None:
    enable(cloud, "myserver", 3)
    enable(cloud, "web1", 2)
    front.change(
        "GET", "/servers/detail", lambda c: re.sub(rb'\{"retention":\s*3\}', shown, c)
    )
    rows = listed(nova, "--enabled")
    assert {name: row["retention"] for name, row in rows.items()} == {
        "myserver": 3,
        "web1": 2,
    }


def test_without_an_image_service_compute_is_asked(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    enable(cloud, "myserver", 3)
    cloud.advance("5d")
    expected = listed(nova)
    front.without_image_service()
    assert listed(nova) == expected
    assert any("/images/detail?type=snapshot" in line for line in front.log)


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
def test_all_regions(nova: Any) -> None:
    out = nova.ok("scheduled-images-list", "--all-regions", "--format", "json")
    rows = [(row["region"], row["server"]) for row in json.loads(out)]
    assert rows == [*(("DFW", name) for name in NAMES), ("ORD", "backup1")]


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
def test_a_region_that_fails_is_reported_and_the_others_listed(
    nova: Any, front: Interceptor
) -> None:
    front.answer("GET", "^/ORD/", page("500 Internal Server Error"))
    result = nova("scheduled-images-list", "--all-regions", "--format", "json")
    assert {row["region"] for row in json.loads(result.out)} == {"DFW"}
    assert result.status == 1
    assert result.err.startswith("ERROR (ClientException): ")
    assert result.err.endswith(" (in region ORD)\n")


# -- check


@both_types
def test_all_is_well(nova: Any, cloud: Sandbox) -> None:
    ok = "ok: {} scheduled images, none is late{}\n"
    assert nova.ok("scheduled-images-check") == "ok: no server has scheduled images\n"
    enable(cloud, "myserver", 3)
    waiting = ok.format("1 server has", ", 1 still without a first one")
    assert nova.ok("scheduled-images-check") == waiting
    enable(cloud, "web1", 3)
    cloud.advance("3d")
    assert nova.ok("scheduled-images-check") == ok.format("2 servers have", "")
    assert nova.ok("scheduled-images-check", "--format", "json") == "[]\n"
    assert nova.ok("scheduled-images-check", "--format", "table") == ""


@both_types
def test_who_is_late(nova: Any, cloud: Sandbox) -> None:
    for name in ("myserver", "web1", "db1"):
        enable(cloud, name, 3)
    cloud.advance("3d")
    hold(cloud, "web1")
    cloud.advance("50h")
    web1 = listed(nova, "--name", "web1")["web1"]
    assert web1["state"] == "late"
    result = nova("scheduled-images-check")
    assert (result.status, result.err) == (3, "")
    (line,) = result.out.splitlines()
    assert re.fullmatch(
        rf"late: web1 \({web1['id']}\): newest image 2d[0-9]+h old, limit 1d2h:"
        r" Daily-web1-[0-9]+",
        line,
    )
    result = nova("scheduled-images-check", "--format", "json")
    (row,) = json.loads(result.out)
    assert result.status == 3
    assert row == {**web1, "limit": 26 * 3600}
    assert nova("scheduled-images-check", "--name", "web").status == 3
    assert nova("scheduled-images-check", "--max-age", "3d").status == 0
    nova.ok("scheduled-images-check", "--name", "myserver|db")


@both_types
def test_weekly_ones_are_judged_by_the_week(nova: Any, cloud: Sandbox) -> None:
    enable(cloud, "myserver", 3, "SATURDAY")
    cloud.advance("13d")
    nova.ok("scheduled-images-check")
    hold(cloud, "myserver")
    # The 17th is a Saturday.
    cloud.advance("4d")
    late = nova("scheduled-images-check")
    assert (late.status, late.err) == (3, "")
    assert re.match(
        r"late: myserver \(.*\): newest image 7d[0-9]*h? old", late.out
    ) or (re.match(r"late: myserver \(.*\): newest image [0-9]+d", late.out))
    assert "limit 7d2h" in late.out


def test_a_day_that_the_list_does_not_show_makes_nobody_late(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    hide(front, WITHOUT_DAY)
    weekly = enable(cloud, "myserver", 3, "SATURDAY")
    enable(cloud, "web1", 3)
    cloud.advance("13d")
    front.log.clear()
    nova.ok("scheduled-images-check")
    # Its images' names tell that it is weekly, the other's are fresh.
    assert asked(front) == [weekly]
    row = listed(nova)["myserver"]
    assert (row["schedule"], row["day_of_week"]) == ("weekly", "SATURDAY")
    # Images of a daily schedule that has become weekly tell nothing, so that the
    # server is asked before it would be called late.
    enable(cloud, "web1", 3, "FRIDAY")
    cloud.advance("3d")
    front.log.clear()
    nova.ok("scheduled-images-check")
    assert sorted(asked(front)) == sorted([weekly, id_of(cloud, "web1")])


def asked(front: Interceptor) -> list[str]:
    """The servers whose schedules were asked for."""
    found = [re.search("/servers/([^/]+)/rax-si", line) for line in front.log]
    return [each[1] for each in found if each]


@both_types
def test_no_image_at_all(nova: Any, cloud: Sandbox) -> None:
    hold(cloud, "web1")
    enable(cloud, "web1", 3)
    cloud.advance("25h")
    # The server itself is not older, so neither is its schedule.
    assert nova("scheduled-images-check").status == 0
    cloud.advance("25h")
    result = nova("scheduled-images-check")
    assert (result.status, result.err) == (3, "")
    web1 = id_of(cloud, "web1")
    assert result.out == (
        f"never: web1 ({web1}): no image yet, and the server is 2d2h old\n"
    )
    assert states(nova)["web1"] == "never"


def test_a_server_that_cannot_be_read_is_unknown(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    hide(front, WITHOUT_DAY)
    for name in ("myserver", "web1", "db1"):
        hold(cloud, name)
        enable(cloud, name, 3)
    db1, web1 = id_of(cloud, "db1"), id_of(cloud, "web1")
    cloud.advance("3d")
    forbidden = json_answer(
        "403 Forbidden", '{"forbidden": {"message": "Not you", "code": 403}}'
    )
    front.answer("GET", f"/servers/{db1}/rax-si", forbidden)
    result = nova("scheduled-images-check")
    # Who is late is certain, so that is what the status says.
    assert result.status == 3
    lines = result.out.splitlines()
    assert lines[0] == f"unknown: db1 ({db1}): its schedule could not be read"
    assert [line.split(" (")[0] for line in lines[1:]] == [
        "never: myserver",
        "never: web1",
    ]
    assert result.err == "ERROR (Forbidden): db1: Not you (HTTP 403)\n"
    alone = nova("scheduled-images-check", "--name", "db1")
    assert (alone.status, alone.out) == (1, lines[0] + "\n")
    row = nova("scheduled-images-check", "--name", "db1", "--format", "json")
    assert json.loads(row.out)[0]["state"] == "unknown"
    assert row.status == 1
    # One that is gone by then is not there.
    gone = json_answer(
        "404 Not Found", '{"itemNotFound": {"message": "Instance", "code": 404}}'
    )
    front.answer("GET", f"/servers/{web1}(/rax-si.*)?$", gone)
    assert "web1" not in nova("scheduled-images-check").out


@pytest.mark.parametrize("path", ["/servers/detail", "/image/v2/images"])
def test_without_lists_there_are_no_labels(
    nova: Any, cloud: Sandbox, front: Interceptor, path: str
) -> None:
    enable(cloud, "myserver", 3)
    cloud.advance("3d")
    front.answer("GET", path, page("500 Internal Server Error"))
    for command in ("check", "list"):
        result = nova(f"scheduled-images-{command}")
        assert (result.status, result.out) == (1, "")
        assert result.err.startswith("ERROR (ClientException): ")


@pytest.mark.parametrize("path", ["/servers/detail", "/images"])
def test_a_truncated_list_is_refused(nova: Any, path: str) -> None:
    with (
        Sandbox(
            speed=0, start=START, servers=26, images_per_server=3, max_limit=10
        ) as cloud,
        Interceptor(cloud) as front,
    ):
        front.answer("GET", rf"{path}\?.*marker=", page("502 Bad Gateway"), passed=1)
        for command in ("check", "list"):
            result = nova(f"scheduled-images-{command}", cloud=cloud)
            assert (result.status, result.out) == (1, "")
            assert "(HTTP 502)" in result.err
            front.rules[0].passed = 1


def test_ages_follow_the_clock_of_the_cloud(nova: Any) -> None:
    # Twenty-five years behind this machine's.
    with Sandbox(speed=0, start=1_000_000_000) as cloud:
        enable(cloud, "myserver", 3)
        cloud.advance("3d")
        nova.ok("scheduled-images-check", cloud=cloud)


def test_a_monitor_of_a_server_that_has_lost_its_schedule_is_reported(
    nova: Any,
) -> None:
    result = nova("scheduled-images-check", "--name", "^myserver$")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "ERROR (CommandError): There is no server with scheduled images whose name"
        " matches '^myserver$' in this project\n"
    )


@both_types
def test_a_manual_snapshot_is_kept_for_good_and_no_sign_of_life(
    nova: Any, cloud: Sandbox
) -> None:
    enable(cloud, "myserver", 3)
    cloud.advance("3d")
    hold(cloud, "myserver")
    cloud.advance("3d")
    own: dict[str, Any] = {"instance_uuid": MYSERVER, "image_type": "snapshot"}
    add_image(cloud, "before the upgrade", **own)
    add_image(cloud, "of another", **{**own, "instance_uuid": "somebody else"})
    row = listed(nova)["myserver"]
    assert (row["counted"], row["kept"], row["state"]) == (3, 1, "late")
    # One that inherited the marker counts, as it does for the service.
    add_image(cloud, "mine", **own, **MARKED)
    row = listed(nova)["myserver"]
    assert (row["counted"], row["state"]) == (4, "ok")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            ["list", "--enabled", "--disabled"],
            "--enabled, --disabled and --unprotected cannot",
        ),
        (["list", "--name", "("], "'(' is not a regular expression: missing )"),
        (["list", "--name", ""], "must not be empty: it would match every name"),
        (["list", "--format", "xml"], "'xml' is not one of table"),
        (["check", "--max-age", "26"], "'26' is not a duration"),
        (["check", "--max-age", "0h"], "'0h' is too short: it must be more than 0"),
        (["check", "--max-age", "9" * 20 + "w"], "w' is not allowed: 36500d at most"),
        (["check", "--max-age", "-1h"], "argument --max-age: "),
        (["check", "myserver"], "unrecognized arguments: myserver"),
    ],
)
def test_bad_usage(nova: Nova, cloud: Sandbox, command: list[str], text: str) -> None:
    cloud.requests.clear()
    verb, *options = command
    result = nova(f"scheduled-images-{verb}", *options)
    assert (result.status, result.out) == (2, "")
    assert text in result.err
    assert sent(cloud) == []


@both_types
def test_a_long_list_of_strangers(nova: Any, cloud: Sandbox) -> None:
    """Servers of other names are not asked for their schedules."""
    for number in range(3):
        cloud.boot(f"other {number}")
    enable(cloud, "myserver", 3)
    assert list(listed(nova, "--name", "other")) == [f"other {n}" for n in range(3)]


@pytest.mark.parametrize(
    "cloud", [{"extension": False, "max_limit": 10}], indirect=True
)
@pytest.mark.parametrize(("version", "more"), [("2.1", 2), ("2.90", 0)])
def test_on_a_cloud_with_tags_each_page_is_asked_for_once(
    nova: Any, cloud: Sandbox, version: str, more: int
) -> None:
    """An old API shows no tags: that is found out on the first page."""
    if APIVersion(version) > novaclient.API_MAX_VERSION:
        pytest.skip("this novaclient does not speak it")
    for number in range(55):
        cloud.boot(f"server {number}")
    schedule(cloud)
    sent(cloud)
    argv = ("--os-compute-api-version", version, "scheduled-images-list")
    assert len(nova.ok(*argv, "--format", "value").splitlines()) == 59
    pages = [line for line in sent(cloud) if line.startswith("GET /servers/detail")]
    # The next page is asked for while one is read.
    assert len(pages) <= 6 + more
