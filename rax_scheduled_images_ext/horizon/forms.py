"""The forms; each shows first what it would do, and does that only.

A form carries the digest of what was shown. If that has changed since, it is shown
again, and nothing is done.
"""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from horizon import forms, messages

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.restore import plan_data, with_labels
from rax_scheduled_images_ext.console.schedules import expected_line, quota_line
from rax_scheduled_images_ext.errors import (
    InvalidValue,
    RestoreRefused,
    SnapshotsLeft,
)
from rax_scheduled_images_ext.horizon import words
from rax_scheduled_images_ext.horizon.cloud import cloud_of
from rax_scheduled_images_ext.horizon.exceptions import Handled
from rax_scheduled_images_ext.horizon.restore import progress_of, start
from rax_scheduled_images_ext.model.consistency import consistency_of
from rax_scheduled_images_ext.model.image import LONGEST_NAME
from rax_scheduled_images_ext.model.keep import MOST_RETENTION, Keep
from rax_scheduled_images_ext.model.restore import RestoreOptions, RestorePlan
from rax_scheduled_images_ext.model.retention import reason
from rax_scheduled_images_ext.model.schedule import (
    DAYS,
    HOURS,
    ImageSchedule,
    ScheduleSettings,
)
from rax_scheduled_images_ext.operations import schedules
from rax_scheduled_images_ext.operations.forecast import Forecast, forecast
from rax_scheduled_images_ext.operations.protect import unprotect
from rax_scheduled_images_ext.operations.prune import PrunePlan, prune
from rax_scheduled_images_ext.operations.restore import plan_restore, restore
from rax_scheduled_images_ext.operations.snapshot.begin import begin_snapshot
from rax_scheduled_images_ext.operations.space import quota_forecast
from rax_scheduled_images_ext.operations.targets import Target, find_targets
from rax_scheduled_images_ext.operations.work_queue import Outcome
from rax_scheduled_images_ext.text import digest_of

_DAILY = "daily"


class ReviewedForm(forms.SelfHandlingForm):
    """A form that acts only on what was shown."""

    data: Any
    reviewed = forms.CharField(required=False, widget=forms.HiddenInput())

    def was_shown(self, digest: str) -> bool:
        """Whether this is what was shown; if not, the form shows it when it returns.

        :param digest: that of what is to be done, empty if there is nothing to do.
        """
        if digest and self.cleaned_data["reviewed"] == digest:
            return True
        if self.cleaned_data["reviewed"]:
            text = _("This has changed since it was shown. Nothing was done.")
            messages.warning(self.request, text)
        self.data = {**self.data.dict(), "reviewed": digest}
        return False


# -- schedules


