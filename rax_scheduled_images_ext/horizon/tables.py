"""The tables: the servers of a project, and the images of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import resolve, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from horizon import messages, tables

from rax_scheduled_images_ext.horizon import rights, words
from rax_scheduled_images_ext.horizon.cloud import cloud_of
from rax_scheduled_images_ext.horizon.exceptions import Handled
from rax_scheduled_images_ext.model.consistency import consistency_of
from rax_scheduled_images_ext.model.freshness import ScheduleStatus
from rax_scheduled_images_ext.model.image import ServerImage, removed_marker
from rax_scheduled_images_ext.model.retention import (
    Decision,
    reason,
    retention_status,
)
from rax_scheduled_images_ext.operations import schedules
from rax_scheduled_images_ext.operations.delete import delete_image_of
from rax_scheduled_images_ext.operations.protect import protect
from rax_scheduled_images_ext.operations.server import ServerDetails
from rax_scheduled_images_ext.operations.targets import Target

PANEL = "horizon:project:scheduled_images"


def link(page: str, *arguments: str) -> str:
    """Return the URL of a page of the panel."""
    return str(reverse(f"{PANEL}:{page}", args=arguments))


class Changes:
    """An action that a role which only reads is not offered."""

    def allowed(self, request: HttpRequest, _datum: Any = None) -> bool:
        """Whether to offer it."""
        return rights.rights_of(request).change


class Bulk(tables.BatchAction):
    """An action on each row that is selected; a failure names its row.

    ``gone`` says that a row is no longer there.
    """

    gone: Any

    def handle(
        self, table: Any, request: HttpRequest, object_ids: list[str]
    ) -> HttpResponse:
        """Do it for each row that it fits, and say why not for the others.

        The page may be an old one. To Horizon, all that does not fit is forbidden.
        """
        there = {row.id: row for row in table.data}
        names = {}
        for each in object_ids:
            row = there.get(each)
            why = self.why_not(row) if row else self.gone
            if why is None:
                names[each] = table.get_object_display(row)
            else:
                messages.error(request, why % {"name": row.name if row else each})
        # Horizon shares an action between all threads, a request is one's own.
        request.names_of_rows = names
        response: HttpResponse = super().handle(table, request, list(names))
        return response

    @staticmethod
    def why_not(_row: Any) -> Any:
        """Return why the action does not fit a row, None if it does."""
        return None

    def fits(self, row: Any) -> bool:
        """Whether the action fits a row, or there is none in particular."""
        return row is None or self.why_not(row) is None

    @staticmethod
    def handled(request: Any, message: Any, object_id: str) -> Handled:
        """Return a block whose errors are those of a row, which a message names."""
        name = request.names_of_rows.get(object_id) or object_id
        return Handled(request, message % {"name": name}, escalate=True)


# -- servers


@dataclass(frozen=True)
class ServerRow:
    """A server in the table."""

    status: ScheduleStatus

    @property
    def id(self) -> str:
        """The server's ID."""
        return self.status.server.id

    @property
    def name(self) -> str:
        """The server's name, or its ID if it has none."""
        return self.status.server.name or self.id

    @property
    def state(self) -> str:
        """A key of :data:`.words.STATES`."""
        return words.state_of(self.status)


class SetSchedule(Changes, tables.LinkAction):
    """Opens the form for the schedule of one server."""

    name = "set"
    verbose_name = _("Set Schedule")
    url = f"{PANEL}:schedule"
    classes = ("ajax-modal",)
    icon = "calendar"
    policy_rules = rights.SET_SCHEDULE


class SetSchedules(Changes, tables.Action):
    """Opens the form for the schedule of the servers that are selected."""

    name = "set_several"
    verbose_name = _("Set Schedule")
    verbose_name_plural = _("Set Schedules")
    icon = "calendar"
    policy_rules = rights.SET_SCHEDULE

    def handle(
        self, _table: object, request: HttpRequest, server_ids: list[str]
    ) -> HttpResponse:
        """Show the form; a URL is too short for the IDs of hundreds of servers."""
        # By its URL: the pages import the tables.
        view = resolve(link("schedules")).func.view_class()
        view.setup(request, server_ids=server_ids)
        response: HttpResponse = view.get(request)
        return response


