"""Lengths of time as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.durations import (
    format_duration,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("90m", 5400),
        ("26h", 93600),
        ("10d", 864000),
        ("1w", 604800),
        ("1d12h", 129600),
        ("0s", 0),
        ("1.5h", 5400),
        ("2h1h", 10800),
    ],
)
def test_a_number_and_a_unit_or_several(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "d", "-1d", "10 d", "10D", "1d-2h", "ten days", "٣d", "1d\n", "1e3s"],
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="write a number and w, d, h, m or s") as told:
        parse_duration(text)
    assert f"'{text}'" in str(told.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3725, "1h2m"),
        (26 * 3600, "1d2h"),
        (86400 + 59, "1d59s"),
        (15 * 86400, "15d"),
    ],
)
def test_a_length_is_reported_in_its_two_largest_units(
    seconds: float, text: str
) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_reports_are_true_and_complete(seconds: int) -> None:
    told = parse_duration(format_duration(seconds))
    assert told <= seconds
    assert seconds - told < max(60, seconds / 24)
