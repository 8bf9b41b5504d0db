"""README.rst tells the truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_the_tests_are_run_by_the_command_that_is_given(readme: Any) -> None:
    command = readme.block("Run all the tests")
    assert command.startswith("python3 -m venv ")
    assert command in (ROOT / ".ci" / "run").read_text()


def test_the_program_prints_what_is_said(
    readme: Any, cloud: Sandbox, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(readme.block("From Python"))
    done = run(sys.executable, program, env=cloud.environ())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == readme.block("From Python", 1)


@pytest.mark.slow
def test_the_tests_of_a_script_pass(readme: Any, tmp_path: Path) -> None:
    (tmp_path / "test_script.py").write_text(readme.block("In your own tests"))
    done = run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the old client breaks nova from Python 3.12 on"
)
def test_the_old_client_is_recognised_by_what_is_quoted(readme: Any) -> None:
    old = os.environ["OLD_CLIENT_PATH"]
    nova = Path(sys.executable).with_name("nova")
    done = run(nova, "help", env={**os.environ, "PYTHONPATH": old})
    assert done.returncode == 1
    command, line = readme.block("Moving from the old client", 1).splitlines()
    assert command == "$ nova help"
    assert done.stderr.splitlines()[-1] == line
