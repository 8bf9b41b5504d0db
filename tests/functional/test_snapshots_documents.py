"""What README.rst and doc/snapshots.rst say of snapshots is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.client import errors
from rax_scheduled_images_ext.model.task_states import STATES, task_state
from rax_scheduled_images_ext.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
TIME = re.compile(r"^\d\d:\d\d:\d\d", re.MULTILINE)
SECONDS = re.compile(r"\d+(\.\d+)? s\b")


@pytest.fixture
def document() -> str:
    return (ROOT / "doc" / "snapshots.rst").read_text()


def timeless(text: str) -> list[str]:
    """The lines of an output, without what is another time each time."""
    return SECONDS.sub("N s", TIME.sub("hh:mm:ss", text)).splitlines()


def section(readme: Any, number: int) -> tuple[str, str]:
    """Return a command of README.rst and its output."""
    below = readme.text.partition("\nSnapshot a database server\n")[2]
    blocks = re.findall(r":: console\n\n((?:    .*\n|\n)+)", below)
    lines = re.sub("^    ", "", blocks[number], flags=re.MULTILINE).strip("\n")
    command, _, output = lines.replace("\\\n", "").partition("\n")
    return command.removeprefix("$ "), output


def printed(cloud: Sandbox, command: str, path: Path) -> str:
    """Run a command line, with an `ssh` that does nothing; both its streams."""
    ssh = path / "ssh"
    ssh.write_text("#!/bin/sh\n")
    ssh.chmod(0o700)
    environment = cloud.environ()
    environment["PATH"] = f"{path}:{environment['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_the_database_is_stopped_and_started_as_it_is_said(
    readme: Any, quick: Sandbox, tmp_path: Path
) -> None:
    command, output = section(readme, 0)
    text = printed(quick, f"{command} --interval 0.2", tmp_path)
    lines = timeless(text)
    assert lines[-len(output.splitlines()) :] == timeless(output)


@pytest.mark.slow
def test_the_watch_prints_what_is_said(
    readme: Any, quick: Sandbox, tmp_path: Path
) -> None:
    command, output = section(readme, 1)
    printed(quick, "nova image-create check-my-task-state x", tmp_path)
    # So that one of the looks meets the short state before the upload.
    quick.advance(15)
    text = printed(quick, f"{command} --interval 0.2", tmp_path)
    assert timeless(text)[-len(output.splitlines()) :] == timeless(output)


def test_the_program_prints_what_is_said(
    document: str, quick: Sandbox, tmp_path: Path
) -> None:
    program, output = (
        re.sub("^    ", "", block, flags=re.MULTILINE)
        for block in re.findall(
            r"code-block:: (?:python|text)\n\n((?:    .*\n|\n)+)", document
        )
    )
    # Nobody waits a minute for a test.
    faster = "Timeouts(interval=0.2, slow_interval=0.2)"
    program = program.replace("after=start)", f"after=start, limits={faster})")
    polling = "rax_scheduled_images_ext.operations.snapshot.polling"
    source = f"from {polling} import Timeouts\n{program}"
    (tmp_path / "program.py").write_text(source)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"],
        env=quick.environ(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == output.strip()


def test_the_table_of_states_is_the_one_in_use(document: str) -> None:
    rows = re.findall(
        r"^(``\w+``|any other)  +(\S.*?)  +(\S.*?)  +(\S.*)$", document, re.M
    )
    told = {name.strip("`"): (disk, accepts, why) for name, disk, accepts, why in rows}
    assert told.pop("task_state", None) is not None
    assert list(told) == [*STATES, "any other"]
    for name, (disk, accepts, meaning) in told.items():
        state = task_state(name)
        assert disk == state.disk.value
        assert accepts == ("accepted" if state.accepts else "refused (409)")
        assert meaning == state.meaning


def test_the_exit_statuses_are_the_ones_in_use(document: str) -> None:
    below = document.partition("Exit statuses\n")[2].partition("From Python")[0]
    told = {int(number) for number in re.findall(r"^(\d+)  ", below, re.MULTILINE)}
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    used = {kind.exit_status for kind in kinds if hasattr(kind, "exit_status")}
    assert told == used - {3} | {0, 2, 129, 130, 131, 143}
