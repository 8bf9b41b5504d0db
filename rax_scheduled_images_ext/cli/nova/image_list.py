"""``nova scheduled-images-image-list``."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.cli.nova.command import failing_as_one, open_cloud
from rax_scheduled_images_ext.console.images import print_images
from rax_scheduled_images_ext.operations.server import list_images
from rax_scheduled_images_ext.operations.space import snapshot_sizes


def list_server_images(cs: Any, args: Any) -> None:
    """Print a server's images, newest first, with the fate of each and the reason."""
    with failing_as_one():
        cloud = open_cloud(cs)
        found = list_images(cloud, args.server)
        sizes = snapshot_sizes(cloud, (each.image for each in found))
        print_images(found, sizes, args.format)
