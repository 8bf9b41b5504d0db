"""``nova snapshot-create`` and ``nova snapshot-watch`` against the sandbox."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import novaclient
import pytest
from novaclient.api_versions import APIVersion

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE
from rax_scheduled_images_ext.sandbox import Sandbox

from ..openstackshell import not_beside_novaclient_7
from ..waiting import until
from .fleet import MYSERVER
from .interceptor import DROPPED, Answer, Interceptor, cut, json_answer, page
from .snapshots import Log, create, following, images, started, task_state

pytestmark = [pytest.mark.novaclient, pytest.mark.flow]

LOOK = f"/servers/{MYSERVER}$"
LINE = re.compile(
    r"(\S+   )?\d\d:\d\d:\d\d   status: ACTIVE   vm_state: active   task_state: (\S+)"
    r"   power_state: 1"
)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


def until_copying(cloud: Sandbox, name: str) -> None:
    """Wait until a snapshot has been started."""
    until(lambda: task_state(cloud, name) is not None)


def told(err: str, *texts: str) -> None:
    """Assert that lines with these texts were printed, in this order."""
    at = 0
    for text in texts:
        assert text in err[at:], (text, err)
        at = err.index(text, at) + len(text)


# snapshot-create


def test_a_database_is_stopped_only_while_its_disk_is_copied(
    nova: Any, quick: Sandbox, log: Log
) -> None:
    state = f"nova show $SERVER_ID | grep task_state >> {log.path}"
    result = nova(
        *create("db1", "monday", "--wait"),
        *("--before", log.command("before", "echo $SERVER_NAME $IMAGE_ID; exit 0")),
        *("--after", log.command("after", f"echo $IMAGE_ID; {state}")),
    )
    assert result.status == 0, result
    image_id = result.out.strip()
    assert re.fullmatch("[0-9a-f-]{36}", image_id)
    told(
        result.err,
        "--before: sh -c",
        "db1\n",
        f"Image {image_id} is being created",
        "task_state: image_snapshot ",
        "--after: sh -c",
        f"{image_id}\n",
        "Server db1 was quiesced for ",
        f"Image {image_id} is ACTIVE",
    )
    assert log.words()[:2] == ["before", "after"]
    # One request a look, and nothing is deleted.
    assert not [seen for seen in quick.requests if seen.method == "DELETE"]


def test_the_commands_see_the_server_in_the_right_state(
    cloud: Sandbox, log: Log
) -> None:
    running = started(cloud, *create("db1", "monday", *log.hooks()))
    log.until("before", running)
    # Time stands still: it is held as long as the disk is being copied.
    until_copying(cloud, "db1")
    time.sleep(0.5)
    assert log.words() == ["before"]
    cloud.advance(41)
    time.sleep(0.5)
    assert log.words() == ["before"]
    cloud.advance(2)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, log.words()) == (0, ["before", "after"]), err
    assert task_state(cloud, "db1") == "image_pending_upload"


@pytest.fixture
def heir(cloud: Sandbox, nova: Any) -> None:
    """A server web9 that was booted from a scheduled image."""
    nova.ok("scheduled-images-enable", "myserver", "1")
    cloud.advance("2d")
    name = next(name for name in images(cloud) if name.startswith("Daily-"))
    options = ("--flavor", "2", "--nic", "none", "--image", images(cloud)[name].id)
    assert nova("boot", *options, "web9").status == 0
    cloud.advance("5m")


def test_metadata_is_given_and_an_inherited_mark_is_taken_off(
    nova: Any, heir: None, quick: Sandbox
) -> None:
    nova.ok("image-create", "web9", "marked")
    quick.advance("5m")
    assert images(quick)["marked"].properties[MARKER_KEY] == MARKER_VALUE

    result = nova(*create("web9", "mine", "--metadata", "a=b=c"))
    assert result.status == 0, result
    assert "Removed the scheduled images marker that image" in result.err
    assert MARKER_KEY not in images(quick)["mine"].properties
    assert images(quick)["mine"].properties["a"] == "b=c"

    quick.advance("5m")
    given = f"{MARKER_KEY}={MARKER_VALUE}"
    assert nova(*create("web9", "his", "--metadata", given)).status == 0
    assert images(quick)["his"].properties[MARKER_KEY] == MARKER_VALUE


@pytest.mark.parametrize(
    "version",
    [
        each
        for each in ("2.1", "2.44", "2.45", "2.latest")
        if "latest" in each or APIVersion(each) <= novaclient.API_MAX_VERSION
    ],
)
def test_the_image_is_reported_at_every_microversion(
    nova: Any, quick: Sandbox, version: str
) -> None:
    result = nova("--os-compute-api-version", version, *create("db1", "x"))
    assert (result.status, result.out) == (0, f"{images(quick)['x'].id}\n"), result


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
def test_a_cloud_like_rackspace(nova: Any, cloud: Sandbox, log: Log) -> None:
    with following(cloud):
        result = nova(*create("db1", "x", "--wait", *log.hooks()))
        nova("image-create", "db1", "y")
        watched = nova("snapshot-watch", "--interval", "0.1", "db1")
    assert (result.status, log.words()) == (0, ["before", "after"]), result
    assert f"Image {result.out.strip()} is ACTIVE" in result.err
    assert states(watched.out)[-1] == "none"
    assert len(states(watched.out)) > 5


@pytest.mark.parametrize(
    ("options", "state"),
    [
        ([], "image_uploading"),
        (["--hold-until", "image_pending_upload"], "image_pending_upload"),
    ],
)
def test_other_clouds_are_held_until_the_upload(
    nova: Any, quick: Sandbox, log: Log, options: list[str], state: str
) -> None:
    with Interceptor(quick) as front:
        missing = json_answer("404 Not Found", '{"itemNotFound": {"message": "no"}}')
        front.answer("GET", "/extensions/", missing)
        result = nova(*create("db1", "x", *options, *log.hooks()))
    assert (result.status, log.words()) == (0, ["before", "after"]), result
    told(result.err, f"task_state: {state}", "--after: sh -c")
    assert "image_uploading" in result.err or state != "image_uploading"


def test_a_failing_before_means_no_snapshot(
    nova: Any, cloud: Sandbox, log: Log
) -> None:
    before = log.command("before", "echo cannot stop; exit 3")
    result = nova(
        *create("db1", "x", "--before", before, "--after", log.command("after"))
    )
    assert (result.status, result.out) == (1, "")
    assert log.words() == ["before", "after"]
    told(result.err, "cannot stop", "ERROR (CommandFailed): 'sh -c", "status 3")
    assert not [seen for seen in cloud.requests if seen.path.endswith("/action")]


def test_a_before_that_takes_too_long_is_ended(nova: Any, log: Log) -> None:
    before = log.command("before", f"sleep 60; echo never >> {log.path}")
    limit = ("--command-timeout", "0.3s")
    result = nova(
        *create("db1", "x", *limit, "--before", before, "--after", log.command("after"))
    )
    assert result.status == 1
    assert log.words() == ["before", "after"]
    told(result.err, "was ended: it took longer than 0.3 s")


@pytest.mark.parametrize(
    ("then", "limit", "why"),
    [
        ("sleep 60", "0.3s", "was ended: it took longer than 0.3 s"),
        ("exit 7", "5m", "ended with status 7"),
    ],
)
def test_what_went_wrong_first_is_reported_before_a_failing_after(
    nova: Any, cloud: Sandbox, log: Log, then: str, limit: str, why: str
) -> None:
    cloud.fault("POST /servers/.*/action$ 403")
    limits = ("--command-timeout", limit)
    hooks = ("--before", log.command("before"), "--after", log.command("after", then))
    result = nova(*create("db1", "x", *limits, *hooks))
    assert result.status == 1
    assert log.words() == ["before", "after"]
    errors = [line for line in result.err.splitlines() if line.startswith("ERROR")]
    first, second = errors
    assert first.startswith("ERROR (Forbidden): ")
    assert first.endswith("(HTTP 403)") or "(HTTP 403) (Request-ID" in first
    assert second.startswith("ERROR (ResumeFailed): Server db1 MAY STILL BE STOPPED")
    assert second.endswith(why)


def test_an_after_that_cannot_be_started_hides_nothing(
    nova: Any, cloud: Sandbox, log: Log, tmp_path: Path
) -> None:
    cloud.fault("POST /servers/.*/action$ 403")
    resume = tmp_path / "resume"
    resume.write_text("#!/bin/sh\n")
    resume.chmod(0o755)
    before = f"sh -c 'rm {resume}'"
    result = nova(*create("db1", "x", "--before", before, "--after", str(resume)))
    first, second = (
        line for line in result.err.splitlines() if line.startswith("ERROR")
    )
    assert (result.status, first[:18]) == (1, "ERROR (Forbidden):")
    assert second.endswith("cannot be started: No such file or directory")


def test_a_failing_after_is_reported_loudly(
    nova: Any, quick: Sandbox, log: Log
) -> None:
    after = log.command("after", "exit 7")
    result = nova(*create("db1", "x", "--after", after))
    assert result.status == 1
    assert log.words() == ["after"]
    told(
        result.err,
        "ERROR (ResumeFailed): Server db1 MAY STILL BE STOPPED: resuming it failed,"
        " so start it by hand: '",
        "ended with status 7",
    )
    assert re.fullmatch("[0-9a-f-]{36}\n", result.out)


def test_a_failing_after_does_not_hide_what_went_wrong_before(
    nova: Any, log: Log
) -> None:
    result = nova(*create("db1", "x", "--before", "false", "--after", "false"))
    assert result.status == 1
    told(result.err, "ERROR (CommandFailed): 'false' ended", "ERROR (ResumeFailed): ")


def test_a_busy_server_is_not_even_stopped(nova: Any, cloud: Sandbox, log: Log) -> None:
    nova.ok("image-create", "db1", "other")
    result = nova(*create("db1", "x", *log.hooks()))
    assert (result.status, log.words()) == (1, [])
    told(result.err, "ERROR (ServerBusy): Server db1 is busy (task_state: image_snap")


def test_a_hold_that_lasts_too_long_is_cut_short(
    nova: Any, cloud: Sandbox, log: Log
) -> None:
    result = nova(*create("db1", "x", "--max-hold", "5s", "--wait", *log.hooks()))
    assert result.status == 7
    assert log.words() == ["before", "after"]
    image_id = result.out.strip()
    told(
        result.err,
        "ERROR (HoldCutShort): The maximum hold of server db1 was reached before its",
        f"image {image_id} of server db1 may be inconsistent; it is kept",
    )
    assert images(cloud)["x"].id == image_id


def test_a_server_that_disappears_ends_the_hold(
    nova: Any, cloud: Sandbox, log: Log
) -> None:
    running = started(cloud, *create("db1", "x", *log.hooks()))
    log.until("before", running)
    until_copying(cloud, "db1")
    nova("delete", "db1")
    _, err = running.communicate(timeout=60)
    assert (running.returncode, log.words()) == (5, ["before", "after"])
    told(err, " of server db1 is gone")
    assert "trying again" not in err
    told(err, "ERROR (ServerDisappeared): server db1 has disappeared!")


def test_an_image_that_vanishes_is_reported(
    nova: Any, cloud: Sandbox, log: Log
) -> None:
    running = started(cloud, *create("db1", "x", "--wait", *log.hooks()))
    log.until("before", running)
    until_copying(cloud, "db1")
    cloud.advance(43)
    log.until("after", running)
    image_id = images(cloud)["x"].id
    with cloud.region() as region:
        region.images.delete(image_id)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 4, err
    told(err, "ERROR (ImageLost): image ", " of server db1 is lost: it is gone")


def test_an_image_that_is_never_done_ends_at_the_limit(
    nova: Any, cloud: Sandbox, log: Log
) -> None:
    limit = ("--wait", "--time-limit", "15s")
    running = started(cloud, *create("db1", "x", *limit, *log.hooks()))
    log.until("before", running)
    until_copying(cloud, "db1")
    cloud.advance(43)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, log.words()) == (6, ["before", "after"]), err
    told(err, "ERROR (TimeLimitReached): image ", "is not ACTIVE within", "SAVING)")


HISTORY = (
    r"/os-instance-actions(/req-[^/]*)?$",
    json_answer(
        "200 OK",
        json.dumps(
            {
                "instanceActions": [
                    {"action": "create", "request_id": "req-1", "start_time": "1"},
                    {"action": "createImage", "request_id": "req-2", "start_time": "3"},
                    {"action": "stop", "request_id": "req-3", "start_time": "4"},
                ],
                "instanceAction": {
                    "action": "createImage",
                    "message": "Error",
                    "events": [
                        {"result": "Success", "event": "compute_prepare"},
                        {"result": "Error", "details": "No space left\non device"},
                    ],
                },
            }
        ),
    ),
)


def test_the_history_of_the_server_tells_why_an_image_was_lost(
    nova: Any, quick: Sandbox
) -> None:
    with Interceptor(quick) as front:
        front.answer("GET", *HISTORY)
        quick.fault("lose-image")
        result = nova(*create("db1", "x", "--wait"))
        assert front.log[-1].rpartition("/")[2].startswith("req-")
        assert not front.log[-1].endswith("/req-2")
    assert result.status == 4
    line = f"image {result.out.strip()} of server db1 is lost: it is gone"
    told(result.err, f"ERROR (ImageLost): {line} (No space left on device)")


def test_the_history_of_the_server_tells_of_a_snapshot_that_failed(
    nova: Any, quick: Sandbox
) -> None:
    nova.ok("image-create", "db1", "x")
    with Interceptor(quick) as front:
        front.answer("GET", *HISTORY)
        options = ("--interval", "0.1", "--changes-only")
        result = nova("snapshot-watch", *options, "db1")
        assert front.log[-1].endswith("/req-2")
    assert result.status == 4
    line = "The snapshot of server db1 has failed (No space left on device)"
    assert result.err == f"ERROR (ImageLost): {line}\n"


def test_on_a_terminal_one_line_shows_how_things_are(quick: Sandbox, log: Log) -> None:
    ours, theirs = os.openpty()
    running = started(
        quick,
        *create("db1", "x", "--wait", "--before", log.command("before", "echo out")),
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    lines = [re.sub(".*\x1b\\[K", "", line) for line in shown.decode().split("\r\n")]
    assert re.fullmatch(r"\d\d:\d\d:\d\d   Image \S+ is ACTIVE", lines[-2]), lines
    assert "out" in lines
    assert re.search(rf"\r\x1b\[K[\d:]+   image {out.strip()}: SAVING", shown.decode())


# What the cloud answers


ANSWERS = {
    "refused": (
        json_answer("409 Conflict", '{"conflictingRequest": {"message": "no"}}'),
        1,
    ),
    "forbidden": (json_answer("403 Forbidden", '{"forbidden": {"message": "no"}}'), 1),
    "gone": (json_answer("404 Not Found", '{"itemNotFound": {"message": "no"}}'), 5),
    "error": (page("500 Internal Server Error"), 1),
    "a page": (page("200 OK"), 1),
    "nothing": (DROPPED, 1),
    "truncated": (cut(json_answer("202 Accepted", '{"image_id": "x"}'), 5), 1),
    "busy": (json_answer("503 Unavailable", "{}", Retry_After="3600"), 1),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_image_create_that_fails_resumes_the_server(
    nova: Any, cloud: Sandbox, log: Log, case: str, short_quiet: None
) -> None:
    answer, status = ANSWERS[case]
    with Interceptor(cloud) as front:
        front.answer("POST", "/action$", answer)
        result = nova(*create("db1", "x", *log.hooks()))
    assert (result.status, log.words()) == (status, ["before", "after"]), result
    assert "ERROR (" in result.err.splitlines()[-1]


@pytest.fixture
def short_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe sooner that a server shows no sign of a snapshot."""
    from rax_scheduled_images_ext.operations.snapshot.polling import Timeouts

    monkeypatch.setattr(
        Timeouts.__init__, "__defaults__", (600, 21600, 1.5, 5, 15, 1, 2)
    )


