"""A block storage driver whose volumes and snapshots have no data.

All that Cinder itself does (records, statuses, attachments, quotas) is real. The data
of an image is not fetched for a volume.
"""

from typing import Any

from cinder import interface
from cinder.volume import driver


@interface.volumedriver
class Driver(driver.VolumeDriver):
    VERSION = "1"
    CI_WIKI_NAME = "none"

    def check_for_setup_error(self) -> None:
        pass

    def _update_volume_stats(self) -> None:
        self._stats = {
            "volume_backend_name": "loopback",
            "vendor_name": "tests",
            "driver_version": self.VERSION,
            "storage_protocol": "none",
            "total_capacity_gb": 1000,
            "free_capacity_gb": 1000,
            "reserved_percentage": 0,
            "multiattach": False,
        }

    def clone_image(self, *_arguments: Any) -> tuple[dict[str, Any], bool]:
        return {}, True

    def initialize_connection(self, *_arguments: Any) -> dict[str, Any]:
        return {"driver_volume_type": "none", "data": {}}

    def nothing(self, *_arguments: Any, **_options: Any) -> None:
        pass

    create_volume = delete_volume = extend_volume = nothing
    create_volume_from_snapshot = create_cloned_volume = nothing
    create_snapshot = delete_snapshot = nothing
    ensure_export = create_export = remove_export = nothing
    terminate_connection = nothing
