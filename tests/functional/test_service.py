"""scheduled-images-service, as it is called, against a plain OpenStack over HTTP."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.model.image import CLAIM_KEY, SERVER_KEY
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ImageQuery
from rax_scheduled_images_ext.sandbox.environment import client_environment

from .. import rehearsed
from ..serviceshell import Service
from ..shell import Result
from ..waiting import until
from .conftest import Start
from .fleet import MYSERVER, id_of, sent
from .interceptor import Interceptor, page
from .runners import advance_to_slot, connected, made, schedule

pytestmark = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)

PROGRAM = Path(sys.executable).with_name("scheduled-images-service")


@pytest.fixture
def service(cloud: Sandbox) -> Service:
    schedule(cloud, 3)
    return Service(cloud)


def events(result: Result) -> list[dict[str, Any]]:
    """The events of a command that logs them as JSON."""
    return [json.loads(line) for line in result.err.splitlines()]


# -- tick


def test_a_tick_makes_what_is_due_and_a_later_one_applies_the_retention(
    cloud: Sandbox, service: Service
) -> None:
    assert service.ok("tick") == ""
    slot = advance_to_slot(cloud)
    tick = service("tick", "--log-format", "json")
    (event,) = events(tick)
    (image,) = made(cloud)
    assert (tick.status, tick.out) == (0, "")
    assert re.fullmatch(r"\d{4}(-\d\d){2}T(\d\d:){2}\d\dZ", event.pop("time"))
    assert re.fullmatch("req-.*", event.pop("request_id"))
    assert event == {
        "level": "INFO",
        "event": "image started",
        "server": MYSERVER,
        "server_name": "myserver",
        "project": image.owner,
        "slot": slot,
        "image": image.id,
    }
    cloud.advance("5m")
    tick = service("tick")
    told = f" INFO retention applied server={MYSERVER} server_name=myserver"
    assert told in tick.err
    assert tick.err.count("\n") == 1


def test_a_server_that_cannot_be_imaged_is_reported_with_the_reason(
    cloud: Sandbox, service: Service
) -> None:
    advance_to_slot(cloud)
    with cloud.region() as region:
        region.servers.reset_state(MYSERVER, "error")
        region.servers.set_tags(id_of_web(region), ("scheduled-images",))
    tick = service("tick")
    assert tick.status == 4
    assert " WARNING no image " in tick.err
    assert (
        'reason="its status is ERROR, and images are made of servers that' in tick.err
    )
    assert "reason=\"its tag 'scheduled-images' is not a schedule\"" in tick.err


def id_of_web(region: Any) -> str:
    """The ID of the server ``web1``."""
    from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery

    (server,) = region.servers.select(ServerQuery(name="^web1$"))
    return str(server.id)


def test_a_failure_is_reported_and_the_exit_status_is_1(
    cloud: Sandbox, service: Service
) -> None:
    advance_to_slot(cloud)
    cloud.fault("POST /images 500")
    tick = service("tick")
    assert (tick.status, tick.out) == (1, "")
    assert " ERROR failed " in tick.err
    assert f"server={MYSERVER}" in tick.err


@pytest.mark.parametrize("path", ["GET /servers", "POST /auth/tokens"])
def test_a_cloud_that_cannot_be_read_is_reported(
    cloud: Sandbox, service: Service, path: str
) -> None:
    cloud.fault(f"{path} 500")
    tick = service("tick")
    assert (tick.status, tick.out) == (1, "")
    assert re.search(r' ERROR tick failed reason="\w+: .*500', tick.err)
    assert "Traceback" not in tick.err


def test_a_wrong_password_is_reported_and_not_shown(
    cloud: Sandbox, service: Service
) -> None:
    tick = service("tick", env={"OS_PASSWORD": "wrong-secret"})
    assert tick.status == 1
    assert ' ERROR tick failed reason="Unauthorized: ' in tick.err
    assert "wrong-secret" not in tick.err


def test_no_cloud_is_configured(cloud: Sandbox, service: Service) -> None:
    nothing = dict.fromkeys(cloud.env())
    named = (
        "the configured cloud cannot be used: no clouds.yaml has an auth_url for"
        " OS_CLOUD 'nosuch'"
    )
    unnamed = "no cloud is configured: set OS_CLOUD or OS_AUTH_URL"
    for command in ("tick", "plan", "status", "run"):
        for env, problem in (({"OS_CLOUD": "nosuch"}, named), ({}, unnamed)):
            result = service(command, env={**nothing, **env})
            assert (result.status, result.out) == (1, "")
            assert result.err == f"scheduled-images-service: error: {problem}\n"


def test_credentials_of_one_project_cannot_work_for_all(
    cloud: Sandbox, service: Service
) -> None:
    env = {
        **dict.fromkeys(cloud.env()),
        "OS_AUTH_TYPE": "token",
        "OS_AUTH_URL": cloud.env()["OS_AUTH_URL"],
        "OS_TOKEN": str(connected(cloud).compute.adapter.get_token()),
        "OS_PROJECT_NAME": "demo",
        "OS_PROJECT_DOMAIN_NAME": "Default",
    }
    line = (
        "auth_type 'token' is limited to one project: all projects require a password"
    )
    plan = service("plan", "--all-projects", env=env)
    assert (plan.status, plan.out) == (1, "")
    assert plan.err == f"scheduled-images-service: error: {line}\n"
    tick = service("tick", "--all-projects", env=env)
    assert (tick.status, line in tick.err) == (1, True)


@pytest.fixture
def two_regions(cloud: Sandbox, tmp_path: Path) -> dict[str, str | None]:
    """The variables of a cloud with two regions, of which one is not there."""
    env = cloud.env()
    auth = {key: env[f"OS_{key.upper()}"] for key in ("auth_url", "username")}
    auth |= {"password": env["OS_PASSWORD"], "project_name": env["OS_PROJECT_NAME"]}
    auth |= {"user_domain_name": "Default", "project_domain_name": "Default"}
    mine = {"auth": auth, "regions": ["RegionOne", "Nowhere"]}
    file = tmp_path / "clouds.yaml"
    file.write_text(json.dumps({"clouds": {"mine": mine}}))
    hidden: dict[str, str | None] = dict.fromkeys(env)
    return {**hidden, "OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": str(file)}


def test_a_tick_works_for_all_regions_and_says_which(
    cloud: Sandbox, service: Service, two_regions: dict[str, str | None]
) -> None:
    advance_to_slot(cloud)
    tick = service("tick", env=two_regions)
    assert tick.status == 1
    begun, failed = tick.err.splitlines()
    assert "image started" in begun
    assert " region=RegionOne " in begun
    assert "tick failed region=Nowhere " in failed
    assert len(made(cloud)) == 1
    # What has failed is reported once, for each region by itself.
    assert service("tick", env=two_regions).err == ""


def test_a_region_that_is_named_is_the_only_one(
    cloud: Sandbox, service: Service, two_regions: dict[str, str | None]
) -> None:
    advance_to_slot(cloud)
    plan = service.ok(
        "plan", "--region", "RegionOne", "--format", "value", env=two_regions
    )
    assert "make image" in plan
    tick = service("tick", "--region", "RegionOne", env=two_regions)
    assert tick.status == 0
    assert "region=" not in tick.err
    wrong = service("tick", "--region", "Elsewhere", env=two_regions)
    assert (wrong.status, wrong.out, wrong.err.count("\n")) == (1, "", 1)
    assert "Elsewhere" in wrong.err


# -- plan and status


@pytest.mark.parametrize("command", ["plan", "status"])
def test_which_region_fails(
    service: Service, two_regions: dict[str, str | None], command: str
) -> None:
    result = service(command, env=two_regions)
    assert (result.status, result.out, result.err.count("\n")) == (1, "", 1)
    assert result.err.startswith("scheduled-images-service: error: region Nowhere: ")
    alone = service(command, "--region", "Nowhere", env=two_regions)
    assert alone.err == result.err.replace("region Nowhere: ", "")


def test_plan_changes_nothing(cloud: Sandbox, service: Service) -> None:
    assert json.loads(service.ok("plan", "--format", "json")) == []
    slot = advance_to_slot(cloud)
    sent(cloud)
    (row,) = json.loads(service.ok("plan", "--format", "json"))
    assert all(line.startswith("GET ") for line in sent(cloud))
    assert (row["id"], row["slot"], row["action"]) == (MYSERVER, slot, "make image")
    assert row["reason"] == f"its image has been due since {row['due']}"
    assert made(cloud) == []


def test_plan_at_another_time(cloud: Sandbox, service: Service) -> None:
    (row,) = json.loads(service.ok("plan", "--all", "--format", "json"))
    assert row["action"] == "nothing"
    at = ("plan", "--at", row["next_due"], "--format", "json")
    (later,) = json.loads(service.ok(*at))
    assert (later["due"], later["action"]) == (row["next_due"], "make image")


def test_a_window(cloud: Sandbox, service: Service) -> None:
    for number in range(20):
        schedule(cloud, server_id=cloud.boot(f"server {number}").id)
    argv = ("plan", "--all", "--window", "22:00-02:00", "--format", "json")
    hours = {row["next_due"][11:13] for row in json.loads(service.ok(*argv))}
    assert hours <= {"22", "23", "00", "01"}
    assert len(hours) == 4


def test_status(cloud: Sandbox, service: Service) -> None:
    schedule(cloud, 2, "SUNDAY", server_id=id_of(cloud, "db1"))
    advance_to_slot(cloud)
    service("tick")
    status = service("status", "--format", "json")
    db1, mine = json.loads(status.out)
    assert (status.status, status.err) == (0, "")
    assert (db1["server"], db1["schedule"], db1["retention"]) == ("db1", "weekly", 2)
    assert (mine["server"], mine["state"]) == ("myserver", "never")
    assert mine["reason"] == f"image {made(cloud)[0].id} is being made"
    cloud.advance("5m")
    service("tick")
    (mine,) = (
        r for r in json.loads(service.ok("status", "--format=json")) if r["counted"]
    )
    assert (mine["id"], mine["state"]) == (MYSERVER, "ok")
    cloud.advance("30h")
    status = service("status", "--format", "value")
    assert (status.status, status.err) == (3, "")
    assert "\tlate\t" in status.out


# -- rehearsals, and bad input


def test_a_rehearsed_day(cloud: Sandbox, service: Service) -> None:
    (row,) = json.loads(service.ok("plan", "--all", "--format", "json"))
    tick = service.tick(row["next_due"])
    assert (tick.status, " INFO image started " in tick.err) == (0, True)
    (image,) = made(cloud)
    assert image.properties["scheduled_images_slot"] == row["next_due"][:10]


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ("plan --at soon", "'soon' is not a time: write it as 2026-01"),
        ("tick --window 22-6", "'22-6' is not a window: two different UTC times"),
        ("tick --max-delay x", "'x' is not a duration"),
        ("tick --requests 0", "'0' is not allowed: a whole number from 1 to 100"),
        ("tick --limit-region 0", "'0' is not allowed: a whole number from 1"),
        ("run --every 0s", "'0s' is too short: it must be more than 0"),
        ("run --metrics-port x", "'x' is not allowed: a whole number from 0"),
        ("tick --on-failure 'x", "''x' is not a command: No closing quotation"),
        ("tick --on-failure=", "'' is not a command: it is empty"),
        (
            "tick --on-failure /nowhere/notify",
            "'/nowhere/notify' is not an executable program",
        ),
        ("tick --on-failure /etc/passwd", "'/etc/passwd' is not an executable program"),
        ("tick --ping-fail http://x/", "--ping-fail requires --ping"),
        ("run --metrics-host 0.0.0.0", "--metrics-host requires --metrics-port"),
        ("tick --ping-cacert /nowhere", "cannot read /nowhere: No such file"),
        ("tick -v --quiet", "--quiet and --verbose cannot be used together"),
        ("tick --ping ftp://host/secret", "must start with http:// or https://"),
        ("status --format xml", "invalid choice: 'xml'"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_bad_input(cloud: Sandbox, service: Service, argv: str, problem: str) -> None:
    sent(cloud)
    result = service(*argv.split())
    assert (result.status, result.out) == (2, "")
    assert problem in result.err
    assert result.err.count("\n") == 1
    assert sent(cloud) == []


def test_days_that_pass_faster(cloud: Sandbox, service: Service, start: Start) -> None:
    (row,) = json.loads(service.ok("plan", "--all", "--format", "json"))
    due = datetime.fromisoformat(row["next_due"].replace("Z", "+00:00"))
    now = datetime.now(timezone.utc)
    # At a speed of 360 the image has been due for half an hour now.
    since = now - (due + timedelta(minutes=30) - now) / 359
    clock = ("--speed", "360", "--since", since.isoformat(timespec="seconds"))
    start(
        *(*rehearsed.PROGRAM, *clock, "run", "--every", "1s"),
        env=client_environment(cloud.env()),
    )
    (image,) = until(lambda: made(cloud))
    assert image.properties["scheduled_images_slot"] == row["next_due"][:10]


# -- notifications


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """The address of a server that remembers what is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Write nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/abc", asked
        server.shutdown()
        thread.join()


