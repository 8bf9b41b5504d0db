"""What the commands of the ``nova`` shell have in common."""

from __future__ import annotations

import argparse
import logging
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
    """Return the class name users are told: novaclient's own where there is one."""
    from rax_scheduled_images_ext.cli.nova.errors import for_novaclient

    kinds = type(for_novaclient(error)).__mro__ if isinstance(error, Exception) else ()
    names = [kind.__name__ for kind in kinds if kind.__module__ == _NOVACLIENT]
    return names[0] if names else type(error).__name__


def say(line: str) -> None:
    """Print one line on stderr; where nobody can read it, nothing fails for that."""
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

    Each failure is told on stderr, as one line. Returns whether there was none.
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
