"""What task states mean, how far a snapshot has come, and how it is watched."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.task_states import (
    COPIED,
    SAFE_STATES,
    STATES,
    UPLOADING,
    Disk,
    SnapshotProgress,
    task_state,
)
from rax_scheduled_images_ext.operations.snapshot.polling import pace, polls

WORDS = st.sampled_from([None, *list(STATES)[1:], "rebooting", "something_new"])
SNAPSHOT = [name for name, state in STATES.items() if state.snapshot]


@pytest.mark.parametrize(
    ("word", "disk", "accepts"),
    [
        (None, Disk.UNTOUCHED, True),
        ("image_snapshot_pending", Disk.UNTOUCHED, False),
        ("image_snapshot", Disk.COPYING, False),
        ("image_backup", Disk.COPYING, False),
        ("image_pending_upload", Disk.SAFE, False),
        ("image_uploading", Disk.SAFE, False),
        ("rebooting", Disk.UNKNOWN, False),
        ("", Disk.UNTOUCHED, True),
    ],
)
def test_each_state_says_what_it_means_for_the_disk_and_for_another_snapshot(
    word: str | None, disk: Disk, accepts: bool
) -> None:
    state = task_state(word)
    assert (state.disk, state.accepts) == (disk, accepts)
    assert state.snapshot == (word in SNAPSHOT)
    assert state.name == (word or "none")
    assert state.meaning


def seen(words: Sequence[str | None], safe_from: str = COPIED) -> SnapshotProgress:
    progress = SnapshotProgress(safe_from)
    for time, word in enumerate(words):
        progress.see(float(time), word)
    return progress


def test_the_phases_of_a_snapshot_are_timed() -> None:
    words = ["image_snapshot_pending"] + ["image_snapshot"] * 3 + ["image_uploading"]
    progress = seen([None, *words, None])
    assert [(p.task_state, p.seconds) for p in progress.phases] == [
        ("image_snapshot_pending", 1.0),
        ("image_snapshot", 3.0),
        ("image_uploading", 1.0),
    ]
    assert (progress.started, progress.over, progress.copied) == (True, True, True)


def test_the_instant_of_uploading_before_libvirt_copies_is_not_the_end() -> None:
    flash = ["image_snapshot", "image_pending_upload", "image_uploading"]
    assert not seen(flash, UPLOADING).copied
    assert not seen([*flash, "image_pending_upload"], UPLOADING).copied
    again = [*flash, "image_pending_upload", "image_uploading"]
    assert not seen(again, UPLOADING).copied
    assert seen([*again, "image_uploading"], UPLOADING).copied


@given(st.lists(WORDS), st.sampled_from(SAFE_STATES))
def test_a_disk_is_copied_only_when_a_safe_state_or_the_end_is_seen(
    words: list[str | None], safe_from: str
) -> None:
    progress = seen(words, safe_from)
    begun = [at for at, word in enumerate(words) if word in SNAPSHOT]
    assert progress.started == bool(begun)
    assert progress.over == (None in words[begun[0] :] if begun else False)
    if progress.copied and not progress.over:
        assert task_state(words[-1]).disk is Disk.SAFE
    if progress.over:
        assert progress.copied
    if words and task_state(words[-1]).disk in (Disk.COPYING, Disk.UNKNOWN):
        assert progress.copied == progress.over


@given(st.lists(WORDS))
def test_phases_follow_each_other_without_gaps(words: list[str | None]) -> None:
    progress = seen(words)
    for before, after in pairwise(progress.phases):
        assert before.ended == after.started
        assert before.task_state != after.task_state
    if progress.phases:
        first = next(at for at, word in enumerate(words) if word in SNAPSHOT)
        assert progress.phases[0].started == first
        assert all(phase.seconds >= 0 for phase in progress.phases)


class Time:
    """A clock that only sleeping and looking move."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@given(
    st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=30),
    st.floats(0.5, 10),
    st.one_of(st.none(), st.floats(0, 60)),
)
def test_a_watch_survives_errors_and_ends_at_its_limit(
    looks: list[tuple[float, bool]], interval: float, limit: float | None
) -> None:
    time = Time()
    asked: list[float] = []
    failures: list[Exception] = []
    script = iter(looks)

    def get() -> float:
        asked.append(time.now)
        took, fails = next(script, (0.0, False))
        time.now += took
        if fails:
            raise OSError("no")
        return time.now

    seen_at = []
    for moment in polls(
        get,
        interval=lambda _elapsed: interval,
        limit=limit,
        clock=time.clock,
        sleep=time.sleep,
        retried=(OSError,),
        failed=failures.append,
    ):
        seen_at.append(moment)
        if len(asked) > 200:
            break
    assert len(asked) == len(seen_at) + len(failures)
    assert asked[0] == 100.0
    assert all(seconds >= 0 for seconds in time.slept)
    if limit is not None:
        assert len(asked) <= 200
        assert asked[-1] <= 100.0 + limit + 1e-6
        assert time.now >= 100.0 + limit - 1e-6
    for one, next_ in pairwise(asked[:-1]):
        took = looks[asked.index(one)][0] if asked.index(one) < len(looks) else 0
        assert next_ - one >= took - 1e-9
    # Quick answers are asked for no more often than was said.
    if all(took <= interval for took, _ in looks):
        assert all(b - a >= interval - 1e-6 for a, b in pairwise(asked[:-1]))


def test_an_error_that_is_not_to_be_retried_ends_the_watch() -> None:
    time = Time()

    def get() -> None:
        raise KeyError("a mistake")

    with pytest.raises(KeyError):
        next(
            polls(
                get,
                interval=lambda _elapsed: 1,
                limit=None,
                clock=time.clock,
                sleep=time.sleep,
                retried=(OSError,),
                failed=lambda _: None,
            )
        )


def test_the_pace_is_forty_looks_a_minute_at_most() -> None:
    time = Time()
    looks: list[float] = []
    for moment in polls(
        time.clock,
        interval=pace,
        limit=900,
        clock=time.clock,
        sleep=time.sleep,
        retried=(),
        failed=lambda _: None,
    ):
        looks.append(moment)
    for first in looks:
        assert sum(first <= other < first + 60 for other in looks) <= 40


@given(st.floats(0, 600))
def test_a_copy_is_noticed_soon_and_sooner_the_shorter_it_is(copy: float) -> None:
    look = 0.0
    while look < copy:
        look += pace(look)
    assert look - copy <= min(0.5 + copy / 10, 1.8)
