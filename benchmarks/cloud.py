"""A sandbox in its own process."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .measure import Failed

_MAIN = """
from rax_scheduled_images_ext.sandbox.cli import main
raise SystemExit(main())
"""


@dataclass
class Cloud:
    """A running sandbox: the variables to reach it, and its log."""

    variables: Mapping[str, str]
    log: Path
    _read: int = 0

    def requests(self) -> list[str]:
        """Return the requests since the last call, as ``STATUS METHOD PATH``."""
        lines = self.log.read_text().splitlines()
        new, self._read = lines[self._read :], len(lines)
        return new

    def server_ids(self, number: int) -> list[str]:
        """Return the IDs of this many servers."""
        found: list[str] = []
        with requests.Session() as session:
            session.trust_env = False
            session.headers["X-Auth-Token"] = token(session, self.variables)
            while len(found) < number:
                query: dict[str, Any] = {"marker": found[-1]} if found else {}
                url = f"{self.variables['SANDBOX_URL']}/compute/v2.1/servers"
                page = session.get(url, params=query).json()["servers"]
                if not page:
                    raise Failed(f"there are only {len(found)} servers")
                found += [server["id"] for server in page]
        return found[:number]

    def images(self) -> list[tuple[str, str]]:
        """Return the IDs of the snapshots, and of the server of each."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers["X-Auth-Token"] = token(session, self.variables)
            url = f"{self.variables['SANDBOX_URL']}/image/v2/images"
            query: dict[str, Any] = {"image_type": "snapshot", "limit": 1000}
            found = session.get(url, params=query).json()["images"]
        return [(image["id"], image["instance_uuid"]) for image in found]

    def making(self) -> list[str]:
        """Return the names of the snapshots that have no data so far."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers["X-Auth-Token"] = token(session, self.variables)
            url = f"{self.variables['SANDBOX_URL']}/image/v2/images"
            query = {"status": "queued", "image_type": "snapshot"}
            found = session.get(url, params=query).json()["images"]
        return [image["name"] for image in found]

    def advance(self, duration: str) -> None:
        """Let virtual time pass."""
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.variables['SANDBOX_URL']}/sandbox/advance"
            session.post(url, json={"duration": duration}).raise_for_status()

    def snapshot(self, server_id: str, name: str) -> None:
        """Start a snapshot."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers["X-Auth-Token"] = token(session, self.variables)
            url = f"{self.variables['SANDBOX_URL']}/compute/v2.1/servers/{server_id}"
            body = {"createImage": {"name": name}}
            session.post(f"{url}/action", json=body).raise_for_status()


def token(session: requests.Session, variables: Mapping[str, str]) -> str:
    """Log in."""
    user = {
        "name": variables["OS_USERNAME"],
        "password": variables["OS_PASSWORD"],
        "domain": {"name": variables["OS_USER_DOMAIN_NAME"]},
    }
    project: Any = {
        "name": variables["OS_PROJECT_NAME"],
        "domain": {"name": variables["OS_PROJECT_DOMAIN_NAME"]},
    }
    methods: Any = {"methods": ["password"], "password": {"user": user}}
    answer = session.post(
        f"{variables['OS_AUTH_URL']}/auth/tokens",
        json={"auth": {"identity": methods, "scope": {"project": project}}},
    )
    answer.raise_for_status()
    return answer.headers["X-Subject-Token"]


@contextmanager
def sandbox(folder: Path, **options: object) -> Iterator[Cloud]:
    """Run a sandbox with these options while a block runs."""
    argv = [sys.executable, "-c", _MAIN, "run", "-v"]
    for name, value in {"port": 0, **options}.items():
        argv.append(f"--{name.replace('_', '-')}")
        # An option without a value is True.
        argv += [] if value is True else [str(value)]
    marks = json.dumps(options, default=str)
    log = folder / f"requests-{abs(hash(marks))}.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            yield Cloud(_variables(process, log), log)
        finally:
            process.terminate()


def _variables(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """Read the export lines that a sandbox prints when it is ready."""
    assert process.stdout is not None
    found: dict[str, str] = {}
    while "SANDBOX_URL" not in found:
        line = process.stdout.readline().decode()
        if not line:
            raise Failed(f"the sandbox did not start: {log.read_text()[-500:]}")
        # The first line unsets the variables of other clouds.
        if not line.startswith("export "):
            continue
        (assignment,) = shlex.split(line.removeprefix("export "))
        name, _, value = assignment.partition("=")
        found[name] = value
    return found
