"""Asks before images are proven to boot, and prints the results."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from rax_scheduled_images_ext.console.formats import Column, as_table
from rax_scheduled_images_ext.console.report import Console
from rax_scheduled_images_ext.console.snapshot_create import SnapshotReport
from rax_scheduled_images_ext.console.terminal import agreed
from rax_scheduled_images_ext.model.durations import format_duration
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.model.verify import Finding
from rax_scheduled_images_ext.operations.verify import (
    Verified,
    VerifyListener,
    VerifyOptions,
    VerifyPlan,
)
from rax_scheduled_images_ext.operations.work_queue import Outcome

#: The exit status if a proof has failed.
FAILED = 3
_WARNING = (
    "Warning: with a network, each test server is a running copy of a production"
    " server, with its data and keys: it may change anything it can reach."
)

PLANS: tuple[Column[VerifyPlan], ...] = (
    Column("server", "Server", lambda plan: plan.server.name or plan.server.id),
    Column("image", "Image", lambda plan: plan.image.name),
    Column("image_id", "Image ID", lambda plan: plan.image.id),
    Column("flavor", "Flavor", lambda plan: plan.flavor.name),
)
VERIFIED: tuple[Column[Verified], ...] = (
    *(
        Column(each.key, each.title, lambda done, each=each: each.value(done.plan))  # type: ignore[misc]
        for each in PLANS[:3]
    ),
    Column("result", "Result", lambda done: done.finding.value),
    Column("level", "Level", lambda done: done.level and done.level.word),
    Column("time", "Time", lambda done: write_time(done.time)),
    Column("seen", "Seen", lambda done: done.seen),
)


class VerifyReport(SnapshotReport, VerifyListener):
    """Reports on stderr how proofs go; asks for confirmation first if ``asks``.

    ``done`` holds the results so far.
    """

    def __init__(
        self, console: Console, number: int, options: VerifyOptions, *, asks: bool
    ) -> None:
        super().__init__(console)
        self.done: list[Verified] = []
        self._number = number
        self._options = options
        self._asks = asks

    def planned(self, outcome: Outcome[str, VerifyPlan]) -> None:
        if outcome.error is not None:
            self._worsen(1)
            self._console.failure(outcome.item, outcome.error, self._number)

    def agrees(self, plans: Sequence[VerifyPlan]) -> bool:
        if self._asks:
            print(as_table(PLANS, plans), file=sys.stderr)
        self.say(cost(plans, self._options))
        if self._options.networks:
            self.say(_WARNING)
        self._writer.flush()
        if not self._asks or agreed("Create these test servers?"):
            return True
        self.say("Nothing was created.")
        self._worsen(1)
        return False

    def verified(self, done: Verified) -> None:
        self.done.append(done)
        named = f"image {done.plan.image.name} ({done.plan.image.id})"
        if done.finding is Finding.FAILED:
            self._worsen(FAILED)
            self.say(f"Failed: {named}: {done.seen}")
        elif done.finding is Finding.UNKNOWN:
            self._worsen(1)
            self.say(f"Inconclusive: {named}: {done.seen}")
        elif not done.enough and done.level is not None:
            self._worsen(1)
            self.say(
                f"Proven only to level '{done.level.word}': {named}: {done.seen}; use"
                " --level booted if that is enough"
            )
        if done.problem is not None:
            self._worsen(1)
            self.say(f"Result not saved: {named}: {done.problem}")
        if done.left_id is not None:
            self._worsen(1)
            self.say(f"Not deleted: test server {done.left_id} of {named}")

    def _worsen(self, status: int) -> None:
        self.status = max(self.status, status)


def cost(plans: Sequence[VerifyPlan], options: VerifyOptions) -> str:
    """Return the most that proofs may use, as one line."""
    flavors = Counter(plan.flavor.name for plan in plans)
    number = len(plans)
    servers = "1 test server" if number == 1 else f"{number} test servers"
    of = ", ".join(f"{count} of flavor {name}" for name, count in flavors.items())
    most = min(options.at_once, number)
    longest = format_duration(options.longest)
    return f"{servers} ({of}), {most} at once, each for {longest} at most."
