"""Policies, through the programs as they are called, against clouds over HTTP."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rax_scheduled_images_ext.engine import policies
from rax_scheduled_images_ext.model.image import MARKER_KEY, RUN_KEY, SERVER_KEY
from rax_scheduled_images_ext.model.policies import fingerprint
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery

from ..openstackshell import not_beside_novaclient_7
from ..serviceshell import Service
from ..waiting import until
from .clouds import open_cloud
from .conftest import Start
from .fleet import MYSERVER, id_of, sent
from .interceptor import Interceptor, page
from .raw import START, Caller
from .runners import advance_to_slot, made, schedule
from .test_service import PROGRAM

pytestmark = pytest.mark.flow

proxied = pytest.mark.parametrize("cloud", ["proxied"], indirect=True)

MARKER, OFF = "scheduled-images", "scheduled-images:off"
DAILY, WEEKLY = f"{MARKER}:daily:7", f"{MARKER}:weekly-sunday:4"
# The project that is called "other".
OTHER = "580c96a45a4053f7b88544dcb196eb32"
NEEDS_SERVICE = "This cloud makes no scheduled images itself: "
ALL = """
    version: 1
    prefix: ops
    policies:
      - name: everybody
        schedule: {every: daily, keep: {last: 7}}
    except: {tags: [no-images]}
    """


def policy(name: str, version: int = 1, tag: str = DAILY) -> str:
    return f"{MARKER}-policy:{name}:{version}:{fingerprint(tag)}"


OPS = [MARKER, policy("ops-everybody"), DAILY]


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A plain OpenStack, or what a test is parametrized with."""
    wanted = getattr(request, "param", {"extension": False})
    with open_cloud(wanted, speed=0, start=START) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for another runner."""
    monkeypatch.setattr(policies, "pause", lambda: None)


@pytest.fixture
def service(cloud: Sandbox) -> Service:
    return Service(cloud)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "policies.yaml", ALL)


def write(path: Path, text: str) -> Path:
    path.write_text(textwrap.dedent(text))
    return path


def tags(cloud: Sandbox, server: str = MYSERVER) -> list[str]:
    """The tags that a server has."""
    with cloud.region() as region:
        return sorted(region.servers.get(server).tags)


def tag(cloud: Sandbox, *names: str, server: str = MYSERVER) -> None:
    """Give a server these tags, and no others."""
    with cloud.region() as region:
        region.servers.set_tags(server, names)


def only(cloud: Sandbox, *names: str) -> None:
    """Leave only ``myserver``, with these tags."""
    with cloud.region() as region:
        for server in region.servers.select(ServerQuery()):
            if server.id != MYSERVER:
                region.servers.delete(server.id)
    tag(cloud, *names)


def boot_elsewhere(cloud: Sandbox, name: str) -> str:
    """Boot a server in another project, and return its ID."""
    with cloud.region() as region:
        model = region.servers.get(MYSERVER)
        return region.servers.boot(
            project_id=OTHER,
            user_id=model.user_id,
            name=name,
            image_id=model.image_id,
            flavor_id="2",
        ).id


def told(err: str) -> list[str]:
    """The events of a log, with the names of servers."""
    return re.findall(r"(?:INFO|WARNING|ERROR) (.*?) (?:server|reason)=", err)


# -- what policies do


def test_every_server_is_covered_at_once_and_nobody_again(
    cloud: Sandbox, service: Service, file: Path
) -> None:
    tag(cloud, "no-images")
    web, db = id_of(cloud, "web1"), id_of(cloud, "db1")
    tag(cloud, MARKER, WEEKLY, server=web)
    plan = service.ok("plan", "--policies", str(file), "--format", "json")
    rows = {row["server"]: (row["action"], row["reason"]) for row in json.loads(plan)}
    given = ("give schedule", "policy ops-everybody: daily, retention 7")
    assert rows == {"check-my-task-state": given, "db1": given}
    assert tags(cloud, db) == []
    cloud.requests.clear()
    tick = service("tick", "--policies", str(file))
    assert (tick.status, told(tick.err)) == (0, ["schedule given"] * 2)
    lines = sent(cloud)
    lists = [line for line in lines if "GET /servers/detail?not-tags-any" in line]
    assert lists == [
        "GET /servers/detail?not-tags-any=scheduled-images%2C"
        "scheduled-images%3Aoff%2Cno-images&limit=100 200"
    ]
    # One request for each change.
    changes = [line for line in lines if "/tags" in line]
    assert len(changes) == 6
    assert [line for line in changes if db in line] == [
        f"PUT /servers/{db}/tags/{quote(name)} 201" for name in (OPS[1], DAILY, MARKER)
    ]
    assert tags(cloud, db) == OPS
    assert (tags(cloud), tags(cloud, web)) == (["no-images"], sorted([MARKER, WEEKLY]))
    assert service.ok("tick", "--policies", str(file)) == ""
    assert not [line for line in sent(cloud) if line.startswith(("PUT", "DELETE"))]
    # The image of a server that was covered is made as of any other.
    only(cloud)
    service("tick", "--policies", str(file))
    advance_to_slot(cloud)
    assert "image started" in service("tick", "--policies", str(file)).err


def test_the_first_policy_that_matches_counts(
    cloud: Sandbox, service: Service, tmp_path: Path, admin: Caller
) -> None:
    text = """
        version: 3
        policies:
          - name: gold
            match: {tags: [prod], metadata: {tier: db}, name: "^my", projects: [demo]}
            schedule: {every: 6h, keep: {last: 8, daily: 7}}
          - name: silver
            match: {tags: [prod], projects: [other]}
            schedule: {every: weekly, day_of_week: sunday, keep: {last: 4}}
          - name: bronze
            match: {tags: [prod]}
            schedule: {every: daily, at: 02:30, keep: {last: 3}}
        """
    file = write(tmp_path / "policies.yaml", text)
    tag(cloud, "prod")
    admin.post(f"/servers/{MYSERVER}/metadata", {"metadata": {"tier": "db"}})
    web, db = id_of(cloud, "web1"), id_of(cloud, "db1")
    tag(cloud, "prod", server=web)
    assert service("tick", "--policies", str(file)).status == 0
    gold, bronze = f"{MARKER}:6h:8l+7d", f"{MARKER}:daily@02:30:3"
    assert tags(cloud) == sorted([MARKER, gold, policy("gold", 3, gold), "prod"])
    assert tags(cloud, web) == sorted(
        [MARKER, bronze, policy("bronze", 3, bronze), "prod"]
    )
    assert tags(cloud, db) == []


def test_an_operator_covers_all_projects(
    cloud: Sandbox, service: Service, nova: Any, tmp_path: Path
) -> None:
    text = """
        version: 1
        policies:
          - name: others
            match: {projects: [other]}
            schedule: {every: daily, keep: {last: 7}}
        """
    file = write(tmp_path / "policies.yaml", text)
    with cloud.region() as region:
        image = str(region.servers.get(MYSERVER).image_id)
    boot = ("boot", "--flavor", "1", "--image", image, "--nic", "none", "theirs")
    assert nova(*boot, user="stranger").status == 0
    cloud.advance("5m")
    command = ("tick", "--all-projects", "--policies", str(file))
    tick = service(*command, user="operator")
    assert told(tick.err) == ["schedule given"], tick
    assert policy("others") in tags(cloud, id_of(cloud, "theirs"))
    assert tags(cloud) == []


# -- by hand


@pytest.mark.parametrize("newer", [False, True])
def test_whoever_enables_by_hand_wins_for_good(
    cloud: Sandbox, service: Service, nova: Any, file: Path, newer: bool
) -> None:
    only(cloud, *OPS)
    if newer:
        nova.recorded("scheduled-images-enable", "myserver", "3")
    else:
        # A client that knows no policies leaves the tag of one.
        tag(cloud, MARKER, policy("ops-everybody"), f"{MARKER}:daily:3")
    by_hand = [MARKER, f"{MARKER}:daily:3"]
    events = told(service("tick", "--policies", str(file)).err)
    assert events == [] if newer else ["schedule left to its owner"]
    assert tags(cloud) == by_hand
    write(file, ALL.replace("version: 1", "version: 2").replace("last: 7", "last: 5"))
    assert service.ok("tick", "--policies", str(file)) == ""
    assert tags(cloud) == by_hand


@pytest.mark.parametrize("newer", [False, True])
def test_whoever_disables_by_hand_wins_for_good(
    cloud: Sandbox, service: Service, nova: Any, file: Path, newer: bool
) -> None:
    only(cloud, *OPS)
    if newer:
        nova.ok("scheduled-images-disable", "myserver")
        assert tags(cloud) == [OFF]
    else:
        tag(cloud, policy("ops-everybody"))
    events = told(service("tick", "--policies", str(file)).err)
    assert events == ([] if newer else ["schedule ended"])
    assert tags(cloud) == [OFF]
    write(file, ALL.replace("version: 1", "version: 2"))
    assert service.ok("tick", "--policies", str(file)) == ""
    assert tags(cloud) == [OFF]
    # And can change their mind.
    nova.recorded("scheduled-images-enable", "myserver", "3")
    assert tags(cloud) == [MARKER, f"{MARKER}:daily:3"]


def test_who_enables_at_the_same_moment_is_not_switched_off(
    cloud: Sandbox, service: Service, file: Path, front: Interceptor
) -> None:
    only(cloud, policy("ops-everybody"))

    def enabled(content: bytes) -> bytes:
        with cloud.region() as region:
            before = region.servers.get(MYSERVER).tags
            by_hand = [MARKER, f"{MARKER}:daily:3"]
            region.servers.set_tags(MYSERVER, [*before, *by_hand])
        return content

    front.change("PUT", f"/tags/{quote(OFF)}$", enabled)
    service("tick", "--policies", str(file))
    assert OFF not in tags(cloud)
    service("tick", "--policies", str(file))
    assert tags(cloud) == [MARKER, f"{MARKER}:daily:3"]


def test_what_another_runner_is_about_to_give_is_not_ended(
    cloud: Sandbox, service: Service, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(cloud, *OPS[1:])
    monkeypatch.setattr(policies, "pause", lambda: tag(cloud, *OPS))
    assert service.ok("tick", "--policies", str(file)) == ""
    assert tags(cloud) == OPS


# -- a file that changes


def test_a_newer_version_moves_its_own_servers_only(
    cloud: Sandbox, service: Service, file: Path
) -> None:
    web, db = id_of(cloud, "web1"), id_of(cloud, "db1")
    tag(cloud, MARKER, DAILY, server=web)
    web_policy = [MARKER, policy("web-all"), DAILY]
    tag(cloud, *web_policy, server=db)
    service("tick", "--policies", str(file))
    assert tags(cloud) == OPS
    # Without a new version nothing moves.
    write(file, ALL.replace("last: 7", "last: 5"))
    assert service.ok("tick", "--policies", str(file)) == ""
    write(file, ALL.replace("version: 1", "version: 2").replace("last: 7", "last: 5"))
    (row, *_) = json.loads(
        service.ok("plan", "--policies", str(file), "--format", "json")
    )
    assert row["action"] == "change schedule"
    cloud.requests.clear()
    tick = service("tick", "--policies", str(file))
    assert told(tick.err) == ["schedule changed"] * 2
    five = f"{MARKER}:daily:5"
    new = policy("ops-everybody", 2, five)
    assert tags(cloud) == sorted([MARKER, five, new])
    lines = [line for line in sent(cloud) if MYSERVER in line]
    assert lines[:5] == [
        # By now somebody may have acted by hand.
        f"GET /servers/{MYSERVER} 200",
        f"PUT /servers/{MYSERVER}/tags/{quote(new)} 201",
        f"PUT /servers/{MYSERVER}/tags/{quote(five)} 201",
        f"DELETE /servers/{MYSERVER}/tags/{quote(DAILY)} 204",
        f"DELETE /servers/{MYSERVER}/tags/{quote(OPS[1])} 204",
    ]
    assert tags(cloud, web) == [MARKER, DAILY]
    assert tags(cloud, db) == sorted(web_policy)
    # Whoever still has the older file changes nothing.
    write(file, ALL)
    assert service.ok("tick", "--policies", str(file)) == ""


def test_a_broken_file_changes_nothing_and_is_told_at_once(
    cloud: Sandbox, service: Service, file: Path
) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    write(file, ALL.replace("version: 1", "version: one"))
    tick = service("tick", "--policies", str(file))
    assert tick.status == 1
    assert told(tick.err) == ["policies not obeyed", "image started"] or told(
        tick.err
    ) == ["image started", "policies not obeyed"]
    assert "policies.yaml:2: 'one' is not a version" in tick.err
    # Images are made all the same.
    assert made(cloud)
    assert tags(cloud, id_of(cloud, "web1")) == []
    assert "policies" not in service("tick", "--policies", str(file)).err
    checked = service("policies", "check", str(file))
    assert (checked.status, checked.out) == (1, "")
    assert checked.err == (
        "scheduled-images-service: error: policies.yaml:2: 'one' is not a version: a"
        " number from 1 to 999999\n"
    )
    plan = service("plan", "--policies", str(file))
    assert (plan.status, plan.out, plan.err) == (1, "", checked.err)
    missing = service("tick", "--policies", "nosuch.yaml")
    assert (missing.status, "No such file" in missing.err) == (1, True)


def test_a_file_is_read_again_while_the_service_runs(
    cloud: Sandbox, file: Path, start: Start
) -> None:
    process = start(
        *(PROGRAM, "run", "--every", "1s", "--log-format", "json"),
        *("--policies", file),
        env=cloud.environ(),
    )
    assert process.stderr

    def wait_for(event: str) -> dict[str, Any]:
        assert process.stderr
        while True:
            found: dict[str, Any] = json.loads(process.stderr.readline())
            if found["event"] == event:
                return found

    wait_for("schedule given")
    until(lambda: tags(cloud) == OPS)
    write(file, "version: [")
    assert wait_for("policies not obeyed")["level"] == "ERROR"
    # What the file said before counts: a new server is covered.
    new = cloud.boot("new").id
    until(lambda: tags(cloud, new) == OPS)
    write(file, ALL.replace("version: 1", "version: 2").replace("last: 7", "last: 5"))
    wait_for("schedule changed")
    five = f"{MARKER}:daily:5"
    until(lambda: policy("ops-everybody", 2, five) in tags(cloud, new))


def test_the_policies_of_a_file_are_printed(service: Service, file: Path) -> None:
    rows = json.loads(service.ok("policies", "check", str(file), "--format", "json"))
    assert rows == [
        {
            "policy": "ops-everybody",
            "matches": "all",
            "schedule": "daily, retention 7",
            "tag": policy("ops-everybody"),
        },
        {
            "policy": "none",
            "matches": "tag no-images",
            "schedule": "no schedule",
            "tag": "",
        },
    ]


MISTAKES = [
    ("prefix: ops", "prefix: my-ops", "3: 'my-ops' is not a prefix"),
    ("prefix: ops", "prefx: ops", "3: 'prefx' is not one of version, prefix"),
    ("name: everybody", "name: Every body", "5: 'Every body' is not a name"),
    ("every: daily", "every: 5h", "6: '5h' is not an interval"),
    ("last: 7", "last: seven", "6: 'seven' is not a whole number"),
    ("last: 7", "last: 0", "6: omit a rule instead of"),
    ("last: 7", "lasts: 7", "6: 'lasts' is not one of last, hourly"),
    ("[no-images]", "[a/b]", "7: 'a/b' is not a tag"),
    ("[no-images]", f"['{OFF}']", f"7: '{OFF}' is a tag of schedules"),
    ("tags: [no-images]", "name: '('", "7: '(' is not a regular expression"),
    ("{tags: [no-images]}", "[no-images]", "7: except must be a mapping"),
    ("version: 1", "version: 1\nversion: 2", "3: 'version' is in line 2 as well"),
    (
        "except:",
        "  - {name: b, schedule: {every: daily, keep: {last: 1}}}\nexcept:",
        "7: never used: line 5 matches every server",
    ),
    ("version: 1", "version: {", "it is not YAML"),
    # What is empty or lacks is one mistake as well.
    ("{tags: [no-images]}", "{}", "7: except must be a mapping with tags"),
    ("{tags: [no-images]}", "{tag: a}", "7: 'tag' is not one of tags"),
    ("[no-images]", "[]", "7: tags must be a list"),
    ("{last: 7}", "{}", "6: keep must be a mapping with last"),
    (", keep: {last: 7}", "", "6: schedule lacks 'keep'"),
    ("every: daily, ", "", "6: schedule lacks 'every'"),
    ("{every: daily, keep: {last: 7}}", "{}", "6: schedule must be a mapping with"),
]


@pytest.mark.parametrize(("old", "new", "mistake"), MISTAKES)
def test_a_mistake_is_found_with_its_line(
    service: Service, tmp_path: Path, old: str, new: str, mistake: str
) -> None:
    text = textwrap.dedent(ALL).replace(old, new)
    (tmp_path / "policies.yaml").write_text(text)
    done = service("policies", "check", str(tmp_path / "policies.yaml"))
    assert (done.status, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("scheduled-images-service: error: policies.yaml:")
    assert mistake in line


# -- servers that cannot be covered


def test_servers_without_room_are_told_once_and_not_covered(
    cloud: Sandbox, service: Service, nova: Any, file: Path
) -> None:
    many = [f"tag{number}" for number in range(48)]
    only(cloud, *many)
    tick = service("tick", "--policies", str(file))
    assert told(tick.err) == ["not covered"]
    assert "it has 48 of 50 tags: no room for a schedule" in tick.err
    assert service.ok("tick", "--policies", str(file)) == ""
    assert tags(cloud) == sorted(many)
    result = nova("scheduled-images-check", "--unprotected")
    assert result.status == 3
    assert result.out.endswith("it has no schedule, and 48 of 50 tags\n")
    only(cloud, *many[:47])
    assert told(service("tick", "--policies", str(file)).err) == ["schedule given"]
    assert len(tags(cloud)) == 50


def test_half_a_schedule_is_told_never_filled_in_and_can_be_removed(
    cloud: Sandbox, service: Service, nova: Any, file: Path
) -> None:
    only(cloud, DAILY)
    assert told(service("tick", "--policies", str(file)).err) == ["not covered"]
    assert tags(cloud) == [DAILY]
    line = (
        f"invalid: myserver ({MYSERVER}): the tag '{DAILY}' is not a schedule without"
        f" the tag '{MARKER}'\n"
    )
    assert nova("scheduled-images-check", "--unprotected").out == line
    (row,) = json.loads(nova.ok("scheduled-images-list", "--format", "json"))
    assert (row["state"], row["schedule"]) == ("invalid", DAILY)
    assert nova("scheduled-images-disable", "myserver").status == 0
    assert tags(cloud) == [OFF]
    only(cloud, MARKER)
    assert service("tick").status == 4
    found = nova("scheduled-images-check").out
    assert found.endswith(f"the tag '{MARKER}' without a schedule beside it\n")
    assert nova("scheduled-images-disable", "myserver").status == 0
    assert tags(cloud) == [OFF]


def test_a_server_that_is_being_made_is_covered_when_it_is_there(
    cloud: Sandbox, service: Service, file: Path
) -> None:
    only(cloud)
    with cloud.region() as region:
        region.servers.reset_state(MYSERVER, "error")
    assert service.ok("tick", "--policies", str(file)) == ""
    with cloud.region() as region:
        region.servers.reset_state(MYSERVER, "active")
    assert told(service("tick", "--policies", str(file)).err) == ["schedule given"]


@pytest.mark.parametrize("refused", [DAILY, OPS[1], MARKER])
@pytest.mark.parametrize("status", [403, 500])
def test_what_fails_leaves_nothing_behind(
    cloud: Sandbox, service: Service, file: Path, refused: str, status: int
) -> None:
    only(cloud, "web")
    cloud.fault(f"PUT /tags/{quote(refused)}$ {status}")
    tick = service("tick", "--policies", str(file))
    assert (tick.status, told(tick.err)) == (1, ["schedule given: failed"])
    assert tags(cloud) == ["web"]


@pytest.mark.parametrize("refused", [DAILY, MARKER])
def test_enable_that_fails_leaves_nothing_behind(
    cloud: Sandbox, nova: Any, refused: str
) -> None:
    only(cloud, "web")
    cloud.fault(f"PUT /tags/{quote(refused)}$ 500")
    assert nova("scheduled-images-enable", "myserver", "7").status == 1
    assert tags(cloud) == ["web"]


def test_a_server_with_as_many_tags_as_it_may_have_can_be_updated(
    cloud: Sandbox, nova: Any
) -> None:
    many = [f"tag{number}" for number in range(48)]
    only(cloud, MARKER, DAILY, *many)
    taken = f"DELETE /servers/{MYSERVER}/tags/{quote(DAILY)} 204"
    put = f"PUT /servers/{MYSERVER}/tags/{quote(MARKER)}%3Adaily%3A3 201"
    nova.recorded("scheduled-images-update", "--retention", "3", "myserver")
    assert [line for line in sent(cloud) if "/tags/" in line] == [taken, put]
    assert tags(cloud) == sorted([MARKER, f"{MARKER}:daily:3", *many])
    # The same again is no error, and nothing is lost if it fails.
    assert nova("scheduled-images-enable", "myserver", "3").status == 0
    cloud.fault("PUT /tags/ 403 x1")
    assert nova("scheduled-images-enable", "myserver", "5").status == 1
    assert tags(cloud) == sorted([MARKER, f"{MARKER}:daily:3", *many])
    nova("scheduled-images-disable", "myserver")
    assert tags(cloud) == sorted([OFF, *many])
    only(cloud, *many, "one-more")
    cloud.requests.clear()
    full = nova("scheduled-images-enable", "myserver", "3")
    assert full.status == 1
    assert (
        "has 49 other tags, and a server has at most 50: a schedule requires two"
        in full.err
    )
    assert not [line for line in sent(cloud) if line.startswith("PUT")]


# -- tools that replace all tags


def test_what_a_tool_wiped_is_given_again_and_told_once(
    cloud: Sandbox, service: Service, nova: Any, file: Path
) -> None:
    only(cloud, *OPS)
    advance_to_slot(cloud)
    service("tick")
    cloud.advance("5m")
    service("tick")
    tag(cloud, "terraform")
    day = r"\d{1,2} [A-Z][a-z]+ \d{4}"
    lost = nova("scheduled-images-check")
    line = (
        rf"vanished: myserver \({MYSERVER}\): had images until {day}, has no schedule\n"
    )
    assert lost.status == 3
    assert re.fullmatch(line, lost.out)
    both = nova("scheduled-images-check", "--unprotected")
    assert (both.status, both.out) == (3, lost.out)
    assert nova("scheduled-images-check", "--name", "web").status == 1
    # For as long as it lasts, until somebody decides.
    again = nova("scheduled-images-check")
    assert (again.status, again.out) == (3, lost.out)
    tag(cloud, OFF)
    assert nova("scheduled-images-check").status == 0
    tag(cloud, "terraform")
    tick = service("tick", "--policies", str(file))
    assert told(tick.err) == ["schedule given", "schedule vanished"]
    assert "it had images until" in tick.err
    assert service.ok("tick", "--policies", str(file)) == ""
    assert tags(cloud) == [*OPS, "terraform"]
    assert nova("scheduled-images-check").status == 0
    # Whoever disables a schedule leaves a tag, so it has not vanished.
    nova.ok("scheduled-images-disable", "myserver")
    assert nova("scheduled-images-check").out.startswith("ok: ")


@proxied
def test_policies_work_through_the_api_in_front(
    cloud: Sandbox, service: Service, nova: Any, file: Path, admin: Caller
) -> None:
    only(cloud)
    assert told(service("tick", "--policies", str(file)).err) == ["schedule given"]
    assert tags(cloud) == OPS
    assert service.ok("tick", "--policies", str(file)) == ""
    write(file, ALL.replace("version: 1", "version: 2").replace("last: 7", "last: 5"))
    assert told(service("tick", "--policies", str(file)).err) == ["schedule changed"]
    five = f"{MARKER}:daily:5"
    assert tags(cloud) == sorted([MARKER, policy("ops-everybody", 2, five), five])
    # A client that replaces all tags never sees those of the schedule.
    path = f"/servers/{MYSERVER}/tags"
    assert admin.get(path, version="2.26").json() == {"tags": []}
    assert admin.put(path, {"tags": ["tf"]}, version="2.26").json() == {"tags": ["tf"]}
    assert len(tags(cloud)) == 4
    nova.ok("scheduled-images-enable", "myserver", "3")
    assert tags(cloud) == [MARKER, f"{MARKER}:daily:3", "tf"]
    assert service.ok("tick", "--policies", str(file)) == ""
    nova.ok("scheduled-images-disable", "myserver")
    assert service.ok("tick", "--policies", str(file)) == ""
    assert tags(cloud) == [OFF, "tf"]
    assert nova.ok("scheduled-images-check", "--unprotected") == (
        "ok: no server has scheduled images\n"
    )


# -- who is not covered


@not_beside_novaclient_7
def test_both_shells_name_who_is_not_covered(
    cloud: Sandbox, nova: Any, openstack: Any, file: Path
) -> None:
    only(cloud)
    web, new, excepted = (cloud.boot(name).id for name in ("web", "new", "excepted"))
    tag(cloud, MARKER, DAILY, server=web)
    tag(cloud, "no-images", server=excepted)
    nova.recorded("scheduled-images-enable", "myserver", "7")
    nova.ok("scheduled-images-disable", "myserver")
    names = {"new", "excepted"}
    for obeyed in ([], ["--policies", str(file)]):
        line = ["scheduled-images-check", "--unprotected", *obeyed]
        told_ = nova(*line)
        assert told_.status == 3
        assert {each.split()[1] for each in told_.out.splitlines()} == names
        words = ["server", "image", "schedule"]
        for verb, status in (("check", 3), ("list", 0)):
            found = openstack(*words, verb, "--unprotected", *obeyed, "-f", "json")
            assert found.status == status
            rows = json.loads(found.out)
            assert {(r["Server"], r["State"]) for r in rows} == {
                (name, "unprotected") for name in names
            }
        listed = nova.ok(
            "scheduled-images-list", "--unprotected", *obeyed, "--format", "json"
        )
        assert {row["server"] for row in json.loads(listed)} == names
        names = {"new"}
    tag(cloud, OFF, server=new)
    assert nova.ok("scheduled-images-check", "--unprotected", *obeyed) == (
        "ok: 1 server has scheduled images, none is late, 1 still without a first one,"
        " and no other lacks them\n"
    )
    for shell, *start in (
        (nova, "scheduled-images-check"),
        (openstack, *words, "check"),
    ):
        wrong = shell(*start, "--policies", str(file))
        assert (wrong.status, "--policies requires --unprotected" in wrong.err) == (
            2,
            True,
        )
        broken = write(file.with_name("broken.yaml"), "version: x")
        wrong = shell(*start, "--unprotected", "--policies", str(broken))
        assert (wrong.status, "broken.yaml:1: 'x' is not a version" in wrong.err) == (
            2,
            True,
        )


@not_beside_novaclient_7
def test_an_operator_sees_who_is_not_covered_in_all_projects(
    cloud: Sandbox, service: Service, nova: Any, openstack: Any, file: Path
) -> None:
    """With their projects, and without the exceptions of a file."""
    only(cloud)
    theirs = boot_elsewhere(cloud, "theirs")
    covered, excepted = (boot_elsewhere(cloud, name) for name in ("covered", "not"))
    tag(cloud, *OPS, server=covered)
    tag(cloud, "no-images", server=excepted)
    for project in ("no-such-project", "other"):
        text = ALL.replace("tags: [no-images]", f"tags: [x], projects: [{project}]")
        write(file.with_name(f"{project}.yaml"), text)
    whose = ["--unprotected", "--all-projects"]
    for exceptions, names in (
        (None, {"myserver", "theirs", "not"}),
        (file, {"myserver", "theirs"}),
        (file.with_name("no-such-project.yaml"), {"myserver", "theirs", "not"}),
        (file.with_name("other.yaml"), {"myserver"}),
    ):
        obeyed = ["--policies", str(exceptions)] if exceptions else []
        for shell, *words in (
            (nova, "scheduled-images-check", "--format"),
            (openstack, "server", "image", "schedule", "check", "-f"),
        ):
            found = shell(*words, "json", *whose, *obeyed, user="operator")
            assert found.status == 3, found.err
            rows = [
                {k.lower(): v for k, v in row.items()} for row in json.loads(found.out)
            ]
            assert {row["server"] for row in rows} == names
            assert all(
                (row["project"] == OTHER) is (row["server"] != "myserver")
                for row in rows
            )
    lines = nova("scheduled-images-check", *whose, user="operator").out
    assert f"unprotected: theirs ({theirs}) in project {OTHER}: " in lines
    assert "theirs" not in nova("scheduled-images-check", "--unprotected").out


def test_images_of_all_projects_are_judged_by_their_owners(
    cloud: Sandbox, nova: Any
) -> None:
    """What others publish neither shows nor hides that a schedule vanished."""
    only(cloud, *OPS)
    theirs = boot_elsewhere(cloud, "theirs")
    advance_to_slot(cloud)
    Service(cloud)("tick")
    cloud.advance("5m")
    Service(cloud)("tick")
    (image,) = made(cloud)
    found = False
    for owner in (image.owner, OTHER, image.owner):
        cloud.advance("1m")
        with cloud.region() as region:
            copy = region.images.add(
                owner=owner,
                name="copy",
                visibility="public",
                properties={SERVER_KEY: theirs, "image_type": "snapshot"}
                | {MARKER_KEY: "True", RUN_KEY: f"{theirs}:2026-01-05"},
            )
            region.images.upload(copy.id, b"disk")
        lost = nova(
            *("scheduled-images-check", "--all-projects", "--format", "value"),
            user="operator",
        )
        found |= owner == OTHER
        assert (lost.status, "vanished" in lost.out) == (3 * found, found)


def test_a_project_that_is_not_there_is_told(
    cloud: Sandbox, service: Service, file: Path
) -> None:
    """Where all projects can be listed; a tenant's file may be for several."""
    only(cloud)
    match = f"match: {{projects: [nope, other, {OTHER}]}}"
    write(file, ALL.replace("schedule:", f"{match}\n        schedule:"))
    line = ["--policies", str(file)]
    said = "policies name the project 'nope', which this cloud does not have"
    plan = service("plan", *line, "--all-projects", user="operator")
    assert plan.status == 0
    assert plan.err == f"scheduled-images-service: warning: {said}\n"
    every = ["tick", *line, "--all-projects"]
    tick = service(*every, user="operator")
    assert tick.status == 0
    assert "no such project" in tick.err
    assert said in tick.err
    assert service(*every, user="operator").err == ""
    for command in ("plan", "tick"):
        own = service(command, *line)
        assert (own.status, own.err) == (0, "")
    # Corrected, and then wrong again.
    write(file, file.read_text().replace("nope, ", ""))
    assert service(*every, user="operator").err == ""
    write(file, file.read_text().replace("[other", "[nope, other"))
    assert said in service(*every, user="operator").err


