"""What ``nova snapshot-create`` does and prints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rax_scheduled_images_ext.cli.nova.cloud import cloud_of
from rax_scheduled_images_ext.cli.nova.commands import error_line, on_server
from rax_scheduled_images_ext.cli.nova.snapshot_watch import clock_time
from rax_scheduled_images_ext.client.errors import ResumeFailed
from rax_scheduled_images_ext.client.images.factory import image_store
from rax_scheduled_images_ext.client.snapshots import Snapshots
from rax_scheduled_images_ext.operations.snapshot.create import Snapshot
from rax_scheduled_images_ext.operations.snapshot.hooks import Command
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)
from rax_scheduled_images_ext.operations.snapshot.signals import (
    Interrupted,
    SignalCatcher,
)
from rax_scheduled_images_ext.output.console import BackgroundWriter

_CLEAR = "\r\x1b[K"


class Teller(Listener):
    """Tells on stderr what happens; on a terminal, in one line that changes."""

    def __init__(self, narrator: BackgroundWriter) -> None:
        self._narrator = narrator
        self._shown = False

    def note(self, text: str) -> None:
        self.say(f"{clock_time()}   {text}")

    def say(self, line: str) -> None:
        """Write a line that stays."""
        self.clear()
        self._narrator.say(line)

    def progress(self, text: str) -> None:
        if self._narrator.terminal:
            self._narrator.write(f"{_CLEAR}{clock_time()}   {text}".encode())
            self._shown = True

    def clear(self) -> None:
        """Take away the line that changes."""
        if self._shown:
            self._narrator.write(_CLEAR.encode())
        self._shown = False

    def flush(self) -> None:
        """Wait, for a while, until all of it is written."""
        self._narrator.flush()

    def output(self, text: bytes) -> None:
        """Write what a command has printed."""
        self.clear()
        self._narrator.write(text)


def create_snapshot(cs: Any, args: Any) -> None:
    """Create an image of a server, as the command's arguments say."""
    errors, out = BackgroundWriter(sys.stderr), BackgroundWriter(sys.stdout)
    teller = Teller(errors)
    status = 0
    try:
        _create(cs, args, teller, out)
    except (Exception, Interrupted) as error:
        for each in _told(error):
            teller.say(" ".join(error_line(None, each).splitlines()))
        status = getattr(error, "exit_status", 1)
    finally:
        teller.clear()
        out.close()
        # Whoever closes the pipe does not want the image's ID.
        lost = None if isinstance(out.problem, BrokenPipeError) else out.problem
        if lost is not None:
            teller.say(f"ERROR (OSError): Cannot write to stdout: {lost}")
        errors.close()
    if status or lost is not None:
        raise SystemExit(status or 1)


def _create(cs: Any, args: Any, teller: Teller, out: BackgroundWriter) -> None:
    cloud = cloud_of(cs)
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
            image_store(cloud),
            server.id,
            args.name,
            metadata=dict(args.metadata),
            safe_from=args.hold_until,
            poller=Poller(signals, limits, teller),
        )
        snapshot.prepare(server)
        before = _hook(args.before, "--before", args, signals, teller)
        after = _hook(args.after, "--after", args, signals, teller)
        try:
            with snapshot.taken(before, after):
                pass
        finally:
            _tell_end(snapshot, teller, out)
    signals.check()
    if args.wait:
        image = snapshot.wait()
        teller.note(f"Image {image.id} is {image.status}")


def _tell_end(snapshot: Snapshot, teller: Teller, out: BackgroundWriter) -> None:
    """Tell how long the server was held, and print the image that there is."""
    if snapshot.held is not None:
        teller.note(f"Server {snapshot.server_name} was held for {snapshot.held:.1f} s")
    if snapshot.image_id:
        teller.flush()
        out.say(snapshot.image_id)


def _hook(
    command: Command | None,
    option: str,
    args: Any,
    signals: SignalCatcher,
    teller: Teller,
) -> Callable[[Snapshot], None]:
    """Return what runs a command for a snapshot, or does nothing without one."""

    def run(snapshot: Snapshot) -> None:
        if command is None:
            return
        teller.note(f"{option}: {command.text}")
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
            write=teller.output,
            heed=option == "--before",
        )

    return run


def _told(error: Exception | Interrupted) -> list[Exception | Interrupted]:
    """Return the error, and before it the one that a failed resume would hide."""
    original = error.original if isinstance(error, ResumeFailed) else None
    if isinstance(original, (Exception, Interrupted)):
        return [original, error]
    return [error]
