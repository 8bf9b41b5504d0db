"""The options that the three programs share, and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from rax_scheduled_images_ext.programs.arguments import (
    Parser,
    add_version,
    between,
    checked,
    host_name,
)

LOOPBACK = "127.0.0.1"
#: The exit statuses of every program.
STATUSES = {"0": "done", "1": "failed", "2": "bad usage"}


def new_parser(
    prog: str, description: str, statuses: Mapping[str, str], remark: str = ""
) -> Parser:
    """Return the parser of a program, with ``--version`` and its exit statuses.

    :param remark: further lines about the statuses.
    """
    lines = [f"  {status:<5}{meaning}" for status, meaning in statuses.items()]
    parser = Parser(
        prog=prog,
        description=description,
        epilog="\n".join(["exit status:", *lines, *filter(None, [remark])]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_version(parser)
    return parser


def add_command(
    commands: Any,
    name: str,
    func: Callable[[argparse.Namespace], int],
    summary: str,
    *parents: Parser,
    usage: str | None = None,
) -> Parser:
    """Add a command to a program; ``func`` of the parsed arguments runs it."""
    added: Parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        usage=usage,
        parents=list(parents),
        allow_abbrev=False,
    )
    added.set_defaults(func=func)
    return added


def add_port(parser: argparse._ActionsContainer, default: int) -> None:
    """Add ``--port``."""
    parser.add_argument(
        "--port",
        type=between(int, 0, 65535),
        default=default,
        metavar="N",
        help="port to listen on, 0 for any free one (default: %(default)s)",
    )


def add_host(
    parser: argparse._ActionsContainer, option: str = "--host", default: str = LOOPBACK
) -> None:
    """Add ``--host``, or the same option by another name."""
    parser.add_argument(
        option,
        type=checked(host_name),
        default=default,
        metavar="ADDRESS",
        help="address to listen on (default: %(default)s, only this machine)",
    )


def add_like(parser: argparse._ActionsContainer) -> None:
    """Add ``--like``: which cloud a sandbox is like."""
    parser.add_argument(
        "--like",
        choices=("openstack", "rackspace"),
        default="openstack",
        help="which cloud the sandbox is like (default: %(default)s)",
    )


def add_log_format(parser: argparse._ActionsContainer) -> None:
    """Add ``--log-format``."""
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="format of log lines (default: %(default)s)",
    )
