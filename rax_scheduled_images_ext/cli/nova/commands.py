"""The commands of ``nova``, one module for each group of them.

Every ``nova`` loads this module and makes a parser for each command, but rarely runs
one. So the functions here only declare the arguments. They are stand-ins: the function
that does the work is imported when it is called.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

# Where novaclient looks for what becomes its clients' `scheduled_images`.
from rax_scheduled_images_ext.cli.nova.manager import (
    ScheduledImagesManager as ScheduledImagesManager,
)
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.arguments import Argument, argument
from rax_scheduled_images_ext.console.restore_arguments import (
    RESTORE,
    RESTORE_STATUSES,
    RESTORED_SERVER,
)
from rax_scheduled_images_ext.console.verify_arguments import (
    NAMED,
    VERIFY,
    VERIFY_STATUSES,
)
from rax_scheduled_images_ext.programs.arguments import (
    checked,
    day_name,
    duration,
    invalid,
    one_of,
    regular_expression,
)

Command = Callable[[Any, Any], None]


def __dir__() -> list[str]:
    # The shell finds commands by dir(), when its own are already defined: so only those
    # image commands are offered that the installed novaclient lacks.
    from novaclient.v2 import shell

    return [name for name in globals() if not hasattr(shell, name)]


class Description(str):
    """The text of ``nova help COMMAND``; the list of commands shows its first sentence.

    The shell calls ``strip`` on the text only for that list.
    """

    def strip(self, chars: str | None = None, /) -> str:
        """Return the first paragraph."""
        return self.partition("\n\n")[0]


def stands_for(
    work: str, *declared: Argument, statuses: str = arguments.STATUSES
) -> Callable[[Callable[[], None]], Command]:
    """Make a stand-in from a function that has only a docstring.

    :param work: the module in this package, and its function that does the work.
    :param declared: the arguments of the command, in order.
    :param statuses: the exit statuses of the command.
    """

    def stand_in(declaration: Callable[[], None]) -> Command:
        def command(cs: Any, args: Any) -> None:
            module, _, function = work.partition(":")
            getattr(import_module(f"{__package__}.{module}"), function)(cs, args)

        command.__name__ = declaration.__name__
        command.__doc__ = Description(f"{declaration.__doc__}\n\n{statuses}")
        # What novaclient's own decorator sets on a function.
        vars(command)["arguments"] = [(each.flags, each.options) for each in declared]
        return command

    return stand_in


class InsteadOfServers(arguments.Option):
    """An option that chooses servers, so that none has to be named."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        super().__call__(parser, namespace, values, option_string)
        for positional in parser._get_positional_actions():
            if positional.dest == "server":
                positional.nargs = "*"
            # If the argument after the servers came before this option, it was parsed
            # as a server: the command corrects that.
            positional.required = False


def seconds(text: str) -> float:
    """Return the seconds of a duration, which may be a plain number.

    The shell has its own option ``--timeout``, reads it anywhere on the command line,
    and accepts only a number.

    :raises InvalidValue: for anything else.
    """
    plain = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text, re.ASCII)
    return duration(f"{text}s" if plain else text)


def limit(text: str) -> int:
    """Return the maximum number of images to list.

    :raises InvalidValue: for anything but a whole number of at least 1.
    """
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text, re.ASCII):
        raise invalid(f"'{text}' is not a limit: a whole number of at least 1")
    return int(text)


def time_limit(text: str, **options: Any) -> Argument:
    """Return the option for the time limit of a command."""
    return argument(
        "--time-limit",
        "--timeout",
        dest="time_limit",
        metavar="<duration>",
        type=checked(seconds),
        help=f"{text} As --timeout, it accepts only seconds.",
        **options,
    )


def output_format(
    text: str = "Print rows as table (the default), json, csv or value.",
    **options: Any,
) -> Argument:
    """Return the option for the format of rows."""
    return argument(
        "--format",
        metavar="<format>",
        type=one_of("table", "json", "csv", "value"),
        help=text,
        **options,
    )


FORMAT = output_format(default="table")
# Named servers, all servers, or those that match a name.
TARGETS = (
    arguments.SERVERS,
    argument(
        "--all",
        nargs=0,
        default=False,
        action=InsteadOfServers,
        help=arguments.ALL_SERVERS,
    ),
    argument(
        "--name",
        metavar="<regex>",
        type=checked(regular_expression),
        action=InsteadOfServers,
        help=arguments.NAMED_SERVERS,
    ),
)


# -- schedules


class InsteadOfRetention(arguments.Once):
    """An option that says what is kept, so that no retention need be given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        super().__call__(parser, namespace, values, option_string)
        for positional in parser._get_positional_actions():
            if positional.dest == "retention":
                positional.required = False


@stands_for(
    "schedules:enable",
    arguments.EVERY,
    argument(
        "--day-of-week",
        metavar="<day>",
        type=checked(day_name),
        help="Make one image a week, on this UTC day: an English day name in any"
        " letter case, or an unambiguous abbreviation. Without it the schedule is"
        " daily, even if it was weekly before.",
    ),
    arguments.AT,
    arguments.keep(action=InsteadOfRetention),
    arguments.keep_within(action=InsteadOfRetention),
    arguments.FORECAST,
    arguments.YES_TO_CHANGE,
    *TARGETS,
    argument(
        "retention",
        metavar="<retention>",
        help="Number of scheduled images to keep, 1 to 65535; not with --keep.",
    ),
)
def do_scheduled_images_enable() -> None:
    """Enable scheduled images for servers."""


@stands_for(
    "schedules:update",
    arguments.retention(),
    arguments.EVERY,
    arguments.weekly("--day-of-week"),
    arguments.DAILY,
    arguments.AT,
    arguments.keep(),
    arguments.keep_within(),
    arguments.YES_TO_CHANGE,
    *TARGETS,
)
def do_scheduled_images_update() -> None:
    """Change parts of servers' schedules; the rest stays as it is."""


