"""Requests to Glance v2."""

from __future__ import annotations

from typing import Any

from .case import Case

PATCH = "application/openstack-images-v2.1-json-patch"
_OURS = "name=in:{run}-plain,{run}-kept,{run}-queued,{run}-base,{run}-snapshot"
_NAMES = ("images.*.name",)


def _get(path: str, note: str = "", **more: Any) -> Case:
    return Case("image", "GET", path, note, **more)


def _send(method: str, path: str, body: Any, note: str = "", **more: Any) -> Case:
    return Case("image", method, path, note, body=body, **more)


def _list(query: str, note: str = "", **more: Any) -> Case:
    return _get(f"/images?{query}", note, **more)


def _patch(note: str, *operations: Any, image: str = "{plain}", **more: Any) -> Case:
    headers = {"Content-Type": more.pop("kind", PATCH)}
    return _send(
        "PATCH", f"/images/{image}", list(operations), note, headers=headers, **more
    )


def _op(op: str, path: str, *value: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **({"value": value[0]} if value else {})}


ABOUT = (
    Case(
        "image root",
        "GET",
        "/",
        "versions",
        who="nobody",
        show=("versions.*.id", "versions.*.status"),
    ),
    Case("image root", "GET", "/versions", who="nobody"),
    _get("/images", who="nobody"),
    _get("/images", who="liar"),
    _get("/nothing"),
    _get("/schemas/image"),
    _get("/schemas/images"),
    _get("/schemas/nothing"),
    _get("/info/import"),
    _get("/info/stores"),
)

SHOWS = (
    _get("/images/{plain}", show=("name", "status", "visibility", "color", "tags")),
    _get("/images/{snapshot}", show=("image_type", "status", "color")),
    _get("/images/{queued}", show=("status", "size", "disk_format")),
    _get("/images/{kept}", show=("protected", "visibility")),
    _get("/images/{missing}"),
    _get("/images/{dead}", "deleted"),
    _get("/images/nonsense"),
    _get("/images/{plain}", who="reader"),
    _get("/images/{plain}", who="stranger"),
    _get("/images/{plain}/file"),
    _get("/images/{queued}/file"),
    _get("/images/{missing}/file"),
    _get("/images/{plain}/members"),
    _get("/images/{plain}/nothing"),
)

