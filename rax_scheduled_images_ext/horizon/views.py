"""The pages of the panel."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from horizon import exceptions, forms, messages, tables
from horizon.utils.memoized import memoized_method
from openstack_dashboard.utils.settings import get_page_size

from rax_scheduled_images_ext.client.boot import Servers
from rax_scheduled_images_ext.client.servers import looks_like_id
from rax_scheduled_images_ext.errors import (
    InvalidSchedule,
    NoSuchImage,
    NoSuchServer,
)
from rax_scheduled_images_ext.horizon import rights, words
from rax_scheduled_images_ext.horizon.cloud import cloud_of
from rax_scheduled_images_ext.horizon.exceptions import Handled
from rax_scheduled_images_ext.horizon.forms import (
    PruneForm,
    RestoreForm,
    ScheduleForm,
    SnapshotForm,
    UnprotectForm,
)
from rax_scheduled_images_ext.horizon.restore import progress_of
from rax_scheduled_images_ext.horizon.tables import (
    PANEL,
    ImageRow,
    ImagesTable,
    ServerRow,
    ServersTable,
    is_protected,
    link,
)
from rax_scheduled_images_ext.model.freshness import State
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.restore import Flavor
from rax_scheduled_images_ext.model.retention import (
    expires_in_runs,
    reason,
    retention_status,
)
from rax_scheduled_images_ext.operations.inventory import read_inventory
from rax_scheduled_images_ext.operations.prune import plan_prune
from rax_scheduled_images_ext.operations.schedules import find_schedule
from rax_scheduled_images_ext.operations.server import (
    ServerDetails,
    read_server_details,
)
from rax_scheduled_images_ext.operations.targets import Target
from rax_scheduled_images_ext.text import digest_of

Item = TypeVar("Item", ServerRow, ImageRow)

_INDEX = reverse_lazy(f"{PANEL}:index")
_TEMPLATES = "project/scheduled_images"
# What comes first.
_URGENCY = (
    State.LATE,
    State.INVALID,
    State.UNKNOWN,
    State.NEVER,
    State.OK,
    State.OFF,
)


# -- all servers


def page_of(
    rows: Sequence[Item], after: str | None, before: str | None, size: int
) -> tuple[Sequence[Item], bool, bool]:
    """Return one page of rows, and whether there are rows before and after it.

    :param after: the ID of the last row of the page before, None for the first page.
    :param before: the ID of the first row of the page after, in place of ``after``.
    """
    places = {row.id: place for place, row in enumerate(rows)}
    start = 0
    if before in places:
        start = max(0, places[str(before)] - size)
    elif after in places:
        start = places[str(after)] + 1
    end = start + size
    return rows[start:end], start > 0, end < len(rows)


class IndexView(tables.PagedTableMixin, tables.DataTableView):
    """All servers, those that lack an image first."""

    table_class = ServersTable
    page_title = _("Scheduled Images")

    def get_data(self) -> Sequence[ServerRow]:
        """Read the servers, and return one page of them."""
        with Handled(self.request, _("Unable to retrieve the servers.")):
            inventory = read_inventory(cloud_of(self.request))
            rows = [ServerRow(status) for status in inventory.servers]
            rows = [row for row in rows if _matches(row, self.get_filters())]
            rows.sort(key=_urgency)
            if not rows:
                self._offer_deleted(self.get_filters().get("id", ""))
            page, self._has_prev_data, self._has_more_data = page_of(
                rows,
                self.request.GET.get(ServersTable._meta.pagination_param),
                self.request.GET.get(ServersTable._meta.prev_pagination_param),
                get_page_size(self.request),
            )
            return page
        return []

    def _offer_deleted(self, server_id: str) -> None:
        """Say that a server is deleted, if only images are left of it."""
        if not looks_like_id(server_id):
            return
        with suppress(NoSuchServer):
            details = read_server_details(cloud_of(self.request), server_id)
            if details.gone:
                text = _("%(name)s is deleted. Its images remain.")
                page = link("detail", server_id)
                text = words.linked(text, words.name_of(details), page)
                messages.info(self.request, text, extra_tags="safe")


def _matches(row: ServerRow, filters: dict[str, str]) -> bool:
    name, state = filters.get("name", ""), filters.get("state", "").lower()
    states = (row.state, str(words.STATES[row.state]).lower())
    return (
        name.lower() in row.name.lower()
        and (not state or state in states)
        and filters.get("id", row.id) == row.id
    )


def _urgency(row: ServerRow) -> tuple[Any, ...]:
    status = row.status
    bad = words.is_bad(status)
    return (not bad, _URGENCY.index(status.state), row.name.lower(), row.id)


# -- one server


class OfServer:
    """A page of the server whose ID is in the URL."""

    request: Any
    kwargs: dict[str, str]

    @memoized_method
    def get_details(self) -> ServerDetails:
        """Read the server and its images."""
        with Handled(self.request, _("Unable to retrieve the server."), _INDEX):
            return read_server_details(cloud_of(self.request), self.kwargs["server_id"])
        raise AssertionError

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the templates show."""
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        context["server_id"] = self.kwargs["server_id"]
        return context


