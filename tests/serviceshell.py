"""scheduled-images-service, in this process, against any cloud."""

from __future__ import annotations

from rax_scheduled_images_ext.service.cli import main

from .shell import Shell


class Service(Shell):
    """The program of the service."""

    def main(self, argv: list[str]) -> int:
        return main(argv)