LISTS = (
    _get("/images?limit=1", "top", deep=False),
    _list(_OURS, "default order", show=_NAMES),
    _list("name={run}-plain", show=_NAMES),
    _list("name=no-such-image", show=("images",)),
    _list("name={run}-plain&limit=1", show=_NAMES),
    _list(f"{_OURS}&limit=2&sort=name:asc", "a page", show=(*_NAMES, "next", "first")),
    _list(f"{_OURS}&limit=2&sort=name:asc&marker={{kept}}", show=_NAMES),
    _list("limit=0", show=("images",)),
    _list("limit=-1"),
    _list("limit=x"),
    _list("limit="),
    _list("limit=1.5"),
    _list("marker={missing}"),
    _list("marker=x"),
    _list(f"{_OURS}&sort=created_at:asc", show=_NAMES),
    _list(f"{_OURS}&sort=created_at:desc", show=_NAMES),
    _list(f"{_OURS}&sort=name", "no direction", show=_NAMES),
    _list(f"{_OURS}&sort_key=name&sort_dir=asc", show=_NAMES),
    _list(f"{_OURS}&sort_key=name", "no direction", show=_NAMES),
    _list("sort=nonsense:asc"),
    _list("sort=name:sideways"),
    _list("sort_key=nonsense"),
    _list("sort_key=name&sort_dir=sideways"),
    _list("sort=name:asc&sort_key=name"),
    _list(f"{_OURS}&status=queued", show=_NAMES),
    _list(f"{_OURS}&status=active&sort=name:asc", show=_NAMES),
    _list("status=nonsense"),
    _list("status=in:active,queued&name={run}-plain", show=_NAMES),
    _list(f"{_OURS}&protected=true", show=_NAMES),
    _list(f"{_OURS}&protected=false&sort=name:asc", show=_NAMES),
    _list("protected=nonsense"),
    _list("visibility=nonsense"),
    _list("visibility=private&name={run}-plain", show=_NAMES),
    _list("visibility=public&name={run}-plain", show=_NAMES),
    _list("owner={project}&name={run}-plain", show=_NAMES),
    _list("owner={nothing_hex}&name={run}-plain", show=_NAMES),
    _list("id={plain}", show=_NAMES),
    _list("id=in:{plain},{kept}&sort=name:asc", show=_NAMES),
    _list("tag=contract&name={run}-plain", show=_NAMES),
    _list("tag=other&name={run}-plain", show=_NAMES),
    _list("color=red&name={run}-plain", show=_NAMES),
    _list("color=red&shade=dark&name={run}-plain", show=_NAMES),
    _list("color=green&name={run}-plain", show=_NAMES),
    _list("color=in:red,green&name={run}-plain", "in of a property", show=_NAMES),
    _list("instance_uuid={server}&image_type=snapshot", show=_NAMES),
    _list("no_such_property=1", show=_NAMES),
    _list("created_at=gt:2000-01-01T00:00:00Z&name={run}-plain", show=_NAMES),
    _list("created_at=lt:2000-01-01T00:00:00Z", show=_NAMES),
    _list("created_at=gte:nonsense"),
    _list("created_at=2000-01-01T00:00:00Z"),
    _list("updated_at=near:2000-01-01T00:00:00Z"),
    _list("size_min=1&name={run}-plain", show=_NAMES),
    _list("size_max=1&name={run}-plain", show=_NAMES),
    _list("size_min=x"),
    _list("size_min=-1&name={run}-plain", show=_NAMES),
    _list("disk_format=raw&name={run}-plain", show=_NAMES),
    _list("os_hidden=true&name={run}-plain", show=_NAMES),
    _list("os_hidden=nonsense"),
    _list("member_status=nonsense"),
    _list("name={run}-plain", "foreign", who="stranger", show=_NAMES),
    _list("name={run}-plain", "reading", who="reader", show=_NAMES),
)


def _create(note: str, **form: Any) -> Case:
    return _send("POST", "/images", {"name": "{run}-never", **form}, note)


CREATES = (
    _send("POST", "/images", {"name": "{run}-new"}, keep={"new": "body.id"}),
    _create("an id in use", id="{new}"),
    _create("bad id", id="nonsense"),
    _create("long name", name="{run}" + "x" * 256),
    _create("number as name", name=1),
    _create("bad visibility", visibility="nonsense"),
    _create("public", visibility="public"),
    _create("bad disk format", disk_format="nonsense"),
    _create("bad min disk", min_disk=-1),
    _create("read-only attribute", status="active"),
    _create("another's", owner="{nothing_hex}"),
    _create("number as property", color=1),
    _create("tag twice", tags=["a", "a"]),
    _send("POST", "/images", [], "a list"),
    _send(
        "POST",
        "/images",
        b"{",
        "not JSON",
        headers={"Content-Type": "application/json"},
    ),
    _send("POST", "/images", {"name": "{run}-no"}, who="reader"),
    _send(
        "PUT",
        "/images/{new}/file",
        b"data",
        "no format yet",
        headers={"Content-Type": "application/octet-stream"},
    ),
    _patch(
        "formats",
        _op("replace", "/disk_format", "raw"),
        _op("replace", "/container_format", "bare"),
        image="{new}",
    ),
    _send(
        "PUT",
        "/images/{new}/file",
        b"data",
        "wrong type",
        headers={"Content-Type": "application/json"},
    ),
    _send(
        "PUT",
        "/images/{new}/file",
        b"data",
        headers={"Content-Type": "application/octet-stream"},
    ),
    _send(
        "PUT",
        "/images/{new}/file",
        b"data",
        "again",
        headers={"Content-Type": "application/octet-stream"},
    ),
    _get("/images/{new}", "uploaded", show=("status", "size", "checksum")),
    _send(
        "PUT",
        "/images/{missing}/file",
        b"data",
        headers={"Content-Type": "application/octet-stream"},
    ),
)

