"""The laws of keeping and pruning, over a store in memory; and the words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from requests import Response

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.images.base import ImageFilter, ImageStore
from rax_scheduled_images_ext.errors import (
    ImageProtected,
    NeverScheduled,
    NoRetention,
    NoSchedule,
    NoSuchImage,
    NotASnapshot,
)
from rax_scheduled_images_ext.model.freshness import (
    InventoryServer,
    schedule_status,
)
from rax_scheduled_images_ext.model.image import (
    MAPPING_KEY,
    MARKER_KEY,
    MARKER_VALUE,
    OWN_KEY,
    PENDING,
    PENDING_KEY,
    PROTECTED_KEY,
    RUN_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
    named_by_service,
    removed_marker,
)
from rax_scheduled_images_ext.model.outlook import Outlook
from rax_scheduled_images_ext.model.retention import (
    Decision,
    Reason,
    Rules,
    apply_policy,
    expires_in_runs,
    reason,
    retention_status,
    surplus,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.operations.delete import NamingImages
from rax_scheduled_images_ext.operations.forecast import expiring
from rax_scheduled_images_ext.operations.protect import protect_image, unprotect_image
from rax_scheduled_images_ext.operations.prune import delete_surplus, surplus_of
from rax_scheduled_images_ext.operations.server import decide, read_server_details

MAPPING = (
    '[{"source_type": "snapshot",'
    ' "snapshot_id": "5e2f0f3c-6c55-4a5b-8c67-8d8f0cf2a0d1"}]'
)
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
MARKED = {MARKER_KEY: MARKER_VALUE, TYPE_KEY: SNAPSHOT}
STATUSES = ["ACTIVE"] * 5 + ["SAVING", "ERROR", "DELETED"]


class Interrupted(BaseException):
    """Somebody pressed Ctrl-C."""


class Memory(ImageStore):
    """Images in memory; after so many calls it is interrupted."""

    def __init__(self, images: Iterable[ServerImage], calls: int = 1_000_000) -> None:
        self.images = {image.id: image for image in images}
        self.calls = calls
        self.deleted: list[str] = []

    def _called(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise Interrupted

    def get(self, image: Any) -> ServerImage:
        self._called()
        image_id = getattr(image, "id", image)
        if image_id not in self.images:
            raise NoSuchImage(image_id)
        return self.images[image_id]

    def set_metadata(self, image: Any, metadata: Mapping[str, str]) -> None:
        if metadata:
            old = self.get(image)
            self._replace(old, {**old.metadata, **metadata})

    def delete_metadata(self, image: Any, keys: Iterable[str]) -> None:
        for key in keys:
            old = self.get(image)
            self._replace(old, {k: v for k, v in old.metadata.items() if k != key})

    def _replace(self, old: ServerImage, metadata: dict[str, str]) -> None:
        self.images[old.id] = replace(old, metadata=metadata)

    def delete(self, image: Any) -> None:
        self.get(image)
        del self.images[image.id]
        self.deleted.append(image.id)

    def _list(self, wanted: ImageFilter) -> Iterator[ServerImage]:
        for image in list(self.images.values()):
            kind = image.metadata.get(TYPE_KEY)
            if image.hidden == wanted.hidden and (
                kind == SNAPSHOT or not wanted.snapshots
            ):
                yield image


def cloud_of(
    store: Memory, retention: int | None = None, rules: Rules = Rules.OURS
) -> Cloud:
    """The cloud of a server of our project, with or without a schedule."""

    def schedule(server_id: str) -> ImageSchedule:
        if retention is None:
            raise NoSchedule(server_id)
        return ImageSchedule(retention)

    response = Response()
    response.status_code = 200
    body = {"server": {"id": "mine", "tenant_id": "ours"}}
    response._content = json.dumps(body).encode()
    answer = ApiResponse("compute", "GET", "/servers/mine", response)
    compute = SimpleNamespace(get=lambda path: answer)
    schedules = SimpleNamespace(
        get=schedule, rules=lambda answer, shown: rules, check=lambda schedule: None
    )
    return cast(
        "Cloud",
        SimpleNamespace(
            compute=compute, images=store, schedules=schedules, volumes=None
        ),
    )


marks = st.sampled_from([MARKED] * 6 + [{}, {**MARKED, MARKER_KEY: "x"}])
# Few different runs, so that copies are common.
runs = st.sampled_from(
    [
        *([{}] * 4),
        *({RUN_KEY: f"{server}:{n}"} for server in ("mine", "other") for n in "12"),
        *({RUN_KEY: f"mine:{n}", OWN_KEY: f"image-{n * 3}:{n}"} for n in "012"),
        {RUN_KEY: "mine:3", OWN_KEY: "image-001:1"},
    ]
)
extras = st.sampled_from(
    [
        *([{}] * 5),
        {PENDING_KEY: PENDING},
        {TYPE_KEY: "backup"},
    ]
)
mappings = st.sampled_from([{}, {}, {MAPPING_KEY: "broken"}, {MAPPING_KEY: MAPPING}])


@st.composite
def pictures(draw: st.DrawFn, number: int) -> ServerImage:
    """An image as any may be, of one server or another."""
    day = START + timedelta(days=draw(st.integers(0, 8)))
    return ServerImage(
        id=f"image-{number:03d}",
        name=draw(st.sampled_from([f"Daily-web-{1767225600 + number}", "mine", ""])),
        status=draw(st.sampled_from(STATUSES)),
        created=draw(st.sampled_from([day, day, day, None])),
        server_id=draw(st.sampled_from(["mine", "mine", "mine", "other", None])),
        owner=draw(st.sampled_from(["ours"] * 5 + ["theirs", None])),
        protected=draw(st.sampled_from([False, False, False, True, None])),
        metadata=draw(marks) | draw(runs) | draw(extras),
        size=draw(st.sampled_from([4096, 4096, 4096, None, 0])),
        hidden=draw(st.sampled_from([False] * 5 + [True])),
    )


image_sets = st.integers(0, 9).flatmap(
    lambda count: st.tuples(*(pictures(number) for number in range(count)))
)
retentions = st.integers(1, 6)


def prune(cloud: Cloud, plan: Iterable[Decision]) -> list[str]:
    """Carry a plan out as the command does; what was done."""
    actions = []
    for decision in plan:
        try:
            naming = NamingImages(cloud.images)
            actions.append(delete_surplus(cloud, decision, naming).action)
        except ImageProtected:
            actions.append("protected")
    return actions


def _run_of_two(
    kind: str = SNAPSHOT, *, hidden: bool = False
) -> tuple[ServerImage, ...]:
    """Two images of one run, of which only the younger is in all lists."""
    metadata = {**MARKED, RUN_KEY: "mine:1"}
    first = ServerImage(
        id="older",
        name="Daily-web-1767225600",
        status="ACTIVE",
        created=START,
        server_id="mine",
        owner="ours",
        metadata={**metadata, TYPE_KEY: kind},
        hidden=hidden,
    )
    second = replace(first, id="younger", metadata=metadata, hidden=False)
    return first, replace(second, created=START + timedelta(days=1))


both_rules = pytest.mark.parametrize("rules", Rules)


@both_rules
@example(_run_of_two("backup"), 1, [{}] * 9)
@example(_run_of_two(hidden=True), 1, [{}] * 9)
@given(image_sets, retentions, st.lists(mappings, min_size=9, max_size=9))
def test_all_that_count_images_agree(
    rules: Rules,
    images: tuple[ServerImage, ...],
    keep: int,
    of_volumes: list[dict[str, str]],
) -> None:
    """The list of one server's images, prune, forecasts and the lists of all."""
    store = Memory(
        replace(image, metadata={**image.metadata, **mapping})
        for image, mapping in zip(images, of_volumes, strict=False)
    )
    cloud = cloud_of(store, keep, rules)
    decisions = read_server_details(cloud, "mine").images
    counted = [v.image.id for v in decisions if v.counted]
    surplus = [v.image.id for v in decisions if v.surplus]
    next_to_go = [v.image for v in decisions if expires_in_runs(v) == 1]
    assert decide(cloud, "mine", keep) == decisions
    assert [v.image.id for v in surplus_of(cloud, "mine")] == surplus[::-1]
    assert [
        v.image for v in expiring(cloud, "mine", ImageSchedule(keep))
    ] == next_to_go[::-1]
    # What all of a project's images are read by leaves out what never counts.
    if rules is Rules.OURS:
        listed = list(store.list(snapshots=True))
        server = InventoryServer(
            "mine", "web", START, ImageSchedule(keep), project_id="ours", rules=rules
        )
        status = schedule_status(server, listed, START, timedelta(days=1))
        assert status.counted == len(counted)
        assert list(status.expires_next) == next_to_go[::-1]
        whole = [*listed, *store.list(hidden=True)]
        for each in (listed, whole):
            again = apply_policy(each, "mine", keep, "ours")
            assert [v.image.id for v in again if v.counted] == counted
    prune(cloud, surplus_of(cloud, "mine"))
    assert set(store.deleted) <= set(surplus)


