"""What the commands of ``openstack`` have in common."""

from __future__ import annotations

import argparse
import io
import logging
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any, ClassVar

from osc_lib.command import command

from rax_scheduled_images_ext.cli.openstack.columns import FAITHFUL, escaped
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.openstacksdk import cloud_of
from rax_scheduled_images_ext.console.arguments import (
    ONE_WAY,
    STATUSES,
    Argument,
    Exclusive,
)
from rax_scheduled_images_ext.console.report import Console
from rax_scheduled_images_ext.console.targets import confirmed
from rax_scheduled_images_ext.console.terminal import (
    OutputFailed,
    otherwise,
    put,
    say,
)
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.operations.targets import (
    Target,
    as_targets,
    find_targets,
)

LOG = logging.getLogger(__name__)

#: The exit status of a command that was interrupted.
INTERRUPTED = 130


def error_line(error: BaseException, about: str = "") -> str:
    """Return what ``openstack`` prints of an error."""
    return f"{about}: {error}" if about else str(error) or type(error).__name__


def failed_delete(image_id: str, error: Exception) -> str:
    """Return the line about an image that could not be deleted."""
    return f"Failed to delete image {image_id}: {error}"


CONSOLE = Console(error_line, failed_delete)


class WrongUsage(Exception):
    """The arguments contradict each other, although each is valid."""


class NothingToShow(Exception):
    """The command ends with its status, and has no data to print."""


class Command(command.Command):
    """A command that declares its ``arguments``; ``status`` is its exit status.

    ``statuses`` is what its help says about exit statuses.
    """

    arguments: ClassVar[tuple[Argument | Exclusive, ...]] = ()
    statuses: ClassVar[str] = STATUSES
    status = 0

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the command."""
        self.parser = super().get_parser(prog_name)
        for each in self.arguments:
            each.add_to(self.parser)
        return self.parser

    def get_epilog(self) -> str:
        """Return the end of the command's help."""
        return "\n\n".join((self.statuses, super().get_epilog()))

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command and return its exit status."""
        try:
            return super().run(parsed_args) or self.status
        except NothingToShow:
            return self.status
        except OutputFailed as failed:
            return failed.status
        except WrongUsage as error:
            self.parser.print_usage(sys.stderr)
            say(f"{self.parser.prog}: error: {error}")
            return 2
        except ScheduledImagesError as error:
            CONSOLE.error(error)
            return error.exit_status

    @property
    def cloud(self) -> Cloud:
        """The cloud that the shell is connected to; waits for it are reported."""
        # `sdk_connection` belongs to the subclass of osc-lib.
        manager: Any = self.app.client_manager
        return replace(cloud_of(manager.sdk_connection), waits=CONSOLE.waits)

    def end(self, *, ok: bool) -> None:
        """End the command with status 1 unless everything was done."""
        self.status = 0 if ok else 1


class _Display(Command):
    """A command that prints data.

    ``say_done`` reports on stderr what was done, if the data cannot be written to
    stdout.
    """

    say_done: Callable[[], object] | None = None

    def check_output(
        self, parsed_args: argparse.Namespace, column_names: Any, data: Any
    ) -> None:
        """Check that the data can be printed in the requested columns and format.

        :raises WrongUsage: if not.
        """
        try:
            self._formatted(parsed_args, column_names, data)
        except ValueError as error:
            raise WrongUsage(str(error)) from None

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Any, data: Any
    ) -> int:
        """Print the data, without anything that a terminal would obey."""
        with otherwise(self.say_done):
            text = self._formatted(parsed_args, column_names, data).removesuffix("\n")
            # Of a table without rows cliff prints the end of the line.
            if text:
                put(text, as_json=parsed_args.formatter == "json")
        return 0

    def _formatted(
        self, parsed_args: argparse.Namespace, column_names: Any, data: Any
    ) -> str:
        """Return the text that the formatter writes."""
        if parsed_args.formatter not in FAITHFUL:
            data = escaped(data)
        app: Any = self.app
        output = io.StringIO()
        before, app.stdout = app.stdout, output
        try:
            # A formatter may check whether the real stdout is a terminal.
            with redirect_stdout(sys.stdout or output):
                super().produce_output(parsed_args, column_names, data)  # type: ignore[misc]
            return output.getvalue()
        finally:
            app.stdout = before


class Lister(_Display, command.Lister):
    """A command that prints rows."""


class ShowOne(_Display, command.ShowOne):
    """A command that prints one thing."""


def check_targets(args: argparse.Namespace) -> None:
    """Check that servers are chosen in exactly one way.

    :raises WrongUsage: if not.
    """
    if bool(args.server) + args.all + (args.name is not None) != 1:
        raise WrongUsage(ONE_WAY)


def targets_of(
    cloud: Cloud, args: argparse.Namespace, *, scheduled: bool
) -> list[Target]:
    """Return the servers that a command changes, unless the user declines.

    :param scheduled: with --all and --name, only servers with a schedule.
    :raises NoServers: if there are none.
    :raises NothingToShow: if the user declines.
    """
    if args.server:
        return as_targets(args.server)
    found = find_targets(cloud, args.name, scheduled=scheduled)
    if not args.dry_run and not confirmed(found, args.name, yes=args.yes):
        raise NothingToShow
    return found
