"""What holds whatever several runners go through, and whenever they are killed."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rax_scheduled_images_ext.sandbox.backend.state import Timings

from .actors import Command
from .history import QUICK, RUNNERS, SLOW, Move, User, held

pytestmark = pytest.mark.slow

commands = st.one_of(st.just(Command.GO), st.just(Command.GO), st.sampled_from(Command))
pauses = st.sampled_from([0, 0, 0, 0, 20, 60, 180, 1200, 3000])
moves = st.builds(
    Move, st.integers(0, RUNNERS - 1), st.integers(0, 9), commands, pauses
)
acts = st.builds(Move, seconds=pauses, user=st.sampled_from(User))
histories = st.lists(st.one_of(moves, moves, moves, moves, moves, acts), max_size=40)


@settings(max_examples=60, phases=[Phase.generate, Phase.explicit])
@given(histories, st.sampled_from([QUICK, QUICK, SLOW]))
def test_the_laws_hold(history: list[Move], timings: Timings) -> None:
    held(history, timings)


# What a runner has sent before it claims, and before it requests the image.
LOOKED, CLAIMED, WHOLE = 3, 5, 8
DUE = Move(0, seconds=60)
HISTORIES: dict[str, list[Move]] = {
    "one runner": [DUE, Move(0, WHOLE)],
    "one after the other": [DUE, Move(0, WHOLE), Move(1, WHOLE)],
    "killed after its claim": [
        DUE,
        Move(0, CLAIMED, Command.KILL),
        Move(1, WHOLE),
    ],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_laws_hold_where_it_matters(name: str) -> None:
    held(HISTORIES[name])
