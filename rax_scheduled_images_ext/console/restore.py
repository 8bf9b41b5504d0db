"""Restores a server at a command line: prints the plan, asks, prints the result."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.formats import Column, as_table
from rax_scheduled_images_ext.console.report import Console
from rax_scheduled_images_ext.console.snapshot_create import SnapshotReport
from rax_scheduled_images_ext.console.terminal import agreed, can_ask, put, say
from rax_scheduled_images_ext.model.consistency import consistency_of
from rax_scheduled_images_ext.model.restore import RestoreOptions, RestorePlan
from rax_scheduled_images_ext.model.schedule_tags import schedule_tag
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.operations.restore import (
    TIME_LIMIT,
    Restoration,
    Restored,
    plan_restore,
)
from rax_scheduled_images_ext.operations.snapshot.polling import Poller, Timeouts
from rax_scheduled_images_ext.operations.snapshot.signals import SignalCatcher

Data = dict[str, Any]

_RESULT = ("restored_id", "status", "safety_image_id", "undo", "changed")
_PROPERTIES: tuple[Column[tuple[str, Any]], ...] = (
    Column("property", "Property", itemgetter(0)),
    Column("value", "Value", itemgetter(1)),
)
_QUESTIONS = {
    True: "Replace the disk of this server?",
    False: "Create this server?",
}


def plan_data(plan: RestorePlan) -> Data:
    """Return a plan as data for programs."""
    options, server, cut = plan.options, plan.server, plan.cut
    return {
        "server": server.name,
        "server_id": server.id,
        "server_gone": plan.gone,
        "in_place": plan.in_place,
        "new_name": options.new_name,
        "image": plan.image.name or None,
        "image_id": plan.image.id,
        "image_created": write_time(plan.image.created),
        "consistency": consistency_of(plan.image).value,
        "safety_image": plan.in_place and options.safety_image,
        "flavor": plan.flavor.name if plan.flavor else None,
        "networks": None if plan.networks is None else list(plan.networks),
        "security_groups": list(plan.groups),
        "key": None if plan.in_place else plan.key,
        "availability_zone": options.zone,
        "server_group": server.server_group,
        "tags": list(plan.tags),
        "schedule": schedule_tag(plan.schedule) if plan.schedule else None,
        "differs": list(plan.differs),
        "missing": list(plan.missing),
        "skipped": list(plan.skipped),
        "warning": plan.warning,
        "continues": plan.made_id or (cut.safety.id if cut else None),
    }


def restored_data(done: Restored, undo: str | None, *, show_password: bool) -> Data:
    """Return the result of a restore as data for programs.

    :param undo: the command that undoes it.
    """
    data = {
        **plan_data(done.plan),
        "restored_id": done.server_id,
        "status": done.status,
        "safety_image_id": done.safety_image_id,
        "undo": undo,
        "changed": done.changed,
    }
    if show_password:
        data["admin_password"] = done.password
    return data


_TITLES: Mapping[str, str] = {
    "server": "Server",
    "server_id": "Server ID",
    "new_name": "As new server",
    "image": "From image",
    "image_id": "Image ID",
    "image_created": "Made at",
    "consistency": "Consistency",
    "flavor": "Flavor",
    "networks": "Networks",
    "security_groups": "Security groups",
    "key": "Key",
    "availability_zone": "Availability zone",
    "server_group": "Server group",
    "tags": "Tags",
    "schedule": "Schedule",
    "differs": "What differs",
    "missing": "Not in the image",
    "skipped": "Skipped",
    "warning": "Warning",
    "continues": "Continues with",
    "restored_id": "Restored server",
    "status": "Status",
    "safety_image_id": "Safety image",
    "undo": "Undo",
    "admin_password": "Password",
}


def table(data: Data) -> str:
    """Return a plan or a result as a table for people."""
    return as_table(_PROPERTIES, list(rows_of(data)))


def rows_of(data: Data) -> Iterator[tuple[str, Any]]:
    """Yield what a plan or a result shows to people: a title and a line each."""
    if data.get("in_place"):
        yield "What", "its disk is replaced"
        if data["safety_image"] and "restored_id" not in data:
            yield "First", "a safety image of its present disk is made"
    for key, title in _TITLES.items():
        value = data.get(key)
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            if line is not None:
                yield title, line
                title = ""


def print_data(data: Data, form: str) -> None:
    """Print a plan or a result on stdout, as ``table`` or ``json``."""
    if form == "json":
        put(json.dumps(data, indent=2, ensure_ascii=False), as_json=True)
    else:
        put(table(data))


def with_labels(text: str, labels: Mapping[str, object]) -> str:
    """Return a sentence about options of the command in the words of a form.

    :param labels: what the form calls each option, longer options first.
    """
    text = text.replace("use --flavor NAME", "choose a flavor")
    options = re.compile("|".join(map(re.escape, labels)))
    named = options.sub(lambda found: f"“{labels[found[0]]}”", text)
    named = named.replace("use scheduled-images-enable", "set a schedule")
    return named.replace("the command", "the restore")


class RestoreReport(SnapshotReport):
    """Prints the progress; after a failure, what was made and what can be done now.

    ``restoration`` is None until it starts.
    """

    def __init__(self, console: Console, command: str) -> None:
        super().__init__(console)
        self.restoration: Restoration | None = None
        self._command = command

    def undo(self, safety_id: str, plan: RestorePlan) -> str:
        """Return the command that undoes a restore in place."""
        return f"{self._command} --in-place --image {safety_id} {plan.server.id}"

    def finish(self) -> None:
        if self.status == 0 or self.restoration is None:
            return
        restoration, plan = self.restoration, self.restoration.plan
        if not plan.in_place:
            if restoration.server_id is not None:
                name = f"{plan.options.new_name} ({restoration.server_id})"
                self.say(
                    f"Server {name} is kept; repeat the command to continue with it"
                )
            return
        if not restoration.requested:
            self.say(f"The disk of server {plan.server.name} was not changed")
        if restoration.safety is not None:
            safety_id = restoration.safety.id
            undo = self.undo(safety_id, plan) if restoration.requested else ""
            self.say(f"Safety image {safety_id} is kept{undo and f'; undo: {undo}'}")


@dataclass
class Restoring:
    """A restore at a command line; errors are printed on stderr.

    ``status`` is the exit status so far.

    :param command: how the shell calls the command.
    """

    console: Console
    command: str
    time_limit: float = TIME_LIMIT
    show_password: bool = False
    status: int = field(default=0, init=False)
    _cloud: Cloud | None = field(default=None, init=False, repr=False)
    _plan: RestorePlan | None = field(default=None, init=False, repr=False)
    _data: Data | None = field(default=None, init=False, repr=False)

    @property
    def result_keys(self) -> tuple[str, ...]:
        """The keys that a result has in addition to its plan's."""
        return (*_RESULT, *(("admin_password",) if self.show_password else ()))

    def prepare(
        self, cloud: Cloud, server: str, options: RestoreOptions
    ) -> Data | None:
        """Return the plan, None if the restore is impossible; print its warnings."""
        self._cloud = cloud
        try:
            self._plan = plan_restore(cloud, server, options)
        except Exception as error:
            self.console.error(error)
            self.status = getattr(error, "exit_status", 1)
            return None
        for skipped in self._plan.skipped:
            say(f"Skipped: {skipped}")
        if self._plan.warning is not None:
            say(f"Warning: {self._plan.warning}")
        return plan_data(self._plan)

    def restore(
        self, *, asks: bool, wait: bool | None, brief: bool = False
    ) -> Data | None:
        """Restore, and return the result; None if it failed or was declined.

        :param asks: whether to show the plan and ask for confirmation.
        :param wait: None to wait only on a terminal.
        :param brief: leave out the plan, if it was shown.
        """
        assert self._plan is not None
        if asks:
            for line in table(plan_data(self._plan)).splitlines():
                say(line)
            if not agreed(_QUESTIONS[self._plan.in_place]):
                say("Nothing was changed.")
                self.status = 1
                return None
        self._carry_out(self._plan, wait=can_ask() if wait is None else wait)
        if self._data is not None and asks and brief:
            return {key: self._data[key] for key in self.result_keys}
        return self._data

    def say_done(self) -> None:
        """Report on stderr what was done, as it could not be written to stdout."""
        if self._data is not None:
            done = "Restored" if self._data["status"] else "Started"
            say(f"{done}: server {self._data['restored_id']}")
            if self._data["undo"]:
                say(f"Undo: {self._data['undo']}")

    def _carry_out(self, plan: RestorePlan, *, wait: bool) -> None:
        assert self._cloud is not None
        report = RestoreReport(self.console, self.command)
        with report.failing(), SignalCatcher() as signals:
            poller = Poller(signals, Timeouts(total=self.time_limit), report)
            cloud = replace(self._cloud, waits=report.waits)
            report.restoration = Restoration(cloud, plan, poller)
            done = report.restoration.run(wait=wait)
            safety = done.safety_image_id
            undo = report.undo(safety, plan) if safety else None
            self._data = restored_data(done, undo, show_password=self.show_password)
        self.status = report.status
