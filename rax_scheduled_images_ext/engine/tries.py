"""What a runner remembers of tries: it saves requests, and nothing depends on it."""

from __future__ import annotations

from collections.abc import Iterable

from rax_scheduled_images_ext.engine.claims import Claim
from rax_scheduled_images_ext.model.plan import Step

# How many tries are remembered of single steps.
_REMEMBERED = 10_000
# A server's ID, a slot, and the number of the interval since that was due; None for
# all of them.
_Try = tuple[str, str, int | None]


class Tries:
    """Tries that were claimed while their server was busy, and those that are used."""

    def __init__(self) -> None:
        self._held: dict[_Try, Claim] = {}
        self._used: set[_Try] = set()

    def forget_others(self, steps: Iterable[Step]) -> None:
        """Remember the tries of these steps only."""
        steps = list(steps)
        tries = {_this(step) for step in steps}
        self._held = {key: self._held[key] for key in tries & set(self._held)}
        self._used &= tries | {_every(step) for step in steps}

    def forget_many(self) -> None:
        """Forget all, if there are too many."""
        if len(self._used) + len(self._held) > _REMEMBERED:
            self._used.clear()
            self._held.clear()

    def is_used(self, step: Step) -> bool:
        """Whether the try of a step is used."""
        return not self._used.isdisjoint({_this(step), _every(step)})

    def use(self, step: Step) -> None:
        """Remember that the try of a step is used."""
        self._used.add(_this(step))

    def use_all(self, step: Step) -> None:
        """Remember that all tries of the slot are used."""
        self._used.add(_every(step))

    def hold(self, step: Step, claim: Claim) -> None:
        """Keep the claim of a step that was not acted upon."""
        self._held[_this(step)] = claim

    def take(self, step: Step) -> Claim | None:
        """Return the claim that was kept of a step, once."""
        return self._held.pop(_this(step), None)


def _this(step: Step) -> _Try:
    return (step.server.id, step.slot.name if step.slot else "", step.attempt)


def _every(step: Step) -> _Try:
    return (step.server.id, step.slot.name if step.slot else "", None)
