"""Successes and failures by day, as far back as images and histories tell.

That an image is missing is known from the images; that its snapshot has failed only
from the server's history. Without that it is unknown.
"""

from __future__ import annotations

from calendar import Calendar
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from rax_scheduled_images_ext.client.snapshots import Attempt
from rax_scheduled_images_ext.model.freshness import decide_on
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.operations.server import ServerDetails
from rax_scheduled_images_ext.panel.fleet import Fleet
from rax_scheduled_images_ext.panel.histories import Histories
from rax_scheduled_images_ext.panel.runs import Run, runs_of

_MOST_MONTHS = 12


@dataclass
class Day:
    """A UTC day: how many images were made on it, and what went wrong.

    ``failed`` are sentences about failures, ``unknown`` about images that are missing
    for a reason that is not known.
    """

    date: date
    made: int = 0
    failed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The worst of what is known of it."""
        if self.failed:
            return "failed"
        return "unknown" if self.unknown else "made" if self.made else "none"


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

    def lacks(
        self,
        runs: Iterable[Run],
        attempts: Sequence[Attempt] | None,
        label: str = "",
    ) -> None:
        """Note the failures of a server, one for each day.

        A day on which an attempt is known to have failed is not named again for the
        image that is missing.

        :param attempts: what its history tells, the newest first, None if that is
            unknown.
        :param label: how the server is named, if that has to be said.
        """
        named: dict[date, list[str]] = {}
        for each in attempts or ():
            if each.problem is not None and each.started is not None:
                named.setdefault(each.started.date(), []).append(each.problem)
        for day, problems in named.items():
            text = f"{label}: {problems[0]}" if label else problems[0]
            if len(problems) > 1:
                text += f" ({len(problems)} attempts)"
            self[day].failed.append(text)
        text = f"no image of {label}" if label else "no image"
        for run in runs:
            if run.kind != "missing" or run.time.date() in named:
                continue
            if attempts is None:
                self[run.time.date()].unknown.append(f"{text}; why is unknown")
            else:
                self[run.time.date()].failed.append(text)

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


def days_of_server(details: ServerDetails, attempts: Sequence[Attempt] | None) -> Days:
    """Return the days of a server.

    :param attempts: what its history tells, None if that is unknown.
    """
    days = Days(details.now.date())
    days.made(each.image for each in details.images)
    days.lacks(runs_of(details), attempts)
    return days


@dataclass(frozen=True)
class Lacking:
    """A server of which images are missing."""

    label: str
    runs: Sequence[Run]


def lacking(fleet: Fleet, labels: dict[str, str]) -> dict[str, Lacking]:
    """Return the servers of which images are missing, by ID, the latest first."""
    found: dict[str, Lacking] = {}
    latest: dict[str, datetime] = {}
    for status in fleet.servers:
        server = status.server
        if server.schedule is None:
            continue
        images = fleet.images.get(server.id, [])
        decisions = decide_on(server, images, server.schedule.keep)
        runs = runs_of(ServerDetails(fleet.now, status, decisions))
        missing = [run.time for run in runs if run.kind == "missing"]
        if missing:
            label = labels.get(server.id, server.id)
            found[server.id] = Lacking(label, runs)
            latest[server.id] = max(missing)
    return {each: found[each] for each in sorted(found, key=latest.__getitem__)[::-1]}


def days_of_all(
    fleet: Fleet, servers: dict[str, Lacking], histories: Histories
) -> Days:
    """Return the days of all servers: their images, and those that are missing."""
    days = Days(fleet.now.date())
    for images in fleet.images.values():
        days.made(images)
    for server_id, each in servers.items():
        days.lacks(each.runs, histories.attempts.get(server_id), each.label)
    return days
