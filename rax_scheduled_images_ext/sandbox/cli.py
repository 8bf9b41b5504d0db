"""``scheduled-images-sandbox``: the command line of the sandbox."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rax_scheduled_images_ext.console.terminal import put, say
from rax_scheduled_images_ext.errors import CannotListen
from rax_scheduled_images_ext.model.durations import parse_duration
from rax_scheduled_images_ext.programs.arguments import Parser, checked
from rax_scheduled_images_ext.programs.completion import complete
from rax_scheduled_images_ext.programs.extras import advice
from rax_scheduled_images_ext.programs.options import (
    LOOPBACK,
    STATUSES,
    add_command,
    add_host,
    add_port,
    new_parser,
)
from rax_scheduled_images_ext.sandbox.backend.models import Unusable
from rax_scheduled_images_ext.sandbox.demo import SETTINGS, Demo, DemoFailed
from rax_scheduled_images_ext.sandbox.environment import shell_exports
from rax_scheduled_images_ext.sandbox.faults.grammar import GRAMMAR
from rax_scheduled_images_ext.sandbox.options import (
    DEFAULT_PORT,
    cloud_options,
    fault,
    running_options,
)

if TYPE_CHECKING:
    from rax_scheduled_images_ext.sandbox import Sandbox

PROG = "scheduled-images-sandbox"

_DESCRIPTION = "A cloud on this machine, to try things out and to test with."
_STATUSES = """\
  exec ends with the status of its command: 128 + N if signal N ended it, 127 if there
  is no such command, 126 if it cannot be started"""

_LISTED = """\
Without arguments the faults are listed, each after how often it has happened."""

# Seconds to connect to a sandbox, and for it to advance.
_TIMEOUT = (5, 600)


class _Failed(Exception):
    """A command failed; the text is the one line to print."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :returns: the exit status, as ``--help`` lists them.
    :raises SystemExit: with status 2 for bad usage, and if stdout cannot be written.
    """
    options, command = _split(sys.argv[1:] if argv is None else argv)
    parser = make_parser()
    complete(parser)
    args, rest = parser.parse_known_args(options)
    if rest and (args.func is not _exec or command or rest[0].startswith("-")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if args.func is _exec and not command:
        typed = " ".join(rest) or "CMD [ARG...]"
        parser.error(f"exec requires '--' before its command: exec -- {typed}")
    if args.func is not _exec and command is not None:
        parser.error("only exec accepts a command after '--'")
    if getattr(args, "hypervisor", "xen") == "libvirt" and args.extension:
        # Whoever has that extension documents other task states.
        parser.error("--hypervisor libvirt requires --without-extension")
    args.command = command
    try:
        status: int = args.func(args)
    except (_Failed, DemoFailed) as error:
        say(f"{PROG}: error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _split(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Separate our own arguments from the command after ``--``."""
    if "--" not in argv:
        return list(argv), None
    cut = list(argv).index("--")
    return list(argv[:cut]), list(argv[cut + 1 :])


# The commands


def _run(args: argparse.Namespace) -> int:
    ending = {signal.SIGINT, signal.SIGTERM}
    # Before the threads start: no other thread is to handle the signals.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        with _sandbox(args, args.host, args.port) as sandbox:
            _print_exports(sandbox.env())
            signal.sigwait(ending)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return 0


def _exec(args: argparse.Namespace) -> int:
    with _sandbox(args, LOOPBACK, 0) as sandbox:
        return _execute(args.command, sandbox.environ())


