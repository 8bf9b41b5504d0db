"""The old package beside ours: ``nova`` lives, and says what to uninstall."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

OLD = "rax_scheduled_images_python_novaclient_ext"
OLD_CLIENT = Path(os.environ.get("OLD_CLIENT_PATH", "/nonexistent"))
HINT = (
    f"The package {OLD} is obsolete: rax-scheduled-images-ext replaces it."
    f" Remove it with: pip uninstall {OLD}"
)
DEPRECATION = "nova CLI is deprecated and will be removed in a future release"

pytestmark = [
    pytest.mark.novaclient,
    pytest.mark.skipif(
        not (OLD_CLIENT / OLD).is_dir(),
        reason="OLD_CLIENT_PATH names no directory with the old client",
    ),
    pytest.mark.skipif(
        sys.version_info >= (3, 12),
        reason="novaclient itself dies of the old package on Python 3.12 and later",
    ),
]
Nova = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def old_nova(cloud: Sandbox) -> Nova:
    """A real ``nova`` process that finds the old package as well."""

    def run(*argv: str) -> tuple[int, str, list[str]]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "novaclient.shell", *argv],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **cloud.env(), "PYTHONPATH": str(OLD_CLIENT)},
        )
        err = [line for line in done.stderr.splitlines() if line != DEPRECATION]
        return done.returncode, done.stdout, err

    return run


def test_the_three_commands_work_and_say_once_what_to_remove(old_nova: Nova) -> None:
    assert old_nova("scheduled-images-enable", "myserver", "7") == (0, "", [HINT])
    status, out, err = old_nova("scheduled-images-show", "myserver")
    assert (status, out, err) == (0, "Schedule type: Daily\nRetention: 7\n", [HINT])
    assert old_nova("scheduled-images-disable", "myserver") == (0, "", [HINT])


def test_the_commands_are_ours(old_nova: Nova) -> None:
    status, out, err = old_nova("scheduled-images-show", "--format", "value", "web1")
    assert (status, out[:5], len(err)) == (1, "web1\t", 2)
    assert err[1].startswith("ERROR (NotFound): Scheduled images not enabled for")


def test_nova_itself_works(old_nova: Nova) -> None:
    status, out, err = old_nova("list")
    assert (status, err) == (0, [HINT])
    assert "myserver" in out
    status, out, err = old_nova("help")
    assert (status, err) == (0, [HINT])
    assert out.count("    scheduled-images-enable ") == 1
    assert out.count("    scheduled-images-disable ") == 1


API = f"""
import os
from novaclient import client
cs = client.Client(
    "2.1", os.environ["OS_USERNAME"], os.environ["OS_PASSWORD"],
    project_name=os.environ["OS_PROJECT_NAME"], auth_url=os.environ["OS_AUTH_URL"],
    user_domain_name="Default", project_domain_name="Default",
    region_name=os.environ["OS_REGION_NAME"],
    extensions=client.discover_extensions("2.1"),
)
server = cs.servers.find(name="myserver").id
cs.{OLD}.enable(server, "7")
print(cs.{OLD}.get(server).retention, cs.scheduled_images.get(server).retention)
print(type(cs.{OLD}).__module__)
"""


def test_programs_get_ours_under_both_names(cloud: Sandbox) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", API],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **cloud.env(), "PYTHONPATH": str(OLD_CLIENT)},
    )
    assert done.stdout == "7 7\nrax_scheduled_images_ext.cli.nova.legacy\n"
