"""The options that commands of ``scheduled-images-service`` share, and their values."""

from __future__ import annotations

import os
import shlex
import shutil
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from rax_scheduled_images_ext.model.plan import Policy
from rax_scheduled_images_ext.model.slots import Window, parse_window
from rax_scheduled_images_ext.programs.arguments import (
    Parser,
    between,
    checked,
    duration,
    span,
)
from rax_scheduled_images_ext.programs.options import (
    add_host,
    add_log_format,
    add_port,
)

#: How often `run` reads all servers.
REFRESH = timedelta(minutes=30)
_FORMATS = ("table", "json", "csv", "value")


def add_api(api: Parser) -> None:
    """Declare the options of ``api``."""
    add = api.add_argument
    add(
        "--compute",
        type=checked(_address),
        required=True,
        metavar="URL",
        help="the compute service's address, as the catalog has it",
    )
    add_port(api, 8741)
    add_host(api)
    add(
        "--roles",
        choices=("rackspace",),
        help="let only admins remove schedules, and only members and creators set"
        " them; by default everyone who may change a server's tags may do both",
    )
    add(
        "--auth-url",
        type=checked(_address),
        default=os.environ.get("OS_AUTH_URL"),
        metavar="URL",
        help="the identity service's address, for --roles (default: $OS_AUTH_URL)",
    )
    add(
        "--cacert",
        type=checked(_file),
        default=os.environ.get("OS_CACERT"),
        metavar="FILE",
        help="certificates to trust (default: $OS_CACERT, else the system's)",
    )
    add(
        "--requests",
        type=between(int, 1, 1000),
        default=24,
        metavar="N",
        help="maximum number of concurrent requests (default: %(default)s)",
    )
    add_log_format(api)


def reading() -> Parser:
    """Return the options of every command."""
    options = Parser(add_help=False)
    add = options.add_argument
    add(
        "--region",
        action="append",
        metavar="NAME",
        help="a region to work for, may be repeated (default: $OS_REGION_NAME, or all"
        " regions of the cloud in clouds.yaml)",
    )
    add(
        "--all-projects",
        action="store_true",
        help="work for all projects, as an administrator",
    )
    add(
        "--window",
        type=checked(parse_window),
        default=Window(),
        metavar="HH:MM-HH:MM",
        help="start images in this part of the UTC day (default: at any time)",
    )
    add(
        "--max-delay",
        type=checked(span),
        default=Policy().max_delay,
        metavar="DURATION",
        help="how long after it was due an image is still made (default: 12h)",
    )
    add(
        "--requests",
        type=between(int, 1, 100),
        default=24,
        metavar="N",
        help="maximum number of concurrent requests (default: %(default)s)",
    )
    return options


def covering() -> Parser:
    """Return the option of the commands that obey policies."""
    options = Parser(add_help=False)
    options.add_argument(
        "--policies",
        type=Path,
        metavar="FILE",
        help="give servers without a schedule the one that policies in this file say;"
        " beat sends it to the workers",
    )
    return options


def limiting() -> Parser:
    """Return the limits on the commands that make images."""
    options = Parser(add_help=False)
    for scope, default in (("region", 20), ("project", 5)):
        options.add_argument(
            f"--limit-{scope}",
            type=between(int, 1, 100_000),
            default=default,
            metavar="N",
            help=f"maximum number of concurrent snapshots in a {scope}"
            " (default: %(default)s)",
        )
    return options


def working(limiting: Parser) -> Parser:
    """Return the options of the commands that make images, after the limits."""
    options = Parser(add_help=False, parents=[limiting])
    add = options.add_argument
    add(
        "--record-metadata",
        action="store_true",
        help="also record the metadata and the description of a server on its images,"
        " if they fit in 1 KB, for restoring it when it is gone; whoever may read the"
        " images can read them",
    )
    add_log_format(options)
    add(
        "--on-failure",
        type=checked(_command),
        metavar="CMD",
        help="run this when something starts to fail, with the facts as JSON on its"
        " stdin; it may take 30 seconds",
    )
    add(
        "--ping",
        type=checked(_url),
        metavar="URL",
        help="request this URL after each successful tick, and after a failed one the"
        " same with /fail after its path",
    )
    add(
        "--ping-fail",
        type=checked(_url),
        metavar="URL",
        help="request this URL after a failed tick",
    )
    add(
        "--ping-cacert",
        type=checked(_file),
        metavar="FILE",
        help="certificates to trust for pings (default: the system's, not those set for"
        " the cloud)",
    )
    add("-v", "--verbose", action="store_true", help="also log what others do")
    return options


