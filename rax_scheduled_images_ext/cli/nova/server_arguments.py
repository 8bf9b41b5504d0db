"""The servers of a command: as arguments, and as what the arguments stand for."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.cli.nova.commands import (
    Command,
    argument,
    checked,
    failing_as_one,
    invalid,
    name_or_id,
    usage_error,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.operations.targets import Target


def regular_expression(text: str) -> re.Pattern[str]:
    """Return the regular expression that is to be found in a name.

    :raises InvalidValue: for what is none, or would be found in every name.
    """
    if not text:
        raise invalid("'' is not a name: it would be found in every one")
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise invalid(f"'{text}' is not a regular expression: {error}") from None


def named_servers(command: Command) -> Command:
    """Declare the servers of a command, which must be named."""
    return argument(
        "server",
        metavar="<server>",
        nargs="+",
        type=checked(name_or_id),
        help="Name or ID of server(s).",
    )(command)


def by_name(command: Command) -> Command:
    """Declare the choice of servers by name."""
    return argument(
        "--name",
        metavar="<regex>",
        type=checked(regular_expression),
        help="Only servers in whose names this regular expression is found.",
    )(command)


def target_servers(command: Command) -> Command:
    """Declare the servers of a command: named ones, all, or those of a name."""
    for declare in (
        named_servers,
        argument(
            "--all",
            nargs=0,
            default=False,
            action=InsteadOfServers,
            help="All servers of the project in place of named ones.",
        ),
        argument(
            "--name",
            metavar="<regex>",
            type=checked(regular_expression),
            action=InsteadOfServers,
            help="All servers in whose names this regular expression is found, in"
            " place of named ones.",
        ),
    ):
        declare(command)
    return command


def targets_of(
    cloud: Cloud, command: str, args: Any, *, scheduled: bool = False
) -> list[Target]:
    """Return the servers that a command is about; end it if there are none.

    :param scheduled: of all servers only those with a schedule.
    """
    from rax_scheduled_images_ext.operations.targets import as_targets, find_targets

    named: list[str] = args.server or []
    if (bool(named) + args.all + (args.name is not None)) != 1:
        usage_error(
            command, "choose servers in one way: by <server>..., by --all or by --name"
        )
    if named:
        return as_targets(named)
    with failing_as_one():
        return find_targets(cloud, args.name, scheduled=scheduled)


class InsteadOfServers(argparse.Action):
    """An option that chooses servers, so that none need be named."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, True if self.nargs == 0 else values)
        for positional in parser._get_positional_actions():
            if positional.dest == "server":
                positional.nargs = "*"
            # What was to follow the servers may have been taken for one of them,
            # if it came before this option: the command sorts that out.
            positional.required = False