def test_pings(
    cloud: Sandbox, service: Service, listener: tuple[str, list[str]]
) -> None:
    url, asked = listener
    service("tick", "--ping", url)
    cloud.fault("GET /servers 500")
    service("tick", "--ping", url)
    assert asked == ["/abc", "/abc/fail"]


def test_a_server_that_refuses_for_minutes_is_not_reported(
    cloud: Sandbox, service: Service, listener: tuple[str, list[str]]
) -> None:
    """Each tick is a process of its own: the exit status and the pings do not flap."""
    url, asked = listener
    advance_to_slot(cloud)
    cloud.fault(f"POST /servers/{MYSERVER}/action 409")
    for _ in range(5):
        tick = service("tick", "--ping", url)
        assert (tick.status, tick.err) == (4, "")
        cloud.advance("5m")
    assert asked == ["/abc"] * 5
    for _ in range(12):
        tick = service("tick", "--ping", url)
        assert tick.status == 4
        cloud.advance("10m")
    assert asked[-6:] == ["/abc/fail"] * 6
    cloud.clear_faults()
    cloud.advance("10m")
    tick = service("tick", "--ping", url)
    assert (tick.status, asked[-1]) == (0, "/abc")
    assert "image started" in tick.err


def test_a_quota_is_reported_once_and_makes_every_tick_bad(
    cloud: Sandbox,
    service: Service,
    listener: tuple[str, list[str]],
    front: Interceptor,
    tmp_path: Path,
) -> None:
    url, asked = listener
    told = tmp_path / "told"
    command = f"sh -c {shlex.quote(f'cat >> {told}')}"
    advance_to_slot(cloud)
    front.answer("POST", "/action$", page("403 Image quota exceeded"))
    logged = ""
    for _ in range(12):
        tick = service("tick", "--ping", url, "--on-failure", command)
        assert tick.status in (1, 4)
        logged += tick.err
        cloud.advance("5m")
    assert asked == ["/abc/fail"] * 12
    assert logged.count(" ERROR ") == 1
    assert logged.count("\n") <= 2
    assert told.read_text().count("{") == 1


