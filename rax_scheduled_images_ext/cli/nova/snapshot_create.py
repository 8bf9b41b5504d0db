"""What ``nova snapshot-create`` does and prints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rax_scheduled_images_ext.cli.nova.cloud import from_novaclient
from rax_scheduled_images_ext.cli.nova.commands import error_line, on_server
from rax_scheduled_images_ext.client.errors import ResumeFailed
from rax_scheduled_images_ext.client.snapshots import Snapshots
from rax_scheduled_images_ext.operations.snapshot.create import Snapshot
from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)
from rax_scheduled_images_ext.operations.snapshot.signals import (
    Interrupted,
    SignalCatcher,
)
from rax_scheduled_images_ext.output.console import BackgroundWriter, clock_time

_CLEAR = "\r\x1b[K"


class ConsoleListener(Listener):
    """Prints what happens on stderr; on a terminal the present state in one line."""

    def __init__(self, writer: BackgroundWriter) -> None:
        self._writer = writer
        self._shown = False

    def note(self, text: str) -> None:
        self.say(f"{clock_time()}   {text}")

    def say(self, line: str) -> None:
        """Write a line that stays."""
        self.clear()
        self._writer.say(line)

    def progress(self, text: str) -> None:
        if self._writer.terminal:
            self._writer.write(f"{_CLEAR}{clock_time()}   {text}".encode())
            self._shown = True

    def clear(self) -> None:
        """Take away the line that changes."""
        if self._shown:
            self._writer.write(_CLEAR.encode())
        self._shown = False

    def flush(self) -> None:
        """Wait, for a while, until all of it is written."""
        self._writer.flush()

    def output(self, text: bytes) -> None:
        """Write what a command has printed."""
        self.clear()
        self._writer.write(text)


def create_snapshot(cs: Any, args: Any) -> None:
    """Create an image of a server, as the command's arguments say."""
    errors, out = BackgroundWriter(sys.stderr), BackgroundWriter(sys.stdout)
    console = ConsoleListener(errors)
    status = 0
    try:
        _create(cs, args, console, out)
    except (Exception, Interrupted) as error:
        for each in _errors_of(error):
            console.say(" ".join(error_line(None, each).splitlines()))
        status = getattr(error, "exit_status", 1)
    finally:
        console.clear()
        out.close()
        # Whoever closes the pipe does not want the image's ID.
        lost = None if isinstance(out.problem, BrokenPipeError) else out.problem
        if lost is not None:
            console.say(f"ERROR (OSError): Cannot write to stdout: {lost}")
        errors.close()
    if status or lost is not None:
        raise SystemExit(status or 1)


def _create(
    cs: Any, args: Any, console: ConsoleListener, out: BackgroundWriter
) -> None:
    cloud = from_novaclient(cs)
    snapshots = Snapshots(cloud.compute)
    server = on_server(cloud, snapshots.server)(args.server)
    limits = Timeouts(
        hold=args.max_hold,
        total=args.time_limit,
        interval=args.interval or Timeouts.interval,
        slow_interval=args.interval or Timeouts.slow_interval,
    )
    with SignalCatcher() as signals:
        snapshot = Snapshot(
            snapshots,
            cloud.images,
            server.id,
            args.name,
            metadata=dict(args.metadata),
            safe_from=args.hold_until,
            poller=Poller(signals, limits, console),
        )
        snapshot.prepare(server)
        before = _hook(args.before, "--before", args, signals, console)
        after = _hook(args.after, "--after", args, signals, console)
        try:
            with snapshot.taken(before, after):
                pass
        finally:
            _print_end(snapshot, console, out)
    signals.check()
    if args.wait:
        image = snapshot.wait()
        console.note(f"Image {image.id} is {image.status}")


def _print_end(
    snapshot: Snapshot, console: ConsoleListener, out: BackgroundWriter
) -> None:
    """Note how long the server was held, and print the image if there is one."""
    if snapshot.held is not None:
        console.note(
            f"Server {snapshot.server_name} was quiesced for {snapshot.held:.1f} s"
        )
    if snapshot.image_id:
        console.flush()
        out.say(snapshot.image_id)


def _hook(
    command: HookCommand | None,
    option: str,
    args: Any,
    signals: SignalCatcher,
    console: ConsoleListener,
) -> Callable[[Snapshot], None]:
    """Return what runs a command for a snapshot, or does nothing without one."""

    def run(snapshot: Snapshot) -> None:
        if command is None:
            return
        console.note(f"{option}: {command.text}")
        variables = {
            "SERVER_ID": snapshot.server_id,
            "SERVER_NAME": snapshot.server_name,
        }
        if snapshot.image_id:
            variables["IMAGE_ID"] = snapshot.image_id
        command.run(
            variables=variables,
            seconds=args.command_timeout,
            signals=signals,
            write=console.output,
            interruptible=option == "--before",
        )

    return run


def _errors_of(error: Exception | Interrupted) -> list[Exception | Interrupted]:
    """Return the error, and before it the one that a failed resume would hide."""
    original = error.original if isinstance(error, ResumeFailed) else None
    if isinstance(original, (Exception, Interrupted)):
        return [original, error]
    return [error]
