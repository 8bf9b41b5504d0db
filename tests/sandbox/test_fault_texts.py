"""How faults are written, what they concern, and how they are counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.sandbox.faults.grammar import (
    GRAMMAR,
    METHODS,
    OF_SNAPSHOTS,
    OF_VOLUMES,
    STATES,
    Fault,
    Faults,
    parse_fault,
)


def taken(faults: Faults, method: str, path: str, **options: Any) -> list[str]:
    states = options.pop("states", ())
    happened = faults.of_request(
        method, path, **{"has_token": True, **options}, states=lambda: states
    )
    return [fault.kind for fault in happened]


def listed(*texts: str) -> Faults:
    faults = Faults()
    faults.add(parse_fault(text) for text in texts)
    return faults


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("refuse", {"kind": "answer", "status": 403}),
        ("503", {"kind": "answer", "status": 503}),
        ("GET 429 retry-after=2", {"method": "GET", "status": 429, "retry_after": 2}),
        ("get /servers/ 502 html", {"method": "GET", "status": 502, "html": True}),
        ("503 retry-after=1 html", {"retry_after": 1, "html": True}),
        ("POST /action$ drop", {"kind": "drop", "method": "POST"}),
        ("/images lose-answer", {"kind": "lose-answer", "method": None}),
        ("truncate", {"kind": "truncate", "length": None}),
        ("truncate 0 after 2 x3", {"length": 0, "spared": 2, "times": 3}),
        ("delay 1m30s", {"kind": "delay", "seconds": 90}),
        ("expire", {"kind": "expire", "times": 1}),
        ("expire x2", {"times": 2}),
        ("500 while image_snapshot", {"state": "image_snapshot"}),
        ("500 while image_backup", {"state": "image_backup"}),
        ("freeze", {"kind": "freeze", "state": None, "times": None}),
        ("freeze image_uploading of db1 x1", {"state": "image_uploading", "times": 1}),
        ("lose-image of db1 after 1", {"server": "db1", "spared": 1}),
        ("fail-volume", {"kind": "fail-volume", "server": None}),
        ("hang-volume of db1 after 1", {"server": "db1", "spared": 1}),
        ("keep-volume x2", {"kind": "keep-volume", "times": 2}),
        ("  500   x2 ", {"text": "500 x2"}),
    ],
)
def test_a_fault_is_read(text: str, values: dict[str, Any]) -> None:
    fault = parse_fault(text)
    assert {name: getattr(fault, name) for name in values} == values
    assert parse_fault(fault.text) == fault


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not one of refuse, drop, lose-answer, truncate, delay, expire, fr"),
        ("explode", "'explode' is not one of "),
        ("GET", "'' is not one of "),
        ("GET /x", "'' is not one of "),
        ("GET /( 500", "'/(' is not a regular expression: missing )"),
        ("200", "200 is not a known HTTP error from 400 to 599"),
        ("499", "499 is not a known HTTP error from 400 to 599"),
        ("5000", "5000 is not a known HTTP error"),
        ("503 retry-after=soon", "'retry-after=soon' is unexpected"),
        ("503 retry-after=-1", "'retry-after=-1' is unexpected"),
        ("503 pdf", "'pdf' is unexpected"),
        ("drop html", "'html' is unexpected"),
        ("delay", "'' is not a duration: write a number and w, d, h, m or s"),
        ("delay 5", "'5' is not a duration"),
        ("truncate -1", "'-1' is unexpected"),
        ("503 while busy", "'busy' is not one of image_snapshot_pending, "),
        ("503 while", "'' is not one of image"),
        ("503 after x", "'x' after 'after' is not a whole number"),
        ("503 after", "'' after 'after' is not a whole number"),
        ("503 x0", "'x0' never happens; the minimum is x1"),
        ("503 x2 after 1", "'after' is unexpected"),
        ("503 x\N{SUPERSCRIPT TWO}", "is unexpected"),
        ("GET freeze", "freeze takes no method or path"),
        ("/x lose-image", "lose-image takes no method or path"),
        ("freeze while image_snapshot", "'while' is unexpected"),
        ("freeze of", "'of' requires the name of a server"),
        ("freeze solid", "'solid' is unexpected"),
        ("503 of db1", "'of' is unexpected"),
        ("/x fail-volume", "fail-volume takes no method or path"),
        ("hang-volume image_uploading", "'image_uploading' is unexpected"),
    ],
)
def test_a_malformed_fault_is_reported_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match="is not a fault") as caught:
        parse_fault(text)
    message = str(caught.value)
    assert message.startswith(f"'{text}' is not a fault: ")
    assert problem in message
    assert "write [METHOD] [/PATH] WHAT [while STATE] [after N] [xN], such" in message
    assert "\n" not in message


@given(st.text())
def test_any_other_text_is_refused_and_nothing_worse(text: str) -> None:
    try:
        fault = parse_fault(text)
    except ValueError as error:
        assert "write [METHOD]" in str(error)  # noqa: PT017
    else:
        assert parse_fault(fault.text) == fault


def test_the_help_tells_all_of_them() -> None:
    requests = ("drop", "lose-answer", "truncate", "delay", "expire")
    for word in (*requests, *OF_SNAPSHOTS, *OF_VOLUMES):
        assert f"\n  {word}" in GRAMMAR


def test_method_and_path_are_matched() -> None:
    faults = listed(r"GET /servers/[^/]+$ drop")
    assert taken(faults, "GET", "/compute/v2.1/servers/x") == ["drop"]
    assert taken(faults, "POST", "/compute/v2.1/servers/x") == []
    assert taken(faults, "GET", "/compute/v2.1/servers/x/action") == []
    assert taken(listed("/x.*limit=1 drop"), "PUT", "/x?limit=1") == ["drop"]
    assert taken(listed("drop"), "DELETE", "/") == ["drop"]


def test_twice_then_success() -> None:
    faults = listed("GET /x 500 after 1 x2")
    outcomes = [taken(faults, "GET", "/x") for _ in range(5)]
    assert outcomes == [[], ["answer"], ["answer"], [], []]
    assert faults.counts() == [("GET /x 500 after 1 x2", 2)]


def test_the_first_happens_and_the_next_waits_for_its_turn() -> None:
    faults = listed("500 x1", "drop x1")
    outcomes = [taken(faults, "GET", "/x") for _ in range(3)]
    assert outcomes == [["answer"], ["drop"], []]


def test_delays_and_expiry_come_on_top() -> None:
    faults = listed("delay 1s", "expire", "500", "delay 2s")
    assert taken(faults, "GET", "/x") == ["delay", "expire", "answer"]
    assert taken(faults, "GET", "/x") == ["delay", "answer"]


def test_a_login_does_not_use_up_an_expiry() -> None:
    faults = listed("expire")
    assert taken(faults, "POST", "/tokens", has_token=False) == []
    assert taken(faults, "GET", "/servers") == ["expire"]


def test_a_state_is_waited_for() -> None:
    faults = listed("500 while image_snapshot x1")
    assert taken(faults, "GET", "/x") == []
    assert taken(faults, "GET", "/x", states=["image_uploading"]) == []
    assert taken(faults, "GET", "/x", states=["image_snapshot"]) == ["answer"]
    assert taken(faults, "GET", "/x", states=["image_snapshot"]) == []


def test_the_cloud_is_asked_for_states_only_where_one_is_waited_for() -> None:
    def unwanted() -> list[str]:
        raise AssertionError

    faults = listed("POST 500 while image_snapshot", "drop")
    happened = faults.of_request("GET", "/x", has_token=True, states=unwanted)
    assert [fault.kind for fault in happened] == ["drop"]


def test_snapshots_have_their_own() -> None:
    faults = listed("drop x1", "freeze of db1 x1", "lose-image after 1")
    kinds: list[Fault | None] = [
        faults.of_snapshot("id", name) for name in ("web1", "db1", "db1", "web1")
    ]
    assert [each and each.kind for each in kinds] == [
        *(None, "freeze", "lose-image", "lose-image")
    ]
    assert taken(faults, "GET", "/x") == ["drop"]
    faults.clear()
    assert faults.counts() == []
    assert faults.of_snapshot("db1") is None


def test_volumes_have_their_own() -> None:
    faults = listed("keep-volume x1", "freeze", "fail-volume of db1", "hang-volume")
    assert faults.of_volume(("fail-volume", "hang-volume"), "id", "web1") == (
        parse_fault("hang-volume")
    )
    assert faults.of_volume(("fail-volume", "hang-volume"), "id", "db1") == (
        parse_fault("fail-volume of db1")
    )
    assert faults.of_snapshot("db1") == parse_fault("freeze")
    kept = [faults.of_volume(("keep-volume",)) for _ in range(2)]
    assert kept == [parse_fault("keep-volume x1"), None]
    assert taken(faults, "GET", "/x") == []


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 3) | st.none()),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 20),
)
def test_no_request_meets_two_and_none_happens_too_often(
    wanted: list[tuple[int, int | None]], requests: int
) -> None:
    texts = [f"500 after {n} {'' if t is None else f'x{t}'}" for n, t in wanted]
    faults = listed(*texts)
    outcomes = [taken(faults, "GET", "/") for _ in range(requests)]
    assert all(len(each) <= 1 for each in outcomes)
    counts = [happened for _, happened in faults.counts()]
    assert sum(counts) == sum(map(len, outcomes))
    for (_, times), happened in zip(wanted, counts, strict=True):
        assert times is None or happened <= times


@given(
    st.sampled_from(METHODS),
    st.sampled_from(STATES),
    st.integers(0, 99),
    st.integers(1, 9),
)
def test_parts_are_read_independently(
    method: str, state: str, spared: int, times: int
) -> None:
    text = f"{method} /a 503 retry-after={spared} while {state} after {spared} x{times}"
    fault = parse_fault(text)
    assert fault.path is not None
    assert (fault.method, fault.path.pattern, fault.state) == (method, "/a", state)
    assert (fault.retry_after, fault.spared, fault.times) == (spared, spared, times)
