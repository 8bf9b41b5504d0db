"""Microversions: which one a request asks for, and whether the service has it.

The library microversion_parse chooses the header. The form of the version is checked
here, because the library accepts what Nova refuses, such as ``2.01``.
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
    """Return the version that a request asks for, whether or not the service has it.

    :param least: the version of a request that asks for none.
    :param most: the version that ``latest`` means.
    :param older_headers: headers that name a version of this service alone.
    :raises HttpError: 400 for anything that is not a version.
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
    """Check that a version lies between the least and the most.

    :raises HttpError: 406 if it does not.
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
