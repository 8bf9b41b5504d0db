"""The arguments of this package's programs and commands.

``nova`` imports this at every start, so what parsing a value needs is imported late.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from rax_scheduled_images_ext.model.times import END, FIRST
from rax_scheduled_images_ext.text import one_line

if TYPE_CHECKING:
    from rax_scheduled_images_ext.errors import InvalidValue
    from rax_scheduled_images_ext.model.keep import Keep

_Number = TypeVar("_Number", int, float)
_Value = TypeVar("_Value")

#: The maximum age of a fresh image, as in model.freshness.
MAX_AGE = "26h"
#: The task states in which a disk can count as copied.
COPIED_STATES = ("image_pending_upload", "image_uploading")
# The longest name of a server or an image.
_LONGEST_NAME = 255


class Parser(argparse.ArgumentParser):
    """Reports an error on one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with status 2."""
        # Without a stderr, print would use stdout.
        if sys.stderr is not None:
            with suppress(OSError):
                print(one_line(f"{self.prog}: error: {message}"), file=sys.stderr)
        self.exit(2)


class _Version(argparse.Action):
    """Prints the program's name and version; only this option looks the version up."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(parser.prog, version("rax-scheduled-images-ext"))
        parser.exit()


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add ``--version`` to a program."""
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the version and exit"
    )


def between(
    number: Callable[[str], _Number], least: _Number, most: _Number
) -> Callable[[str], _Number]:
    """Return an argument type: a number from ``least`` to ``most``."""
    kind = "a whole number" if number is int else "a number"

    def convert(text: str) -> _Number:
        try:
            value = number(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"'{text}' is not allowed: {kind} from {least} to {most}"
            )
        return value

    return convert


def checked(parse: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Return an argument type: argparse prints the errors of ``parse``."""

    def convert(text: str) -> _Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def one_of(*words: str) -> Any:
    """Return an argument type: one of these words; the error names them all."""

    def parse(text: str) -> str:
        if text not in words:
            raise invalid(f"'{text}' is not one of {', '.join(words)}")
        return text

    return checked(parse)


def invalid(text: str) -> InvalidValue:
    """Return the error for an invalid value."""
    from rax_scheduled_images_ext.errors import InvalidValue

    return InvalidValue(text)


def moment(text: str) -> datetime:
    """Parse an ISO 8601 time; UTC without an offset."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        aware = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
        utc: datetime | None = aware.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        utc = None
    if utc is None or not FIRST <= utc < END:
        raise ValueError(
            f"'{text}' is not a time: write it as 2026-01-01T00:00:00Z, from"
            f" {FIRST.year} to {END.year - 1}"
        )
    return utc


def host_name(text: str) -> str:
    """Return the name or address of a host, IPv4 or IPv6."""
    try:
        text.encode("idna")
    except UnicodeError:
        text = ""
    if not text:
        raise ValueError("not a host: write a name or an address, such as ::1")
    return text


# The functions below raise InvalidValue.


def name_or_id(text: str) -> str:
    """Return a name or an ID."""
    if not 0 < len(text) <= _LONGEST_NAME:
        raise invalid(
            f"'{text}' is not a name or ID of 1 to {_LONGEST_NAME} characters"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid(f"{text!a} is not a name or ID: it is not text") from None
    return text


def regular_expression(text: str) -> re.Pattern[str]:
    """Parse the regular expression to search for in names."""
    if not text:
        raise invalid("must not be empty: it would match every name")
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise invalid(f"'{text}' is not a regular expression: {error}") from None


def allowed_host(text: str) -> str:
    """Parse the name of a host, as browsers send it."""
    if not re.fullmatch(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]", text):
        raise invalid(
            f"'{text}' is not a host name: use one such as panel.example.com, without"
            " scheme, port or path"
        )
    return text


def number_to_keep(text: str) -> int:
    """Parse a number of images to keep."""
    from rax_scheduled_images_ext.model.schedule import parse_retention

    return parse_retention(text)


def day_name(text: str) -> str:
    """Parse a day of the week."""
    from rax_scheduled_images_ext.model.schedule import parse_day

    return parse_day(text)


def how_often(text: str) -> str:
    """Return how often an image is made: ``daily``, ``weekly``, or such as ``6h``."""
    from rax_scheduled_images_ext.model.schedule import parse_every

    parse_every(text)
    return text


def time_of_day(text: str) -> str:
    """Return a UTC time of day such as ``02:30``, or ``auto``."""
    from rax_scheduled_images_ext.model.schedule import AUTO, parse_at

    return text if text == AUTO else parse_at(text)


def rules(text: str) -> Keep:
    """Parse the rules that say what is kept, such as ``last=8,daily=7``."""
    from rax_scheduled_images_ext.model.keep import parse_keep

    return parse_keep(text)


def number_or_rules(text: str) -> Keep:
    """Parse what is kept: a number of images, or rules."""
    from rax_scheduled_images_ext.model.keep import Keep

    if "=" in text:
        return rules(text)
    try:
        return Keep(last=number_to_keep(text))
    except ValueError as error:
        raise invalid(f"{error}, or rules such as last=8,daily=7") from None


def age(text: str) -> int:
    """Parse a number of days, such as ``30d``."""
    from rax_scheduled_images_ext.model.keep import parse_within

    return parse_within(text)


def age_or_none(text: str) -> int:
    """Parse a number of days, such as ``30d``; ``0d`` for none."""
    return 0 if text == "0d" else age(text)


def span(text: str) -> timedelta:
    """Parse a duration such as ``26h``, which may be 0."""
    from rax_scheduled_images_ext.model.durations import parse_duration

    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise invalid(str(error)) from None


def max_age(text: str) -> timedelta:
    """Parse the maximum age of a fresh image."""
    age = span(text)
    if not age:
        raise invalid(f"'{text}' is too short: it must be more than 0")
    return age


def duration(text: str, least: float = 0.0) -> float:
    """Parse a duration that is longer than 0, in seconds.

    :param least: the minimum in seconds.
    """
    seconds = span(text).total_seconds()
    if not seconds or seconds < least:
        wanted = f"{least:g}s or more" if least else "more than 0"
        raise invalid(f"'{text}' is too short: it must be {wanted}")
    return seconds


def interval(text: str) -> float:
    """Parse the seconds between two polls of a server, 0.1 to 3600."""
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?s?", text, re.ASCII):
        seconds = float(text.removesuffix("s"))
        if 0.1 <= seconds <= 3600:
            return seconds
    raise invalid(f"'{text}' is not an interval: seconds, from 0.1 to 3600")


def price(text: str) -> float:
    """Return a price: a number that is not negative.

    :raises InvalidValue: for anything else.
    """
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        raise invalid(f"'{text}' is not a price: a number such as 0.05")
    return float(text)
