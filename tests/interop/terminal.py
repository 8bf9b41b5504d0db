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

from ..functional.documents import ROOT, Document
from ..scenarios.clouds import NOVACLIENT_7

_EXAMPLE = "https://cloud.example.com/identity/v3"
NEEDS_OPENSTACK = pytest.mark.skipif(
    NOVACLIENT_7, reason="python-openstackclient does not install beside novaclient 7"
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
