"""``scheduled-images-panel``: scheduled images in a browser."""

from __future__ import annotations

import argparse
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.console.terminal import OutputFailed, put, say
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.durations import format_duration
from rax_scheduled_images_ext.programs.arguments import (
    Parser,
    allowed_host,
    between,
    checked,
    duration,
    host_name,
)
from rax_scheduled_images_ext.programs.completion import complete
from rax_scheduled_images_ext.programs.extras import advice
from rax_scheduled_images_ext.programs.log import start_log
from rax_scheduled_images_ext.programs.options import (
    LOOPBACK,
    STATUSES,
    add_like,
    add_port,
    new_parser,
)
from rax_scheduled_images_ext.programs.signals import ended_by_signals

if TYPE_CHECKING:
    from flask import Flask

    from rax_scheduled_images_ext.panel.settings import Settings
    from rax_scheduled_images_ext.programs.http_server import Server
    from rax_scheduled_images_ext.sandbox import Sandbox

PROG = "scheduled-images-panel"
_DESCRIPTION = "A control panel for scheduled images, in a browser."
LOCAL_HOSTS = ("localhost", LOOPBACK, "::1")
_PORT = 8750
_IDLE, _REFRESH = 1800.0, 10.0
_seconds = partial(duration, least=1.0)
# A page may wait for the cloud; others must not wait for that page.
_THREADS = 32


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the panel until it is interrupted.

    :returns: the exit status, as ``--help`` lists them.
    :raises SystemExit: with status 2 for bad usage.
    """
    parser = make_parser()
    complete(parser)
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
        with _environment(args) as sandbox:
            return _serve(args, sandbox)
    except ScheduledImagesError as error:
        say(f"{PROG}: error: {error}")
        return 1
    except ModuleNotFoundError as error:
        extras = "panel,sandbox" if args.sandbox else "panel"
        say(f"{PROG}: error: {advice(error, extras)}")
        return 1


def _serve(args: argparse.Namespace, sandbox: Sandbox | None) -> int:
    from rax_scheduled_images_ext.panel.app import create_app
    from rax_scheduled_images_ext.programs.http_server import Server

    start_log(logging.getLogger(), logging.WARNING)
    server = Server(args.host or LOOPBACK, args.port, _THREADS)
    settings = _settings(args, server, sandbox)
    ended = threading.Event()
    with ended_by_signals(ended):
        server.start(create_app(settings))
        _announce(settings, server.url)
        ended.wait()
        server.stop()
    return 0


def _settings(
    args: argparse.Namespace, server: Server, sandbox: Sandbox | None
) -> Settings:
    from rax_scheduled_images_ext.panel.settings import (
        EntryTokens,
        Settings,
        cloud_for,
        policy_file,
    )

    def renewed(token: str) -> None:
        # The visitor is logged in all the same.
        with suppress(OutputFailed):
            put(f"Opened. For another browser use {server.url}/enter?token={token}")

    config, session = cloud_for(PROG, with_login=not args.login)
    return Settings(
        config,
        session,
        entry=None if args.login else EntryTokens(renewed),
        hosts=(*LOCAL_HOSTS, *args.allow_host) if args.login else LOCAL_HOSTS,
        idle=args.idle,
        refresh=args.refresh,
        proxies=args.proxies or 0,
        port=server.port,
        policies=policy_file(args.policies),
        # Whoever logs in would break it for all others.
        sandbox=None if args.login else sandbox,
    )


def _announce(settings: Settings, url: str) -> None:
    if settings.entry is None:
        put(f"The panel is at {url}/")
    else:
        put(f"Open {url}/enter?token={settings.entry.token}")


@contextmanager
def _environment(args: argparse.Namespace) -> Iterator[Sandbox | None]:
    """Start the sandbox if requested, and make it the only cloud."""
    if not args.sandbox:
        yield None
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
                _print_users(sandbox)
            yield sandbox
        finally:
            os.environ.clear()
            os.environ.update(before)


def _print_users(sandbox: Sandbox) -> None:
    domain = "" if sandbox.like == "rackspace" else ", domain Default"
    password = sandbox.env()["OS_PASSWORD"]
    put(f"Log in as admin, creator or observer, password {password}{domain}")


def app_from_environment() -> Flask:
    """Return the panel for a WSGI server, configured by environment variables.

    :raises Misconfigured: if there is no cloud.
    :raises InvalidPolicies: if there are no policies in their file.
    :raises ValueError: for an invalid variable.
    """
    from rax_scheduled_images_ext.panel.app import create_app
    from rax_scheduled_images_ext.panel.settings import (
        Settings,
        cloud_for,
        policy_file,
    )

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
            policies=policy_file(variable("POLICIES", "")),
        )
    )


def make_parser() -> Parser:
    """Return the parser of the program."""
    parser = new_parser(PROG, _DESCRIPTION, {**STATUSES, "0": "ended by a signal"})
    add = parser.add_argument
    add_port(parser, _PORT)
    add(
        "--idle",
        type=checked(_seconds),
        default=_IDLE,
        metavar="DURATION",
        help="end a session that has been idle for this long (default: 30m)",
    )
    add(
        "--refresh",
        type=checked(_seconds),
        default=_REFRESH,
        metavar="DURATION",
        help="how often an open page is updated (default: 10s)",
    )
    add(
        "--policies",
        metavar="FILE",
        help="a file of policies: servers that it excepts are not unprotected",
    )
    several = parser.add_argument_group(
        "for several people",
        "Without --login the panel is only for the user who started it: it listens on"
        " this machine only, and the URL that it prints works once.",
    )
    add = several.add_argument
    add(
        "--login",
        action="store_true",
        help="let people log in to the cloud of OS_CLOUD or OS_AUTH_URL",
    )
    add(
        "--host",
        type=checked(host_name),
        metavar="ADDRESS",
        help=f"address to listen on (default: {LOOPBACK}); use any other only behind a"
        " proxy with TLS",
    )
    add(
        "--allow-host",
        type=checked(allowed_host),
        action="append",
        default=[],
        metavar="NAME",
        help="a host name of the panel, besides localhost (may be repeated)",
    )
    add(
        "--proxies",
        type=between(int, 0, 10),
        metavar="N",
        help="how many reverse proxies in front to trust (X-Forwarded-*)",
    )
    look = parser.add_argument_group("a first look")
    look.add_argument(
        "--sandbox",
        action="store_true",
        help="show a sandbox cloud with two weeks of history",
    )
    add_like(look)
    look.add_argument(
        "--servers",
        type=between(int, 0, 100_000),
        default=0,
        metavar="N",
        help="number of further servers in the sandbox",
    )
    return parser
