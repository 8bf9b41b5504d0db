"""What holds whatever several runners go through, and whenever they are killed."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rax_scheduled_images_ext.sandbox.backend.state import Timings

from ..functional.actors import Command
from ..functional.history import (
    KINDS,
    QUICK,
    RUNNERS,
    SLOW,
    Broken,
    Move,
    User,
    held,
)
from ..unit.test_slots import KINDS as EVERY_KIND
from ..unit.test_slots import check_changes
from .mutants import MUTANTS

pauses = st.sampled_from([0, 0, 0, 0, 20, 60, 180, 1200, 3000])
moves = st.builds(
    Move,
    st.integers(0, RUNNERS - 1),
    st.integers(0, 9),
    st.one_of(st.none(), st.sampled_from(Command)),
    pauses,
)
acts = st.builds(Move, seconds=pauses, user=st.sampled_from(User))
histories = st.lists(st.one_of(moves, moves, moves, moves, moves, acts), max_size=40)


@settings(max_examples=40, phases=[Phase.generate, Phase.explicit])
@pytest.mark.parametrize("kind", KINDS)
@given(history=histories, timings=st.sampled_from([QUICK, QUICK, SLOW]))
def test_the_laws_hold(kind: str, history: list[Move], timings: Timings) -> None:
    held(history, timings, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MUTANTS)
def test_each_law_can_be_broken(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = MUTANTS[name]
    held(mutant.history, mutant.timings, kind)
    mutant.patch(monkeypatch)
    with pytest.raises(Broken) as caught:
        held(mutant.history, mutant.timings, kind)
    assert caught.value.law == mutant.law


@pytest.mark.parametrize(("before", "after"), [*permutations(EVERY_KIND, 2)])
def test_a_change_at_every_hour_leaves_no_gap(before: str, after: str) -> None:
    check_changes(before, after, range(168))
