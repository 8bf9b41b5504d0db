"""What README.rst shows of fleets is what a shell prints."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery

from ..novashell import DEPRECATION

START = 1_768_089_600
SESSIONS = {
    "All servers at a glance": 1,
    "Which servers were not imaged?": 2,
    "Change the retention of forty servers": 2,
}


@pytest.fixture
def fleet() -> Iterator[Sandbox]:
    """Forty servers with a week of images; of two none was made since."""
    with Sandbox(speed=0, start=START, servers=40, images_per_server=7) as cloud:
        with cloud.cloud.transaction():
            region = cloud.cloud.region(cloud.regions[0])
            for server in region.servers(ServerQuery(name="^server-000(02|17)$")):
                region.hold(server.id, True)
        cloud.advance("2d")
        yield cloud


def printed(session: str, cloud: Sandbox, folder: Path) -> str:
    """Run the commands of a session and return it as it then reads."""
    written, status = [], 0
    for command in re.findall(r"^\$ (.*(?:\\\n.*)*)$", session, re.MULTILINE):
        written.append(f"$ {command}\n")
        if command == "echo $?":
            written.append(f"{status}\n")
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=cloud.environ(),
            capture_output=True,
            text=True,
        )
        status = done.returncode
        written.append(done.stdout + DEPRECATION.sub("", done.stderr))
    return "".join(written)


@pytest.mark.slow
def test_the_readme_shows_what_is_printed(
    readme: Any, fleet: Sandbox, tmp_path: Path
) -> None:
    for heading, number in SESSIONS.items():
        for each in range(number):
            session = readme.block(heading, each)
            assert printed(session, fleet, tmp_path) == session
