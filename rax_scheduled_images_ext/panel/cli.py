"""``scheduled-images-panel``: scheduled images in a browser."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.console.terminal import OutputFailed, put, say
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.durations import format_duration, parse_duration
from rax_scheduled_images_ext.programs.arguments import (
    Parser,
    between,
    checked,
    host_name,
)

if TYPE_CHECKING:
    from flask import Flask

    from rax_scheduled_images_ext.panel.settings import Settings
    from rax_scheduled_images_ext.sandbox import Sandbox

PROG = "scheduled-images-panel"
LOOPBACK = "127.0.0.1"
LOCAL_HOSTS = ("localhost", LOOPBACK, "::1")
_PORT = 8750
_IDLE, _REFRESH = 1800.0, 10.0
# A page waits for the cloud, and others shall not wait for it.
_THREADS = 32


class _Failed(Exception):
    """The panel cannot be started; the text is the one line to print."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the panel until it is interrupted.

    :returns: the exit status: 0 ended by a signal, 1 failed.
    :raises SystemExit: with status 2 for bad usage.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    if not args.login:
        for name in ("host", "allow_host", "proxies"):
            if getattr(args, name):
                option = name.replace("_", "-")
                parser.error(
                    f"--{option} requires --login: without it, everyone who connects"
                    " acts as you"
                )
    try:
        with _environment(args):
            return _serve(args)
    except (_Failed, ScheduledImagesError) as error:
        say(f"{PROG}: error: {error}")
        return 1
    except ModuleNotFoundError as error:
        extras = "panel,sandbox" if args.sandbox else "panel"
        say(
            f"{PROG}: error: the panel needs {error.name}: pip install"
            f" 'rax-scheduled-images-ext[{extras}]'"
        )
        return 1


def _serve(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.panel.app import create_app
    from rax_scheduled_images_ext.programs.http_server import Server

    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    host = args.host or LOOPBACK
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, args.port), family=family)
    except OSError as error:
        raise _Failed(
            f"cannot listen on {host} port {args.port}: {_why(error)}"
        ) from error
    port = listening.getsockname()[1]
    settings = _settings(args, host, port)
    server = Server(create_app(settings), listening, _THREADS)
    signal.signal(signal.SIGTERM, _end)
    _announce(settings, host, port)
    # It returns on SystemExit and on Ctrl-C.
    server.run()
    return 0


def _why(error: OSError) -> str:
    # Python adds the address to the system's words.
    return os.strerror(error.errno) if error.errno else str(error)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _settings(args: argparse.Namespace, host: str, port: int) -> Settings:
    from rax_scheduled_images_ext.panel.settings import (
        EntryTokens,
        Settings,
        cloud_for,
    )

    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def renewed(token: str) -> None:
        # The visitor has entered all the same.
        with suppress(OutputFailed):
            put(f"Entered. Another browser enters by {base}/enter?token={token}")

    config, session = cloud_for(PROG, with_login=not args.login)
    return Settings(
        config,
        session,
        entry=None if args.login else EntryTokens(renewed),
        hosts=(*LOCAL_HOSTS, *args.allow_host) if args.login else LOCAL_HOSTS,
        idle=args.idle,
        refresh=args.refresh,
        proxies=args.proxies or 0,
        port=port,
    )


def _announce(settings: Settings, host: str, port: int) -> None:
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if settings.entry is None:
        put(f"The panel is at {base}/")
    else:
        put(f"Open {base}/enter?token={settings.entry.token}")


@contextmanager
def _environment(args: argparse.Namespace) -> Iterator[None]:
    """Start the sandbox, if one is wanted, and make it the only cloud."""
    if not args.sandbox:
        yield
        return
    from rax_scheduled_images_ext.client.openstacksdk import configured_cloud
    from rax_scheduled_images_ext.panel.first_look import (
        live_through,
        sandbox_since_two_weeks,
    )
    from rax_scheduled_images_ext.panel.settings import cloud_for

    before = dict(os.environ)
    with sandbox_since_two_weeks(args.like) as sandbox:
        try:
            os.environ.clear()
            os.environ.update(sandbox.environ())
            config, session = cloud_for(PROG, with_login=True)
            live_through(sandbox, configured_cloud(config, session), args.servers)
            if args.login:
                _tell_users(sandbox)
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _tell_users(sandbox: Sandbox) -> None:
    domain = "" if sandbox.like == "rackspace" else ", domain Default"
    password = sandbox.env()["OS_PASSWORD"]
    put(f"Log in as admin, creator or observer, password {password}{domain}")


def app_from_environment() -> Flask:
    """Return the panel for a WSGI server, with the variables of the environment.

    :raises Misconfigured: if there is no cloud.
    :raises ValueError: for a variable that cannot be.
    """
    from rax_scheduled_images_ext.panel.app import create_app
    from rax_scheduled_images_ext.panel.settings import Settings, cloud_for

    def variable(name: str, default: str) -> str:
        return os.environ.get(f"SCHEDULED_IMAGES_PANEL_{name}", default)

    config, session = cloud_for(PROG, with_login=False)
    hosts = variable("HOSTS", "").replace(",", " ").split()
    return create_app(
        Settings(
            config,
            session,
            hosts=(*LOCAL_HOSTS, *hosts),
            idle=_seconds(variable("IDLE", format_duration(_IDLE))),
            refresh=_seconds(variable("REFRESH", format_duration(_REFRESH))),
            proxies=int(variable("PROXIES", "0")),
        )
    )


def make_parser() -> Parser:
    """Return the parser of the program."""
    parser = Parser(prog=PROG, description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add(
        "--port",
        type=between(int, 0, 65535),
        default=_PORT,
        metavar="N",
        help="port to listen on, 0 for any free one (default: %(default)s)",
    )
    add(
        "--idle",
        type=checked(_seconds),
        default=_IDLE,
        metavar="DURATION",
        help="end a session that nobody has used for so long (default: 30m)",
    )
    add(
        "--refresh",
        type=checked(_seconds),
        default=_REFRESH,
        metavar="DURATION",
        help="how often an open page looks at the cloud again (default: 10s)",
    )
    several = parser.add_argument_group(
        "for several people",
        "Without --login the panel is for whoever started it: it listens on this"
        " machine alone, and opens by the address that it prints, once.",
    )
    add = several.add_argument
    add(
        "--login",
        action="store_true",
        help="let people log in, on the cloud of OS_CLOUD or OS_AUTH_URL",
    )
    add(
        "--host",
        type=checked(host_name),
        metavar="ADDRESS",
        help=f"address to listen on (default: {LOOPBACK}); another than this machine's"
        " own only behind a proxy with TLS",
    )
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that the panel is called by, besides localhost (may be repeated)",
    )
    add(
        "--proxies",
        type=between(int, 0, 10),
        metavar="N",
        help="how many reverse proxies in front to believe (X-Forwarded-*)",
    )
    look = parser.add_argument_group("a first look")
    look.add_argument(
        "--sandbox",
        action="store_true",
        help="show a sandbox cloud with two weeks of history",
    )
    look.add_argument("--like", choices=("openstack", "rackspace"), default="openstack")
    look.add_argument(
        "--servers",
        type=between(int, 0, 100_000),
        default=0,
        metavar="N",
        help="how many servers the sandbox has besides the usual ones",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"'{text}' is not allowed: a second is the least")
    return seconds