@pytest.mark.parametrize("lost", [DROPPED, page("502 Bad Gateway"), page("200 OK")])
def test_an_image_create_whose_answer_is_lost_is_watched_all_the_same(
    nova: Any, quick: Sandbox, log: Log, lost: Answer
) -> None:
    with Interceptor(quick) as front:
        front.answer("POST", "/action$", lost, done=True)
        result = nova(*create("db1", "x", "--wait", *log.hooks()))
    assert (result.status, log.words()) == (0, ["before", "after"]), result
    told(
        result.err,
        "It is not known yet whether the image was started",
        "task_state: image_snapshot",
        "--after",
        f"Image {result.out.strip()} is the one that is being created",
        f"Image {result.out.strip()} is ACTIVE",
    )


LOOKS = {
    "errors": page("500 Internal Server Error"),
    "nothing": DROPPED,
    "truncated": cut(json_answer("200 OK", '{"server": {"id": "x"}}'), 5),
    "expired": json_answer("401 Unauthorized", '{"error": {"message": "expired"}}'),
    "not found by a proxy": page("404 Not Found"),
    "busy": json_answer("429 Too Many", "{}", Retry_After="0"),
    "without task state": json_answer("200 OK", '{"server": {"id": "x"}}'),
}


@pytest.mark.parametrize("case", LOOKS)
def test_trouble_while_looking_does_not_end_the_hold(
    nova: Any, quick: Sandbox, log: Log, case: str
) -> None:
    with Interceptor(quick) as front:
        # The first look is the one before anything is stopped.
        looks = front.answer("GET", LOOK, LOOKS[case], times=3, passed=1)
        result = nova(*create(MYSERVER, "x", *log.hooks()))
    assert (result.status, log.words()) == (0, ["before", "after"]), result
    assert looks.times == 0
    if case != "busy":
        assert "; trying again" in result.err