@given(image_sets, retentions)
def test_the_services_rules_delete_nothing_that_rackspaces_keep(
    images: tuple[ServerImage, ...], keep: int
) -> None:
    """So where it is not known which hold, they are taken."""
    ours = surplus(images, "mine", keep, "ours")
    theirs = surplus(images, "mine", keep, "ours", rules=Rules.RACKSPACE)
    assert {each.id for each in ours} <= {each.id for each in theirs}


@given(image_sets, retentions)
def test_pruning_does_what_the_service_would(
    images: tuple[ServerImage, ...], keep: int
) -> None:
    store = Memory(images)
    prune(cloud_of(store), surplus_of(cloud_of(store), "mine", keep))
    would = [i.id for i in surplus(images, "mine", keep, "ours") if not i.protected]
    assert store.deleted == would


@given(image_sets, retentions, st.integers(0, 60))
def test_interrupted_it_has_deleted_the_oldest_that_would_go_anyway(
    images: tuple[ServerImage, ...], keep: int, calls: int
) -> None:
    store = Memory(images)
    plan = surplus_of(cloud_of(store), "mine", keep)
    store.calls = calls
    with suppress(Interrupted):
        prune(cloud_of(store), plan)
    store.calls = 1_000_000
    would = [i.id for i in surplus(images, "mine", keep, "ours") if not i.protected]
    assert store.deleted == would[: len(store.deleted)]
    # SnapshotRequest again, it ends as if it had never been stopped.
    prune(cloud_of(store), surplus_of(cloud_of(store), "mine", keep))
    assert store.deleted == would


