"""Snapshots of servers that were booted from scheduled images, by the real shells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    OWN_KEY,
    PENDING_KEY,
    run_metadata,
)
from rax_scheduled_images_ext.sandbox import Sandbox

from .clouds import PROXIED
from .fleet import MYSERVER, add_image

pytestmark = pytest.mark.flow

# The images are this package's service's there.
ours = pytest.mark.parametrize("cloud", [{"extension": False}, PROXIED], indirect=True)


def scheduled_image(cloud: Sandbox, number: int) -> str:
    """An image of myserver as the service leaves it; its ID."""
    metadata: dict[str, Any] = run_metadata(
        MYSERVER, f"2026-01-{number:02d}", f"1-{number:032x}"
    )
    del metadata[PENDING_KEY]
    name = f"Daily-myserver-{1767225600 + number * 86400}"
    image_id = add_image(cloud, name, **metadata)
    with cloud.region() as region:
        whole = {**metadata, OWN_KEY: f"{image_id}:1-{number:032x}"}
        region.images.update(image_id, properties=whole)
    cloud.advance("1d")
    return image_id


def enable(nova: Any, server: str, retention: int) -> None:
    # Where it is for the service to make images, that is said on stderr.
    assert nova("scheduled-images-enable", server, str(retention)).status == 0


def image_list(nova: Any, server: str) -> dict[str, tuple[str, bool]]:
    """Each image's reason and whether it counts, by its name."""
    rows = json.loads(nova.ok("scheduled-images-image-list", server, "--format=json"))
    return {row["name"]: (row["code"], row["counted"]) for row in rows}


def inventory(nova: Any) -> dict[str, int]:
    """How many images of each server count."""
    rows = json.loads(nova.ok("scheduled-images-list", "--format", "json"))
    return {row["server"]: row["counted"] for row in rows}


def pruned(nova: Any, server: str, *more: str) -> list[str]:
    """The names of the images that are deleted."""
    argv = ("scheduled-images-prune", "--yes", *more, server, "--format", "json")
    result = nova(*argv)
    assert result.status == 0, result
    rows = json.loads(result.out)
    assert result.err == ("" if rows else "There is nothing to delete.\n")
    assert {row["action"] for row in rows} <= {"deleted"}
    return [row["name"] for row in rows]


@ours
def test_the_only_image_is_not_lost_to_the_snapshot_of_its_heir(
    nova: Any, cloud: Sandbox
) -> None:
    """Nova gives the snapshot of a volume-backed server the old server's ID."""
    enable(nova, "myserver", 1)
    only = scheduled_image(cloud, 1)
    heir = cloud.boot("heir", image_id=only, volume_size=1)
    nova.ok("image-create", "heir", "mine")
    (mine,) = (image for image in cloud.images() if image.name == "mine")
    assert mine.properties["instance_uuid"] == MYSERVER
    assert mine.properties[MARKER_KEY]
    listed = image_list(nova, "myserver")
    assert listed.pop("mine") == ("inherited", False)
    assert list(listed.values()) == [("newest", True)]
    assert inventory(nova)["myserver"] == 1
    assert pruned(nova, "myserver") == []
    forecast = nova("scheduled-images-enable", "--dry-run", "myserver", "1").out
    assert "mine" not in forecast
    assert only in forecast
    assert {only, mine.id} <= {image.id for image in cloud.images()}
    assert heir.id


@ours
def test_a_snapshot_outlives_an_image_that_does_not_say_what_it_is(
    nova: Any, cloud: Sandbox
) -> None:
    """The image that a server was rebuilt to was made before images said so."""
    enable(nova, "myserver", 1)
    metadata: dict[str, Any] = run_metadata(MYSERVER, "2026-01-01", "1-before")
    del metadata[PENDING_KEY]
    add_image(cloud, "Daily-myserver-1767225600", **metadata)
    cloud.advance("1h")
    add_image(cloud, "mine", **metadata)
    cloud.advance("1d")
    for number in (2, 3):
        scheduled_image(cloud, number)
        assert len(pruned(nova, "myserver")) == 1
    listed = image_list(nova, "myserver")
    assert listed.pop("mine") == ("inherited", False)
    assert list(listed.values()) == [("newest", True)]


def snapshot_an_heir(nova: Any, cloud: Sandbox) -> None:
    """Boot a server from a scheduled image, and make images of it by hand."""
    base = scheduled_image(cloud, 1)
    cloud.boot("heir", image_id=base)
    enable(nova, "heir", 1)
    for name in ("first", "second"):
        nova.ok("image-create", "heir", name)
        cloud.advance("10m")
    nova.ok("backup", "heir", "third", "daily", "1")
    cloud.advance("10m")


@ours
def test_the_snapshots_of_an_heir_are_its_owners(nova: Any, cloud: Sandbox) -> None:
    snapshot_an_heir(nova, cloud)
    assert image_list(nova, "heir") == {
        "third": ("not_a_snapshot", False),
        "second": ("inherited", False),
        "first": ("inherited", False),
    }
    assert inventory(nova)["heir"] == 0
    assert pruned(nova, "heir") == []


def test_on_rackspaces_cloud_its_own_service_counts_them(
    nova: Any, cloud: Sandbox
) -> None:
    snapshot_an_heir(nova, cloud)
    assert image_list(nova, "heir") == {
        "third": ("newest", True),
        "second": ("surplus", True),
        "first": ("surplus", True),
    }
    assert pruned(nova, "heir") == ["first", "second"]


@ours
def test_hidden_images_and_such_as_are_not_whole(nova: Any, cloud: Sandbox) -> None:
    enable(nova, "myserver", 2)
    one, two, three, four = (scheduled_image(cloud, number) for number in range(1, 5))
    with cloud.region() as region:
        properties = region.images.get(four).properties
        region.images.update(four, properties={**properties, PENDING_KEY: "pending"})
        region.images.update(three, attributes={"hidden": True})
    assert list(image_list(nova, "myserver").values()) == [
        ("pending", False),
        ("newest", True),
        ("newest", True),
    ]
    assert inventory(nova)["myserver"] == 2
    assert pruned(nova, "myserver") == []
    assert len(pruned(nova, "myserver", "--keep", "1")) == 1
    left = {image.id for image in cloud.images()}
    assert one not in left
    assert {two, three, four} <= left
