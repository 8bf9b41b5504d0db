"""``openstack server snapshot list``."""

from __future__ import annotations

import argparse
from typing import Any

from rax_scheduled_images_ext.cli.openstack.columns import listed
from rax_scheduled_images_ext.cli.openstack.command import Lister
from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.images import decision_columns
from rax_scheduled_images_ext.operations.server import list_images
from rax_scheduled_images_ext.operations.space import snapshot_sizes


class ListSnapshot(Lister):
    """List a server's images, newest first, with the fate of each and the reason."""

    arguments = (arguments.LONG, arguments.SERVER)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[list[str], Any]:
        """Return the images."""
        cloud = self.cloud
        found = list_images(cloud, parsed_args.server)
        sizes = snapshot_sizes(cloud, (each.image for each in found))
        columns = decision_columns(sizes, data=parsed_args.long)
        return listed(columns, found, parsed_args.formatter)
