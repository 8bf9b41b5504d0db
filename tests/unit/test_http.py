"""One request: retry_policy with a busy service, and answers that make no sense."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.client.http import (
    ApiResponse,
    RetryPolicy,
    Transport,
    path,
    resource_id,
    shortened,
)
from rax_scheduled_images_ext.errors import ApiError, InvalidValue, UnexpectedAnswer


def response(
    status: int, body: Any = None, headers: Mapping[str, str] | None = None
) -> requests.Response:
    """What an adapter returns; a body of bytes is taken for itself."""
    answer = requests.Response()
    answer.status_code = status
    answer.headers.update(headers or {})
    is_json = body is not None and not isinstance(body, bytes)
    answer._content = json.dumps(body).encode() if is_json else body or b""
    return answer


@dataclass
class Scripted:
    """An adapter without a network: it gives the answers it was given."""

    answers: list[requests.Response]
    asked: list[str] = field(default_factory=list)

    def request(self, url: str, method: str, **_options: Any) -> Any:
        self.asked.append(f"{method} {url}")
        return self.answers.pop(0)


@dataclass
class Watch:
    """Time that only waiting moves."""

    waits: list[float] = field(default_factory=list)

    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(sleep=self.waits.append, clock=lambda: 1_600_000_000.0)


def answer(status: int, body: Any = None, **headers: str) -> ApiResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return transport(Scripted([response(status, body, names)])).get("/servers/1")


def transport(adapter: Scripted, retry: RetryPolicy | None = None) -> Transport:
    return Transport(cast("Any", adapter), retry=retry or RetryPolicy(tries=1))


@pytest.mark.parametrize("status", [413, 429, 503])
def test_a_busy_service_is_asked_again_when_it_says(status: int) -> None:
    watch = Watch()
    client = Scripted(
        [response(status, headers={"Retry-After": "3"}), response(200, {})]
    )
    assert transport(client, watch.retry_policy()).get("/x").status == 200
    assert (watch.waits, len(client.asked)) == ([3.0], 2)


def test_a_date_to_come_again_is_understood() -> None:
    watch = Watch()
    headers = {"Retry-After": "Sun, 13 Sep 2020 12:26:45 GMT"}
    client = Scripted([response(503, headers=headers), response(200, {})])
    transport(client, watch.retry_policy()).get("/x")
    assert watch.waits == [5.0]


@pytest.mark.parametrize("status", [413, 429, 503])
@pytest.mark.parametrize(
    "headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "-1"}]
)
def test_a_busy_service_that_does_not_say_when_is_not_asked_again(
    status: int, headers: dict[str, str]
) -> None:
    watch = Watch()
    client = Scripted([response(status, headers=headers)])
    assert transport(client, watch.retry_policy()).get("/x").status == status
    assert watch.waits == []


@pytest.mark.parametrize("status", [400, 403, 404, 409, 500, 502])
def test_no_other_status_is_tried_again(status: int) -> None:
    client = Scripted([response(status, headers={"Retry-After": "1"})])
    assert transport(client, Watch().retry_policy()).get("/x").status == status


def test_patience_ends_after_five_tries() -> None:
    watch = Watch()
    busy = {"overLimit": {"message": "Too many requests"}}
    client = Scripted([response(429, busy, {"Retry-After": "0"}) for _ in range(9)])
    with pytest.raises(ApiError) as told:
        transport(client, watch.retry_policy()).get("/x")
    assert str(told.value) == "Too many requests; gave up after 5 tries (HTTP 429)"
    assert len(client.asked) == 5


@pytest.mark.parametrize(("waits", "asked"), [(["61"], 1), (["40", "21"], 2)])
def test_patience_ends_where_the_waits_would_be_longer_than_a_minute(
    waits: list[str], asked: int
) -> None:
    client = Scripted([response(413, headers={"Retry-After": wait}) for wait in waits])
    with pytest.raises(ApiError, match="asks to retry in") as told:
        transport(client, Watch().retry_policy()).get("/x")
    assert (told.value.status, told.value.retry_after) == (413, waits[-1])
    assert len(client.asked) == asked


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"itemNotFound": {"message": "No such thing.", "code": 404}},
            "No such thing.",
        ),
        ({"message": "Gone<br /><br />\n\n\n", "code": "404 Not Found"}, "Gone"),
        ({"forbidden": {"message": "a\n\x1b[31mb"}}, r"a \x1b[31mb"),
    ],
)
def test_a_refusal_is_reported_in_the_services_words_on_one_line(
    body: Any, text: str
) -> None:
    assert str(answer(404, body).error()) == f"{text} (HTTP 404)"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (None, "empty"),
        (b"<html><title>404 Not Found</title></html>", "text/html"),
        ([], "JSON of type list"),
        ({}, "JSON of type dict"),
        ({"error": None}, "JSON of type dict"),
        ({"error": {"message": 5}}, "JSON of type dict"),
        ({"error": {"message": " "}}, "JSON of type dict"),
        ("text", "JSON of type str"),
    ],
)
def test_a_refusal_without_a_reason_says_so(body: Any, kind: str) -> None:
    error = answer(404, body, content_type="text/html; charset=UTF-8").error()
    assert (error.status, error.method, error.path) == (404, "GET", "/servers/1")
    assert str(error) == (
        "The compute service refused GET /servers/1 without a readable reason"
        f" (the content is {kind}) (HTTP 404)"
    )


@pytest.mark.parametrize("header", ["x_compute_request_id", "x_openstack_request_id"])
def test_a_refusal_names_the_request(header: str) -> None:
    error = answer(500, {"fault": {"message": "Oops"}}, **{header: "req-1"}).error()
    assert str(error) == "Oops (HTTP 500) (Request-ID: req-1)"


def test_foreign_text_is_cut_to_what_can_be_read() -> None:
    assert shortened("x" * 1000) == "x" * 300 + "..."


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            answer(200, b"<html>", content_type="text/html"),
            "the content is text/html, not a JSON object",
        ),
        (
            answer(200, b'{"a": ', content_type="application/json"),
            "the content is unreadable, not a JSON object",
        ),
        (answer(204), "the content is empty, not a JSON object"),
        (answer(200, [1]), "the content is JSON of type list, not a JSON object"),
        (answer(304), "that is neither a success nor an error"),
    ],
)
def test_a_success_that_makes_no_sense_is_an_error(
    given: ApiResponse, problem: str
) -> None:
    with pytest.raises(UnexpectedAnswer) as told:
        given.document()
    assert str(told.value) == (
        "The compute service answered GET /servers/1 with"
        f" {given.status}, but {problem}"
    )
    assert (told.value.method, told.value.path) == ("GET", "/servers/1")


@pytest.mark.parametrize("given", [answer(202), answer(204), answer(200, {})])
def test_success_needs_no_content_where_none_is_due(given: ApiResponse) -> None:
    given.empty()


def test_a_page_instead_of_no_content_is_not_success() -> None:
    with pytest.raises(UnexpectedAnswer, match="the content is text/html, not JSON"):
        answer(202, b"<html>", content_type="text/html").empty()


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize(("failures", "asked"), [(1, 2), (2, 3), (3, 3)])
def test_a_read_is_repeated_if_that_is_wanted(
    status: int, failures: int, asked: int
) -> None:
    watch = Watch()
    answers = [response(status) for _ in range(failures)]
    client = Scripted([*answers, response(200, {})])
    policy = replace(watch.retry_policy(), reads=2)
    found = transport(client, policy).get("/x").status
    assert (found == 200) == (failures <= 2)
    assert len(client.asked) == asked
    assert watch.waits == [2.0] * (asked - 1)


@pytest.mark.parametrize(("method", "status"), [("POST", 503), ("GET", 500)])
def test_nothing_else_is_repeated(method: str, status: int) -> None:
    client = Scripted([response(status), response(200, {})])
    policy = RetryPolicy(reads=2)
    assert transport(client, policy).send(method, "/x").status == status


def test_pages_are_followed_by_their_query_alone() -> None:
    client = Scripted(
        [
            response(200, {"next": "http://elsewhere/steal?marker=1&limit=2"}),
            response(200, {"next": "/v2/x?marker=2"}),
            response(200, {}),
        ]
    )
    pages = transport(client).pages(
        "/x", {"limit": 2}, lambda a: a.document().get("next")
    )
    assert len(list(pages)) == 3
    assert client.asked == [
        "GET /x?limit=2",
        "GET /x?marker=1&limit=2",
        "GET /x?marker=2",
    ]


def test_a_page_that_was_handled_is_gone_when_the_next_one_is_read() -> None:
    """Pages take megabytes: two at once would be most of the memory of a list."""
    known: list[weakref.ref[ApiResponse]] = []
    kept: list[bool] = []

    class Watched(Scripted):
        def request(self, url: str, method: str, **options: Any) -> Any:
            kept.extend(each() is not None for each in known)
            return super().request(url, method, **options)

    answers = [response(200, {"next": f"/x?marker={n}"}) for n in range(2)]
    pages = transport(Watched([*answers, response(200, {})])).pages(
        "/x", {}, lambda a: a.document().get("next")
    )
    for page in pages:
        known.append(weakref.ref(page))
        del page
    assert kept == [False] * 3


@dataclass
class Paged:
    """An adapter without a network: it answers each query with its page."""

    pages: Mapping[str, Any]
    asked: list[str] = field(default_factory=list)

    def request(self, url: str, method: str, **_options: Any) -> Any:
        query = url.partition("?")[2]
        self.asked.append(query)
        if query not in self.pages:
            return response(400, {"badRequest": {"message": "no such marker"}})
        return response(200, self.pages[query])


ANY_TEXT = st.text(max_size=8) | st.sampled_from(
    ["/x?marker=0", "/x?marker=1", "/x?marker=9", '"/x?marker=2"', "?marker=\\"]
)
# What may stand before, in and behind the link.
ANY_PARTS = st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3)


@given(st.lists(st.tuples(ANY_PARTS, ANY_PARTS, st.booleans()), max_size=5))
def test_pages_are_the_same_whether_they_are_read_ahead(
    parts: list[tuple[dict[str, str], dict[str, str], bool]],
) -> None:
    """Whatever the pages contain; what is guessed wrongly is not used."""
    pages: dict[str, Any] = {}
    for number, (before, after, escaped) in enumerate(parts):
        link = f"/x?marker={number + 1}" + ("&é" if escaped else "")
        follows = {"next": link} if number + 1 < len(parts) else {}
        query = f"marker={number}" if number else ""
        if number and parts[number - 1][2]:
            query += "&é"
        pages[query] = {"own": before, **follows, "further": after}
    pages.setdefault("", {})

    def read(*, ahead: bool) -> tuple[list[Any], list[str]]:
        client = Paged(pages)
        found = transport(cast("Any", client)).pages(
            "/x", {}, lambda a: a.document().get("next"), ahead=ahead
        )
        return [each.document() for each in found], client.asked

    bodies, asked = read(ahead=False)
    ahead, asked_ahead = read(ahead=True)
    assert ahead == bodies == list(pages.values())
    assert set(asked) <= set(asked_ahead)
    # At most one is guessed wrongly for each page.
    assert len(asked_ahead) <= 2 * len(asked)


@pytest.mark.parametrize(
    "text",
    [
        "/x?marker=9",
        "/x?marker=9&limit=3",
        "/x?limit=2&marker=9&owner=me",
        "/x?limit=2&marker=9\n",
        "/x?limit=2&é&marker=9",
        "?" * 1000 + " marker=" * 240 + "\n",
    ],
)
def test_what_somebody_writes_into_an_image_is_not_requested(text: str) -> None:
    client = Paged({"limit=2": {"images": [{"hostile": text}]}})
    pages = transport(cast("Any", client)).pages(
        "/x", {"limit": 2}, lambda a: a.document().get("next"), ahead=True
    )
    assert len(list(pages)) == 1
    assert client.asked == ["limit=2"]


def test_a_page_is_requested_before_the_one_before_is_parsed() -> None:
    pages = {
        "a=b%3Ac": {"images": [1], "next": "/v2/x?marker=1&a=b:c", "schema": "/v2/s"},
        "marker=1&a=b:c": {"x_links": [{"rel": "next", "href": "/x?a=b:c&marker=2"}]},
        "a=b:c&marker=2": {"first": "/v2/images?limit=1"},
    }
    client = Paged(pages)
    known: list[list[str]] = []

    def link(page: ApiResponse) -> str | None:
        known.append(list(client.asked))
        following = dict(zip(pages, list(pages)[1:], strict=False))
        return (query := following.get(page.path.partition("?")[2])) and f"/x?{query}"

    query = {"a": "b:c"}
    for _ in transport(cast("Any", client)).pages("/x", query, link, ahead=True):
        pass
    queries = list(pages)
    assert known == [queries[:2], queries, queries]
    assert client.asked == queries


def test_no_page_is_requested_once_there_is_enough() -> None:
    client = Paged({"": {"next": "/x?marker=1"}, "marker=1": {}})
    pages = transport(cast("Any", client)).pages(
        "/x", {}, lambda a: a.document().get("next"), ahead=True, enough=lambda: True
    )
    assert len(list(pages)) == 1
    assert client.asked == [""]


def test_pages_that_go_in_a_circle_are_an_error() -> None:
    client = Scripted([response(200, {"next": "/x?marker=1"}) for _ in range(5)])
    with pytest.raises(UnexpectedAnswer, match="its next page has been read before"):
        list(transport(client).pages("/x", {}, lambda a: a.document().get("next")))
    assert len(client.asked) == 2


def test_an_address_quotes_what_people_gave() -> None:
    assert path("images", "a/../b", "ö?") == "/images/a%2F..%2Fb/%C3%B6%3F"


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_an_address_has_no_segment_that_means_another(segment: str) -> None:
    with pytest.raises(InvalidValue, match="cannot be part of a URL"):
        path("images", "1", "metadata", segment)


UUID_TEXT = "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6"


@pytest.mark.parametrize(
    "resource",
    [
        UUID_TEXT,
        UUID_TEXT.encode(),
        UUID(UUID_TEXT),
        SimpleNamespace(id=UUID_TEXT),
        SimpleNamespace(id=UUID_TEXT.encode()),
    ],
)
def test_a_resource_is_an_object_or_its_id_as_text_or_bytes(resource: object) -> None:
    assert resource_id(resource) == UUID_TEXT
