"""Requests to Nova v2.1."""

from __future__ import annotations

from typing import Any

from .case import Case

_META = {"a": "1", "b": "2"}
_LONG = "x" * 256


def _get(path: str, note: str = "", **more: Any) -> Case:
    return Case("compute", "GET", path, note, **more)


def _send(method: str, path: str, body: Any, note: str = "", **more: Any) -> Case:
    return Case("compute", method, path, note, body=body, **more)


def _act(body: Any, note: str, **more: Any) -> Case:
    server = more.pop("server", "{server}")
    return _send("POST", f"/servers/{server}/action", body, note, **more)


def _boot(note: str, version: str = "2.90", **changes: Any) -> Case:
    server = {
        "name": "{run}-never",
        "imageRef": "{base}",
        "flavorRef": "{flavor}",
        "networks": "none",
        **changes,
    }
    given = {key: value for key, value in server.items() if value is not None}
    return _send("POST", "/servers", {"server": given}, note, version=version)


VERSIONS = (
    Case("compute root", "GET", "/", "versions", who="nobody", show=("versions.*.id",)),
    _get("/", "version", who="nobody", show=("version.id", "version.status")),
    _get("/", "version", show=("version.min_version", "version.version")),
    _get("/servers?name={run}-server", version="2.1"),
    _get("/servers?name={run}-server", version="latest"),
    _get("/servers?name={run}-server", version="2.9999"),
    _get("/servers?name={run}-server", version="1.0"),
    _get("/servers?name={run}-server", version="2"),
    _get("/servers?name={run}-server", version="abc"),
    _get(
        "/servers?name={run}-server",
        "new header only",
        headers={"OpenStack-API-Version": "compute 2.60"},
    ),
    _get(
        "/servers?name={run}-server",
        "old header only",
        headers={"X-OpenStack-Nova-API-Version": "2.20"},
    ),
    _get(
        "/servers?name={run}-server",
        "another service's version",
        headers={"OpenStack-API-Version": "volume 3.60"},
    ),
)

TOKENS = (
    _get("/servers", who="nobody"),
    _get("/servers", who="liar"),
    _get("/servers/{server}", who="reader", version="2.1"),
    _get("/servers/{server}", who="stranger", version="2.1"),
    _send("DELETE", "/servers/{server}", None, who="stranger"),
    _send("DELETE", "/servers/{server}", None, who="reader"),
    _act({"createImage": {"name": "{run}-no"}}, "by a reader", who="reader"),
    _act({"createImage": {"name": "{run}-no"}}, "by a stranger", who="stranger"),
    _send("PUT", "/servers/{server}", {"server": {"name": "x"}}, who="reader"),
    _get("/nothing"),
    _get("/nothing", who="nobody"),
    _get("/{project}/servers?name={run}-server", "project in the path"),
    _get("/{nothing_hex}/servers?name={run}-server", "another project in the path"),
)