def test_an_image_that_was_missed_is_not_well(
    cloud: Sandbox, service: Service, listener: tuple[str, list[str]]
) -> None:
    url, asked = listener
    advance_to_slot(cloud)
    service("tick")
    cloud.advance("5m")
    service("tick")
    cloud.advance("1d13h")
    tick = service("tick", "--ping", url)
    assert (tick.status, asked) == (4, ["/abc/fail"])
    assert " WARNING no image " in tick.err


def test_a_server_that_just_got_its_schedule_has_missed_nothing(
    cloud: Sandbox, listener: tuple[str, list[str]]
) -> None:
    url, asked = listener
    advance_to_slot(cloud, 13 * 3600)
    schedule(cloud)
    service = Service(cloud)
    tick = service("tick", "--ping", url)
    assert (tick.status, tick.err, asked) == (0, "", ["/abc"])
    (row,) = json.loads(service.ok("plan", "--all", "--format", "json"))
    assert row["reason"].startswith("its first image is due ")
    (row,) = json.loads(service.ok("status", "--format", "json"))
    assert row["reason"].startswith("its first image is due ")


def test_pings_elsewhere(
    cloud: Sandbox,
    service: Service,
    listener: tuple[str, list[str]],
    tmp_path: Path,
) -> None:
    """Whatever is set for the cloud's certificates says nothing about pings."""
    url, asked = listener
    env = {"REQUESTS_CA_BUNDLE": str(tmp_path / "missing")}
    service("tick", "--ping", f"{url}/?token=1", env=env)
    cloud.fault("GET /servers 500")
    service("tick", "--ping", f"{url}/?token=1", env=env)
    service("tick", "--ping", url, "--ping-fail", f"{url}/bad?x=1", env=env)
    assert asked == ["/abc/?token=1", "/abc/fail?token=1", "/abc/bad?x=1"]


