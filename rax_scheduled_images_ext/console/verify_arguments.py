"""The arguments of proving that images boot, for both shells and the service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.console.arguments import (
    YES,
    argument,
    hook_command,
    statuses,
)
from rax_scheduled_images_ext.programs.arguments import (
    between,
    checked,
    duration,
    invalid,
    name_or_id,
    one_of,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.operations.verify import VerifyOptions

#: The levels of a proof, as model.verify has them.
LEVELS = ("booted", "console", "command")


def expected_text(text: str) -> re.Pattern[str]:
    """Return the regular expression that a console must match.

    :raises InvalidValue: for an invalid one, or one that matches anything.
    """
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise invalid(f"'{text}' is not a regular expression: {error}") from None
    if pattern.search("") is not None:
        raise invalid(f"'{text}' matches even an empty console")
    return pattern


#: How an image is proven.
PROOF = (
    argument(
        "--level",
        metavar="<level>",
        type=one_of(*LEVELS),
        help="What proves the image: its test server is ACTIVE (booted), its console"
        " shows a login prompt (console, the default), or a command succeeds"
        " (command).",
    ),
    argument(
        "--console",
        metavar="<regex>",
        type=checked(expected_text),
        help="Regular expression that the console must match, instead of a login"
        " prompt.",
    ),
    argument(
        "--command",
        metavar="<command>",
        type=checked(hook_command),
        help="Run this command as soon as the server is ACTIVE, or its console matches"
        " --console. It receives what is known of the server on standard input, as"
        " JSON. Exit status 0 proves the image.",
    ),
    argument(
        "--flavor",
        metavar="<flavor>",
        type=checked(name_or_id),
        help="Flavor of the test server (name or ID); by default the one of the"
        " image's server.",
    ),
    argument(
        "--time-limit",
        metavar="<duration>",
        type=checked(duration),
        default="5m",
        help="Time limit for a test server to become ACTIVE, and again for its guest"
        " to come up, 5m by default.",
    ),
    argument(
        "--at-once",
        metavar="<number>",
        type=between(int, 1, 20),
        default=2,
        help="Maximum number of test servers at a time, 2 by default.",
    ),
)
NETWORK = argument(
    "--network",
    dest="networks",
    metavar="<network>",
    action="append",
    default=[],
    type=checked(name_or_id),
    help="Network of the test server (ID, or name where the cloud has a network"
    " service); may be repeated. By default the test server has no network. With one,"
    " a copy of a production server runs there.",
)
NAMED = argument(
    "named",
    metavar="<server-or-image>",
    nargs="+",
    type=checked(name_or_id),
    help="Name or ID of server(s), whose newest complete images are proven, or of"
    " image(s).",
)
VERIFY = (*PROOF, NETWORK, YES)
VERIFY_STATUSES = statuses(" 3 a proof failed,")
#: The error where nobody can be asked.
NO_TERMINAL = "no terminal to ask for confirmation: use --yes to make test servers"


def verify_options(args: Any) -> VerifyOptions:
    """Return the options of proving images.

    :raises InvalidValue: if the options contradict each other.
    """
    from rax_scheduled_images_ext.model.verify import LEVELS as KNOWN
    from rax_scheduled_images_ext.model.verify import Level
    from rax_scheduled_images_ext.operations.verify import VerifyOptions

    level = KNOWN[args.level or ("command" if args.command else "console")]
    if (level is Level.COMMAND) != (args.command is not None):
        raise invalid("--level command and --command require each other")
    if args.console is not None and level is Level.BOOTED:
        raise invalid("--console requires --level console or command")
    return VerifyOptions(
        level,
        args.console,
        args.command,
        tuple(getattr(args, "networks", ())),
        args.flavor,
        args.time_limit,
        args.at_once,
    )