SERVERS = (
    *(
        _get(
            "/servers/{server}", version=version, show=("server.name", "server.status")
        )
        for version in (
            *("2.1", "2.3", "2.9", "2.16", "2.19", "2.26", "2.46", "2.47", "2.48"),
            *("2.54", "2.63", "2.69", "2.71", "2.73", "2.90", "2.96", "latest"),
        )
    ),
    _get("/servers/detail?name={run}-server", version="2.1"),
    _get("/servers/detail?name={run}-server", version="2.47"),
    _get("/servers/detail?name={run}-server", version="2.96"),
    _get("/servers/{missing}"),
    _get("/servers/{gone}", "a deleted server"),
    _get("/servers/nonsense"),
    _get("/servers/{server}/nothing"),
    _send("PATCH", "/servers/{server}", {}, "unknown method"),
    _send("DELETE", "/servers/{missing}", None),
    _send("DELETE", "/servers/{gone}", None, "a deleted server"),
    _send("PUT", "/servers/{server}", {"server": {"name": "{run}-server"}}),
    _send(
        "PUT",
        "/servers/{server}",
        {"server": {"name": "{run}-server"}},
        version="2.90",
    ),
    _send("PUT", "/servers/{server}", {"server": {"name": ""}}, "empty name"),
    _send("PUT", "/servers/{server}", {"server": {"name": _LONG}}, "long name"),
    _send("PUT", "/servers/{server}", {"server": {"name": " x "}}, "spaces around"),
    _send("PUT", "/servers/{server}", {"server": {"nothing": 1}}, "unknown attribute"),
    _send("PUT", "/servers/{server}", {}, "nothing"),
    _send("PUT", "/servers/{server}", [], "a list"),
    _send("PUT", "/servers/{missing}", {"server": {"name": "x"}}),
    _send(
        "PUT",
        "/servers/{server}",
        {"server": {"description": "x"}},
        "description too early",
        version="2.18",
    ),
    _send(
        "PUT",
        "/servers/{server}",
        b"{",
        "not JSON",
        headers={"Content-Type": "application/json"},
    ),
    _send(
        "PUT",
        "/servers/{server}",
        b"<server/>",
        "XML",
        headers={"Content-Type": "application/xml"},
    ),
)

LISTS = (
    _get("/servers?name=^{run}-server$", version="2.1", show=("servers.*.name",)),
    _get("/servers?name=no-such-server-anywhere", show=("servers",)),
    _get("/servers?name=(", "bad expression"),
    _get("/servers/detail?name={run}", "all of ours", show=("servers.*.name",)),
    _get("/servers?limit=1&name={run}", "a page", show=("servers.*.name",)),
    _get("/servers?limit=0&name={run}", show=("servers",)),
    _get("/servers?limit=-1"),
    _get("/servers?limit=x"),
    _get("/servers?limit="),
    _get("/servers?limit=1.5"),
    _get("/servers?marker={server}&name={run}", show=("servers.*.name",)),
    _get("/servers?marker={missing}"),
    _get("/servers?marker=x"),
    _get("/servers/detail?limit=-1"),
    _get("/servers/detail?marker={missing}"),
    _get("/servers?changes-since=yesterday"),
    _get("/servers?changes-since="),
    _get("/servers?changes-since=2000-01-01"),
    _get(
        "/servers/detail?changes-since=2000-01-01T00:00:00Z&name={run}-gone",
        show=("servers.*.name", "servers.*.status", "servers.*.OS-EXT-STS:vm_state"),
    ),
    _get("/servers?changes-before=2000-01-01T00:00:00Z", version="2.65"),
    _get("/servers?changes-before=2000-01-01T00:00:00Z", version="2.66"),
    _get("/servers?status=ACTIVE&name={run}", show=("servers.*.name",)),
    _get("/servers?status=active&name={run}", show=("servers.*.name",)),
    _get("/servers?status=nonsense", show=("servers",)),
    _get("/servers?status=DELETED"),
    _get("/servers?deleted=True&name={run}-gone", "not an admin"),
    _get("/servers?image={base}&name={run}", show=("servers.*.name",)),
    _get("/servers?image={missing}", show=("servers",)),
    _get("/servers?flavor={flavor}&name={run}", show=("servers.*.name",)),
    _get(
        "/servers?uuid={missing}&name={run}", "not an admin", show=("servers.*.name",)
    ),
    _get("/servers?unknown=1&name={run}", show=("servers.*.name",)),
    _get("/servers?unknown=1&name={run}", version="2.75"),
    _get("/servers?sort_key=name&sort_dir=asc&name={run}", show=("servers.*.name",)),
    _get("/servers?sort_key=display_name&sort_dir=desc&name={run}"),
    _get("/servers?sort_key=nonsense"),
    _get("/servers?sort_key=created_at&sort_dir=sideways"),
    _get("/servers?all_tenants=1&name={run}", "not an admin"),
    _get("/servers?all_tenants=nonsense"),
    _get("/servers?limit=1&limit=2&name={run}", show=("servers.*.name",)),
)

