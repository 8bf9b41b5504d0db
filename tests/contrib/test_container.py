"""The container image: what goes into it, and what it starts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from rax_scheduled_images_ext.service.cli import make_parser

from ..functional.documents import ROOT

CONTAINERFILE = (ROOT / "contrib" / "container" / "Containerfile").read_text()


def test_the_container_calls_the_program() -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", CONTAINERFILE, re.M)
    (command,) = re.findall(r"^CMD (.*)$", CONTAINERFILE, re.M)
    assert json.loads(entry) == ["scheduled-images-service"]
    assert make_parser().parse_args(json.loads(command)).func


def kept(folder: Path) -> list[Path]:
    """Return the files of the project that .dockerignore lets into an image."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    found = []
    for pattern in patterns[1:]:
        if pattern.startswith("!"):
            path = folder / pattern[1:]
            assert path.exists(), pattern
            found += [path, *path.rglob("*")]
    left = [each for each in patterns if each.startswith("**/")]
    return [
        path
        for path in found
        if path.is_file()
        and not any(fnmatch(part, each[3:]) for part in path.parts for each in left)
    ]


def test_the_package_is_built_of_what_goes_into_an_image(tmp_path: Path) -> None:
    """The first step of the Containerfile, without what the package needs."""
    if not shutil.which("pip", path=Path(sys.executable).parent):
        pytest.skip("there is no pip in this environment")
    for path in kept(ROOT):
        copy = tmp_path / "source" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet"]
    subprocess.run(
        [*wheel, "--wheel-dir", tmp_path / "wheels", tmp_path / "source"], check=True
    )
    (built,) = (tmp_path / "wheels").iterdir()
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "--list", built],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "panel/templates/base.html" in names
    assert "scheduled-images-service.1" in names
