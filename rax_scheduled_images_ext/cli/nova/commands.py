"""What the commands of the ``nova`` shell have in common."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from novaclient import utils

from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.programs.arguments import (
    checked,
    invalid,
    regular_expression,
)

# Every `nova` imports this module and those that declare commands; few run one.
# So all that only a running command needs is imported then.
if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.operations.targets import Target

LOG = logging.getLogger(__name__)

Command = Callable[..., None]

_NOVACLIENT = "novaclient.exceptions"


def argument(*flags: str, **options: Any) -> Callable[[Command], Command]:
    """Declare an argument of a command; the options are argparse's."""

    def declare(command: Command) -> Command:
        utils.add_arg(command, *flags, **options)
        return command

    return declare


def declared(*given: arguments.Argument) -> Callable[[Command], Command]:
    """Declare arguments of a command in this order."""

    def declare(command: Command) -> Command:
        for each in reversed(given):
            utils.add_arg(command, *each.flags, **each.options)
        return command

    return declare


def format_name(text: str) -> str:
    """Return the name of an output format.

    Not argparse's ``choices``: novaclient cuts the list of them from the message.

    :raises InvalidValue: for any other.
    """
    from rax_scheduled_images_ext.console.formats import FORMATS

    if text not in FORMATS:
        raise invalid(f"'{text}' is not a format: use one of {', '.join(FORMATS)}")
    return text


def label(error: BaseException) -> str:
    """Return the class name that users see: novaclient's own where there is one."""
    from rax_scheduled_images_ext.client.novaclient import for_novaclient

    kinds = type(for_novaclient(error)).__mro__ if isinstance(error, Exception) else ()
    names = [kind.__name__ for kind in kinds if kind.__module__ == _NOVACLIENT]
    return names[0] if names else type(error).__name__


def error_line(error: BaseException, about: str = "") -> str:
    """Return what novaclient's shell prints of an error."""
    text = f"{about}: {error}" if about else str(error)
    return f"ERROR ({label(error)}): {text}"


@contextmanager
def failing_as_one() -> Iterator[None]:
    """End the command with one line about whatever goes wrong within."""
    try:
        yield
    except Exception as error:
        from rax_scheduled_images_ext.console.terminal import say

        LOG.debug("%s", error, exc_info=True)
        say(error_line(error))
        raise SystemExit(1) from None


def finish(done: bool) -> None:
    """End the command with status 1 unless all was done."""
    if not done:
        raise SystemExit(1)


def open_cloud(cs: Any) -> Cloud:
    """Return the cloud of a novaclient client."""
    from rax_scheduled_images_ext.client.novaclient import cloud_of

    return cloud_of(cs)


def usage_error(command: str, text: str) -> NoReturn:
    """End the command as novaclient's parser does for a wrong argument."""
    from rax_scheduled_images_ext.console.terminal import say

    say(f"error: {text}")
    say(f"Try 'nova help {command}' for more information.")
    raise SystemExit(2)


def target_servers(command: Command) -> Command:
    """Declare the servers of a command: named ones, all, or those of a name."""
    for declare in (
        declared(arguments.SERVERS),
        argument(
            "--all",
            nargs=0,
            default=False,
            action=InsteadOfServers,
            help=arguments.ALL_SERVERS,
        ),
        argument(
            "--name",
            metavar="<regex>",
            type=checked(regular_expression),
            action=InsteadOfServers,
            help=arguments.NAMED_SERVERS,
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
        usage_error(command, arguments.ONE_WAY)
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
