"""Times as the APIs write them: UTC, ``2026-01-05T12:00:00Z``."""

from __future__ import annotations

import re
from datetime import datetime, timezone

#: The range of valid times: outside it, sums with durations may overflow.
FIRST, END = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (1970, 9000))
#: Sorts what has no time before all that has one.
LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:?00)?", re.ASCII)


def read_time(text: object) -> datetime | None:
    """Parse a UTC time as the APIs write it, None if it is not a time."""
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if not found:
        return None
    try:
        time = datetime.fromisoformat(f"{found[1]}+00:00")
    except ValueError:
        return None
    return time if FIRST <= time < END else None


def write_time(time: datetime | None) -> str | None:
    """Return a UTC time as the APIs write it, None for None."""
    return None if time is None else f"{time.isoformat()[:19]}Z"
