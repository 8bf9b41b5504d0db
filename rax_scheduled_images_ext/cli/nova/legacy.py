"""Keeps programs working that use the client of 2013.

Novaclient's clients have the manager below as
``rax_scheduled_images_python_novaclient_ext``: the old name, signatures, return
values and errors. The module has no commands.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from novaclient import base, exceptions

from rax_scheduled_images_ext.cli.nova.manager import ScheduledImagesManager

if TYPE_CHECKING:
    from rax_scheduled_images_ext.client.http import ApiResponse

OLD = "rax_scheduled_images_python_novaclient_ext"


class ScheduledImage(base.Resource):
    """A schedule; it has ``day_of_week`` only if it is weekly."""

    def __repr__(self) -> str:
        return "<ScheduledImage>"


class ScheduledImageManager(ScheduledImagesManager):
    """The old calls: one request to the extension each, and novaclient's exceptions."""

    resource_class = ScheduledImage

    def get(self, server_id: object) -> ScheduledImage:
        """Return the schedule of a server.

        :raises novaclient.exceptions.NotFound: if it has none, or does not exist.
        """
        from rax_scheduled_images_ext.client.http import resource_id
        from rax_scheduled_images_ext.errors import NOT_ENABLED

        response = self._cloud.schedules.extension.send("GET", server_id)
        # The old client did not find out what the service's 404 means.
        if response.not_found:
            text = NOT_ENABLED.format(resource_id(server_id))
            raise exceptions.NotFound(404, text)
        return self._resource(response)

    def enable(  # type: ignore[override]
        self, server_id: object, retention: Any, day_of_week: Any = None
    ) -> ScheduledImage:
        """Give a server a schedule: weekly with a day, daily without.

        :raises novaclient.exceptions.BadRequest: for a wrong retention or day.
        """
        from rax_scheduled_images_ext.client.http import as_text
        from rax_scheduled_images_ext.errors import InvalidValue
        from rax_scheduled_images_ext.model.extension import schedule_body
        from rax_scheduled_images_ext.model.schedule import ImageSchedule

        try:
            number = int(retention)
        except ValueError:
            raise exceptions.BadRequest(
                400, "Retention value must be an integer"
            ) from None
        try:
            day = None if day_of_week is None else as_text(day_of_week)
            schedule = ImageSchedule(number, day).checked()
        except InvalidValue as error:
            raise exceptions.BadRequest(400, str(error)) from None
        return self._resource(
            self._cloud.schedules.extension.send(
                "POST", server_id, schedule_body(schedule)
            )
        )

    def disable(self, server_id: object) -> None:
        """Remove a server's schedule."""
        with self._schedules() as schedules:
            schedules.extension.send("DELETE", server_id).empty()

    def _resource(self, response: ApiResponse) -> ScheduledImage:
        from rax_scheduled_images_ext.client.schedules.extension import read_schedule
        from rax_scheduled_images_ext.model.extension import schedule_object

        with self._schedules():
            schedule = read_schedule(response)
        return ScheduledImage(self, schedule_object(schedule), loaded=True)


def __pre_parse_args__() -> None:  # noqa: N807 (novaclient's name)
    """Remove the old package's commands: argparse refuses the same name twice.

    The shell calls this before it looks for commands, once for every extension, so a
    second call finds nothing to do.
    """
    module = sys.modules.get(OLD)
    commands = [name for name in vars(module or object) if name.startswith("do_")]
    for name in commands:
        delattr(module, name)
    if commands:
        from rax_scheduled_images_ext.console.terminal import say

        say(
            f"The package {OLD} is obsolete: rax-scheduled-images-ext replaces it."
            f" Remove it with: pip uninstall {OLD}"
        )
