"""Microversions: what a header asks for, and whether a service has it.

Which header counts is microversion_parse's part. How a version is written is checked
here, because the library takes what Nova refuses, such as ``2.01``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from microversion_parse import get_version
from werkzeug.datastructures import Headers

from rax_scheduled_images_ext.sandbox.http.common import HttpError, Microversion

#: The header that names services and their versions.
HEADER = "OpenStack-API-Version"

_NUMBER = re.compile(r"([1-9]\d*)\.([1-9]\d*|0)", re.ASCII)


def asked_for(
    headers: Headers,
    service: str,
    least: Microversion,
    most: Microversion,
    older_headers: Sequence[str] = (),
) -> Microversion:
    """Return the version that a request asks for, be it one of ours or not.

    :param least: what it gets where it asks for none.
    :param most: what ``latest`` is.
    :param older_headers: those that name a version of this service alone.
    :raises HttpError: 400 for what is no version.
    """
    text = get_version(headers, service, older_headers)
    if text is None:
        return least
    if text.lower() == "latest":
        return most
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