class DetailView(OfServer, tables.DataTableView):
    """A server, its schedule and its images."""

    table_class = ImagesTable
    template_name = f"{_TEMPLATES}/detail.html"
    page_title = "{{ server_name }}"

    def get_data(self) -> list[ImageRow]:
        """Return the images."""
        details = self.get_details()
        self.request.server_details = details
        proofs = {key: proof.word for key, proof in details.proofs.items()}
        return [ImageRow(each, proofs.get(each.image.id)) for each in details.images]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the template shows."""
        details = self.get_details()
        progress = None if details.gone else progress_of(details.server.id)
        ways = rights.ways_to_restore(self.request, gone=details.gone)
        return super().get_context_data(
            **words.facts_of(details),
            restore=progress,
            restore_text=words.in_labels(progress.text) if progress else "",
            can_undo="in-place" in ways,
            kept_as_tags=cloud_of(self.request).schedules.kept_as_tags,
            **kwargs,
        )


# -- forms


class FormView(forms.ModalFormView):
    """A form in a window of its own, or on a page without JavaScript."""

    template_name = f"{_TEMPLATES}/form.html"
    modal = ""

    @property
    def ajax_template_name(self) -> str:
        """The form alone."""
        return f"{_TEMPLATES}/{self.modal}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the template shows."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        context["modal"] = self.ajax_template_name
        context["modal_header"] = self.page_title
        context["submit_url"] = self.request.get_full_path()
        context["cancel_url"] = context["back"] = self.get_success_url()
        return context


class ScheduleView(FormView):
    """The schedule of the server in the path, or of those that were selected."""

    form_class = ScheduleForm
    form_id = "schedule_form"
    modal = "_schedule.html"
    page_title = _("Set Schedule")
    submit_label = _("Continue")

    def get_initial(self) -> dict[str, Any]:
        """Return the servers, and the schedule of a single one."""
        server_id, schedule = self.kwargs.get("server_id"), None
        if server_id is not None and self.request.method == "GET":
            message = _("Unable to retrieve the server.")
            with Handled(self.request, message, _INDEX), suppress(InvalidSchedule):
                schedule = find_schedule(cloud_of(self.request), server_id)
        server_ids = self.kwargs.get("server_ids", [server_id or ""])
        return {"servers": " ".join(server_ids), **ScheduleForm.initial_of(schedule)}

    def get_form_kwargs(self) -> dict[str, Any]:
        """Return what the form is made of: nothing of the table's, after selecting."""
        made: dict[str, Any] = super().get_form_kwargs()
        if "server_ids" in self.kwargs:
            del made["data"], made["files"]
        return made

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the template shows; the form of several has its own URL."""
        context = super().get_context_data(**kwargs)
        if "server_id" not in self.kwargs:
            context["submit_url"] = link("schedules")
        return context

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the form; without servers, show where to select them."""
        if not self.kwargs:
            return redirect(_INDEX)
        return super().get(request, *args, **kwargs)

    def get_success_url(self) -> str:
        """Return the server's page, or that of all."""
        server_id = self.kwargs.get("server_id")
        return link("detail", server_id) if server_id else str(_INDEX)


class FormOfServer(OfServer, FormView):
    """A form of the server whose ID is in the URL."""

    def get_success_url(self) -> str:
        """Return the server's page."""
        return link("detail", self.kwargs["server_id"])