class RemoveSchedule(Bulk):
    """Removes schedules."""

    name = "remove"
    icon = "ban"
    action_type = "danger"
    help_text = _("No more images are made. The images that there are stay.")
    policy_rules = rights.REMOVE_SCHEDULE
    gone = _("%(name)s is no longer in the list. Nothing was done with it.")

    @staticmethod
    def action_present(count: int) -> Any:
        """Return what it is called."""
        return ngettext_lazy("Remove Schedule", "Remove Schedules", count)

    @staticmethod
    def action_past(count: int) -> Any:
        """Return what it is called when it is done."""
        return ngettext_lazy("Removed Schedule", "Removed Schedules", count)

    @staticmethod
    def why_not(row: ServerRow) -> Any:
        """Return why not, None for a server with a schedule."""
        server = row.status.server
        there = server.schedule or server.invalid_tag
        return None if there else _("%(name)s has no schedule.")

    def allowed(self, request: HttpRequest, datum: ServerRow | None = None) -> bool:
        """Whether to offer it."""
        return self.fits(datum) and rights.rights_of(request).disable

    def action(self, request: HttpRequest, server_id: str) -> None:
        """Remove the schedule of a server."""
        message = _("Unable to remove the schedule of %(name)s.")
        with self.handled(request, message, server_id):
            target = Target(server_id, server_id)
            for removed in schedules.disable(cloud_of(request), target):
                removed.result()


class TakeSnapshot(Changes, tables.LinkAction):
    """Opens the form for a snapshot."""

    name = "snapshot"
    verbose_name = _("Take Snapshot")
    url = f"{PANEL}:snapshot"
    classes = ("ajax-modal",)
    icon = "camera"
    policy_rules = rights.TAKE_SNAPSHOT


class OpenImages(tables.LinkAction):
    """Opens the page of a server."""

    name = "images"
    verbose_name = _("Show Images")
    url = f"{PANEL}:detail"
    icon = "image"


class ServersFilter(tables.FilterAction):
    """Finds servers; the whole list is read for it in any case."""

    name = "servers_filter"
    filter_type = "server"
    filter_choices = (
        ("name", _("Name Contains ="), True),
        ("state", _("State ="), True, _("Such as late, ok or no schedule")),
        ("id", _("Server ID ="), True),
    )


# Whether each state is good. Horizon shows what is neither as still in progress.
_GOOD = ("ok", "off", "never")
_STATES = tuple((state, state in _GOOD) for state in words.STATES)


class ServersTable(tables.DataTable):
    """The servers of a project."""

    name = tables.WrappingColumn(
        "name", verbose_name=_("Server"), link=f"{PANEL}:detail"
    )
    state = tables.Column(
        "state",
        verbose_name=_("State"),
        status=True,
        status_choices=_STATES,
        display_choices=tuple(words.STATES.items()),
    )
    schedule = tables.Column(
        lambda row: (
            row.status.server.schedule and words.when_words(row.status.server.schedule)
        ),
        verbose_name=_("Schedule"),
    )
    keeps = tables.Column(
        lambda row: (
            row.status.server.schedule
            and words.keep_words(row.status.server.schedule.keep)
        ),
        verbose_name=_("Keeps"),
    )
    counted = tables.Column(
        lambda row: row.status.counted,
        verbose_name=_("Images"),
        help_text=_("Images that the schedule counts"),
    )
    newest = tables.Column(
        lambda row: words.moment(row.status.newest and row.status.newest.created),
        verbose_name=_("Newest Image"),
    )
    due = tables.Column(
        lambda row: words.moment(row.status.next_due), verbose_name=_("Next Due")
    )

    class Meta:
        name = "scheduled_images"
        verbose_name = _("Scheduled Images")
        status_columns = ("state",)
        table_actions = (ServersFilter, SetSchedules, RemoveSchedule)
        row_actions = (SetSchedule, OpenImages, TakeSnapshot, RemoveSchedule)

    def get_row_status_class(self, status: bool) -> str:
        """Return the class of a row by whether its state is good."""
        return "status_up" if status else "danger text-danger"


