"""``openstack server snapshot list``."""

from __future__ import annotations

import argparse
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import listed
from rax_scheduled_images_ext.cli.openstack.command import Lister
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.images import IMAGES, IMAGES_AS_DATA
from rax_scheduled_images_ext.operations.server import list_images


class ListSnapshot(Lister):
    """List a server's images, newest first, with the fate of each and the reason."""

    arguments = (arguments.LONG, arguments.SERVER)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the images."""
        columns = IMAGES_AS_DATA if parsed_args.long else IMAGES
        return listed(
            columns, list_images(self.cloud, parsed_args.server), parsed_args.formatter
        )
