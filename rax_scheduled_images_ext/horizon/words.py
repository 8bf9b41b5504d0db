"""The panel's words for what the model knows, in the user's language."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import (
    gettext,
    gettext_lazy,
    ngettext,
    ngettext_lazy,
    pgettext_lazy,
)

from rax_scheduled_images_ext.console.restore import with_labels
from rax_scheduled_images_ext.model.consistency import Consistency
from rax_scheduled_images_ext.model.freshness import ScheduleStatus, State
from rax_scheduled_images_ext.model.keep import RULES, Keep
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule
from rax_scheduled_images_ext.operations.server import ServerDetails

#: What the states are called; ``FAILED_PROOF`` is shown in place of a good one.
STATES = {
    State.OK.value: pgettext_lazy("state of a server's images", "OK"),
    State.LATE.value: pgettext_lazy("state of a server's images", "Late"),
    State.NEVER.value: pgettext_lazy("state of a server's images", "No image yet"),
    State.OFF.value: pgettext_lazy("state of a server's images", "No schedule"),
    State.INVALID.value: pgettext_lazy("state of a server's images", "Invalid tag"),
    State.UNKNOWN.value: pgettext_lazy("state of a server's images", "Unknown"),
    "failed": pgettext_lazy("state of a server's images", "Proof failed"),
}
FAILED_PROOF = "failed"
#: What the data of an image may be like.
CONSISTENCY = {
    Consistency.HOOK: pgettext_lazy("consistency of an image", "hook"),
    Consistency.AGENT: pgettext_lazy("consistency of an image", "agent asked for"),
    Consistency.CRASH: pgettext_lazy("consistency of an image", "crash"),
    Consistency.UNKNOWN: pgettext_lazy("consistency of an image", "unknown"),
}
_DAYS = {
    "SUNDAY": gettext_lazy("Sunday"),
    "MONDAY": gettext_lazy("Monday"),
    "TUESDAY": gettext_lazy("Tuesday"),
    "WEDNESDAY": gettext_lazy("Wednesday"),
    "THURSDAY": gettext_lazy("Thursday"),
    "FRIDAY": gettext_lazy("Friday"),
    "SATURDAY": gettext_lazy("Saturday"),
}
#: What each rule keeps, as the label of a field.
KEEP = {
    "last": gettext_lazy("Newest images"),
    "hourly": gettext_lazy("Hourly images"),
    "daily": gettext_lazy("Daily images"),
    "weekly": gettext_lazy("Weekly images"),
    "monthly": gettext_lazy("Monthly images"),
    "yearly": gettext_lazy("Yearly images"),
    "within_days": gettext_lazy("Days of which all images stay"),
}
_KEPT = {
    "last": ngettext_lazy("the newest", "the newest %(number)d", "number"),
    "hourly": ngettext_lazy("%(number)d hourly", "%(number)d hourly", "number"),
    "daily": ngettext_lazy("%(number)d daily", "%(number)d daily", "number"),
    "weekly": ngettext_lazy("%(number)d weekly", "%(number)d weekly", "number"),
    "monthly": ngettext_lazy("%(number)d monthly", "%(number)d monthly", "number"),
    "yearly": ngettext_lazy("%(number)d yearly", "%(number)d yearly", "number"),
    "within_days": ngettext_lazy(
        "all of the last day", "all of the last %(number)d days", "number"
    ),
}
assert KEEP.keys() == _KEPT.keys() == set(RULES)
#: The ways to restore a server.
WAYS = {
    "new": gettext_lazy("As a new server"),
    "in-place": gettext_lazy("In place: the server stays, its disk is replaced"),
}
#: The fields of the form that restores.
RESTORE = {
    "new_name": gettext_lazy("Name of the New Server"),
    "flavor": gettext_lazy("Flavor"),
    "schedule": gettext_lazy("Give it the schedule too"),
    "no_safety_image": gettext_lazy("Make no safety image: there is no undo then"),
    "lose_ephemeral": gettext_lazy(
        "Lose its ephemeral and swap disks: no image holds them"
    ),
}
_OPTIONS = {
    "--as NAME": WAYS["new"],
    "--as": RESTORE["new_name"],
    "--in-place": WAYS["in-place"],
    "--image": gettext_lazy("Image"),
    "--flavor": RESTORE["flavor"],
    "--schedule": RESTORE["schedule"],
    "--no-safety-image": RESTORE["no_safety_image"],
    "--lose-ephemeral": RESTORE["lose_ephemeral"],
}


def in_labels(text: str) -> str:
    """Return what is said of options of the command in the words of the forms."""
    return with_labels(text, _OPTIONS)


def state_of(status: ScheduleStatus) -> str:
    """Return the state to show of a server."""
    if status.state is State.OK and status.failed_proof:
        return FAILED_PROOF
    return str(status.state.value)


def is_bad(status: ScheduleStatus) -> bool:
    """Whether a server lacks an image, or one that boots."""
    return status.stale or status.failed_proof


def when_words(schedule: ImageSchedule) -> str:
    """Return when a schedule makes images."""
    if schedule.day_of_week:
        words = gettext("weekly on %(day)s") % {"day": _DAYS[schedule.day_of_week]}
    elif schedule.hours:
        words = hours_words(schedule.hours)
    else:
        words = gettext("daily")
    if schedule.at:
        words = gettext("%(when)s at %(time)s UTC") % {
            "when": words,
            "time": schedule.at,
        }
    return words


def hours_words(hours: int) -> str:
    """Return how often a schedule of several images a day makes one."""
    return ngettext("every hour", "every %(hours)d hours", hours) % {"hours": hours}


def day_choices() -> list[tuple[str, str]]:
    """Return the weekly schedules as choices of a form."""
    return [
        (day, gettext("weekly on %(day)s") % {"day": _DAYS[day]})
        for day in (*DAYS[1:], DAYS[0])
    ]


def keep_words(keep: Keep) -> str:
    """Return what a schedule keeps."""
    if keep.number is not None:
        return ngettext(
            "the newest image", "the newest %(number)d images", keep.number
        ) % {"number": keep.number}
    rules = keep.rules.items()
    return ", ".join(str(_KEPT[rule] % {"number": number}) for rule, number in rules)


def schedule_words(
    schedule: ImageSchedule | None, invalid_tag: str | None = None
) -> str:
    """Return a schedule and what it keeps."""
    if invalid_tag is not None:
        return gettext("invalid tag %(tag)s") % {"tag": invalid_tag}
    if schedule is None:
        return gettext("no schedule")
    return gettext("%(when)s; keeps %(kept)s") % {
        "when": when_words(schedule),
        "kept": keep_words(schedule.keep),
    }


def linked(text: object, name: str, url: str) -> SafeString:
    """Return a sentence in which the name of something leads to its page."""
    link = format_html('<a href="{}">{}</a>', url, name)
    return mark_safe(conditional_escape(text) % {"name": link})


def name_of(details: ServerDetails) -> str:
    """Return the name of a server, its last known one if it is deleted."""
    return details.server.name or details.server.id


def moment(time: datetime | None) -> str | None:
    """Return a UTC time to show, None if it is unknown."""
    return None if time is None else f"{time:%Y-%m-%d %H:%M} UTC"


def facts_of(details: ServerDetails) -> dict[str, Any]:
    """Return what a page says of a server above its images."""
    status, server = details.status, details.server
    verified = status.verified
    return {
        "details": details,
        "server": server,
        "server_name": name_of(details),
        "state": STATES[state_of(status)],
        "is_bad": is_bad(status),
        "schedule": schedule_words(server.schedule, server.invalid_tag),
        "newest": moment(status.newest.created if status.newest else None),
        "due": moment(status.next_due),
        "proof": verified and f"{verified.word}, {moment(verified.time)}",
    }