@pytest.mark.parametrize("names", [[], ["scheduled-images:DAILY:7"], [DAILY]])
def test_a_marker_in_another_letter_case_is_told(
    cloud: Sandbox, service: Service, file: Path, names: list[str]
) -> None:
    """Nova's database finds it as the marker, so no list is without the server."""
    only(cloud, MARKER.title(), *names)
    tick = service("tick", "--policies", str(file))
    assert told(tick.err) == ["not covered"]
    assert service.ok("tick", "--policies", str(file)) == ""
    assert tags(cloud) == sorted([MARKER.title(), *names])


def test_plan_says_who_keeps_an_earlier_text(
    cloud: Sandbox, service: Service, nova: Any, file: Path
) -> None:
    only(cloud)
    web = cloud.boot("web").id
    line = ["--policies", str(file)]
    service("tick", *line)
    assert service("plan", *line).err == ""
    write(file, ALL.replace("last: 7", "last: 5"))
    plan = service("plan", *line)
    assert plan.status == 0
    assert plan.err == (
        "scheduled-images-service: warning: 2 servers have an earlier schedule or"
        " policy of version 1: raise the version to change them\n"
    )
    assert service.ok("tick", *line) == ""
    # Whoever acted by hand, or is excepted, is not waiting for another version.
    assert nova("scheduled-images-enable", "web", "3").status == 0
    tag(cloud, *OPS, "no-images")
    assert service("tick", *line).status == 0
    assert service("plan", *line).err == ""
    tag(cloud, *OPS)
    assert "1 server has" in service("plan", *line).err
    write(file, ALL.replace("last: 7", "last: 5").replace("version: 1", "version: 2"))
    plan = service("plan", *line)
    assert (plan.err, "change schedule" in plan.out) == ("", True)
    assert len(tags(cloud, web)) == 2


