"""Image schedules of a region's servers."""

from __future__ import annotations

from datetime import datetime, timezone

from rax_scheduled_images_ext.model.extension import no_schedule
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import (
    Window,
    next_slot,
)
from rax_scheduled_images_ext.sandbox.backend.models import NoSchedule, Schedule
from rax_scheduled_images_ext.sandbox.backend.region.base import Part
from rax_scheduled_images_ext.sandbox.backend.store import schedule_of


class Schedules(Part):
    """Enabling, showing and disabling scheduled images."""

    def get(self, server_id: str) -> Schedule:
        """Return the server's image schedule.

        :raises NotFound: where there is no such server.
        :raises NoSchedule: where it has none.
        """
        schedule = schedule_of(self._region.servers.row(server_id))
        if schedule is None:
            raise _no_schedule(server_id)
        return schedule

    def set(self, server_id: str, retention: int, day_of_week: str | None) -> Schedule:
        """Enable scheduled images, or change the schedule there is.

        The time of day is not the user's to choose: it follows from the server's ID.

        :raises NotFound: where there is no such server.
        """
        row = self._region.servers.row(server_id)
        changes: dict[str, object] = {"retention": retention}
        if row["retention"] is None or row["day_of_week"] != day_of_week:
            schedule = ImageSchedule(retention, day_of_week)
            now = datetime.fromtimestamp(self._cloud.now, timezone.utc)
            due = next_slot(server_id, schedule, now, Window()).due
            changes |= {
                "day_of_week": day_of_week,
                "enabled_at": self._cloud.now,
                "next_run": due.timestamp(),
                "attempt": 0,
            }
        self._store.update("servers", self.name, server_id, **changes)
        return self.get(server_id)

    def delete(self, server_id: str) -> None:
        """Disable scheduled images; the images stay.

        :raises NoSchedule: where there is no schedule.
        """
        self.get(server_id)
        self.clear(server_id)

    def clear(self, server_id: str) -> None:
        columns = "retention day_of_week enabled_at next_run attempt slot".split()
        self._store.update(
            "servers", self.name, server_id, **dict.fromkeys(columns, None)
        )


def _no_schedule(server_id: str) -> NoSchedule:
    return NoSchedule(no_schedule(server_id))