METADATA = (
    _get("/servers/{server}/metadata", show=("metadata",)),
    _send("PUT", "/servers/{server}/metadata", {"metadata": _META}, show=("metadata",)),
    _send(
        "POST",
        "/servers/{server}/metadata",
        {"metadata": {"b": "3"}},
        show=("metadata",),
    ),
    _get("/servers/{server}/metadata/a", show=("meta",)),
    _get("/servers/{server}/metadata/nothing"),
    _send("PUT", "/servers/{server}/metadata/a", {"meta": {"a": "9"}}, show=("meta",)),
    _send("PUT", "/servers/{server}/metadata/a", {"meta": {"b": "9"}}, "key mismatch"),
    _send("PUT", "/servers/{server}/metadata/a", {"meta": {}}, "no key"),
    _send(
        "PUT", "/servers/{server}/metadata/a", {"metadata": {"a": "1"}}, "wrong word"
    ),
    _send("DELETE", "/servers/{server}/metadata/a", None),
    _send("DELETE", "/servers/{server}/metadata/a", None, "again"),
    _send("POST", "/servers/{server}/metadata", {"metadata": {"": "1"}}, "empty key"),
    _send("POST", "/servers/{server}/metadata", {"metadata": {_LONG: "1"}}, "long key"),
    _send(
        "POST", "/servers/{server}/metadata", {"metadata": {"a": _LONG}}, "long value"
    ),
    _send("POST", "/servers/{server}/metadata", {"metadata": {"a/b": "1"}}, "slash"),
    _send("POST", "/servers/{server}/metadata", {"metadata": {"é": "1"}}, "not ASCII"),
    _send("POST", "/servers/{server}/metadata", {"metadata": {"a": 1}}, "a number"),
    _send("POST", "/servers/{server}/metadata", {"metadata": {"a": None}}, "null"),
    _send("POST", "/servers/{server}/metadata", {"metadata": []}, "a list"),
    _send("POST", "/servers/{server}/metadata", {"nothing": {}}, "nothing"),
    _send(
        "POST",
        "/servers/{server}/metadata",
        {"metadata": {f"key{number}": "x" for number in range(129)}},
        "too many",
    ),
    _get("/servers/{missing}/metadata"),
    _send("PUT", "/servers/{server}/metadata", {"metadata": {}}, "none at all"),
)

_TAGS = "/servers/{server}/tags"


def _tag(method: str, path: str = "", note: str = "", **more: Any) -> Case:
    more.setdefault("version", "2.52")
    return Case("compute", method, f"{_TAGS}{path}", note, **more)


def _tagged(query: str, **more: Any) -> Case:
    more.setdefault("version", "2.52")
    query = f"name={{run}}&{query}"
    return _get(f"/servers?{query}", show=("servers.*.name",), **more)


