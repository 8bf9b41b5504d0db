"""The compute API's versions: the documents, and what a request asks for."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.datastructures import Headers

from rax_scheduled_images_ext.sandbox.http.common import HttpError, Microversion

MINIMUM: Microversion = (2, 1)
MAXIMUM: Microversion = (2, 104)

# The same API twice: as it was before microversions, and with them.
_OLD = {
    "id": "v2.0",
    "status": "DEPRECATED",
    "version": "",
    "min_version": "",
    "updated": "2025-07-04T12:00:00Z",
}
_CURRENT = {
    "id": "v2.1",
    "status": "CURRENT",
    "version": "{}.{}".format(*MAXIMUM),
    "min_version": "{}.{}".format(*MINIMUM),
    "updated": "2013-07-23T11:33:21Z",
}

HEADER = "OpenStack-API-Version"
OLD_HEADER = "X-OpenStack-Nova-API-Version"

_NUMBER = re.compile(r"([1-9]\d*)\.([1-9]\d*|0)", re.ASCII)


def text_of(version: Microversion) -> str:
    """Write a version as ``2.45``."""
    return f"{version[0]}.{version[1]}"


def asked_for(headers: Headers) -> Microversion:
    """Return the version that a request is to be treated by, be it one of ours or not.

    The newer of the two headers names the service as well, and wins.

    :raises HttpError: 400 for what is no version.
    """
    asked = _of_compute(headers.get(HEADER, "")) or headers.get(OLD_HEADER)
    if asked is None:
        return MINIMUM
    if asked.lower() == "latest":
        return MAXIMUM
    found = _NUMBER.fullmatch(asked)
    if found is None:
        raise HttpError(
            400,
            f"API Version String {asked} is of invalid format. Must be of format"
            " MajorNum.MinorNum.",
        )
    return int(found[1]), int(found[2])


def check(version: Microversion) -> None:
    """See that we have this version.

    :raises HttpError: 406 where we have not.
    """
    if not MINIMUM <= version <= MAXIMUM:
        raise HttpError(
            406,
            f"Version {text_of(version)} is not supported by the API. Minimum is"
            f" {text_of(MINIMUM)} and maximum is {text_of(MAXIMUM)}.",
        )


def _of_compute(header: str) -> str | None:
    """Return the compute API's version of ``service version, service version``."""
    for part in header.split(","):
        service, _, version = part.strip().partition(" ")
        if service.lower() == "compute":
            return version.strip()
    return None


def answer_headers(version: Microversion) -> dict[str, str]:
    """Return the headers for the version of an answer."""
    text = text_of(version)
    return {
        HEADER: f"compute {text}",
        OLD_HEADER: text,
        "Vary": f"{HEADER}, {OLD_HEADER}",
    }


def version_list(root: str) -> dict[str, Any]:
    """Return the document of all versions; ``root`` is the service's own URL."""
    return {
        "versions": [
            {**_OLD, "links": [_self(f"{root}/v2/")]},
            {**_CURRENT, "links": [_self(f"{root}/v2.1/")]},
        ]
    }


def version_document(root: str, *, legacy: bool = False) -> dict[str, Any]:
    """Return the document of one version; ``root`` is that version's URL."""
    described = {
        "rel": "describedby",
        "type": "text/html",
        "href": "http://docs.openstack.org/",
    }
    media = {
        "base": "application/json",
        "type": "application/vnd.openstack.compute+json;version="
        + ("2" if legacy else "2.1"),
    }
    return {
        "version": {
            **(_OLD if legacy else _CURRENT),
            "links": [_self(f"{root}/"), described],
            "media-types": [media],
        }
    }


def _self(href: str) -> dict[str, str]:
    return {"rel": "self", "href": href}
