"""Snapshots that are frozen, go on, or lose their images: laws over virtual time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.sandbox.backend.clock import Clock
from rax_scheduled_images_ext.sandbox.backend.cloud import Cloud
from rax_scheduled_images_ext.sandbox.backend.models import NotFound
from rax_scheduled_images_ext.sandbox.backend.seed_data import (
    MYSERVER,
    seed_cloud,
)
from rax_scheduled_images_ext.sandbox.backend.store import Store
from rax_scheduled_images_ext.sandbox.faults.grammar import STATES, parse_fault

# In the order of time; the first is before, the last after a snapshot.
ORDER = [*STATES, None]
# Seconds from the request to a server without a task state.
WHOLE = 121.0

# Halves, so that sums are exact.
SECONDS = st.integers(0, 260).map(lambda halves: halves / 2)
STEPS = st.lists(
    SECONDS
    | st.sampled_from(["clear", "freeze", "lose-image"])
    | st.sampled_from([f"freeze {state}" for state in STATES])
    | st.sampled_from([f"lose-image {state} x1" for state in STATES]),
    max_size=10,
)


class Snapshot:
    """A snapshot of a server in a cloud of its own."""

    def __init__(self) -> None:
        self.cloud = Cloud(Store(), Clock(start=1.7e9, speed=0))
        seed_cloud(self.cloud, project_id="demo", user_id="admin")
        self.region = self.cloud.region("RegionOne")
        with self.cloud.transaction():
            image = self.region.snapshots.create(MYSERVER, "x", {}, user_id="admin")
        self.image_id = image.id

    def look(self) -> tuple[str | None, str | None]:
        """Return the task state, and the image's status; None where it is gone."""
        with self.cloud.transaction():
            state = self.region.servers.get(MYSERVER).task_state
            try:
                return state, self.region.images.get(self.image_id).status
            except NotFound:
                return state, None

    def step(self, step: Any) -> None:
        if step == "clear":
            self.cloud.clear_faults()
        elif isinstance(step, str):
            self.cloud.inject([parse_fault(step)])
        else:
            self.cloud.advance(step)

    @property
    def failure(self) -> str | None:
        with self.cloud.transaction():
            newest, *_ = self.region.servers.actions(MYSERVER)
        return newest.message


@given(STEPS)
def test_a_snapshot_goes_forward_only_and_comes_to_an_end(steps: list[Any]) -> None:
    snapshot = Snapshot()
    seen = [snapshot.look()]
    for step in steps:
        snapshot.step(step)
        seen.append(snapshot.look())
    places = [ORDER.index(state) for state, _ in seen]
    assert places == sorted(places)
    for state, status in seen:
        if state in STATES[:3]:
            assert status == "queued"
        elif state == "image_uploading":
            # It is ACTIVE a second before the task state is cleared.
            assert status in ("saving", "active")
        else:
            assert status in ("active", None)
    # Whatever it was: without faults it ends, successfully or with an error.
    snapshot.cloud.clear_faults()
    snapshot.cloud.advance(WHOLE)
    state, status = snapshot.look()
    assert state is None
    assert (status is None) == (snapshot.failure is not None)
    snapshot.cloud.store.close()


@given(st.lists(SECONDS | st.just("clear"), max_size=8))
def test_a_cure_changes_nothing_where_nothing_is_wrong(steps: list[Any]) -> None:
    snapshot, passed = Snapshot(), 0.0
    for step in steps:
        snapshot.step(step)
        passed += 0.0 if step == "clear" else step
        state, status = snapshot.look()
        assert (state is None) == (passed >= WHOLE)
        assert (status == "active") == (passed >= WHOLE - 1)
    snapshot.cloud.store.close()


@given(SECONDS, SECONDS, SECONDS)
def test_what_is_frozen_goes_on_where_it_stood(
    before: float, frozen: float, after: float
) -> None:
    snapshot, other = Snapshot(), Snapshot()
    for each in (snapshot, other):
        each.cloud.advance(before)
    snapshot.cloud.inject([parse_fault("freeze")])
    stood = snapshot.look()
    snapshot.cloud.advance(frozen)
    # Once its image is ACTIVE, nothing happens to it any more.
    if before < WHOLE - 1:
        assert snapshot.look() == stood
        snapshot.cloud.clear_faults()
        for each in (snapshot, other):
            each.cloud.advance(after)
        assert snapshot.look() == other.look()
    for each in (snapshot, other):
        each.cloud.store.close()