@stands_for("schedules:disable", arguments.FORECAST, arguments.YES_TO_MANY, *TARGETS)
def do_scheduled_images_disable() -> None:
    """Disable scheduled images for servers; the images stay."""


@stands_for(
    "schedules:show",
    output_format(
        "Print rows as table, json, csv or value. By default, several servers are"
        " printed as a table, and one server as two lines of text. In json, csv and"
        " value, a server without a schedule is a row with an empty schedule."
    ),
    arguments.SERVERS,
)
def do_scheduled_images_show() -> None:
    """Show the scheduled image settings of servers."""


@stands_for(
    "list:list_servers",
    arguments.ENABLED,
    arguments.DISABLED,
    arguments.LIST_GONE,
    arguments.UNPROTECTED,
    arguments.POLICIES,
    arguments.ALL_REGIONS,
    arguments.BY_NAME,
    arguments.LONG_LIST,
    arguments.PRICE,
    FORMAT,
)
def do_scheduled_images_list() -> None:
    """List servers with their schedules and the state of their images."""


@stands_for(
    "check:check_servers",
    arguments.MAXIMUM_AGE,
    *arguments.VERIFIED_WITHIN,
    arguments.UNPROTECTED_TOO,
    arguments.POLICIES,
    arguments.ALL_PROJECTS,
    arguments.BY_NAME,
    output_format(
        "Print problems as rows: table, json, csv or value. By default, each problem is"
        " printed as one line, or a single line if all is well."
    ),
    statuses=arguments.CHECK_STATUSES,
)
def do_scheduled_images_check() -> None:
    """Report servers whose newest scheduled image is too old, with exit status 3."""


# -- images of a schedule


@stands_for("image_list:list_server_images", FORMAT, arguments.SERVER)
def do_scheduled_images_image_list() -> None:
    """List a server's images, newest first, with the fate of each and the reason."""


@stands_for("protect:protect", arguments.IMAGES)
def do_scheduled_images_protect() -> None:
    """Keep images for good: schedules no longer count or delete them."""


@stands_for("protect:unprotect", arguments.IMAGES)
def do_scheduled_images_unprotect() -> None:
    """Return images to their schedules, and report which expire next."""


@stands_for(
    "prune:prune",
    *arguments.KEEP,
    arguments.PLAN,
    arguments.YES,
    arguments.GONE,
    FORMAT,
    arguments.PRUNED,
)
def do_scheduled_images_prune() -> None:
    """Apply the retention now: delete the scheduled images beyond it."""


@stands_for(
    "restore:restore",
    *RESTORE,
    argument(
        "--format",
        metavar="<format>",
        type=one_of("table", "json"),
        default="table",
        help="Print the plan and the result as table (the default), or json.",
    ),
    RESTORED_SERVER,
    statuses=RESTORE_STATUSES,
)
def do_scheduled_images_restore() -> None:
    """Restore a server from one of its images, as a new server or in place."""


@stands_for("verify:verify", *VERIFY, FORMAT, NAMED, statuses=VERIFY_STATUSES)
def do_scheduled_images_verify() -> None:
    """Prove that images boot: create a test server from each, check and delete it."""


# -- snapshots


@stands_for(
    "snapshot_create:create",
    arguments.metadata("--metadata"),
    *arguments.CREATE,
    time_limit(arguments.CREATE_LIMIT, default="6h"),
    arguments.SERVER,
    arguments.IMAGE_NAME,
    statuses=arguments.CREATE_STATUSES,
)
def do_snapshot_create() -> None:
    """Create an image of a server, and quiesce it no longer than necessary."""


@stands_for(
    "snapshot_watch:watch",
    *arguments.WATCH,
    time_limit(arguments.WATCH_LIMIT),
    arguments.watch_format("--format"),
    arguments.SERVERS,
    statuses=arguments.WATCH_STATUSES,
)
def do_snapshot_watch() -> None:
    """Watch the snapshots of servers until they are over."""


# -- any images, as novaclient 7 had the commands


@stands_for(
    "images:list_images",
    argument(
        "--limit",
        metavar="<limit>",
        type=checked(limit),
        help="Number of images to list at most.",
    ),
)
def do_image_list() -> None:
    """Print a list of available images to boot from."""


@stands_for("images:show", arguments.IMAGE)
def do_image_show() -> None:
    """Show details about the given image."""


@stands_for(
    "images:change_metadata",
    arguments.IMAGE,
    argument(
        "action",
        metavar="<action>",
        type=one_of("set", "delete"),
        help="Actions: 'set' or 'delete'.",
    ),
    argument(
        "metadata",
        metavar="<key=value>",
        nargs="+",
        type=checked(arguments.metadatum),
        help="Metadata to add/update or delete (only key is necessary on delete).",
    ),
)
def do_image_meta() -> None:
    """Set or delete metadata on an image."""


@stands_for("images:delete", arguments.IMAGES)
def do_image_delete() -> None:
    """Delete specified image(s)."""
