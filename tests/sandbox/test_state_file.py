"""What the sandbox has answered is still there after it was killed."""

from __future__ import annotations

import multiprocessing
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.sandbox.backend.models import Unusable
from rax_scheduled_images_ext.sandbox.backend.seed_data import MYSERVER
from rax_scheduled_images_ext.sandbox.backend.store import Store

from ..functional.clouds import open_cloud

KILLS = 60
SERVER = f"/compute/v2.1/servers/{MYSERVER}"
SCHEDULE = f"{SERVER}/rax-si-image-schedule"

# A clean process for each run, which need not import it all again. It does not
# know this module: so it gets its instructions in words.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["rax_scheduled_images_ext.sandbox.fixture"])
RUN = """
import sys
from rax_scheduled_images_ext.sandbox import cli
sys.stdout = open(printed, "w", buffering=1)
cli.main(["run", "--state", state, "--port", "0", "--speed", "0"])
"""

Ask = Callable[..., Any]


class Writer:
    """Makes one change after the other, until nobody answers any more.

    The changes are numbered from 1, and 0 is none. What is found later must be the
    last one that was answered, or the one behind it, whose answer may have been lost.
    """

    def __init__(
        self, write: Callable[[Ask, int], Any], read: Callable[[Ask], int]
    ) -> None:
        self._write, self._read = write, read
        self.asked = self.answered = 0

    def run(self, ask: Ask) -> None:
        try:
            while True:
                self.asked = self.answered + 1
                self._write(ask, self.asked)
                self.answered = self.asked
        except requests.RequestException:
            return

    def check(self, ask: Ask) -> None:
        found = self._read(ask)
        assert self.answered <= found <= self.asked
        self.answered = found


def set_schedule(ask: Ask, number: int) -> None:
    ask("POST", SCHEDULE, {"image_schedule": {"retention": number}})


def read_schedule(ask: Ask) -> int:
    shown = ask("GET", SERVER)["server"].get("RAX-SI:image_schedule")
    return int(shown["retention"]) if shown else 0


def set_metadata(ask: Ask, number: int) -> None:
    ask("POST", f"{SERVER}/metadata", {"metadata": {"number": str(number)}})


def read_metadata(ask: Ask) -> int:
    return int(ask("GET", f"{SERVER}/metadata")["metadata"].get("number", 0))


def add_image(ask: Ask, number: int) -> None:
    ask("POST", "/image/v2/images", {"name": f"image {number}", "tags": ["written"]})


def count_images(ask: Ask) -> int:
    images: list[Any] = []
    page = "/image/v2/images?tag=written&limit=1000"
    while page:
        answer = ask("GET", page)
        images += answer["images"]
        page = f"/image{answer['next']}" if "next" in answer else ""
    assert {i["name"] for i in images} == {
        f"image {number}" for number in range(1, len(images) + 1)
    }
    return len(images)


def test_no_answered_change_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    state = tmp_path / "cloud.db"
    writers = [
        Writer(set_schedule, read_schedule),
        Writer(set_metadata, read_metadata),
        Writer(add_image, count_images),
    ]
    moments = random.Random(1)
    for _ in range(KILLS):
        with running(state) as (process, ask):
            for writer in writers:
                writer.check(ask)
            threads = [Thread(target=each.run, args=(ask,)) for each in writers]
            found = [writer.answered for writer in writers]
            for thread in threads:
                thread.start()
            # It is killed while it works, not before it begins.
            while any(w.answered == f for w, f in zip(writers, found, strict=True)):
                assert all(thread.is_alive() for thread in threads)
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.08))
            process.kill()
            for thread in threads:
                thread.join()
    assert all(writer.answered > KILLS for writer in writers)


def test_a_first_start_that_is_killed_can_be_repeated(tmp_path: Path) -> None:
    moments = random.Random(2)
    for number in range(20):
        state = tmp_path / f"cloud{number // 4}.db"
        with started(state):
            time.sleep(moments.uniform(0, 0.2))
    with running(state) as (_, ask):
        servers = ask("GET", "/compute/v2.1/servers")["servers"]
    names = sorted(server["name"] for server in servers)
    assert names == ["check-my-task-state", "db1", "myserver", "web1"]


@contextmanager
def running(state: Path) -> Iterator[tuple[BaseProcess, Ask]]:
    """The command ``run --state`` when it answers, and how to ask it."""
    with started(state) as (process, printed):
        yield process, log_in(address(printed))


@contextmanager
def started(state: Path) -> Iterator[tuple[BaseProcess, Path]]:
    """The command ``run --state``, killed at the end, and where it prints."""
    printed = state.with_suffix(".out")
    printed.write_text("")
    names = {"printed": str(printed), "state": str(state)}
    process = PROCESSES.Process(target=exec, args=(RUN, names))
    process.start()
    try:
        yield process, printed
    finally:
        process.kill()
        process.join()
        process.close()


def address(printed: Path) -> str:
    """Wait until the sandbox has said where it is."""
    deadline = time.monotonic() + 60
    while not (found := re.search("SANDBOX_URL=(.+)\n", printed.read_text())):
        assert time.monotonic() < deadline, printed.read_text()
        time.sleep(0.01)
    return found[1]


def log_in(url: str) -> Ask:
    """Return how to send the sandbox a request."""
    variables = requests.get(f"{url}/sandbox/env", timeout=60).json()
    password = {
        "user": {
            "name": variables["OS_USERNAME"],
            "domain": {"id": "default"},
            "password": variables["OS_PASSWORD"],
        }
    }
    scope = {
        "project": {
            "name": variables["OS_PROJECT_NAME"],
            "domain": {"id": "default"},
        }
    }
    login: Any = {"methods": ["password"], "password": password}
    answer = requests.post(
        f"{url}/identity/v3/auth/tokens",
        json={"auth": {"identity": login, "scope": scope}},
        timeout=60,
    )
    token = {"X-Auth-Token": answer.headers["X-Subject-Token"]}

    def ask(method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(
            method, f"{url}{path}", json=body, headers=token, timeout=60
        )
        answer.raise_for_status()
        return answer.json()

    return ask


def test_a_rebuild_goes_on_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "cloud.db"
    with open_cloud("openstack", state=file, speed=0) as sandbox:
        sandbox.advance(1000)
        with sandbox.region() as region:
            server = region.servers.get(MYSERVER)
            base = region.images.get(server.image_id)
            region.rebuilds.begin(server, base, reimage=False, changes={})
        sandbox.advance(3)
    with open_cloud("openstack", state=file, speed=0) as sandbox:
        with sandbox.region() as region:
            server = region.servers.get(MYSERVER)
            assert server.task_state == "rebuild_block_device_mapping"
        sandbox.advance(10)
        with sandbox.region() as region:
            server = region.servers.get(MYSERVER)
            assert (server.status, server.task_state) == ("ACTIVE", None)
            assert region.guests.console(server)[0].startswith("VERIFY last=0 ")


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cloud.db"
    Store(str(file)).close()
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version=0")
    with pytest.raises(Unusable, match="made by another version of the sandbox"):
        Store(str(file))
