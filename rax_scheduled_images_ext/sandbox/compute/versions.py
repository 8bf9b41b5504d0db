"""The versions of the compute API: their documents, and those of requests."""

from __future__ import annotations

from typing import Any

from werkzeug.datastructures import Headers

from rax_scheduled_images_ext.sandbox.http import microversions
from rax_scheduled_images_ext.sandbox.http.common import Microversion
from rax_scheduled_images_ext.sandbox.http.microversions import HEADER, text_of

MINIMUM: Microversion = (2, 1)
MAXIMUM: Microversion = (2, 104)

# The same API twice: without and with microversions.
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

OLD_HEADER = "X-OpenStack-Nova-API-Version"


def asked_for(headers: Headers) -> Microversion:
    """Return the version that a request asks for, whether supported or not.

    The newer of the two headers also names the service, and takes precedence.

    :raises HttpError: 400 for anything but a version.
    """
    return microversions.asked_for(headers, "compute", MINIMUM, MAXIMUM, [OLD_HEADER])


def check(version: Microversion) -> None:
    """Check that the version is supported.

    :raises HttpError: 406 if it is not.
    """
    microversions.check(version, MINIMUM, MAXIMUM)


def answer_headers(version: Microversion) -> dict[str, str]:
    """Return the headers with the version of a response."""
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
