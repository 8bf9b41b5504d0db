"""Runs the user's commands that stop and resume what runs on a server."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from rax_scheduled_images_ext.errors import CommandFailed, InvalidValue
from rax_scheduled_images_ext.operations.snapshot.signals import (
    Interrupted,
    SignalCatcher,
)

# Seconds between two checks of a running command, and seconds that it has to end.
_LOOK = 0.05
_GRACE = 10.0
# Errors of starting a process that may pass; nothing has been done yet.
_STARTS = 5


@dataclass(frozen=True)
class HookCommand:
    """A command line without a shell: words, of which the first is the program."""

    text: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> HookCommand:
        """Split a command line as a shell would, and find its program.

        :raises InvalidValue: if it cannot be split, or names no program.
        """
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise InvalidValue(f"'{text}' is not a command: {error}") from None
        if not words:
            raise InvalidValue(f"'{text}' is not a command: it names no program")
        if shutil.which(words[0]) is None:
            raise InvalidValue(
                f"'{text}' is not a command: there is no program '{words[0]}' (it is"
                " run without a shell; for shell syntax write sh -c '...')"
            )
        return cls(text, tuple(words))

    def run(
        self,
        *,
        variables: Mapping[str, str],
        seconds: float,
        signals: SignalCatcher,
        write: Callable[[bytes], None],
        interruptible: bool = True,
        feed: bytes = b"",
    ) -> None:
        """Run it to its end, and pass its output to ``write``.

        It runs in a session of its own, so that no key of the terminal reaches it.

        :param variables: what is added to its environment.
        :param seconds: the time limit, after which it is ended.
        :param interruptible: whether a signal ends it; otherwise none does.
        :param feed: its standard input.
        :raises CommandFailed: if it cannot be started, fails, or takes too long.
        :raises Interrupted: if a signal arrived; the command has been ended.
        """
        with _Output(write) as output, _input(feed) as given:
            process = self._start(variables, given, output.file, signals)
            try:
                _wait(process, seconds, signals, interruptible, output.copy)
            except (Interrupted, TimeoutError) as error:
                _end(process, signals)
                if isinstance(error, Interrupted):
                    raise
                text = f"'{self.text}' was ended: it took longer than {seconds:g} s"
                raise CommandFailed(text) from None
        if process.returncode:
            code = process.returncode
            text = f"'{self.text}' {_failure(code)}"
            raise CommandFailed(text, code if code > 0 else None)

    def _start(
        self,
        variables: Mapping[str, str],
        given: IO[bytes],
        output: IO[bytes],
        signals: SignalCatcher,
    ) -> subprocess.Popen[bytes]:
        for starts_left in reversed(range(_STARTS)):
            try:
                return subprocess.Popen(
                    self.words,
                    stdin=given,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **variables},
                    start_new_session=True,
                )
            except OSError as error:
                # Waiting helps if there are too many processes, and only then.
                if not starts_left or not isinstance(error, BlockingIOError):
                    text = f"'{self.text}' cannot be started: {error.strerror}"
                    raise CommandFailed(text) from None
                signals.sleep(1, interruptible=False)
        raise AssertionError("the last start returns or raises")


def _input(feed: bytes) -> IO[bytes]:
    """Return a file with the standard input of a command."""
    if not feed:
        return open(os.devnull, "rb", buffering=0)
    given = tempfile.TemporaryFile()  # noqa: SIM115
    given.write(feed)
    given.seek(0)
    return given


class _Output:
    """A file for the output of a command, which is passed on as it appears.

    Not a pipe: one that nobody reads would block the command, and a closed one would
    end it, or later what it left running.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._copied = 0
        try:
            self.file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        except OSError:
            self.file = open(os.devnull, "r+b", buffering=0)  # noqa: SIM115

    def __enter__(self) -> _Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.copy()
        self.file.close()

    def copy(self) -> None:
        """Pass on what has been written since the last call."""
        # Read at our own offset: the command writes at the file's position.
        with suppress(OSError):
            while text := os.pread(self.file.fileno(), 65536, self._copied):
                self._copied += len(text)
                self._write(text)


def _wait(
    process: subprocess.Popen[bytes],
    seconds: float,
    signals: SignalCatcher,
    interruptible: bool,
    meanwhile: Callable[[], None],
) -> None:
    """Wait until a process has ended.

    :raises TimeoutError: if it takes longer.
    """
    end = time.monotonic() + seconds
    while process.poll() is None:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        signals.sleep(min(_LOOK, left), interruptible=interruptible)
        meanwhile()


def _end(process: subprocess.Popen[bytes], signals: SignalCatcher) -> None:
    """End a process and those it has started, by SIGTERM and then by SIGKILL."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        # It may have just ended, or belong to another user by now (sudo).
        with suppress(OSError):
            os.killpg(process.pid, signum)
        with suppress(TimeoutError):
            _wait(process, _GRACE, signals, False, lambda: None)
            return


def _failure(returncode: int) -> str:
    """Return how a failed process ended."""
    if returncode > 0:
        return f"ended with status {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"
