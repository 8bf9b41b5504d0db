"""Commands as a person types them, with the real cloud of the OS_* variables."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox.environment import client_environment

from .. import rehearsed
from ..functional.documents import ROOT, Document
from ..scenarios.clouds import NOVACLIENT_7
from ..scenarios.resources import Workshop
from .cloud.api import answers
from .cloud.layout import KEYSTONE, url

_EXAMPLE = "https://cloud.example.com/identity/v3"
NEEDS_OPENSTACK = pytest.mark.skipif(
    NOVACLIENT_7, reason="python-openstackclient does not install beside novaclient 7"
)
NEEDS_CLOUD = pytest.mark.skipif(
    not answers(url(KEYSTONE, "/v3")), reason="the real cloud is not up"
)
PERMISSIONS = Document(ROOT / "doc" / "source" / "service" / "permissions.rst")


@dataclass(frozen=True)
class Terminal:
    """A shell in a folder, where clients find ``clouds.yaml``.

    :param env: the OS_* variables of a user.
    :param more: other variables.
    """

    folder: Path
    env: Mapping[str, str]
    more: Mapping[str, str] = field(default_factory=dict)

    def run(self, command: str) -> str:
        """Run a command that must succeed; return what it prints."""
        done = self.try_to(command)
        assert done.returncode == 0, (command, done)
        return done.stdout

    def try_to(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        # With OS_CLOUD no other variable says who the user is.
        env = {} if command.startswith("OS_CLOUD=") else self.env
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**client_environment(env), **self.more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command; its errors can be read while it runs."""
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env={**client_environment(self.env), **self.more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def answer(self, command: str, secret: str) -> str:
        """Run a command that asks for a password, and give it; return what it shows."""
        leader, follower = os.openpty()
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", "bash", "-c", command],
            cwd=self.folder,
            env={**client_environment(self.env), **self.more},
            stdin=follower,
            stdout=follower,
            stderr=follower,
        )
        os.close(follower)
        shown, answered = b"", 0
        while chunk := _read(leader):
            shown += chunk
            if len(re.findall(rb"assword: ?", shown)) > answered:
                os.write(leader, f"{secret}\n".encode())
                answered += 1
        os.close(leader)
        assert process.wait() == 0, shown
        assert answered, shown
        return shown.decode()

    def configure(self, example: str, env: Mapping[str, str], *secrets: str) -> None:
        """Write ``clouds.yaml`` as an example shows it, with what it leaves out."""
        text = example.replace(_EXAMPLE, env["OS_AUTH_URL"])
        assert (text.count("..."), text == example) == (len(secrets), False)
        for secret in secrets:
            text = text.replace("...", secret, 1)
        (self.folder / "clouds.yaml").write_text(text)

    def plan(self, cloud: str | None, server_id: str, *options: str) -> dict[str, Any]:
        """Return what the service plans for a server.

        :param cloud: the cloud of ``clouds.yaml``; None for that of the OS_* variables.
        """
        argv = " ".join(("plan --all --format json", *options))
        where = f"OS_CLOUD={cloud} " if cloud is not None else ""
        printed = self.run(f"{where}scheduled-images-service {argv}")
        (row,) = (row for row in json.loads(printed) if row["id"] == server_id)
        found: dict[str, Any] = row
        return found

    def tick(self, cloud: str | None, at: str, *options: str) -> str:
        """Run a tick at a time that is rehearsed; return its status and its log.

        :param cloud: as for a plan.
        """
        argv = " ".join((*rehearsed.PROGRAM, "--at", at, "tick", *options))
        done = self.try_to(f"OS_CLOUD={cloud} {argv}" if cloud is not None else argv)
        return f"{done.returncode} {done.stderr}"

    def make_images(
        self,
        cloud: str | None,
        made: tuple[Workshop, str],
        number: int,
        *options: str,
    ) -> str:
        """Let the service make an image of a server on each of some days.

        :param cloud: as for a plan.
        :returns: the slot of the last image.
        """
        resources, server_id = made
        slot = ""
        at = self.plan(cloud, server_id, *options)["next_due"]
        for _ in range(number):
            planned = self.plan(cloud, server_id, "--at", at, *options)
            assert planned["action"] == "make image"
            slot, following = planned["slot"], planned["next_due"]
            logged = self.tick(cloud, at, *options)
            assert logged.startswith("0 "), logged
            assert f" INFO image started server={server_id}" in logged
            resources.until(
                "the image is ACTIVE",
                lambda: resources.images_of(server_id)[0]["status"] == "active",
            )
            logged = self.tick(cloud, at, *options)
            assert logged.startswith("0 "), logged
            assert f" INFO retention applied server={server_id}" in logged
            at = following
        return slot


def _read(terminal: int) -> bytes:
    """Read what is shown; nothing once nobody shows anything any more."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def commands(session: str) -> list[str]:
    """Return the commands of a session."""
    return re.findall(r"^\$ (.*)$", session, re.MULTILINE)


def table(printed: str) -> dict[str, str]:
    """Return the rows of a table of two columns that ``openstack`` prints."""
    return dict(re.findall(r"^\| ([\w ]+?) +\| (.*?) +\|$", printed, re.MULTILINE))
