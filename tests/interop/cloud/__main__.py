"""python -m tests.interop.cloud up|down|reset|status|env|run"""

from __future__ import annotations

import argparse
import fcntl
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .layout import DEFAULT_STATE, USERS, CloudError, Layout
from .services import Services, say


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m tests.interop.cloud",
        description="A real Nova, and the services that it needs, on loopback.",
    )
    top.add_argument(
        "--state",
        type=lambda text: Path(text).resolve(),
        default=DEFAULT_STATE,
        help="the folder that holds everything (default: %(default)s)",
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser(
        "up", help="install and start what is not there yet; prints the user's env"
    )
    verbs.add_parser("down", help="stop everything that up started")
    verbs.add_parser("reset", help="down, and forget all users, servers and images")
    verbs.add_parser(
        "status", help="what runs; exit status 0 if all of it does, else 1"
    )
    run = verbs.add_parser(
        "run", help="up, run a command, and down again unless all of it was up before"
    )
    run.add_argument("command", nargs="+", metavar="COMMAND")
    for verb in (up, run):
        verb.add_argument(
            "--hypervisor",
            action="store_true",
            help="a real hypervisor in place of the fake one; installs libvirt",
        )
    env = verbs.add_parser("env", help="print the OS_* variables of a user, for eval")
    env.add_argument("user", nargs="?", choices=USERS, default="demo")
    return top


def main() -> int:
    arguments = parser().parse_args()
    layout = Layout(arguments.state)
    services = Services(layout, hypervisor=getattr(arguments, "hypervisor", False))
    try:
        match arguments.verb:
            case "up":
                up(services)
                print_env(layout, "demo")
            case "down":
                with alone(layout):
                    services.down()
            case "reset":
                with alone(layout):
                    services.reset()
            case "status":
                return status(services)
            case "run":
                return run(services, arguments.command)
            case "env":
                print_env(layout, arguments.user)
    except CloudError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def up(services: Services) -> None:
    began = time.monotonic()
    services.layout.make()
    with alone(services.layout):
        lacks = services.missing()
        if lacks:
            raise CloudError("\n".join(["the cloud cannot run here:", *lacks]))
        services.up()
    say(f"up after {time.monotonic() - began:.0f} seconds")


def run(services: Services, command: list[str]) -> int:
    """Run a command while the cloud is up; its exit status."""
    found_up = all(services.running().values())
    try:
        up(services)
        return subprocess.run(command).returncode
    finally:
        if not found_up:
            with alone(services.layout):
                services.down()


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Keep a second command from working on the same folder at the same time."""
    layout.state.mkdir(parents=True, exist_ok=True)
    with (layout.state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CloudError(f"another command is at work in {layout.state}") from None
        yield


def status(services: Services) -> int:
    running = services.running()
    for name, pid in running.items():
        print(f"{name:15} {f'pid {pid}' if pid else 'not running'}")
    return 0 if all(running.values()) else 1


def print_env(layout: Layout, user: str) -> None:
    if not (layout.var / "password").exists():
        raise CloudError("there is no cloud yet; start it with 'up'")
    for name, value in layout.environ(user).items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    sys.exit(main())
