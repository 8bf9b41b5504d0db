"""The results, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prettytable import PrettyTable

from .measure import Spread


@dataclass(frozen=True)
class Target:
    """The target of a value: at most, or at least, ``limit``."""

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a value meets it."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


@dataclass(frozen=True)
class Result:
    """One line of the table: what was measured, and its values."""

    part: str
    what: str
    unit: str
    values: Sequence[float]
    latency: float | None = None
    target: Target | None = None
    note: str = ""

    @property
    def spread(self) -> Spread:
        """The summary of the values."""
        return Spread.of(self.values)

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        spread = self.spread
        return {
            "part": self.part,
            "what": self.what,
            "latency_ms": None if self.latency is None else 1000 * self.latency,
            "unit": self.unit,
            "median": spread.median,
            "min": spread.least,
            "max": spread.most,
            "values": list(self.values),
            "target": str(self.target) if self.target else None,
            "met": self.target.met(spread.median) if self.target else None,
            "note": self.note,
        }


@dataclass
class Report:
    """All results so far, and the machine."""

    versions: dict[str, str]
    results: list[Result] = field(default_factory=list)
    load_before: tuple[float, ...] = field(default_factory=os.getloadavg)

    def add(self, *results: Result) -> None:
        """Record results, and show progress."""
        for each in results:
            latency = "" if each.latency is None else f" at {1000 * each.latency:g} ms"
            print(
                f"{each.part}: {each.what}{latency}: {each.spread} {each.unit}",
                flush=True,
            )
        self.results.extend(results)

    def table(self) -> str:
        """Return a table with a line for each result."""
        titles = "part,what,ms a request,median,min,max,unit,target,met"
        table = PrettyTable(titles.split(","))
        table.align = "l"
        for each in self.results:
            spread = each.spread
            numbers = (spread.median, spread.least, spread.most)
            target = each.target
            table.add_row(
                [
                    each.part,
                    each.what,
                    "" if each.latency is None else f"{1000 * each.latency:g}",
                    *(f"{number:.4g}" for number in numbers),
                    each.unit,
                    target or "",
                    "" if not target else "yes" if target.met(spread.median) else "NO",
                ]
            )
        notes = [f"{r.part}, {r.what}: {r.note}" for r in self.results if r.note]
        return "\n".join([table.get_string(), *dict.fromkeys(notes), self._about()])

    def write(self, file: Path) -> None:
        """Write everything as JSON."""
        content = {
            "machine": self._machine(),
            "results": [each.as_data() for each in self.results],
        }
        file.write_text(json.dumps(content, indent=1) + "\n")

    def _machine(self) -> dict[str, Any]:
        return {
            "python": platform.python_version(),
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "load_before": self.load_before,
            "load_after": os.getloadavg(),
            **self.versions,
        }

    def _about(self) -> str:
        """Describe what the numbers depend on."""
        facts = (f"{key}: {value}" for key, value in self._machine().items())
        return "; ".join(facts)