def test_cron_reports_once_what_lasts(
    cloud: Sandbox, service: Service, tmp_path: Path
) -> None:
    """Each tick is a process of its own, and knows what the one before has said."""
    told = tmp_path / "told"
    code = f"import sys; open('{told}', 'a').write(sys.stdin.read() + '\\n')"
    argv = ("tick", "--quiet", "--on-failure", shlex.join([sys.executable, "-c", code]))
    state = ("--state", str(tmp_path / "new" / "state.json"))
    advance_to_slot(cloud)
    cloud.fault("POST /images 500")
    first, second = service(*argv, *state), service(*argv, *state)
    assert first.err.count("\n") == 1
    assert " ERROR failed " in first.err
    assert (second.err, second.status) == ("", first.status)
    assert told.read_text().count("\n") == 1
    # Without the file it is reported again.
    assert " ERROR failed " in service(*argv).err
    cloud.fault("GET /servers 500")
    assert " ERROR tick failed " in service(*argv, *state).err
    assert service(*argv, *state).err == ""
    assert told.read_text().count("tick failed") == 1
    cloud.clear_faults()
    service(*argv, *state)
    cloud.fault("GET /servers 500")
    assert " ERROR tick failed " in service(*argv, *state).err


def test_a_quiet_tick_says_nothing_of_what_is_as_it_should_be(
    cloud: Sandbox, service: Service
) -> None:
    advance_to_slot(cloud)
    assert service("tick", "--quiet").err == ""
    assert made(cloud)