TAGS = (
    _tag("GET", version="2.25"),
    _tag("PUT", "/a", version="2.25"),
    _tag("GET", show=("tags",)),
    _tag("GET", "/a", "not there"),
    _tag("DELETE", "/a", "not there"),
    _tag("PUT", "/a"),
    _tag("PUT", "/a", "again"),
    _tag("PUT", "/b.c:d-e", version="2.26"),
    _tag("PUT", "/%C3%A9", "not ASCII"),
    _tag("GET", "/a"),
    _tag("GET", show=("tags",), note="some"),
    _tag("PUT", "/a,b", "a comma"),
    _tag("PUT", "/a%2Fb", "a slash"),
    _tag("PUT", "/" + "x" * 60, "60 characters"),
    _tag("PUT", "/" + "x" * 61, "61 characters"),
    _tag("PUT", "/f", "with a body", body={"tag": "f"}),
    _tag("PUT", "/a", who="reader"),
    _tag("PUT", "/g", who="reader"),
    _tag("DELETE", "/a", who="reader"),
    _tag("GET", "/a", who="reader"),
    _tag("GET", who="reader"),
    _tag("PUT", who="reader", body={"tags": []}),
    _tag("DELETE", who="reader"),
    _tag("GET", who="stranger"),
    _tag("PUT", "/a", who="stranger"),
    _get("/servers/{missing}/tags", version="2.52"),
    _send("PUT", "/servers/{missing}/tags/a", None, version="2.52"),
    _get("/servers/{server}", version="2.25"),
    _get("/servers/{server}", "with tags", version="2.52", show=("server.tags",)),
    _tagged("tags=a"),
    _tagged("tags=a,b.c:d-e"),
    _tagged("tags=a,nothing"),
    _tagged("tags=nothing"),
    _tagged("tags=nothing", version="2.25"),
    _tagged("tags-any=a,nothing"),
    _tagged("tags-any=nothing"),
    _tagged("not-tags=a"),
    _tagged("not-tags=a,nothing"),
    _tagged("not-tags-any=a,nothing"),
    _tagged("not-tags-any=nothing"),
    _tagged("tags=a&not-tags=nothing"),
    _tagged("tags=a&tags=nothing"),
    _tagged("tags="),
    _tagged("tags=a&limit=1"),
    _tagged("tags=a&changes-since=2000-01-01T00:00:00Z"),
    _tagged("tags=a&changes-since=2100-01-01T00:00:00Z"),
    _tagged("tags=a&changes-since=2000-01-01T00:00:00%2B00:00"),
    _tagged("changes-since=2000-01-01T00:00:00Z"),
    # A deleted server has no tags.
    _tagged("tags=contract&changes-since=2000-01-01T00:00:00Z"),
    _tag("PUT", note="replace", body={"tags": ["z", "y"]}, show=("tags",)),
    _tag("PUT", note="one twice", body={"tags": ["z", "z"]}, show=("tags",)),
    _tag("PUT", note="no list", body={"tags": "z"}),
    _tag("PUT", note="a number", body={"tags": [1]}),
    _tag("PUT", note="an empty one", body={"tags": [""]}),
    _tag("PUT", note="a comma in a list", body={"tags": ["a,b"]}),
    _tag("PUT", note="a long one", body={"tags": ["x" * 61]}),
    _tag("PUT", note="51", body={"tags": [f"t{number}" for number in range(51)]}),
    _tag("PUT", note="nothing", body={}),
    _tag("PUT", note="more", body={"tags": [], "x": 1}),
    _tag("PUT", note="50", body={"tags": [f"t{number:02}" for number in range(50)]}),
    _tag("PUT", "/t00", "one of 50"),
    _tag("PUT", "/one-more", "the 51st"),
    _tag("DELETE", "/t00"),
    _tag("DELETE"),
    _tagged("tags=a&changes-since=2000-01-01T00:00:00Z", note="removed"),
    _tag("DELETE", note="of none"),
    _boot("bad tags", "2.52", tags="a", networks="none"),
    _boot("a tag with a comma", "2.52", tags=["a,b"]),
    _boot("51 tags", "2.52", tags=[f"t{number}" for number in range(51)]),
    _boot("tags below 2.52", "2.51", tags=["a"]),
)

_HISTORY = "/servers/{server}/os-instance-actions"
HISTORY = (
    _get(f"{_HISTORY}?limit=1", version="2.58"),
    _get(f"{_HISTORY}?limit=1", version="2.57"),
    _get(f"{_HISTORY}?limit=0", version="2.58"),
    _get(f"{_HISTORY}?limit=-1", version="2.58"),
    _get(f"{_HISTORY}?limit=-1", version="2.57"),
    _get(f"{_HISTORY}?limit=x", version="2.58"),
    _get(f"{_HISTORY}?marker=req-nothing", version="2.58"),
    _get(f"{_HISTORY}?marker=req-nothing", version="2.57"),
    _get(f"{_HISTORY}?changes-since=2000-01-01T00:00:00Z", version="2.58"),
    _get(f"{_HISTORY}?changes-since=2100-01-01T00:00:00Z", version="2.58"),
    _get(f"{_HISTORY}?changes-since=soon", version="2.58"),
    _get(f"{_HISTORY}?changes-before=2000-01-01T00:00:00Z", version="2.58"),
    _get(f"{_HISTORY}?changes-before=2000-01-01T00:00:00Z", version="2.66"),
    _get(
        f"{_HISTORY}?changes-before=2000-01-01T00:00:00Z"
        "&changes-since=2001-01-01T00:00:00Z",
        version="2.66",
    ),
)

