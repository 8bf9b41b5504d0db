"""Writing to the terminal, or to whatever stands in its place."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TextIO

from rax_scheduled_images_ext.text import one_line, printable, printable_json

# How often a stream that does not wait itself is tried again, in seconds.
_PAUSE = 0.05
# The exit status in a shell of a program that a closed pipe has ended.
_BROKEN_PIPE = 141


def clock_time() -> str:
    """Return the time of day, as lines about a snapshot begin."""
    return time.strftime("%H:%M:%S")


def say(line: str) -> None:
    """Print one line on stderr; a closed stderr is no error."""
    # Without one from the start, print would take stdout.
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(one_line(line), file=sys.stderr, flush=True)


def agreed(question: str) -> bool:
    """Ask on the terminal, and return whether the answer is yes."""
    print(f"{one_line(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def can_ask() -> bool:
    """Whether there is a terminal on which a person can be asked."""
    return all(each is not None and each.isatty() for each in (sys.stdin, sys.stderr))


class OutputFailed(SystemExit):
    """Standard output did not take what was to be printed; ends the command."""


def put(text: str, *, as_json: bool = False) -> None:
    """Print text on standard output, and have it written out at once.

    A character that is not seen, or that the stream cannot encode, is printed as a
    backslash escape; in JSON, as an escape of JSON's.

    :raises OutputFailed: if it cannot be written. A line on stderr reports a full disk
        and a stdout that is not there, but not a closed pipe: who closes it wants no
        more output.
    """
    shown = printable_json(text) if as_json else printable(text, layout="\n\t")
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        print(_encodable(shown, as_json), flush=True)
    except BrokenPipeError:
        _discard_output()
        raise OutputFailed(_BROKEN_PIPE) from None
    except OSError as error:
        _discard_output()
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


def _discard_output() -> None:
    """Let what is left to print go nowhere: it would be an error at the end."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class ProgressLine:
    """A line on stderr like ``137 of 1000``, drawn only on a terminal.

    It is a context: the line is gone when that ends.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._visible = self._stream is not None and self._stream.isatty()
        self._drawn = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.clear()

    def show(self, ended: int, total: int) -> None:
        """Draw the line; for a single item there is none."""
        if self._visible and total > 1:
            self._write(f"\r{ended} of {total}")
            self._drawn = True

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        if self._drawn:
            self._write("\r\x1b[K")
        self._drawn = False

    def _write(self, text: str) -> None:
        # A closed stderr is no error.
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


class BackgroundWriter:
    """Writes to a stream from a thread of its own.

    A stopped terminal, or a pipe that nobody reads, blocks a program that writes to
    it, and a closed pipe is an error. Neither may stop the work that is reported. What
    cannot be written is lost; ``problem`` is why.

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
        #: Whether a person may be looking.
        self.terminal = self._descriptor is not None and os.isatty(self._descriptor)
        threading.Thread(target=self._work, daemon=True).start()

    def say(self, line: str) -> None:
        """Queue a line."""
        self.write(f"{printable(line)}\n".encode(self._encoding, "backslashreplace"))

    def write(self, text: bytes) -> None:
        """Queue text."""
        self._texts.put(text)

    def flush(self, seconds: float = 1.0) -> None:
        """Wait for what is not yet written, for a while."""
        written = threading.Event()
        self._texts.put(written)
        written.wait(seconds)

    def close(self, seconds: float = 1.0) -> None:
        """Wait as ``flush`` does; nothing more is written then."""
        self.flush(seconds)
        self._texts.put(None)

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
        # Past the stream: its lock, once held, could end the program badly.
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
