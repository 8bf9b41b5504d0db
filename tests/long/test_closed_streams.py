"""Every program with a stream that is closed, full or not read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER
from ..functional.runners import schedule
from ..openstackshell import not_beside_novaclient_7

pytestmark = pytest.mark.novaclient

BIN = Path(sys.executable).parent
SERVICE, PANEL, SANDBOX = (
    f"scheduled-images-{name}" for name in ("service", "panel", "sandbox")
)
FULL = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="there is no /dev/full"
)
LOST = "ERROR (OSError): Cannot write to stdout: "
PLAIN = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)


def run(cloud: Sandbox, command: str, redirection: str) -> tuple[int, str, str]:
    """Run a program by a shell; its status, stdout and stderr, of what is left."""
    done = subprocess.run(
        ["bash", "-c", f"{BIN}/{command} {redirection}"],
        env=cloud.environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for text in (done.stdout, done.stderr):
        assert "Traceback" not in text
        assert "Exception ignored" not in text
    return done.returncode, done.stdout, done.stderr


@PLAIN
@pytest.mark.parametrize(
    "command",
    [
        *(f"{SERVICE} {name}" for name in ("plan --all", "status")),
        *(f"nova scheduled-images-{name}" for name in ("show myserver", "list")),
        "nova scheduled-images-check",
        *(f"{SANDBOX} {name}" for name in ("state", "env", "advance 1s", "fault")),
        f"{SANDBOX} demo",
        f"{SANDBOX} run --port 0",
    ],
)
@pytest.mark.parametrize(
    ("redirection", "why"),
    [
        (">&-", "Bad file descriptor"),
        pytest.param(">/dev/full", "No space left on device", marks=FULL),
    ],
)
def test_data_that_is_lost_is_reported(
    cloud: Sandbox, command: str, redirection: str, why: str
) -> None:
    schedule(cloud)
    cloud.fault("GET /nowhere$ 503")
    status, out, err = run(cloud, command, redirection)
    assert (status, out) == (1, "")
    assert err.endswith(f"{LOST}{why}\n")


@PLAIN
def test_a_tick_needs_no_stream(cloud: Sandbox) -> None:
    schedule(cloud)
    for redirection in (">&-", "2>&-", ">&- 2>&-", "2>/dev/full"):
        assert run(cloud, f"{SERVICE} tick", redirection) == (0, "", "")


@PLAIN
@pytest.mark.parametrize(
    "command",
    [
        *(f"{SERVICE} {name}" for name in ("plan --all", "status")),
        "nova scheduled-images-show myserver",
        "nova scheduled-images-list",
        pytest.param(
            "openstack server image schedule list", marks=not_beside_novaclient_7
        ),
    ],
)
def test_data_comes_without_a_stderr(cloud: Sandbox, command: str) -> None:
    schedule(cloud)
    status, out, _ = run(cloud, command, "2>&-")
    assert status == 0
    assert "myserver" in out or "Daily" in out


@PLAIN
@pytest.mark.parametrize("redirection", ["2>&-", ">&- 2>&-"])
def test_errors_never_go_to_stdout(cloud: Sandbox, redirection: str) -> None:
    for command, status in (
        ("nova scheduled-images-show nobody", 1),
        (f"{SERVICE} bad", 2),
        (f"{SERVICE} plan --at never", 2),
        (f"{PANEL} --bad", 2),
        (f"{SANDBOX} bad", 2),
        (f"{SANDBOX} env --user nobody", 1),
        (f"{SANDBOX} exec -- /nowhere", 127),
        (f"{SANDBOX} exec -v -- curl -s -o /dev/null $OS_AUTH_URL/users", 0),
    ):
        found, out, _ = run(cloud, command, redirection)
        # One of novaclient's own may be there.
        lines = [each for each in out.splitlines() if "CLI is deprecated" not in each]
        assert (found, lines) == (status, []), command


@PLAIN
def test_what_was_done_is_done(cloud: Sandbox) -> None:
    for redirection in (">&-", "2>&-", ">/dev/full"):
        with cloud.region() as region:
            region.servers.set_tags(MYSERVER, ())
        command = "nova scheduled-images-enable myserver 3"
        assert run(cloud, command, redirection)[0] == 0
        with cloud.region() as region:
            assert "scheduled-images:daily:3" in region.servers.get(MYSERVER).tags
