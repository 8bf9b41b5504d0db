"""The service's API by any bytes: either it refuses them, or Nova did what is allowed.

The house behind the door is the sandbox. Before it, on the way from the filter, stands
whatever any Nova has been seen to read in its own way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from webob import Request

from rax_scheduled_images_ext.errors import MalformedTag
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    read_schedule_tags,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery
from rax_scheduled_images_ext.service.api.paste_filter import filter_factory
from rax_scheduled_images_ext.service.api.upstream import Upstream

from .clouds import PROXIED_ROLES
from .fleet import MYSERVER
from .raw import Box, Caller

VALUE = f"{MARKER_TAG}:daily:7"
#: Sends a method, a target, headers and a body; returns the status of the answer.
Door = Callable[[str, str, dict[str, str], bytes], int]


def liberal(nova: Any) -> Any:
    """Read what Novas have been seen to read besides what is written.

    Their router obeys ``_method``, and a pattern of it ends before a line feed; older
    ones take a suffix for a format.
    """

    def read(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        form: dict[str, list[str]] = {}
        if "form" in environ.get("CONTENT_TYPE", ""):
            length = int(environ.get("CONTENT_LENGTH") or 0)
            form = parse_qs(environ["wsgi.input"].read(length).decode("latin-1"))
            environ["CONTENT_LENGTH"] = "0"
        method = (query.get("_method") or form.get("_method") or [None])[0]
        environ["REQUEST_METHOD"] = (method or environ["REQUEST_METHOD"]).upper()
        path = environ["PATH_INFO"].removesuffix("\n").removesuffix(".json")
        environ["PATH_INFO"] = path.replace("/os-volumes_boot", "/servers")
        answer: Iterable[bytes] = nova(environ, start_response)
        return answer

    return read


@pytest.fixture
def by_filter(cloud_box: Box) -> Callable[[str], Door]:
    """The filter, as a caller with a role sees it."""
    root = f"{cloud_box.sandbox.url}/compute"
    api = filter_factory({}, roles="rackspace")(liberal(Upstream(root, 2)))
    token = Caller(cloud_box.sandbox, "admin", cloud_box.session).token

    def door(role: str) -> Door:
        def send(method: str, target: str, headers: dict[str, str], body: bytes) -> int:
            known = {
                "X-Auth-Token": token,
                "X-Identity-Status": "Confirmed",
                "X-Roles": role,
            }
            request = Request.blank(f"/compute{target}", headers=headers | known)
            request.method = method
            request.body_file_raw.write(body)
            request.body_file_raw.seek(0)
            request.environ["CONTENT_LENGTH"] = str(len(body))
            return int(request.get_response(api).status_int)

        return send

    return door


@pytest.fixture
def by_proxy(cloud_box: Box) -> Iterator[Callable[[str], Door]]:
    """The proxy, as a user with a role sees it."""
    users = {"member": "creator", "reader": "observer"}
    address = urlsplit(cloud_box.admin.root)
    assert address.hostname is not None
    connection = HTTPConnection(address.hostname, address.port, timeout=60)

    def door(role: str) -> Door:
        token = cloud_box.as_(users[role]).token

        def send(method: str, target: str, headers: dict[str, str], body: bytes) -> int:
            sent = headers | {"X-Auth-Token": token, "Content-Length": str(len(body))}
            connection.request(method, f"/compute{target}", body, sent)
            answer = connection.getresponse()
            answer.read()
            return answer.status

        return send

    yield door
    connection.close()


# -- what is sent


def mostly(usual: Any, *odd: Any) -> st.SearchStrategy[Any]:
    """The usual more often than not: several odd things seldom come together."""
    return st.sampled_from([*[usual] * 3 * len(odd), *odd])


TAGS = st.sampled_from(
    [
        *(MARKER_TAG, VALUE, "web", MARKER_TAG.upper(), f"{MARKER_TAG} "),
        *(f"{MARKER_TAG}:daily:0", f"{MARKER_TAG}:", f"{MARKER_TAG}:weekly-monday:2"),
        *("sch\u00e9duled-images", f"{MARKER_TAG}\u200b", f"{MARKER_TAG}.json"),
    ]
)
NEW = {
    "name": "new",
    "flavorRef": "1",
    "imageRef": "BASE-IMAGE",
    "networks": "none",
}
TAG_LISTS = st.lists(TAGS, max_size=3)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7")


# Bodies that are nothing at all.
BYTES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [
            *(b"[" * 100_000, b'{"tags": NaN}', b"_method=DELETE", b"9" * 5000),
            b'{"image_schedule": {"retention": ' + b"[" * 900 + b"]" * 900 + b"}}",
        ]
    ),
)
CONTENT_TYPES = mostly(
    "application/json",
    *("", "text/plain", "application/x-www-form-urlencoded", "application/xml"),
    *(f"application/json; charset={each}" for each in (*ENCODINGS, "none", '"')),
    *("application/JSON", "multipart/form-data", "/;;=x"),
)
VERSIONS = mostly("2.60", "2.1", "2.26", "latest", "2.1,compute 2.60", "2.026")
ENCODED = mostly("", "identity", "gzip")


SERVER = f"/servers/{MYSERVER}"
ROOTS = mostly("/v2.1", "/v2.1/0a-f", "/v2.1/A_b", "//v2.1", "/v2", "/v2.1/v2")
ENDS = mostly("", "/", "%0A", ".json", "//", "%00", "%FF", "%2F")
QUERIES = mostly("", "?_method=DELETE", "?%5Fmethod=put&x=_method", "?a;_method=DELETE")
CONTENTS = {
    "tags": TAG_LISTS.map(lambda tags: {"tags": tags}),
    "server": TAG_LISTS.map(lambda tags: {"server": NEW | {"tags": tags}}),
    "schedule": st.sampled_from([1, 0, "2", "x"]).map(
        lambda number: {"image_schedule": {"retention": number}}
    ),
    "none": st.none(),
    "odd": st.sampled_from([[], {}, {"tags": None}, {"server": []}, {"tags": [1]}]),
}


@st.composite
def attempts(draw: Any) -> dict[str, Any]:
    """A request as it is meant to be, but for something here or there."""
    tag = quote(draw(TAGS))
    method, path, content = draw(
        st.sampled_from(
            [
                ("PUT", f"{SERVER}/tags", "tags"),
                ("DELETE", f"{SERVER}/tags", "none"),
                ("PUT", f"{SERVER}/tags/{tag}", "none"),
                ("DELETE", f"{SERVER}/tags/{tag}", "none"),
                ("POST", f"{SERVER}/rax-si-image-schedule", "schedule"),
                ("DELETE", f"{SERVER}/rax-si-image-schedule", "none"),
                ("POST", "/servers", "server"),
                ("POST", "/os-volumes_boot", "server"),
            ]
        )
    )
    method = draw(mostly(method, method.lower(), "GET", "HEAD", "PUT", "POST", "PATCH"))
    kind = draw(mostly(content, *CONTENTS))
    return {
        "method": method,
        "target": draw(ROOTS) + path + draw(ENDS) + draw(QUERIES),
        "version": draw(VERSIONS),
        "content_type": draw(CONTENT_TYPES),
        "encoded": draw(ENCODED),
        "body": draw(BYTES) if draw(mostly(False, True)) else draw(written(kind)),
    }


@st.composite
def written(draw: Any, kind: str) -> bytes:
    """JSON in some encoding, as it is read in one place or in another."""
    content = draw(CONTENTS[kind])
    if content is None:
        return b""
    text = json.dumps(content, ensure_ascii=draw(st.booleans()))
    if isinstance(content, dict) and draw(mostly(False, True)):
        key = next(iter(content), "tags")
        other = json.dumps(draw(st.one_of(TAG_LISTS, st.none())))
        text = f'{{"{key}": {other}, {text[1:]}'
    return text.encode(draw(mostly(*ENCODINGS)), "replace")


ROLES = st.sampled_from(["member", "member", "reader"])
BEFORE = st.sampled_from(
    [
        *([], ["web"], [VALUE], [MARKER_TAG, VALUE]),
        *([MARKER_TAG], [MARKER_TAG, f"{MARKER_TAG}:daily:0", "web"]),
    ]
)


def check(
    cloud: Sandbox,
    door: Callable[[str], Door],
    *,
    before: list[str],
    role: str,
    method: str,
    target: str,
    version: str,
    content_type: str,
    encoded: str,
    body: bytes,
) -> None:
    """See that a request has done nothing that its caller may not do."""
    with cloud.region() as region:
        region.servers.set_tags(MYSERVER, before)
        known = {server.id for server in region.servers.select(ServerQuery())}
        image = region.servers.get(MYSERVER).image_id
    for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
        written_ = "BASE-IMAGE".encode(encoding)
        body = body.replace(written_, image.encode(encoding))
    headers = {"OpenStack-API-Version": f"compute {version}"}
    headers |= {"Content-Type": content_type} if content_type else {}
    headers |= {"Content-Encoding": encoded} if encoded else {}
    status = door(role)(method, target, headers, body)
    assert status < 500
    with cloud.region() as region:
        after = list(region.servers.get(MYSERVER).tags)
        new = [s for s in region.servers.select(ServerQuery()) if s.id not in known]
        tags_of_new = [list(server.tags) for server in new]
        for server in new:
            region.servers.delete(server.id)
    if status >= 300:
        assert (sorted(after), tags_of_new) == (sorted(before), [])
    for tags in filter(_own, tags_of_new):
        assert (role, _state([MARKER_TAG, *tags])) == ("member", "valid")
        assert all(map(_is_exact, _own(tags)))
    if role == "reader":
        assert _own(after) == _own(before)
        return
    # A member may set, and not remove.
    if _state(before) == "invalid" and _state(after) == "invalid":
        assert set(_own(before)) <= set(_own(after))
    else:
        assert (
            _state(after)
            in {
                "none": ("none", "valid"),
                "valid": ("valid",),
                "invalid": ("valid",),
            }[_state(before)]
        )
    assert all(_is_exact(tag) for tag in set(_own(after)) - set(_own(before)))
    if "rax-si-image-schedule" not in target:
        assert set(_own(before)) <= set(_own(after))


def _own(tags: list[str]) -> list[str]:
    """The tags that are a schedule's, or that somebody could take for one."""
    return sorted(t for t in tags if "duled-images" in t.casefold())