# -- images


def details_of(request: Any) -> ServerDetails | None:
    """Return the server of a request as far as it has been read."""
    return getattr(request, "server_details", None)


def is_restorable(request: HttpRequest) -> bool:
    """Whether a user may restore the server of a request in some way."""
    details = details_of(request)
    return bool(
        details
        and details.images
        and rights.ways_to_restore(request, gone=details.gone)
    )


@dataclass(frozen=True)
class ImageRow:
    """An image in the table."""

    decision: Decision
    proof: str | None = None

    @property
    def id(self) -> str:
        """The image's ID."""
        return self.decision.image.id

    @property
    def name(self) -> str:
        """The image's name, or its ID if it has none."""
        return self.decision.image.name or self.id


def is_protected(image: ServerImage) -> bool:
    """Whether an image was protected from its schedule."""
    return not image.scheduled and bool(removed_marker(image))


_NO_IMAGE = _("The image %(name)s no longer exists.")


class Protect(Changes, Bulk):
    """Keeps images for good."""

    name = "protect"
    gone = _NO_IMAGE
    icon = "lock"
    help_text = _("No schedule counts or deletes them any more.")
    policy_rules = rights.CHANGE_IMAGE

    @staticmethod
    def action_present(count: int) -> Any:
        """Return what it is called."""
        return ngettext_lazy("Protect Image", "Protect Images", count)

    @staticmethod
    def action_past(count: int) -> Any:
        """Return what it is called when it is done."""
        return ngettext_lazy("Protected Image", "Protected Images", count)

    @staticmethod
    def why_not(row: ImageRow) -> Any:
        """Return why not, None for an image that a schedule deletes."""
        if row.decision.image.scheduled:
            return None
        if is_protected(row.decision.image):
            return _("%(name)s is protected already.")
        return _("%(name)s needs no protection: no schedule counts or deletes it.")

    def allowed(self, request: HttpRequest, datum: ImageRow | None = None) -> bool:
        """Whether to offer it."""
        return self.fits(datum) and super().allowed(request)

    def action(self, request: HttpRequest, image_id: str) -> None:
        """Protect an image."""
        message = _("Unable to protect the image %(name)s.")
        with self.handled(request, message, image_id):
            protect(cloud_of(request), image_id)


class Unprotect(Changes, tables.LinkAction):
    """Opens the form that returns an image to its schedule."""

    name = "unprotect"
    verbose_name = _("Unprotect Image")
    classes = ("ajax-modal",)
    icon = "unlock"
    policy_rules = rights.CHANGE_IMAGE

    def allowed(self, request: HttpRequest, datum: ImageRow | None = None) -> bool:
        """Whether to offer it, for an image only if it was protected."""
        can = datum is None or is_protected(datum.decision.image)
        return can and super().allowed(request)

    def get_link_url(self, datum: ImageRow | None = None) -> str:
        """Return the URL of the form."""
        assert datum is not None
        return f"images/{datum.id}/unprotect/"


class RestoreImage(tables.LinkAction):
    """Opens the form that restores the server from this image."""

    name = "restore_image"
    verbose_name = _("Restore From Image")
    classes = ("ajax-modal",)
    icon = "undo"

    def allowed(self, request: HttpRequest, datum: ImageRow | None = None) -> bool:
        """Whether to offer it, for an image only if it is ACTIVE."""
        can = datum is None or datum.decision.image.status == "ACTIVE"
        return can and is_restorable(request)

    def get_link_url(self, datum: ImageRow | None = None) -> str:
        """Return the URL of the form."""
        assert datum is not None
        return f"restore/?{urlencode({'image': datum.id})}"


