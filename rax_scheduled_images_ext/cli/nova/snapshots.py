"""``nova snapshot-create`` and ``nova snapshot-watch``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.cli.nova.commands import (
    argument,
    checked,
    invalid,
    name_or_id,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand

_SAFE = ("image_pending_upload", "image_uploading")


def duration(text: str) -> float:
    """Return the seconds that ``text`` stands for.

    :raises InvalidValue: for anything but a duration longer than nothing.
    """
    from rax_scheduled_images_ext.model.durations import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise invalid(str(error)) from None
    if not seconds:
        raise invalid(f"'{text}' is not a duration: it must be more than nothing")
    return seconds


def limit(text: str) -> float:
    """Return the seconds that ``text`` stands for, which may be their mere number.

    The shell has an option ``--timeout`` of its own, reads it wherever it stands,
    and takes nothing but a number.

    :raises InvalidValue: for anything else.
    """
    plain = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text, re.ASCII)
    return duration(f"{text}s" if plain else text)


def interval(text: str) -> float:
    """Return the seconds between two polls of a server.

    :raises InvalidValue: for anything but a number of seconds from 0.1 to 3600.
    """
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?s?", text, re.ASCII):
        seconds = float(text.removesuffix("s"))
        if 0.1 <= seconds <= 3600:
            return seconds
    raise invalid(f"'{text}' is not an interval: seconds, from 0.1 to 3600")


def one_of(*words: str) -> Any:
    """Return the parser of one of these words, whose complaint names them all."""

    def parse(text: str) -> str:
        if text not in words:
            raise invalid(f"'{text}' is none of {', '.join(words)}")
        return text

    return checked(parse)


def command(text: str) -> HookCommand:
    """Return a command that can be run.

    :raises InvalidValue: for what is none.
    """
    from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand

    return HookCommand.parse(text)


def metadatum(text: str) -> tuple[str, str]:
    """Return a key and its value.

    :raises InvalidValue: for what is none, or a key that no metadata can have.
    """
    from rax_scheduled_images_ext.client.images.base import check_key

    key, equals, value = text.partition("=")
    if not equals:
        raise invalid(f"'{text}' is not in the format of 'key=value'")
    return check_key(key), value


@argument(
    "--interval",
    metavar="<seconds>",
    type=checked(interval),
    default=5.0,
    help="Time between two polls, 5 by default.",
)
@argument(
    "--changes-only",
    action="store_true",
    help="Print a line only when something has changed.",
)
@argument(
    "--until",
    metavar="<what>",
    type=one_of("disk-copied", "done"),
    default="done",
    help="End when the disk is copied (disk-copied), or when the snapshot is over"
    " (done, the default).",
)
@argument(
    "--wait-start",
    metavar="<duration>",
    type=checked(duration),
    help="Wait this long for a snapshot to begin, such as 10m.",
)
@argument(
    "--time-limit",
    "--timeout",
    dest="time_limit",
    metavar="<duration>",
    type=checked(limit),
    help="Watch no longer than this, such as 2h; by default there is no limit. As"
    " --timeout it takes seconds only.",
)
@argument(
    "--format",
    metavar="<format>",
    type=one_of("text", "json"),
    default="text",
    help="Print text (the default), or json: one object a line.",
)
@argument(
    "server",
    metavar="<server>",
    nargs="+",
    type=checked(name_or_id),
    help="Name or ID of server(s).",
)
def do_snapshot_watch(cs: Any, args: Any) -> None:
    """Watch the snapshots of servers until they are over."""
    from rax_scheduled_images_ext.cli.nova.snapshot_watch import watch_servers

    watch_servers(cs, args)


@argument(
    "--metadata",
    metavar="<key=value>",
    action="append",
    default=[],
    type=checked(metadatum),
    help="Metadata of the image; may be repeated.",
)
@argument(
    "--before",
    metavar="<command>",
    type=checked(command),
    help="Run this command before the snapshot, to stop what writes to the disk. It"
    " runs on this machine, without a shell; if it fails, there is no snapshot.",
)
@argument(
    "--after",
    metavar="<command>",
    type=checked(command),
    help="Run this command as soon as the disk is copied. Once --before has begun, it"
    " runs exactly once, whatever happens.",
)
@argument(
    "--max-hold",
    metavar="<duration>",
    type=checked(duration),
    default="10m",
    help="Run --after at most this long after the end of --before, 10m by default;"
    " the image may then be inconsistent.",
)
@argument(
    "--command-timeout",
    metavar="<duration>",
    type=checked(duration),
    default="5m",
    help="End --before and --after when either takes longer, 5m by default.",
)
@argument(
    "--hold-until",
    metavar="<state>",
    type=one_of(*_SAFE),
    help="Task state from which on the disk counts as copied: image_pending_upload, as"
    " the clouds with scheduled images document it (their default), or"
    " image_uploading, which is right for libvirt (the default elsewhere).",
)
@argument(
    "--interval",
    metavar="<seconds>",
    type=checked(interval),
    help="Time between two polls; by default 0.5 rising to 1.8 while the server is"
    " quiesced, then 5.",
)
@argument(
    "--wait",
    action="store_true",
    help="Wait until the image is ACTIVE.",
)
@argument(
    "--time-limit",
    "--timeout",
    dest="time_limit",
    metavar="<duration>",
    type=checked(limit),
    default="6h",
    help="Wait no longer than this in all, 6h by default. As --timeout it takes"
    " seconds only.",
)
@argument(
    "server", metavar="<server>", type=checked(name_or_id), help="Name or ID of server."
)
@argument("name", metavar="<name>", type=checked(name_or_id), help="Name of the image.")
def do_snapshot_create(cs: Any, args: Any) -> None:
    """Create an image of a server, and quiesce it for no longer than needed."""
    from rax_scheduled_images_ext.cli.nova.snapshot_create import create_snapshot

    create_snapshot(cs, args)
