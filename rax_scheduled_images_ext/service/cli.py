"""``scheduled-images-service``: makes scheduled images where the cloud does not."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.console.arguments import EVERY, PRICE_OF_ALL, YES, weekly
from rax_scheduled_images_ext.console.simulation_arguments import SIMULATED
from rax_scheduled_images_ext.console.terminal import can_ask, say
from rax_scheduled_images_ext.console.verify_arguments import (
    NETWORK,
    PROOF,
    verify_options,
)
from rax_scheduled_images_ext.errors import (
    InvalidPolicies,
    InvalidValue,
    ScheduledImagesError,
)
from rax_scheduled_images_ext.model.freshness import MAX_AGE
from rax_scheduled_images_ext.model.plan import Policy
from rax_scheduled_images_ext.programs.arguments import (
    Parser,
    checked,
    max_age,
    moment,
    name_or_id,
    span,
)
from rax_scheduled_images_ext.programs.completion import complete
from rax_scheduled_images_ext.programs.extras import advice
from rax_scheduled_images_ext.programs.options import (
    LOOPBACK,
    STATUSES,
    add_command,
    new_parser,
)
from rax_scheduled_images_ext.service import options

if TYPE_CHECKING:
    from rax_scheduled_images_ext.engine.leftovers import LeftBehind
    from rax_scheduled_images_ext.engine.limits import Limits
    from rax_scheduled_images_ext.engine.projects import Projects
    from rax_scheduled_images_ext.engine.proofs import Proofs
    from rax_scheduled_images_ext.engine.runner import Runner
    from rax_scheduled_images_ext.model.plan import Step
    from rax_scheduled_images_ext.model.policies import PolicyChange
    from rax_scheduled_images_ext.model.quota import FullQuota
    from rax_scheduled_images_ext.service.gone import GoneWork
    from rax_scheduled_images_ext.service.loop import Service
    from rax_scheduled_images_ext.service.proofs import ProofWork
    from rax_scheduled_images_ext.service.tables import StatusRow

PROG = "scheduled-images-service"
#: The variable with the secret that makes claims unpredictable.
KEY = "SCHEDULED_IMAGES_CLAIM_KEY"
#: The variable with the options of workers and beat, which Celery starts.
OPTIONS = "SCHEDULED_IMAGES_OPTIONS"
#: The variable in which Celery looks for RabbitMQ.
BROKER = "CELERY_BROKER_URL"
_APP = "rax_scheduled_images_ext.service.workers"
_STALE = 3
_DESCRIPTION = "Makes scheduled images where the cloud does not."
_STATUSES = {
    **STATUSES,
    "3": "status: an image is late, a schedule is invalid, or a proof failed; verify:"
    " a proof failed",
    "4": "tick: something is due and could not be done yet, or a schedule is invalid",
    "130": "interrupted",
    "143": "tick: ended by SIGTERM",
}
_API_SUMMARY = "add the scheduled images API to a compute service, as a reverse proxy"
# The extra of this package that has a module, if not ``service``.
_EXTRAS = {"celery": "celery", "kombu": "celery", "amqp": "celery"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :returns: the exit status, as ``--help`` lists them.
    :raises SystemExit: with status 2 for bad usage.
    """
    args = parse(argv)
    try:
        status: int = args.func(args)
    except InvalidPolicies as error:
        for mistake in error.mistakes:
            say(f"{PROG}: error: {mistake}")
        return 1
    except ScheduledImagesError as error:
        say(f"{PROG}: error: {error}")
        return 1
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(str(error.name), "service")
        say(f"{PROG}: error: {advice(error, extra)}")
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command and its options.

    :raises SystemExit: with status 2, for bad usage.
    """
    parser = make_parser()
    complete(parser)
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(argv)
    args.options = argv[1 : argv.index("--") if "--" in argv else None]
    if getattr(args, "ping_fail", None) and not args.ping:
        parser.error("--ping-fail requires --ping")
    if getattr(args, "quiet", False) and args.verbose:
        parser.error("--quiet and --verbose cannot be used together")
    if getattr(args, "roles", None) and not args.auth_url:
        parser.error("--roles requires --auth-url or $OS_AUTH_URL")
    host = getattr(args, "metrics_host", LOOPBACK)
    if host != LOOPBACK and args.metrics_port is None:
        parser.error("--metrics-host requires --metrics-port")
    return args


# The commands


def _run(args: argparse.Namespace) -> int:
    service = _service(args)
    service.run(args.every)
    if service.server is not None:
        service.server.stop()
    return 0


def _tick(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.console.servers import at_full_speed

    with at_full_speed():
        return _service(args).once()


def _celery(args: argparse.Namespace) -> int:
    """Run one of Celery's own commands with our application."""
    from celery.bin.celery import celery

    if not os.environ.get(BROKER):
        raise ScheduledImagesError(
            f"{BROKER} is not set: it is RabbitMQ's address, such as"
            " amqp://user:password@localhost:5672/scheduled-images"
        )
    given = [os.environ.get(OPTIONS, ""), shlex.join(args.options)]
    os.environ[OPTIONS] = " ".join(filter(None, given))
    # Celery shows what fails while it loads the application as a traceback.
    worker_regions(parse([args.celery, *shlex.split(os.environ[OPTIONS])]))
    argv = ["-A", _APP, args.celery, *args.celery_options]
    # A click command: it ends with SystemExit.
    celery(args=argv, prog_name="celery", auto_envvar_prefix="CELERY")
    return 0


