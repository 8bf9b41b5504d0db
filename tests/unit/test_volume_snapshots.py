"""Which volume snapshots are an image's own."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.image import (
    MAPPING_KEY,
    ServerImage,
    scheduled_image_name,
)
from rax_scheduled_images_ext.model.volume_snapshots import (
    LONGEST_IMAGE_NAME,
    NAME_PREFIX,
    SnapshotsInDoubt,
    VolumeSnapshot,
    named_snapshots,
    own_snapshots,
)

IDS = [str(uuid.UUID(int=number, version=4)) for number in range(1, 5)]


def image(number: int, *snapshot_ids: str, **more: Any) -> ServerImage:
    """An image that names these snapshots, as Nova writes it."""
    mapping = [
        {"source_type": "snapshot", "snapshot_id": each, "boot_index": place}
        for place, each in enumerate(snapshot_ids)
    ]
    metadata = {MAPPING_KEY: json.dumps(mapping)} if mapping else {}
    made = ServerImage(f"image-{number}", f"name {number}", "ACTIVE", owner="ours")
    return replace(made, **{"metadata": metadata, **more})


def snapshot(number: int, snapshot_id: str, **more: Any) -> VolumeSnapshot:
    """A snapshot that was made for an image."""
    name = f"{NAME_PREFIX}name {number}"
    return replace(VolumeSnapshot(snapshot_id, name, "available", "ours"), **more)


def mapped(text: str) -> ServerImage:
    """An image with this mapping."""
    return image(1, metadata={MAPPING_KEY: text})


def test_those_made_for_the_image() -> None:
    found = {each: snapshot(1, each) for each in IDS[:2]}
    mine = image(1, *IDS[:2])
    own = own_snapshots(mine, [mine, image(2, IDS[2])], found.get)
    assert [each.id for each in own] == IDS[:2]


def test_an_image_with_data_has_none() -> None:
    assert named_snapshots(image(1)) == []
    assert own_snapshots(image(1), [image(2, IDS[0])], lambda _: None) == []


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"source_type": "volume", "volume_id": IDS[0]}]),
        json.dumps([{"source_type": "blank", "snapshot_id": None}]),
        json.dumps([{"device_name": "vda", "no_device": True}]),
        "[]",
    ],
)
def test_what_names_no_snapshot(text: str) -> None:
    assert named_snapshots(mapped(text)) == []


def test_an_old_mapping_names_snapshots_without_a_source() -> None:
    old = [{"device_name": "vda", "snapshot_id": IDS[0], "volume_size": None}]
    assert named_snapshots(mapped(json.dumps(old))) == IDS[:1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[1]",
        "[{",
        pytest.param("[" * 100_000, id="deep"),
        "[{'source_type': 'snapshot'}]",
        '[{"source_type": "snapshot"}]',
        '[{"source_type": "snapshot", "snapshot_id": "../volumes/x"}]',
        '[{"source_type": "snapshot", "snapshot_id": 7}]',
        '[{"source_type": "tape"}]',
        '[{"source_type": ["snapshot"]}]',
    ],
)
def test_a_mapping_that_is_not_understood(text: str) -> None:
    with pytest.raises(SnapshotsInDoubt, match=f"its {MAPPING_KEY} "):
        named_snapshots(mapped(text))


@given(st.text() | st.recursive(st.none(), st.lists).map(json.dumps))
def test_no_mapping_is_too_strange(text: str) -> None:
    with suppress(SnapshotsInDoubt):
        assert all(uuid.UUID(each) for each in named_snapshots(mapped(text)))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "mine"}, "is called 'mine', not 'snapshot for name 1'"),
        ({"name": None}, "is called 'None', not 'snapshot for name 1'"),
        ({"project_id": "theirs"}, "is not known to belong to the project"),
        ({"project_id": None}, "is not known to belong to the project"),
        ({"status": "backing-up"}, "is backing-up, not available"),
        ({"status": "error_deleting"}, "is error_deleting, not available"),
    ],
)
def test_one_in_doubt_keeps_the_image(changes: Any, why: str) -> None:
    found = {IDS[0]: snapshot(1, IDS[0]), IDS[1]: snapshot(1, IDS[1], **changes)}
    with pytest.raises(SnapshotsInDoubt, match=f"its volume snapshot {IDS[1]} {why}"):
        own_snapshots(image(1, *IDS[:2]), [], found.get)


def test_those_gone_or_going_are_not_in_the_way() -> None:
    found = {IDS[0]: snapshot(1, IDS[0], status="deleting", name="any")}
    assert own_snapshots(image(1, *IDS[:2]), [], found.get) == []


def test_a_mapping_that_is_not_understood_may_still_need_a_snapshot() -> None:
    found = {IDS[0]: snapshot(1, IDS[0])}
    other = image(2, metadata={MAPPING_KEY: f"[{IDS[0].upper()}"})
    assert own_snapshots(image(1, IDS[0]), [other], found.get) == []


named = st.lists(st.sampled_from(IDS), max_size=3)
statuses = st.sampled_from(["available", "available", "error", "creating", "deleting"])


@given(
    st.lists(named, min_size=1, max_size=4),
    st.dictionaries(
        st.sampled_from(IDS),
        st.tuples(st.integers(0, 3), st.sampled_from(["ours", "theirs"]), statuses),
    ),
)
def test_no_snapshot_of_another_image_is_ever_taken(
    mappings: list[list[str]], there: dict[str, tuple[int, str, str]]
) -> None:
    images = [image(number, *ids) for number, ids in enumerate(mappings)]
    found = {
        each: snapshot(number, each, project_id=owner, status=status)
        for each, (number, owner, status) in there.items()
    }
    try:
        own = own_snapshots(images[0], images, found.get)
    except SnapshotsInDoubt:
        return
    for each in own:
        assert each.name == NAME_PREFIX + images[0].name
        assert each.project_id == "ours"
        assert not any(each.id in ids for ids in mappings[1:])


@given(st.text(min_size=1, max_size=255), st.booleans())
def test_nova_can_name_the_snapshots_of_a_scheduled_image(
    server: str, weekly: bool
) -> None:
    name = scheduled_image_name(
        server, weekly=weekly, now=1767225600.0, longest=LONGEST_IMAGE_NAME
    )
    assert len(NAME_PREFIX + name) <= 255
