"""What an image is, and how the two APIs' words for it are read."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from rax_scheduled_images_ext.client.images.base import (
    ATTRIBUTES,
    check_key,
)
from rax_scheduled_images_ext.errors import InvalidValue
from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    ServerImage,
)
from rax_scheduled_images_ext.model.times import read_time


@pytest.mark.parametrize(
    ("metadata", "scheduled"),
    [
        ({MARKER_KEY: MARKER_VALUE}, True),
        ({MARKER_KEY: "somebody"}, False),
        ({"org.openstack__1__created-by": "scheduled-images-service"}, False),
        ({}, False),
    ],
)
def test_the_marker_alone_makes_an_image_the_services(
    metadata: dict[str, str], scheduled: bool
) -> None:
    image = ServerImage(id="1", name="x", status="ACTIVE", metadata=metadata)
    assert image.scheduled is scheduled


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T20:18:52Z",
        "2026-11-21T20:18:52",
        "2026-11-21T20:18:52.123456Z",
        "2026-11-21T20:18:52.1Z",
        "2026-11-21T20:18:52+00:00",
    ],
)
def test_a_time_is_read_in_every_spelling_of_the_apis(text: str) -> None:
    assert read_time(text) == datetime(2026, 11, 21, 20, 18, 52, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text",
    [None, "", 5, "yesterday", "2026-13-21T20:18:52Z", "2026-11-21T20:18:52+02:00"],
)
def test_not_a_time_is_none(text: object) -> None:
    assert read_time(text) is None


@pytest.mark.parametrize("key", ["a", MARKER_KEY, "k" * 255, "a/b", "ö", ".."])
def test_a_key_is_taken(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "k" * 256, *sorted(ATTRIBUTES)])
def test_what_no_metadata_is_called_is_refused_by_name(key: str) -> None:
    with pytest.raises(InvalidValue, match="metadata") as told:
        check_key(key)
    assert str(told.value).startswith(f"'{key}' is ")
