"""Compute microversions: what a request asks for, and what its answer shows.

Server tags came with 2.26. What a request of an older version needs of them is asked
for at 2.26, and the answer is made what it is in the older version.
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
#: The oldest version that there is.
FIRST = (2, 1)

# What servers have come to show up to 2.26.
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
# What lists of servers have come to be filtered by up to 2.26; before, it was ignored.
_NEWER_FILTERS: dict[tuple[int, int], tuple[str, ...]] = {
    (2, 5): ("ip6",),
    TAGS: ("tags", "tags-any", "not-tags", "not-tags-any"),
}


def older_version(request: Request) -> tuple[int, int] | None:
    """Return the version of a request if it is one without tags, else None.

    None is also what Nova is to judge: ``latest``, and what is no version.
    """
    asked = get_version(request.headers, "compute", [OLD_HEADER]) or "2.1"
    found = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})", asked)
    version = (int(found[1]), int(found[2])) if found else TAGS
    return version if FIRST <= version < TAGS else None


def ask_for(request: Request, version: tuple[int, int]) -> None:
    """Let a request be one of a version."""
    text = "{}.{}".format(*version)
    request.headers[HEADER] = f"compute {text}"
    request.headers[OLD_HEADER] = text


def answer_as(answer: Response, version: tuple[int, int]) -> None:
    """Let an answer say that it is of another version than it was asked for."""
    text = "{}.{}".format(*version)
    for name, value in ((HEADER, f"compute {text}"), (OLD_HEADER, text)):
        if name in answer.headers:
            answer.headers[name] = value


def answer_without(answer: Response) -> None:
    """Take from an answer what the API without microversions does not say."""
    for name in (HEADER, OLD_HEADER, "Vary"):
        # There may be several.
        if name in answer.headers:
            del answer.headers[name]


def reduce_server(server: dict[str, Any], version: tuple[int, int]) -> None:
    """Take from a server what it does not show in an older version."""
    for since, keys in _NEWER.items():
        if version < since:
            for key in keys:
                server.pop(key, None)
    if version < (2, 3):
        for volume in server.get(_VOLUMES, ()):
            volume.pop("delete_on_termination", None)


def unknown_filters(version: tuple[int, int]) -> set[str]:
    """Return the filters of lists that an older version passes over."""
    return {
        name
        for since, names in _NEWER_FILTERS.items()
        if version < since
        for name in names
    }
