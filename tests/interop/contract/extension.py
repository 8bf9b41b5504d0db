"""Requests to the scheduled images extension of a compute API, and their traces in it.

The sandbox has the extension; any Nova has it through the service's API.
"""

from __future__ import annotations

from typing import Any

from .case import Case, Who

_ALIAS = "rax-si-image-schedule"
_ATTRIBUTE = "RAX-SI:image_schedule"
_FILTER = "RAX-SI%3Aimage_schedule"
_SERVER = "/servers/{server}"


def _path(server: str = "{server}") -> str:
    return f"/servers/{server}/{_ALIAS}"


def _get(path: str, note: str, **more: Any) -> Case:
    return Case("compute", "GET", path, note, **more)


def _schedule(note: str, server: str = "{server}", **more: Any) -> Case:
    return _get(_path(server), note, show=("image_schedule",), **more)


def _post(
    note: str,
    retention: Any,
    *,
    server: str = "{server}",
    who: Who = "user",
    **day: Any,
) -> Case:
    body = {"image_schedule": {"retention": retention, **day}}
    show = ("image_schedule",)
    return Case("compute", "POST", _path(server), note, who, body=body, show=show)


def _delete(note: str, server: str = "{server}", **more: Any) -> Case:
    return Case("compute", "DELETE", _path(server), note, **more)


def _traces(note: str) -> tuple[Case, ...]:
    """What a server and lists show."""
    listed = (f"servers.*.{_ATTRIBUTE}", "servers.*.name")
    return (
        _get(_SERVER, note, show=(f"server.{_ATTRIBUTE}",)),
        _get("/servers/detail?name={run}-server", note, show=listed),
        _get("/servers?name={run}-server", note, show=listed),
    )


def _filtered(note: str, value: str, **more: Any) -> tuple[Case, ...]:
    query = f"name={{run}}-server&{_FILTER}={value}"
    show = (f"servers.*.{_ATTRIBUTE}", "servers.*.name")
    return tuple(
        _get(f"{path}?{query}", note, show=show, **more)
        for path in ("/servers", "/servers/detail")
    )


_BAD: tuple[tuple[str, Any], ...] = (
    ("empty", ""),
    ("zero", 0),
    ("zero as text", "0"),
    ("negative", -1),
    ("a word", "test"),
    ("a star", "*"),
    ("too many", 65536),
    ("a fraction", 1.5),
    ("true", True),
    ("null", None),
    ("a list", [2]),
)
_NO_BODIES: tuple[tuple[str, bytes | None], ...] = (
    ("no body", None),
    ("empty body", b""),
    ("half a body", b"{"),
    ("a list for a body", b"[]"),
    ("nothing in the body", b"{}"),
    ("a list for a schedule", b'{"image_schedule": []}'),
    ("no retention", b'{"image_schedule": {}}'),
)
_JSON = {"Content-Type": "application/json"}

