"""The public names of the package, which are used from the package itself."""

from __future__ import annotations

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.connect import connect
from rax_scheduled_images_ext.model.freshness import (
    InventoryServer,
    ScheduleStatus,
    State,
)
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.restore import (
    RestoreOptions,
    RestorePlan,
    parse_restore_time,
)
from rax_scheduled_images_ext.model.retention import Decision, Reason
from rax_scheduled_images_ext.model.schedule import ImageSchedule, ScheduleSettings
from rax_scheduled_images_ext.operations.check import CheckResult, check
from rax_scheduled_images_ext.operations.forecast import (
    Forecast,
    forecast,
    next_expiry,
)
from rax_scheduled_images_ext.operations.inventory import (
    Inventory,
    read_inventory,
    read_regions,
)
from rax_scheduled_images_ext.operations.protect import protect, unprotect
from rax_scheduled_images_ext.operations.prune import (
    PrunedImage,
    PrunePlan,
    plan_prune,
    prune,
)
from rax_scheduled_images_ext.operations.restore import (
    Restored,
    plan_restore,
    restore,
)
from rax_scheduled_images_ext.operations.schedules import (
    ScheduleChange,
    ServerSchedule,
    change,
    disable,
    enable,
    show,
)
from rax_scheduled_images_ext.operations.server import list_images, read_status
from rax_scheduled_images_ext.operations.snapshot.create import (
    Snapshot,
    quiesced_snapshot,
)
from rax_scheduled_images_ext.operations.snapshot.polling import Listener, Timeouts
from rax_scheduled_images_ext.operations.targets import Target, find_targets
from rax_scheduled_images_ext.operations.verify import (
    Verified,
    VerifyOptions,
    VerifyPlan,
    plan_verify,
    verify,
)
from rax_scheduled_images_ext.operations.work_queue import (
    Outcome,
    Report,
    RunInterrupted,
)

__all__ = [
    "CheckResult",
    "Cloud",
    "Decision",
    "Forecast",
    "ImageSchedule",
    "Inventory",
    "InventoryServer",
    "Keep",
    "Listener",
    "Outcome",
    "PrunePlan",
    "PrunedImage",
    "Reason",
    "Report",
    "RestoreOptions",
    "RestorePlan",
    "Restored",
    "RunInterrupted",
    "ScheduleChange",
    "ScheduleSettings",
    "ScheduleStatus",
    "ServerImage",
    "ServerSchedule",
    "Snapshot",
    "State",
    "Target",
    "Timeouts",
    "Verified",
    "VerifyOptions",
    "VerifyPlan",
    "change",
    "check",
    "connect",
    "disable",
    "enable",
    "find_targets",
    "forecast",
    "list_images",
    "next_expiry",
    "parse_restore_time",
    "plan_prune",
    "plan_restore",
    "plan_verify",
    "protect",
    "prune",
    "quiesced_snapshot",
    "read_inventory",
    "read_regions",
    "read_status",
    "restore",
    "show",
    "unprotect",
    "verify",
]
