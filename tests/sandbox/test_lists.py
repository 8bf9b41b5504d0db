"""Lists of few images read few of a sandbox's images."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from werkzeug.datastructures import MultiDict

from rax_scheduled_images_ext.model.image import PENDING_KEY, SERVER_KEY
from rax_scheduled_images_ext.sandbox.backend.models import Image
from rax_scheduled_images_ext.sandbox.backend.region.images import image_row
from rax_scheduled_images_ext.sandbox.backend.store import Store
from rax_scheduled_images_ext.sandbox.image import queries

REGION, PROJECT = "region", "project"
PLAIN = Image(
    id="",
    name="image",
    region=REGION,
    owner=PROJECT,
    status="active",
    visibility="private",
    protected=False,
    size=1,
    checksum=None,
    min_disk=0,
    min_ram=0,
    disk_format=None,
    container_format=None,
    created=0.0,
    updated=0.0,
    deleted_at=None,
    tags=(),
    properties={"image_type": "snapshot"},
)


def steps(query: str, others: int) -> int:
    """How many steps of SQLite's a list takes that finds one among others."""
    sought = replace(
        PLAIN,
        id="sought",
        status="queued" if "status=" in query else "active",
        hidden="os_hidden" in query,
        updated=2e9,
        properties={**PLAIN.properties, SERVER_KEY: "one", PENDING_KEY: "pending"},
    )
    store = Store()
    try:
        images = [sought, *(replace(PLAIN, id=f"{n:06}") for n in range(others))]
        store.insert("images", map(image_row, images))
        taken = 0

        def count() -> None:
            nonlocal taken
            taken += 1

        wanted = queries.parse(MultiDict(parse_qsl(query)), PROJECT, 1000)
        store._db.set_progress_handler(count, 1)
        found = [row["id"] for row in store.select_images(REGION, wanted)]
        assert found == ["sought"]
        return taken
    finally:
        store.close()


@pytest.mark.parametrize(
    "query",
    [
        # What a look of the service asks for.
        "updated_at=gte:2026-01-02T00:00:00Z",
        "status=in:queued,saving,uploading,importing",
        "image_type=snapshot&os_hidden=true",
        f"{PENDING_KEY}=pending",
        f"{SERVER_KEY}=one",
        f"id=in:sought,other&{PENDING_KEY}=pending",
    ],
)
def test_how_many_others_there_are_does_not_matter(query: str) -> None:
    assert steps(query, 1000) < 1.5 * steps(query, 10)
