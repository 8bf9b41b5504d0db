"""Taking a snapshot of a server, and what is printed meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import with_server
from rax_scheduled_images_ext.client.snapshots import Snapshots
from rax_scheduled_images_ext.console.formats import Column
from rax_scheduled_images_ext.console.report import ErrorLine
from rax_scheduled_images_ext.console.terminal import BackgroundWriter, clock_time
from rax_scheduled_images_ext.errors import ResumeFailed
from rax_scheduled_images_ext.model.image import ServerImage
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
from rax_scheduled_images_ext.text import one_line, printable

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
            self._writer.write(f"{_CLEAR}{clock_time()}   {printable(text)}".encode())
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


@dataclass
class Taken:
    """What came of a snapshot: ``status`` is the exit status.

    ``snapshot`` is None if none was possible, ``image`` as it was when it was ACTIVE,
    None if that was not awaited.
    """

    status: int = 0
    snapshot: Snapshot | None = None
    image: ServerImage | None = None


def quiesced(snapshot: Snapshot) -> float | None:
    """Return for how many seconds the server was quiesced."""
    return None if snapshot.held is None else round(snapshot.held, 3)


TAKEN: tuple[Column[Snapshot], ...] = (
    Column("id", "ID", lambda snapshot: snapshot.image_id),
    Column("name", "Name", lambda snapshot: snapshot.name),
    Column("server", "Server", lambda snapshot: snapshot.server_name),
    Column("server_id", "Server ID", lambda snapshot: snapshot.server_id),
    Column("quiesced_seconds", "Quiesced seconds", quiesced),
)


@contextmanager
def console_listener() -> Iterator[ConsoleListener]:
    """Open the console for a snapshot; at the end all has been written."""
    errors = BackgroundWriter(sys.stderr)
    console = ConsoleListener(errors)
    try:
        yield console
    finally:
        console.clear()
        errors.close()


def print_snapshot(cloud: Cloud, args: Any, error_line: ErrorLine) -> int:
    """Take a snapshot, and print the ID of its image as soon as the server runs.

    The parameters are those of :func:`take_snapshot`.

    :returns: the exit status.
    """
    out = BackgroundWriter(sys.stdout)
    with console_listener() as console:

        def show(snapshot: Snapshot) -> None:
            console.flush()
            out.say(str(snapshot.image_id))

        status = take_snapshot(cloud, args, error_line, console, show).status
        out.close()
        # Whoever closes the pipe does not want the image's ID.
        if out.problem is None or isinstance(out.problem, BrokenPipeError):
            return status
        console.clear()
        console.say(f"ERROR (OSError): Cannot write to stdout: {out.problem}")
        return status or 1


def take_snapshot(
    cloud: Cloud,
    args: Any,
    error_line: ErrorLine,
    console: ConsoleListener,
    show: Callable[[Snapshot], object] | None = None,
) -> Taken:
    """Take a snapshot of a server, and report on the console how that goes.

    :param args: what :data:`.cli.arguments.CREATE` declares, ``metadata``,
        ``time_limit``, ``server`` and ``name``.
    :param error_line: returns the line about an error.
    :param show: is called when the server runs again, if there is an image.
    """
    taken = Taken()
    try:
        _take(cloud, args, console, taken, show)
    except (Exception, Interrupted) as error:
        for each in _errors_of(error):
            console.say(one_line(error_line(each)))
        taken.status = getattr(error, "exit_status", 1)
    return taken


def _take(
    cloud: Cloud,
    args: Any,
    console: ConsoleListener,
    taken: Taken,
    show: Callable[[Snapshot], object] | None,
) -> None:
    snapshots = Snapshots(cloud.compute)
    server = with_server(cloud.compute, args.server, snapshots.server)
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
        taken.snapshot = snapshot
        before = _hook(args.before, "--before", args, signals, console)
        after = _hook(args.after, "--after", args, signals, console)
        try:
            with snapshot.taken(before, after):
                pass
        finally:
            if snapshot.held is not None:
                held = f"{snapshot.held:.1f} s"
                console.note(f"Server {snapshot.server_name} was quiesced for {held}")
            if snapshot.image_id and show is not None:
                show(snapshot)
    signals.check()
    if args.wait:
        taken.image = snapshot.wait()
        console.note(f"Image {taken.image.id} is {taken.image.status}")


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
