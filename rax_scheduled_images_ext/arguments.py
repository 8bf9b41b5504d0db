"""How this package's own programs read their command lines."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime, timezone
from typing import NoReturn, TypeVar

_Number = TypeVar("_Number", int, float)
_Value = TypeVar("_Value")


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


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
    """Let argparse print what ``parse`` finds wrong."""

    def convert(text: str) -> _Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def parse_moment(text: str) -> float:
    """Return the unix seconds of an ISO 8601 time; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return aware.timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"'{text}' is not a time: write it as 2026-01-01T00:00:00Z"
        ) from None
