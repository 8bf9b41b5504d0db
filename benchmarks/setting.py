"""The settings of all benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .cloud import Cloud
from .environments import Environments, bare_environment
from .measure import Run, in_turn
from .results import Report

LATENCIES = (0.0, 0.05)


@dataclass(frozen=True)
class Setting:
    """Where and how to measure; ``quick`` only checks that all works.

    ``cloud`` is the folder of the real cloud.
    """

    environments: Environments
    folder: Path
    cloud: Path
    report: Report
    quick: bool = False

    def times(self, thoroughly: int, quickly: int) -> int:
        """Return one of two numbers."""
        return quickly if self.quick else thoroughly

    @property
    def latencies(self) -> tuple[float, ...]:
        """The minimum seconds that the sandbox takes for each response."""
        return LATENCIES[: self.times(2, 1)]

    def in_turn(
        self, sides: Mapping[str, Callable[[], Run]], thoroughly: int
    ) -> dict[str, list[Run]]:
        """Run several things in turn, this many times each."""
        times = self.times(thoroughly, 1)
        return in_turn(sides, times, warm=not self.quick)

    @property
    def home_alone(self) -> dict[str, str]:
        """The variables of a process without a cloud."""
        return bare_environment(self.folder)

    def variables(self, cloud: Cloud) -> dict[str, str]:
        """Return the variables of a process that uses a sandbox."""
        return {**self.home_alone, **cloud.variables}
