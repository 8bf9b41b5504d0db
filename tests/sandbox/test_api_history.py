"""The history of a server: pages and times, as Nova has them."""

from __future__ import annotations

from typing import Any

import pytest

from ..functional.raw import START, Box, Caller

V = "2.66"


@pytest.fixture
def history(cloud_box: Box, admin: Caller, server: str) -> list[str]:
    """The requests of five actions, a day apart, the newest first."""
    for _ in range(2):
        for action in ({"os-stop": None}, {"os-start": None}):
            cloud_box.sandbox.advance("1d")
            assert admin.post(f"{server}/action", action).status_code == 202
    return ids(admin.get(f"{server}/os-instance-actions").json())


def ids(body: Any) -> list[str]:
    return [action["request_id"] for action in body["instanceActions"]]


def ask(admin: Caller, server: str, version: str = V, **query: Any) -> Any:
    url = f"{server}/os-instance-actions"
    words = {name.replace("_", "-"): value for name, value in query.items()}
    return admin.get(url, params=words, version=version)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_pages(admin: Caller, server: str, history: list[str], size: int) -> None:
    assert len(history) == 5
    found, body = [], ask(admin, server, limit=size).json()
    while True:
        assert len(body["instanceActions"]) <= size
        found += ids(body)
        if "links" not in body:
            break
        (link,) = body["links"]
        assert link["rel"] == "next"
        body = admin.get(link["href"], version=V).json()
    assert found == history


def test_a_marker(admin: Caller, server: str, history: list[str]) -> None:
    assert ids(ask(admin, server, marker=history[2]).json()) == history[3:]
    unknown = ask(admin, server, marker="req-nothing")
    assert unknown.status_code == 400
    assert "could not be found" in unknown.json()["badRequest"]["message"]


@pytest.mark.parametrize("limit", ["-1", "x", ""])
def test_not_a_limit(admin: Caller, server: str, limit: str) -> None:
    assert ask(admin, server, limit=limit).status_code == 400


def test_times(admin: Caller, server: str, history: list[str]) -> None:
    assert START == 1767614400.0, "noon of 2026-01-05"
    moment = "2026-01-08T00:00:00Z"
    assert ids(ask(admin, server, changes_since=moment).json()) == history[:2]
    assert ids(ask(admin, server, changes_before=moment).json()) == history[2:]
    both = ask(
        admin, server, changes_since="2026-01-07T00:00:00Z", changes_before=moment
    )
    assert ids(both.json()) == history[2:3]
    assert ask(admin, server, changes_since="soon").status_code == 400
    turned = ask(admin, server, changes_since=moment, changes_before="2026-01-01")
    assert turned.status_code == 400


def test_a_marker_need_not_be_in_the_time(
    admin: Caller, server: str, history: list[str]
) -> None:
    moment = "2026-01-08T00:00:00Z"
    found = ask(admin, server, marker=history[0], changes_before=moment).json()
    assert ids(found) == history[2:]


def test_a_reported_time_finds_its_action(
    cloud_box: Box, admin: Caller, server: str
) -> None:
    url = f"{server}/os-instance-actions"
    for action in ("os-stop", "os-start") * 10:
        # Like most times, it is not a whole number of microseconds.
        cloud_box.sandbox.advance(1 / 3)
        admin.post(f"{server}/action", {action: None})
        newest = admin.get(url, version=V).json()["instanceActions"][0]
        for word in ("changes_since", "changes_before"):
            found = ask(admin, server, **{word: newest["updated_at"]}).json()
            assert newest["request_id"] in ids(found), newest


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("limit=1&limit=2", "['1', '2'] is too long"),
        ("marker=a&marker=b", "['a', 'b'] is too long"),
        ("changes-since=2026-01-01&changes-since=2026-01-01", "is too long"),
    ],
)
def test_each_word_is_given_once(
    admin: Caller, server: str, query: str, why: str
) -> None:
    url = f"{server}/os-instance-actions?{query}"
    answer = admin.get(url, version=V)
    assert answer.status_code == 400
    assert why in answer.json()["badRequest"]["message"]
    assert admin.get(url, version="2.57").status_code == 200


def test_mistakes_are_reported_before_the_server_is_looked_up(admin: Caller) -> None:
    assert ask(admin, "/servers/none", limit="-1").status_code == 400
    assert ask(admin, "/servers/none", changes_since="soon").status_code == 400
    assert ask(admin, "/servers/none", marker="none").status_code == 404


def test_another_servers_action_marks_nothing(
    admin: Caller, server: str, history: list[str]
) -> None:
    (theirs,) = ids(ask(admin, f"/servers/{admin.server_id('web1')}").json())
    assert ask(admin, server, marker=theirs).status_code == 400


def test_older_versions(admin: Caller, server: str, history: list[str]) -> None:
    assert ids(ask(admin, server, "2.57", limit=1, marker="x").json()) == history
    assert ids(ask(admin, server, "2.58", limit=1).json()) == history[:1]
    assert ask(admin, server, "2.65", changes_before="2026-01-03").status_code == 400