ACTIONS = (
    _act({"createImage": {"name": ""}}, "image, empty name"),
    _act({"createImage": {"name": _LONG}}, "image, long name"),
    _act({"createImage": {"name": " x"}}, "image, leading space"),
    _act({"createImage": {"name": 1}}, "image, number as name"),
    _act({"createImage": {}}, "image, no name"),
    _act({"createImage": None}, "image, null"),
    _act({"createImage": {"name": "x", "nothing": 1}}, "image, unknown attribute"),
    _act({"createImage": {"name": "x", "metadata": {"a/b": "1"}}}, "image, bad key"),
    _act({"createImage": {"name": "x", "metadata": {"a": 1}}}, "image, bad value"),
    _act({"createImage": {"name": "x", "metadata": []}}, "image, list as metadata"),
    _act({"createImage": {"name": "x"}}, "image", server="{missing}"),
    _act({"createImage": {"name": "x"}}, "image", server="{gone}"),
    _act({"createImage": {"name": "{run}-first"}}, "image", version="2.1", idle=True),
    _act({"createImage": {"name": "{run}-busy"}}, "image while busy", version="2.1"),
    _act({"createImage": {"name": "{run}-busy"}}, "image while busy", version="2.45"),
    _act({"os-stop": None}, "stop while busy"),
    _act({"createImage": {"name": "{run}-second"}}, "image", version="2.45", idle=True),
    _act(
        {"createImage": {"name": "{run}-third", "metadata": {"a.b:c_d-e f": "1"}}},
        "image, odd key",
        version="2.96",
        idle=True,
    ),
    _act(
        {"createBackup": {"name": "{run}-b", "backup_type": "daily", "rotation": -1}},
        "backup, bad rotation",
        idle=True,
    ),
    _act({"createBackup": {"name": "{run}-b", "rotation": 1}}, "backup, no type"),
    _act(
        {"createBackup": {"name": "{run}-b", "backup_type": "daily", "rotation": 1}},
        "backup",
        version="2.1",
        idle=True,
    ),
    _act(
        {"createBackup": {"name": "{run}-c", "backup_type": "daily", "rotation": 1}},
        "backup",
        version="2.45",
        idle=True,
    ),
    _act(
        {"createBackup": {"name": "{run}-d", "backup_type": "daily", "rotation": 0}},
        "backup, none kept",
        version="2.45",
        idle=True,
    ),
    _act({"nothing": None}, "unknown", idle=True),
    _act({}, "none"),
    _act({"os-stop": None, "os-start": None}, "two at once"),
    _act([], "a list"),
    _act({"reboot": {"type": "MEDIUM"}}, "reboot, bad type"),
    _act({"reboot": {}}, "reboot, no type"),
    _act({"os-start": None}, "start while it runs"),
    _act({"os-resetState": {"state": "error"}}, "not an admin"),
    _act({"lock": None}, "lock"),
    _act({"os-stop": None}, "stop while locked"),
    _act({"unlock": None}, "unlock"),
    _act({"os-stop": None}, "stop"),
    _get("/servers/{server}", "stopped", idle=True, show=("server.status",)),
    _act({"os-stop": None}, "stop again"),
    _act({"reboot": {"type": "SOFT"}}, "soft reboot while stopped"),
    _act(
        {"createImage": {"name": "{run}-stopped"}},
        "image while stopped",
        version="2.45",
    ),
    _act({"os-start": None}, "start", idle=True),
    _get("/servers/{server}", "started", idle=True, show=("server.status",)),
    _get("/servers/{server}/os-instance-actions"),
    _get("/servers/{server}/os-instance-actions", version="2.51"),
    _get("/servers/{server}/os-instance-actions", version="2.58"),
    _get("/servers/{server}/os-instance-actions/nothing"),
)

