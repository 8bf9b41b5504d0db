"""The code as it was at an earlier commit, in a folder."""

from __future__ import annotations

import io
import subprocess
import tarfile
from configparser import ConfigParser
from pathlib import Path

import pytest

#: The last commit whose runners leave no notes and do not see if images are whole.
BEFORE = "8dbfde1"
TREE = Path(__file__).parents[2]


def unpacked(folder: Path, commit: str = BEFORE) -> Path:
    """Put the package of a commit into a folder; skip without the history."""
    archive = ["git", "archive", commit, "rax_scheduled_images_ext", "setup.cfg"]
    try:
        done = subprocess.run(archive, cwd=TREE, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the code of {commit} is not there: this is no clone with history")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        # All Pythons that are supported have it, by their security releases.
        tar.extractall(folder, filter="data")
    _describe(folder)
    return folder


def _describe(folder: Path) -> None:
    """Let programs find the commands that this code has, not the installed ones."""
    settings = ConfigParser(interpolation=None)
    settings.read(folder / "setup.cfg")
    described = folder / "rax_scheduled_images_ext-0.dist-info"
    described.mkdir()
    metadata = "Metadata-Version: 2.1\nName: rax-scheduled-images-ext\nVersion: 0\n"
    (described / "METADATA").write_text(metadata)
    points = ConfigParser(interpolation=None)
    for group, lines in settings["entry_points"].items():
        points[group] = dict(line.split(" = ") for line in lines.split("\n") if line)
    with (described / "entry_points.txt").open("w") as file:
        points.write(file)
