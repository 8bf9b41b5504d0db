"""Ways to break the engine, each with a history that shows it and the law it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from rax_scheduled_images_ext.client.snapshots import Snapshots
from rax_scheduled_images_ext.engine import (
    claims,
    clock,
    limits,
    making,
    runner,
    settling,
)
from rax_scheduled_images_ext.engine.look import Look
from rax_scheduled_images_ext.engine.results import Result, StepResult
from rax_scheduled_images_ext.model import plan
from rax_scheduled_images_ext.model import retention as rule
from rax_scheduled_images_ext.model.image import MARKER_KEY
from rax_scheduled_images_ext.sandbox.backend.state import Timings

from ..functional.actors import Command
from ..functional.history import QUICK, SLOW, Move, User

# What a runner has sent when it has looked at everything and then at the server, and
# when it has claimed the try, before it requests the image; more than it ever sends.
LOOKED, READY, WHOLE = 7, 9, 20
HOUR = 3600


def wait(seconds: int, images: float = 0) -> Move:
    """Let time pass; a history begins a minute before the image is due."""
    return Move(seconds=seconds, user=User.WAIT, images=images)


#: A runner makes an image, applies the retention, and waits for the next one.
DAY = [
    Move(1, WHOLE, seconds=300),
    Move(1, WHOLE),
    wait(-300, images=1),
]


@dataclass(frozen=True)
class Mutant:
    """A way to break the engine.

    :param patch: breaks it, until the patch is undone.
    :param law: the law that it breaks, in this history.
    """

    patch: Callable[[pytest.MonkeyPatch], None]
    law: str
    history: list[Move]
    timings: Timings = QUICK


def _set(owner: object, name: str, value: object) -> Callable[..., None]:
    return lambda patch: patch.setattr(owner, name, value)


def _without_margin(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(claims, "CLOCK_DIFFERENCE", timedelta())
    patch.setattr(claims, "CLAIM_VALIDITY", timedelta())


def _going_on(patch: pytest.MonkeyPatch) -> None:
    use = claims.Claims._use

    def mutant(self: Any, server_id: str, slot: Any, what: str, taken: Any) -> bool:
        return ":" in what or use(self, server_id, slot, what, taken)

    patch.setattr(claims.Claims, "_use", mutant)
    # Without a claim there is no place.
    free = limits.Room.FREE
    patch.setattr(limits.Admission, "confirm", lambda *arguments: free)


def _with_one_try(patch: pytest.MonkeyPatch) -> None:
    use = claims.Claims._use

    def mutant(self: Any, server_id: str, slot: Any, what: str, taken: Any) -> bool:
        return use(self, server_id, slot, "0", taken)

    patch.setattr(claims.Claims, "_use", mutant)


def _trying_on(patch: pytest.MonkeyPatch) -> None:
    take = claims.Claims._take

    def mutant(
        self: Any, server_id: str, slot: Any, intervals: Any, note: Any, taken: Any
    ) -> Any:
        found = take(self, server_id, slot, intervals, note, taken)
        if found is not claims.NoClaim.USED_UP:
            return found
        free = (n for n in range(9) if self._use(server_id, slot, str(n), taken))
        return next(free), frozenset(intervals), 1

    patch.setattr(claims.Claims, "_take", mutant)


def _asking_again(patch: pytest.MonkeyPatch) -> None:
    create_image = Snapshots.create_image

    def mutant(self: Any, *arguments: Any) -> Any:
        request = create_image(self, *arguments)
        return create_image(self, *arguments) if request.problem else request

    patch.setattr(Snapshots, "create_image", mutant)


def _without_reading_the_schedule(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clock, "FRESH", timedelta(days=1))


def _counting_all(patch: pytest.MonkeyPatch) -> None:
    for name in ("_foreign", "_uncounted"):
        patch.setattr(rule, name, lambda *arguments: None)


def _keeping_one_less(patch: pytest.MonkeyPatch) -> None:
    ranked = rule._ranked

    def mutant(
        image: Any, keep: Any, rank: int, by: Any, kept_as: Any, **more: Any
    ) -> Any:
        left = tuple(each for each in by if each.rank < each.limit)
        return ranked(image, keep, rank, left, kept_as, **more)

    patch.setattr(rule, "_ranked", mutant)


def _ignoring_tasks(patch: pytest.MonkeyPatch) -> None:
    judge = plan.is_abandoned

    def mutant(image: Any, server: Any, now: Any) -> bool:
        return judge(image, replace(server, task_state=None), now)

    server = Snapshots.server

    def idle(self: Any, server_id: str) -> Any:
        return replace(server(self, server_id), task_state=None)

    patch.setattr(plan, "is_abandoned", mutant)
    patch.setattr(runner, "is_abandoned", mutant)
    patch.setattr(Snapshots, "server", idle)


def _never_abandoning(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(plan, "is_abandoned", lambda *arguments: False)


def _leaving(self: Any) -> StepResult:
    return StepResult(self.step, Result.LEFT)


def _sweeping_all(patch: pytest.MonkeyPatch) -> None:
    def mutant(image: Any, now: Any) -> bool:
        return image.is_queued and MARKER_KEY in image.metadata

    patch.setattr(runner, "is_left_behind", mutant)


MUTANTS = {
    "it takes no claim": Mutant(
        _set(claims.Claims, "_use", lambda *arguments: True),
        "one image a slot and try",
        [
            wait(120),
            Move(0, LOOKED),
            Move(1, LOOKED),
            Move(0, 1, seconds=30),
            Move(1, 1),
        ],
    ),
    "it goes on with a try that was refused without a claim": Mutant(
        _going_on,
        "one image a slot and try",
        [
            wait(120),
            Move(0, READY, Command.BUSY),
            # It leaves a note, and has come to its end.
            Move(0, 2, seconds=120),
            Move(0, LOOKED),
            Move(1, LOOKED),
            Move(0, 2, seconds=30),
            Move(1, 2),
        ],
    ),
    "it asks again after an unclear answer": Mutant(
        _asking_again,
        "one image a slot and try",
        [wait(120), Move(0, READY, Command.LOSE, seconds=30), Move(0, 1)],
    ),
    "it does not see the images of the slot": Mutant(
        _set(plan, "_of_slot", lambda *arguments: []),
        "no image is made for nothing",
        [wait(120), Move(0, WHOLE, seconds=HOUR), Move(1, WHOLE, seconds=30)],
    ),
    "its claim is not for what other clocks show": Mutant(
        _without_margin,
        "no image is made for nothing",
        [
            wait(60 + 60 * 60),
            Move(2, READY),
            Move(1, WHOLE, seconds=30),
            Move(2, WHOLE, seconds=30),
        ],
    ),
    "it acts on a claim that is too old": Mutant(
        _set(making, "CLAIM_VALIDITY", timedelta(days=1)),
        "no image is made for nothing",
        [
            wait(60 + 50 * 60),
            Move(0, LOOKED, seconds=12 * 60),
            Move(1, WHOLE, seconds=30),
            Move(0, WHOLE, seconds=30),
        ],
    ),
    "it has one try": Mutant(
        _with_one_try,
        "each slot that could have an image has one",
        [wait(120), Move(0, READY, Command.KILL)],
    ),
    "two images of a slot stay": Mutant(
        _set(plan, "duplicates", lambda *arguments: []),
        "one image a slot in the end",
        [
            wait(120),
            Move(0, READY, seconds=HOUR),
            Move(1, WHOLE, seconds=30),
            Move(0, 1, seconds=30),
        ],
    ),
    "two images of a slot count": Mutant(
        _set(plan, "duplicates", lambda *arguments: []),
        "as many as are kept stay",
        [
            wait(120),
            *DAY,
            Move(0, READY, seconds=HOUR),
            Move(1, WHOLE, seconds=30),
            Move(0, 1, seconds=30),
            Move(1, WHOLE),
        ],
    ),
    "it tries more than three times": Mutant(
        _trying_on,
        "three tries a slot",
        [wait(120), *[Move(user=User.LOSE_IMAGE), Move(0, WHOLE, seconds=HOUR)] * 4],
    ),
    "it deletes without looking again": Mutant(
        _set(Look, "again", lambda self: self),
        "only what is surplus is deleted",
        [
            Move(user=User.KEEP_4),
            *DAY,
            *DAY,
            *DAY,
            Move(user=User.KEEP_1),
            wait(120),
            Move(1, WHOLE, seconds=300),
            Move(0, LOOKED + 1),
            Move(user=User.KEEP_4),
            Move(0, WHOLE),
        ],
    ),
    "it deletes without reading the schedule again": Mutant(
        _without_reading_the_schedule,
        "only what is surplus is deleted",
        [
            *DAY,
            *DAY,
            wait(120),
            Move(1, WHOLE, seconds=300),
            Move(0, LOOKED - 1, seconds=10),
            Move(user=User.DISABLE),
            Move(0, WHOLE),
        ],
    ),
    "it counts all images": Mutant(
        _counting_all, "nothing of others is deleted", [wait(120), *DAY]
    ),
    "it keeps one image less": Mutant(
        _keeping_one_less, "only what is surplus is deleted", [wait(120), *DAY, *DAY]
    ),
    "it applies no retention": Mutant(
        _set(settling.Settling, "_apply_retention", lambda *arguments: True),
        "the retention is applied",
        [wait(120), *DAY],
    ),
    "it takes an image that is being made for abandoned": Mutant(
        _ignoring_tasks,
        "only what is surplus is deleted",
        [wait(120), Move(0, WHOLE, seconds=12 * 60), Move(1, WHOLE)],
        SLOW,
    ),
    "it waits for an image that was abandoned": Mutant(
        _never_abandoning,
        "each slot that could have an image has one",
        [wait(120), Move(0, READY, Command.LEAVE)],
    ),
    "it sweeps whatever has no data": Mutant(
        _sweeping_all,
        "nothing of others is deleted",
        [wait(120), Move(0, WHOLE, seconds=300), Move(0, WHOLE)],
    ),
    "it sweeps nothing": Mutant(
        _set(runner, "is_left_behind", lambda *arguments: False),
        "no orphan stays",
        [wait(120), Move(0, LOOKED, Command.KILL_AFTER), wait(30 * HOUR)],
    ),
    "it leaves what is due to others": Mutant(
        _set(making.Making, "make", _leaving),
        "a fresh runner goes on",
        [wait(2 * HOUR, images=0.5)],
    ),
}
