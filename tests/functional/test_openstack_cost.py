"""What the plugin costs: modules that other commands import, requests of its own."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from .fleet import MYSERVER, add_image, sent
from .interceptor import Interceptor

pytestmark = not_beside_novaclient_7

PACKAGE = "rax_scheduled_images_ext"
BY_NAME = "GET /servers?name=%5Emyserver%24 200"
SERVER = f"/servers/{MYSERVER}"
SCHEDULE = f"{SERVER}/rax-si-image-schedule"
OF_SERVER = f"GET /images?limit=1000&instance_uuid={MYSERVER}"


# Python does not time what plugins are loaded by, so that is asked at the end.
PROGRAM = """
import sys
from openstackclient.shell import main

status = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""


def imported(cloud: Sandbox, *argv: str) -> tuple[set[str], set[str]]:
    """The modules that ``openstack`` imports: those that are timed, and all."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", PROGRAM, *argv],
        env=cloud.environ(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    timed = re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.MULTILINE)
    return set(timed), set(done.stderr.splitlines()[-1].split())


def of(package: str, modules: set[str]) -> set[str]:
    """Those of the modules that are a package's."""
    return {name for name in modules if name.partition(".")[0] == package}


def test_other_commands_import_nothing_of_ours(cloud: Sandbox) -> None:
    timed, all_ = imported(cloud, "server", "list")
    assert "openstackclient.compute.v2.server" in all_
    assert of(PACKAGE, timed) == set()
    # What every plugin is loaded by imports nothing else.
    stand_ins = f"{PACKAGE}.cli.openstack"
    assert of(PACKAGE, all_) == {PACKAGE, f"{PACKAGE}.cli", stand_ins}
    # The same look finds them where they are needed, and novaclient nowhere.
    timed, all_ = imported(cloud, "server", "image", "schedule", "list")
    assert f"{PACKAGE}.operations.inventory" in timed
    assert f"{PACKAGE}.cli.openstack.list" in all_
    assert of("novaclient", all_) == set()
    assert not any(name.startswith(f"{PACKAGE}.cli.nova") for name in all_)


@pytest.fixture
def scheduled(cloud: Sandbox, openstack: OpenStack) -> Sandbox:
    openstack.ok(
        *("server", "image", "schedule", "set", "--retention", "3", "myserver")
    )
    cloud.advance("3d")
    add_image(cloud, "mine", instance_uuid=MYSERVER, image_type="snapshot")
    cloud.requests.clear()
    return cloud


# a command line, and the same for nova
PAIRS: dict[str, tuple[str, str]] = {
    "set": (
        "server image schedule set --retention 4",
        "scheduled-images-update --retention 4",
    ),
    "forecast": (
        "server image schedule set --dry-run --daily --retention 4",
        "scheduled-images-enable --dry-run {} 4",
    ),
    "unset": ("server image schedule unset", "scheduled-images-disable"),
    "images": ("server snapshot list", "scheduled-images-image-list"),
    "plan": (
        "server snapshot prune --dry-run --keep 1",
        "scheduled-images-prune --dry-run --keep 1",
    ),
    "watch": ("server snapshot watch", "snapshot-watch"),
}


@pytest.mark.parametrize("case", PAIRS)
@pytest.mark.parametrize("server", [MYSERVER, "myserver"], ids=["id", "name"])
def test_as_many_as_nova(
    scheduled: Sandbox, openstack: OpenStack, nova: Nova, case: str, server: str
) -> None:
    ours, theirs = PAIRS[case]
    line = theirs.format(server) if "{}" in theirs else f"{theirs} {server}"
    assert nova(*line.split()).status == 0
    of_nova = sent(scheduled)
    if case == "unset":
        openstack.ok(
            *("server", "image", "schedule", "set", "--retention", "3", "myserver")
        )
    elif case == "set":
        nova("scheduled-images-update", "--retention", "3", server)
    sent(scheduled)
    assert openstack(*ours.split(), server).status == 0
    assert sent(scheduled) == of_nova


WHOLE = {
    "list": ("server image schedule list", "scheduled-images-list"),
    "enabled": (
        "server image schedule list --enabled",
        "scheduled-images-list --enabled",
    ),
    "check": ("server image schedule check", "scheduled-images-check"),
    "protect": ("server snapshot protect mine", "scheduled-images-protect mine"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_of_the_whole_project_as_many_as_nova(
    scheduled: Sandbox, openstack: OpenStack, nova: Nova, case: str
) -> None:
    ours, theirs = WHOLE[case]
    assert nova(*theirs.split()).status == 0
    of_nova = sent(scheduled)
    openstack.ok(*ours.split())
    assert sent(scheduled) == of_nova


def test_show_asks_for_what_it_shows(scheduled: Sandbox, openstack: OpenStack) -> None:
    expected = [f"GET {SCHEDULE} 200", f"GET {SERVER} 200"]
    for server, before in ((MYSERVER, []), ("myserver", [BY_NAME])):
        openstack.ok("server", "image", "schedule", "show", server)
        *requests, last = sent(scheduled)
        assert requests == [*before, *expected]
        assert last.startswith(OF_SERVER)


def test_one_token_is_enough(
    scheduled: Sandbox, openstack: OpenStack, front: Interceptor
) -> None:
    openstack.ok("server", "image", "schedule", "list")
    tokens = [line for line in front.log if line.startswith("POST /identity")]
    assert len(tokens) == 1
    # The shell looks at the version of the identity API; we at none.
    versions = [line for line in front.log if re.search(r" /(compute|image)/?$", line)]
    assert versions == []


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_where_tags_are_schedules_the_list_takes_one_more(
    cloud: Sandbox, openstack: OpenStack, nova: Nova
) -> None:
    nova("scheduled-images-enable", "myserver", "3")
    sent(cloud)
    nova.ok("scheduled-images-list")
    of_nova = sent(cloud)
    openstack.ok("server", "image", "schedule", "list")
    # Its API version is 2.1 by default, and that shows no tags.
    assert len(sent(cloud)) == len(of_nova) + 1
    openstack.ok(
        *("--os-compute-api-version", "2.90", "server", "image", "schedule", "list")
    )
    assert len(sent(cloud)) == len(of_nova)
