"""``scheduled-images-service``: makes scheduled images where the cloud does not."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.arguments import Parser, checked
from rax_scheduled_images_ext.model.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.freshness import MAX_AGE
from rax_scheduled_images_ext.model.plan import Policy
from rax_scheduled_images_ext.output.console import say
from rax_scheduled_images_ext.service import options

if TYPE_CHECKING:
    from rax_scheduled_images_ext.engine.look import Look
    from rax_scheduled_images_ext.engine.projects import Projects
    from rax_scheduled_images_ext.engine.runner import Runner
    from rax_scheduled_images_ext.service.loop import Service

PROG = "scheduled-images-service"
#: The variable with what makes claims unforeseeable.
KEY = "SCHEDULED_IMAGES_CLAIM_KEY"
#: The variable with the options of workers and beat, which Celery starts.
OPTIONS = "SCHEDULED_IMAGES_OPTIONS"
#: The variable in which Celery looks for RabbitMQ.
BROKER = "CELERY_BROKER_URL"
_APP = "rax_scheduled_images_ext.service.workers"
_STALE = 3
_API_SUMMARY = "give a compute service the API of scheduled images, as a reverse proxy"
# How long a try lasts at least, by this machine's time.
_SHORTEST_TRY = timedelta(minutes=2)
# Which extra of this package has it, where that is not the service's.
_EXTRAS = {"celery": "celery", "kombu": "celery", "amqp": "celery"}


class _Failed(Exception):
    """A command that could not be done; the text is the one line to print."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :returns: the exit status: 0 done, 1 failed, 3 of ``status`` for images that are
        late, 130 interrupted, 143 of ``tick`` after SIGTERM.
    :raises SystemExit: with status 2 for bad usage.
    """
    args = parse(argv)
    try:
        status: int = args.func(args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (_Failed, ScheduledImagesError) as error:
        say(f"{PROG}: error: {error}")
        return 1
    except ModuleNotFoundError as error:
        say(
            f"{PROG}: error: the service needs {error.name}: pip install"
            f" 'rax-scheduled-images-ext[{_EXTRAS.get(str(error.name), 'service')}]'"
        )
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command and its options.

    :raises SystemExit: with status 2, for bad usage.
    """
    parser = make_parser()
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(argv)
    args.options = argv[1 : argv.index("--") if "--" in argv else None]
    rehearsed = [f"--{name}" for name in ("at", "speed") if getattr(args, name, None)]
    if rehearsed and args.func is not _plan and not args.rehearsal:
        parser.error(f"{rehearsed[0]} is for test clouds: it takes --rehearsal as well")
    if getattr(args, "since", None) and not args.speed:
        parser.error("--since says from when on time passes faster: it takes --speed")
    if getattr(args, "roles", None) and not args.auth_url:
        parser.error("--roles takes --auth-url or $OS_AUTH_URL as well")
    return args


# The commands


def _run(args: argparse.Namespace) -> int:
    service = _service(args)
    if args.speed:
        from rax_scheduled_images_ext.service.loop import sped_up

        since = args.since or datetime.now(timezone.utc)
        service.time = sped_up(since, args.speed)
    service.run(args.every)
    if service.server is not None:
        service.server.close()
    return 0


def _tick(args: argparse.Namespace) -> int:
    service = _service(args)
    if args.at:
        service.time = lambda: args.at
    return service.once()


def _celery(args: argparse.Namespace) -> int:
    """Run one of Celery's own commands with our application."""
    from celery.bin.celery import celery

    if not os.environ.get(BROKER):
        raise _Failed(
            f"{BROKER} is not set: it is RabbitMQ's address, such as"
            " amqp://user:password@localhost:5672/scheduled-images"
        )
    given = [os.environ.get(OPTIONS, ""), shlex.join(args.options)]
    os.environ[OPTIONS] = " ".join(filter(None, given))
    argv = ["-A", _APP, args.celery, *args.celery_options]
    # A click command: it ends by SystemExit.
    celery(args=argv, prog_name="celery", auto_envvar_prefix="CELERY")
    return 0


