"""How a user wants the pages to look: their colours and their times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from flask import g, request

COOKIE = "panel-look"
#: Colours, by the words of the form; none are those of the system.
THEMES = {"": "as the system", "light": "light", "dark": "dark"}
UTC = "UTC"


@dataclass(frozen=True)
class Look:
    """``zone`` is a time zone, empty for UTC with the browser's own time beside it."""

    theme: str = ""
    zone: str = ""

    @classmethod
    def read(cls, theme: str, zone: str) -> Look:
        """Return what is valid of a theme and a zone."""
        return cls(
            theme if theme in THEMES else "", zone if zone in time_zones() else ""
        )

    @property
    def cookie(self) -> str:
        """The same as the value of a cookie."""
        return f"{self.theme} {self.zone}"

    def there(self, moment: datetime) -> datetime:
        """Return a time in the user's zone."""
        zone: tzinfo = ZoneInfo(self.zone) if self.zone else timezone.utc
        return moment.astimezone(zone)

    def words(self, moment: datetime) -> str:
        """Return a time such as ``2026-01-06 14:22 UTC``, as all pages write it."""
        return f"{self.there(moment):%Y-%m-%d %H:%M %Z}"

    def day(self, moment: datetime) -> str:
        """Return the day of a time, such as ``2026-01-06``."""
        return self.there(moment).date().isoformat()


@cache
def time_zones() -> frozenset[str]:
    """Return the names of the time zones that this machine knows: UTC, and places.

    The others, such as ``localtime`` and ``Factory``, name no place.
    """
    return frozenset({UTC, *(name for name in available_timezones() if "/" in name)})


def current_look() -> Look:
    """Return the look that the request's user has chosen."""
    if "look" not in g:
        theme, _, zone = request.cookies.get(COOKIE, "").partition(" ")
        g.look = Look.read(theme, zone)
    found: Look = g.look
    return found
