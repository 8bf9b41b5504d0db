"""The options of workers and beat, from the environment.

Celery's own commands load the application by its name, so its options cannot be on
their command line.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
from dataclasses import dataclass
from functools import cache, cached_property

from celery.signals import worker_process_shutdown
from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext.engine.find import Finder
from rax_scheduled_images_ext.engine.results import Coverage
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.operations.policy_file import PolicyFile
from rax_scheduled_images_ext.service import cli, events
from rax_scheduled_images_ext.service.notify import Notifier, notifier


@dataclass(frozen=True)
class WorkerSettings:
    """The options."""

    args: argparse.Namespace
    regions: list[str]

    @property
    def every(self) -> float:
        """Seconds between two scans."""
        return float(self.args.every)

    @cached_property
    def _policy_file(self) -> PolicyFile:
        return PolicyFile(self.args.policies)

    @cached_property
    def _events(self) -> events.EventLog:
        return events.EventLog()

    def policies(self) -> str | None:
        """Return the text of the policies as they are now, without mistakes.

        A mistake is reported at once, and what the file said before counts.
        """
        file = self._policy_file
        policies, problem = file.read()
        if self._events.add_coverage(Coverage(problem=problem)):
            facts = {"event": "policies not obeyed", "reason": problem}
            self.notifier.notify(facts)
        return file.text if policies else None

    @cached_property
    def notifier(self) -> Notifier:
        """The notifier of failures."""
        return notifier(self.args)


@dataclass(frozen=True)
class Engine:
    """The engine for one region."""

    runner: Runner
    finder: Finder


@cache
def settings() -> WorkerSettings:
    """Return the settings of this process.

    :raises SystemExit: with status 2 for invalid options.
    :raises ScheduledImagesError: if no cloud is configured, or something lacks there.
    """
    options = shlex.split(os.environ.get(cli.OPTIONS, ""))
    args = cli.parse(["worker", *options])
    events.configure(args.log_format, logging.DEBUG if args.verbose else logging.INFO)
    return WorkerSettings(args, cli.worker_regions(args))


_ENGINES: dict[str, Engine] = {}


def engine_of(region: str) -> Engine:
    """Return the logged-in engine for a region.

    Each process has its own.

    :raises Misconfigured: if the configuration lacks something required to log in.
    """
    if region not in _ENGINES:
        runner = cli.open_runner(settings().args, region)
        finder = Finder(runner.projects, runner.policy, clock=runner.clock)
        _ENGINES[region] = Engine(runner, finder)
    return _ENGINES[region]


def leave_engine(region: str, error: Exception) -> None:
    """Log in again the next time, if the login may have caused the error.

    The password may have been changed, and is read again then.
    """
    if isinstance(error, ClientException):
        _ENGINES.pop(region, None)


@worker_process_shutdown.connect
def end_notices(**_: object) -> None:
    """Wait for the notifications of a process that ends."""
    settings().notifier.close()
