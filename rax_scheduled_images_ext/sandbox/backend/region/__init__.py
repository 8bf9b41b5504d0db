"""One region's servers, images, volumes, networks and schedules."""

from __future__ import annotations

from rax_scheduled_images_ext.sandbox.backend.region.disks import Disks
from rax_scheduled_images_ext.sandbox.backend.region.flavors import Flavors
from rax_scheduled_images_ext.sandbox.backend.region.guests import Guests
from rax_scheduled_images_ext.sandbox.backend.region.images import Images
from rax_scheduled_images_ext.sandbox.backend.region.keypairs import KeyPairs
from rax_scheduled_images_ext.sandbox.backend.region.networks import Networks
from rax_scheduled_images_ext.sandbox.backend.region.rebuilds import Rebuilds
from rax_scheduled_images_ext.sandbox.backend.region.schedules import Schedules
from rax_scheduled_images_ext.sandbox.backend.region.server_groups import ServerGroups
from rax_scheduled_images_ext.sandbox.backend.region.servers import Servers
from rax_scheduled_images_ext.sandbox.backend.region.snapshots import Snapshots
from rax_scheduled_images_ext.sandbox.backend.region.volumes import Volumes
from rax_scheduled_images_ext.sandbox.backend.state import CloudState


class Region:
    """All that a region has; to be used inside a transaction."""

    def __init__(self, cloud: CloudState, name: str) -> None:
        self.cloud = cloud
        self.name = name
        self.disks = Disks(self)
        self.flavors = Flavors(self)
        self.groups = ServerGroups(self)
        self.guests = Guests(self)
        self.images = Images(self)
        self.keypairs = KeyPairs(self)
        self.networks = Networks(self)
        self.rebuilds = Rebuilds(self)
        self.schedules = Schedules(self)
        self.servers = Servers(self)
        self.snapshots = Snapshots(self)
        self.volumes = Volumes(self)
