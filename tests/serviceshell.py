"""scheduled-images-service, in this process, against any cloud."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.programs.arguments import moment
from rax_scheduled_images_ext.service.cli import main

from .rehearsed import by_clock
from .shell import Result, Shell


class Service(Shell):
    """The program of the service."""

    def main(self, argv: list[str]) -> int:
        return main(argv)

    def tick(self, at: str, *argv: str, **options: Any) -> Result:
        """Tick as if it were that time."""
        with by_clock(Clock(at=moment(at))):
            return self("tick", *argv, **options)
