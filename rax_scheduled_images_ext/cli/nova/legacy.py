"""For programs and machines that still know the client of 2013.

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
    """A schedule; ``day_of_week`` is there only if it is weekly."""

    def __repr__(self) -> str:
        return "<ScheduledImage>"


class ScheduledImageManager(ScheduledImagesManager):
    """The old calls: one request each, and novaclient's exceptions."""

    resource_class = ScheduledImage

    def get(self, server_id: object) -> ScheduledImage:
        """Return the schedule of a server.

        :raises novaclient.exceptions.NotFound: if it has none, or is not there.
        """
        return self._resource(self._call("GET", server_id))

    def enable(
        self, server_id: object, retention: Any, day_of_week: Any = None
    ) -> ScheduledImage:
        """Give a server a schedule: weekly with a day, daily without.

        :raises novaclient.exceptions.BadRequest: for a wrong retention or day.
        """
        try:
            number = int(retention)
        except ValueError:
            raise exceptions.BadRequest(
                400, "Retention value must be an integer"
            ) from None
        from rax_scheduled_images_ext.client.http import as_text
        from rax_scheduled_images_ext.model.errors import InvalidValue
        from rax_scheduled_images_ext.model.schedule import (
            ImageSchedule,
            parse_day,
            parse_retention,
        )

        try:
            schedule = ImageSchedule(
                parse_retention(str(number)),
                None if day_of_week is None else parse_day(as_text(day_of_week)),
            )
        except InvalidValue as error:
            raise exceptions.BadRequest(400, str(error)) from None
        return self._resource(self._call("POST", server_id, schedule.to_body()))

    def disable(self, server_id: object) -> None:
        """Take a server's schedule away."""
        self._call("DELETE", server_id).empty()

    def _meaning(self, answer: ApiResponse, server_id: str) -> Any:
        """Tell what the old client told of a 404: it did not ask further."""
        if answer.method == "GET":
            from rax_scheduled_images_ext.client.errors import NOT_ENABLED

            text = NOT_ENABLED.format(server_id)
            return exceptions.NotFound(404, text)
        return answer.error()

    def _resource(self, answer: ApiResponse) -> ScheduledImage:
        from rax_scheduled_images_ext.model.schedule import KEY, ImageSchedule

        info = ImageSchedule.from_answer(answer).to_body()[KEY]
        return ScheduledImage(self, info, loaded=True)


def __pre_parse_args__() -> None:  # noqa: N807 (novaclient's name)
    """Take the old package's commands away, which argparse would refuse twice.

    The shell calls this before it looks for commands: once for every extension
    there is, so a second call finds nothing to do.
    """
    module = sys.modules.get(OLD)
    commands = [name for name in vars(module or object) if name.startswith("do_")]
    for name in commands:
        delattr(module, name)
    if commands:
        print(
            f"The package {OLD} is out of use, rax-scheduled-images-ext does its work."
            f" Remove it with: pip uninstall {OLD}",
            file=sys.stderr,
        )
