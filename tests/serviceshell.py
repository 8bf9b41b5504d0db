"""scheduled-images-service, in this process, against any cloud."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from rax_scheduled_images_ext.sandbox.environment import client_environment
from rax_scheduled_images_ext.service.cli import main

from .novashell import Cloud, Result


@dataclass(frozen=True)
class Service:
    """``service(*argv)``: the program's ``main``, as a fresh process would run it.

    ``user`` is another user of the cloud; ``env`` are the variables of another cloud.
    """

    cloud: Cloud

    def __call__(
        self, *argv: str, user: str = "admin", env: Mapping[str, str] | None = None
    ) -> Result:
        out, err = io.StringIO(), io.StringIO()
        environ = self.cloud.env(user) if env is None else env
        with (
            mock.patch.dict(os.environ, client_environment(environ), clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                status = main(argv)
            except SystemExit as exit_:
                status = int(str(exit_.code))
        return Result(status, out.getvalue(), err.getvalue())

    def ok(self, *argv: str) -> str:
        """Run a command that must succeed and stay silent on stderr; its output."""
        result = self(*argv)
        assert (result.status, result.err) == (0, ""), result
        return result.out