@given(image_sets, retentions, st.data())
def test_whatever_happens_to_them_meanwhile_only_the_services_own_go(
    images: tuple[ServerImage, ...], keep: int, data: st.DataObject
) -> None:
    store = Memory(images)
    plan = surplus_of(cloud_of(store), "mine", keep)
    now = {image.id: data.draw(pictures(number)) for number, image in enumerate(images)}
    gone = data.draw(st.sets(st.sampled_from(sorted(now) or ["none"])))
    store.images = {key: image for key, image in now.items() if key not in gone}
    prune(cloud_of(store), plan)
    for image_id in store.deleted:
        image = now[image_id]
        assert image.scheduled
        assert (image.server_id, image.status) == ("mine", "ACTIVE")
        assert image.owner == "ours"
        assert not image.protected


@given(image_sets, retentions, st.data())
def test_protecting_meanwhile_leaves_as_many_as_are_to_stay(
    images: tuple[ServerImage, ...], keep: int, data: st.DataObject
) -> None:
    store = Memory(images)
    cloud, naming = cloud_of(store), NamingImages(store)
    for decision in surplus_of(cloud, "mine", keep):
        for image in list(store.images.values()):
            if data.draw(st.booleans()):
                store.delete_metadata(image, [MARKER_KEY])
        before = sum(v.counted for v in decide(cloud, "mine", keep))
        with suppress(ImageProtected):
            done = delete_surplus(cloud, decision, naming)
            assert done.action == "skipped" or before > keep


@given(image_sets, st.one_of(st.none(), retentions))
def test_the_words_say_what_is_decided(
    images: tuple[ServerImage, ...], retention: int | None
) -> None:
    decisions = apply_policy(images, "mine", retention, "ours")
    for decision in decisions:
        status, left = (
            retention_status(decision),
            expires_in_runs(decision),
        )
        assert reason(decision)
        assert (status == "expires next") == (left == 1)
        assert (status == f"expires in {left} runs") == (left is not None and left > 1)
        if decision.counted:
            assert left is None or not decision.image.protected
        else:
            assert status in ("kept (exempt)", "not counted")
            assert (status == "kept (exempt)") == (
                decision.reason in (Reason.UNMARKED, Reason.OTHER_MARKER)
            )


@given(image_sets, st.one_of(st.none(), retentions))
def test_what_goes_next_goes_before_all_else(
    images: tuple[ServerImage, ...], retention: int | None
) -> None:
    decisions = apply_policy(images, "mine", retention, "ours")
    schedule = ImageSchedule(retention) if retention else None
    going = Outlook.of(decisions, schedule, START + timedelta(days=99)).soonest
    lefts = [left for v in decisions if (left := expires_in_runs(v)) is not None]
    assert bool(going) == bool(lefts)
    assert {expires_in_runs(v) for v in going} == ({min(lefts)} if lefts else set())


