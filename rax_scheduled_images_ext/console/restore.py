"""Restoring a server at a command line: the plan, a person's consent, the result."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.console.formats import Column, as_table
from rax_scheduled_images_ext.console.report import Console
from rax_scheduled_images_ext.console.snapshot_create import SnapshotReport
from rax_scheduled_images_ext.console.terminal import agreed, can_ask, put, say
from rax_scheduled_images_ext.model.restore import RestoreOptions, RestorePlan
from rax_scheduled_images_ext.model.schedule_tags import schedule_tag
from rax_scheduled_images_ext.model.times import write_time
from rax_scheduled_images_ext.operations.restore import (
    Restoration,
    Restored,
    plan_restore,
)
from rax_scheduled_images_ext.operations.snapshot.polling import Poller, Timeouts
from rax_scheduled_images_ext.operations.snapshot.signals import SignalCatcher

Data = dict[str, Any]

_PROPERTIES: tuple[Column[tuple[str, Any]], ...] = (
    Column("property", "Property", itemgetter(0)),
    Column("value", "Value", itemgetter(1)),
)
_QUESTIONS = {
    True: "Replace the disk of this server?",
    False: "Make this server?",
}


def plan_data(plan: RestorePlan) -> Data:
    """Return a plan for programs."""
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
        "safety_image": plan.in_place and options.safety_image,
        "flavor": plan.flavor.name if plan.flavor else None,
        "networks": None if plan.networks is None else list(plan.networks),
        "security_groups": list(plan.groups),
        "key": None if plan.in_place else plan.key,
        "server_group": server.server_group,
        "tags": list(plan.tags),
        "schedule": schedule_tag(plan.schedule) if plan.schedule else None,
        "differs": list(plan.differs),
        "missing": list(plan.missing),
        "skipped": list(plan.skipped),
        "continues": plan.made_id or (cut.safety.id if cut else None),
    }


def restored_data(done: Restored, undo: str | None, *, show_password: bool) -> Data:
    """Return what came of a restore for programs.

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
    "flavor": "Flavor",
    "networks": "Networks",
    "security_groups": "Security groups",
    "key": "Key",
    "server_group": "Server group",
    "tags": "Tags",
    "schedule": "Schedule",
    "differs": "What differs",
    "missing": "Not in the image",
    "skipped": "Passed over",
    "continues": "Goes on with",
    "restored_id": "Restored server",
    "status": "Status",
    "safety_image_id": "Safety image",
    "undo": "Undo",
    "admin_password": "Password",
}


def table(data: Data) -> str:
    """Return a plan or a result for people: what there is, a line for each."""
    return as_table(_PROPERTIES, list(_rows(data)))


def _rows(data: Data) -> Iterator[tuple[str, Any]]:
    if data["in_place"]:
        yield "What", "its disk is put back in place"
        if data["safety_image"] and "restored_id" not in data:
            yield "First", "a safety image of the server as it is now is made"
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


@dataclass
class Restoring:
    """A restore at a command line; what goes wrong is a line on stderr.

    ``status`` is the exit status so far. ``command`` is how the shell calls the
    command.
    """

    cloud: Cloud
    server: str
    options: RestoreOptions
    command: str
    console: Console
    time_limit: float = 21600.0
    show_password: bool = False
    status: int = 0
    plan: RestorePlan | None = field(default=None, init=False)

    def prepare(self) -> Data | None:
        """Return the plan; None if there is none."""
        try:
            self.plan = plan_restore(self.cloud, self.server, self.options)
        except Exception as error:
            self.console.error(error)
            self.status = getattr(error, "exit_status", 1)
            return None
        return plan_data(self.plan)

    def is_agreed(self) -> bool:
        """Show the plan, and ask whether to go on."""
        assert self.plan is not None
        for line in table(plan_data(self.plan)).splitlines():
            say(line)
        if agreed(_QUESTIONS[self.plan.in_place]):
            return True
        say("Nothing was changed.")
        self.status = 1
        return False

    def carry_out(self, *, wait: bool | None) -> Data | None:
        """Restore, and return what came of it; None if that failed.

        :param wait: None where a person sits.
        """
        assert self.plan is not None
        waits = can_ask() if wait is None else wait
        report = SnapshotReport(self.console)
        cloud = replace(self.cloud, waits=report.waits)
        made: list[Restored] = []
        with SignalCatcher() as signals, report.failing():
            poller = Poller(signals, Timeouts(total=self.time_limit), report)
            restoration = Restoration(cloud, self.plan, poller)
            made.append(restoration.run(wait=waits))
        self.status = report.status
        if not made:
            self._report(restoration)
            return None
        done = made[0]
        undo = self._undo(done.safety_image_id)
        return restored_data(done, undo, show_password=self.show_password)

    def _report(self, restoration: Restoration) -> None:
        """Report what was made, and what can be done now."""
        plan, safety = restoration.plan, restoration.safety
        again = "the same command goes on with it"
        if not plan.in_place:
            if restoration.server_id is not None:
                name = plan.options.new_name
                say(f"Server {name} ({restoration.server_id}) is there; {again}")
            return
        if not restoration.requested:
            say(f"The disk of server {plan.server.name} is as it was")
        if safety is not None:
            undo = f"; undo: {self._undo(safety.id)}" if restoration.requested else ""
            say(f"Safety image {safety.id} is kept{undo}")

    def _undo(self, safety_id: str | None) -> str | None:
        """Return the command that undoes a restore in place."""
        if safety_id is None or self.plan is None:
            return None
        server = shlex.quote(self.plan.server.name)
        return f"{self.command} --in-place --image {safety_id} {server}"
