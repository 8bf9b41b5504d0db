"""Image schedules of a region's servers."""

from __future__ import annotations

from rax_scheduled_images_ext.model import timetable
from rax_scheduled_images_ext.sandbox.backend.models import NoSchedule, Schedule
from rax_scheduled_images_ext.sandbox.backend.region.servers import Servers
from rax_scheduled_images_ext.sandbox.backend.store import schedule_of


class Schedules(Servers):
    """Enabling, showing and disabling scheduled images."""

    def schedule(self, server_id: str) -> Schedule:
        """Return the server's image schedule.

        :raises NotFound: where there is no such server.
        :raises NoSchedule: where it has none.
        """
        schedule = schedule_of(self._row(server_id))
        if schedule is None:
            raise _no_schedule(server_id)
        return schedule

    def set_schedule(
        self, server_id: str, retention: int, day_of_week: str | None
    ) -> Schedule:
        """Enable scheduled images, or change the schedule there is.

        The time of day is not the user's to choose: the first run is between
        one and twenty-three hours after the schedule was first enabled.

        :raises NotFound: where there is no such server.
        """
        row = self._row(server_id)
        second = row["second_of_day"]
        if row["retention"] is None:
            second = timetable.second_of_day(
                self._cloud.now,
                self._cloud.chance("second of day", server_id, self._cloud.now),
            )
        changes: dict[str, object] = {"retention": retention, "second_of_day": second}
        if row["retention"] is None or row["day_of_week"] != day_of_week:
            changes |= {
                "day_of_week": day_of_week,
                "next_run": timetable.next_run(self._cloud.now, second, day_of_week),
                "attempt": 0,
            }
        if row["retention"] is None:
            changes["enabled_at"] = self._cloud.now
        self._store.update("servers", self.name, server_id, **changes)
        return self.schedule(server_id)

    def delete_schedule(self, server_id: str) -> None:
        """Disable scheduled images; the images stay.

        :raises NoSchedule: where there is no schedule.
        """
        self.schedule(server_id)
        self._clear_schedule(server_id)

    def _clear_schedule(self, server_id: str) -> None:
        columns = (
            "retention day_of_week enabled_at second_of_day next_run attempt".split()
        )
        self._store.update(
            "servers", self.name, server_id, **dict.fromkeys(columns, None)
        )


def _no_schedule(server_id: str) -> NoSchedule:
    return NoSchedule(f"Image schedule does not exist for server {server_id}")
