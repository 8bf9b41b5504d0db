"""Successes and failures by day, as far back as images and histories tell."""

from __future__ import annotations

from calendar import Calendar
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from rax_scheduled_images_ext.client.snapshots import Attempt
from rax_scheduled_images_ext.model.freshness import decide_on
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.operations.server import ServerDetails
from rax_scheduled_images_ext.panel.fleet import Fleet
from rax_scheduled_images_ext.panel.runs import runs_of

_MOST_MONTHS = 12


@dataclass
class Day:
    """A UTC day: how many images were made, and what failed, in sentences."""

    date: date
    made: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Whether something failed, was made, or neither."""
        return "failed" if self.failed else "made" if self.made else "none"


@dataclass(frozen=True)
class Month:
    """A month: a row for each week, with None for the days of other months."""

    title: str
    weeks: list[list[Day | None]]


class Days:
    """The days from the first of which something is known until today."""

    def __init__(self, today: date) -> None:
        self.today = today
        self._days: dict[date, Day] = {}

    def __getitem__(self, day: date) -> Day:
        return self._days.setdefault(day, Day(day))

    def __iter__(self) -> Iterator[Day]:
        return iter(sorted(self._days.values(), key=lambda day: day.date))

    def made(self, images: Iterable[ServerImage]) -> None:
        """Count images that are complete, as far as their status says."""
        for image in images:
            if image.created is not None and image.status == "ACTIVE":
                self[image.created.date()].made += 1

    def failed(self, moment: datetime, text: str) -> None:
        """Note a failure."""
        self[moment.date()].failed.append(text)

    @property
    def months(self) -> list[Month]:
        """The latest months with something known, the latest first."""
        first = min(self._days, default=self.today)
        year, month = self.today.year, self.today.month
        found: list[Month] = []
        while (year, month) >= (first.year, first.month) and len(found) < _MOST_MONTHS:
            found.append(self._month(year, month))
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        return found

    def _month(self, year: int, month: int) -> Month:
        weeks = Calendar().monthdatescalendar(year, month)
        title = f"{date(year, month, 1):%B %Y}"
        return Month(
            title,
            [
                [
                    self._days.get(day, Day(day)) if day.month == month else None
                    for day in week
                ]
                for week in weeks
            ],
        )


def days_of_server(details: ServerDetails, attempts: Iterable[Attempt]) -> Days:
    """Return the days of a server.

    A day on which an attempt failed is not named again for the image that is missing.
    """
    days = Days(details.now.date())
    days.made(each.image for each in details.images)
    for each in attempts:
        if each.problem is not None and each.started is not None:
            days.failed(each.started, each.problem)
    for run in runs_of(details):
        day = run.time.date()
        if run.kind == "missing" and not days[day].failed and not days[day].made:
            days.failed(run.time, "no image")
    return days


def days_of_all(fleet: Fleet, labels: dict[str, str]) -> Days:
    """Return the days of all servers: their images, and those that are missing."""
    days = Days(fleet.now.date())
    for images in fleet.images.values():
        days.made(images)
    missing: dict[datetime, list[str]] = defaultdict(list)
    for status in fleet.servers:
        server = status.server
        if server.schedule is None:
            continue
        images = fleet.images.get(server.id, [])
        decisions = decide_on(server, images, server.schedule.keep)
        for run in runs_of(ServerDetails(fleet.now, status, decisions)):
            if run.kind == "missing":
                missing[run.time].append(labels.get(server.id, server.id))
    for time, names in missing.items():
        for name in names:
            days.failed(time, f"no image of {name}")
    return days