def test_trouble_that_lasts_ends_with_the_hold(
    nova: Any, cloud: Sandbox, log: Log
) -> None:
    with Interceptor(cloud) as front:
        front.answer("GET", LOOK, page("500 Error"), times=999, passed=1)
        result = nova(*create(MYSERVER, "x", "--max-hold", "5s", *log.hooks()))
    assert (result.status, log.words()) == (7, ["before", "after"])


def test_a_cloud_that_no_longer_answers_cannot_keep_the_server_stopped(
    nova: Any, cloud: Sandbox, log: Log
) -> None:
    with Interceptor(cloud) as front:
        front.answer("GET", LOOK, None, passed=1)
        begun = time.monotonic()
        result = nova(*create(MYSERVER, "x", "--max-hold", "5s", *log.hooks()))
        took = time.monotonic() - begun
    assert (result.status, log.words()) == (7, ["before", "after"]), result
    # A request may take a minute where nothing is held.
    assert took < 50


# Signals


@pytest.mark.long
@pytest.mark.parametrize("phase", ["before", "copy", "after", "twice"])
def test_no_signal_keeps_a_server_stopped(
    cloud: Sandbox, tmp_path: Path, phase: str
) -> None:
    """Side by side, as most of the time passes in waiting."""
    signals = {
        "db1": signal.SIGINT,
        "web1": signal.SIGTERM,
        "myserver": signal.SIGHUP,
        "check-my-task-state": signal.SIGQUIT,
    }
    running = {}
    for name in signals:
        log = Log(tmp_path / name)
        before = log.command("before", "sleep 600" if phase == "before" else "")
        after = log.command("resuming", f"sleep 0.7; echo after >> {log.path}")
        arguments = create(name, "x", "--before", before, "--after", after)
        running[name] = (started(cloud, *arguments), log)
    for name, (process, log) in running.items():
        log.until("before", process)
        if phase != "before":
            until_copying(cloud, name)
    if phase == "after":
        cloud.advance(43)
        for process, log in running.values():
            log.until("resuming", process)
    for name, (process, _) in running.items():
        process.send_signal(signals[name])
    for name, (process, log) in running.items():
        if phase == "twice":
            log.until("resuming", process)
            process.send_signal(signals[name])
            process.send_signal(signal.SIGINT)
    for name, (process, log) in running.items():
        _, err = process.communicate(timeout=60)
        assert log.words() == ["before", "resuming", "after"]
        assert process.returncode == 128 + signals[name], err
        assert f"(Interrupted): interrupted by {signals[name].name}" in err