class DeleteImage(Changes, Bulk, tables.DeleteAction):
    """Deletes images, and the volume snapshots that they need."""

    policy_rules = rights.DELETE_IMAGE
    gone = _NO_IMAGE

    @staticmethod
    def why_not(row: ImageRow) -> Any:
        """Return why not, None for an image that the image service lets go."""
        if row.decision.image.protected:
            return _("The image service protects %(name)s: it cannot be deleted.")
        return None

    def allowed(self, request: HttpRequest, datum: ImageRow | None = None) -> bool:
        """Whether to offer it."""
        return self.fits(datum) and super().allowed(request)

    @staticmethod
    def action_present(count: int) -> Any:
        """Return what it is called."""
        return ngettext_lazy("Delete Image", "Delete Images", count)

    @staticmethod
    def action_past(count: int) -> Any:
        """Return what it is called when it is done."""
        return ngettext_lazy("Deleted Image", "Deleted Images", count)

    def delete(self, request: HttpRequest, image_id: str) -> None:
        """Delete an image."""
        message = _("Unable to delete the image %(name)s.")
        with self.handled(request, message, image_id):
            server_id = request.resolver_match.kwargs["server_id"]
            delete_image_of(cloud_of(request), server_id, image_id)


class OfServer(Changes, tables.LinkAction):
    """Opens a form of the server whose images are shown.

    The link is relative to the server's page. Horizon shares an action between all
    threads, so that it must not know whose page it is on.
    """

    classes = ("ajax-modal",)
    page = ""

    def allowed(self, request: HttpRequest, _datum: object = None) -> bool:
        """Whether to offer it: not for a server that is gone."""
        details = details_of(request)
        return bool(details and not details.gone) and super().allowed(request)

    def get_link_url(self, _datum: object = None) -> str:
        """Return the URL of the form."""
        return f"{self.page}/"


class Prune(OfServer):
    """Opens the form that applies the retention now."""

    name = page = "prune"
    verbose_name = _("Prune Images")
    icon = "scissors"
    policy_rules = rights.DELETE_IMAGE

    def allowed(self, request: HttpRequest, _datum: object = None) -> bool:
        """Whether to offer it: only with a schedule, which says what is kept."""
        details = details_of(request)
        return bool(details and details.server.schedule) and super().allowed(request)


class Restore(OfServer):
    """Opens the form that restores the server."""

    name = page = "restore"
    verbose_name = _("Restore Server")
    icon = "undo"

    def allowed(self, request: HttpRequest, _datum: object = None) -> bool:
        """Whether to offer it: also for a server that is gone."""
        return is_restorable(request)


class TakeSnapshotOfServer(OfServer):
    """Opens the form for a snapshot."""

    name = page = "snapshot"
    verbose_name = _("Take Snapshot")
    icon = "camera"
    policy_rules = rights.TAKE_SNAPSHOT


class SetScheduleOfServer(OfServer):
    """Opens the form for the server's schedule."""

    name = page = "schedule"
    verbose_name = _("Set Schedule")
    icon = "calendar"
    policy_rules = rights.SET_SCHEDULE


class ImagesTable(tables.DataTable):
    """The images of a server."""

    name = tables.WrappingColumn("name", verbose_name=_("Image"))
    created = tables.Column(
        lambda row: words.moment(row.decision.image.created), verbose_name=_("Made")
    )
    status = tables.Column(
        lambda row: row.decision.image.status, verbose_name=_("Status")
    )
    retention = tables.Column(
        lambda row: retention_status(row.decision), verbose_name=_("Retention")
    )
    reason = tables.WrappingColumn(
        lambda row: reason(row.decision), verbose_name=_("Reason")
    )
    proof = tables.Column("proof", verbose_name=_("Proof"))
    consistency = tables.Column(
        lambda row: words.CONSISTENCY[consistency_of(row.decision.image)],
        verbose_name=_("Consistency"),
    )

    class Meta:
        name = "images"
        verbose_name = _("Images")
        hidden_title = False
        table_actions = (
            SetScheduleOfServer,
            TakeSnapshotOfServer,
            Restore,
            Prune,
            Protect,
            DeleteImage,
        )
        row_actions = (Protect, Unprotect, RestoreImage, DeleteImage)
