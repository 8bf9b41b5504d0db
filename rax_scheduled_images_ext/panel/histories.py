"""What Nova's records tell of the snapshots of servers that lack images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.snapshots import Attempt, Snapshots
from rax_scheduled_images_ext.operations.work_queue import run
from rax_scheduled_images_ext.panel.words import signed_out

#: The records of so many servers are read at a time, with one request each.
MOST_HISTORIES = 100
# Seconds that they are good for, and if some could not be read.
_GOOD_FOR, _PATIENCE = 300.0, 10.0


@dataclass(frozen=True)
class Histories:
    """The snapshots in the records of servers, by server ID.

    ``unread`` are the servers whose records could not be read, and ``left`` is how many
    were not asked about because there are too many.
    """

    attempts: Mapping[str, Sequence[Attempt]] = field(default_factory=dict)
    unread: Sequence[str] = ()
    left: int = 0

    @classmethod
    def read(cls, cloud: Cloud, server_ids: Sequence[str]) -> Histories:
        """Read the records of these servers, of many only those that come first."""
        some = server_ids[:MOST_HISTORIES]
        outcomes = run(some, Snapshots(cloud.shared().compute).attempts)
        for each in outcomes:
            if signed_out(each.error) and each.error is not None:
                raise each.error
        return cls(
            {each.item: each.value for each in outcomes if each.value is not None},
            [each.item for each in outcomes if each.error is not None],
            len(server_ids) - len(some),
        )

    def good_for(self, server_ids: Sequence[str]) -> float:
        """Return how many seconds this is good for, 0 if it is about other servers."""
        if {*server_ids[:MOST_HISTORIES]} != {*self.attempts, *self.unread}:
            return 0.0
        return _PATIENCE if self.unread else _GOOD_FOR