def _state(tags: list[str]) -> str:
    try:
        return "none" if read_schedule_tags(tags) is None else "valid"
    except MalformedTag:
        return "invalid"


def _is_exact(tag: str) -> bool:
    return tag == MARKER_TAG or _state([MARKER_TAG, tag]) == "valid"


REST: dict[str, Any] = {
    "version": "2.60",
    "content_type": "application/json",
    "encoded": "",
    "body": b"",
}
SCHEDULED = [MARKER_TAG, VALUE]
PATH = f"/v2.1/servers/{MYSERVER}/tags"
EXAMPLES: tuple[dict[str, Any], ...] = (
    {"method": "GET", "target": f"{PATH}?_method=DELETE"},
    {"method": "GET", "target": f"{PATH}/{MARKER_TAG}?%5Fmethod=delete&x=_method"},
    {"method": "DELETE", "target": f"{PATH}%0A"},
    {"method": "DELETE", "target": f"{PATH}/{MARKER_TAG}%0A"},
    {"method": "DELETE", "target": f"{PATH}/{MARKER_TAG}.json"},
    {"method": "DELETE", "target": f"{PATH}.json"},
    {"method": "delete", "target": PATH},
    {"method": "DELETE", "target": PATH.replace("servers", "A_b/servers")},
    {"method": "PUT", "target": PATH, "body": '{"tags": []}'.encode("utf-16")},
    {"method": "PUT", "target": PATH, "body": b'\xef\xbb\xbf{"tags": []}'},
    {
        "method": "PUT",
        "target": PATH,
        "body": b'{"tags": []}',
        "content_type": "application/json; charset=utf-7",
    },
    {
        "method": "PUT",
        "target": PATH,
        "body": b'{"tags": []}',
        "content_type": "application/json; charset=none",
    },
    {"method": "PUT", "target": f"{PATH}/{MARKER_TAG}:daily:0"},
    {"method": "PUT", "target": PATH, "body": b"[" * 100_000},
    {
        "method": "POST",
        "target": f"/v2.1/servers/{MYSERVER}/rax-si-image-schedule",
        "body": b"[" * 100_000,
    },
    {
        "method": "POST",
        "target": f"{PATH}/x",
        "body": b"_method=DELETE",
        "content_type": "application/x-www-form-urlencoded",
    },
)


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
@pytest.mark.parametrize("given_", EXAMPLES, ids=range(len(EXAMPLES)))
@pytest.mark.parametrize("role", ["member", "reader"])
def test_what_has_been_tried_on_the_filter(
    cloud: Sandbox,
    by_filter: Callable[[str], Door],
    given_: dict[str, Any],
    role: str,
) -> None:
    check(cloud, by_filter, role=role, before=SCHEDULED, **(REST | given_))


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
@settings(
    max_examples=3 * settings().max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(before=BEFORE, role=ROLES, request=attempts())
def test_the_filter_lets_through_what_is_allowed(
    cloud: Sandbox,
    by_filter: Callable[[str], Door],
    before: list[str],
    role: str,
    request: Any,
) -> None:
    check(cloud, by_filter, before=before, role=role, **request)


@pytest.mark.parametrize("cloud", [PROXIED_ROLES], indirect=True)
@settings(
    max_examples=3 * settings().max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(before=BEFORE, role=ROLES, request=attempts())
def test_the_proxy_lets_through_what_is_allowed(
    cloud: Sandbox,
    by_proxy: Callable[[str], Door],
    before: list[str],
    role: str,
    request: Any,
) -> None:
    check(cloud, by_proxy, before=before, role=role, **request)
