"""Environments that differ in one thing: which extension novaclient finds."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
OLD_CLIENT = "rax_scheduled_images_python_novaclient_ext==0.3.1"
# Beside novaclient on a later Python the old client ends every `nova`.
_LAST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Environment:
    """The programs of one virtual environment."""

    programs: Path

    @property
    def nova(self) -> str:
        """Its ``nova``."""
        return str(self.programs / "nova")

    @property
    def python(self) -> str:
        """Its Python."""
        return str(self.programs / "python")


@dataclass(frozen=True)
class Environments:
    """What is compared: this package, the old client, and novaclient alone.

    The latter two are None where only this package is measured.
    """

    ours: Environment
    old: Environment | None = None
    bare: Environment | None = None

    @classmethod
    def here(cls) -> Environments:
        """Return the environment this runs in, to measure without comparison."""
        return cls(Environment(Path(sys.executable).parent))

    @classmethod
    def within(cls, folder: Path) -> Environments:
        """Make the three in a folder; what is there already is used again."""
        if sys.version_info[:2] > _LAST_PYTHON:
            raise SystemExit("The old client needs Python 3.10 or 3.11; or say --here")
        novaclient = f"python-novaclient=={version('python-novaclient')}"
        ours = _made(folder / "ours", novaclient)
        _pip(ours, "--force-reinstall", "--no-deps", str(ROOT))
        _pip(ours, f"{ROOT}[service]")
        old = _made(folder / "old", novaclient, "six")
        _pip(old, "--no-deps", OLD_CLIENT)
        return cls(ours, old, _made(folder / "bare", novaclient, "six"))


def bare_environment(home: Path) -> dict[str, str]:
    """Return variables for processes that are measured: no cloud, no proxy, no home."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
    }


def _made(folder: Path, *requirements: str) -> Environment:
    made = Environment(folder.absolute() / "bin")
    if not made.programs.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        _pip(made, *requirements)
    return made


def _pip(environment: Environment, *arguments: str) -> None:
    subprocess.run(
        [environment.python, "-m", "pip", "install", "-qq", *arguments], check=True
    )
