"""Where the sandbox answers differently from the real cloud, and why.

The list is exact: what differs stands in it, and what stands in it differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .answer import Summary, differences

# Case and part of the answer, to what the two clouds say there.
Differences = dict[tuple[str, str], tuple[Any, Any]]


@dataclass(frozen=True)
class Deviation:
    """A difference that is meant.

    :param cases: regular expression for the whole names of cases.
    :param where: regular expression for the whole part, such as ``headers.Vary``.
    :param count: how many differences these cover.
    """

    cases: str
    where: str
    reason: str
    count: int = 1

    def covers(self, case: str, where: str) -> bool:
        """Whether this is the reason of a difference."""
        return bool(re.fullmatch(self.cases, case) and re.fullmatch(self.where, where))


MEANT: tuple[Deviation, ...] = (
    Deviation(
        r"compute: GET /servers/\{server\}(/tags)? at 2.52 \((some|with tags)\)",
        r"values\.(server\.)?tags\.0.*",
        "Nova takes the UTF-8 of a tag in a path for Latin-1; the sandbox does not",
        count=2,
    ),
    Deviation(
        r"image: POST /images \(a list\)",
        "status",
        "Glance breaks: it answers 500, and the sandbox 400",
    ),
    Deviation(
        "image: .*",
        r"body\.(images\.\d+\.)?stores",
        "the sandbox's Glance does not name its one store: openstacksdk fails to"
        " change an image that tells its stores",
        count=76,
    ),
    Deviation(
        "image: GET /info/stores|image root: GET / .*",
        r"status|values\.versions.*|body\.versions.*",
        "as before: naming stores goes with more versions",
        count=3,
    ),
    Deviation(
        "image: GET /info/import",
        r"body\.import-methods\.value",
        "the sandbox imports no images; it says so with an empty list",
    ),
    Deviation(
        r"image: (POST|PATCH) .* \((bad|long|number|null|protect with) .*"
        r"|identity: POST .* \((no identity|password is a number)\)",
        "message",
        "Glance quotes a JSON schema with descriptions of its own; Keystone quotes"
        " one as well, and the sandbox says what is wrong",
        count=11,
    ),
    Deviation(
        "image: GET /images by (nobody|liar)",
        "message",
        "Glance speaks of browsers, which it has from a library",
        count=2,
    ),
    Deviation(
        r"image: PATCH .* \(location\)",
        "message",
        "Glance refuses only some changes of locations, the sandbox all of them",
    ),
    Deviation(
        r"identity: (GET|DELETE) /auth/tokens \((bad|wrong) subject\)"
        r"|identity: POST .* \(by a wrong token\)",
        "message",
        "a wrong token is told by its form, and the sandbox's has another form",
        count=3,
    ),
    Deviation(
        r"compute: POST /servers .* \(nonsense image\)",
        "message",
        "the sandbox takes an image's URL for its id, as Rackspace's cloud does",
    ),
    Deviation(
        r"compute: GET /flavors/detail.*",
        r"body\.flavors",
        "one of the sandbox's flavors has a swap disk, which is shown by its size",
        count=3,
    ),
    Deviation(
        r"compute: GET /images\?changes-since=nonsense",
        "message",
        "the words are those of a Glance behind Nova; the sandbox has none there",
    ),
)

#: Where the extension's API before a real Nova answers differently from the sandbox's
#: own extension.
FORCED: tuple[Deviation, ...] = (
    Deviation(
        r"compute: (GET|DELETE) /servers//rax-si-image-schedule \(blank\)",
        "body.*|headers.*|message",
        "Nova's router passes over a slash too many, and looks for a server of the name"
        " of the resource: 404 all the same",
        count=18,
    ),
    Deviation(
        r"compute: \w+ /servers/(\*|myserver|\{missing\})/rax-si-image-schedule .*",
        "message",
        "where there is no server the words are those of Nova about its tags",
        count=9,
    ),
)


def compare(real: Mapping[str, Summary], other: Mapping[str, Summary]) -> Differences:
    """Return every difference between the answers of two clouds."""
    assert real.keys() == other.keys(), real.keys() ^ other.keys()
    return {
        (case, where): (left, right)
        for case in real
        for where, left, right in differences(real[case], other[case])
    }


def unmeant(found: Differences, reasons: tuple[Deviation, ...] = MEANT) -> Differences:
    """Return the differences that have no reason."""
    return {
        key: sides
        for key, sides in found.items()
        if not any(meant.covers(*key) for meant in reasons)
    }


def inexact(
    found: Differences, reasons: tuple[Deviation, ...] = MEANT
) -> list[tuple[int, Deviation]]:
    """Return the reasons that cover more or fewer differences than they say."""
    covered = [(sum(meant.covers(*key) for key in found), meant) for meant in reasons]
    return [(number, meant) for number, meant in covered if number != meant.count]


def report(found: Differences) -> str:
    """Tell differences, alike ones together: where, both sides, and the cases."""
    groups: dict[str, list[str]] = {}
    for (case, where), (real, other) in found.items():
        told = f"{where}\n    real:    {real}\n    sandbox: {other}"
        groups.setdefault(told, []).append(case)
    return "\n".join(
        "\n".join([told, *(f"        {case}" for case in cases)])
        for told, cases in sorted(groups.items())
    )
