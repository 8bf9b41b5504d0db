"""Lengths of time as people write them: ``26h``, ``10d``, ``1d12h``."""

from __future__ import annotations

import re

_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
# The units of durations that are shown.
_SHOWN = [(unit, size) for unit, size in _SECONDS.items() if unit != "w"]
# A hundred years, so that no clock, time limit or sum of times overflows.
_LONGEST_DAYS = 36500
#: The longest duration, in seconds.
LONGEST = _LONGEST_DAYS * _SECONDS["d"]
_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def parse_duration(text: str) -> float:
    """Return a duration in seconds.

    ``text`` is a number with a unit (w, d, h, m or s), or several in a row.

    :raises ValueError: for anything else; the text says what is allowed.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(
            f"'{text}' is not a duration: write a number and w, d, h, m or s,"
            " such as 26h or 1d12h"
        )
    seconds = sum(
        float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)
    )
    if seconds > LONGEST:
        raise ValueError(f"'{text}' is not allowed: {_LONGEST_DAYS}d at most")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as ``1d2h``.

    The rest is cut off; a negative one is ``0s``.
    """
    left, parts = max(0, int(seconds)), ""
    for unit, size in _SHOWN:
        if left >= size:
            number, left = divmod(left, size)
            if parts:
                return f"{parts}{number}{unit}"
            parts = f"{number}{unit}"
    return parts or "0s"
