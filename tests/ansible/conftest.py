"""The collection as it is installed, and the real ansible-playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.raw import START

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "contrib" / "ansible"
BIN = Path(sys.executable).parent
Task = dict[str, Any]


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program that is installed beside this Python."""
    program, *rest = command
    return subprocess.run(
        [BIN / program, *rest],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        **options,
    )


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the collection, built and installed by Ansible's own tool."""
    folder = tmp_path_factory.mktemp("collections")
    home = {**os.environ, "ANSIBLE_HOME": str(folder), "LC_ALL": "C.UTF-8"}
    home["ANSIBLE_COLLECTIONS_PATH"] = str(folder)
    galaxy = ("ansible-galaxy", "collection")
    built = run(*galaxy, "build", SOURCE, "--output-path", folder, env=home)
    assert (built.returncode, built.stderr) == (0, "")
    (archive,) = folder.glob("*.tar.gz")
    # Offline, so openstack.cloud must be there already.
    done = run(*galaxy, "install", archive, "--offline", "-p", folder, env=home)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(autouse=True)
def settings(collections: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every Ansible find the collection, and say nothing about inventories."""
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(collections))
    monkeypatch.setenv("ANSIBLE_LOCALHOST_WARNING", "False")
    monkeypatch.setenv("ANSIBLE_INVENTORY_UNPARSED_WARNING", "False")
    monkeypatch.setenv("ANSIBLE_NOCOWS", "True")


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A fresh cloud, or one with the options that a test is parametrized with."""
    options = getattr(request, "param", {})
    with Sandbox(**{"speed": 0, "start": START, **options}) as sandbox:
        yield sandbox


@dataclass(frozen=True)
class Play:
    """``play(*tasks)``: the real ansible-playbook; returns a result for each task.

    A task that fails does not end the play. ``environment`` takes the place of the
    variables by which the cloud is found.
    """

    cloud: Sandbox
    folder: Path

    def __call__(
        self,
        *tasks: Task,
        options: tuple[str, ...] = (),
        user: str = "admin",
        environment: dict[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        playbook = self.folder / "playbook.json"
        play = {"hosts": "localhost", "gather_facts": False, "ignore_errors": True}
        playbook.write_text(json.dumps([{**play, "tasks": tasks}]))
        if environment is None:
            environment = self.cloud.environ(user)
        else:
            environment = {**os.environ, **environment}
        environment["ANSIBLE_STDOUT_CALLBACK"] = "ansible.posix.json"
        done = run("ansible-playbook", *options, playbook, env=environment)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        (played,) = json.loads(done.stdout)["plays"]
        return [task["hosts"]["localhost"] for task in played["tasks"]]


@pytest.fixture
def play(cloud: Sandbox, tmp_path: Path) -> Play:
    return Play(cloud, tmp_path)


def schedule(name: str = "myserver", **arguments: Any) -> Task:
    """A task about a server's schedule."""
    module = "rax.scheduled_images.server_image_schedule"
    return {module: {"name": name, **arguments}}


def info(**arguments: Any) -> Task:
    """A task that reads schedules."""
    return {"rax.scheduled_images.server_image_schedule_info": arguments}
