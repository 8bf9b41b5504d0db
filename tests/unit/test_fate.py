"""What the panel says becomes of an image whose protection ends."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from rax_scheduled_images_ext.model.freshness import (
    MAX_AGE,
    InventoryServer,
    decide_on,
    schedule_status,
)
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.retention import Reason, Rules
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.operations.server import ServerDetails
from rax_scheduled_images_ext.panel.fate import fate_without_protection

NOW = datetime(2026, 1, 10, tzinfo=timezone.utc)


def image_of(day: int) -> ServerImage:
    return ServerImage(
        f"image-{day}",
        f"Daily-web-{1767225600 + day}",
        "ACTIVE",
        NOW - timedelta(days=10 - day),
        server_id="s",
        owner="p",
        metadata={MARKER_KEY: MARKER_VALUE, TYPE_KEY: SNAPSHOT},
    )


@pytest.mark.parametrize(
    ("rules", "reason", "runs"),
    [(Rules.OURS, Reason.BOOTED_FROM, None), (Rules.RACKSPACE, Reason.SURPLUS, 1)],
)
def test_it_is_decided_by_the_rules_of_the_service_that_makes_the_images(
    rules: Rules, reason: Reason, runs: int | None
) -> None:
    images = [image_of(day) for day in (1, 2, 3)]
    server = InventoryServer(
        "s",
        "web",
        schedule=ImageSchedule(2),
        project_id="p",
        rules=rules,
        image_id="image-1",
    )
    details = ServerDetails(
        NOW, schedule_status(server, images, NOW, MAX_AGE), decide_on(server, images, 2)
    )
    fate = fate_without_protection(details, images[0])
    assert (fate.decision.reason, fate.runs) == (reason, runs)
