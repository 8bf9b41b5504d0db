"""What holds whatever several runners go through, and whenever they are killed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.engine.runner import OneProject, Runner
from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    MARKER_KEY,
    SERVER_KEY,
    SLOT_KEY,
    run_metadata,
)
from rax_scheduled_images_ext.model.plan import Policy, Window, latest_slot
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image
from rax_scheduled_images_ext.sandbox.backend.state import Timings

from .actors import Actor, Command
from .fleet import MARKED, MYSERVER, add_image
from .raw import START
from .runners import advance_to_slot, connected, made, runner_of, schedule

pytestmark = pytest.mark.slow

KEPT = 2
RUNNERS = 3
# How far a runner's clock is ahead of the cloud's.
CLOCKS = [timedelta(), timedelta(minutes=2), timedelta(minutes=-2)]
LIMITS = Limits(requests=1)

# Minutes between the ticks of a runner that is left alone for a day.
TICKS = (5, 7, 49, 5, 55, 5, 55, 5)

commands = st.one_of(st.just(Command.GO), st.just(Command.GO), st.sampled_from(Command))
#: A runner's next request, what becomes of it, and how many seconds pass afterwards.
moves = st.tuples(
    st.integers(0, RUNNERS - 1),
    commands,
    st.sampled_from([0, 0, 0, 0, 20, 60, 180, 1200, 3000]),
)
histories = st.lists(moves, min_size=5, max_size=120)


class Play:
    """A sandbox, three runners, and images that are none of their business."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        # A snapshot is over sooner than a claim is too old to be acted upon.
        sandbox.cloud.timings = Timings(1, 5, 1, 10, 1)
        self.cloud = connected(sandbox, workers=1)
        schedule(sandbox, KEPT)
        advance_to_slot(sandbox, -60)
        inherited: dict[str, Any] = run_metadata("other", "2026-01-01", "x")
        inherited[SERVER_KEY] = "another"
        self.bystanders = {
            add_image(sandbox, "mine", instance_uuid=MYSERVER),
            add_image(sandbox, "foreign", **{SERVER_KEY: "other", **MARKED}),
            add_image(sandbox, "inherited", **inherited),
            add_image(
                sandbox, "protected", protected=True, instance_uuid=MYSERVER, **MARKED
            ),
        }
        self.actors: list[Actor | None] = [None] * RUNNERS

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.sandbox.advance(0), timezone.utc)

    def move(self, number: int, command: Command, seconds: int) -> None:
        """Let one runner come to its next request, and then let time pass."""
        actor = self.actors[number]
        if actor is None or actor.done:
            actor = self.actors[number] = self._start(number)
        actor.step(command)
        self.sandbox.advance(seconds)

    def settle(self, days: int) -> None:
        """Let all runners end, and a new one go on alone."""
        for actor in self.actors:
            if actor is not None:
                actor.finish()
        runner = runner_of(self.sandbox)
        for _ in range(days):
            advance_to_slot(self.sandbox)
            for minutes in TICKS:
                runner.tick()
                self.sandbox.advance(minutes * 60)

    def _start(self, number: int) -> Actor:
        at = self.now() + CLOCKS[number]
        began = self.now()

        def seconds() -> float:
            """The runner's clock, which sees how long its requests are held up."""
            return (self.now() - began).total_seconds()

        def act(cloud: Cloud) -> object:
            runner = Runner(OneProject(cloud), Policy(), LIMITS, clock=seconds)
            return runner.tick(at)

        return Actor(self.cloud, act)

    def all_made(self) -> list[Image]:
        """All images that runs have ever made, the deleted ones as well."""
        images = made(self.sandbox) + made(self.sandbox, deleted=True)
        return [image for image in images if image.id not in self.bystanders]


def held(history: list[tuple[int, Command, int]]) -> None:
    """See that the laws hold after a history."""
    with Sandbox(speed=0, start=START, extension=False) as sandbox:
        play = Play(sandbox)
        for number, command, seconds in history:
            play.move(number, command, seconds)
            check_always(play)
        play.settle(2)
        check_always(play)
        check_settled(play)


def check_always(play: Play) -> None:
    images = play.all_made()
    # At most one image of a slot and try, the tries being an hour apart.
    tries = Counter((image.properties[SLOT_KEY], interval(image)) for image in images)
    assert max(tries.values(), default=0) <= 1, tries
    slots = Counter(image.properties[SLOT_KEY] for image in images)
    assert max(slots.values(), default=0) <= 3, slots
    # Nothing of others is deleted.
    assert play.bystanders <= {image.id for image in play.sandbox.images()}
    # What is deleted leaves at least as many as are to be kept.
    deleted = [image for image in images if image.deleted_at and image.size]
    if deleted:
        left = [i for i in images if i.status == "active"]
        assert len(left) >= KEPT
        assert max(i.created for i in deleted) < min(i.created for i in left)


def interval(image: Image) -> int:
    """The number of the hour after the slot was due in which the image was made."""
    created = datetime.fromtimestamp(image.created, timezone.utc)
    due = latest_slot(MYSERVER, ImageSchedule(1), created, Window()).due
    # A runner whose clock is ahead, or behind, is in another hour for some minutes.
    return round((created - due) / timedelta(hours=1) - 0.5)


def check_settled(play: Play) -> None:
    images = [i for i in play.all_made() if i.deleted_at is None]
    # No orphan stays.
    assert [image.status for image in images] == ["active"] * len(images)
    assert not [i for i in play.sandbox.images() if CLAIM_KEY in i.properties]
    # Exactly one for each of the last slots: a fresh runner always goes on.
    slots = sorted(image.properties[SLOT_KEY] for image in images)
    now = play.now()
    today = latest_slot(MYSERVER, ImageSchedule(1), now, Window()).day
    assert slots == [str(today - timedelta(days=n)) for n in (1, 0)]
    marked = [i for i in images if MARKER_KEY in i.properties]
    assert len(marked) == KEPT


@settings(max_examples=60, phases=[Phase.generate, Phase.explicit])
@given(histories)
def test_the_laws_hold(history: list[tuple[int, Command, int]]) -> None:
    held(history)


def moves_of(number: int, requests: int, seconds: int = 0) -> list[Any]:
    """Let a runner come through so many requests."""
    return [(number, Command.GO, seconds)] * (requests + 1)


WHOLE = 8
# What a runner has sent before it claims, and before it requests the image.
LOOKED, CLAIMED = 3, 5
DUE = (0, Command.GO, 60)
HISTORIES: dict[str, list[Any]] = {
    "one runner": [DUE, *moves_of(0, WHOLE)],
    "one after the other": [DUE, *moves_of(0, WHOLE), *moves_of(1, WHOLE)],
    "killed after its claim": [
        (2, Command.GO, 60),
        *moves_of(0, CLAIMED),
        (0, Command.KILL, 0),
        *moves_of(1, WHOLE),
    ],
    "held up before its claim": [
        (2, Command.GO, 60),
        *moves_of(0, LOOKED),
        *moves_of(1, WHOLE, seconds=5),
        (2, Command.GO, 20),
        *moves_of(0, WHOLE),
    ],
    "held up after its claim": [
        (2, Command.GO, 60),
        *moves_of(0, CLAIMED),
        *moves_of(1, WHOLE, seconds=5),
        (2, Command.GO, 20),
        *moves_of(0, WHOLE),
    ],
    "its answer is lost": [
        (2, Command.GO, 60),
        *moves_of(0, CLAIMED),
        (0, Command.LOSE, 0),
        *moves_of(1, WHOLE),
    ],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_laws_hold_where_it_matters(name: str) -> None:
    held(HISTORIES[name])
