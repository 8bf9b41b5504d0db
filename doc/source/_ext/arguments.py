"""What a parser says of its commands and arguments, as texts."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

_WIDTH = 80


def subparsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the parsers of the subcommands, by name."""
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            return [each.choices[name] for name in sorted(each.choices)]
    return []


def usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage, which follows neither the terminal's width nor its colour."""
    formatter: Any = partial(parser.formatter_class, width=_WIDTH)
    parser.formatter_class = formatter
    return parser.format_usage()


def visible(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments and options that are not hidden."""
    return [each for each in parser._actions if each.help != argparse.SUPPRESS]


def invocation(action: argparse.Action) -> str:
    """Return an option with its value, or the name of an argument."""
    if not action.option_strings:
        return _metavar(action)
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    return ", ".join(f"{name}{value}" for name in action.option_strings)


def help_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return the help of an argument or an option."""
    return parser._get_formatter()._expand_help(action) if action.help else ""


def _metavar(action: argparse.Action) -> str:
    """Return what stands for the value of an argument or an option."""
    if action.metavar is not None:
        return str(action.metavar)
    if action.choices is not None:
        return f"{{{','.join(map(str, action.choices))}}}"
    return action.dest.upper()