# What the service asks for to find what is due, and how it settles an image.
_MAKING = "status=in:queued,saving,uploading,importing"
_PENDING = "scheduled_images_retention"
LOOKS = (
    _send(
        "POST",
        "/images",
        {
            "name": "{run}-hidden",
            "os_hidden": True,
            "scheduled_images_claim": "note",
            "image_type": "snapshot",
        },
        "hidden",
        keep={"hidden": "body.id"},
        show=("os_hidden", "status", "scheduled_images_claim"),
    ),
    _get("/images/{hidden}", show=("os_hidden", "status")),
    _list("name={run}-hidden", "hidden", show=("images",)),
    _list("name={run}-hidden&os_hidden=false", show=("images",)),
    _list("name={run}-hidden&os_hidden=true", show=_NAMES),
    _list("name={run}-hidden&os_hidden=true&image_type=snapshot", show=_NAMES),
    _list("name={run}-hidden&os_hidden=true", "reading", who="reader", show=_NAMES),
    _list("name={run}-hidden&os_hidden=true", "foreign", who="stranger", show=_NAMES),
    _list("id=in:{hidden},{plain}", "one is hidden", show=_NAMES),
    _list("id=in:{plain},{missing},{dead}", "two are not there", show=_NAMES),
    _list(f"id=in:{{plain}}&{_PENDING}=pending", "not pending", show=("images",)),
    _list(f"{_OURS}&{_MAKING}", show=_NAMES),
    _list(f"name={{run}}-hidden&{_MAKING}&os_hidden=true", show=_NAMES),
    _list(f"name={{run}}-plain&{_MAKING}", show=("images",)),
    _list("updated_at=gte:2000-01-01T00:00:00Z&name={run}-plain", show=_NAMES),
    _list("updated_at=gte:2100-01-01T00:00:00Z", show=("images",)),
    _patch("pending", _op("add", f"/{_PENDING}", "pending"), show=(_PENDING,)),
    _list(f"{_PENDING}=pending&name={{run}}-plain", show=_NAMES),
    _list(f"id=in:{{plain}}&{_PENDING}=pending", show=_NAMES),
    _patch(
        "settled",
        _op("remove", f"/{_PENDING}"),
        _op("add", "/scheduled_images_id", "{plain}:0"),
        show=("scheduled_images_id",),
    ),
    _patch("settled again", _op("remove", f"/{_PENDING}")),
    _list(f"id=in:{{plain}}&{_PENDING}=pending", "settled", show=("images",)),
    _patch("as it was", _op("remove", "/scheduled_images_id")),
    _send("DELETE", "/images/{hidden}", None),
    _list("name={run}-hidden&os_hidden=true", "deleted", show=("images",)),
    _send("POST", "/images", {"id": "{hidden}"}, "a deleted one's id"),
)

