"""Telling others: a command for each failure, and a ping after each tick."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import requests

from rax_scheduled_images_ext.engine.results import StepResult
from rax_scheduled_images_ext.service.events import facts_of, log

# Seconds that a command, or the answer to a ping, may take.
_TIMEOUT = 30


@dataclass(frozen=True)
class Notifier:
    """Runs a command for each failure, and gets an address after each tick.

    :param command: is given the facts of a failure as JSON on its standard input.
    :param url: is got after a good tick, and ``url/fail`` after a bad one, as servers
        that watch for silence expect it.
    """

    command: Sequence[str] | None = None
    url: str | None = None

    def failed(self, results: list[StepResult]) -> None:
        """Run the command for each of these; its own failure is only logged."""
        for result in results:
            self.tell(facts_of(result) | {"event": result.result.value})

    def tell(self, facts: Mapping[str, object]) -> None:
        """Run the command with these facts; its own failure is only logged."""
        if self.command is None:
            return
        try:
            subprocess.run(
                self.command,
                input=json.dumps(facts).encode(),
                stdout=subprocess.DEVNULL,
                timeout=_TIMEOUT,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = type(error).__name__
            log(logging.ERROR, "on-failure command failed", {"reason": reason})

    def ping(self, *, good: bool) -> None:
        """Get the address; that it cannot be reached is only logged."""
        if self.url is None:
            return
        url = self.url if good else f"{self.url.rstrip('/')}/fail"
        try:
            requests.get(url, timeout=_TIMEOUT).raise_for_status()
        except requests.RequestException as error:
            # The address may be a secret, and so may the error's text, which has it.
            log(logging.ERROR, "ping failed", {"reason": type(error).__name__})
