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
    age,
    age_or_none,
    checked,
    day_name,
    duration,
    how_often,
    interval,
    invalid,
    max_age,
    name_or_id,
    number_or_rules,
    number_to_keep,
    one_of,
    price,
    regular_expression,
    rules,
    time_of_day,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.model.policies import Policies
    from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand

ALL_SERVERS = "All servers of the project, instead of named ones."
NAMED_SERVERS = (
    "All servers whose names match this regular expression anywhere, instead of named"
    " ones."
)
#: The error for servers chosen in no way, or in several.
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
    """Options of which a command accepts only one."""

    options: tuple[Argument, ...]

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options in a parser."""
        group = parser.add_mutually_exclusive_group()
        for option in self.options:
            option.add_to(group)


def exclusive(*options: Argument) -> Exclusive:
    """Return options of which a command accepts only one."""
    return Exclusive(options)


def argument(*flags: str, **options: Any) -> Argument:
    """Return an argument as ``add_argument`` would take it."""
    return Argument(flags, options)


class Option(argparse.Action):
    """An option that stores its value; one that takes no value stores True."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


class Once(Option):
    """An option whose values do not add up, so that a second one is refused."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest, None) is not None:
            hint = ": write one list, such as last=8,daily=7"
            problem = "is given twice" + hint * (self.dest == "keep")
            raise argparse.ArgumentError(self, problem)
        super().__call__(parser, namespace, values, option_string)


class OneRequired(Option):
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


def switch(flag: str, text: str) -> Argument:
    """Return an option without a value."""
    return argument(flag, action="store_true", default=False, help=text)


# -- exit statuses


def statuses(more: str = "") -> str:
    """Return what the help of a command says about exit statuses.

    :param more: the statuses that only this command has.
    """
    return (
        f"Exit status: 0 everything was done, 1 something failed, 2 wrong usage,{more}"
        " 130 interrupted."
    )


STATUSES = statuses()
CHECK_STATUSES = statuses(
    " 3 an image is late, or not proven to boot, or a server is unprotected,"
)
WATCH_STATUSES = statuses(
    " 4 a snapshot has failed, 5 a server is gone, 6 a time limit was reached,"
)
CREATE_STATUSES = statuses(
    " 4 the image is lost or will never be complete, 5 the server is gone, 6 a time"
    " limit was reached, 7 the server was resumed before its disk was copied,"
)
LONG = switch("--long", "List additional columns.")
LONG_LIST = switch(
    "--long",
    "List additional columns, among them the space that the images take. With a table,"
    " print on stderr how much that is in all, and when the quota is reached.",
)
PRICE = argument(
    "--price",
    metavar="<price>",
    type=checked(price),
    help="With --long: what a GiB costs a month, to also show what the images cost.",
)
PRICE_OF_ALL = argument(
    "--price",
    metavar="PRICE",
    type=checked(price),
    help="what a GiB costs a month, to also show what the images cost",
)
#: The errors if options of a list do not go together.
PRICE_OF_LONG = "--price goes with --long"
GONE_ALONE = "--gone goes with --name only"

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
    help="Only servers whose names match this regular expression anywhere.",
)

# -- schedules


def retention(more: str = "") -> Argument:
    """Return the option for the number of images that a schedule keeps."""
    return argument(
        "--retention",
        metavar="<number>",
        type=checked(number_to_keep),
        help=f"Number of scheduled images to keep, 1 to 65535.{more}",
    )


DAILY = switch("--daily", "Make an image every day.")


def weekly(flag: str) -> Argument:
    """Return the option for a weekly schedule."""
    return argument(
        flag,
        dest="day_of_week",
        metavar="<day>",
        type=checked(day_name),
        help="Make one image a week, on this UTC day: an English day name in any"
        " letter case, or an unambiguous abbreviation.",
    )


EVERY = argument(
    "--every",
    metavar="<interval>",
    type=checked(how_often),
    help="How often an image is made: daily, weekly (which requires a day of the week),"
    " 12h, 8h, 6h, 4h, 3h, 2h or 1h.",
)
AT = argument(
    "--at",
    metavar="<time>",
    type=checked(time_of_day),
    help="UTC time at which an image is made, such as 02:30; with several a day, the"
    " time of the first. By default, or with auto, it is derived from the server's ID.",
)


def keep(**options: Any) -> Argument:
    """Return the option of the rules that say what is kept."""
    return argument(
        "--keep",
        metavar="<rules>",
        dest="keep",
        type=checked(rules),
        help="Keep images by rules instead of a number, such as"
        " last=8,daily=7,weekly=4,monthly=12. The rules are last, hourly, daily,"
        " weekly, monthly and yearly: last=8 keeps the newest 8 images, and daily=7 the"
        " newest image of each of the 7 most recent days that have one.",
        **{"action": Once, **options},
    )


def keep_within(**options: Any) -> Argument:
    """Return the option of the age up to which all images are kept."""
    return argument(
        "--keep-within",
        metavar="<days>",
        type=checked(age_or_none),
        help="Also keep every image made less than this long before the newest one,"
        " such as 30d. Requires last=2 or more. 0d removes this rule.",
        **{"action": Once, **options},
    )


FORECAST = switch(
    "--dry-run",
    "Change nothing: print what would change, which images would then expire with the"
    " next scheduled image, and how many there will be in a week, a month and a year.",
)
ENABLED = switch("--enabled", "Only servers with a schedule.")
DISABLED = switch("--disabled", "Only servers without a schedule.")


def policies(text: str) -> Policies:
    """Return the policies of a file.

    :raises InvalidValue: for one that cannot be read, or with mistakes.
    """
    from pathlib import Path

    from rax_scheduled_images_ext.errors import InvalidPolicies
    from rax_scheduled_images_ext.operations.policy_file import read_policies

    try:
        return read_policies(Path(text))
    except InvalidPolicies as error:
        raise invalid(str(error)) from None


UNPROTECTED = switch(
    "--unprotected",
    "Only servers without a valid schedule that nobody has excepted.",
)
UNPROTECTED_TOO = switch(
    "--unprotected",
    "Also report servers without a schedule, unless disable, or a policy, has excepted"
    " them.",
)
POLICIES = argument(
    "--policies",
    metavar="<file>",
    type=checked(policies),
    help="With --unprotected: a file of policies whose exceptions count.",
)
ALL_PROJECTS = switch(
    "--all-projects", "The servers of all projects; requires an administrator."
)
ALL_REGIONS = switch(
    "--all-regions", "The servers of all regions that the catalog lists."
)
MAXIMUM_AGE = argument(
    "--max-age",
    metavar="<duration>",
    type=checked(max_age),
    default=MAX_AGE,
    help="Maximum age of the newest image of a daily schedule, such as 26h (the"
    " default) or 1d12h; six days more for a weekly schedule.",
)

VERIFIED_WITHIN = (
    argument(
        "--verified-within",
        metavar="<duration>",
        type=checked(max_age),
        help="Also report servers without an image that was proven to boot within this"
        " time, such as 90d. One whose last proof failed is reported in any case.",
    ),
    argument(
        "--level",
        metavar="<level>",
        type=one_of("booted", "console", "command"),
        default="console",
        help="With --verified-within: the level that the proof must have reached,"
        " booted, console (the default) or command.",
    ),
)

#: The error for servers filtered in two ways.
ONE_FILTER = "--enabled, --disabled and --unprotected cannot be used together"
#: The error of a file of policies that says nothing.
NEEDS_UNPROTECTED = "--policies requires --unprotected"

# -- retention

KEEP = (
    argument(
        "--keep",
        metavar="<number or rules>",
        action=Once,
        type=checked(number_or_rules),
        help="Scheduled images of each server to keep: a number, 1 to 65535, or rules"
        " such as last=8,daily=7,weekly=4,monthly=12; by default what its schedule"
        " keeps.",
    ),
    argument(
        "--keep-within",
        metavar="<days>",
        action=Once,
        type=checked(age),
        help="With --keep: also keep every image made less than this long before the"
        " newest one, such as 30d. Requires --keep 2 or last=2, or more.",
    ),
)
PRUNED = argument(
    "server",
    metavar="<server>",
    nargs="*",
    type=checked(name_or_id),
    help="Name or ID of server(s); for one that is gone also the last name that its"
    " images know.",
)
GONE = switch(
    "--gone",
    "Only servers that are gone, all of them unless some are named. Delete all their"
    " scheduled images, except those that --keep keeps.",
)
#: The error if nothing is to be pruned.
NAME_OR_GONE = "name servers, or use --gone for all servers that are gone"
LIST_GONE = switch(
    "--gone",
    "List the servers that are gone in place of the others, with the images that are"
    " left of them.",
)
PLAN = switch("--dry-run", "Delete nothing: print what would be deleted, and why.")
YES = switch("--yes", "Do not ask for confirmation. Required without a terminal.")
YES_TO_MANY = switch("--yes", "With --all or --name: do not ask for confirmation.")
YES_TO_CHANGE = switch(
    "--yes",
    "Do not ask for confirmation, with --all or --name, or when new rules would let"
    " many images expire at once.",
)
#: The error where nobody can be asked.
NO_TERMINAL = (
    "no terminal to ask for confirmation: use --yes to delete, or --dry-run to see what"
    " would be deleted"
)
NOTHING_TO_DELETE = "There is nothing to delete."

# -- snapshots


def hook_command(text: str) -> HookCommand:
    """Return a command that can be run.

    :raises InvalidValue: for anything else.
    """
    from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand

    return HookCommand.parse(text)


def key_and_value(text: str) -> tuple[str, str]:
    """Return a valid key of metadata, and its value.

    :raises InvalidValue: for anything else.
    """
    key, value = metadatum(text)
    if value is None:
        raise invalid(f"'{text}' is not in the format of 'key=value'")
    return key, value


def metadatum(text: str) -> tuple[str, str | None]:
    """Return a valid key of metadata, and its value, None without a ``=``.

    :raises InvalidValue: for an invalid key.
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
        help="Wait at most this long for a snapshot to start, such as 10m.",
    ),
)


