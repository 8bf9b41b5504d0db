"""Writes to the terminal, or to the file or pipe that replaces it."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, TextIO

from rax_scheduled_images_ext.text import one_line, printable, printable_json

# Seconds between two attempts to write to a non-blocking stream.
_PAUSE = 0.05
# The exit status that a shell shows for a program ended by a closed pipe.
_BROKEN_PIPE = 141


def clock_time() -> str:
    """Return the time of day, with which lines about a snapshot begin."""
    return time.strftime("%H:%M:%S")


def say(line: str) -> None:
    """Print one line on stderr; failing to write it is no error."""
    Progress.clear()
    # If stderr was closed from the start, print would use stdout.
    if sys.stderr is not None:
        try:
            print(one_line(line), file=sys.stderr, flush=True)
        except (OSError, ValueError):
            discard(sys.stderr)


def agreed(question: str) -> bool:
    """Ask on the terminal; return whether the answer is yes."""
    Progress.clear()
    print(f"{one_line(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def can_ask() -> bool:
    """Whether there is a terminal to ask on."""
    return all(each is not None and each.isatty() for each in (sys.stdin, sys.stderr))


class OutputFailed(SystemExit):
    """Standard output could not be written; ends the command."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@contextmanager
def otherwise(say_done: Callable[[], object] | None) -> Iterator[None]:
    """Report on stderr what was done if the block cannot write to stdout.

    The cause may be an error, or Ctrl-C while nobody reads.
    """
    try:
        yield
    except BaseException as error:
        discard(sys.stdout)
        if say_done is None:
            raise
        say_done()
        if isinstance(error, OutputFailed):
            raise OutputFailed(1) from None
        raise


def put(text: str, *, as_json: bool = False) -> None:
    """Print text on standard output, and flush it.

    A character that is invisible, or that the stream cannot encode, is printed as a
    backslash escape; in JSON, as a JSON escape.

    :raises OutputFailed: if it cannot be written. A line on stderr reports a full disk
        or a missing stdout, but not a closed pipe: its reader wants no more output.
    """
    shown = printable_json(text) if as_json else printable(text, layout="\n\t")
    Progress.clear()
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        print(_encodable(shown, as_json), flush=True)
    except BrokenPipeError:
        discard(sys.stdout)
        raise OutputFailed(_BROKEN_PIPE) from None
    except OSError as error:
        discard(sys.stdout)
        say(f"ERROR (OSError): Cannot write to stdout: {error.strerror}")
        raise OutputFailed(1) from None


def _encodable(text: str, as_json: bool) -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        if as_json:
            # Only strings hold such characters.
            return re.sub(r"[^\x00-\x7f]", lambda c: json.dumps(c[0])[1:-1], text)
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def discard(stream: TextIO | Any) -> None:
    """Discard what is left to write: it would be an error at exit."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def obeys_codes(stream: TextIO | Any) -> bool:
    """Whether a stream is a terminal that obeys escape codes."""
    dumb = os.environ.get("TERM") == "dumb"
    return stream is not None and stream.isatty() and not dumb


class Progress:
    """The progress line on stderr, such as ``137 of 1000``, drawn only on a terminal.

    There is only one, and all other output erases it first.
    """

    _drawn = False

    @classmethod
    def show(cls, ended: int, total: int) -> None:
        """Draw the line, unless there is only one item."""
        if total > 1 and obeys_codes(sys.stderr):
            cls._write(f"\r{ended} of {total}")
            cls._drawn = True

    @classmethod
    def clear(cls) -> None:
        """Erase the line."""
        if cls._drawn:
            cls._write("\r\x1b[K")
        cls._drawn = False

    @staticmethod
    def _write(text: str) -> None:
        # A closed stderr is no error.
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


class BackgroundWriter:
    """Writes to a stream from a thread of its own.

    A stopped terminal, or a pipe that nobody reads, blocks a program that writes to it,
    and a closed pipe is an error. Neither may stop the work that is reported. What
    cannot be written is lost; ``problem`` says why.

    :param stream: a text stream, such as ``sys.stderr``.
    """

    def __init__(self, stream: TextIO | Any) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self.problem: Exception | None = None
        if stream is None:
            self.problem = OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._texts: SimpleQueue[bytes | threading.Event | None] = SimpleQueue()
        #: Whether the stream is a terminal that obeys escape codes.
        self.terminal = self._descriptor is not None and obeys_codes(stream)
        threading.Thread(target=self._work, daemon=True).start()

    def say(self, line: str) -> None:
        """Queue a line."""
        self.write(f"{printable(line)}\n".encode(self._encoding, "backslashreplace"))

    def write(self, text: bytes) -> None:
        """Queue text."""
        self._texts.put(text)

    def flush(self, seconds: float = 1.0) -> bool:
        """Wait a while for what is not yet written; return whether all is written."""
        written = threading.Event()
        self._texts.put(written)
        return written.wait(seconds)

    def close(self, seconds: float = 1.0) -> bool:
        """Accept nothing more, and wait as ``flush`` does.

        What is left is still written if somebody reads it before the program ends.
        """
        written = self.flush(seconds)
        self._texts.put(None)
        return written

    def _work(self) -> None:
        while (text := self._texts.get()) is not None:
            if isinstance(text, threading.Event):
                text.set()
                continue
            try:
                if self.problem is None:
                    self._put(text)
            except Exception as error:
                self.problem = error

    def _put(self, text: bytes) -> None:
        if self._descriptor is None:
            self._stream.write(text.decode(errors="replace"))
            return
        # Bypasses the stream: its lock, if held at exit, would abort the program.
        while text:
            try:
                text = text[os.write(self._descriptor, text) :]
            except BlockingIOError:
                time.sleep(_PAUSE)


def _descriptor(stream: Any) -> int | None:
    """Return the file descriptor of a stream, None for one in memory."""
    try:
        stream.flush()
        return int(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return None
