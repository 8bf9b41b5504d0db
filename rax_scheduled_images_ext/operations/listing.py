"""Lists the servers of one region, or of all regions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.model.freshness import InventoryServer, ScheduleStatus
from rax_scheduled_images_ext.model.policies import Policies
from rax_scheduled_images_ext.model.quota import FullQuota
from rax_scheduled_images_ext.operations.inventory import (
    Inventory,
    read_inventory,
    read_regions,
)
from rax_scheduled_images_ext.operations.unprotected import unprotected
from rax_scheduled_images_ext.operations.work_queue import Outcome, Report


@dataclass(frozen=True)
class Row:
    """The status of one server, in a region."""

    region: str | None
    status: ScheduleStatus

    @property
    def server(self) -> InventoryServer:
        """The server itself."""
        return self.status.server


@dataclass(frozen=True)
class Listing:
    """The servers of one region or of all, at one moment.

    ``now`` is None if no region could be read; ``failures`` are the regions that could
    not be read. ``quotas`` are those of :class:`.Inventory`.
    """

    rows: list[Row]
    now: datetime | None
    failures: list[Outcome[str, Inventory]] = field(default_factory=list)
    quotas: list[FullQuota | None] = field(default_factory=list)


def list_servers(
    cloud: Cloud,
    *,
    enabled: bool | None,
    name: re.Pattern[str] | None,
    all_regions: bool,
    space: bool = False,
    unprotected_only: bool = False,
    policies: Policies | None = None,
    report: Report[str, Inventory] | None = None,
) -> Listing:
    """Read the servers of the cloud's region, or of all regions in parallel.

    The parameters are those of :func:`read_inventory`. Its errors are raised only for a
    single region.

    :param unprotected_only: only those that :func:`.unprotected` returns.
    """
    if unprotected_only:
        # Those whose schedule is invalid are with either.
        enabled = None

    def shown(found: Inventory) -> list[ScheduleStatus]:
        return unprotected(found.servers) if unprotected_only else found.servers

    if not all_regions:
        inventory = read_inventory(
            cloud, enabled=enabled, name=name, space=space, policies=policies
        )
        rows = [Row(None, each) for each in shown(inventory)]
        return Listing(rows, inventory.now, quotas=[inventory.quota])
    regions = read_regions(
        cloud,
        enabled=enabled,
        name=name,
        space=space,
        policies=policies,
        report=report,
    )
    read = [(each.item, each.value) for each in regions if each.value is not None]
    return Listing(
        [Row(region, each) for region, found in read for each in shown(found)],
        max((found.now for _, found in read), default=None),
        [each for each in regions if each.error is not None],
        [found.quota for _, found in read],
    )
