"""The versions of the block storage API: their document, and those of requests."""

from __future__ import annotations

from typing import Any

from werkzeug.datastructures import Headers

from rax_scheduled_images_ext.sandbox.http import microversions
from rax_scheduled_images_ext.sandbox.http.common import Microversion
from rax_scheduled_images_ext.sandbox.http.microversions import HEADER, text_of

MINIMUM: Microversion = (3, 0)
MAXIMUM: Microversion = (3, 71)


def asked_for(headers: Headers) -> Microversion:
    """Return the version that a request asks for, whether supported or not.

    :raises HttpError: 400 for anything but a version.
    """
    return microversions.asked_for(headers, "volume", MINIMUM, MAXIMUM)


def check(version: Microversion) -> None:
    """Check that the version is supported.

    :raises HttpError: 406 if it is not.
    """
    microversions.check(version, MINIMUM, MAXIMUM)


def answer_headers(version: Microversion) -> dict[str, str]:
    """Return the headers with the version of a response."""
    return {HEADER: f"volume {text_of(version)}", "Vary": HEADER}


def version_list(root: str) -> dict[str, Any]:
    """Return the document of the only version; ``root`` is the service's own URL."""
    described = {
        "rel": "describedby",
        "type": "text/html",
        "href": "https://docs.openstack.org/",
    }
    media = {
        "base": "application/json",
        "type": "application/vnd.openstack.volume+json;version=3",
    }
    version = {
        "id": "v3.0",
        "status": "CURRENT",
        "version": text_of(MAXIMUM),
        "min_version": text_of(MINIMUM),
        "updated": "2023-08-31T00:00:00Z",
        "links": [described, {"rel": "self", "href": f"{root}/v3/"}],
        "media-types": [media],
    }
    return {"versions": [version]}