def _plan(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.engine.look import plan_all
    from rax_scheduled_images_ext.service.tables import print_plan

    found = _look(args)
    steps = plan_all(found, _policy(args), args.at)
    print_plan(steps, args.format, everything=args.all)
    return 0


def _status(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.engine.look import plan_all
    from rax_scheduled_images_ext.service.tables import print_status, rows_of

    found = _look(args)
    rows = rows_of(found, plan_all(found, _policy(args)), args.max_age)
    print_status(rows, args.format)
    stale = any(row.status.stale for row in rows)
    return _STALE if stale or _has_dead_letters() else 0


def _has_dead_letters() -> bool:
    """Whether there are messages that no worker could do; they are told on stderr.

    Without workers there is no broker to ask.
    """
    url = os.environ.get(BROKER)
    if not url:
        return False
    from kombu.exceptions import OperationalError

    from rax_scheduled_images_ext.service import queues

    try:
        number = queues.lengths(url, []).get(queues.DEAD, 0)
    except OperationalError as error:
        raise _Failed(f"RabbitMQ cannot be reached: {error}") from None
    if number:
        say(
            f"{PROG}: warning: {number} message{'s' * (number > 1)} that no worker"
            f" could do: see the queue {queues.DEAD}"
        )
    return number > 0


def _api(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.service import events
    from rax_scheduled_images_ext.service.api.keystone import TokenRoles
    from rax_scheduled_images_ext.service.api.proxy import Proxy
    from rax_scheduled_images_ext.service.api.rights import Rights

    events.configure(args.log_format, logging.INFO)
    roles = TokenRoles(args.auth_url, args.cacert) if args.roles else None
    try:
        proxy = Proxy(
            args.compute,
            args.host,
            args.port,
            rights=Rights(roles),
            threads=args.requests,
            cacert=args.cacert,
        )
    except OSError as error:
        raise _Failed(
            f"cannot listen on {args.host} port {args.port}: {error.strerror}"
        ) from error
    proxy.run()
    return 0


def _policy(args: argparse.Namespace) -> Policy:
    # The cloud is no faster in a rehearsal, so a try must not be over at once.
    interval = max(Policy.interval, (getattr(args, "speed", None) or 1) * _SHORTEST_TRY)
    return Policy(args.window, args.max_delay, interval=interval)


def _look(args: argparse.Namespace) -> Look:
    from keystoneauth1.exceptions import ClientException

    from rax_scheduled_images_ext.engine.look import look

    try:
        projects = _projects(args)
        return look(projects.listing, all_projects=projects.all_projects)
    except (ClientException, OSError) as error:
        raise _Failed(str(error)) from error


def open_runner(args: argparse.Namespace, region: str | None = None) -> Runner:
    """Return a runner for what the options say; it has logged in.

    :param region: None for the configured one.
    """
    from rax_scheduled_images_ext.engine.limits import Limits
    from rax_scheduled_images_ext.engine.runner import Runner

    limits = Limits(args.limit_region, args.limit_project, args.requests)
    key = os.environ.get(KEY, "")
    speed = getattr(args, "speed", None) or 1.0
    return Runner(_projects(args, region), _policy(args), limits, key, speed=speed)


def _projects(args: argparse.Namespace, region: str | None = None) -> Projects:
    from rax_scheduled_images_ext.client.configuration import configuration
    from rax_scheduled_images_ext.engine.projects import OneProject
    from rax_scheduled_images_ext.service.clouds import AllProjects, connect

    config = configuration(PROG, region)
    cloud = connect(config, args.requests)
    return AllProjects(config, cloud) if args.all_projects else OneProject(cloud)


def _service(args: argparse.Namespace) -> Service:
    from rax_scheduled_images_ext.client.configuration import configuration
    from rax_scheduled_images_ext.service import events
    from rax_scheduled_images_ext.service.loop import Service
    from rax_scheduled_images_ext.service.notify import Notifier

    events.configure(args.log_format, logging.DEBUG if args.verbose else logging.INFO)
    # Told at once: that there is nothing to log in to will not pass.
    configuration(PROG)

    service = Service(partial(open_runner, args), Notifier(args.on_failure, args.ping))
    if getattr(args, "metrics_port", None) is not None:
        from rax_scheduled_images_ext.service.metrics import Metrics, MetricsServer

        service.metrics = Metrics(args.metrics_servers)
        try:
            service.server = MetricsServer(
                service.metrics.registry, args.metrics_host, args.metrics_port
            )
        except OSError as error:
            raise _Failed(
                f"cannot listen on {args.metrics_host} port {args.metrics_port}:"
                f" {error.strerror}"
            ) from error
    return service


# What may be written on the command line


def make_parser() -> Parser:
    """Return the parser of the program."""
    parser = Parser(prog=PROG, description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str,
        func: Callable[[argparse.Namespace], int],
        summary: str,
        *parents: Parser,
    ) -> Parser:
        added = commands.add_parser(
            name,
            help=summary,
            description=summary,
            parents=list(parents),
            allow_abbrev=False,
        )
        added.set_defaults(func=func)
        return added

    reading, working = options.reading(), options.working()
    printing, lasting = options.printing(), options.lasting()
    command("run", _run, "keep going until SIGTERM", reading, working, lasting)
    for name, summary in (
        ("worker", "do what workers are sent by RabbitMQ, as `celery worker` does"),
        ("beat", "send for a scan again and again, as `celery beat` does"),
    ):
        celery = command(name, _celery, summary, reading, working, lasting)
        celery.set_defaults(celery=name)
        celery.add_argument(
            "--region",
            action="append",
            metavar="NAME",
            help="a region to work for (default: the configured one; may be repeated)",
        )
        celery.add_argument(
            "celery_options",
            nargs="*",
            metavar="CELERY_OPTION",
            help=f"after --: options of `celery {name}`",
        )
    tick = command(
        "tick", _tick, "do once what is due, for cron and timers", reading, working
    )
    tick.add_argument(
        "--at",
        type=checked(options.moment),
        metavar="TIME",
        help="decide as if it were this time; takes --rehearsal",
    )
    plan = command(
        "plan", _plan, "print what a tick would do now, and why", reading, printing
    )
    plan.add_argument(
        "--at",
        type=checked(options.moment),
        metavar="TIME",
        help="what it would do at this time, such as 2026-01-01T00:00:00Z",
    )
    plan.add_argument(
        "--all", action="store_true", help="print the servers with nothing to do too"
    )
    status = command(
        "status",
        _status,
        "print all schedules; exit status 3 if an image is late or cannot be made",
        reading,
        printing,
    )
    status.add_argument(
        "--max-age",
        type=checked(options.duration),
        default=MAX_AGE,
        metavar="DURATION",
        help="how old the newest image of a daily schedule may be (default: 26h)",
    )
    options.add_api(command("api", _api, _API_SUMMARY))
    return parser
