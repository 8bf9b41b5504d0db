"""The arguments by which both shells restore a server."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.console.arguments import (
    Argument,
    argument,
    statuses,
    switch,
)
from rax_scheduled_images_ext.programs.arguments import checked, duration, name_or_id

if TYPE_CHECKING:
    from rax_scheduled_images_ext.model.restore import RestoreOptions


def moment(text: str) -> datetime:
    """Return a UTC time; a day stands for its end.

    :raises InvalidValue: for anything else.
    """
    from rax_scheduled_images_ext.model.restore import parse_at

    return parse_at(text)


def _named(flag: str, metavar: str, text: str, **more: Any) -> Argument:
    return argument(flag, metavar=metavar, type=checked(name_or_id), help=text, **more)


RESTORE = (
    _named(
        "--as",
        "<name>",
        "Restore as a new server of this name, beside the old one.",
        dest="new_name",
    ),
    switch(
        "--in-place",
        "Put the disk of the server itself back; it keeps its ID and addresses. An"
        " image of it as it is now is made first, and undoes the restore.",
    ),
    argument(
        "--at",
        metavar="<time>",
        type=checked(moment),
        help="Take the newest image that is not younger than this UTC time, such as"
        " 2026-01-05T12:00, or 2026-01-05 for the end of that day. Without it and"
        " --image the newest whole image is taken.",
    ),
    _named("--image", "<image>", "Take this image (name or ID)."),
    _named("--flavor", "<flavor>", "With --as: flavor (name or ID)."),
    _named(
        "--network",
        "<network>",
        "With --as: network of the new server (ID, or name where the cloud has a"
        " network service); may be repeated.",
        action="append",
    ),
    _named(
        "--security-group",
        "<group>",
        "With --as: security group; may be repeated.",
        action="append",
    ),
    _named("--key", "<key>", "With --as: name of a key pair."),
    switch("--schedule", "With --as: take the schedule of images along."),
    switch(
        "--no-safety-image",
        "With --in-place: make no image first. What is on the disk is lost.",
    ),
    switch(
        "--lose-ephemeral",
        "With --in-place: go on although ephemeral and swap disks are destroyed.",
    ),
    switch("--dry-run", "Change nothing: print what would be done."),
    switch("--yes", "Do not ask first. Needed without a terminal."),
    switch(
        "--wait",
        "Wait until the server is there; the default on a terminal.",
    ),
    switch("--no-wait", "Do not wait for the server; the default elsewhere."),
    argument(
        "--time-limit",
        metavar="<duration>",
        type=checked(duration),
        default="6h",
        help="Wait no longer than this in all, 6h by default.",
    ),
    switch(
        "--show-password",
        "Print the administrator's password if the cloud has set one.",
    ),
)
RESTORE_STATUSES = statuses(
    " 4 the safety image is lost and nothing was changed, 5 the server is gone, 6 a"
    " time limit was reached,"
)
SERVER = _named("server", "<server>", "Name or ID of server; it may be deleted.")
#: What is said where nobody can be asked.
NO_TERMINAL = (
    "there is no terminal to ask on: use --yes to restore, or --dry-run to see what"
    " would be done"
)
BOTH_WAITS = "--wait and --no-wait exclude each other"


def options_of(args: Any) -> RestoreOptions:
    """Return the options of a restore.

    :raises InvalidValue: if they do not go together.
    """
    from rax_scheduled_images_ext.errors import InvalidValue
    from rax_scheduled_images_ext.model.restore import RestoreOptions

    if args.wait and args.no_wait:
        raise InvalidValue(BOTH_WAITS)
    return RestoreOptions(
        args.new_name,
        args.in_place,
        args.at,
        args.image,
        args.flavor,
        None if args.network is None else tuple(args.network),
        None if args.security_group is None else tuple(args.security_group),
        args.key,
        args.schedule,
        not args.no_safety_image,
        args.lose_ephemeral,
    ).checked()
