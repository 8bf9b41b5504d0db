"""Telling what happens without ever waiting for who listens."""

from __future__ import annotations

import os
import threading
import time
from queue import SimpleQueue
from typing import Any, TextIO

# How often a stream that does not wait itself is tried again, in seconds.
_PAUSE = 0.05


class Narrator:
    """Writes to a stream from a thread of its own.

    A terminal that is held, or a pipe that nobody reads, stops whoever writes to
    it, and a closed one is an error: neither may stop what is being told of. What
    cannot be written is lost.

    :param stream: a text stream, such as ``sys.stderr``.
    """

    def __init__(self, stream: TextIO | Any) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._texts: SimpleQueue[bytes | threading.Event | None] = SimpleQueue()
        #: Whether a person may be looking.
        self.terminal = self._descriptor is not None and os.isatty(self._descriptor)
        threading.Thread(target=self._work, daemon=True).start()

    def say(self, line: str) -> None:
        """Write a line, some time."""
        self.write(f"{line}\n".encode(errors="backslashreplace"))

    def write(self, text: bytes) -> None:
        """Write some text, some time."""
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
        broken = False
        while (text := self._texts.get()) is not None:
            if isinstance(text, threading.Event):
                text.set()
                continue
            try:
                if not broken:
                    self._put(text)
            except Exception:
                broken = True

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
