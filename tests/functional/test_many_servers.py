"""Many servers at once: chosen by name, --all or --name; done side by side."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.client.pool import WORKERS
from rax_scheduled_images_ext.console.report import Waits
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import DEPRECATION, Nova
from ..waiting import until, until_idle
from .fleet import MYSERVER, NOBODY, id_of, sent
from .interceptor import Interceptor, Rule, json_answer
from .raw import START

pytestmark = pytest.mark.flow

NAMES = ["check-my-task-state", "db1", "myserver", "web1"]
WAYS = (
    "error: choose servers in one way: by <server>..., by --all or by --name\n"
    "Try 'nova help scheduled-images-{}' for more information.\n"
)
BUSY = json_answer("429 Too Many Requests", '{"overLimit": {}}', Retry_After="1")


both_types = pytest.mark.parametrize("cloud", ["openstack", "rackspace"], indirect=True)


def schedules(nova: Any) -> dict[str, str]:
    """The schedules there are, by the names of the servers."""
    rows = json.loads(nova.ok("scheduled-images-list", "--enabled", "--format", "json"))
    return {
        row["server"]: f"{row['day_of_week'] or 'daily'} {row['retention']}"
        for row in rows
    }


# -- choosing


@both_types
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--all", "7"], NAMES),
        (["7", "--all"], NAMES),
        (["--name", "web|db", "7"], ["db1", "web1"]),
        (["7", "--name", "1$"], ["db1", "web1"]),
        (["--name", "^my", "--", "7"], ["myserver"]),
    ],
)
def test_enable_those_chosen(
    nova: Any, cloud: Sandbox, arguments: list[str], names: list[str]
) -> None:
    err = nova.recorded("scheduled-images-enable", *arguments)
    assert schedules(nova) == dict.fromkeys(names, "daily 7")
    if len(names) == 1:
        assert err == ""
        return
    count, *lines = err.splitlines()
    assert count.startswith(f"About to change {len(names)} servers ")
    assert lines == [
        f"{name}: was no schedule; is daily, retention 7" for name in names
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--day-of-week", "sat", "--all", "7"],
        ["--all", "--day-of-week", "sat", "7"],
        ["--all", "7", "--day-of-week", "sat"],
        ["7", "--all", "--day-of-week", "sat"],
        ["7", "--day-of-week", "sat", "--name", "."],
    ],
)
def test_options_come_in_any_order(nova: Any, arguments: list[str]) -> None:
    nova.recorded("scheduled-images-enable", *arguments)
    assert set(schedules(nova).values()) == {"SATURDAY 7"}


def test_requests_of_all(nova: Any, cloud: Sandbox) -> None:
    cloud.requests.clear()
    nova.recorded("scheduled-images-enable", "--all", "7")
    ids = [id_of(cloud, name) for name in NAMES]
    listing, *others = sent(cloud)
    assert listing == "GET /servers 200"
    # Each is read, so that it is known what it was before.
    assert sorted(line for line in others if "GET" not in line) == sorted(
        f"POST /servers/{server}/rax-si-image-schedule 200" for server in ids
    )
    assert len(others) <= 3 * len(ids)


def test_disable_all_asks_only_those_with_a_schedule(nova: Any, cloud: Sandbox) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    cloud.requests.clear()
    nova.ok("scheduled-images-disable", "--all")
    assert sent(cloud) == [
        "GET /servers?RAX-SI%3Aimage_schedule=True 200",
        f"DELETE /servers/{MYSERVER}/rax-si-image-schedule 202",
    ]
    assert schedules(nova) == {}


def test_where_the_filter_is_not_known_those_without_are_passed_over(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    front.rewrite = lambda path: re.sub("RAX-SI[^&]*", "x=y", path)
    err = nova.recorded("scheduled-images-disable", "--name", ".")
    assert err.splitlines()[1:] == ["myserver: was daily, retention 7; is no schedule"]
    assert schedules(nova) == {}


@pytest.mark.parametrize("command", ["enable", "update", "disable"])
@pytest.mark.parametrize(
    ("choice", "which"), [("--all", ""), ("--name=web", " whose name matches 'web'")]
)
def test_no_server_to_change(nova: Any, command: str, choice: str, which: str) -> None:
    """The stranger's project has no servers."""
    rest = {"enable": ["3"], "update": ["--daily"], "disable": []}[command]
    result = nova(f"scheduled-images-{command}", choice, *rest, user="stranger")
    having = "" if command == "enable" else " with scheduled images"
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        f"ERROR (CommandError): There is no server{having}{which} in this project\n"
    )


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("enable", ["--all", "myserver", "7"]),
        ("enable", ["myserver", "7", "--name", "web"]),
        ("enable", ["--all", "--name", "web", "7"]),
        ("disable", ["--all", "myserver"]),
        ("disable", ["myserver", "--all"]),
        ("update", ["--daily", "--all", "--name", "web"]),
    ],
)
def test_one_way_of_choosing(
    nova: Nova, cloud: Sandbox, command: str, arguments: list[str]
) -> None:
    cloud.requests.clear()
    result = nova(f"scheduled-images-{command}", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err == WAYS.format(command)
    assert sent(cloud) == []


@pytest.mark.parametrize(
    ("command", "arguments", "text"),
    [
        ("enable", ["--all"], "the following arguments are required: <retention>"),
        ("enable", ["7"], "the following arguments are required: <retention>"),
        ("enable", ["--all", "0"], "'0' is not a retention"),
        ("enable", ["abc", "--all"], "'abc' is not a retention"),
        ("enable", ["--name", "(", "7"], "'(' is not a regular expression"),
        ("enable", ["--name", "", "7"], "must not be empty: it would match every name"),
        ("disable", [], "the following arguments are required: <server>"),
        ("update", ["--daily"], "the following arguments are required: <server>"),
        ("update", ["myserver"], "nothing to change"),
        (
            "update",
            ["--daily", "--day-of-week", "sat", "web1"],
            "cannot be used together",
        ),
        ("update", ["--retention", "0", "web1"], "'0' is not a retention"),
        (
            "update",
            ["--day-of-week", "s", "web1"],
            "'s' is ambiguous: sunday or saturday",
        ),
    ],
)
def test_bad_usage(
    nova: Nova, cloud: Sandbox, command: str, arguments: list[str], text: str
) -> None:
    cloud.requests.clear()
    result = nova(f"scheduled-images-{command}", *arguments)
    assert (result.status, result.out) == (2, "")
    assert text in result.err
    assert sent(cloud) == []


# -- update


@both_types
@pytest.mark.parametrize(
    ("options", "after"),
    [
        (["--retention", "9"], {"db1": "daily 9", "web1": "SATURDAY 9"}),
        (["--day-of-week", "mon"], {"db1": "MONDAY 3", "web1": "MONDAY 4"}),
        (["--daily"], {"db1": "daily 3", "web1": "daily 4"}),
        (["--daily", "--retention", "9"], {"db1": "daily 9", "web1": "daily 9"}),
    ],
)
def test_update_changes_what_is_named(
    nova: Any, cloud: Sandbox, options: list[str], after: dict[str, str]
) -> None:
    nova.ok("scheduled-images-enable", "db1", "3")
    nova.ok("scheduled-images-enable", "--day-of-week", "sat", "web1", "4")
    result = nova("scheduled-images-update", *options, "db1", "web1")
    assert (result.status, result.out) == (0, "")
    assert [line.split(":")[0] for line in result.err.splitlines()] == ["db1", "web1"]
    assert schedules(nova) == after


def test_update_says_what_was_and_what_is(nova: Any, cloud: Sandbox) -> None:
    argv = ("--day-of-week", "sat", "--name", "web|db", "4")
    nova.recorded("scheduled-images-enable", *argv)
    nova.ok("scheduled-images-enable", "myserver", "7")
    cloud.requests.clear()
    result = nova("scheduled-images-update", "--all", "--retention", "7")
    assert (result.status, result.out) == (0, "")
    change = "was weekly on SATURDAY, retention 4; is weekly on SATURDAY, retention 7"
    assert result.err.splitlines() == [
        "About to change 3 servers in this project.",
        f"db1: {change}",
        "myserver: still daily, retention 7",
        f"web1: {change}",
    ]
    # What is so already is not sent again.
    assert [line.split()[0] for line in sorted(sent(cloud))] == [
        *["GET"] * 4,
        *["POST"] * 2,
    ]


def test_update_creates_no_schedule(nova: Any) -> None:
    result = nova("scheduled-images-update", "--retention", "7", "myserver")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "ERROR (NotFound): Scheduled images not enabled for server"
        f" {MYSERVER} (HTTP 404)\n"
    )
    assert schedules(nova) == {}


