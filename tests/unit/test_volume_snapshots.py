"""Which volume snapshots are an image's own, and whether an image is whole."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.errors import SnapshotsInDoubt
from rax_scheduled_images_ext.model.image import (
    MAPPING_KEY,
    ServerImage,
    scheduled_image_name,
)
from rax_scheduled_images_ext.model.volume_snapshots import (
    FATE_KEY,
    GOES,
    IMAGE_KEY,
    LONGEST_IMAGE_NAME,
    NAME_PREFIX,
    STAYS,
    TIME_TO_DELETE,
    VolumeSnapshot,
    Wholeness,
    deletion_metadata,
    ids_in_mapping,
    is_left,
    may_be_deleted_again,
    named_snapshots,
    own_snapshots,
    prove,
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


def needed(*images: ServerImage) -> Callable[[str], bool]:
    """Whether one of these images may need a snapshot."""
    return set[str]().union(*map(ids_in_mapping, images)).__contains__


def test_those_made_for_the_image() -> None:
    found = {each: snapshot(1, each) for each in IDS[:2]}
    mine = image(1, *IDS[:2])
    own = own_snapshots(mine, needed(image(2, IDS[2])), found.get)
    assert [each.id for each in own] == IDS[:2]


def test_an_image_with_data_has_none() -> None:
    assert named_snapshots(image(1)) == []
    assert own_snapshots(image(1), needed(image(2, IDS[0])), lambda _: None) == []


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
        ({"project_id": "theirs"}, "is not known to belong to the image's project"),
        ({"project_id": None}, "is not known to belong to the image's project"),
        ({"status": "backing-up"}, "is backing-up, not available"),
        ({"status": "error_deleting"}, "is error_deleting, not available"),
    ],
)
def test_one_in_doubt_keeps_the_image(changes: Any, why: str) -> None:
    found = {IDS[0]: snapshot(1, IDS[0]), IDS[1]: snapshot(1, IDS[1], **changes)}
    with pytest.raises(SnapshotsInDoubt, match=f"its volume snapshot {IDS[1]} {why}"):
        own_snapshots(image(1, *IDS[:2]), needed(), found.get)


def test_those_gone_or_going_are_not_in_the_way() -> None:
    found = {IDS[0]: snapshot(1, IDS[0], status="deleting", name="any")}
    assert own_snapshots(image(1, *IDS[:2]), needed(), found.get) == []


def test_one_that_is_being_deleted_is_its_own() -> None:
    """The deletion may fail, and then nothing else would tell whose it was."""
    going = snapshot(1, IDS[0], status="deleting")
    assert own_snapshots(image(1, IDS[0]), needed(), {IDS[0]: going}.get) == [going]


def test_a_mapping_that_is_not_understood_may_still_need_a_snapshot() -> None:
    found = {IDS[0]: snapshot(1, IDS[0])}
    other = image(2, metadata={MAPPING_KEY: f"[{IDS[0].upper()}"})
    assert own_snapshots(image(1, IDS[0]), needed(other), found.get) == []


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
        own = own_snapshots(images[0], needed(*images[1:]), found.get)
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


NOW = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)
BLANK = json.dumps([{"source_type": "blank", "snapshot_id": None}])


def unasked(snapshot_id: str) -> VolumeSnapshot | None:
    """What must not be asked."""
    raise AssertionError(snapshot_id)


class TestProof:
    @pytest.mark.parametrize("size", [1, 2**40, None])
    def test_an_image_with_data_takes_no_request(self, size: int | None) -> None:
        assert prove(image(1, size=size), unasked).is_whole

    @pytest.mark.parametrize("metadata", [{}, {MAPPING_KEY: BLANK}])
    def test_one_that_holds_nothing(self, metadata: dict[str, str]) -> None:
        proof = prove(image(1, size=0, metadata=metadata), unasked)
        assert proof.wholeness is Wholeness.BROKEN
        assert "names no volume snapshot" in proof.reason

    @pytest.mark.parametrize("size", [0, 1, None])
    @pytest.mark.parametrize("text", ["", "{}", '[{"source_type": "tape"}]'])
    def test_a_mapping_that_is_not_understood(
        self, size: int | None, text: str
    ) -> None:
        proof = prove(image(1, size=size, metadata={MAPPING_KEY: text}), unasked)
        assert proof.wholeness is Wholeness.UNPROVABLE
        assert proof.reason.startswith(f"its {MAPPING_KEY} ")

    @pytest.mark.parametrize("status", ["SAVING", "ERROR", "UNKNOWN", "DEACTIVATED"])
    def test_one_that_is_not_active_is_not_proven(self, status: str) -> None:
        proof = prove(image(1, status=status, size=1), unasked)
        assert proof.wholeness is Wholeness.WAITING
        assert proof.reason == f"it is {status}, not ACTIVE"

    @pytest.mark.parametrize(
        ("statuses", "wholeness", "number"),
        [
            (["available"], "whole", None),
            (["creating"], "waiting", 0),
            (["error"], "broken", 0),
            # A service that has none of them may not be the one that made them.
            ([None], "unprovable", 0),
            ([None, None], "unprovable", 0),
            ([None, "available"], "broken", 0),
            (["doubt"], "unprovable", 0),
            (["a word of tomorrow's"], "waiting", 0),
            (["deleting"], "waiting", 0),
            (["error_deleting"], "waiting", 0),
            (["available", "creating"], "waiting", 1),
            (["creating", "error"], "broken", 1),
            (["doubt", "creating", "error"], "broken", 2),
            (["available", "creating", "doubt"], "unprovable", 2),
        ],
    )
    def test_by_the_statuses_of_its_snapshots(
        self, statuses: list[str | None], wholeness: str, number: int | None
    ) -> None:
        asked = []

        def find(snapshot_id: str) -> VolumeSnapshot | None:
            asked.append(snapshot_id)
            status = statuses[IDS.index(snapshot_id)]
            if status == "doubt":
                raise SnapshotsInDoubt(f"its volume snapshot {snapshot_id}: hidden")
            return (status and snapshot(1, snapshot_id, status=status)) or None

        named = IDS[: len(statuses)]
        proof = prove(image(1, *named, *named, size=0), find)
        assert proof.wholeness.value == wholeness
        assert proof.is_whole == (wholeness == "whole")
        assert proof.is_creating == ("creating" in statuses)
        assert asked == named
        why = "" if number is None else f"its volume snapshot {IDS[number]}"
        assert proof.reason.startswith(why)
        assert bool(proof.reason) == (number is not None)


@given(st.lists(st.sampled_from(IDS), max_size=3), st.text(), st.booleans())
def test_no_snapshot_that_is_named_is_missed(
    ids: list[str], noise: str, upper: bool
) -> None:
    mine = image(1, *ids)
    assert set(named_snapshots(mine)) == ids_in_mapping(mine)
    text = noise.join(ids)
    text = text.upper() if upper else text
    if not set(noise.lower()) & set("0123456789abcdef-"):
        assert ids_in_mapping(mapped(text)) == set(ids)
    assert ids_in_mapping(mapped(text)) >= (set(ids) if ids else set())


def marked(status: str = "available", **more: Any) -> VolumeSnapshot:
    """A snapshot that is to be deleted with an image."""
    metadata = {FATE_KEY: GOES, IMAGE_KEY: IDS[3]}
    fields = {"status": status, "metadata": metadata, "changed": NOW, **more}
    return snapshot(1, IDS[0], **fields)


def test_the_mark_names_the_image() -> None:
    mark = deletion_metadata(image(1))
    assert mark == {FATE_KEY: GOES, IMAGE_KEY: "image-1"}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {FATE_KEY: GOES},
        {IMAGE_KEY: IDS[3]},
        {FATE_KEY: STAYS, IMAGE_KEY: IDS[3]},
        {FATE_KEY: GOES, IMAGE_KEY: "../servers"},
        {FATE_KEY: GOES, IMAGE_KEY: ""},
        {FATE_KEY: GOES, IMAGE_KEY: 7},
    ],
)
def test_what_is_not_marked_is_not_left(metadata: Any) -> None:
    one = marked(metadata=metadata, changed=None)
    assert one.image_id is None
    assert not is_left(one, NOW)


@pytest.mark.parametrize(
    ("status", "changed", "left", "again"),
    [
        ("available", timedelta(), True, False),
        ("available", TIME_TO_DELETE, True, True),
        ("available", None, True, True),
        ("error_deleting", timedelta(), True, False),
        ("deleting", timedelta(), False, False),
        ("deleting", TIME_TO_DELETE, True, True),
        ("deleting", None, False, False),
    ],
)
def test_what_is_left(
    status: str, changed: timedelta | None, left: bool, again: bool
) -> None:
    one = marked(status, changed=None if changed is None else NOW - changed)
    assert is_left(one, NOW) == left
    assert may_be_deleted_again(one, NOW) == again