def test_a_ping_that_fails_is_reported_without_its_address(
    cloud: Sandbox, service: Service
) -> None:
    tick = service("tick", "--ping", "http://127.0.0.1:9/secret")
    assert tick.status == 0
    assert tick.err.endswith(
        " ERROR ping failed host=127.0.0.1 reason=ConnectionError\n"
    )
    assert "secret" not in tick.err


def test_missed_images_are_reported(cloud: Sandbox, service: Service) -> None:
    advance_to_slot(cloud)
    service("tick")
    cloud.advance("5m")
    service("tick")
    for _ in range(3):
        advance_to_slot(cloud)
    (row,) = json.loads(service.ok("plan", "--format", "json"))
    assert row["reason"].endswith("; 2 before it were missed")
    (event,) = events(service("tick", "--log-format", "json"))
    assert (event["event"], event["missed"]) == ("image started", 2)


def test_an_event_is_one_line(cloud: Sandbox, service: Service) -> None:
    """Whatever the texts are that users give: this is a server's name."""
    advance_to_slot(cloud)
    with cloud.region() as region:
        region.servers.update(MYSERVER, name="my\nserver  x")
    tick = service("tick")
    assert tick.err.count("\n") == 1
    assert ' server_name="my\\nserver  x" project=' in tick.err


