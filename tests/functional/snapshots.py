"""Snapshots as tests have them: begun, gone on with as they are looked at, and seen."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.environment import client_environment
from rax_scheduled_images_ext.sandbox.models import Image, ImageQuery, ServerQuery

NOVA = Path(sys.executable).with_name("nova")
LOOKED_AT = re.compile(r"/(servers|images)/([-0-9a-f]{36}$|detail)")


def advancing(cloud: Sandbox, stop: threading.Event) -> None:
    """Let some seconds pass at each look at a server or an image, from the first
    action on.
    """
    begun, known = False, 0
    while not stop.wait(0.002):
        new, known = cloud.requests[known:], len(cloud.requests)
        for seen in new:
            begun = begun or (seen.method == "POST" and "/action" in seen.path)
            if begun and seen.method == "GET" and LOOKED_AT.search(seen.path):
                cloud.advance(14)


@contextmanager
def following(cloud: Sandbox) -> Iterator[Sandbox]:
    """Let time pass only while the cloud is looked at."""
    stop = threading.Event()
    thread = threading.Thread(target=advancing, args=(cloud, stop))
    thread.start()
    try:
        yield cloud
    finally:
        stop.set()
        thread.join()


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
        end = time.monotonic() + 30
        while word not in self.words():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, self.words()
            time.sleep(0.01)


def create(*arguments: str) -> list[str]:
    return ["snapshot-create", "--interval", "0.1", *arguments]


def started(cloud: Sandbox, *argv: str, **options: Any) -> subprocess.Popen[str]:
    """Start a real `nova`, in a session of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [NOVA, *argv],
        env=client_environment(cloud.env()),
        text=True,
        start_new_session=True,
        **{**pipes, **options},
    )


def task_state(cloud: Sandbox, name: str) -> str | None:
    region = cloud.cloud.region(cloud.regions[0])
    with cloud.cloud.transaction():
        servers = region.servers(ServerQuery())
        return next(each for each in servers if each.name == name).task_state


def images(cloud: Sandbox) -> dict[str, Image]:
    """Return the images that there are, by their names."""
    region = cloud.cloud.region(cloud.regions[0])
    with cloud.cloud.transaction():
        return {image.name: image for image in region.images(ImageQuery())}
