"""The code as it was at an earlier commit, in a folder."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

#: The last commit whose runners leave no notes and do not see if images are whole.
BEFORE = "8dbfde1"
TREE = Path(__file__).parents[2]


def unpacked(folder: Path, commit: str = BEFORE) -> Path:
    """Put the package of a commit into a folder; skip without the history."""
    archive = ["git", "archive", commit, "rax_scheduled_images_ext"]
    try:
        done = subprocess.run(archive, cwd=TREE, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the code of {commit} is not there: this is no clone with history")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        # All Pythons that are supported have it, by their security releases.
        tar.extractall(folder, filter="data")
    return folder
