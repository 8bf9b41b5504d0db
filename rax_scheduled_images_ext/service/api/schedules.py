"""The resource ``/servers/{id}/rax-si-image-schedule``."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from webob import Response

from rax_scheduled_images_ext.errors import (
    InvalidSchedule,
    InvalidValue,
    NoSchedule,
    ScheduledImagesError,
)
from rax_scheduled_images_ext.model.extension import (
    ALIAS,
    no_schedule,
    read_schedule_request,
    schedule_body,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.service.api.answers import (
    Refused,
    fault,
    json_answer,
    tell_about,
)
from rax_scheduled_images_ext.service.api.nova import Nova, TagsAdapter
from rax_scheduled_images_ext.service.api.rights import CallerRights


@dataclass(frozen=True)
class ScheduleResource:
    """The schedule of one server, stored in its tags."""

    nova: Nova
    rights: CallerRights
    server_id: str

    def answer(self) -> Response:
        """Answer the caller's request."""
        adapter = TagsAdapter(self.nova)
        handle = {"GET": self._show, "POST": self._enable, "DELETE": self._disable}
        try:
            answer = handle[self.nova.request.method](adapter)
        except Refused as refused:
            answer = refused.answer
            tell_about(answer, adapter.last)
        except InvalidValue as error:
            answer = fault(400, str(error), about=adapter.last)
        except NoSchedule:
            answer = fault(404, no_schedule(self.server_id), about=adapter.last)
        except InvalidSchedule as error:
            answer = fault(409, str(error), about=adapter.last)
        except ScheduledImagesError as error:
            answer = self._failed(adapter.last, error)
        return self.nova.in_own_form(answer)

    def _show(self, adapter: TagsAdapter) -> Response:
        return _shown(adapter.schedules().get(self.server_id), adapter)

    def _enable(self, adapter: TagsAdapter) -> Response:
        self._check(adapter, "create", self.rights.of(self.nova.request.environ).change)
        try:
            wanted = read_schedule_request(self.nova.read_json())
        except (InvalidValue, Refused):
            self._find(adapter)
            raise
        return _shown(adapter.schedules().enable(self.server_id, wanted), adapter)

    def _disable(self, adapter: TagsAdapter) -> Response:
        allowed = self.rights.of(self.nova.request.environ).disable
        self._check(adapter, "delete", allowed)
        adapter.schedules().disable(self.server_id)
        return json_answer(status=202, about=adapter.last)

    def _check(self, adapter: TagsAdapter, action: str, allowed: bool) -> None:
        """Check that the caller's roles allow an action, with a schedule or without."""
        if not allowed:
            self._find(adapter)
            message = (
                f"Policy doesn't allow os_compute_api:{ALIAS}:{action} to be performed."
            )
            raise Refused(fault(403, message))

    def _find(self, adapter: TagsAdapter) -> None:
        """Check that there is such a server, visible to the caller."""
        with contextlib.suppress(NoSchedule, InvalidSchedule):
            adapter.schedules().get(self.server_id)

    def _failed(self, last: Response | None, error: Exception) -> Response:
        """Return Nova's response when the tags could not be read or changed."""
        if last is None or last.status_int < 400:
            return fault(502, str(error), about=last)
        if last.status_int == 403:
            # For a server of another project, Nova refuses access to the tags, but
            # answers that the server itself was not found.
            server = self.nova.send("GET", f"/servers/{self.server_id}")
            if server.status_int == 404:
                return server
        return last


def _shown(schedule: ImageSchedule, adapter: TagsAdapter) -> Response:
    return json_answer(schedule_body(schedule), about=adapter.last)
