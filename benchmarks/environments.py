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
# The last commit whose service reads all images in each scan.
_BEFORE = "8dbfde1dff19f0b9df1ac383ef2b8947ba02a77e"
# On a later Python the old client breaks every `nova`.
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
    def service(self) -> str:
        """Its ``scheduled-images-service``."""
        return str(self.programs / "scheduled-images-service")

    @property
    def python(self) -> str:
        """Its Python."""
        return str(self.programs / "python")


@dataclass(frozen=True)
class Environments:
    """What is compared: this package, the old client, and novaclient alone.

    ``before`` has this package as it was when its service read all images in each scan.
    There is only ``ours`` if this package alone is measured.
    """

    ours: Environment
    old: Environment | None = None
    bare: Environment | None = None
    before: Environment | None = None

    @classmethod
    def here(cls) -> Environments:
        """Return the environment this runs in, to measure without comparison."""
        return cls(Environment(Path(sys.executable).parent))

    @classmethod
    def within(cls, folder: Path) -> Environments:
        """Create the four in a folder; existing ones are reused."""
        if sys.version_info[:2] > _LAST_PYTHON:
            raise SystemExit("The old client needs Python 3.10 or 3.11; or say --here")
        novaclient = f"python-novaclient=={version('python-novaclient')}"
        ours = _made(folder / "ours", novaclient)
        _pip(ours, "--force-reinstall", "--no-deps", str(ROOT))
        _pip(ours, f"{ROOT}[service]")
        old = _made(folder / "old", novaclient, "six")
        _pip(old, "--no-deps", OLD_CLIENT)
        bare = _made(folder / "bare", novaclient, "six")
        source = _checked_out(folder / "before-source", _BEFORE)
        before = _made(folder / "before", novaclient, f"{source}[service]")
        return cls(ours, old, bare, before)


def bare_environment(home: Path) -> dict[str, str]:
    """Return variables for measured processes: no cloud, no proxy, no home."""
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


def _checked_out(folder: Path, commit: str) -> Path:
    """Check out a commit of this repository into a folder, unless done."""
    if not folder.exists():
        subprocess.run(["git", "clone", "-qn", str(ROOT), str(folder)], check=True)
        subprocess.run(["git", "-C", str(folder), "checkout", "-q", commit], check=True)
    return folder.absolute()


def _pip(environment: Environment, *arguments: str) -> None:
    subprocess.run(
        [environment.python, "-m", "pip", "install", "-qq", *arguments], check=True
    )