CHANGES = (
    _patch("add a property", _op("add", "/fresh", "1"), show=("fresh",)),
    _patch("add it again", _op("add", "/fresh", "2"), show=("fresh",)),
    _patch("replace it", _op("replace", "/fresh", "3"), show=("fresh",)),
    _patch("remove it", _op("remove", "/fresh")),
    _patch("remove it again", _op("remove", "/fresh")),
    _patch("replace what is not there", _op("replace", "/fresh", "3")),
    _patch("name", _op("replace", "/name", "{run}-plain"), show=("name",)),
    _patch("null name", _op("replace", "/name", None)),
    _patch("name back", _op("replace", "/name", "{run}-plain"), show=("name",)),
    _patch("remove the name", _op("remove", "/name")),
    _patch("long name", _op("replace", "/name", "x" * 256)),
    _patch("tags", _op("replace", "/tags", ["new", "new"]), show=("tags",)),
    _patch("bad tags", _op("replace", "/tags", "a")),
    _patch("status", _op("replace", "/status", "queued")),
    _patch("id", _op("replace", "/id", "{missing}")),
    _patch("size", _op("replace", "/size", 1)),
    _patch("owner", _op("replace", "/owner", "{nothing_hex}")),
    _patch("created", _op("replace", "/created_at", "2000-01-01T00:00:00Z")),
    _patch("location", _op("replace", "/locations", [])),
    _patch("reserved name", _op("add", "/deleted", "1")),
    _patch("os_glance name", _op("add", "/os_glance_mine", "1")),
    _patch("number as property", _op("add", "/number", 1)),
    _patch("null property", _op("add", "/number", None)),
    _patch("nested path", _op("add", "/a/b", "1")),
    _patch("escaped path", _op("add", "/a~1b", "1"), show=("a/b",)),
    _patch("remove escaped path", _op("remove", "/a~1b")),
    _patch("marker", _op("add", "/org.openstack__1__created_by", "me")),
    _patch("remove marker", _op("remove", "/org.openstack__1__created_by")),
    _patch("bad path", _op("add", "fresh", "1")),
    _patch("no value", _op("add", "/fresh")),
    _patch("unknown operation", _op("test", "/name", "x")),
    _patch("no operation", {"path": "/name", "value": "x"}),
    _patch("nothing"),
    _patch("not an object", 1),
    _patch("half of it bad", _op("add", "/half", "1"), _op("remove", "/nothing")),
    _get("/images/{plain}", "after all that"),
    _patch("protect", _op("replace", "/protected", True), show=("protected",)),
    _patch("protect with a text", _op("replace", "/protected", "yes")),
    _send("DELETE", "/images/{plain}", None, "protected"),
    _patch("unprotect", _op("replace", "/protected", False), show=("protected",)),
    _patch("hide", _op("replace", "/os_hidden", True), show=("os_hidden",)),
    _patch("show", _op("replace", "/os_hidden", False), show=("os_hidden",)),
    _patch("visibility", _op("replace", "/visibility", "public")),
    _patch("bad visibility", _op("replace", "/visibility", "nonsense")),
    _patch("JSON type", _op("add", "/fresh", "1"), kind="application/json"),
    _patch(
        "plain patch type",
        _op("add", "/fresh", "1"),
        kind="application/json-patch+json",
    ),
    _patch(
        "old patch type",
        {"add": "/fresh", "value": "1"},
        kind="application/openstack-images-v2.0-json-patch",
    ),
    _patch("no list", image="{plain}", kind="text/plain"),
    _send("PATCH", "/images/{plain}", {}, "an object", headers={"Content-Type": PATCH}),
    _send(
        "PATCH", "/images/{plain}", b"[", "not JSON", headers={"Content-Type": PATCH}
    ),
    _patch("unknown image", _op("add", "/fresh", "1"), image="{missing}"),
    _patch("deleted image", _op("add", "/fresh", "1"), image="{dead}"),
    _patch("a reader", _op("add", "/fresh", "1"), who="reader"),
    _patch("a stranger", _op("add", "/fresh", "1"), who="stranger"),
    _send("PUT", "/images/{plain}/tags/added", None),
    _send("DELETE", "/images/{plain}/tags/added", None),
    _send("DELETE", "/images/{plain}/tags/added", None, "again"),
    _send("POST", "/images/{plain}/actions/deactivate", None),
    _send("POST", "/images/{plain}/actions/reactivate", None),
)

DELETES = (
    _send("DELETE", "/images/{kept}", None, "protected"),
    _send("DELETE", "/images/{new}", None, who="reader"),
    _send("DELETE", "/images/{new}", None, who="stranger"),
    _send("DELETE", "/images/{new}", None),
    _send("DELETE", "/images/{new}", None, "again"),
    _send("DELETE", "/images/{missing}", None),
    _send("DELETE", "/images/nonsense", None),
    _send("PUT", "/images/{plain}", {}, "unknown method"),
    _send("POST", "/images/{plain}", {}, "unknown method"),
)

CASES = (*ABOUT, *SHOWS, *LISTS, *CREATES, *LOOKS, *CHANGES, *DELETES)
