"""Compute microversions: what a request asks for, and what its response shows.

Server tags came with 2.26. If a request with an older version needs them, it is sent
with 2.26, and the response is reduced to the older version.
"""

from __future__ import annotations

import re
from typing import Any

from microversion_parse import get_version
from webob import Request, Response

HEADER = "OpenStack-API-Version"
OLD_HEADER = "X-OpenStack-Nova-API-Version"
#: The first version with server tags.
TAGS = (2, 26)
#: The oldest version.
FIRST = (2, 1)

# What versions up to 2.26 added to servers.
_NEWER: dict[tuple[int, int], tuple[str, ...]] = {
    (2, 3): (
        "OS-EXT-SRV-ATTR:hostname",
        "OS-EXT-SRV-ATTR:kernel_id",
        "OS-EXT-SRV-ATTR:launch_index",
        "OS-EXT-SRV-ATTR:ramdisk_id",
        "OS-EXT-SRV-ATTR:reservation_id",
        "OS-EXT-SRV-ATTR:root_device_name",
        "OS-EXT-SRV-ATTR:user_data",
    ),
    (2, 9): ("locked",),
    (2, 16): ("host_status",),
    (2, 19): ("description",),
    TAGS: ("tags",),
}
_VOLUMES = "os-extended-volumes:volumes_attached"
# The filters that versions up to 2.26 added to lists of servers; ignored before.
_NEWER_FILTERS: dict[tuple[int, int], tuple[str, ...]] = {
    (2, 5): ("ip6",),
    TAGS: ("tags", "tags-any", "not-tags", "not-tags-any"),
}


def older_version(request: Request) -> tuple[int, int] | None:
    """Return the version of a request if it has no tags, else None.

    Also None for what Nova is to judge: ``latest``, and a malformed version.
    """
    asked = get_version(request.headers, "compute", [OLD_HEADER]) or "2.1"
    found = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})", asked)
    version = (int(found[1]), int(found[2])) if found else TAGS
    return version if FIRST <= version < TAGS else None


def ask_for(request: Request, version: tuple[int, int]) -> None:
    """Set the version of a request."""
    text = "{}.{}".format(*version)
    request.headers[HEADER] = f"compute {text}"
    request.headers[OLD_HEADER] = text


def answer_as(answer: Response, version: tuple[int, int]) -> None:
    """Set the version that a response claims to have."""
    text = "{}.{}".format(*version)
    for name, value in ((HEADER, f"compute {text}"), (OLD_HEADER, text)):
        if name in answer.headers:
            answer.headers[name] = value


def answer_without(answer: Response) -> None:
    """Remove from a response what the API without microversions lacks."""
    for name in (HEADER, OLD_HEADER, "Vary"):
        # There may be several.
        if name in answer.headers:
            del answer.headers[name]


def reduce_server(server: dict[str, Any], version: tuple[int, int]) -> None:
    """Remove from a server what an older version does not show."""
    for since, keys in _NEWER.items():
        if version < since:
            for key in keys:
                server.pop(key, None)
    if version < (2, 3):
        for volume in server.get(_VOLUMES, ()):
            volume.pop("delete_on_termination", None)


def unknown_filters(version: tuple[int, int]) -> set[str]:
    """Return the filters of lists that an older version ignores."""
    return {
        name
        for since, names in _NEWER_FILTERS.items()
        if version < since
        for name in names
    }