def _execute(command: Sequence[str], environment: Mapping[str, str]) -> int:
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if process is None:
            early.append(number)
        else:
            process.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        process = subprocess.Popen(command, env=environment)
        for number in early:
            process.send_signal(number)
        return _wait(process)
    except OSError as error:
        say(f"{PROG}: cannot start '{command[0]}': {error.strerror}")
        return 127 if isinstance(error, FileNotFoundError) else 126
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Return the exit status of the command, as a shell has it."""
    while True:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            continue  # The command has received it too, and decides what it means.
        return status if status >= 0 else 128 - status


def _env(args: argparse.Namespace) -> int:
    asked = {"user": args.user, "region": args.region}
    variables = _ask(args.url, "GET", "env", params=asked)
    try:
        _print_exports(variables)
    except ValueError:
        raise _Failed(f"what answers at {_root(args.url)} is not a sandbox") from None
    return 0


def _advance(args: argparse.Namespace) -> int:
    put(_ask(args.url, "POST", "advance", json={"seconds": args.duration})["now"])
    return 0


def _state(args: argparse.Namespace) -> int:
    put(json.dumps(_ask(args.url, "GET", "state"), indent=2), as_json=True)
    return 0


def _fault(args: argparse.Namespace) -> int:
    if args.clear:
        _ask(args.url, "DELETE", "faults")
    elif args.faults:
        _ask(args.url, "POST", "faults", json={"faults": args.faults})
    else:
        for each in _ask(args.url, "GET", "faults")["faults"]:
            put(f"{each['happened']}  {each['fault']}")
    return 0


def _demo(_args: argparse.Namespace) -> int:
    with _start(**SETTINGS) as sandbox:
        Demo(sandbox, put).run()
    return 0


def _sandbox(args: argparse.Namespace, host: str, port: int) -> Sandbox:
    """Start the cloud that the options describe."""
    return _start(
        like=args.like,
        regions=args.regions,
        servers=args.servers,
        images_per_server=args.images_per_server,
        state=args.state,
        start=args.start and args.start.timestamp(),
        speed=args.speed,
        seed=args.seed,
        latency=args.latency,
        max_limit=args.max_limit,
        image_quota=args.image_quota,
        shared_images=args.shared_images,
        faults=args.faults,
        extension=args.extension,
        hypervisor=args.hypervisor,
        host=host,
        port=port,
        verbose=args.verbose,
    )


def _start(**settings: Any) -> Sandbox:
    try:
        from rax_scheduled_images_ext.sandbox.fixture import Sandbox
    except ModuleNotFoundError as error:
        raise _Failed(advice(error, "sandbox")) from error
    try:
        return Sandbox(**settings)
    except (Unusable, CannotListen) as error:
        raise _Failed(str(error)) from error


def _print_exports(variables: Mapping[str, str]) -> None:
    put("\n".join(shell_exports(variables)))


def _ask(url: str | None, method: str, path: str, **arguments: Any) -> Any:
    """Send one request to a running sandbox and return the JSON of its response."""
    # Late, as most commands send none.
    import requests

    root = _root(url)
    with requests.Session() as session:
        session.trust_env = False  # A proxy cannot reach this machine's loopback.
        try:
            answer = session.request(
                method, f"{root}/sandbox/{path}", timeout=_TIMEOUT, **arguments
            )
            body = answer.json()
        except requests.JSONDecodeError as error:
            raise _Failed(f"what answers at {root} is not a sandbox") from error
        except requests.ReadTimeout as error:
            raise _Failed(
                f"the sandbox at {root} has not answered for {_TIMEOUT[1]} seconds, and"
                " may still be busy with it"
            ) from error
        except requests.RequestException as error:
            raise _Failed(
                f"no sandbox answers at {root}: start one with run, or give its --url"
            ) from error
    if not isinstance(body, dict) or not (answer.ok or "error" in body):
        raise _Failed(f"what answers at {root} is not a sandbox")
    if not answer.ok:
        raise _Failed(str(body["error"]))
    return body


def _root(url: str | None) -> str:
    """Return the address of the running sandbox: ``--url``, or ``$SANDBOX_URL``."""
    found = url or os.environ.get("SANDBOX_URL")
    parts = urlsplit(found or f"http://127.0.0.1:{DEFAULT_PORT}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise _Failed(
            f"'{found}' is not a sandbox's address, such as http://127.0.0.1:8740"
        )
    return f"{parts.scheme}://{parts.netloc}"


# The command line


def make_parser() -> Parser:
    statuses = {**STATUSES, "130": "interrupted"}
    parser = new_parser(PROG, _DESCRIPTION, statuses, _STATUSES)
    command = partial(
        add_command, parser.add_subparsers(metavar="COMMAND", required=True)
    )
    cloud, running = cloud_options(), running_options()
    run = command("run", _run, "start a cloud and keep it until interrupted", cloud)
    add_host(run)
    add_port(run, DEFAULT_PORT)
    command(
        "exec",
        _exec,
        "run a command against a new cloud, and end with its exit status",
        cloud,
        usage=f"{PROG} exec [options] -- CMD [ARG...]",
    )
    env = command("env", _env, "print the export lines of a running cloud", running)
    env.add_argument("--user", default="admin", help="the user (default: %(default)s)")
    env.add_argument(
        "--region", metavar="NAME", help="the region (default: the cloud's first one)"
    )
    advance = command("advance", _advance, "let time pass in a running cloud", running)
    advance.add_argument(
        "duration", type=checked(parse_duration), metavar="DURATION", help="such as 10d"
    )
    faults = command(
        "fault",
        _fault,
        "make requests to a running cloud, or its snapshots, fail",
        running,
    )
    faults.epilog = f"{_LISTED}\n\n{GRAMMAR}"
    faults.formatter_class = argparse.RawDescriptionHelpFormatter
    which = faults.add_mutually_exclusive_group()
    which.add_argument("--clear", action="store_true", help="remove all faults")
    which.add_argument(
        "faults",
        type=checked(fault),
        nargs="*",
        default=[],
        metavar="SPEC",
        help="a fault to add",
    )
    command("state", _state, "print the contents of a running cloud as JSON", running)
    command("demo", _demo, "run a tour of real nova commands, and check their output")
    return parser
