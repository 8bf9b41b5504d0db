"""Snapshots in tests: started, advanced as they are polled, and observed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import (
    Image,
)
from rax_scheduled_images_ext.sandbox.dispatcher import Seen
from rax_scheduled_images_ext.sandbox.fixture import Requests

from ..waiting import until

NOVA = Path(sys.executable).with_name("nova")
LOOKED_AT = re.compile(r"/(servers|images)/([-0-9a-f]{36}$|detail)")


class Looks(Requests):
    """A cloud's requests; from the first action on, 14 s pass at each look at a
    server or an image, before its answer leaves.

    So each state of a snapshot is seen, however busy the machine is.
    """

    def __init__(self, cloud: Sandbox) -> None:
        super().__init__(cloud.requests)
        self.cloud = cloud
        self.begun = any(map(is_action, self))

    def append(self, seen: Seen) -> None:
        super().append(seen)
        self.begun = self.begun or is_action(seen)
        look = seen.method == "GET" and LOOKED_AT.search(seen.path)
        if self.begun and look:
            self.cloud.advance(14)


def is_action(seen: Seen) -> bool:
    return seen.method == "POST" and "/action" in seen.path


@contextmanager
def following(cloud: Sandbox) -> Iterator[Sandbox]:
    """Let time pass only while the cloud is looked at."""
    cloud.requests = Looks(cloud)
    try:
        yield cloud
    finally:
        cloud.requests = Requests(cloud.requests)


class Log:
    """What commands have written, a word a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def words(self) -> list[str]:
        return self.path.read_text().split() if self.path.exists() else []

    def command(self, word: str, then: str = "") -> str:
        """Return a command that writes the word, then does something else."""
        return f"sh -c 'echo {word} >> {self.path}; {then or ':'}'"

    def hooks(self) -> list[str]:
        return ["--before", self.command("before"), "--after", self.command("after")]

    def until(self, word: str, process: subprocess.Popen[str]) -> None:
        """Wait until a word has been written."""

        def written() -> bool:
            if word in self.words():
                return True
            assert process.poll() is None, process.communicate()
            return False

        until(written)


def create(*arguments: str) -> list[str]:
    return ["snapshot-create", "--interval", "0.1", *arguments]


def started(cloud: Sandbox, *argv: str, **options: Any) -> subprocess.Popen[str]:
    """Start a real `nova`, in a session of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [NOVA, *argv],
        env=cloud.environ(),
        text=True,
        start_new_session=True,
        **{**pipes, **options},
    )


def task_state(cloud: Sandbox, name: str) -> str | None:
    return next(each for each in cloud.servers() if each.name == name).task_state


def images(cloud: Sandbox) -> dict[str, Image]:
    """Return the images that there are, by their names."""
    return {image.name: image for image in cloud.images()}
