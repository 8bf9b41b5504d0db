"""How much space images take."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.image import MAPPING_KEY, ServerImage
from rax_scheduled_images_ext.model.space import GIB, Sizes, Space

IDS = [f"00000000-0000-4000-8000-00000000000{digit}" for digit in range(5)]


def image(size: int | None, *named: str, status: str = "ACTIVE") -> ServerImage:
    mapping = [{"source_type": "snapshot", "snapshot_id": each} for each in named]
    metadata = {MAPPING_KEY: json.dumps(mapping)} if named else {}
    return ServerImage("id", "name", status, size=size, metadata=metadata)


def test_images_with_data() -> None:
    found = Sizes({}).space([image(GIB), image(GIB // 2), image(5, status="DELETED")])
    assert found == Space(2, GIB + GIB // 2)
    assert (found.gib, found.cost(2)) == (1.5, 3.0)


def test_the_images_of_volumes_by_their_snapshots() -> None:
    images = [image(0, IDS[0], IDS[1]), image(0, IDS[1])]
    found = Sizes({IDS[0]: 3, IDS[1]: 4}).space(images)
    assert found == Space(2, 7 * GIB)
    assert Sizes({IDS[0]: 3}).space(images) == Space(2, 0, 1)
    assert Sizes(None).space(images).size is None


def test_what_is_not_complete_has_no_size_yet() -> None:
    assert Sizes({}).space([image(None, status="SAVING")]) == Space(1)
    assert Sizes({}).of(image(None, status="SAVING")) is None
    assert Sizes({}).space([image(None)]).gib is None


def test_a_malformed_mapping_is_of_unknown_size() -> None:
    broken = ServerImage("id", "name", "ACTIVE", size=0, metadata={MAPPING_KEY: "{"})
    assert Sizes({}).space([broken]) == Space(1, 0, 1)


@given(
    st.lists(st.lists(st.sampled_from(IDS))),
    st.dictionaries(st.sampled_from(IDS), st.integers(0, 9)),
)
def test_each_snapshot_counts_once(
    named: list[list[str]], sizes: dict[str, int]
) -> None:
    images = [image(0, *each) for each in named]
    used = {each for some in named for each in some}
    assert Sizes(sizes).space(images).known <= GIB * sum(sizes.get(u, 0) for u in used)
    if used <= set(sizes):
        assert Sizes(sizes).space(images).size == GIB * sum(sizes[u] for u in used)
