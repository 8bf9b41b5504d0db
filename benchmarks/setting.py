"""What all benchmarks are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .cloud import Cloud
from .environments import Environments, bare_environment
from .results import Report

#: Seconds that the sandbox takes for each answer, at least.
LATENCIES = (0.0, 0.05)


@dataclass(frozen=True)
class Setting:
    """Where and how to measure; ``quick`` is only to see that all works."""

    environments: Environments
    folder: Path
    report: Report
    quick: bool = False

    def times(self, thoroughly: int, quickly: int) -> int:
        """Return one of two numbers."""
        return quickly if self.quick else thoroughly

    @property
    def home_alone(self) -> dict[str, str]:
        """The variables of a process that speaks to no cloud."""
        return bare_environment(self.folder)

    def variables(self, cloud: Cloud) -> dict[str, str]:
        """Return the variables of a process that speaks to a sandbox."""
        return {**self.home_alone, **cloud.variables}
