"""Prints the progress of a snapshot that is being taken."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rax_scheduled_images_ext.console.formats import Column
from rax_scheduled_images_ext.console.report import Console, Waits
from rax_scheduled_images_ext.console.terminal import BackgroundWriter, clock_time
from rax_scheduled_images_ext.errors import ResumeFailed
from rax_scheduled_images_ext.operations.snapshot.create import Snapshot
from rax_scheduled_images_ext.operations.snapshot.signals import Interrupted
from rax_scheduled_images_ext.operations.snapshot.take import SnapshotListener
from rax_scheduled_images_ext.text import one_line, printable

_CLEAR = "\r\x1b[K"


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


class SnapshotReport(SnapshotListener):
    """Prints events on stderr; on a terminal, also the present state on a line of its
    own.

    ``status`` is the exit status, ``snapshot`` the one that was taken, if any;
    ``waits`` is for :class:`.Cloud`.
    """

    def __init__(self, console: Console) -> None:
        self.status = 0
        self.snapshot: Snapshot | None = None
        self.waits = Waits(self.note)
        self._console = console
        self._writer = BackgroundWriter(sys.stderr)
        self._shown = False

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Report errors of the block; at its end everything has been written."""
        try:
            try:
                yield
            except (Exception, Interrupted) as error:
                self.status = getattr(error, "exit_status", 1)
                for each in _errors_of(error):
                    self.say(one_line(self._console.error_line(each)))
            self.finish()
        finally:
            self._clear()
            self._writer.close()

    def finish(self) -> None:
        """Report what is left to say at the end."""

    def note(self, text: str) -> None:
        self.say(f"{clock_time()}   {text}")

    def progress(self, text: str) -> None:
        if self._writer.terminal:
            self._writer.write(f"{_CLEAR}{clock_time()}   {printable(text)}".encode())
            self._shown = True

    def output(self, text: bytes) -> None:
        self._clear()
        self._writer.write(text)

    def resumed(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._writer.flush()

    def say(self, line: str) -> None:
        """Write a line that stays."""
        self._clear()
        self._writer.say(line)

    def _clear(self) -> None:
        """Erase the line of the present state."""
        if self._shown:
            self._writer.write(_CLEAR.encode())
        self._shown = False


class IdReport(SnapshotReport):
    """Also prints the ID of the image on stdout, as soon as the server runs again."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._out = BackgroundWriter(sys.stdout)

    def resumed(self, snapshot: Snapshot) -> None:
        super().resumed(snapshot)
        self._out.say(str(snapshot.image_id))

    def finish(self) -> None:
        late = None if self._out.close() else TimeoutError("nobody reads it")
        problem = self._out.problem or late
        # A closed pipe means that nobody wants the image's ID.
        if problem is not None and not isinstance(problem, BrokenPipeError):
            self.say(f"ERROR (OSError): Cannot write to stdout: {problem}")
            self.status = self.status or 1


def _errors_of(error: Exception | Interrupted) -> list[Exception | Interrupted]:
    """Return the error, preceded by the one that a failed resume would hide."""
    original = error.original if isinstance(error, ResumeFailed) else None
    if isinstance(original, (Exception, Interrupted)):
        return [original, error]
    return [error]