def test_plan_takes_the_limits_and_says_what_would_have_to_wait(
    cloud: Sandbox, service: Service
) -> None:
    with cloud.region() as region:
        ids = [server.id for server in region.servers.select(ServerQuery())]
        for server_id in ids:
            region.servers.set_tags(server_id, OPS)
    advance_to_slot(cloud)
    cloud.advance("1d")
    limits = ["--limit-region", "3", "--limit-project", "2", "--max-delay", "2d"]
    plan = service("plan", "--format", "value", *limits)
    assert plan.status == 0
    assert plan.out.count("make image") == len(ids) == 4
    assert plan.err == (
        "scheduled-images-service: 2 of the images to make would have to wait: at most"
        " 3 snapshots at once in a region, and 2 in a project\n"
    )
    service("tick", *limits)
    assert len(made(cloud)) == 2
    assert service("plan").err == ""


def test_who_may_not_list_all_projects_reads_why(
    cloud: Sandbox, service: Service, nova: Any
) -> None:
    needs = "listing the servers of all projects requires an administrator: "
    for shell, *words in (
        (nova, "scheduled-images-check", "--unprotected"),
        (service, "plan"),
        (service, "status"),
        (service, "leftovers"),
        (service, "tick"),
    ):
        refused = shell(*words, "--all-projects", user="creator")
        assert (refused.status, refused.out) == (1, "")
        assert needs in refused.err
        assert "get_all_tenants" in refused.err
        assert len(refused.err.splitlines()) == 1


def test_an_error_page_is_no_reason_to_give_a_schedule(
    cloud: Sandbox, service: Service, file: Path, front: Interceptor
) -> None:
    only(cloud)
    front.answer("GET", "/servers/detail", page("200 OK"), times=1)
    tick = service("tick", "--policies", str(file))
    assert (tick.status, told(tick.err)) == (1, ["policies not obeyed"])
    assert tags(cloud) == []
