"""What the three programs have in common: help, version and completion."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from rax_scheduled_images_ext.panel.cli import main as panel
from rax_scheduled_images_ext.sandbox.cli import main as sandbox
from rax_scheduled_images_ext.service.cli import main as service

PROGRAMS = {"panel": panel, "sandbox": sandbox, "service": service}
COMMANDS = {
    "panel": [],
    "sandbox": ["run", "exec", "env", "advance", "fault", "state", "demo"],
    "service": ["run", "worker", "beat", "tick", "plan", "status", "api"],
}
CALLS = [
    (name, argv)
    for name, commands in COMMANDS.items()
    for argv in ([], *([each] for each in commands))
]
each_program = pytest.mark.parametrize("name", PROGRAMS)


def printed(
    capsys: pytest.CaptureFixture[str], main: Callable[[list[str]], int], *argv: str
) -> str:
    """What a program prints that then ends well."""
    with pytest.raises(SystemExit) as ended:
        main(list(argv))
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    return out


@each_program
def test_the_version(capsys: pytest.CaptureFixture[str], name: str) -> None:
    of_package = version("rax-scheduled-images-ext")
    shown = printed(capsys, PROGRAMS[name], "--version")
    assert shown == f"scheduled-images-{name} {of_package}\n"


@each_program
def test_the_exit_statuses(capsys: pytest.CaptureFixture[str], name: str) -> None:
    shown = printed(capsys, PROGRAMS[name], "--help").partition("exit status:\n")[2]
    statuses = [line.split()[0] for line in shown.splitlines()]
    assert statuses[:3] == ["0", "1", "2"]


@pytest.mark.parametrize(("name", "argv"), CALLS)
def test_no_markup_in_help(
    capsys: pytest.CaptureFixture[str], name: str, argv: list[str]
) -> None:
    shown = printed(capsys, PROGRAMS[name], *argv, "--help")
    assert [each for each in ("`", ":class:", "::\n", "\x1b") if each in shown] == []


@each_program
def test_a_shell_that_completes_starts_nothing(name: str, tmp_path: Path) -> None:
    """Nor does it where the library is missing."""
    (tmp_path / "argcomplete.py").write_text("raise ModuleNotFoundError('argcomplete')")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [Path(sys.executable).with_name(f"scheduled-images-{name}")],
        env={**os.environ, "PYTHONPATH": path, "_ARGCOMPLETE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
