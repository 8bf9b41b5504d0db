"""``nova snapshot-create`` and ``nova snapshot-watch``."""

from __future__ import annotations

import re
from typing import Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
    declared,
    error_line,
    open_cloud,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.programs.arguments import checked, duration

# The shell has an option --timeout of its own.
_SECONDS_ONLY = " As --timeout it takes seconds only."


def limit(text: str) -> float:
    """Return the seconds that ``text`` stands for, which may be their mere number.

    The shell has an option ``--timeout`` of its own, reads it wherever it stands,
    and takes nothing but a number.

    :raises InvalidValue: for anything else.
    """
    plain = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text, re.ASCII)
    return duration(f"{text}s" if plain else text)


@declared(*arguments.WATCH)
@argument(
    "--time-limit",
    "--timeout",
    dest="time_limit",
    metavar="<duration>",
    type=checked(limit),
    help=arguments.WATCH_LIMIT + _SECONDS_ONLY,
)
@declared(arguments.watch_format("--format"), arguments.SERVERS)
def do_snapshot_watch(cs: Any, args: Any) -> None:
    """Watch the snapshots of servers until they are over."""
    from rax_scheduled_images_ext.console.snapshot_watch import watch_servers

    _end(watch_servers(open_cloud(cs), args, error_line))


@declared(arguments.metadata("--metadata"), *arguments.CREATE)
@argument(
    "--time-limit",
    "--timeout",
    dest="time_limit",
    metavar="<duration>",
    type=checked(limit),
    default="6h",
    help=arguments.CREATE_LIMIT + _SECONDS_ONLY,
)
@declared(arguments.SERVER, arguments.IMAGE_NAME)
def do_snapshot_create(cs: Any, args: Any) -> None:
    """Create an image of a server, and quiesce it for no longer than needed."""
    from rax_scheduled_images_ext.console.snapshot_create import print_snapshot

    _end(print_snapshot(open_cloud(cs), args, error_line))


def _end(status: int) -> None:
    if status:
        raise SystemExit(status)