ENABLE = (
    _schedule("never enabled"),
    _delete("never enabled"),
    *_traces("never enabled"),
    _post("a number", 2),
    _schedule("enabled"),
    *_traces("enabled"),
    _post("a text", "3"),
    _post("the same again", 3),
    _post("the least", 1),
    _post("the most", 65535),
    _post("weekly", 4, day_of_week="SATURDAY"),
    _schedule("weekly"),
    *_traces("weekly"),
    _post("weekly in small letters", 4, day_of_week="sunday"),
    _post("daily again", 5),
    *(_post(f"bad: {note}", retention) for note, retention in _BAD),
    *(
        _post(f"bad day: {day!r}", 7, day_of_week=day)
        for day in ("", "someday", "sat", 6, None)
    ),
    *(
        Case("compute", "POST", _path(), note, headers=_JSON, body=body)
        for note, body in _NO_BODIES
    ),
    _schedule("after all that was bad"),
    _get(_path() + "s", "plural"),
    _get(_path() + "/more", "below"),
)
FILTER = (
    *_filtered("on", "True"),
    *_filtered("on", "False"),
    *_filtered("on, small", "true"),
    *_filtered("on, one", "1"),
    *_filtered("on, page", "True&limit=1"),
    *_filtered("on, new", "True", version="2.75"),
    *_filtered("on, newer", "False", version="2.90"),
    *_filtered("blank", ""),
    *_filtered("word", "DoesNotExist"),
    *_filtered("star", "*"),
    *_filtered("word, new", "DoesNotExist", version="2.75"),
    *_filtered("by none", "True", who="nobody"),
)
_VERSIONS = ("2.1", "2.8", "2.18", "2.25", "2.26", "2.60", "2.90", "latest")
_LISTED = ("servers.*.tags",)
VERSIONS = (
    *(_schedule("in a version", version=version) for version in _VERSIONS),
    *(
        _get(_SERVER, "in a version", version=version, show=("server.tags",))
        for version in _VERSIONS
    ),
    *(
        _get("/servers/detail?name={run}-server", "", version=version, show=_LISTED)
        for version in _VERSIONS
    ),
    *(_schedule("no version", version=version) for version in ("2.9999", "1.0", "abc")),
)
CHANGES = (
    Case(
        "compute",
        "PUT",
        _SERVER,
        "on",
        body={"server": {"name": "{run}-server"}},
        show=(f"server.{_ATTRIBUTE}",),
    ),
    Case(
        "compute",
        "PUT",
        _SERVER,
        "on",
        version="2.90",
        body={"server": {"name": "{run}-server"}},
        show=(f"server.{_ATTRIBUTE}", "server.tags"),
    ),
    Case("compute", "GET", _path(), "with a body", body={"a": 1}),
    Case("compute", "DELETE", _path(), "with a body", body={"a": 1}),
    _schedule("disabled"),
    _delete("disabled"),
    *_traces("disabled"),
    *_filtered("off", "True"),
    *_filtered("off", "False"),
    _post("enabled again", 7),
    _delete("enabled again"),
)
_NO_SERVERS = (
    ("no such server", "{missing}"),
    ("a star", "*"),
    ("blank", ""),
    ("a name", "myserver"),
    ("deleted", "{gone}"),
)
NOWHERE = (
    *(_schedule(note, server) for note, server in _NO_SERVERS),
    *(_post(note, 2, server=server) for note, server in _NO_SERVERS),
    *(_delete(note, server) for note, server in _NO_SERVERS),
    _get(f"/{{nothing_hex}}{_path()}", "foreign project"),
    _get(f"/{{project}}{_path()}", "own project"),
    _schedule("no token", who="nobody"),
    _schedule("wrong token", who="liar"),
)
EXTENSIONS = (
    _get(f"/extensions/{_ALIAS}", "ours", show=("extension",)),
    _get("/extensions/rax-si", "none", who="user"),
    _get(f"/extensions/{_ALIAS}", "ours", who="nobody"),
)

CASES: tuple[Case, ...] = (
    *ENABLE,
    *FILTER,
    *VERSIONS,
    *CHANGES,
    *NOWHERE,
    *EXTENSIONS,
)


def _rights(who: Who) -> tuple[Case, ...]:
    """What somebody may do where there is no schedule, and where there is one."""
    return (
        _schedule("off", who=who),
        _delete("off", who=who),
        _post("off", 9, who=who),
        _schedule(f"after {who} has set it"),
        _post(f"for {who}", 3),
        _schedule("on", who=who),
        _delete("on", who=who),
        _post("on", 9, who=who),
        _schedule(f"after {who} has changed it"),
        _delete(f"after {who}"),
    )


#: Who may do what by Rackspace's roles; ``user`` is an administrator.
ROLES: tuple[Case, ...] = (
    *_rights("member"),
    *_rights("reader"),
    *_rights("stranger"),
)
