"""How many requests each command sends: the exact ones, and never more than before."""

from __future__ import annotations

from typing import Any

import pytest
from novaclient import client, exceptions, utils

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import image_commands_are_ours
from .fleet import MYSERVER, NOBODY, add_image, sent
from .interceptor import Interceptor

BY_NAME = "GET /servers?name=%5Emyserver%24 200"
SCHEDULE = f"/servers/{MYSERVER}/rax-si-image-schedule"
IMAGE = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def cloud(cloud: Sandbox) -> Sandbox:
    add_image(cloud, "my image", image_id=IMAGE, a="1", b="2")
    return cloud


def cs(cloud: Sandbox) -> Any:
    """A client as programs make it, that has its token."""
    env = cloud.env()
    made = client.Client(
        "2.1",
        env["OS_USERNAME"],
        env["OS_PASSWORD"],
        project_name=env["OS_PROJECT_NAME"],
        auth_url=env["OS_AUTH_URL"],
        user_domain_name=env["OS_USER_DOMAIN_NAME"],
        project_domain_name=env["OS_PROJECT_DOMAIN_NAME"],
        region_name=env["OS_REGION_NAME"],
    )
    made.client.get_endpoint()
    cloud.requests.clear()
    return made


def old_schedule_command(cs: Any, method: str, server: str) -> None:
    """What the client of 2013 does: novaclient's own search, then the call."""
    server_id = utils.find_resource(cs.servers, server).id
    body = {"image_schedule": {"retention": 7}} if method == "POST" else None
    options = {} if body is None else {"body": body}
    cs.client.request(f"/servers/{server_id}/rax-si-image-schedule", method, **options)


COMMANDS = {
    "show": (["scheduled-images-show"], "GET", [f"GET {SCHEDULE} 200"]),
    "enable": (["scheduled-images-enable"], "POST", [f"POST {SCHEDULE} 200"]),
    "disable": (["scheduled-images-disable"], "DELETE", [f"DELETE {SCHEDULE} 202"]),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("server", "before"), [(MYSERVER, []), ("myserver", [BY_NAME])], ids=["id", "name"]
)
def test_schedules(
    nova: Any, cloud: Sandbox, command: str, server: str, before: list[str]
) -> None:
    argv, method, requests = COMMANDS[command]
    nova.ok("scheduled-images-enable", "myserver", "7")
    old = cs(cloud)
    old_schedule_command(old, method, server)
    old_requests = sent(cloud)

    nova.ok("scheduled-images-enable", "myserver", "7")
    cloud.requests.clear()
    nova.ok(*argv, server, *(["7"] if command == "enable" else []))
    ours = sent(cloud)
    assert ours == before + requests
    assert len(ours) < len(old_requests)


FAILURES = {
    "not enabled": (MYSERVER, [f"GET {SCHEDULE} 404"]),
    "not enabled, by name": ("myserver", [BY_NAME, f"GET {SCHEDULE} 404"]),
    "unknown name": (
        "nosuch",
        ["GET /servers?name=%5Enosuch%24 200", "GET /servers?name=nosuch 200"],
    ),
    "unknown id": (
        NOBODY,
        [
            f"GET /servers/{NOBODY}/rax-si-image-schedule 404",
            f"GET /servers/{NOBODY} 404",
            f"GET /servers?name={NOBODY} 200",
        ],
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_schedules_that_cannot_be_shown(nova: Any, cloud: Sandbox, case: str) -> None:
    server, requests = FAILURES[case]
    with pytest.raises((exceptions.NotFound, exceptions.CommandError)):
        old_schedule_command(cs(cloud), "GET", server)
    old_requests = sent(cloud)
    assert nova("scheduled-images-show", server).status == 1
    ours = sent(cloud)
    assert ours == requests
    assert len(ours) <= len(old_requests)


@pytest.mark.parametrize("server", [MYSERVER, "myserver"])
def test_a_cloud_without_the_extension(nova: Any, cloud: Sandbox, server: str) -> None:
    with pytest.raises(exceptions.NotFound):
        old_schedule_command(cs(cloud), "GET", server)
    old_requests = sent(cloud)
    with Interceptor(cloud) as front:
        front.without_schedules()
        assert nova("scheduled-images-show", server).status == 1
        ours = [line for line in front.log if "/servers" in line or "/ext" in line]
    # The last one finds out that the cloud is too old for tags.
    assert len(ours) == len(old_requests) + 1
    assert ours[-3:] == [
        f"GET /compute/v2.1{SCHEDULE}",
        "GET /compute/v2.1/extensions/rax-si-image-schedule",
        f"GET /compute/v2.1/servers/{MYSERVER}/tags",
    ]


def test_several_servers_are_as_many_times_one(nova: Any, cloud: Sandbox) -> None:
    ids = [cloud.boot(f"server {number}").id for number in range(5)]
    nova.recorded("scheduled-images-enable", *ids, "7")
    cloud.requests.clear()
    nova.recorded("scheduled-images-enable", *ids, "8")
    # Beside its own request each takes one for what was before.
    assert sorted(sent(cloud)) == sorted(
        f"{method} /servers/{server}/rax-si-image-schedule 200"
        for server in ids
        for method in ("GET", "POST")
    )


FIND_IMAGE = "GET /images?limit=1000&name=my+image 200"
IMAGE_COMMANDS: dict[str, tuple[list[str], list[str], int]] = {
    # command line, requests, and those of novaclient 7 beside the one that finds
    "list": (["image-list"], ["GET /images?limit=1000 200"], 1),
    "list, limited": (["image-list", "--limit", "1"], ["GET /images?limit=1 200"], 1),
    "show by id": (["image-show", IMAGE], [f"GET /images/{IMAGE} 200"], 0),
    "show by name": (["image-show", "my image"], [FIND_IMAGE], 0),
    "set by id": (
        ["image-meta", IMAGE, "set", "a=2", "c=3"],
        [f"PATCH /images/{IMAGE} 200"],
        1,
    ),
    "set by name": (
        ["image-meta", "my image", "set", "a=2"],
        [FIND_IMAGE, f"PATCH /images/{IMAGE} 200"],
        1,
    ),
    "remove by id": (
        ["image-meta", IMAGE, "delete", "a", "b"],
        [f"GET /images/{IMAGE} 200", f"PATCH /images/{IMAGE} 200"],
        2,
    ),
    "remove by name": (
        ["image-meta", "my image", "delete", "a"],
        [FIND_IMAGE, f"PATCH /images/{IMAGE} 200"],
        1,
    ),
    "remove what is not there": (
        ["image-meta", IMAGE, "delete", "nosuch"],
        [f"GET /images/{IMAGE} 200"],
        1,
    ),
    "delete by id": (["image-delete", IMAGE], [f"DELETE /images/{IMAGE} 204"], 1),
    "delete by name": (
        ["image-delete", "my image"],
        [FIND_IMAGE, f"DELETE /images/{IMAGE} 204"],
        1,
    ),
}


@image_commands_are_ours
@pytest.mark.parametrize("case", IMAGE_COMMANDS)
def test_images(nova: Any, cloud: Sandbox, case: str) -> None:
    argv, requests, old = IMAGE_COMMANDS[case]
    if argv[0] != "image-list":
        cs(cloud).glance.find_image(argv[1])
        old += len(sent(cloud))
    assert nova(*argv).status == (1 if "nosuch" in argv else 0)
    assert sent(cloud) == requests
    assert len(requests) <= old
