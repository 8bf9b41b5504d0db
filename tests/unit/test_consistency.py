"""What is said of the data of an image, and what a copy of it must not inherit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.consistency import (
    Consistency,
    consistency_of,
    hook_metadata,
)
from rax_scheduled_images_ext.model.image import HOOK_KEY, ServerImage

SERVER, OTHER = (f"{n:08}-0000-4000-8000-000000000000" for n in (1, 2))
NOW = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)
NAME = "before-upgrade"
SNAPSHOT = {"image_type": "snapshot"}


def image(**metadata: str) -> ServerImage:
    known = {**SNAPSHOT, **metadata}
    return ServerImage(
        OTHER, NAME, "ACTIVE", NOW, server_id=SERVER, metadata=known, size=2**30
    )


def held(name: str = NAME, server_id: str = SERVER) -> ServerImage:
    return image(**hook_metadata(server_id, name, NOW))


def mapping(*snapshots: str) -> str:
    return json.dumps(
        [
            {"source_type": "snapshot", "snapshot_id": each, "boot_index": number}
            for number, each in enumerate(snapshots)
        ]
    )


def test_a_held_server_is_said_to_be_held() -> None:
    found = replace(held(), created=NOW + timedelta(seconds=30))
    assert consistency_of(found) is Consistency.HOOK


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("yes", Consistency.AGENT),
        ("True", Consistency.AGENT),
        ("1", Consistency.AGENT),
        ("no", Consistency.CRASH),
        ("", Consistency.CRASH),
        ("if you like", Consistency.CRASH),
    ],
)
def test_the_agent_is_asked_for_by_the_words_that_nova_knows(
    value: str, expected: Consistency
) -> None:
    assert consistency_of(image(hw_qemu_guest_agent=value)) is expected


def test_the_agent_is_not_asked_where_only_its_success_is_required() -> None:
    assert consistency_of(image(os_require_quiesce="yes")) is Consistency.CRASH


@pytest.mark.parametrize(
    "found",
    [
        replace(held(), status="SAVING"),
        replace(held(), metadata={**held().metadata, "image_type": "other"}),
        replace(image(), size=0),
        replace(image(block_device_mapping="{"), size=0),
        replace(image(block_device_mapping=mapping(SERVER, OTHER)), size=0),
    ],
    ids=["being made", "no snapshot", "empty", "malformed", "two volumes"],
)
def test_of_what_cannot_be_seen_nothing_is_said(found: ServerImage) -> None:
    assert consistency_of(found) is Consistency.UNKNOWN


def test_the_snapshots_of_volumes_are_made_when_nobody_looks_any_more() -> None:
    found = held()
    known = {**found.metadata, "block_device_mapping": mapping(OTHER)}
    assert consistency_of(replace(found, metadata=known)) is Consistency.CRASH


moments = st.timedeltas(timedelta(minutes=-9), timedelta(days=9))


@given(moments, st.sampled_from([NAME, "other"]), st.sampled_from([SERVER, OTHER]))
def test_no_copy_inherits_that_its_server_was_held(
    later: timedelta, name: str, server_id: str
) -> None:
    """One that is younger, or has another name, or is of another server."""
    copy = replace(held(), created=NOW + later, name=name, server_id=server_id)
    is_own = timedelta(minutes=-1) <= later <= timedelta(minutes=2)
    same = is_own and (name, server_id) == (NAME, SERVER)
    assert (consistency_of(copy) is Consistency.HOOK) == same


@given(st.text(max_size=60) | st.just(held().metadata[HOOK_KEY][:50]))
def test_anybody_may_write_anything_there(text: str) -> None:
    assert consistency_of(image(**{HOOK_KEY: text})) is Consistency.CRASH


def test_an_image_without_a_time_is_not_known_to_be_its_own() -> None:
    assert consistency_of(replace(held(), created=None)) is Consistency.CRASH
