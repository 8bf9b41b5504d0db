"""What clients of the sandbox may say: times, versions, queries, changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers, MultiDict

from rax_scheduled_images_ext.sandbox.backend.models import Image
from rax_scheduled_images_ext.sandbox.compute import versions
from rax_scheduled_images_ext.sandbox.http.common import (
    HttpError,
    isotime,
    microtime,
    parse_time,
)
from rax_scheduled_images_ext.sandbox.http.microversions import HEADER
from rax_scheduled_images_ext.sandbox.image import changes, queries


def attempt(function: Callable[..., Any], *arguments: Any) -> tuple[Any, int | None]:
    """Return what comes back, or the status of the fault."""
    try:
        return function(*arguments), None
    except HttpError as fault:
        return None, fault.status


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00Z",
        "2026-01-01T00:00:00.0Z",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:00z",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00",
        "2026-01-01T00:00:00.000000",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01T01:00:00+0100",
        "2026-01-01T01:00:00+01",
        "2025-12-31T19:00:00-05:00",
        # A plus sign that a query turned into a space.
        "2026-01-01T01:00:00 01:00",
        "2026-01-01",
    ],
)
def test_times(text: str) -> None:
    assert parse_time(text) == 1767225600


@pytest.mark.parametrize(
    "text", ["", "now", "yesterday", "T", "2026-13-01", "2026-01-01T25:00:00", "Z"]
)
def test_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)


@given(st.integers(0, 4_000_000_000))
def test_written_times_read_back(seconds: int) -> None:
    assert parse_time(isotime(seconds)) == seconds
    assert parse_time(microtime(seconds + 0.5)) == seconds + 0.5
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    assert isotime(seconds) == moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@given(st.integers(1, 96))
def test_a_version_reads_back(minor: int) -> None:
    answer = versions.answer_headers((2, minor))
    assert versions.asked_for(Headers(list(answer.items()))) == (2, minor)


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0")))
def test_any_header_is_a_version_or_a_fault(text: str) -> None:
    for name in (HEADER, versions.OLD_HEADER):
        version, status = attempt(versions.asked_for, Headers({name: text}))
        if status is None:
            assert versions.MINIMUM <= version <= versions.MAXIMUM
        else:
            assert status in (400, 406)


NAMES = st.sampled_from(
    "name status id size size_min min_ram created_at protected os_hidden visibility"
    " sort sort_key sort_dir limit marker tag owner colour changes-since".split()
)
VALUES = st.text(max_size=12) | st.sampled_from(
    [
        "1",
        "-1",
        "true",
        "in:a,b",
        'in:"a,b",c',
        "gt:2026-01-01T00:00:00Z",
        "all",
        "name",
    ]
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_any_query_is_understood_or_a_fault(pairs: list[tuple[str, str]]) -> None:
    query, status = attempt(queries.parse, MultiDict(pairs), "project", 1000)
    assert status in (None, 400)
    assert query is None or query.project_id == "project"


def parse(*pairs: tuple[str, str]) -> Any:
    return queries.parse(MultiDict(pairs), "project", 1000)


def test_lists_in_filters() -> None:
    within = parse(("name", 'in:a,"b,c",d')).within
    assert within == {"name": ("a", "b,c", "d")}
    assert parse(("colour", "in:a,b")).properties == {"colour": "in:a,b"}


def test_orders() -> None:
    for pairs, wanted in (
        ((), [("created", "desc"), ("id", "desc")]),
        ([("sort", "name:asc")], [("name", "asc"), ("created", "asc"), ("id", "asc")]),
        ([("sort", "created_at:asc,id")], [("created", "asc"), ("id", "desc")]),
        (
            [("sort_key", "name"), ("sort_key", "size"), ("sort_dir", "asc")],
            [("name", "asc"), ("size", "asc"), ("created", "asc"), ("id", "asc")],
        ),
    ):
        assert list(parse(*pairs).sort) == wanted


# -- changes of an image

IMAGE = Image(
    id="i",
    name="n",
    region="r",
    owner="o",
    status="active",
    visibility="private",
    protected=False,
    size=1,
    checksum=None,
    min_disk=0,
    min_ram=0,
    disk_format="raw",
    container_format="bare",
    created=0,
    updated=0,
    deleted_at=None,
    tags=(),
    properties={"colour": "red", "shape": "round"},
)
PATCH = "application/openstack-images-v2.1-json-patch"
KEYS = st.sampled_from(["colour", "shape", "size2", "a/b", "~tilde", "weight"])


def pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "replace"]), KEYS, st.text(max_size=3)
        ),
        max_size=6,
    )
)
def test_changes_do_what_a_dict_does(operations: list[tuple[str, str, str]]) -> None:
    model, broken = dict(IMAGE.properties), False
    for name, key, value in operations:
        if name != "add" and key not in model:
            broken = True
            break
        if name == "remove":
            del model[key]
        else:
            model[key] = value
    body = [{"op": n, "path": pointer(k), "value": v} for n, k, v in operations]
    parsed = changes.parse(PATCH, body)
    if broken:
        with pytest.raises(HttpError) as caught:
            changes.apply(IMAGE, parsed)
        assert caught.value.status == 409
    else:
        assert changes.apply(IMAGE, parsed).properties == model
    assert IMAGE.properties == {"colour": "red", "shape": "round"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["op", "path", "value", "add", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from([*changes.CONTENT_TYPES, "application/json"]))
def test_any_body_is_changes_or_a_fault(body: Any, content_type: str) -> None:
    parsed, status = attempt(changes.parse, content_type, body)
    assert status in (None, 400, 403, 415)
    if status is None:
        _, status = attempt(changes.apply, IMAGE, parsed)
        assert status in (None, 403, 409)


def test_formats_are_fixed_once_there_is_data() -> None:
    (change,) = changes.parse(
        PATCH, [{"op": "replace", "path": "/disk_format", "value": "qcow2"}]
    )
    with pytest.raises(HttpError, match="only replaced for a queued image") as caught:
        changes.apply(IMAGE, [change])
    assert caught.value.status == 403
