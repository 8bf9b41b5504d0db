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
    TooManyTags,
)
from rax_scheduled_images_ext.model.extension import (
    ALIAS,
    has_further_keys,
    no_schedule,
    read_schedule_request,
    schedule_body,
)
from rax_scheduled_images_ext.model.keep import MOST_RETENTION
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.service.api.answers import (
    Refused,
    fault,
    json_answer,
    tell_about,
)
from rax_scheduled_images_ext.service.api.nova import Nova, TagsAdapter
from rax_scheduled_images_ext.service.api.rights import CallerRights

_HAS_RULES = (
    "The schedule of the server has rules, which a number alone would replace: disable"
    " it first, or send all keys of a schedule."
)


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
        except (InvalidValue, TooManyTags) as error:
            answer = fault(400, str(error), about=adapter.last)
        except NoSchedule:
            answer = fault(404, no_schedule(self.server_id), about=adapter.last)
        except InvalidSchedule as error:
            answer = fault(409, str(error), about=adapter.last, tag=error.tag)
        except ScheduledImagesError as error:
            answer = self._failed(adapter.last, error)
        return self.nova.in_own_form(answer)

    def _show(self, adapter: TagsAdapter) -> Response:
        return _shown(adapter.schedules().get(self.server_id), adapter)

    def _enable(self, adapter: TagsAdapter) -> Response:
        self._check(adapter, "create", self.rights.of(self.nova.request.environ).change)
        try:
            body = self.nova.read_json()
            wanted = read_schedule_request(body, further=True)
        except (InvalidValue, Refused):
            self._find(adapter)
            raise
        if not has_further_keys(body):
            kept = self._with_rules(adapter)
            # Clients that know no rules may send back what they were shown.
            if kept is not None and wanted == ImageSchedule(
                MOST_RETENTION, kept.day_of_week
            ):
                return _shown(kept, adapter)
            if kept is not None:
                raise Refused(fault(409, _HAS_RULES, about=adapter.last))
        return _shown(adapter.schedules().enable(self.server_id, wanted), adapter)

    def _with_rules(self, adapter: TagsAdapter) -> ImageSchedule | None:
        """Return the server's schedule if older clients are not shown all of it."""
        with contextlib.suppress(NoSchedule, InvalidSchedule):
            found = adapter.schedules().get(self.server_id)
            return None if found.is_simple else found
        return None

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
