"""What the commands of the ``nova`` shell have in common."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from novaclient import utils

# Every `nova` imports this module and those that declare commands; few run one.
# So all that only a running command needs is imported then.
if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.model.errors import InvalidValue
    from rax_scheduled_images_ext.operations.targets import Target

LOG = logging.getLogger(__name__)

Command = Callable[..., None]
Item = TypeVar("Item")
Result = TypeVar("Result")

_NOVACLIENT = "novaclient.exceptions"
# Neither servers nor images can have a longer name.
_LONGEST_NAME = 255


def argument(*flags: str, **options: Any) -> Callable[[Command], Command]:
    """Declare an argument of a command; the options are argparse's."""

    def declare(command: Command) -> Command:
        utils.add_arg(command, *flags, **options)
        return command

    return declare


def checked(parse: Callable[[str], Item]) -> Callable[[str], Item]:
    """Turn a parser's complaint into a usage error of the command line."""

    def parsed(text: str) -> Item:
        from rax_scheduled_images_ext.model.errors import InvalidValue

        try:
            return parse(text)
        except InvalidValue as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def invalid(text: str) -> InvalidValue:
    """Return the error of a value that is wrong."""
    from rax_scheduled_images_ext.model.errors import InvalidValue

    return InvalidValue(text)


def name_or_id(text: str) -> str:
    """Return what may be the name or the ID of something.

    :raises InvalidValue: for what cannot be.
    """
    if not 0 < len(text) <= _LONGEST_NAME:
        raise invalid(
            f"'{text}' is not a name or ID: one has 1 to {_LONGEST_NAME} characters"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid(f"{text!a} is not a name or ID: it is no text") from None
    return text


def format_name(text: str) -> str:
    """Return the name of an output format.

    Not argparse's ``choices``: novaclient cuts the list of them from the message.

    :raises InvalidValue: for any other.
    """
    from rax_scheduled_images_ext.output.formats import FORMATS

    if text not in FORMATS:
        raise invalid(f"'{text}' is not a format: use one of {', '.join(FORMATS)}")
    return text


def number_to_keep(text: str) -> int:
    """Return a number of images to keep.

    :raises InvalidValue: for what is none.
    """
    from rax_scheduled_images_ext.model.schedule import parse_retention

    return parse_retention(text)


def day_name(text: str) -> str:
    """Return a day of the week.

    :raises InvalidValue: for what is none.
    """
    from rax_scheduled_images_ext.model.schedule import parse_day

    return parse_day(text)


def label(error: BaseException) -> str:
    """Return the class name that users see: novaclient's own where there is one."""
    from rax_scheduled_images_ext.cli.nova.errors import for_novaclient

    kinds = type(for_novaclient(error)).__mro__ if isinstance(error, Exception) else ()
    names = [kind.__name__ for kind in kinds if kind.__module__ == _NOVACLIENT]
    return names[0] if names else type(error).__name__


def say(line: str) -> None:
    """Print one line on stderr; a closed stderr is no error."""
    with suppress(OSError):
        print(" ".join(line.splitlines()), file=sys.stderr, flush=True)


def error_line(_item: object, error: BaseException) -> str:
    """Return what novaclient's shell prints of an error."""
    return f"ERROR ({label(error)}): {error}"


def attempt(
    items: Iterable[Item],
    action: Callable[[Item], object],
    line: Callable[[Item, Exception], str] = error_line,
) -> bool:
    """Do ``action`` to every item, whatever becomes of the others.

    Each failure is one line on stderr. Returns whether there was none.
    """
    done = True
    for item in items:
        try:
            action(item)
        except Exception as error:
            LOG.debug("%s", error, exc_info=True)
            say(line(item, error))
            done = False
    return done


@contextmanager
def failing_as_one() -> Iterator[None]:
    """End the command with one line about whatever goes wrong within."""
    try:
        yield
    except Exception as error:
        LOG.debug("%s", error, exc_info=True)
        say(error_line(None, error))
        raise SystemExit(1) from None


def finish(done: bool) -> None:
    """End the command with status 1 unless all was done."""
    if not done:
        raise SystemExit(1)


def open_cloud(cs: Any) -> Cloud:
    """Return the cloud of a novaclient client."""
    from rax_scheduled_images_ext.cli.nova.cloud import from_novaclient

    return from_novaclient(cs)


def on_server(cloud: Cloud, action: Callable[[str], Result]) -> Callable[[str], Result]:
    """Return ``action`` as it is done to what a user calls a server."""
    from rax_scheduled_images_ext.client.servers import with_server

    return partial(with_server, cloud.compute, action=action)


def usage_error(command: str, text: str) -> NoReturn:
    """End the command as novaclient's parser does for a wrong argument."""
    print(
        f"error: {text}\nTry 'nova help {command}' for more information.",
        file=sys.stderr,
    )
    raise SystemExit(2)


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
