"""The arguments of restoring a server, for both shells."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rax_scheduled_images_ext.console.arguments import (
    Argument,
    OneRequired,
    argument,
    statuses,
    switch,
)
from rax_scheduled_images_ext.programs.arguments import checked, duration, name_or_id


def moment(text: str) -> datetime:
    """Return a UTC time; a day stands for its end.

    :raises InvalidValue: for anything else.
    """
    from rax_scheduled_images_ext.model.restore import parse_restore_time

    return parse_restore_time(text)


def _named(flag: str, metavar: str, text: str, **more: Any) -> Argument:
    return argument(flag, metavar=metavar, type=checked(name_or_id), help=text, **more)


RESTORE = (
    _named(
        "--as",
        "<name>",
        "Restore as a new server of this name, beside the old one. One of --as and"
        " --in-place is required.",
        dest="new_name",
        action=OneRequired,
    ),
    argument(
        "--in-place",
        action=OneRequired,
        nargs=0,
        default=False,
        help="Replace the disk of the server itself; it keeps its ID and addresses."
        " First a safety image of its present disk is made, from which the restore can"
        " be undone.",
    ),
    argument(
        "--at",
        metavar="<time>",
        type=checked(moment),
        help="Use the newest image made at or before this UTC time, such as"
        " 2026-01-05T12:00, or 2026-01-05 for the end of that day. Without --at and"
        " --image, the newest complete image is used.",
    ),
    _named("--image", "<image>", "Use this image (name or ID)."),
    _named("--flavor", "<flavor>", "With --as: flavor (name or ID)."),
    _named(
        "--network",
        "<network>",
        "With --as: network of the new server (ID, or name where the cloud has a"
        " network service); may be repeated.",
        dest="networks",
        action="append",
    ),
    _named(
        "--security-group",
        "<group>",
        "With --as: security group; may be repeated.",
        dest="groups",
        action="append",
    ),
    _named(
        "--key",
        "<key>",
        "With --as: name of a key pair of yours, instead of the old server's. What its"
        " disk has stays there.",
    ),
    argument(
        "--no-key",
        dest="key",
        action="store_const",
        const="",
        help="With --as: give the new server no key pair.",
    ),
    _named(
        "--availability-zone",
        "<zone>",
        "With --as: availability zone of the new server. By default the cloud chooses"
        " it.",
        dest="zone",
    ),
    switch("--schedule", "With --as: give the new server the schedule of the old one."),
    argument(
        "--no-safety-image",
        dest="safety_image",
        action="store_false",
        help="With --in-place: make no safety image. The present contents of the disk"
        " are lost.",
    ),
    switch(
        "--lose-ephemeral",
        "With --in-place: restore even if that destroys ephemeral and swap disks.",
    ),
    switch("--dry-run", "Change nothing: print what would be done."),
    switch("--yes", "Do not ask for confirmation. Required without a terminal."),
    argument(
        "--wait",
        action="store_const",
        const=True,
        help="Wait until the server is ready; the default on a terminal.",
    ),
    argument(
        "--no-wait",
        dest="wait",
        action="store_const",
        const=False,
        help="Do not wait for the server; the default without a terminal.",
    ),
    argument(
        "--time-limit",
        metavar="<duration>",
        type=checked(duration),
        default="6h",
        help="Time limit for the command, 6h by default.",
    ),
    switch(
        "--show-password",
        "Print the administrator's password if the cloud has set one.",
    ),
)
RESTORED_SERVER = _named(
    "server", "<server>", "Name or ID of server; it may have been deleted."
)
RESTORE_STATUSES = statuses(
    " 4 the safety image is lost and nothing was changed, 5 the server is gone, 6 a"
    " time limit was reached,"
)
#: The error where nobody can be asked.
NO_TERMINAL = (
    "no terminal to ask for confirmation: use --yes to restore, or --dry-run to see"
    " what would be done"
)