class SnapshotView(FormOfServer):
    """A snapshot now."""

    form_class = SnapshotForm
    form_id = "snapshot_form"
    modal = "_snapshot.html"
    page_title = submit_label = _("Take Snapshot")

    def get_initial(self) -> dict[str, Any]:
        """Return the server."""
        return {"server_id": self.kwargs["server_id"]}


class UnprotectView(FormOfServer):
    """Shows what becomes of an image that its schedule counts again."""

    form_class = UnprotectForm
    form_id = "unprotect_form"
    modal = "_unprotect.html"
    page_title = submit_label = _("Unprotect Image")

    @memoized_method
    def get_fate(self) -> dict[str, Any]:
        """Return the image and its fate."""
        image_id = self.kwargs["image_id"]
        details = self.get_details()
        with Handled(self.request, _("Unable to retrieve the image."), _INDEX):
            decision, outlook = details.counted_again(image_id)
            (now,) = (e.image for e in details.images if e.image.id == image_id)
            if not is_protected(now):
                text = _("%(image)s is not protected.")
                messages.info(self.request, text % {"image": now.name or now.id})
                raise exceptions.Http302(self.get_success_url())
            going = outlook.expiring
            return {
                "image": decision.image,
                "status": retention_status(decision),
                "reason": reason(decision),
                "expires": bool(expires_in_runs(decision)),
                "expiring": [(each.image, reason(each)) for each in going],
            }
        raise NoSuchImage(image_id)

    def get_initial(self) -> dict[str, Any]:
        """Return the digest of what is shown."""
        fate = self.get_fate()
        going = [image.id for image, _ in fate["expiring"]]
        digest = digest_of([fate["image"].id, fate["status"], fate["reason"], *going])
        shown = {"reviewed": digest, "digest": digest}
        return {**shown, "image_id": self.kwargs["image_id"]}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the template shows."""
        return super().get_context_data(**self.get_fate(), **kwargs)


class PruneView(FormOfServer):
    """Shows what the retention deletes now."""

    form_class = PruneForm
    form_id = "prune_form"
    modal = "_prune.html"
    page_title = submit_label = _("Prune Images")

    def get_initial(self) -> dict[str, Any]:
        """Return the plan."""
        server_id = self.kwargs["server_id"]
        back = self.get_success_url()
        with Handled(self.request, _("Unable to prune the images."), back):
            target = Target(server_id, server_id)
            (outcome,) = plan_prune(cloud_of(self.request), target)
            plan = outcome.result()
            digest = digest_of(f"{e.image.id} {e.action}" for e in plan.images())
            return {"plan": plan, "reviewed": digest, "digest": digest}
        raise AssertionError

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the template shows."""
        context = super().get_context_data(**kwargs)
        context["images"] = context["form"].initial["plan"].images()
        return context


class RestoreView(FormOfServer):
    """Restores the server as a new one or in place.

    The query may choose the image and the way.
    """

    form_class = RestoreForm
    form_id = "restore_form"
    modal = "_restore.html"
    page_title = _("Restore Server")
    submit_label = _("Continue")

    def get_initial(self) -> dict[str, Any]:
        """Return the images and the ways to choose from, and a name."""
        details, query = self.get_details(), self.request.GET
        ways = rights.ways_to_restore(self.request, gone=details.gone)
        if not ways:
            messages.error(self.request, _("You are not allowed to restore servers."))
            raise exceptions.Http302(self.get_success_url())
        name, flavors = words.name_of(details), []
        with Handled(self.request, _("Unable to retrieve the flavors.")):
            flavors = Servers.of(cloud_of(self.request)).flavors()
        images = [
            (each.image.id, _image_words(each.image, details))
            for each in details.images
            if each.image.status == "ACTIVE"
        ]
        return {
            "server_id": details.server.id,
            "server_name": name,
            "flavors": [(each.id, _flavor_words(each)) for each in flavors],
            "images": images,
            "ways": ways,
            "image": query.get("image"),
            "how": query.get("how"),
            "new_name": f"{name}-restored",
        }


def _flavor_words(flavor: Flavor) -> str:
    return f"{flavor.name} ({flavor.ram} MiB, {flavor.disk} GiB)"


def _image_words(image: ServerImage, details: ServerDetails) -> str:
    made, proof = words.moment(image.created), details.proofs.get(image.id)
    about = f"{made}, {proof.word}" if proof else made
    return f"{image.name or image.id} ({about})"