_INTERFACES = "/servers/{server}/os-interface"
_REBUILT = (
    "server.status",
    "server.image.id",
    "server.metadata",
    "server.tags",
    "server.OS-EXT-STS:task_state",
)


def _rebuild(note: str, image: str = "{plain}", **more: Any) -> Case:
    changes = more.pop("changes", {})
    return _act({"rebuild": {"imageRef": image, **changes}}, f"rebuild, {note}", **more)


def _rebuilt(note: str) -> Case:
    return _get(
        "/servers/{server}",
        f"rebuilt, {note}",
        version="2.26",
        idle=True,
        show=_REBUILT,
    )


REBUILDS = (
    _get(_INTERFACES),
    _get(_INTERFACES, who="reader"),
    _get(_INTERFACES, who="stranger"),
    _get("/servers/{missing}/os-interface"),
    _get("/servers/{gone}/os-interface", "a deleted server"),
    _act({"rebuild": {}}, "rebuild, no image", idle=True),
    _act({"rebuild": None}, "rebuild, null"),
    _rebuild("nonsense image", "nonsense"),
    _rebuild("unknown image", "{missing}"),
    _rebuild("deleted image", "{dead}"),
    _rebuild("queued image", "{queued}"),
    _rebuild("image that needs a large disk", "{wide}"),
    _rebuild("image that needs much memory", "{hungry}"),
    _rebuild("unknown attribute", changes={"nothing": 1}),
    _rebuild("bad metadata", changes={"metadata": {"a": 1}}),
    _rebuild("empty name", changes={"name": ""}),
    _rebuild("by a reader", who="reader"),
    _rebuild("by a stranger", who="stranger"),
    _rebuild("no such server", server="{missing}"),
    _rebuild("a deleted server", server="{gone}"),
    _act({"lock": None}, "lock", version="2.73"),
    _rebuild("locked"),
    _rebuilt("not while it is locked"),
    _act({"unlock": None}, "unlock", version="2.73"),
    _act({"createImage": {"name": "{run}-before"}}, "image", version="2.44"),
    _rebuild("while an image is made"),
    _rebuild("at 2.1", version="2.1", idle=True),
    _rebuilt("at 2.1"),
    _rebuild("at 2.26", "{snapshot}", version="2.26"),
    _rebuilt("from a snapshot"),
    _rebuild("the same image again", "{snapshot}", version="2.26"),
    _rebuilt("again"),
    _rebuild("at 2.54", version="2.54"),
    _rebuild("at 2.75", version="2.75", idle=True),
    _rebuild("at 2.96", version="2.96", idle=True),
    _act({"os-stop": None}, "stop", version="2.2", idle=True),
    _rebuild("stopped", "{snapshot}", version="2.26", idle=True),
    _rebuilt("stopped"),
    _act({"os-start": None}, "start", version="2.2"),
    _get("/servers/{server}", "started again", idle=True, show=("server.status",)),
    _act({"createImage": {"name": "{run}-after"}}, "image", version="2.46"),
)

BOOTS = (
    _boot("unknown image", imageRef="{missing}"),
    _boot("nonsense image", imageRef="nonsense"),
    _boot("unknown flavor", flavorRef="nonsense"),
    _boot("no name", name=None),
    _boot("empty name", name=""),
    _boot("no image", imageRef=None),
    _boot("queued image", imageRef="{queued}"),
    _boot("no networks", networks=None),
    _boot("networks too early", version="2.36"),
    _boot("unknown attribute", nothing=1),
    _boot("bad metadata", metadata={"a": 1}),
    _boot("unknown key pair", key_name="no-such-key"),
    _send("POST", "/servers", {}, "boot nothing"),
)

