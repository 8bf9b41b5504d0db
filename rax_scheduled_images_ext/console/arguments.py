"""The arguments that commands of both shells have, each declared once.

``nova`` imports this at every start.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.programs.arguments import (
    COPIED_STATES,
    MAX_AGE,
    checked,
    day_name,
    duration,
    interval,
    invalid,
    max_age,
    name_or_id,
    number_to_keep,
    one_of,
    regular_expression,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand

ALL_SERVERS = "All servers of the project in place of named ones."
NAMED_SERVERS = (
    "All servers in whose names this regular expression is found, in place of named"
    " ones."
)
#: What is said of a choice of servers in no way, or in several.
ONE_WAY = "choose servers in one way: by <server>..., by --all or by --name"


@dataclass(frozen=True)
class Argument:
    """An argument of a command; the options are argparse's."""

    flags: tuple[str, ...]
    options: dict[str, Any]

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        """Declare the argument in a parser."""
        parser.add_argument(*self.flags, **self.options)


@dataclass(frozen=True)
class Exclusive:
    """Options of which a command takes one at most."""

    options: tuple[Argument, ...]

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options in a parser."""
        group = parser.add_mutually_exclusive_group()
        for option in self.options:
            option.add_to(group)


def exclusive(*options: Argument) -> Exclusive:
    """Return options of which a command takes one at most."""
    return Exclusive(options)


def argument(*flags: str, **options: Any) -> Argument:
    """Return an argument as ``add_argument`` would take it."""
    return Argument(flags, options)


class OneRequired(argparse.Action):
    """One of the options of which a command takes exactly one.

    It makes their group itself when it is added: novaclient makes none that is
    required, and novaclient 7 none at all.
    """

    @property
    def container(self) -> argparse._ActionsContainer:
        """What the option was added to."""
        return self._container

    @container.setter
    def container(self, parser: argparse._ActionsContainer) -> None:
        self._container = parser
        groups = parser._mutually_exclusive_groups
        if not groups:
            parser.add_mutually_exclusive_group(required=True)
        groups[0]._group_actions.append(self)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


def switch(flag: str, text: str) -> Argument:
    """Return an option without a value."""
    return argument(flag, action="store_true", default=False, help=text)


# -- exit statuses


def statuses(more: str = "") -> str:
    """Return what the help of a command says of exit statuses.

    :param more: those that only this command has.
    """
    return (
        "Exit status: 0 all was done, 1 something failed, 2 wrong usage,"
        f"{more} 130 interrupted."
    )


STATUSES = statuses()
CHECK_STATUSES = statuses(" 3 some image is late, or not proven to boot,")
WATCH_STATUSES = statuses(
    " 4 a snapshot has failed, 5 a server is gone, 6 a time limit was reached,"
)
CREATE_STATUSES = statuses(
    " 4 the image is lost, 5 the server is gone, 6 a time limit was reached, 7 the"
    " server was resumed before its disk was copied,"
)
LONG = switch("--long", "List additional columns.")

# -- servers and images

SERVER = argument(
    "server", metavar="<server>", type=checked(name_or_id), help="Name or ID of server."
)
SERVERS = argument(
    "server",
    metavar="<server>",
    nargs="+",
    type=checked(name_or_id),
    help="Name or ID of server(s).",
)
IMAGE = argument(
    "image", metavar="<image>", type=checked(name_or_id), help="Name or ID of image."
)
IMAGES = argument(
    "image",
    metavar="<image>",
    nargs="+",
    type=checked(name_or_id),
    help="Name or ID of image(s).",
)
BY_NAME = argument(
    "--name",
    metavar="<regex>",
    type=checked(regular_expression),
    help="Only servers in whose names this regular expression is found.",
)

# -- schedules


def retention(more: str = "") -> Argument:
    """Return the option of how many images a schedule keeps."""
    return argument(
        "--retention",
        metavar="<number>",
        type=checked(number_to_keep),
        help=f"Number of scheduled images to keep, 1 to 65535.{more}",
    )


DAILY = switch("--daily", "Make an image every day.")


def weekly(flag: str) -> Argument:
    """Return the option of a weekly schedule."""
    return argument(
        flag,
        dest="day_of_week",
        metavar="<day>",
        type=checked(day_name),
        help="Make one image a week, on this UTC day: a day's English name in any"
        " letter case, or the beginning of just one.",
    )


FORECAST = switch(
    "--dry-run",
    "Change nothing: print what would change, and which images the next scheduled"
    " image would then make go.",
)
ENABLED = switch("--enabled", "Only servers with a schedule.")
DISABLED = switch("--disabled", "Only servers without a schedule.")
ALL_REGIONS = switch(
    "--all-regions", "The servers of all regions that the catalog lists."
)
MAXIMUM_AGE = argument(
    "--max-age",
    metavar="<duration>",
    type=checked(max_age),
    default=MAX_AGE,
    help="How old the newest image of a daily schedule may be, such as 26h (the"
    " default) or 1d12h; one of a weekly schedule may be six days older.",
)

VERIFIED_WITHIN = (
    argument(
        "--verified-within",
        metavar="<duration>",
        type=checked(max_age),
        help="Report as well servers of which no image was proven to boot for this"
        " long, such as 90d. One whose last proof failed is reported in any case.",
    ),
    argument(
        "--level",
        metavar="<level>",
        type=one_of("booted", "console", "command"),
        default="console",
        help="With --verified-within: how much must have been seen, booted, console"
        " (the default) or command.",
    ),
)

# -- retention

KEEP = argument(
    "--keep",
    metavar="<number>",
    type=checked(number_to_keep),
    help="How many scheduled images of each server stay, 1 to 65535; by default the"
    " retention of its schedule.",
)
PLAN = switch("--dry-run", "Delete nothing: print what would be deleted, and why.")
YES = switch("--yes", "Do not ask first. Needed without a terminal.")
YES_TO_MANY = switch(
    "--yes", "Do not ask before all servers, or those of a name, are changed."
)
#: What is said where nobody can be asked.
NO_TERMINAL = (
    "there is no terminal to ask on: use --yes to delete, or --dry-run to see what"
    " would be deleted"
)
NOTHING_TO_DELETE = "There is nothing to delete."

# -- snapshots


def hook_command(text: str) -> HookCommand:
    """Return a command that can be run.

    :raises InvalidValue: for what is none.
    """
    from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand

    return HookCommand.parse(text)


def key_and_value(text: str) -> tuple[str, str]:
    """Return a key that metadata can have, and its value.

    :raises InvalidValue: for anything else.
    """
    key, value = metadatum(text)
    if value is None:
        raise invalid(f"'{text}' is not in the format of 'key=value'")
    return key, value


def metadatum(text: str) -> tuple[str, str | None]:
    """Return a key that metadata can have, and its value, None without a ``=``.

    :raises InvalidValue: for a key that no metadata can have.
    """
    from rax_scheduled_images_ext.client.images.base import check_key

    key, equals, value = text.partition("=")
    return check_key(key), value if equals else None


WATCH = (
    argument(
        "--interval",
        metavar="<seconds>",
        type=checked(interval),
        default=5.0,
        help="Time between two polls, 5 by default.",
    ),
    argument(
        "--changes-only",
        action="store_true",
        help="Print a line only when something has changed.",
    ),
    argument(
        "--until",
        metavar="<what>",
        type=one_of("disk-copied", "done"),
        default="done",
        help="End when the disk is copied (disk-copied), or when the snapshot is over"
        " (done, the default).",
    ),
    argument(
        "--wait-start",
        metavar="<duration>",
        type=checked(duration),
        help="Wait this long for a snapshot to begin, such as 10m.",
    ),
)


def time_limit(text: str, **options: Any) -> Argument:
    """Return the option of how long a command may take."""
    return argument(
        "--time-limit",
        metavar="<duration>",
        type=checked(duration),
        help=text,
        **options,
    )


WATCH_LIMIT = "Watch no longer than this, such as 2h; by default there is no limit."


def watch_format(*flags: str) -> Argument:
    """Return the option of how polls are printed."""
    return argument(
        *flags,
        dest="format",
        metavar="<format>",
        type=one_of("text", "json"),
        default="text",
        help="Print text (the default), or json: one object a line.",
    )


def metadata(*flags: str) -> Argument:
    """Return the option of what an image gets as metadata."""
    return argument(
        *flags,
        dest="metadata",
        metavar="<key=value>",
        action="append",
        default=[],
        type=checked(key_and_value),
        help="Metadata of the image; may be repeated.",
    )


CREATE = (
    argument(
        "--before",
        metavar="<command>",
        type=checked(hook_command),
        help="Run this command before the snapshot, to stop what writes to the disk."
        " It runs on this machine, without a shell; if it fails, there is no snapshot."
        " Without --after, nothing is started again.",
    ),
    argument(
        "--after",
        metavar="<command>",
        type=checked(hook_command),
        help="Run this command as soon as the disk is copied. Once --before has begun,"
        " it runs exactly once, whatever happens.",
    ),
    argument(
        "--max-hold",
        metavar="<duration>",
        type=checked(duration),
        default="10m",
        help="Wait at most this long from the end of --before until the disk is copied,"
        " 10m by default; then --after runs, and the image may be inconsistent. It has"
        " no effect without --before and --after.",
    ),
    argument(
        "--command-timeout",
        metavar="<duration>",
        type=checked(duration),
        default="5m",
        help="End --before and --after when either takes longer, 5m by default.",
    ),
    argument(
        "--hold-until",
        metavar="<state>",
        type=one_of(*COPIED_STATES),
        help="Task state from which on the disk counts as copied:"
        " image_pending_upload, as the clouds with scheduled images document it (their"
        " default), or image_uploading, which is right for libvirt (the default"
        " elsewhere).",
    ),
    argument(
        "--interval",
        metavar="<seconds>",
        type=checked(interval),
        help="Time between two polls; by default 0.5 rising to 1.8 while the server is"
        " quiesced, then 5.",
    ),
    argument("--wait", action="store_true", help="Wait until the image is ACTIVE."),
)
CREATE_LIMIT = "Wait no longer than this in all, 6h by default."
IMAGE_NAME = argument(
    "name", metavar="<name>", type=checked(name_or_id), help="Name of the image."
)
