"""The polling script of the task states document: curl, grep, sed and date alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..functional.raw import box
from .clouds import CloudUnderTest
from .resources import Workshop
from .test_snapshots import LINE

COPYING = "image_snapshot"
# How long after the previous one each of them starts, in virtual seconds.
PHASES = (
    (COPYING, 1),
    ("image_pending_upload", 40),
    ("image_uploading", 3),
    ("null", 80),
)

NOBODY = "00000000-dead-4bad-8bad-000000000000"
SCRIPT = Path(__file__).with_name("poll.sh")


@contextmanager
def polling(variables: dict[str, str], sleep: str) -> Iterator[subprocess.Popen[str]]:
    """Let the script run meanwhile."""
    with subprocess.Popen(
        ["bash", SCRIPT],
        env={"PATH": os.environ["PATH"], "SLEEP_TIME": sleep, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as script:
        try:
            yield script
        finally:
            script.kill()


def states(script: subprocess.Popen[str], last: str) -> list[str]:
    """Read lines until a task state comes; the different ones so far, in order."""
    assert script.stdout is not None
    seen: list[str] = []
    end = time.monotonic() + 60
    for line in script.stdout:
        assert time.monotonic() < end, seen
        found = re.fullmatch(LINE, line.rstrip("\n"))
        assert found, line
        if seen[-1:] != [found[1]]:
            seen.append(found[1])
        if found[1] == last:
            break
    return seen


@pytest.mark.needs("slow snapshots")
def test_it_prints_how_far_a_snapshot_is(
    under_test: CloudUnderTest, resources: Workshop
) -> None:
    _, server_id = resources.boot()
    with polling(resources.api.polling(server_id), "0.1") as script:
        assert states(script, "null") == ["null"]
        with under_test.slow_snapshots(2.5):
            image_id = resources.snapshot(server_id)
            seen = states(script, "image_uploading")
        assert seen[-3:] == [
            "image_snapshot",
            "image_pending_upload",
            "image_uploading",
        ]
        assert states(script, "null")[-1] == "null"
        resources.done(server_id, image_id)
        resources.delete_server(server_id)
        said = script.communicate(timeout=60)
    assert script.returncode == 0
    *lines, last = said[0].splitlines()
    # A server may be shown for a moment while it is being deleted.
    assert all("status: " in line for line in lines)
    assert (last, said[1]) == (f"[info] server {server_id} has disappeared!", "")


def test_it_finds_no_server_that_is_not_there(resources: Workshop) -> None:
    done = subprocess.run(
        ["bash", SCRIPT],
        env={"PATH": os.environ["PATH"], **resources.api.polling(NOBODY)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        f"[error] can't find server {NOBODY}\n",
        "",
    )


def test_no_state_is_reported_that_was_not_answered() -> None:
    with box("openstack") as made:
        admin = made.admin
        server_id = admin.server_id()
        variables = {
            "API_ENDPOINT": admin.root,
            "API_TOKEN": admin.token,
            "SERVER_ID": server_id,
        }
        with polling(variables, "0.05") as script:
            assert states(script, "null") == ["null"]
            made.sandbox.fault("GET /servers/ 503 x1", "GET /servers/ drop x1")
            states(script, "null")
            while not all(count for _, count in made.sandbox.faults()):
                states(script, "null")
            admin.delete(f"/servers/{server_id}")
            out, err = script.communicate(timeout=60)
    told = [f"[error] server {server_id}: HTTP {code}" for code in ("503", "000")]
    assert err.splitlines() == told
    *lines, last = out.splitlines()
    assert all(re.fullmatch(LINE, line) for line in lines), lines
    assert last == f"[info] server {server_id} has disappeared!"


def test_the_token_is_not_an_argument(resources: Workshop, tmp_path: Path) -> None:
    curl = tmp_path / "curl"
    seen = tmp_path / "arguments"
    curl.write_text(
        f'#!/bin/sh\necho "$@" >> {seen}\nexec {shutil.which("curl")} "$@"\n'
    )
    curl.chmod(0o755)
    variables = resources.api.polling(NOBODY)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", SCRIPT], env={**variables, "PATH": path}, check=False)
    assert variables["API_ENDPOINT"] in seen.read_text()
    assert variables["API_TOKEN"] not in seen.read_text()


@pytest.mark.parametrize("like", ["openstack", "rackspace"])
def test_it_works_on_both_kinds_of_sandbox(like: Any) -> None:
    with box(like) as made:
        admin, cloud = made.admin, made.sandbox
        server_id = admin.server_id("check-my-task-state")
        variables = {
            "API_ENDPOINT": admin.root,
            "API_TOKEN": admin.token,
            "SERVER_ID": server_id,
        }
        with polling(variables, "0.05") as script:
            assert states(script, "null") == ["null"]
            admin.snapshot(server_id, "x")
            first = "image_snapshot" if like == "rackspace" else f"{COPYING}_pending"
            assert states(script, first)[-1] == first
            # On a cloud like Rackspace's nothing comes before the copy.
            cloud.advance(0 if like == "rackspace" else 2)
            for state, seconds in PHASES:
                cloud.advance(seconds)
                assert states(script, state)[-1] == state
            admin.delete(f"/servers/{server_id}")
            out, err = script.communicate(timeout=60)
    assert (script.returncode, err) == (0, "")
    assert out.splitlines()[-1] == f"[info] server {server_id} has disappeared!"