def _plan(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.engine.clock import Clock
    from rax_scheduled_images_ext.engine.policies import Covering
    from rax_scheduled_images_ext.engine.runner import planned
    from rax_scheduled_images_ext.model.policies import kept_earlier, no_project
    from rax_scheduled_images_ext.operations.policy_file import read_policies
    from rax_scheduled_images_ext.service.tables import print_plan

    steps: list[Step] = []
    changes: list[PolicyChange] = []
    waiting: list[int] = []
    earlier: set[str] = set()
    missing: dict[str, None] = {}
    policy, clock, limits = _policy(args), Clock(at=args.at), _limits(args)
    policies = read_policies(args.policies) if args.policies else None

    def read(projects: Projects) -> None:
        covering = Covering(projects, policies) if policies else None
        found, later = planned(projects, policy, clock, limits, covering)
        steps.extend(found)
        waiting.append(later)
        if covering is not None:
            changes.extend(covering.changes.values())
            earlier.update(covering.earlier)
            missing.update(dict.fromkeys(covering.missing_projects()))

    _read_regions(args, read)
    print_plan(steps, changes, args.format, everything=args.all)
    for name in missing:
        say(f"{PROG}: warning: {no_project(name)}")
    if policies is not None and earlier:
        say(f"{PROG}: warning: {kept_earlier(len(earlier), policies.version)}")
    if sum(waiting):
        say(
            f"{PROG}: {sum(waiting)} of the images to make would have to wait: at most"
            f" {limits.region} snapshots at once in a region, and {limits.project} in a"
            " project"
        )
    return 0


def _check_policies(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.operations.policy_file import read_policies
    from rax_scheduled_images_ext.service.tables import print_policies

    print_policies(read_policies(args.file), args.format)
    return 0


def _status(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.client.snapshots import PASSING
    from rax_scheduled_images_ext.console.space import say_total
    from rax_scheduled_images_ext.engine.find import Finder
    from rax_scheduled_images_ext.engine.leftovers import find_leftovers
    from rax_scheduled_images_ext.engine.space import read_quotas, read_sizes
    from rax_scheduled_images_ext.service.tables import print_status, rows_of

    rows: list[StatusRow] = []
    quotas: list[FullQuota] = []
    left: list[LeftBehind] = []

    def read(projects: Projects) -> None:
        page = Finder(projects, _policy(args)).survey()
        found = rows_of(page, args.max_age, read_sizes(projects, page))
        rows.extend(found)
        if args.format == "table":
            full = read_quotas(projects, (row.status for row in found))
            quotas.extend(full.values())
        try:
            left.extend(find_leftovers(projects, page))
        except PASSING as error:
            say(f"{PROG}: warning: what is left behind cannot be listed: {error}")

    _read_regions(args, read)
    print_status(rows, args.format, args.price)
    if args.format == "table":
        say_total((row.status.space for row in rows), quotas, args.price)
    for each in left:
        say(f"{PROG}: warning: {each.kind.value} {each.id}: {each.reason}")
    stale = any(row.status.stale or row.status.failed_proof for row in rows)
    return _STALE if stale or _has_dead_letters() else 0


def _leftovers(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.console.formats import print_rows
    from rax_scheduled_images_ext.engine.find import Finder
    from rax_scheduled_images_ext.engine.leftovers import find_leftovers
    from rax_scheduled_images_ext.service.tables import LEFTOVERS

    found: list[LeftBehind] = []

    def read(projects: Projects) -> None:
        page = Finder(projects, _policy(args)).survey()
        found.extend(find_leftovers(projects, page))

    _read_regions(args, read)
    if found or args.format != "table":
        print_rows(LEFTOVERS, found, args.format)
    return 0


def _read_regions(args: argparse.Namespace, read: Callable[[Projects], None]) -> None:
    """Log in to the named regions, or to all configured ones, and read.

    :raises ScheduledImagesError: for any error of a cloud; names the region if several.
    """
    from keystoneauth1.exceptions import ClientException

    from rax_scheduled_images_ext.client.configuration import regions

    names = regions(PROG, args.region or ())
    for name in names:
        try:
            read(_projects(args, name or None))
        except (ScheduledImagesError, ClientException, OSError) as error:
            where = f"region {name}: " if len(names) > 1 else ""
            raise ScheduledImagesError(f"{where}{error}") from error


def _has_dead_letters() -> bool:
    """Whether there are messages that no worker could handle; reports them on stderr.

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
        raise ScheduledImagesError(f"RabbitMQ cannot be reached: {error}") from None
    if number:
        say(
            f"{PROG}: warning: {number} message{'s' * (number > 1)} that no worker"
            f" could handle: see the queue {queues.DEAD}"
        )
    return number > 0


def _api(args: argparse.Namespace) -> int:
    from rax_scheduled_images_ext.service import events
    from rax_scheduled_images_ext.service.api.keystone import TokenRoles
    from rax_scheduled_images_ext.service.api.proxy import Proxy
    from rax_scheduled_images_ext.service.api.rights import CallerRights

    events.configure(args.log_format, logging.INFO)
    roles = TokenRoles(args.auth_url, args.cacert) if args.roles else None
    proxy = Proxy(
        args.compute,
        args.host,
        args.port,
        rights=CallerRights(roles),
        threads=args.requests,
        cacert=args.cacert,
    )
    proxy.run()
    return 0


def _policy(args: argparse.Namespace) -> Policy:
    return Policy(args.window, args.max_delay)


def _limits(args: argparse.Namespace) -> Limits:
    from rax_scheduled_images_ext.engine.limits import Limits

    return Limits(args.limit_region, args.limit_project, args.requests)


def open_runner(args: argparse.Namespace, region: str | None = None) -> Runner:
    """Return a logged-in runner for the options.

    :param region: None for the configured one.
    """
    from rax_scheduled_images_ext.engine.find import Finder
    from rax_scheduled_images_ext.engine.runner import Runner

    limits = _limits(args)
    key = os.environ.get(KEY, "")
    projects, policy = _projects(args, region), _policy(args)
    runner = Runner(projects, policy, limits, key, private=args.record_metadata)
    refresh = getattr(args, "refresh", None)
    if refresh is not None:
        newest = args.metrics_port is not None
        runner.finder = Finder(projects, policy, refresh, newest=newest)
    if args.policies is not None:
        from rax_scheduled_images_ext.engine.policies import PolicyWork
        from rax_scheduled_images_ext.operations.policy_file import PolicyFile

        runner.policies = PolicyWork(PolicyFile(args.policies).read)
    return runner


def _projects(args: argparse.Namespace, region: str | None = None) -> Projects:
    from rax_scheduled_images_ext.client.configuration import configuration
    from rax_scheduled_images_ext.engine.projects import OneProject
    from rax_scheduled_images_ext.service.clouds import AllProjects, connect

    config = configuration(PROG, region)
    cloud = connect(config, args.requests)
    return AllProjects(config, cloud) if args.all_projects else OneProject(cloud)


def _service(args: argparse.Namespace) -> Service:
    from rax_scheduled_images_ext.client.configuration import configuration, regions
    from rax_scheduled_images_ext.service import events
    from rax_scheduled_images_ext.service.health import Health
    from rax_scheduled_images_ext.service.loop import RegionWork, Service
    from rax_scheduled_images_ext.service.notify import notifier
    from rax_scheduled_images_ext.service.reported import Reported, default_path

    events.configure(args.log_format, _level(args))
    # Reported at once: missing configuration does not fix itself.
    names = regions(PROG, args.region or ())
    found: list[RegionWork] = []
    for name in names:
        config = configuration(PROG, name or None)
        state = default_path(config, all_projects=args.all_projects)
        if args.state is not None:
            # Each region has a file of its own.
            state = args.state.with_name(args.state.name + (f".{name}" * bool(found)))
        log = events.EventLog(Reported.load(state), name if len(names) > 1 else None)
        name = name or str(config.region_name or "")
        found.append(RegionWork(name, partial(open_runner, args, name or None), log))
    for region in found:
        region.gone = gone_work(args, region.name)
    service = Service(found, notifier(args))
    service.health = Health(getattr(args, "every", Health.EVERY))
    if getattr(args, "metrics_port", None) is not None:
        from rax_scheduled_images_ext.programs.http_server import Server
        from rax_scheduled_images_ext.service import metrics

        in_regions = [each.name for each in found]
        service.metrics = metrics.Metrics(args.metrics_servers, in_regions)
        service.server = Server(args.metrics_host, args.metrics_port, metrics.THREADS)
        service.server.start(
            metrics.metrics_app(service.metrics.registry, service.health)
        )
    if getattr(args, "verify_every", None) is not None:
        for region in found:
            region.proofs = _proof_work(args, region.name, service)
    return service


def worker_regions(args: argparse.Namespace) -> list[str]:
    """Return the names of the regions of workers and beat.

    :raises ScheduledImagesError: if no cloud is configured, or something lacks there.
    """
    from rax_scheduled_images_ext.client.configuration import configuration, regions

    names = regions(PROG, args.region or ())
    found = [configuration(PROG, name or None).region_name for name in names]
    for name in found:
        gone_work(args, name)
    return list(map(str, found))


def gone_work(args: argparse.Namespace, region: str | None) -> GoneWork | None:
    """Return the work on servers that are gone, None if nobody has asked for it.

    :raises ScheduledImagesError: if the region has no name: images name theirs.
    """
    from rax_scheduled_images_ext.service.gone import GoneWork

    if args.after_delete is None:
        return None
    if not region:
        raise ScheduledImagesError(
            "--after-delete requires a region: set OS_REGION_NAME, or use --region"
        )
    return GoneWork(args.after_delete)


def _proof_work(args: argparse.Namespace, region: str, service: Service) -> ProofWork:
    from rax_scheduled_images_ext.service.proofs import ProofLog, ProofWork

    numbers = service.metrics.numbers if service.metrics else None
    several = len(service.regions) > 1
    events = ProofLog(region, service.notifier, numbers, several=several)
    if numbers is not None:
        numbers.begin_proofs(region, args.verify_every)

    def open_proofs() -> Proofs:
        return make_proofs(args, _projects(args, region or None))

    return ProofWork(args.window, open_proofs, events, service.metrics)


def make_proofs(args: argparse.Namespace, projects: Projects) -> Proofs:
    """Return the proofs of the options ``--verify-...`` in some projects."""
    from rax_scheduled_images_ext.engine.proofs import Proofs
    from rax_scheduled_images_ext.model.verify import LEVELS
    from rax_scheduled_images_ext.operations.verify import VerifyOptions

    options = VerifyOptions(
        LEVELS[args.verify_level],
        flavor=args.verify_flavor,
        at_once=args.verify_at_once,
    )
    return Proofs(projects, args.verify_every, options)


def _verify(args: argparse.Namespace) -> int:
    """Prove what is named, or those whose turn it is."""
    from rax_scheduled_images_ext.console.formats import print_rows
    from rax_scheduled_images_ext.console.report import Console
    from rax_scheduled_images_ext.console.verify import VERIFIED, VerifyReport
    from rax_scheduled_images_ext.engine.find import Finder
    from rax_scheduled_images_ext.engine.proofs import Proofs
    from rax_scheduled_images_ext.operations.snapshot.signals import SignalCatcher
    from rax_scheduled_images_ext.operations.verify import verify_named

    try:
        proving = verify_options(args)
    except InvalidValue as error:
        say(f"{PROG} verify: error: {error}")
        return 2

    def error_line(error: BaseException, about: str = "") -> str:
        return f"{PROG}: error: {about}{': ' * bool(about)}{error}"

    console = Console(error_line, lambda image, error: f"{image}: {error}")
    asks = can_ask() and not args.yes
    report = VerifyReport(console, len(args.named) or 2, proving, asks=asks)

    def prove(projects: Projects) -> None:
        if args.named:
            verify_named(projects.listing, args.named, proving, report)
            return
        proofs = Proofs(projects, args.every, proving)
        finder = Finder(projects, _policy(args))
        now = finder.survey().now
        with SignalCatcher() as signals:
            proofs.prove(proofs.find(finder.servers, now), report, signals)

    with report.failing():
        _read_regions(args, prove)
    if report.done or args.format != "table":
        print_rows(VERIFIED, report.done, args.format)
    return report.status


def _simulate(args: argparse.Namespace) -> int:
    """Simulate a schedule here, since ``nova`` runs nothing without a cloud."""
    from rax_scheduled_images_ext.console.simulation import simulate

    try:
        simulate(args)
    except InvalidValue as error:
        say(f"{PROG} simulate: error: {error}")
        return 2
    return 0


def _level(args: argparse.Namespace) -> int:
    quiet = logging.WARNING if args.quiet else logging.INFO
    return logging.DEBUG if args.verbose else quiet


# The command line


def make_parser() -> Parser:
    """Return the parser of the program."""
    parser = new_parser(PROG, _DESCRIPTION, _STATUSES)
    command = partial(
        add_command, parser.add_subparsers(metavar="COMMAND", required=True)
    )
    reading, limiting = options.reading(), options.limiting()
    working = options.working(limiting)
    printing, lasting = options.printing(), options.lasting()
    reporting, proving = options.reporting(), options.proving()
    removing = options.removing()
    covering = options.covering()
    running = command(
        "run",
        _run,
        "work until SIGTERM",
        reading,
        working,
        covering,
        reporting,
        lasting,
        proving,
        removing,
    )
    running.add_argument(
        "--refresh",
        type=checked(span),
        default=options.REFRESH,
        metavar="DURATION",
        help="how often to read all servers again, and so notice changed schedules"
        " (default: 30m)",
    )
    for name, summary in (
        ("worker", "do the work that RabbitMQ distributes, as celery worker does"),
        ("beat", "request a scan at intervals, as celery beat does"),
    ):
        celery = command(
            name,
            _celery,
            summary,
            reading,
            working,
            covering,
            lasting,
            proving,
            removing,
        )
        celery.set_defaults(celery=name)
        celery.add_argument(
            "celery_options",
            nargs="*",
            metavar="CELERY_OPTION",
            help=f"after --: options of celery {name}",
        )
    command(
        "tick",
        _tick,
        "do what is due once, for cron and timers",
        reading,
        working,
        covering,
        reporting,
        removing,
    )
    plan = command(
        "plan",
        _plan,
        "print what a tick would do now, and why",
        reading,
        limiting,
        covering,
        printing,
    )
    plan.add_argument(
        "--at",
        type=checked(moment),
        metavar="TIME",
        help="what a tick would do at this time, such as 2026-01-01T00:00:00Z",
    )
    plan.add_argument(
        "--all", action="store_true", help="also print servers with nothing to do"
    )
    status = command(
        "status",
        _status,
        "print all schedules; exit status 3 if an image is late or a schedule is"
        " invalid",
        reading,
        printing,
    )
    status.add_argument(
        "--max-age",
        type=checked(max_age),
        default=MAX_AGE,
        metavar="DURATION",
        help="maximum age of the newest image of a daily schedule (default: 26h)",
    )
    PRICE_OF_ALL.add_to(status)
    command(
        "leftovers",
        _leftovers,
        "print what was left behind: claims, images without data, volume snapshots and"
        " volumes that belong to nothing, and what deleting each does",
        reading,
        printing,
    )
    proof = command(
        "verify",
        _verify,
        "prove that images boot: make a test server of each, look, and delete it; exit"
        " status 3 if a proof failed",
        reading,
        printing,
    )
    for each in (*PROOF, NETWORK, YES):
        each.add_to(proof)
    proof.add_argument(
        "--every",
        type=checked(options.day_or_more),
        default="90d",
        metavar="DURATION",
        help="without named ones, prove servers whose turn it is if each has one this"
        " often (default: 90d)",
    )
    proof.add_argument(
        "named",
        nargs="*",
        metavar="SERVER-OR-IMAGE",
        type=checked(name_or_id),
        help="name or ID of servers, whose newest complete image is proven, or of"
        " images",
    )
    paper = command(
        "simulate",
        _simulate,
        "simulate a schedule: print which images are left after a year, and why",
    )
    for option in (EVERY, weekly("--day-of-week"), *SIMULATED):
        option.add_to(paper)
    policies = command("policies", _check_policies, "check a file of policies")
    checking = add_command(
        policies.add_subparsers(metavar="COMMAND", required=True),
        "check",
        _check_policies,
        "print the policies of a file, or the mistakes in it, with their lines",
        printing,
    )
    checking.add_argument(
        "file", type=Path, metavar="FILE", help="such as policies.yaml"
    )
    options.add_api(command("api", _api, _API_SUMMARY))
    return parser
