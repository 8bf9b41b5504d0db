"""What the commands of ``openstack`` have in common."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any, ClassVar

from osc_lib.command import command

from rax_scheduled_images_ext.cli.openstack.columns import escaped
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.openstacksdk import cloud_of
from rax_scheduled_images_ext.console.arguments import ONE_WAY, Argument, Exclusive
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.operations.targets import (
    Target,
    as_targets,
    find_targets,
)

LOG = logging.getLogger(__name__)

# The formats that have an escape for every character.
_FAITHFUL = ("json", "yaml")

#: The exit status of a command that was interrupted.
INTERRUPTED = 130


def error_line(error: BaseException, about: str = "") -> str:
    """Return what ``openstack`` prints of an error."""
    return f"{about}: {error}" if about else str(error) or type(error).__name__


class WrongUsage(Exception):
    """The arguments, each of which is right, do not go together."""


class NothingToShow(Exception):
    """The command ends with its status, and has no data to print."""


class Command(command.Command):
    """A command that declares its ``arguments``; ``status`` is its exit status."""

    arguments: ClassVar[tuple[Argument | Exclusive, ...]] = ()
    status = 0

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the command."""
        self.parser = super().get_parser(prog_name)
        for each in self.arguments:
            each.add_to(self.parser)
        return self.parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command and return its exit status."""
        try:
            return super().run(parsed_args) or self.status
        except NothingToShow:
            return self.status
        except WrongUsage as error:
            self.parser.print_usage(sys.stderr)
            say(f"{self.parser.prog}: error: {error}")
            return 2
        except ScheduledImagesError as error:
            LOG.debug("%s", error, exc_info=True)
            say(error_line(error))
            return error.exit_status

    @property
    def cloud(self) -> Cloud:
        """The cloud that the shell is connected to."""
        # Without osc-lib's own subclass, to which this belongs.
        manager: Any = self.app.client_manager
        return cloud_of(manager.sdk_connection)

    def end(self, *, ok: bool) -> None:
        """End the command with status 1 unless all was done."""
        self.status = 0 if ok else 1


class Lister(Command, command.Lister):
    """A command that prints rows."""

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Any, data: Any
    ) -> int:
        """Print the rows, and nothing in them that a terminal obeys."""
        if parsed_args.formatter not in _FAITHFUL:
            data = [[escaped(value) for value in row] for row in data]
        return int(super().produce_output(parsed_args, column_names, data) or 0)


class ShowOne(Command, command.ShowOne):
    """A command that prints one thing."""

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Any, data: Any
    ) -> int:
        """Print the thing, and nothing in it that a terminal obeys."""
        if parsed_args.formatter not in _FAITHFUL:
            data = [escaped(value) for value in data]
        return int(super().produce_output(parsed_args, column_names, data) or 0)


def check_targets(args: argparse.Namespace) -> None:
    """See that servers are chosen in one way.

    :raises WrongUsage: if not.
    """
    if bool(args.server) + args.all + (args.name is not None) != 1:
        raise WrongUsage(ONE_WAY)


def targets_of(
    cloud: Cloud, args: argparse.Namespace, *, scheduled: bool
) -> list[Target]:
    """Return the servers that a command is about.

    :param scheduled: of all servers only those with a schedule.
    :raises NoServers: if there are none.
    """
    if args.server:
        return as_targets(args.server)
    return find_targets(cloud, args.name, scheduled=scheduled)
