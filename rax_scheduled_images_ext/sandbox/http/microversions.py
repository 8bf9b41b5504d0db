"""Microversions: what a header asks for, and whether a service has it."""

from __future__ import annotations

import re

from rax_scheduled_images_ext.sandbox.http.common import HttpError, Microversion

#: The header that names services and their versions.
HEADER = "OpenStack-API-Version"

_NUMBER = re.compile(r"([1-9]\d*)\.([1-9]\d*|0)", re.ASCII)


def of_service(header: str, service: str) -> str | None:
    """Return one service's version of ``service version, service version``."""
    for part in header.split(","):
        named, _, version = part.strip().partition(" ")
        if named.lower() == service:
            return version.strip()
    return None


def read(text: str, latest: Microversion) -> Microversion:
    """Return a version from its text, be it one of ours or not.

    :raises HttpError: 400 for what is no version.
    """
    if text.lower() == "latest":
        return latest
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise HttpError(
            400,
            f"API Version String {text} is of invalid format. Must be of format"
            " MajorNum.MinorNum.",
        )
    return int(found[1]), int(found[2])


def check(version: Microversion, least: Microversion, most: Microversion) -> None:
    """See that a version is one of those from the least to the most.

    :raises HttpError: 406 where it is not.
    """
    if not least <= version <= most:
        raise HttpError(
            406,
            f"Version {text_of(version)} is not supported by the API. Minimum is"
            f" {text_of(least)} and maximum is {text_of(most)}.",
        )


def text_of(version: Microversion) -> str:
    """Write a version as ``2.45``."""
    return f"{version[0]}.{version[1]}"