def test_the_command_is_told_of_a_tick_that_fails(
    cloud: Sandbox, service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "facts"
    code = f"import sys; open('{file}', 'a').write(sys.stdin.read() + '\\n')"
    command = shlex.join([sys.executable, "-c", code])
    env = {"OS_PASSWORD": "wrong-secret"}
    tick = service("tick", "--on-failure", command, env=env)
    assert tick.status == 1
    facts = json.loads(file.read_text())
    assert facts["event"] == "tick failed"
    assert facts["reason"].startswith("Unauthorized: ")
    assert "wrong-secret" not in file.read_text()


def test_a_command_is_told_of_failures(
    cloud: Sandbox, service: Service, tmp_path: Path
) -> None:
    slot = advance_to_slot(cloud)
    cloud.fault("POST /images 500")
    file = tmp_path / "facts"
    code = f"import sys; open('{file}', 'w').write(sys.stdin.read())"
    command = shlex.join([sys.executable, "-c", code])
    service("tick", "--on-failure", command)
    facts = json.loads(file.read_text())
    assert (facts["server"], facts["slot"]) == (MYSERVER, slot)
    assert (facts["event"], "500" in facts["reason"]) == ("failed", True)
    cloud.advance("1h")
    tick = service("tick", "--on-failure", "false")
    assert " ERROR on-failure command failed reason=CalledProcessError" in tick.err


# -- run


@pytest.fixture
def running(cloud: Sandbox, start: Start) -> Any:
    """Start the program as a process: ``running(*argv)``; it is ended at last."""

    def run(*argv: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        variables = cloud.env() if env is None else env
        return start(PROGRAM, *argv, env=client_environment(variables))

    return run


def test_it_runs_until_it_is_stopped(
    cloud: Sandbox, service: Service, running: Any
) -> None:
    process = running("run", "--every", "1s")
    advance_to_slot(cloud)
    until(lambda: made(cloud))
    cloud.advance("5m")
    until(lambda: "scheduled_images_retention" not in made(cloud)[0].properties)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    lines = [line.split(" ", 1)[1] for line in err.splitlines()]
    assert lines[0] == "INFO service started every_seconds=1.0"
    assert [line.split(" server=")[0] for line in lines[1:]] == [
        "INFO image started",
        "INFO retention applied",
        "INFO service ended",
    ]


def test_it_goes_on_after_failures_and_shows_that_it_is_ill(
    cloud: Sandbox, service: Service, running: Any
) -> None:
    process = running(
        "run", "--every", "1s", "--metrics-port", "0", "--log-format=json"
    )
    port = None
    while port is None:
        port = json.loads(process.stderr.readline()).get("port")
    root = f"http://127.0.0.1:{port}"

    def health(path: str = "readyz") -> tuple[int, str]:
        answer = requests.get(f"{root}/{path}", timeout=60)
        return answer.status_code, answer.text

    until(lambda: health() == (200, "ok\n"))
    cloud.fault("GET /servers 500")
    until(lambda: health() == (503, "the last scan failed\n"))
    # The cloud answers, so the service need not be started again.
    assert health("healthz") == (200, "ok\n")
    cloud.clear_faults()
    until(lambda: health() == (200, "ok\n"))
    advance_to_slot(cloud)
    until(lambda: made(cloud))

    def read() -> str:
        return requests.get(f"{root}/metrics", timeout=60).text

    until(
        lambda: 'steps_total{region="RegionOne",result="image started"} 1.0' in read()
    )
    metrics = read()
    assert "scheduled_images_under_way" in metrics
    assert re.search(
        r'looks_total\{outcome="failed",region="RegionOne"\} [1-9]', metrics
    )
    assert 'looks_total{outcome="done",region="RegionOne"}' in metrics
    assert 'scheduled_images_servers{region="RegionOne"} 1.0' in metrics
    assert re.search(rf'expected_timestamp.*server="{MYSERVER}"\}}', metrics)
    # An image in progress is not a success.
    assert "scheduled_images_last_success_timestamp_seconds{" not in metrics
    of = 'reason="server status",region="RegionOne"'
    assert f"scheduled_images_not_imaged{{{of}}} 0.0" in metrics


def test_a_command_that_hangs_keeps_nothing_back(
    cloud: Sandbox, service: Service, running: Any, tmp_path: Path
) -> None:
    began = tmp_path / "began"
    command = shlex.join(["sh", "-c", f"touch {began}; exec sleep 600"])
    cloud.fault("POST /images 500")
    process = running("run", "--every", "1s", "--on-failure", command)
    advance_to_slot(cloud)
    until(began.exists)
    cloud.clear_faults()
    cloud.advance("1h")
    until(lambda: made(cloud))
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    # Unless the image took longer than the command may.
    ended = ("on-failure command not ended", "on-failure command failed")
    assert any(each in err for each in ended)


def test_what_lasts_is_reported_once_and_a_new_password_is_taken(
    cloud: Sandbox, service: Service, running: Any, tmp_path: Path
) -> None:
    """It logs in again with what clouds.yaml says by then."""
    file, env = tmp_path / "clouds.yaml", cloud.env()

    def write(password: str) -> None:
        auth = {
            name.removeprefix("OS_").lower(): value
            for name, value in env.items()
            if name.startswith("OS_") and name.endswith(("_NAME", "USERNAME", "URL"))
        }
        auth.pop("region_name", None)
        region = {"region_name": env["OS_REGION_NAME"]}
        entry = {"auth": {**auth, "password": password}, **region}
        file.write_text(json.dumps({"clouds": {"mine": entry}}))

    write("wrong-secret")
    facts = tmp_path / "facts"
    code = f"import sys; open('{facts}', 'a').write(sys.stdin.read() + '\\n')"
    command = shlex.join([sys.executable, "-c", code])
    process = running(
        "run",
        "--every=1s",
        "--verbose",
        f"--on-failure={command}",
        env={"OS_CLOUD": "mine", "OS_CLIENT_CONFIG_FILE": str(file)},
    )
    failed = 'tick failed reason="Unauthorized: '
    lines: list[str] = []
    while len(lines) < 3:
        line = process.stderr.readline()
        lines += [line.split()[1]] if failed in line else []
    assert lines == ["ERROR", "DEBUG", "DEBUG"]
    write(env["OS_PASSWORD"])
    advance_to_slot(cloud)
    until(lambda: made(cloud))
    assert facts.read_text().count("\n") == 1


def test_a_failure_that_lasts_is_reported_once_for_each_try(
    cloud: Sandbox, service: Service, running: Any
) -> None:
    process = running("run", "--every=1s", "--metrics-port=0", "--log-format=json")
    port = json.loads(process.stderr.readline())["port"]
    cloud.fault("POST /images 500")
    advance_to_slot(cloud)

    def failures() -> float:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
        found = re.search(r'failures_total\{.*result="failed"\} ([0-9.]+)', text)
        return float(found[1]) if found else 0.0

    until(lambda: failures() >= 3)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    told = [json.loads(line)["event"] for line in err.splitlines()]
    assert told == ["failed", "service ended"]


@pytest.mark.parametrize("command", ["run", "tick"])
def test_nothing_is_half_claimed_when_it_is_stopped(
    cloud: Sandbox, service: Service, running: Any, command: str
) -> None:
    """Its claim is deleted and the image requested; no other one is started."""
    for number in range(5):
        schedule(cloud, server_id=cloud.boot(f"server {number}").id)
    cloud.advance("23h")
    cloud.fault("POST /images delay 1s")
    process = running(command, "--requests=1", "--max-delay=24h")
    until(lambda: any(path.endswith("/images") for _, path, _ in posted(cloud)))
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (0 if command == "run" else 128 + signal.SIGTERM)
    names = [image.name for image in cloud.images()]
    assert not [name for name in names if name.startswith("claim")]
    with cloud.region() as region:
        claims = region.images.select(ImageQuery(deleted=True))
    claimed = {claim.properties[CLAIM_KEY].partition(":")[0] for claim in claims}
    begun = {image.properties[SERVER_KEY] for image in made(cloud)}
    assert claimed == begun
    assert err.count("image started") == len(begun) < 6


def posted(cloud: Sandbox) -> list[tuple[str, str, Any]]:
    """The POST requests so far."""
    return [request for request in list(cloud.requests) if request[0] == "POST"]


def test_a_request_that_hangs_does_not_keep_it(
    cloud: Sandbox, service: Service, running: Any, front: Interceptor
) -> None:
    rule = front.answer("GET", "/servers", None)
    process = running("run")
    until(lambda: rule.times < 99)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_gateway_that_answers_for_the_cloud(
    cloud: Sandbox, service: Service, front: Interceptor
) -> None:
    front.answer("GET", "/servers", page("502 Bad Gateway"))
    tick = service("tick")
    assert tick.status == 1
    assert " ERROR tick failed reason=" in tick.err
