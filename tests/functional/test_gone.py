"""Servers that are gone: listed, and pruned on request, by the real shells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import (
    FACTS_KEY,
    GONE_KEY,
    MARKER_KEY,
    SERVER_KEY,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery

from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from .fleet import MYSERVER, id_of, sent
from .gone import (
    NO_SERVER,
    archive_server,
    boot_from,
    delete_server,
    left,
    make_elsewhere,
    make_images,
    plain,
    restore_server,
    shared,
)
from .interceptor import Interceptor, json_answer, page

pytestmark = pytest.mark.flow

PRUNE = ("scheduled-images-prune", "--yes")


def gone(nova: Nova, *options: str) -> list[dict[str, Any]]:
    """The rows of the servers that are gone."""
    argv = ("scheduled-images-list", "--gone", "--format", "json", *options)
    rows: list[dict[str, Any]] = json.loads(nova.ok(*argv))
    return rows


@not_beside_novaclient_7
@plain
def test_they_are_listed(cloud: Sandbox, nova: Nova, openstack: OpenStack) -> None:
    make_images(cloud, 3)
    assert gone(nova) == []
    delete_server(cloud)
    cloud.advance("2d")
    assert gone(nova) == [
        {
            "server": "myserver",
            "id": MYSERVER,
            "state": "gone",
            "deleted": "2026-01-07T17:51:00Z",
            "images": 3,
            "kept": 0,
            "newest": "2026-01-07T17:46:00Z",
            "oldest": "2026-01-05T17:46:00Z",
            "gib": 2.149,
        }
    ]
    assert gone(nova, "--name", "^my") == gone(nova)
    assert gone(nova, "--name", "^web") == []
    table = nova.ok("scheduled-images-list", "--gone")
    assert "| gone  | 2d ago  | 3 " in table
    (row,) = openstack.json("server", "image", "schedule", "list", "--gone")
    assert (row["ID"], row["State"], row["Images"]) == (MYSERVER, "gone", 3)


@plain
def test_they_are_pruned_by_their_ids_and_last_names(
    cloud: Sandbox, nova: Nova
) -> None:
    images = make_images(cloud, 4)
    delete_server(cloud)
    result = nova(*PRUNE, MYSERVER)
    assert (result.status, result.out) == (1, "")
    assert result.err.endswith(
        f"Server myserver ({MYSERVER}) is gone, and with it its schedule: use --keep to"
        " say how many of its images stay, or --gone to delete all of them\n"
    )
    assert left(cloud) == images
    assert "than the newest 3" in nova.ok(*PRUNE, "--keep", "3", MYSERVER)
    assert left(cloud) == images[1:]
    assert "than the newest 2" in nova.ok(*PRUNE, "--keep", "2", "myserver")
    assert left(cloud) == images[2:]
    planned = nova.ok(
        "scheduled-images-prune", "--gone", "--dry-run", "--format", "json"
    )
    assert [row["action"] for row in json.loads(planned)] == ["delete", "delete"]
    assert left(cloud) == images[2:]
    rows = json.loads(nova.ok(*PRUNE, "--gone", "--format", "json"))
    assert [(row["id"], row["action"]) for row in rows] == [
        (images[2], "deleted"),
        (images[3], "deleted"),
    ]
    assert left(cloud) == []
    assert nova.recorded(*PRUNE, "--gone") == "There is nothing to delete.\n"


@plain
def test_openstack_prunes_them_as_well(cloud: Sandbox, openstack: OpenStack) -> None:
    images = make_images(cloud, 2)
    delete_server(cloud)
    prune = ("server", "snapshot", "prune", "--yes")
    result = openstack(*prune)
    assert (result.status, "name servers, or use --gone" in result.err) == (2, True)
    assert openstack.ok(*prune, "--keep", "1", "myserver", "-f", "json")
    assert left(cloud) == images[1:]
    (row,) = json.loads(openstack.ok(*prune, "--gone", "-f", "json"))
    assert (row["ID"], row["Action"]) == (images[1], "deleted")
    assert left(cloud) == []


@plain
def test_a_name_that_two_had_is_ambiguous(cloud: Sandbox, nova: Nova) -> None:
    images = make_images(cloud, 2)
    delete_server(cloud)
    web = id_of(cloud, "web1")
    with cloud.region() as region:
        last = region.images.get(images[1])
        facts = json.loads(last.properties[FACTS_KEY])
        twin = region.images.add(owner=last.owner, name=last.name, properties={})
        region.images.upload(twin.id, b"disk")
        properties = {
            **last.properties,
            SERVER_KEY: web,
            FACTS_KEY: json.dumps({**facts, "image": twin.id}),
        }
        for key in ("scheduled_images_run", "scheduled_images_id"):
            del properties[key]
        region.images.update(twin.id, properties=properties)
    delete_server(cloud, web)
    assert [row["server"] for row in gone(nova)] == ["myserver", "myserver"]
    result = nova(*PRUNE, "--keep", "1", "myserver")
    assert result.status == 1
    assert "Multiple server matches found for 'myserver'" in result.err
    assert len(left(cloud)) == 3


@plain
def test_one_that_is_there_is_not_gone(cloud: Sandbox, nova: Nova) -> None:
    images = make_images(cloud, 2)
    for name in (MYSERVER, "myserver"):
        result = nova(*PRUNE, "--gone", name)
        assert (result.status, result.out) == (1, "")
        assert f"Server {MYSERVER} is not gone" in result.err
    assert nova.recorded(*PRUNE, "--gone") == "There is nothing to delete.\n"
    assert left(cloud) == images


@plain
@pytest.mark.parametrize(
    "answer",
    [
        json_answer("404 Not Found", NO_SERVER),
        page("404 Not Found"),
        page("503 Service Unavailable"),
        json_answer("403 Forbidden", '{"forbidden": {"message": "no", "code": 403}}'),
        json_answer("200 OK", '{"servers": []}'),
    ],
)
@pytest.mark.parametrize("server", [(), (MYSERVER,)])
def test_whatever_is_answered_of_one_that_is_there_deletes_nothing(
    cloud: Sandbox, nova: Nova, front: Interceptor, answer: Any, server: Any
) -> None:
    images = make_images(cloud, 2)
    front.change("GET", r"/servers(\?|$)", lambda _: b'{"servers": []}')
    front.answer("GET", f"/servers/{MYSERVER}$", answer)
    for argv in ((*PRUNE, "--gone", *server), (*PRUNE, "--keep", "1", *server)):
        result = nova(*argv)
        assert "deleted" not in result.out
        assert left(cloud) == images


@plain
def test_one_that_comes_back_meanwhile_keeps_the_rest(
    cloud: Sandbox, nova: Nova, front: Interceptor
) -> None:
    images = make_images(cloud, 3)
    delete_server(cloud)

    def back(content: bytes) -> bytes:
        restore_server(cloud)
        return content

    # After the first deletion: the sandbox's lock is not held while it is answered.
    front.change("DELETE", f"/images/{images[0]}$", back)
    rows = json.loads(nova.ok(*PRUNE, "--gone", "--format", "json"))
    assert [(row["action"], row["reason"]) for row in rows] == [
        ("deleted", "its server is gone"),
        ("skipped", "not known to be gone"),
        ("skipped", "not known to be gone"),
    ]
    assert left(cloud) == images[1:]


@shared
def test_what_a_server_of_another_region_boots_from_stays(
    cloud: Sandbox, nova: Nova
) -> None:
    images = make_images(cloud, 3)
    name = cloud.regions[1]
    with cloud.region(name) as region:
        (server,) = region.servers.select(ServerQuery())
        boot_from(region, images[0], server.id)
    delete_server(cloud)
    rows = json.loads(nova.ok(*PRUNE, "--gone", "--format", "json"))
    assert [row["action"] for row in rows] == ["skipped", "deleted", "deleted"]
    assert left(cloud) == images[:1]
    # What is not known of that region permits nothing.
    cloud.fault(f"GET /{name}/compute/.*image= 500")
    assert nova(*PRUNE, "--gone").status == 1
    assert left(cloud) == images[:1]
    cloud.clear_faults()
    with cloud.region(name) as region:
        for server in region.servers.select(ServerQuery()):
            region.servers.delete(server.id)
    nova.ok(*PRUNE, "--gone")
    assert left(cloud) == []


@plain
def test_what_a_server_boots_from_or_is_protected_stays(
    cloud: Sandbox, nova: Nova
) -> None:
    images = make_images(cloud, 3)
    with cloud.region() as region:
        boot_from(region, images[0])
        region.images.update(images[1], attributes={"protected": True})
    delete_server(cloud)
    planned = nova.ok(
        "scheduled-images-prune", "--gone", "--dry-run", "--format", "json"
    )
    assert [row["action"] for row in json.loads(planned)] == ["skip", "skip", "delete"]
    rows = json.loads(nova(*PRUNE, "--gone", "--format", "json").out)
    assert (
        rows[0]["reason"] == "its server is gone; not deleted: a server boots from it"
    )
    assert left(cloud) == images[:2]


@plain
def test_one_whose_history_is_archived(cloud: Sandbox, nova: Nova) -> None:
    images = make_images(cloud, 2)
    delete_server(cloud)
    archive_server(cloud)
    (row,) = gone(nova)
    assert (row["state"], row["deleted"]) == ("gone", None)
    nova.ok(*PRUNE, "--keep", "1", "myserver")
    assert left(cloud) == images[1:]


@shared
def test_the_servers_of_another_region_with_the_same_images(
    cloud: Sandbox, nova: Nova
) -> None:
    """They are 404 here for ever, and there they live."""
    theirs = make_elsewhere(cloud, 2)
    mine = make_images(cloud, 2)[-2:]
    delete_server(cloud)
    here, there = sorted(gone(nova), key=lambda row: str(row["server"]), reverse=True)
    assert (here["server"], here["state"]) == ("myserver", "gone")
    assert (there["server"], there["state"]) == ("backup1", "region unknown")
    assert there["deleted"] is None
    for server in (there["id"], "backup1"):
        for how in (("--gone",), ("--keep", "1"), ("--keep", "1", "--gone")):
            result = nova(*PRUNE, *how, server)
            assert (result.status, result.out) == (1, "")
            assert "is not known to have been in this region" in result.err
    nova.ok(*PRUNE, "--gone")
    assert left(cloud) == theirs
    # In their own region they are there.
    where = ("--os-region-name", cloud.regions[1])
    assert nova.ok(*where, "scheduled-images-list", "--gone", "--format", "value") == ""
    assert len(mine) == 2


@shared
def test_an_image_that_says_nothing_of_its_region(cloud: Sandbox, nova: Nova) -> None:
    theirs = make_elsewhere(cloud, 2)
    with cloud.region() as region:
        for image_id in theirs:
            properties = dict(region.images.get(image_id).properties)
            del properties[FACTS_KEY]
            region.images.update(image_id, properties=properties)
    (row,) = gone(nova)
    assert row["state"] == "region unknown"
    assert nova.recorded(*PRUNE, "--gone") == "There is nothing to delete.\n"
    assert left(cloud) == theirs


@plain
def test_what_is_inherited_says_nothing(cloud: Sandbox, nova: Nova) -> None:
    images = make_images(cloud, 1)
    with cloud.region() as region:
        original = region.images.get(images[0])
        copy = region.images.add(
            owner=original.owner, name="mine", properties=original.properties
        )
        region.images.upload(copy.id, b"disk")
    delete_server(cloud)
    (row,) = gone(nova)
    assert (row["images"], row["gib"]) == (1, gone(nova)[0]["gib"])
    nova.ok(*PRUNE, "--gone")
    assert left(cloud) == [copy.id]
    with cloud.region() as region:
        assert MARKER_KEY in region.images.get(copy.id).properties


@plain
@pytest.mark.parametrize(
    "argv",
    [
        ("scheduled-images-list", "--gone", "--enabled"),
        ("scheduled-images-list", "--gone", "--all-regions"),
        ("scheduled-images-list", "--gone", "--long"),
        ("scheduled-images-list", "--price", "1"),
        ("scheduled-images-list", "--long", "--price", "-1"),
        ("scheduled-images-list", "--long", "--price", "nan"),
        ("scheduled-images-prune",),
    ],
)
def test_bad_usage_sends_nothing(cloud: Sandbox, nova: Nova, argv: Any) -> None:
    sent(cloud)
    result = nova(*argv)
    assert (result.status, result.out) == (2, "")
    assert not [line for line in sent(cloud) if "/servers" in line or "/images" in line]


@plain
def test_one_unreadable_server_does_not_hide_the_others(
    cloud: Sandbox, nova: Nova
) -> None:
    make_images(cloud, 1)
    delete_server(cloud)
    cloud.fault(f"GET /servers/{MYSERVER}$ 500")
    result = nova("scheduled-images-list", "--gone", "--format", "json")
    assert (result.status, json.loads(result.out)) == (1, [])
    assert MYSERVER in result.err
    assert GONE_KEY not in result.err
