"""The IDs of claims, by which runners of all versions keep out of each other's way."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from rax_scheduled_images_ext.engine.claims import Claim, Claims
from rax_scheduled_images_ext.engine.making import image_service
from rax_scheduled_images_ext.model.image import CLAIM_KEY
from rax_scheduled_images_ext.model.plan import Policy
from rax_scheduled_images_ext.model.slots import (
    Slot,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ImageQuery

from .fleet import MYSERVER
from .runners import connected

DUE = datetime(2026, 1, 5, 12, 30, tzinfo=timezone.utc)
# What is used up of the first requests of all tries: a number, and its ID without and
# with a key, as they have been since the first runner.
IDS = {
    0: (
        "efd2860a-a21a-579d-a568-ceb13941e24a",
        "57a689bc-9927-594b-bb4c-32852b6e9ed8",
    ),
    1: (
        "90f092ac-ead5-55f3-9f1d-c2d97d0ff83c",
        "54697071-ec54-501a-9c47-ac1073933516",
    ),
    2: (
        "a2b8312d-b083-53a7-bad8-2313100f97fc",
        "0e1ceac9-e0a0-5539-bd48-0df429c28ba3",
    ),
    5: (
        "c31a213a-2f10-52d2-ad2a-532b982c5ebd",
        "c310ce4e-0e99-53bb-87b5-cb4b1f23ff4d",
    ),
}


@pytest.mark.parametrize("key", ["", "a key"])
@pytest.mark.parametrize(
    ("minutes", "number", "used", "claimed"),
    [
        (0, 0, {0}, [0]),
        (60, 1, {1}, [1]),
        (120, 2, {2}, [2]),
        # Near the end of an interval the next one as well; late, a try besides.
        (57, 0, {0, 1}, [0, 1]),
        (300, 0, {5}, [5, 0]),
    ],
)
def test_the_ids_of_claims_stay(
    cloud: Sandbox,
    key: str,
    minutes: int,
    number: int,
    used: set[int],
    claimed: list[int],
) -> None:
    claims = Claims(image_service(connected(cloud)), Policy(), key)
    now = DUE + timedelta(minutes=minutes)
    claim = claims.take(MYSERVER, Slot(DUE.date().isoformat(), DUE), now, now)
    ids = [IDS[each][bool(key)] for each in claimed]
    assert isinstance(claim, Claim)
    assert (claim.number, set(claim.used), list(claim.image_ids)) == (number, used, ids)
    with cloud.region() as region:
        there = region.images.select(ImageQuery())
        gone = region.images.select(ImageQuery(deleted=True))
    images = {image.id: image for image in (*there, *gone)}
    for each, image_id in zip(claimed, ids, strict=True):
        what = f"{MYSERVER}:2026-01-05:{each}"
        assert images[image_id].name == f"claim of {what}"
        assert images[image_id].properties[CLAIM_KEY] == what