ABOUT = (
    _get("/flavors", deep=False),
    _get("/flavors/detail"),
    _get("/flavors/detail", version="2.55"),
    _get("/flavors/detail", version="2.61"),
    _get("/flavors/{flavor}"),
    _get("/flavors/{flavor}", version="2.61"),
    _get("/flavors/nonsense"),
    _get("/flavors?limit=-1"),
    _get("/flavors?marker=nonsense"),
    _get("/flavors/{flavor}/os-extra_specs"),
    _get("/extensions", deep=False),
    _get("/extensions/os-create-backup"),
    _get("/extensions/nonsense"),
    _get("/limits"),
    _get("/limits", version="2.36"),
    _get("/limits", version="2.57"),
    _get("/os-services", "not an admin"),
)

PROXY = (
    *(
        _get(path, version=version)
        for path in (
            "/images?name={run}-plain",
            "/images/detail?name={run}-plain",
            "/images/{plain}",
            "/images/{plain}/metadata",
        )
        for version in ("2.1", "2.35", "2.36", "2.38", "2.39")
    ),
    _get("/images/{snapshot}", "a snapshot", show=("image.status", "image.progress")),
    _get("/images/{queued}", "queued", show=("image.status", "image.progress")),
    _get("/images/{kept}", "protected", show=("image.status", "image.progress")),
    _get("/images/{missing}"),
    _get("/images/{dead}", "deleted"),
    _get("/images/nonsense"),
    _get("/images/{missing}/metadata"),
    *(
        _get(f"/images?{query}&name={{run}}-snapshot", show=("images.*.name",))
        for query in (
            "property-visibility=private",
            "property-visibility=public",
            "property-visibility=neither",
        )
    ),
    _get("/images?limit=1", deep=False),
    _get("/images?limit=x"),
    _get("/images?limit=-1"),
    _get("/images?marker={missing}"),
    _get("/images?server={server}&name={run}-snapshot", show=("images.*.name",)),
    _get("/images?type=snapshot&name={run}-snapshot", show=("images.*.name",)),
    _get("/images?status=ACTIVE&name={run}-plain", show=("images.*.name",)),
    _get(
        "/images?property-instance_uuid={server}&name={run}-snapshot",
        show=("images.*.name",),
    ),
    _get("/images?unknown=1&name={run}-plain", show=("images.*.name",)),
    _get("/images?changes-since=nonsense"),
    _send(
        "POST",
        "/images/{plain}/metadata",
        {"metadata": {"k": "1"}},
        show=("metadata.k",),
    ),
    _get("/images/{plain}/metadata/k", show=("meta",)),
    _get("/images/{plain}/metadata/nothing"),
    _send("PUT", "/images/{plain}/metadata/k", {"meta": {"k": "2"}}, show=("meta",)),
    _send("PUT", "/images/{plain}/metadata/k", {"meta": {"l": "2"}}, "key mismatch"),
    _send("DELETE", "/images/{plain}/metadata/k", None),
    _send("DELETE", "/images/{plain}/metadata/k", None, "again"),
    _send("DELETE", "/images/{missing}/metadata/k", None),
    _send("POST", "/images/{plain}/metadata", {"metadata": {"a/b": "1"}}, "slash"),
    _send("POST", "/images/{plain}/metadata", {"metadata": {"a": 1}}, "a number"),
    _send("POST", "/images/{plain}/metadata", {}, "nothing"),
    _send("DELETE", "/images/{kept}", None, "protected"),
    _send("DELETE", "/images/{missing}", None),
    _send("DELETE", "/images/{dead}", None, "deleted"),
    _send("DELETE", "/images/{plain}", None, who="stranger"),
    _send("DELETE", "/images/{plain}", None, who="reader"),
    _send("POST", "/images/{plain}/metadata", {"metadata": {"k": "1"}}, who="reader"),
)

CASES = (
    *(*VERSIONS, *TOKENS, *SERVERS, *LISTS, *METADATA, *ABOUT),
    *(*PROXY, *TAGS, *BOOTS, *ACTIONS, *REBUILDS, *HISTORY),
)