@given(image_sets, retentions)
def test_the_forecast_is_what_the_next_image_makes_go(
    images: tuple[ServerImage, ...], retention: int
) -> None:
    going = expiring(cloud_of(Memory(images)), "mine", ImageSchedule(retention))
    new = ServerImage(
        id="new",
        name="Daily-web-1799999999",
        status="ACTIVE",
        created=START + timedelta(days=99),
        server_id="mine",
        owner="ours",
        metadata=MARKED,
    )
    gone = surplus([*images, new], "mine", retention, "ours")
    assert [v.image for v in going] == [i for i in gone if not i.protected]


def snapshot(name: str = "Daily-web-1767225600", **metadata: str) -> ServerImage:
    whole = {TYPE_KEY: SNAPSHOT, "instance_uuid": "mine", **metadata}
    return ServerImage(
        id="i", name=name, status="ACTIVE", server_id="mine", metadata=whole
    )


@pytest.mark.parametrize("name", ["Daily-web-1767225600", "Weekly-a-1", "my own"])
@pytest.mark.parametrize("kind", ["snapshot", "backup"])
def test_protected_and_handed_back_it_is_as_it_was(name: str, kind: str) -> None:
    before = snapshot(name, **{**MARKED, TYPE_KEY: kind})
    store = Memory([before])
    for _ in range(2):
        protect_image(store, store.get("i"))
        assert not store.get("i").scheduled
        assert removed_marker(store.get("i")) == MARKER_VALUE
    for _ in range(2):
        unprotect_image(store, store.get("i"))
        assert store.get("i") == before


@pytest.mark.parametrize("protect", [True, False])
@pytest.mark.parametrize("calls", range(8))
def test_interrupted_no_marker_is_forgotten(protect: bool, calls: int) -> None:
    before = snapshot("my own", **MARKED)
    store = Memory([before])
    if not protect:
        protect_image(store, store.get("i"))
    image = store.get("i")
    store.calls = calls
    with suppress(Interrupted):
        (protect_image if protect else unprotect_image)(store, image)
    store.calls = 1_000_000
    now = store.get("i")
    assert now.scheduled or removed_marker(now) == MARKER_VALUE
    unprotect_image(store, now)
    assert store.get("i") == before


def test_a_note_about_another_image_is_ignored() -> None:
    """Snapshots of a server that was booted from a protected image inherit it."""
    image = snapshot("my own", **{PROTECTED_KEY: f"other:{MARKER_VALUE}"})
    assert removed_marker(image) is None
    with pytest.raises(NeverScheduled, match="'my own' and has never been protected"):
        unprotect_image(Memory([image]), image)


@pytest.mark.parametrize("note", ["", "i", "i:", ":", "x:y"])
def test_a_broken_note_is_ignored(note: str) -> None:
    assert removed_marker(snapshot(**{PROTECTED_KEY: note})) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"server_id": None}, "it has no instance_uuid"),
        ({"metadata": {}}, "it has no image_type"),
        ({"metadata": {"image_type": "volume"}}, "its image_type is 'volume'"),
    ],
)
@pytest.mark.parametrize("action", [protect_image, unprotect_image])
def test_not_a_snapshot(changes: dict[str, Any], why: str, action: Any) -> None:
    image = replace(snapshot(**MARKED), **changes)
    with pytest.raises(NotASnapshot) as told:
        action(Memory([image]), image)
    assert str(told.value) == f"Image i is not a snapshot of a server: {why}"


def test_what_is_only_the_memory_of_an_image() -> None:
    image = replace(snapshot(**MARKED), status="DELETED")
    with pytest.raises(NoSuchImage):
        protect_image(Memory([image]), image)


def test_nothing_says_how_many_stay() -> None:
    with pytest.raises(NoRetention):
        surplus_of(cloud_of(Memory([])), "mine")
    assert surplus_of(cloud_of(Memory([]), 3), "mine") == []


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("Daily-web-1767225600", True),
        ("Weekly-web-1767225600", True),
        ("daily-web-1767225600", True),
        ("Daily-a-b-c-1767225600", True),
        ("Daily-\n-1767225600", True),
        ("Daily-1767225600", False),
        ("Daily-web-2026", False),
        ("Daily-web-1767225600 copy", False),
        ("Hourly-web-1767225600", False),
        ("my own", False),
        ("", False),
    ],
)
def test_the_names_that_the_service_gives(name: str, named: bool) -> None:
    assert named_by_service(snapshot(name)) is named
