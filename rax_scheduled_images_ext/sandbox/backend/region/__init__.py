"""One region's servers, images, volumes and schedules."""

from __future__ import annotations

from rax_scheduled_images_ext.sandbox.backend.region.base import MOST_METADATA
from rax_scheduled_images_ext.sandbox.backend.region.rebuilds import Rebuilds
from rax_scheduled_images_ext.sandbox.backend.region.schedules import Schedules
from rax_scheduled_images_ext.sandbox.backend.region.snapshots import Snapshots
from rax_scheduled_images_ext.sandbox.backend.state import CloudState

__all__ = ["MOST_METADATA", "Region"]


class Region(Snapshots, Schedules):
    """All that a region can do; to be used inside a transaction."""

    def __init__(self, cloud: CloudState, name: str) -> None:
        super().__init__(cloud, name)
        self.cloud = cloud
        self.rebuilds = Rebuilds(self)

    def delete_server(self, server_id: str) -> None:
        """Delete the server and its schedule; its finished images stay."""
        server = self.server(server_id)
        self.end_snapshot(server_id, discard=True)
        self.rebuilds.end(server_id)
        self.record(server, "delete")
        self._clear_schedule(server_id)
        self.set_tags(server_id, ())
        self.guests.switch_off(server)
        self.disks.discard(server_id)
        self.detach_devices(server_id)
        self.networks.release(server_id)
        self.touch(
            server_id,
            status="DELETED",
            vm_state="deleted",
            power_state=0,
            deleted_at=self._cloud.now,
        )

    def reset_state(self, server_id: str, state: str, fault: str | None = None) -> None:
        """Force the state: 'active' or 'error'; ends whatever is under way.

        :param fault: why it is in error.
        """
        self.end_snapshot(server_id)
        self.rebuilds.end(server_id)
        power = 1 if state == "active" else 0
        self._power(server_id, state.upper(), state, power, fault=fault)
