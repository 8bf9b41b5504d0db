"""The cloud with a gate before each service, and what is tried on it."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...hypervisor.guests import Guest, Lab, until
from ..cloud.api import Administrator
from ..cloud.layout import CINDER, GLANCE, KEYSTONE, NEUTRON, NOVA, Layout, url
from ..cloud.services import Services
from .cases import Case
from .gate import Fault, Gate
from .tools import DISK, Step, Tool

PORTS = {
    name: (port + 10000, port)
    for name, port in {
        "keystone": KEYSTONE,
        "glance": GLANCE,
        "nova": NOVA,
        "cinder": CINDER,
        "neutron": NEUTRON,
    }.items()
}
_NO_LIMIT = resource.RLIM_INFINITY


class NothingWentWrong(Exception):
    """The fault of a case did not happen, so that the case shows nothing."""


@dataclass(frozen=True)
class Time:
    """How long a backup or a restore takes.

    :param seconds: how long its commands run.
    :param complete: until there is a complete backup, or an ACTIVE server.
    """

    seconds: float
    complete: float


@dataclass(frozen=True)
class Count(Time):
    """What one backup or restore moves.

    :param requests: those of the tool.
    :param sent: bytes that the tool sends, and ``received`` those that it receives.
    :param inside: bytes that Nova and Glance move between them.
    :param stored: bytes of one backup outside the cloud's image service.
    :param images: bytes of all images that are in Glance afterwards.
    """

    requests: int
    sent: int
    received: int
    inside: int
    stored: int
    images: int


@dataclass(frozen=True)
class Trial:
    """What became of a backup or a restore in which something went wrong.

    :param steps: the commands in which it did.
    :param left: what they left in the cloud besides complete backups.
    :param older: of a backup: whether the older one was still there.
    :param restored: of a backup: what a restore right after it did.
    :param again: the commands of the next run.
    :param healed: whether there was a new backup then, or the one restored server.
    :param left_then: what was left in the cloud then.
    """

    kind: str
    title: str
    tool: str
    steps: list[Step]
    left: list[str]
    older: bool
    restored: str
    again: list[Step]
    healed: bool
    left_then: list[str]


@contextmanager
def gate_in_catalog(layout: Layout) -> Iterator[Gate]:
    """Let whoever logs in from now on find the gate in place of the services."""
    admin = Administrator(layout.environ("admin"))
    moved = []
    with Gate(PORTS).open() as gate:
        try:
            for endpoint in admin.get("identity", "/endpoints")["endpoints"]:
                for mine, theirs in PORTS.values():
                    address = endpoint["url"].replace(f":{theirs}", f":{mine}")
                    if address != endpoint["url"]:
                        moved.append(endpoint)
                        _move(admin, endpoint["id"], address)
            yield gate
        finally:
            for endpoint in moved:
                _move(admin, endpoint["id"], endpoint["url"])


def _move(admin: Administrator, endpoint_id: str, address: str) -> None:
    body = {"endpoint": {"url": address}}
    admin.patch("identity", f"/endpoints/{endpoint_id}", body)


def variables(layout: Layout) -> dict[str, str]:
    """Return the variables with which the tools find the gate."""
    mine, _ = PORTS["keystone"]
    return layout.environ("demo") | {"OS_AUTH_URL": url(mine, "/v3")}


class Stage:
    """Where the tools are tried, each with a server of its own.

    :param lab: its client must have logged in before the gate is in the catalog, so
        that its requests neither count nor fail.
    """

    gate: Gate

    def __init__(self, lab: Lab, layout: Layout, tools: list[Tool]) -> None:
        self.lab, self.layout, self.tools = lab, layout, tools
        self._first = self._things()
        self._left_images = 0

    @contextmanager
    def gated(self) -> Iterator[None]:
        """Let the tools go through the gate."""
        with gate_in_catalog(self.layout) as self.gate:
            for tool in self.tools:
                tool.env = variables(self.layout)
            yield

    # -- costs

    def time(self, tool: Tool, kind: str) -> Time:
        """Measure how long a backup or a restore takes."""
        return self._backup(tool) if kind == "backup" else self._restore(tool)

    def count(self, tool: Tool, kind: str) -> Count:
        """Count what passes through the gate in a backup or a restore."""
        self.gate.passages.clear()
        took = self.time(tool, kind)
        own = [each for each in self.gate.passages if each.is_tool]
        moved = [
            each
            for each in self.gate.passages
            if not each.is_tool and each.service == "glance"
        ]
        return Count(
            seconds=took.seconds,
            complete=took.complete,
            requests=len(own),
            sent=sum(each.sent for each in own),
            received=sum(each.received for each in own),
            inside=sum(each.sent + each.received for each in moved),
            stored=tool.stored(),
            images=self._left_images,
        )

    def _backup(self, tool: Tool) -> Time:
        """Make a backup, and keep no other."""
        tool.wait_until_idle()
        known = set(tool.backups())
        began = time.monotonic()
        steps = tool.backup()
        assert {step.status for step in steps} == {0}, steps
        assert len(set(tool.backups()) - known) == 1
        self._left_images = self._images_left()
        self._sweep(tool)
        return Time(sum(s.seconds for s in steps), tool.complete_at - began)

    def _restore(self, tool: Tool) -> Time:
        """Restore the backup, and check what the guest finds on its disk."""
        began = time.monotonic()
        step = tool.restore()
        assert step.status == 0, step
        (guest,) = tool.restored()
        guest.wait_until_active()
        took = time.monotonic() - began
        guest.check()
        self._left_images = self._images_left()
        self._sweep(tool)
        return Time(step.seconds, took)

    def _images_left(self) -> int:
        """Return the bytes of the images that are there, and were not at first."""
        new = [each for each in self._images() if each.id not in self._first]
        return sum(each.size or 0 for each in new)

    # -- faults

    def prepare(self, tool: Tool) -> None:
        """Make the one backup that there is before something goes wrong."""
        tool.backup()
        self._sweep(tool)

    def try_out(self, tool: Tool, case: Case) -> Trial:
        """Let something go wrong in a backup or a restore, and see what follows."""
        tool.wait_until_idle()
        what = self._try_backup if case.kind == "backup" else self._try_restore
        trial = what(tool, case)
        self._sweep(tool)
        return trial

    def _try_backup(self, tool: Tool, case: Case) -> Trial:
        """Make a backup; restore, and let the next run come."""
        kept = tool.backups()
        with self._going_wrong(case) as fault:
            killed = fault.reached if fault is not None and case.kills else None
            steps = tool.backup(full=case.disk_is_full, killed=killed)
        tool.wait_until_idle()
        left = self._left()
        older = set(kept) <= set(tool.backups())
        restored = self._what_is_restored(tool, kept)
        again: list[Step] = []
        while not (healed := bool(set(tool.backups()) - set(kept))) and len(again) < 3:
            again.append(tool.again(len(again)))
        left_then = self._left()
        return Trial(
            case.kind,
            case.title,
            tool.name,
            steps,
            left,
            older,
            restored,
            again,
            healed,
            left_then,
        )

    def _try_restore(self, tool: Tool, case: Case) -> Trial:
        """Restore, and do so again if that has failed."""
        with self._going_wrong(case) as fault:
            killed = fault.reached if fault is not None and case.kills else None
            step = tool.restore(killed)
        self._settle(tool)
        left = self._left()
        again = [tool.restore()] if step.status else []
        self._settle(tool)
        healed = len(tool.restored()) == 1
        left_then = self._left()
        return Trial(
            case.kind,
            case.title,
            tool.name,
            [step],
            left,
            True,
            "",
            again,
            healed,
            left_then,
        )

    @contextmanager
    def _going_wrong(self, case: Case) -> Iterator[Fault | None]:
        fault = case.fault() if case.fault is not None else None
        if fault is not None and not case.kills:
            fault.go_on.set()
        with self.gate.failing(fault), self._disk_of_glance(case.glance_is_full):
            yield fault
            if fault is not None:
                fault.go_on.set()
        if fault is not None and not fault.reached.is_set():
            # Whatever was seen then says nothing.
            raise NothingWentWrong(case.title)

    @contextmanager
    def _disk_of_glance(self, is_full: bool) -> Iterator[None]:
        """Let Glance find that a file cannot grow, which it takes for a full disk."""
        pid = Services(self.layout).process("glance").pid()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        try:
            for child in children if is_full else ():
                resource.prlimit(int(child), resource.RLIMIT_FSIZE, (DISK, _NO_LIMIT))
            yield
        finally:
            for child in children:
                limits = (_NO_LIMIT, _NO_LIMIT)
                resource.prlimit(int(child), resource.RLIMIT_FSIZE, limits)

    def _what_is_restored(self, tool: Tool, kept: list[str]) -> str:
        """Restore, and remove all that this has made."""
        before = self._things()
        try:
            return self._restored(tool, kept)
        finally:
            self._remove(tool.restored())
            for thing_id in self._things().keys() - before.keys():
                self.lab.cloud.image.delete_image(thing_id)

    def _restored(self, tool: Tool, kept: list[str]) -> str:
        step = tool.restore()
        self._settle(tool)
        if step.status:
            return f"status {step.status}: {step.said}"
        (guest,) = tool.restored()
        source = tool.source(guest)
        which = "the older one" if source in kept else "the new one"
        state = guest.server.status
        return which if state == "ACTIVE" else f"{which}: {state}"

    def _settle(self, tool: Tool) -> None:
        """Wait until the restored servers have booted, or have not."""
        until(lambda: all(g.server.status != "BUILD" for g in tool.restored()))

    def _remove(self, guests: list[Guest]) -> None:
        for guest in guests:
            self.lab.delete(guest)

    def _images(self) -> list[Any]:
        """Return the project's own images."""
        return list(self.lab.cloud.image.images(owner=self.lab.project_id))

    def _things(self) -> dict[str, str]:
        """Return the project's images and servers, described, by their IDs."""
        images = self._images()
        servers = self.lab.cloud.compute.servers()
        return {
            **{each.id: f"image {each.status}" for each in images},
            **{each.id: f"server {each.status}" for each in servers},
        }

    def _left(self) -> list[str]:
        """Return what is there besides complete backups, and was not at first."""
        known = self._known()
        things = self._things().items()
        return sorted(what for thing_id, what in things if thing_id not in known)

    def _known(self) -> set[str]:
        """Return the IDs of what was there at first, and of complete backups."""
        backups = (backup for tool in self.tools for backup in tool.backups())
        return {*self._first, *backups}

    def _sweep(self, tool: Tool) -> None:
        """Leave the newest backup alone, and what was there at first."""
        self._remove(tool.restored())
        tool.clean()
        for thing_id in self._things().keys() - self._known():
            self.lab.cloud.image.delete_image(thing_id)