def time_limit(text: str, **options: Any) -> Argument:
    """Return the option for the time limit of a command."""
    return argument(
        "--time-limit",
        metavar="<duration>",
        type=checked(duration),
        help=text,
        **options,
    )


WATCH_LIMIT = "Watch no longer than this, such as 2h; by default there is no limit."


def watch_format(*flags: str) -> Argument:
    """Return the option for the format of polls."""
    return argument(
        *flags,
        dest="format",
        metavar="<format>",
        type=one_of("text", "json"),
        default="text",
        help="Print text (the default), or json: one object per line.",
    )


def metadata(*flags: str) -> Argument:
    """Return the option for the metadata of an image."""
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
        " It runs on this machine, without a shell; if it fails, no snapshot is taken."
        " Without --after, nothing is started again.",
    ),
    argument(
        "--after",
        metavar="<command>",
        type=checked(hook_command),
        help="Run this command as soon as the disk is copied. Once --before has"
        " started, it runs exactly once, whatever happens.",
    ),
    argument(
        "--max-hold",
        metavar="<duration>",
        type=checked(duration),
        default="10m",
        help="Longest time from the end of --before to --after, 10m by default. If the"
        " disk is not copied by then, --after runs all the same, and the image may be"
        " inconsistent. No effect without --before and --after.",
    ),
    argument(
        "--command-timeout",
        metavar="<duration>",
        type=checked(duration),
        default="5m",
        help="End --before or --after if it takes longer than this, 5m by default.",
    ),
    argument(
        "--hold-until",
        metavar="<state>",
        type=one_of(*COPIED_STATES),
        help="Task state that shows that the disk is copied: image_pending_upload, as"
        " Rackspace documents it (the default there), or"
        " image_uploading, which is right for libvirt (the default elsewhere).",
    ),
    argument(
        "--interval",
        metavar="<seconds>",
        type=checked(interval),
        help="Time between two polls; by default it grows from 0.5 to 1.8 while the"
        " server is quiesced, and is 5 afterwards.",
    ),
    argument(
        "--wait",
        action="store_true",
        help="Wait until the image is ACTIVE, and its volume snapshots available.",
    ),
)
CREATE_LIMIT = "Time limit for the command, 6h by default."
IMAGE_NAME = argument(
    "name", metavar="<name>", type=checked(name_or_id), help="Name of the image."
)
