"""The units of systemd: it takes them, they are hardened, and their commands work."""

from __future__ import annotations

import configparser
import ctypes
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from rax_scheduled_images_ext.panel.cli import make_parser as panel
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.environment import client_environment
from rax_scheduled_images_ext.service.cli import make_parser as service

from ..functional.conftest import Start
from ..functional.documents import ROOT
from ..functional.fleet import MYSERVER
from ..functional.runners import advance_to_slot, made, schedule
from .clouds import clouds_yaml

SYSTEMD = ROOT / "contrib" / "systemd"
SERVICES = sorted(SYSTEMD.glob("*.service"))
VENV = "/opt/scheduled-images/bin/"
BIN = Path(sys.executable).parent
# Where systemd has its services at most, out of 10.
EXPOSURE = 1.2
OPTIONS = {
    "panel": "--allow-host panel.example.com",
    "api": "--compute http://127.0.0.1:1/v2.1",
}
plain = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
each_service = pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The units, with the virtual environment of the tests in the place of theirs."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd here")
    folder = tmp_path / "system"
    shutil.copytree(SYSTEMD, folder)
    for unit in folder.glob("*.service"):
        unit.write_text(unit.read_text().replace(VENV, f"{BIN}/"))
    return folder


def values(unit: Path, name: str) -> list[str]:
    """Return what a unit says, once or several times, under a name."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.M)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True
    )


@pytest.mark.parametrize(
    "name", [u.name for u in [*SERVICES, *SYSTEMD.glob("*.timer")]]
)
def test_systemd_takes_the_units(copies: Path, name: str) -> None:
    done = analyze("verify", "--man=no", copies / name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@each_service
def test_the_units_are_hardened(copies: Path, unit: Path) -> None:
    threshold = f"--threshold={round(10 * EXPOSURE)}"
    done = analyze("security", "--offline=yes", threshold, copies / unit.name)
    assert done.returncode == 0, done.stdout
    assert f"Overall exposure level for {unit.name}: {EXPOSURE} OK" in done.stdout


def command(unit: Path, options: str = "") -> list[str]:
    """Return what a unit starts."""
    (line,) = values(unit, "ExecStart")
    program, *argv = shlex.split(line.replace("$OPTIONS", options))
    assert program.startswith(VENV)
    return [str(BIN / program.removeprefix(VENV)), *argv]


@each_service
def test_the_units_call_the_programs(unit: Path) -> None:
    kind = unit.stem.removeprefix("scheduled-images-")
    program, *argv = command(unit, OPTIONS.get(kind, "--all-projects"))
    assert (BIN / program).exists()
    parser = panel() if program.endswith("-panel") else service()
    assert parser.parse_args(argv)
    assert "%d/clouds.yaml" in unit.read_text() or kind in OPTIONS


def test_the_timer_has_a_service() -> None:
    timer = SYSTEMD / "scheduled-images-tick.timer"
    parser = configparser.RawConfigParser()
    parser.read(timer)
    assert "oncalendar" in parser["Timer"]
    assert timer.with_suffix(".service") in SERVICES


def without_executable_writes() -> None:
    """Forbid what MemoryDenyWriteExecute= forbids, to this process and all after it."""
    ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)


def environment(unit: Path, credentials: Path, state: Path) -> dict[str, str]:
    """Return the environment in which systemd would start a unit."""
    found = client_environment({})
    for line in values(unit, "Environment"):
        for each in shlex.split(line.replace("%d", str(credentials))):
            key, _, value = each.partition("=")
            found[key] = value
    if "XDG_STATE_HOME" in found:
        found["XDG_STATE_HOME"] = str(state)
    return found


@plain
def test_a_tick_reads_the_credential(cloud: Sandbox, tmp_path: Path) -> None:
    schedule(cloud)
    advance_to_slot(cloud)
    unit = SYSTEMD / "scheduled-images-tick.service"
    (credential,) = values(unit, "LoadCredential")
    name, _, path = credential.partition(":")
    assert path == "/etc/scheduled-images/clouds.yaml"
    clouds_yaml(tmp_path / name, cloud)
    done = subprocess.run(
        command(unit),
        env=environment(unit, tmp_path, tmp_path / "state"),
        preexec_fn=without_executable_writes,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"image started server={MYSERVER}" in done.stderr
    assert made(cloud)
    assert list((tmp_path / "state" / "scheduled-images").iterdir())


def test_the_panel_needs_no_credentials(cloud: Sandbox, start: Start) -> None:
    unit = SYSTEMD / "scheduled-images-panel.service"
    assert not values(unit, "LoadCredential")
    process = start(
        *command(unit, "--port 0 --allow-host panel.example.com"),
        env=client_environment({"OS_AUTH_URL": cloud.env()["OS_AUTH_URL"]}),
    )
    assert process.stdout
    address = process.stdout.readline().removeprefix("The panel is at ").strip()
    assert "Log in" in requests.get(address, timeout=60).text
