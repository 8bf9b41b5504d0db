"""The laws of retention."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.image import (
    MAPPING_KEY,
    MARKER_KEY,
    MARKER_VALUE,
    OWN_KEY,
    PENDING,
    PENDING_KEY,
    RUN_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.retention import (
    Decision,
    Reason,
    Rules,
    apply_policy,
    expires_in_runs,
    surplus,
)
from rax_scheduled_images_ext.model.retention import (
    reason as in_words,
)

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
MARKED = {MARKER_KEY: MARKER_VALUE, TYPE_KEY: SNAPSHOT}
RUN = {RUN_KEY: "mine:1-a"}
MAPPING = (
    '[{"source_type": "snapshot",'
    ' "snapshot_id": "5e2f0f3c-6c55-4a5b-8c67-8d8f0cf2a0d1"}]'
)
OF_OURS = {
    Reason.NOT_A_SNAPSHOT,
    Reason.HIDDEN,
    Reason.INHERITED,
    Reason.EMPTY,
    Reason.PENDING,
}


def image(
    number: int,
    *,
    status: str = "ACTIVE",
    server: str | None = "mine",
    owner: str | None = "ours",
    metadata: dict[str, str] | None = None,
    days: int | None = None,
    size: int | None = 4096,
    hidden: bool = False,
    name: str | None = None,
) -> ServerImage:
    return ServerImage(
        id=f"image-{number:03d}",
        name=name or f"Daily-web-{number}",
        status=status,
        created=START + timedelta(days=number if days is None else days),
        server_id=server,
        owner=owner,
        metadata=MARKED if metadata is None else metadata,
        size=size,
        hidden=hidden,
    )


@st.composite
def image_sets(draw: st.DrawFn) -> list[ServerImage]:
    count = draw(st.integers(0, 25))
    return [
        image(
            number,
            status=draw(
                st.sampled_from(["ACTIVE"] * 4 + ["SAVING", "ERROR", "UNKNOWN"])
            ),
            server=draw(st.sampled_from(["mine", "mine", "mine", "other", None])),
            owner=draw(st.sampled_from(["ours", "ours", "ours", "theirs", None])),
            metadata=draw(
                st.sampled_from([MARKED, MARKED, MARKED, {}, {MARKER_KEY: "somebody"}])
            ),
            # Few different days, so that equal times are common.
            days=draw(st.integers(0, 8)),
        )
        for number in range(count)
    ]


retentions = st.integers(1, 12)


@given(image_sets(), retentions)
def test_the_newest_n_stay_and_only_counted_images_go(
    images: list[ServerImage], retention: int
) -> None:
    decisions = apply_policy(images, "mine", retention, "ours")
    counted = [v for v in decisions if v.counted]
    gone = {v.image.id for v in decisions if v.surplus}
    assert len(counted) - len(gone) == min(retention, len(counted))
    for decision in decisions:
        if decision.surplus:
            assert decision.image.scheduled
            assert decision.image.server_id == "mine"
            assert decision.image.status == "ACTIVE"


def created(decision: Decision) -> datetime:
    assert decision.image.created
    return decision.image.created


@given(image_sets(), retentions)
def test_what_goes_is_older_than_all_that_stays(
    images: list[ServerImage], retention: int
) -> None:
    decisions = [
        v for v in apply_policy(images, "mine", retention, "ours") if v.counted
    ]
    stays = [created(v) for v in decisions if not v.surplus]
    goes = [created(v) for v in decisions if v.surplus]
    assert not goes or not stays or max(goes) <= min(stays)


@given(image_sets(), retentions, st.randoms(use_true_random=False))
def test_the_order_of_the_input_is_irrelevant(
    images: list[ServerImage], retention: int, chance: Random
) -> None:
    shuffled = list(images)
    chance.shuffle(shuffled)
    assert apply_policy(shuffled, "mine", retention, "ours") == apply_policy(
        images, "mine", retention, "ours"
    )


@given(image_sets(), retentions)
def test_applying_it_twice_is_applying_it_once(
    images: list[ServerImage], retention: int
) -> None:
    gone = surplus(images, "mine", retention, "ours")
    left = [i for i in images if i not in gone]
    assert surplus(left, "mine", retention, "ours") == []


@given(image_sets(), retentions)
def test_a_forecast_comes_true(images: list[ServerImage], retention: int) -> None:
    """An image goes when as many scheduled images were made as its decision says."""
    forecast = {
        v.image.id: v.expires_in_runs
        for v in apply_policy(images, "mine", retention, "ours")
        if v.counted
    }
    left = list(images)
    for made in range(1, retention + 2):
        left.append(image(100 + made, days=100 + made))
        gone = surplus(left, "mine", retention, "ours")
        left = [i for i in left if i not in gone]
        went = {i.id for i in gone if i.id in forecast}
        assert went == {key for key, runs in forecast.items() if runs == made}


@given(image_sets())
def test_without_a_schedule_nothing_goes(images: list[ServerImage]) -> None:
    assert surplus(images, "mine", None, "ours") == []
    assert all(
        v.expires_in_runs is None for v in apply_policy(images, "mine", None, "ours")
    )


NAMED = "Daily-web-1767225600"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, Reason.NEWEST),
        ({"metadata": {}}, Reason.UNMARKED),
        ({"metadata": {MARKER_KEY: "me"}}, Reason.OTHER_MARKER),
        ({"metadata": {MARKER_KEY.replace("_", "-"): MARKER_VALUE}}, Reason.UNMARKED),
        ({"status": "SAVING"}, Reason.NOT_ACTIVE),
        ({"server": "other"}, Reason.FOREIGN),
        ({"owner": "theirs"}, Reason.OTHER_OWNER),
        ({"owner": None}, Reason.OTHER_OWNER),
        ({"server": None}, Reason.FOREIGN),
        ({"metadata": {**MARKED, TYPE_KEY: "backup"}}, Reason.NOT_A_SNAPSHOT),
        ({"metadata": {MARKER_KEY: MARKER_VALUE}}, Reason.NOT_A_SNAPSHOT),
        ({"hidden": True}, Reason.HIDDEN),
        ({"metadata": {**MARKED, RUN_KEY: "other:1"}}, Reason.INHERITED),
        ({"metadata": {**MARKED, **RUN, OWN_KEY: "another:1-a"}}, Reason.INHERITED),
        ({"metadata": {**MARKED, **RUN, OWN_KEY: "image-001:1-a"}}, Reason.NEWEST),
        # What the image says is another run's; its name alone tells it from a copy.
        ({"metadata": {**MARKED, **RUN, OWN_KEY: "another:1-b"}}, Reason.INHERITED),
        ({"metadata": {**MARKED, **RUN}}, Reason.INHERITED),
        ({"name": NAMED, "metadata": {**MARKED, **RUN}}, Reason.NEWEST),
        ({"metadata": {**MARKED, PENDING_KEY: PENDING}}, Reason.PENDING),
        ({"size": 0}, Reason.EMPTY),
        ({"size": 0, "metadata": {**MARKED, MAPPING_KEY: "[]"}}, Reason.EMPTY),
        ({"size": 0, "metadata": {**MARKED, MAPPING_KEY: "broken"}}, Reason.EMPTY),
        ({"size": 0, "metadata": {**MARKED, MAPPING_KEY: MAPPING}}, Reason.NEWEST),
        ({"size": 4096, "metadata": {**MARKED, MAPPING_KEY: "[]"}}, Reason.NEWEST),
        ({"size": None}, Reason.NEWEST),
    ],
)
def test_each_reason(changes: dict[str, Any], reason: Reason) -> None:
    (decision,) = apply_policy([image(1, **changes)], "mine", 1, "ours")
    assert decision.reason is reason
    assert decision.counted == (reason is Reason.NEWEST)
    assert in_words(decision)
    # Of these the service of Rackspace's own cloud knows nothing.
    (theirs,) = apply_policy(
        [image(1, **changes)], "mine", 1, "ours", rules=Rules.RACKSPACE
    )
    assert theirs.reason is (Reason.NEWEST if reason in OF_OURS else reason)


def test_what_has_just_been_proven_counts() -> None:
    """A pending image takes no place, and one that is proven replaces the oldest."""
    pending = image(2, metadata={**MARKED, PENDING_KEY: PENDING})
    images = [image(1), pending]
    assert surplus(images, "mine", 1, "ours") == []
    decisions = apply_policy(images, "mine", 1, "ours", proven={pending.id})
    assert [v.image.id for v in decisions if v.surplus] == ["image-001"]
    # An empty one is not.
    empty = replace(pending, size=0)
    decisions = apply_policy([image(1), empty], "mine", 1, "ours", proven={empty.id})
    assert not any(v.surplus for v in decisions)


def test_an_image_without_a_date_is_neither_counted_nor_culled() -> None:
    undated = ServerImage(
        id="x",
        name="x",
        status="ACTIVE",
        server_id="mine",
        owner="ours",
        metadata=MARKED,
    )
    decisions = apply_policy([undated, image(1), image(2)], "mine", 1, "ours")
    assert [(v.image.id, v.reason) for v in decisions] == [
        ("image-002", Reason.NEWEST),
        ("image-001", Reason.SURPLUS),
        ("x", Reason.UNDATED),
    ]


def test_the_newest_first_with_places_and_what_is_left() -> None:
    decisions = apply_policy([image(n) for n in range(4)], "mine", 3, "ours")
    assert [(v.rank, v.expires_in_runs, v.surplus) for v in decisions] == [
        (1, 3, False),
        (2, 2, False),
        (3, 1, False),
        (4, 1, True),
    ]


@pytest.mark.parametrize("retention", [0, -1])
def test_a_retention_that_keeps_nothing_is_refused(retention: int) -> None:
    with pytest.raises(ValueError, match=f"retention {retention} would keep nothing"):
        apply_policy([image(1)], "mine", retention, "ours")


@given(image_sets(), image_sets(), retentions, st.sampled_from(["theirs", None]))
def test_what_others_publish_changes_nothing(
    images: list[ServerImage],
    published: list[ServerImage],
    retention: int,
    owner: str | None,
) -> None:
    foreign = [replace(each, id=f"x{each.id}", owner=owner) for each in published]
    both = apply_policy([*images, *foreign], "mine", retention, "ours")
    assert [v for v in both if v.counted] == [
        v for v in apply_policy(images, "mine", retention, "ours") if v.counted
    ]


@given(image_sets(), retentions)
def test_without_knowing_the_project_nothing_goes(
    images: list[ServerImage], retention: int
) -> None:
    assert surplus(images, "mine", retention, None) == []


def test_the_image_that_a_server_boots_from_counts_and_stays() -> None:
    images = [image(number) for number in range(1, 5)]
    decisions = apply_policy(images, "mine", 2, "ours", base_image="image-001")
    reasons = {each.image.id: (each.reason, each.rank) for each in decisions}
    assert reasons["image-001"] == (Reason.BOOTED_FROM, 4)
    assert reasons["image-002"] == (Reason.SURPLUS, 3)
    (base,) = (each for each in decisions if each.is_base)
    assert expires_in_runs(base) is None
    told = "older than the newest 2; not deleted: the server boots from it"
    assert in_words(base).startswith(told)


def test_rackspaces_own_service_deletes_what_a_server_boots_from() -> None:
    images = [image(number) for number in range(1, 3)]
    decisions = apply_policy(
        images, "mine", 1, "ours", rules=Rules.RACKSPACE, base_image="image-001"
    )
    assert decisions[1].surplus
