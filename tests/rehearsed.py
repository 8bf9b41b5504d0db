"""The service by a clock of its own, so that days pass at once on any cloud.

``python rehearsed.py --at TIME COMMAND...`` decides as if it were that time, and
``--since TIME --speed X`` lets time pass faster from that moment on, which is the same
for all that run side by side.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from time import monotonic
from unittest import mock

from rax_scheduled_images_ext.engine import claims, making
from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.model import plan
from rax_scheduled_images_ext.model.plan import CLOCK_DIFFERENCE, Policy
from rax_scheduled_images_ext.programs.arguments import moment
from rax_scheduled_images_ext.service import cli

#: This program, to be called with its options.
PROGRAM = (sys.executable, __file__)
# The cloud is not faster, so an attempt must not end at once.
_SHORTEST_TRY = timedelta(minutes=2)


@dataclass(frozen=True)
class FastClock(Clock):
    """Shows what this machine's clock would, were it so many times faster.

    :param since: when both show the same.
    """

    since: datetime = datetime(1970, 1, 1, tzinfo=timezone.utc)
    speed: float = 1.0

    def time(self, cloud: datetime) -> datetime:
        return self.since + (datetime.now(timezone.utc) - self.since) * self.speed


def fast_clock(since: datetime, speed: float) -> FastClock:
    """Return a clock whose seconds are as short as its hours."""
    return FastClock(lambda: monotonic() * speed, since=since, speed=speed)


@contextmanager
def by_clock(clock: Clock) -> Iterator[None]:
    """Let runners that the service makes decide by a clock.

    What has to fit between two tries becomes as many times longer as the time between
    them does.
    """
    open_runner = cli.open_runner
    speed = getattr(clock, "speed", 1.0)
    interval = max(Policy.interval, speed * _SHORTEST_TRY)
    stretch = interval / Policy.interval

    def rehearsing(args: argparse.Namespace, region: str | None = None) -> Runner:
        runner = open_runner(args, region)
        policy = replace(runner.policy, interval=interval)
        runner.clock, runner.policy = clock, policy
        if runner.finder is not None:
            runner.finder = replace(
                runner.finder,
                clock=clock,
                policy=policy,
                # Its hours are shorter.
                refresh=runner.finder.refresh / speed,
            )
        return runner

    validity, difference = claims.CLAIM_VALIDITY * stretch, CLOCK_DIFFERENCE * stretch
    with (
        mock.patch.object(cli, "open_runner", rehearsing),
        mock.patch.object(claims, "CLAIM_VALIDITY", validity),
        mock.patch.object(claims, "CLOCK_DIFFERENCE", difference),
        mock.patch.object(making, "CLAIM_VALIDITY", validity),
        # What an image was made for only its slot's name says.
        mock.patch.object(plan, "NAMED_DIFFERENCE", timedelta.max),
    ):
        yield


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="rehearsed", description=__doc__)
    parser.add_argument("--at", type=moment)
    parser.add_argument("--since", type=moment)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    clock = fast_clock(args.since, args.speed) if args.since else Clock(at=args.at)
    with by_clock(clock):
        return cli.main(args.command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
