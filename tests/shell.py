"""A program in this process, against any cloud."""

from __future__ import annotations

import io
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, Protocol
from unittest import mock


class Cloud(Protocol):
    """What has users, such as a sandbox."""

    def env(self, user: str = "admin") -> dict[str, str]:
        """Return the OS_* variables of a user."""


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Shell(ABC):
    """``shell(*argv)``: the program's ``main``, as a fresh process would run it.

    ``cloud`` takes another cloud than the test's own, ``user`` another user,
    ``env`` further variables; a value of None takes a variable away.
    """

    cloud: Cloud

    def __call__(
        self,
        *argv: str,
        cloud: Cloud | None = None,
        user: str = "admin",
        env: Mapping[str, str | None] | None = None,
    ) -> Result:
        environ = {**(cloud or self.cloud).env(user), **(env or {})}
        given = {k: v for k, v in environ.items() if v is not None}
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict("os.environ", given),
            untouched_logging(),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                status = self.main(list(argv))
            except SystemExit as exit_:
                status = _exit_status(exit_.code)
        return Result(status, out.getvalue(), self.told(err.getvalue()))

    @abstractmethod
    def main(self, argv: list[str]) -> int:
        """Run the program; return its exit status, or raise SystemExit."""

    def told(self, err: str) -> str:
        """Return what of the program's stderr is a command's own."""
        return err

    def ok(self, *argv: str, **options: Any) -> str:
        """Run a command that must succeed and stay silent on stderr; its output."""
        result = self(*argv, **options)
        assert (result.status, result.err) == (0, ""), result
        return result.out

    def recorded(self, *argv: str, **options: Any) -> str:
        """Run a command that must succeed and print on stderr only; what it printed."""
        result = self(*argv, **options)
        assert (result.status, result.out) == (0, ""), result
        return result.err


def _exit_status(code: int | str | None) -> int:
    """Do with an exit's argument what Python does at the end of a process."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
        return 1
    return code or 0


@contextmanager
def untouched_logging() -> Iterator[None]:
    """Take back what a program does to the root logger and novaclient's own."""
    loggers = [logging.getLogger(name) for name in (None, "novaclient.client")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    try:
        yield
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