class ScheduleForm(ReviewedForm):
    """The schedule of one or several servers, of which it carries the IDs.

    ``forecasts`` are what it would change, by server, empty until it was asked for;
    ``quota`` is a sentence about the project's quota.
    """

    servers = forms.CharField(widget=forms.HiddenInput())
    when = forms.ChoiceField(label=_("Images are made"))
    at = forms.CharField(
        label=_("At (UTC)"),
        required=False,
        max_length=5,
        help_text=_("Such as 02:30; without it, at a time that follows from the ID."),
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.forecasts: list[Outcome[Target, Forecast]] = []
        self.quota = ""
        self.fields["when"].choices = [
            (_DAILY, _("daily")),
            *words.day_choices(),
            *((str(hours), words.hours_words(hours)) for hours in HOURS),
        ]
        for rule, label in words.KEEP.items():
            self.fields[rule] = forms.IntegerField(
                label=label, required=False, min_value=0, max_value=MOST_RETENTION
            )

    @staticmethod
    def initial_of(schedule: ImageSchedule | None) -> dict[str, Any]:
        """Return the fields of a schedule."""
        schedule = schedule or ImageSchedule(7)
        when = schedule.day_of_week or schedule.hours or _DAILY
        return {"when": str(when), "at": schedule.at, **schedule.keep.rules}

    def clean(self) -> dict[str, Any]:
        """Check the schedule as a whole."""
        data: dict[str, Any] = super().clean()
        if self.errors:
            return data
        keep = Keep(**{rule: data[rule] or 0 for rule in words.KEEP})
        try:
            keep.checked()
        except InvalidValue as error:
            raise ValidationError(with_labels(str(error), words.KEEP)) from error
        when = data["when"]
        try:
            data["schedule"] = ImageSchedule(
                day_of_week=when if when in DAYS else None,
                hours=int(when) if when.isdigit() else None,
                at=data["at"] or None,
                keep=keep,
            ).checked()
        except InvalidValue as error:
            raise ValidationError(str(error)) from error
        return data

    def handle(self, request: HttpRequest, data: dict[str, Any]) -> bool:
        """Show the forecast; save the schedule once that was shown."""
        settings = ScheduleSettings.of(data["schedule"])
        wanted = dict.fromkeys(data["servers"].split())
        with Handled(request, _("Unable to save the schedule.")):
            cloud = cloud_of(request)
            labels = {each.id: each.label for each in find_targets(cloud)}
            targets = [Target(labels.get(each, each), each) for each in wanted]
            self.forecasts = forecast(cloud, targets, settings)
            shown = digest_of(map(_shown, self.forecasts)) if self.changes else ""
            if not self.was_shown(shown):
                known = [each.value for each in self.forecasts if each.value]
                outlooks = [each.outlook for each in known if each.outlook]
                quota = quota_forecast(cloud, outlooks)
                self.quota = quota_line(quota) if quota else ""
                return False
            self._save(cloud, settings)
            return True
        return False

    def _save(self, cloud: Cloud, settings: ScheduleSettings) -> None:
        """Save the schedule, and say of each server what became of it."""
        known = [each.item for each in self.forecasts if each.value]
        done = schedules.change(cloud, known, settings)
        ended: list[Outcome[Target, Any]] = [*self.forecasts, *done]
        for each in ended:
            text = _("Unable to save the schedule of %(name)s.")
            with Handled(self.request, text % {"name": each.item}):
                each.result()
        changes = [each.value for each in done if each.value]
        saved = sum(e.invalid_tag is not None or e.before != e.after for e in changes)
        values = {"schedule": words.schedule_words(self.cleaned_data["schedule"])}
        if saved:
            text = ngettext(
                "Saved the schedule of %(count)d server: %(schedule)s.",
                "Saved the schedules of %(count)d servers: %(schedule)s.",
                saved,
            )
            messages.success(self.request, text % {**values, "count": saved})
        if same := len(changes) - saved:
            text = ngettext(
                "Nothing to change for %(count)d server: %(schedule)s.",
                "Nothing to change for %(count)d servers: %(schedule)s.",
                same,
            )
            messages.info(self.request, text % {**values, "count": same})

    @property
    def is_readable(self) -> bool:
        """Whether any of the servers can have the schedule."""
        return any(each.value for each in self.forecasts)

    @property
    def changes(self) -> bool:
        """Whether the schedule of any server would change."""
        known = [each.value for each in self.forecasts if each.value]
        return any(e.invalid_tag is not None or e.current != e.new for e in known)

    @property
    def rules(self) -> list[Any]:
        """The fields that say what is kept."""
        return [self[rule] for rule in words.KEEP]

    @property
    def times(self) -> list[Any]:
        """The fields that say when images are made."""
        return [self["when"], self["at"]]

    @property
    def previews(self) -> list[dict[str, Any]]:
        """What the template shows of each forecast."""
        return [_preview(each) for each in self.forecasts]


def _shown(outcome: Outcome[Target, Forecast]) -> str:
    found = outcome.value
    if found is None:
        return f"{outcome.item}: {outcome.error}"
    expiring = [each.image.id for each in found.expiring]
    return (
        f"{outcome.item}: {found.current}, {found.invalid_tag}, {found.new}, {expiring}"
    )


def _preview(outcome: Outcome[Target, Forecast]) -> dict[str, Any]:
    found = outcome.value
    if found is None:
        return {"server": outcome.item, "problem": outcome.error}
    return {
        "server": outcome.item,
        "before": words.schedule_words(found.current, found.invalid_tag),
        "after": words.schedule_words(found.new),
        "expiring": [(each.image, reason(each)) for each in found.expiring],
        "expected": expected_line(found.outlook) if found.outlook else "",
    }


# -- snapshots


class SnapshotForm(forms.SelfHandlingForm):
    """A snapshot of a server."""

    server_id = forms.CharField(widget=forms.HiddenInput())
    name = forms.CharField(label=_("Image Name"), max_length=255)

    def handle(self, request: HttpRequest, data: dict[str, Any]) -> bool:
        """Start it."""
        with Handled(request, _("Unable to take a snapshot.")):
            begin_snapshot(cloud_of(request), data["server_id"], data["name"])
            # Started is not done.
            text = _("The snapshot %(name)s has started.") % {"name": data["name"]}
            messages.info(request, text)
            return True
        return False


# -- images


class UnprotectForm(ReviewedForm):
    """Returns an image to its schedule."""

    def handle(self, request: HttpRequest, _data: dict[str, Any]) -> bool:
        """Do it if the image's fate is as shown."""
        if not self.was_shown(self.initial["digest"]):
            return False
        with Handled(request, _("Unable to unprotect the image.")):
            image = unprotect(cloud_of(request), self.initial["image_id"])
            text = _("%(image)s is no longer protected.") % {"image": image.name}
            messages.success(request, text)
            return True
        return False


class PruneForm(ReviewedForm):
    """Applies the retention of a server now."""

    def handle(self, request: HttpRequest, _data: dict[str, Any]) -> bool:
        """Delete the images that were shown, if no others would be deleted now."""
        plan: PrunePlan = self.initial["plan"]
        if not self.was_shown(self.initial["digest"]):
            return False
        with Handled(request, _("Unable to prune the images.")):
            done = prune(cloud_of(request), [plan])
            deleted = sum(each.action == "deleted" for each in done)
            text = ngettext(
                "Deleted %(count)d image.", "Deleted %(count)d images.", deleted
            )
            say = messages.success if deleted else messages.info
            say(request, text % {"count": deleted})
            for each in done:
                values = {"image": each.image.name, "reason": each.reason}
                if isinstance(each.error, SnapshotsLeft) or each.action == "failed":
                    messages.error(request, f"{each.image.name}: {each.error}")
                elif each.action == "skipped":
                    messages.info(request, _("%(image)s stays: %(reason)s") % values)
            return True
        return False


# -- restore

_NEW, _IN_PLACE = words.WAYS
SERVER_PAGE = "horizon:project:instances:detail"
# What is shown of a new server, as the data of a plan name it.
_FACTS = {
    "flavor": words.RESTORE["flavor"],
    "networks": _("Networks"),
    "security_groups": _("Security groups"),
    "key": _("Key pair"),
    "server_group": _("Server group"),
    "tags": _("Tags"),
    "schedule": _("Schedule"),
}


def _only_for(way: str, name: str) -> dict[str, Any]:
    """Return what shows a field in Horizon only with one way to restore."""
    shown = {"class": "switched", "data-switch-on": "how"}
    return {**shown, f"data-how-{way}": words.RESTORE[name]}


class RestoreForm(ReviewedForm):
    """Restores a server as a new one or in place.

    ``plan`` is what would be done, None until it was asked for.
    """

    image = forms.ChoiceField(label=_("Image"), required=False)
    how = forms.ChoiceField(
        label=_("How"),
        widget=forms.ThemableSelectWidget(
            attrs={"class": "switchable", "data-slug": "how"}
        ),
    )
    new_name = forms.CharField(
        label=words.RESTORE["new_name"],
        max_length=LONGEST_NAME,
        required=False,
        widget=forms.TextInput(attrs=_only_for(_NEW, "new_name")),
    )
    flavor = forms.ChoiceField(
        label=words.RESTORE["flavor"],
        required=False,
        widget=forms.ThemableSelectWidget(attrs=_only_for(_NEW, "flavor")),
    )
    schedule = forms.BooleanField(
        label=words.RESTORE["schedule"],
        required=False,
        widget=forms.CheckboxInput(attrs=_only_for(_NEW, "schedule")),
    )
    no_safety_image = forms.BooleanField(
        label=words.RESTORE["no_safety_image"],
        required=False,
        widget=forms.CheckboxInput(attrs=_only_for(_IN_PLACE, "no_safety_image")),
    )
    lose_ephemeral = forms.BooleanField(
        label=words.RESTORE["lose_ephemeral"],
        required=False,
        widget=forms.CheckboxInput(attrs=_only_for(_IN_PLACE, "lose_ephemeral")),
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.plan: RestorePlan | None = None
        newest = ("", _("the newest complete one whose proof has not failed"))
        self.fields["image"].choices = [newest, *self.initial["images"]]
        old = ("", _("that of the old server"))
        self.fields["flavor"].choices = [old, *self.initial["flavors"]]
        self.fields["how"].choices = [(e, words.WAYS[e]) for e in self.initial["ways"]]

    def clean(self) -> dict[str, Any]:
        """Read the options; those of the other way count for nothing."""
        data: dict[str, Any] = super().clean()
        image = data.get("image") or None
        if data.get("how") == _IN_PLACE:
            data["options"] = RestoreOptions(
                in_place=True,
                image=image,
                safety_image=not data["no_safety_image"],
                lose_ephemeral=data["lose_ephemeral"],
            )
        elif data.get("new_name"):
            data["options"] = RestoreOptions(
                data["new_name"],
                image=image,
                flavor=data.get("flavor") or None,
                schedule=data["schedule"],
            )
        elif "how" in data and "new_name" in data:
            self.add_error("new_name", _("This field is required."))
        return data

    def handle(self, request: HttpRequest, data: dict[str, Any]) -> bool:
        """Show the plan; start the restore once that was shown."""
        options, server_id = data["options"], self.initial["server_id"]
        with Handled(request, _("Unable to restore the server.")):
            cloud = cloud_of(request)
            try:
                if options.in_place:
                    self._check_alone()
                plan = plan_restore(cloud, server_id, options)
                self.plan = plan
                shown = digest_of([json.dumps(plan_data(plan))])
                if not self.was_shown("" if plan.made_id else shown):
                    return False
                if plan.in_place:
                    start(cloud, plan)
                else:
                    done = restore(cloud, plan, wait=False)
                    text = _("The new server %(name)s is being made.")
                    page = reverse(SERVER_PAGE, args=[done.server_id])
                    text = words.linked(text, options.new_name, page)
                    messages.info(request, text, extra_tags="safe")
            except RestoreRefused as error:
                self.plan = None
                self.api_error(words.in_labels(str(error)))
                return False
            return True
        return False

    def _check_alone(self) -> None:
        """See that the server is not being restored in place here.

        :raises RestoreRefused: if it is.
        """
        before = progress_of(self.initial["server_id"])
        if before and before.state == "running":
            name = self.initial["server_name"]
            raise RestoreRefused(f"Server {name} is being restored already")

    @property
    def plan_image(self) -> str:
        """What the template calls the image of a plan."""
        assert self.plan is not None
        image = self.plan.image
        named = {"image": image.name or image.id, "made": words.moment(image.created)}
        if image.created is None:
            return gettext("%(image)s, which is deleted by now") % named
        return gettext("%(image)s of %(made)s") % named

    @property
    def plan_consistency(self) -> Any:
        """What the data of the image of a plan may be like."""
        assert self.plan is not None
        return words.CONSISTENCY[consistency_of(self.plan.image)]

    @property
    def plan_facts(self) -> list[tuple[str, str]]:
        """What the template shows of a new server: titles and values."""
        assert self.plan is not None
        data = plan_data(self.plan)
        found = [(title, data[key]) for key, title in _FACTS.items() if data[key]]
        return [
            (title, ", ".join(value) if isinstance(value, list) else value)
            for title, value in found
        ]

    @property
    def plan_lines(self) -> list[tuple[str, list[str]]]:
        """What the template shows of a plan: titles, and sentences below each."""
        plan = self.plan
        assert plan is not None
        parts = {
            _("What differs"): plan.differs,
            _("Not in the image"): plan.missing,
            _("Images passed over"): plan.skipped,
        }
        return [
            (title, [words.in_labels(each) for each in lines])
            for title, lines in parts.items()
            if lines
        ]
