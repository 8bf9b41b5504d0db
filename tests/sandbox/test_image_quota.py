"""The sandbox's image quota, which is as Glance's ``image_count_total``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.clouds import open_cloud
from ..functional.fleet import MYSERVER, add_image, id_of, project_of
from ..functional.raw import Box, Caller, box

TWO = {"speed": 0, "image_quota": 2}


@pytest.fixture
def small() -> Iterator[Box]:
    """A cloud in which a project may have two images."""
    with box("openstack", **TWO) as made:
        yield made


def create(caller: Caller, **wanted: Any) -> int:
    answer = caller.image("POST", "/images", json={"name": "x", **wanted})
    if answer.status_code == 413:
        text = answer.json()["message"]
        assert text.startswith("The request returned a 413 Request Entity Too Large.")
        project = caller.project_id
        assert (
            f"Project {project} is over a limit for [Resource image_count_total is over"
            " limit of 2 due to current usage 2 and delta 1]" in text
        )
    return answer.status_code


def images(caller: Caller) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for hidden in ("true", "false"):
        answer = caller.image("GET", f"/images?os_hidden={hidden}")
        found += [
            each
            for each in answer.json()["images"]
            if each["owner"] == caller.project_id
        ]
    return found


def test_queued_and_hidden_images_count_and_deleted_ones_do_not(small: Box) -> None:
    admin = small.admin
    assert create(admin, os_hidden=True) == 201
    assert create(admin) == 201
    assert create(admin) == 413
    # An ID that is in use makes no difference.
    assert create(admin, id=images(admin)[0]["id"]) == 413
    admin.image("DELETE", f"/images/{images(admin)[0]['id']}")
    assert create(admin) == 201
    assert create(admin) == 413
    # Each project has its own.
    assert create(small.as_("stranger")) == 201


def test_nova_knows_nothing_of_it(small: Box) -> None:
    admin = small.admin
    create(admin)
    create(admin)
    server = admin.boot("s")
    backup = {"name": "b", "backup_type": "daily", "rotation": 1}
    for body in ({"createImage": {"name": "i"}}, {"createBackup": backup}):
        answer = admin.post(f"/servers/{server}/action", body)
        assert answer.status_code == 500
        error = answer.json()["computeFault"]
        assert error["code"] == 500
        assert error["message"].endswith("<class 'glanceclient.exc.HTTPOverLimit'>")
    assert len(images(admin)) == 2
    shown = admin.get(f"/servers/{server}").json()["server"]
    assert shown["OS-EXT-STS:task_state"] is None


def test_the_snapshots_of_volumes_are_left(small: Box) -> None:
    """Nova makes the image after them."""
    cloud = small.sandbox
    server = cloud.boot("database", volume_size=1)
    for _ in range(2):
        create(small.admin)
    body = {"createImage": {"name": "i"}}
    answer = small.admin.post(f"/servers/{server.id}/action", body)
    assert answer.status_code == 500
    project_id = project_of(cloud)
    with cloud.region() as region:
        (left,) = region.volumes.snapshots(project_id)
    assert left.name == "snapshot for i"


def test_the_sandboxs_own_service() -> None:
    with open_cloud({**TWO}) as cloud:
        add_image(cloud, "mine")
        with cloud.region() as region:
            region.schedules.set(MYSERVER, 7, None)
        cloud.advance("5d")
        assert len(cloud.images(MYSERVER)) == 1


def test_hidden_images_are_in_no_list_but_that_of_hidden_ones(small: Box) -> None:
    admin = small.admin
    assert create(admin, os_hidden=True) == 201
    (hidden,) = images(admin)
    assert hidden["os_hidden"] is True
    for query in ("", "?os_hidden=false", "?visibility=all", "?status=queued"):
        listed = admin.image("GET", f"/images{query}").json()["images"]
        assert hidden["id"] not in [each["id"] for each in listed]
    for path in ("/images", "/images/detail"):
        listed = admin.get(path).json()["images"]
        assert hidden["id"] not in [each["id"] for each in listed]
    # By its ID it is there, for the compute service too.
    assert admin.image("GET", f"/images/{hidden['id']}").status_code == 200
    assert admin.get(f"/images/{hidden['id']}").status_code == 200


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_what_snapshots_inherit(cloud: Sandbox) -> None:
    """Of a server that boots from a volume also whose image it once was."""
    long = "x" * 300
    base = add_image(
        cloud,
        "base",
        instance_uuid=MYSERVER,
        image_type="snapshot",
        user_id="u",
        a=long,
    )
    plain = cloud.boot("plain", image_id=base)
    backed = cloud.boot("backed", image_id=base, volume_size=1)
    for server in (plain, backed):
        with cloud.region() as region:
            region.snapshots.create(server.id, server.name, {}, user_id="me")
    cloud.advance("10m")
    found = {image.name: image.properties for image in cloud.images()}
    assert found["plain"]["instance_uuid"] == id_of(cloud, "plain")
    assert found["plain"]["user_id"] == "me"
    assert found["backed"]["instance_uuid"] == MYSERVER
    assert found["backed"]["user_id"] == "u"
    assert found["backed"]["image_type"] == "snapshot"
    assert found["plain"]["a"] == found["backed"]["a"] == long[:255]


def test_a_cloud_may_begin_with_more_than_its_quota() -> None:
    options = {"image_quota": 1, "server_quota": 1, "images_per_server": 3}
    with box("openstack", speed=0, servers=2, **options) as made:
        assert len(images(made.admin)) > 3
        assert made.admin.image("POST", "/images", json={}).status_code == 413


def test_usage_is_shown_as_glance_documents_it(small: Box) -> None:
    assert create(small.admin) == 201
    shown = small.admin.image("GET", "/info/usage").json()
    # The sizes are in MiB; what has no limit is -1.
    assert shown == {
        "usage": {
            "image_size_total": {"limit": -1, "usage": 0},
            "image_stage_total": {"limit": -1, "usage": 0},
            "image_count_total": {"limit": 2, "usage": 1},
            "image_count_uploading": {"limit": -1, "usage": 0},
        }
    }
    with box("openstack", speed=0) as without:
        assert without.admin.image("GET", "/info/usage").json() == {"usage": {}}