def test_the_keys_of_a_terminal_do_not_reach_the_commands(
    cloud: Sandbox, log: Log
) -> None:
    before = log.command("before", f"sleep 0.5; echo stopped >> {log.path}")
    running = started(
        cloud, *create("db1", "x", "--before", before, "--after", log.command("after"))
    )
    log.until("before", running)
    # As ^C does: to the whole process group in the foreground.
    os.killpg(running.pid, signal.SIGWINCH)
    log.until("stopped", running)
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=60)
    assert (running.returncode, log.words()) == (130, ["before", "stopped", "after"])


def test_a_held_server_is_not_forgotten_in_a_stopped_job(
    cloud: Sandbox, log: Log
) -> None:
    running = started(cloud, *create("db1", "x", *log.hooks()))
    log.until("before", running)
    for signum in (signal.SIGTSTP, signal.SIGTTOU):
        running.send_signal(signum)
    until_copying(cloud, "db1")
    cloud.advance(43)
    running.communicate(timeout=60)
    assert (running.returncode, log.words()) == (0, ["before", "after"])


def test_under_nohup_a_hangup_is_ignored(cloud: Sandbox, log: Log) -> None:
    running = started(
        cloud,
        *create("db1", "x", *log.hooks()),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    log.until("before", running)
    running.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert (running.poll(), log.words()) == (None, ["before"])
    until_copying(cloud, "db1")
    cloud.advance(43)
    running.communicate(timeout=60)
    assert (running.returncode, log.words()) == (0, ["before", "after"])


# Output that goes nowhere


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_pipe() -> int:
    """Make a pipe that nobody reads, and that holds no more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    unread.append(reader)
    return writer


unread: list[int] = []


@pytest.mark.parametrize(
    ("make", "streams", "status"),
    [
        (closed_pipe, ("stderr",), 0),
        # Whoever closes stdout wants no ID; a reader that has stopped does not get it.
        (closed_pipe, ("stdout", "stderr"), 0),
        (full_pipe, ("stdout", "stderr"), 1),
    ],
)
def test_unread_output_does_not_keep_the_server_stopped(
    quick: Sandbox,
    log: Log,
    make: Callable[[], int],
    streams: tuple[str, ...],
    status: int,
) -> None:
    talk = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; done"
    arguments = create(
        *("db1", "x", "--before", log.command("before", talk)),
        *("--after", log.command("after", f"{talk}; echo done >> {log.path}")),
    )
    # What novaclient says first, before our turn, would already stop it.
    code = (
        "import sys, novaclient.shell as shell; sys.argv[0] = 'nova';"
        "shell.OpenStackComputeShell().main(sys.argv[1:])"
    )
    writers = {name: make() for name in streams}
    pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    running = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=quick.environ(),
        cwd=log.path.parent,
        **{**pipes, **writers},
    )
    try:
        running.communicate(timeout=60)
    finally:
        running.kill()
        for descriptor in (*writers.values(), *unread):
            os.close(descriptor)
        unread.clear()
    assert log.words() == ["before", "after", "done"]
    assert running.returncode == status


# snapshot-watch


def states(out: str) -> list[str]:
    return [found[2] for found in map(LINE.fullmatch, out.splitlines()) if found]


def test_a_watch_prints_the_documented_line_until_the_snapshot_is_over(
    nova: Any, quick: Sandbox
) -> None:
    nova.ok("image-create", "db1", "x")
    out = nova.ok("snapshot-watch", "--interval", "0.1", "db1")
    *lines, phases = out.splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    seen = states(out)
    assert seen[-1] == "none"
    assert set(seen[:-1]) >= {"image_snapshot", "image_uploading"}
    assert re.search(r"image_snapshot \d+ s, .*image_uploading \d+ s$", phases)


def test_changes_only(nova: Any, quick: Sandbox) -> None:
    nova.ok("image-create", "db1", "x")
    options = ("--changes-only", "--interval", "0.1")
    seen = states(nova.ok("snapshot-watch", *options, "db1"))
    assert len(seen) == len(set(seen)) >= 3


def test_until_the_disk_is_copied(nova: Any, quick: Sandbox) -> None:
    nova.ok("image-create", "db1", "x")
    options = ("--until", "disk-copied", "--interval", "0.1")
    seen = states(nova.ok("snapshot-watch", *options, "db1"))
    assert seen[-1] in ("image_pending_upload", "image_uploading")
    assert "image_pending_upload" not in seen[:-1]


def test_no_snapshot_is_under_way(nova: Any, cloud: Sandbox) -> None:
    result = nova("snapshot-watch", "db1")
    assert result.status == 0
    assert states(result.out) == ["none"]
    assert result.err == "No snapshot of server db1 is under way.\n"


def test_one_that_does_not_begin(nova: Any, cloud: Sandbox) -> None:
    options = ("--wait-start", "1s", "--interval", "0.2")
    result = nova("snapshot-watch", *options, "db1")
    assert result.status == 6
    line = (
        "ERROR (TimeLimitReached): No snapshot of server db1 has started within 1 s\n"
    )
    assert result.err == line


def test_one_that_begins_later(nova: Any, quick: Sandbox) -> None:
    def begin() -> None:
        # The first ones find the server.
        while sum("/servers/" in seen.path for seen in quick.requests) < 5:
            time.sleep(0.01)
        started(quick, "image-create", "db1", "x").communicate(timeout=60)

    later = threading.Thread(target=begin)
    later.start()
    options = ("--wait-start", "60s", "--interval", "0.1")
    seen = states(nova.ok("snapshot-watch", *options, "db1"))
    later.join()
    assert seen[0] == seen[-1] == "none"
    assert "image_snapshot" in seen


def test_a_watch_has_a_time_limit(nova: Any, cloud: Sandbox) -> None:
    nova.ok("image-create", "db1", "x")
    result = nova("snapshot-watch", "--timeout", "2", "--interval", "0.6", "db1")
    assert result.status == 6
    assert 1 <= len(states(result.out)) <= 5
    assert result.err == (
        "ERROR (TimeLimitReached): The snapshot of server db1 was not over after 2 s;"
        " last seen: image_snapshot_pending\n"
    )


def test_several_servers_cost_one_request_a_look(nova: Any, quick: Sandbox) -> None:
    for name in ("db1", "web1", "myserver"):
        nova.ok("image-create", name, "x")
    quick.requests.clear()
    out = nova.ok(
        *("snapshot-watch", "--interval", "0.3", "db1", "web1", "myserver"),
    )
    lines = [found for found in map(LINE.fullmatch, out.splitlines()) if found]
    assert {line[1] for line in lines} == {"db1   ", "web1   ", "myserver   "}
    for name in ("db1", "web1", "myserver"):
        assert re.search(rf"^{name}   image_\S+ \d+ s", out, re.MULTILINE)
    lists = [seen for seen in quick.requests if "/servers/detail?" in seen.path]
    single = [
        seen for seen in quick.requests if re.search("/servers/[^/?]{36}$", seen.path)
    ]
    looks = sum(line[1] == lines[-1][1] for line in lines)
    # One each to find them, then one for all, and again one when one is left.
    assert len(single) - 3 + len(lists) == looks - 1
    assert len(lists) >= 3


def test_json_is_an_object_a_line(nova: Any, quick: Sandbox) -> None:
    nova.ok("image-create", "db1", "x")
    options = ("--format", "json", "--changes-only", "--interval", "0.1")
    out = nova.ok("snapshot-watch", *options, "db1")
    *seen, phases = [json.loads(line) for line in out.splitlines()]
    assert seen[-1]["task_state"] is None
    assert {*seen[0]} == {
        *("time", "id", "name", "status", "vm_state", "task_state", "power_state")
    }
    assert seen[0]["name"] == phases["name"] == "db1"
    assert [p["task_state"] for p in phases["phases"]] == [
        each["task_state"] for each in seen[:-1]
    ]


def test_a_server_that_disappears_from_a_watch(nova: Any, cloud: Sandbox) -> None:
    nova.ok("image-create", "db1", "x")
    nova.ok("image-create", "web1", "x")
    running = started(cloud, "snapshot-watch", "--interval", "0.1", "db1", "web1")
    assert running.stdout is not None
    running.stdout.readline()
    nova("delete", "db1")
    time.sleep(0.3)
    cloud.advance("5m")
    out, err = running.communicate(timeout=60)
    assert running.returncode == 5
    assert "ERROR (ServerDisappeared): server db1 has disappeared!" in err
    assert re.search(r"^web1   .*task_state: none", out, re.MULTILINE)


def test_trouble_does_not_end_a_watch(nova: Any, quick: Sandbox) -> None:
    nova.ok("image-create", "myserver", "x")
    with Interceptor(quick) as front:
        front.answer("GET", LOOK, page("500 Error"), times=3, passed=1)
        result = nova(
            *("snapshot-watch", "--interval", "0.1", MYSERVER),
        )
    assert result.status == 0
    assert states(result.out)[-1] == "none"
    assert result.err.count("trying again") == 1


def test_a_list_that_leaves_a_server_out_proves_nothing(
    nova: Any, quick: Sandbox
) -> None:
    for name in ("db1", "myserver"):
        nova.ok("image-create", name, "x")
    with Interceptor(quick) as front:
        front.answer("GET", "/servers/detail", json_answer("200 OK", '{"servers": []}'))
        result = nova(
            *("snapshot-watch", "--interval", "0.3", "db1", "myserver"),
        )
    assert (result.status, result.err) == (0, "")


def test_a_watch_whose_reader_leaves_ends(cloud: Sandbox, nova: Any) -> None:
    nova.ok("image-create", "db1", "x")
    running = started(cloud, "snapshot-watch", "--interval", "0.1", "db1")
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    err = running.stderr.read()
    assert running.wait(timeout=60) == 141
    assert "Error" not in err
    running.stderr.close()


# Without commands


def test_without_commands_nothing_is_held(nova: Any, cloud: Sandbox) -> None:
    # Time stands still: the disk is never copied.
    result = nova(*create("db1", "x", "--max-hold", "1s"))
    image_id = images(cloud)["x"].id
    assert (result.status, result.out) == (0, f"{image_id}\n")
    assert re.fullmatch(r"\S+   Image \S+ is being created\n", result.err)
    assert not [seen for seen in cloud.requests if "/extensions" in seen.path]


def test_without_commands_the_image_is_waited_for(nova: Any, quick: Sandbox) -> None:
    result = nova(*create("db1", "x", "--wait"))
    assert result.status == 0, result
    told(result.err, "is being created", f"Image {result.out.strip()} is ACTIVE")
    assert "quiesced" not in result.err


def test_without_commands_the_time_limit_is_the_only_one(
    nova: Any, cloud: Sandbox
) -> None:
    limits = ("--wait", "--time-limit", "1s", "--max-hold", "1s")
    result = nova(*create("db1", "x", *limits))
    assert result.status == 6
    told(result.err, "ERROR (TimeLimitReached): image ", "is not ACTIVE within")


def test_without_commands_an_answer_that_is_lost_is_searched_for(
    nova: Any, cloud: Sandbox
) -> None:
    cloud.fault("POST /action$ lose-answer")
    result = nova(*create("db1", "x"))
    assert (result.status, result.out) == (0, f"{images(cloud)['x'].id}\n")


def test_a_before_without_an_after(nova: Any, quick: Sandbox, log: Log) -> None:
    result = nova(*create("db1", "x", "--before", log.command("before")))
    assert (result.status, log.words()) == (0, ["before"])
    line = "--before without --after: nothing will be started again"
    told(result.err, line, "--before: sh", "task_state: image_pending_upload")
    assert "quiesced" not in result.err


def test_a_time_limit_that_ends_a_hold(nova: Any, cloud: Sandbox, log: Log) -> None:
    result = nova(*create("db1", "x", "--time-limit", "1s", *log.hooks()))
    assert (result.status, log.words()) == (6, ["before", "after"])
    told(result.err, "The time limit of server db1 was reached", "may be inconsistent")


# Two at once

OTHER = "--before", "sh -c 'nova image-create db1 other 2>&1'"


def test_nothing_is_started_while_another_snapshot_copies_the_disk(
    nova: Any, quick: Sandbox, log: Log
) -> None:
    state = f"nova show $SERVER_ID 2>&1 | grep task_state >> {log.path}"
    after = ("--after", log.command("after", state))
    with mock.patch.dict(os.environ, quick.environ()):
        result = nova(*create("db1", "x", *OTHER, *after))
    assert result.status == 1, result
    told(
        result.err,
        "Another snapshot of server db1 is under way: what was stopped is started again"
        " as soon as that snapshot has copied the disk\n",
        "task_state: image_snapshot ",
        "task_state: image_pending_upload",
        "--after: ",
        "(HTTP 409)",
    )
    assert {"image_pending_upload", "image_uploading", "-"} & set(log.words())
    assert "x" not in images(quick)


def test_another_snapshot_is_waited_for_within_the_limit(
    nova: Any, cloud: Sandbox, log: Log
) -> None:
    after = ("--after", log.command("after"))
    with mock.patch.dict(os.environ, cloud.environ()):
        result = nova(*create("db1", "x", "--max-hold", "1s", *OTHER, *after))
    assert (result.status, log.words()) == (1, ["after"])
    told(
        result.err,
        "Another snapshot of server db1 is under way",
        "The other snapshot of server db1 may be inconsistent",
        "--after: ",
        "(HTTP 409)",
    )


# What can be seen to be refused


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["x", "--metadata", "min_ram=1"], "'min_ram' is an attribute of the image"),
        (["x", "--metadata", "tags=a"], "'tags' is an attribute of the image itself"),
        (["x", "--metadata", "a/b=1"], "'a/b' is not a key of a snapshot's metadata"),
        (["x", "--metadata", "käse=1"], "'käse' is not a key of a snapshot's metadata"),
        (
            ["x", "--metadata", "a" * 256 + "=1"],
            "is not a metadata key of 1 to 255 characters",
        ),
        (["x", "--metadata", "a=" + "b" * 256], "one has at most 255 characters"),
        (["x", "--metadata", "a=\U0001f4be"], "is not a value of 'a': one has no"),
        (["\U0001f4be"], "is not a name of an image: one has no characters beyond"),
        ([" x"], "' x' is not a name of an image: one has printable characters"),
        (["a\tb"], r"'a\tb' is not a name of an image: one has printable characters"),
        (
            ["x", *(f"--metadata=a{number}=b" for number in range(130))],
            "130 pieces of metadata are too many: no image has more than 124",
        ),
    ],
)
@pytest.mark.parametrize(
    "command", ["nova", pytest.param("openstack", marks=not_beside_novaclient_7)]
)
def test_nothing_is_stopped_for_what_is_refused(
    request: pytest.FixtureRequest,
    cloud: Sandbox,
    log: Log,
    command: str,
    arguments: list[str],
    line: str,
) -> None:
    words = {
        "nova": ["snapshot-create"],
        "openstack": ["server", "snapshot", "create"],
    }[command]
    shell = request.getfixturevalue(command)
    result = shell(*words, *log.hooks(), "db1", *arguments)
    assert (result.status, result.out) == (2, "")
    assert line in result.err
    assert "Traceback" not in result.err
    assert log.words() == []
    assert not [seen for seen in cloud.requests if "/servers" in seen.path]


# Volume-backed servers


def test_the_snapshot_of_a_volume_backed_server_is_its_own(
    nova: Any, cloud: Sandbox
) -> None:
    server = cloud.boot("database", volume_size=1)
    assert nova(*create("database", "x")).status == 0
    assert images(cloud)["x"].properties["instance_uuid"] == server.id
    listed = json.loads(
        nova.ok("scheduled-images-image-list", "--format", "json", "database")
    )
    assert [each["name"] for each in listed] == ["x"]


# Errors that come again


def test_an_error_that_stays_is_reported_once(
    nova: Any, quick: Sandbox, log: Log
) -> None:
    quick.fault("GET /servers/[^/]*$ 500 while image_snapshot_pending x4")
    result = nova(*create("db1", "x", *log.hooks()))
    assert result.status == 0, result
    assert result.err.count("trying again") == 1, result.err


@not_beside_novaclient_7
@pytest.mark.parametrize("servers", [["db1"], ["db1", "myserver"]])
@pytest.mark.parametrize("command", ["nova", "openstack"])
def test_a_token_that_is_no_longer_good_ends_a_watch(
    request: pytest.FixtureRequest,
    cloud: Sandbox,
    nova: Any,
    command: str,
    servers: list[str],
) -> None:
    for server in servers:
        nova.ok("image-create", server, "x")
    token = request.getfixturevalue("openstack").ok(
        "token", "issue", "-f", "value", "-c", "id"
    )
    env = {
        "OS_AUTH_TYPE": "v3token",
        "OS_TOKEN": token.strip(),
        "OS_USERNAME": None,
        "OS_PASSWORD": None,
        "OS_USER_DOMAIN_NAME": None,
    }
    cloud.fault("GET /servers/ expire after 4")
    words = {
        "nova": ["snapshot-watch"],
        "openstack": ["server", "snapshot", "watch"],
    }[command]
    limits = ("--interval", "0.1", "--time-limit", "9s")
    shell = request.getfixturevalue(command)
    result = shell(*words, *limits, *servers, env=env)
    assert result.status == 1
    assert re.fullmatch(r".*Failed to validate token.*\n", result.err), result
    assert "image_snapshot_pending" in result.out


# Bad input


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--before", ""],
            "argument --before: '' is not a command: it names no program",
        ),
        (["--before", "a 'b"], "'a 'b' is not a command: No closing quotation"),
        (
            ["--after", "/no/such"],
            "there is no program '/no/such' (it is run without a",
        ),
        (["--max-hold", "10"], "'10' is not a duration: write a number and w, d, h"),
        (["--max-hold", "0m"], "'0m' is too short: it must be more than 0"),
        (["--timeout", "soon"], "argument --timeout: soon must be a float"),
        (["--time-limit", "soon"], "'soon' is not a duration"),
        (["--command-timeout", ""], "'' is not a duration"),
        (["--interval", "0"], "'0' is not an interval: seconds, from 0.1 to 3600"),
        (["--interval", "-1"], "'-1' is not an interval: seconds, from 0.1 to 3600"),
        (["--metadata", "a"], "'a' is not in the format of 'key=value'"),
        (["--metadata", "=a"], "'' is not a metadata key of 1 to 255"),
        (
            ["--hold-until", "x"],
            "'x' is not one of image_pending_upload, image_uploading",
        ),
    ],
)
def test_bad_input_of_create(
    nova: Any, cloud: Sandbox, arguments: list[str], line: str
) -> None:
    cloud.requests.clear()
    result = nova("snapshot-create", *arguments, "db1", "x")
    assert (result.status, result.out) == (2, "")
    assert line in result.err
    assert "Traceback" not in result.err
    assert not [seen for seen in cloud.requests if "/servers" in seen.path]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--until", "x"], "argument --until: 'x' is not one of disk-copied, done"),
        (["--format", "csv"], "argument --format: 'csv' is not one of text, json"),
        (["--wait-start", "1"], "'1' is not a duration"),
        (["--interval", "fast"], "'fast' is not an interval"),
    ],
)
def test_bad_input_of_watch(
    nova: Any, cloud: Sandbox, arguments: list[str], line: str
) -> None:
    result = nova("snapshot-watch", *arguments, "db1")
    assert (result.status, result.out) == (2, "")
    assert line in result.err
    assert not [seen for seen in cloud.requests if "/servers" in seen.path]


@pytest.mark.parametrize(
    "command", [["snapshot-create", "nobody", "x"], ["snapshot-watch", "nobody"]]
)
def test_an_unknown_server(nova: Any, cloud: Sandbox, command: list[str]) -> None:
    result = nova(*command)
    assert (result.status, result.out) == (1, "")
    line = "No server with a name or ID of 'nobody' exists."
    assert result.err == f"ERROR (CommandError): {line}\n"
