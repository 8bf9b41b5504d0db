"""The compute API's versions: the documents, and what a request asks for."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.datastructures import Headers

from ..wire import Fault, Microversion

MINIMUM: Microversion = (2, 1)
# From 2.97 on a server shows what this cloud has nothing of (shares, properties
# of its image, scheduler hints).
MAXIMUM: Microversion = (2, 96)

HEADER = "OpenStack-API-Version"
OLD_HEADER = "X-OpenStack-Nova-API-Version"

_NUMBER = re.compile(r"([1-9]\d*)\.([1-9]\d*|0)", re.ASCII)


def text_of(version: Microversion) -> str:
    """Write a version as ``2.45``."""
    return f"{version[0]}.{version[1]}"


def asked_for(headers: Headers) -> Microversion:
    """Return the version that a request is to be treated by.

    The newer of the two headers names the service as well, and wins.

    :raises Fault: 400 for what is no version, 406 for one we do not have.
    """
    asked = _of_compute(headers.get(HEADER, "")) or headers.get(OLD_HEADER)
    if asked is None:
        return MINIMUM
    if asked.lower() == "latest":
        return MAXIMUM
    found = _NUMBER.fullmatch(asked)
    if found is None:
        raise Fault(
            400,
            f"API Version String {asked} is of invalid format. Must be of format"
            " MajorNum.MinorNum.",
        )
    version = int(found[1]), int(found[2])
    if not MINIMUM <= version <= MAXIMUM:
        raise Fault(
            406,
            f"Version {asked} is not supported by the API. Minimum is"
            f" {text_of(MINIMUM)} and maximum is {text_of(MAXIMUM)}.",
        )
    return version


def _of_compute(header: str) -> str | None:
    """Return the compute API's version of ``service version, service version``."""
    for part in header.split(","):
        service, _, version = part.strip().partition(" ")
        if service.lower() == "compute":
            return version.strip()
    return None


def answer_headers(version: Microversion) -> dict[str, str]:
    """Return the headers that tell which version an answer has."""
    text = text_of(version)
    return {
        HEADER: f"compute {text}",
        OLD_HEADER: text,
        "Vary": f"{HEADER}, {OLD_HEADER}",
    }


def version_list(root: str) -> dict[str, Any]:
    """Return the document of all versions; ``root`` is the service's own URL."""
    return {"versions": [{**_version(), "links": [_self(f"{root}/v2.1/")]}]}


def version_document(root: str) -> dict[str, Any]:
    """Return the document of the one version; ``root`` is that version's URL."""
    described = {
        "rel": "describedby",
        "type": "text/html",
        "href": "http://docs.openstack.org/",
    }
    media = {
        "base": "application/json",
        "type": "application/vnd.openstack.compute+json;version=2.1",
    }
    return {
        "version": {
            **_version(),
            "links": [_self(f"{root}/"), described],
            "media-types": [media],
        }
    }


def _version() -> dict[str, Any]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": text_of(MAXIMUM),
        "min_version": text_of(MINIMUM),
        "updated": "2013-07-23T11:33:21Z",
    }


def _self(href: str) -> dict[str, str]:
    return {"rel": "self", "href": href}