def reporting() -> Parser:
    """Return the options of the commands that remember what they have reported."""
    options = Parser(add_help=False)
    options.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="file that records what was reported, so that it is reported once"
        " (default: a file below $XDG_STATE_HOME or ~/.local/state)",
    )
    options.add_argument(
        "--quiet",
        action="store_true",
        help="log only warnings and errors",
    )
    return options


def removing() -> Parser:
    """Return the option of the commands that delete images of servers that are gone."""
    options = Parser(add_help=False)
    options.add_argument(
        "--after-delete",
        type=checked(day_or_more),
        metavar="DURATION",
        help="delete the scheduled images of servers that were deleted this long ago,"
        " such as 30d; looked for once a day (default: never)",
    )
    return options


def lasting() -> Parser:
    """Return the options of the commands that keep running."""
    options = Parser(add_help=False)
    add = options.add_argument
    add(
        "--every",
        type=checked(duration),
        default=60.0,
        metavar="DURATION",
        help="how often to scan (default: 1m)",
    )
    add(
        "--metrics-port",
        type=between(int, 0, 65535),
        metavar="N",
        help="serve /metrics for Prometheus, /healthz and /readyz on this port",
    )
    add_host(options, "--metrics-host")
    add(
        "--metrics-servers",
        type=between(int, 0, 1_000_000),
        default=1000,
        metavar="N",
        help="with more servers, times are reported by project, not by server"
        " (default: %(default)s)",
    )
    return options


def proving() -> Parser:
    """Return the options of the commands that prove images now and then."""
    options = Parser(add_help=False)
    add = options.add_argument
    add(
        "--verify-every",
        type=checked(day_or_more),
        metavar="DURATION",
        help="prove that an image of each server boots, this often, such as 90d: a test"
        " server is made from it without a network, looked at and deleted; some a day,"
        " in the window (default: never)",
    )
    add(
        "--verify-level",
        choices=("booted", "console"),
        default="console",
        help="what is to be seen of it: that it is ACTIVE, or that its console shows a"
        " login prompt (default: console)",
    )
    add(
        "--verify-flavor",
        metavar="FLAVOR",
        help="flavor of the test servers, name or ID (default: that of each server)",
    )
    add(
        "--verify-at-once",
        type=between(int, 1, 20),
        default=2,
        metavar="N",
        help="test servers at once in a region at most (default: %(default)s)",
    )
    return options


def day_or_more(text: str) -> timedelta:
    """Return a duration of a day at least.

    :raises ValueError: for any other.
    """
    found = span(text)
    if found < timedelta(days=1):
        raise ValueError(f"'{text}' is not allowed: a day at least, such as 90d")
    return found


def printing() -> Parser:
    """Return the options of the commands that print rows."""
    options = Parser(add_help=False)
    options.add_argument("--format", choices=_FORMATS, default="table")
    return options


def _command(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is not a command: {error}") from None
    if not words:
        raise ValueError(f"'{text}' is not a command: it is empty")
    if shutil.which(words[0]) is None:
        raise ValueError(f"'{words[0]}' is not an executable program")
    return words


def _url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        # Its path may be a secret.
        raise ValueError("the address must start with http:// or https://")
    return text


def _file(text: str) -> str:
    try:
        with open(text, "rb"):
            return text
    except OSError as error:
        raise ValueError(f"cannot read {text}: {error.strerror}") from None


def _address(text: str) -> str:
    try:
        address = urlsplit(text)
        good = address.scheme in ("http", "https") and address.port != 0
    except ValueError:
        good = False
    if not (good and address.hostname):
        raise ValueError(
            f"'{text}' is not an address: write it as http://HOST:PORT/PATH"
        )
    return text
