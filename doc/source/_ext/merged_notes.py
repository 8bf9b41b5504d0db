"""Release notes that a merge has changed, which reno by itself cannot read.

reno takes a change for each parent of a merge. Where they differ, or add the same note,
it gives up, although the merge has one text of that note.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from reno import scanner
from reno.sphinxext import setup as set_up_reno

_Aggregator: Any = scanner._ChangeAggregator


class _OneChange(_Aggregator):  # type: ignore[misc, unused-ignore]
    """Takes one change of each note from a merge: the last, where it is no addition."""

    def aggregate_changes(self, entry: Any, changes: list[Any]) -> Any:
        if len(entry.commit.parents) > 1:
            every = chain.from_iterable(changes)
            ordered = sorted(every, key=lambda change: change.type != "add")
            changes = [*{c.new.path or c.old.path: c for c in ordered}.values()]
        return super().aggregate_changes(entry, changes)


def setup(app: Any) -> Any:
    scanner._ChangeAggregator = _OneChange
    return set_up_reno(app)