# -- side by side


def test_failures_come_in_the_order_given(nova: Any, cloud: Sandbox) -> None:
    names = [f"nobody{number}" for number in range(40)]
    names[20:20] = ["myserver", "web1"]
    result = nova("scheduled-images-enable", *names, "3")
    assert result.status == 1
    assert re.findall("'(.*?)'", result.err) == [n for n in names if "nobody" in n]
    assert schedules(nova) == {"myserver": "daily 3", "web1": "daily 3"}


def test_a_failure_says_whose_it_is(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    web1 = id_of(cloud, "web1")
    answer = json_answer("403 Forbidden", '{"forbidden": {"message": "Not you"}}')
    front.answer("POST", web1, answer)
    result = nova("scheduled-images-enable", "--all", "3")
    assert (result.status, result.out) == (1, "")
    assert "ERROR (Forbidden): web1: Not you (HTTP 403)\n" in result.err
    assert len(schedules(nova)) == 3


def test_rows_come_in_the_order_given(nova: Any, cloud: Sandbox) -> None:
    names = [f"s{number:02d}" for number in range(30)]
    ids = [cloud.boot(name).id for name in names]
    nova.recorded("scheduled-images-enable", *ids, "3")
    mixed = [*names[10:], *names[:10]]
    shown = nova.ok("scheduled-images-show", *mixed, "--format", "value")
    assert [line.split("\t")[0] for line in shown.splitlines()] == mixed


def test_many_at_a_time_over_few_connections_and_one_token(nova: Any) -> None:
    with Sandbox(speed=0, start=START, servers=100, latency=0.02) as cloud:
        opened = cloud._server
        most = 0
        seen = cloud.requests.append

        def count(request: Any) -> None:
            nonlocal most
            alive = [each for each in opened._connections if each.is_alive()]
            most = max(most, len(alive))
            seen(request)

        cloud.requests.append = count  # type: ignore[method-assign, assignment]
        nova.recorded("scheduled-images-enable", "--all", "3", cloud=cloud)
        tokens = [
            path for method, path, _ in cloud.requests if path.endswith("/tokens")
        ]
        posts = [path for method, path, _ in cloud.requests if method == "POST"]
    assert len(tokens) == 1
    assert len(posts) == 1 + 104
    # The workers', and what was open before them.
    assert 10 <= most <= WORKERS + 3


def test_a_busy_cloud_slows_all_down_and_loses_none(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    ids = [cloud.boot(f"s{number:02d}").id for number in range(40)]
    front.answer("POST", "/rax-si-image-schedule", BUSY, times=8, passed=10)
    began = time.monotonic()
    nova.recorded("scheduled-images-enable", *ids, "3")
    took = time.monotonic() - began
    assert len(schedules(nova)) == 40
    posts = [line for line in front.log if line.startswith("POST /compute")]
    assert len(posts) == 48
    # The refused request waits, and all others with it.
    assert took > 1


@pytest.mark.parametrize("names", [["web1"], ["myserver", "web1", "db1"]])
def test_waiting_for_a_busy_cloud_is_reported(
    nova: Any, front: Interceptor, names: list[str]
) -> None:
    front.answer("POST", "/rax-si-image-schedule", BUSY, times=len(names))
    err = nova.recorded("scheduled-images-enable", *names, "3")
    line = "The compute service is busy: trying again in 1 s"
    # On a busy machine one may begin to wait after another has ended.
    assert 1 <= err.splitlines().count(line) <= len(names)
    assert schedules(nova) == dict.fromkeys(names, "daily 3")


def test_all_who_wait_at_once_are_reported_in_one_line() -> None:
    lines: list[str] = []
    waits = Waits(lines.append)
    for _ in range(3):
        waits("compute", 60)
    assert lines == ["The compute service is busy: trying again in 60 s"]


def test_a_cloud_that_lets_few_through_gets_no_more_than_it_takes(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    ids = [cloud.boot(f"s{number:02d}").id for number in range(40)]
    lock = threading.Lock()
    opened, left, refused = 0.0, 0, 0

    def limit(method: str, path: str) -> Rule | None:
        """Let ten requests through in a second."""
        nonlocal opened, left, refused
        with lock:
            if time.monotonic() - opened > 1:
                opened, left = time.monotonic(), 10
            left -= 1
            if left >= 0 or method != "POST" or "/tokens" in path:
                return None
            refused += 1
            return Rule(method, re.compile(""), BUSY, 1)

    front.wrong_answer = limit  # type: ignore[method-assign]
    nova.recorded("scheduled-images-enable", *ids, "3")
    assert len(schedules(nova)) == 40
    # At first all workers run into it, later a few each time.
    assert refused < 2 * WORKERS


def test_a_cloud_that_stays_busy_is_an_error(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    long = json_answer("413 Too Large", '{"overLimit": {}}', Retry_After="3600")
    front.answer("POST", "/rax-si-image-schedule", long)
    result = nova("scheduled-images-enable", "myserver", "web1", "3")
    assert (result.status, result.out) == (1, "")
    lines = result.err.splitlines()
    assert len(lines) == 2
    assert all("it asks to retry in 3600 seconds" in line for line in lines)
    assert [line.split(": ")[1] for line in lines] == ["myserver", "web1"]


# -- interrupted, and on a terminal


def start(cloud: Sandbox, *argv: str, **options: Any) -> Any:
    return subprocess.Popen(
        [Path(sys.executable).with_name("nova"), *argv],
        env=cloud.environ(),
        text=True,
        **options,
    )


def test_ctrl_c_ends_it_at_once_and_says_what_was_done(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    ids = [cloud.boot(f"s{number:02d}").id for number in range(50)]
    # Of the first twenty requests all are answered, the others hang.
    front.answer("POST", "/rax-si-image-schedule", None, times=99, passed=20)
    process = start(
        cloud,
        *("scheduled-images-enable", *ids, "3"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    asked = 20 + WORKERS
    until(lambda: sum(line.startswith("POST /compute") for line in front.log) == asked)
    until_idle(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    *changes, line, end = DEPRECATION.sub("", err).splitlines()
    assert all(each.endswith("is daily, retention 3") for each in changes)
    assert end == "... terminating nova client"
    told = re.fullmatch(
        "Interrupted: 20 of 50 servers done; result unknown: (.*);"
        f" {30 - WORKERS} not started",
        line,
    )
    assert told
    unknown = told[1].split(", ")
    assert len(unknown) == WORKERS
    assert set(unknown) <= set(ids)
    with cloud.region() as region:
        done = [each for each in ids if region.servers.get(each).schedule]
    assert len(done) == 20
    assert not set(done) & set(unknown)


def test_a_terminal_is_shown_the_progress(cloud: Sandbox) -> None:
    ids = [cloud.boot(f"s{number:02d}").id for number in range(40)]
    cloud._dispatcher._latency = 0.1
    master, slave = pty.openpty()
    arguments = ("scheduled-images-enable", *ids, NOBODY, "3")
    process = start(cloud, *arguments, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    shown = b""
    while select.select([master], [], [], 60)[0]:
        try:
            shown += os.read(master, 4096)
        except OSError:
            break
    assert process.wait(60) == 1
    assert process.stdout.read() == ""
    process.stdout.close()
    os.close(master)
    text = shown.decode()
    assert re.search(r"\r[0-9]+ of 41", text)
    # Of the line nothing is left before what else is said, nor at the end.
    *_, error, end = text.split("\n")
    no_such = f"ERROR (CommandError): No server with a name or ID of '{NOBODY}' exists."
    assert error.rstrip("\r").endswith(f"\r\x1b[K{no_such}")
    assert end == ""
