"""A small cloud in memory whose servers have guests, and consoles that show them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from rax_scheduled_images_ext import Cloud
from rax_scheduled_images_ext.model.verify import Level
from rax_scheduled_images_ext.operations.snapshot.polling import Listener, Poller
from rax_scheduled_images_ext.operations.snapshot.signals import (
    Follower,
    SignalCatcher,
)
from rax_scheduled_images_ext.operations.verify import (
    Trial,
    Verified,
    VerifyOptions,
    VerifyPlan,
    plan_verify,
    remove_left_behind,
)

from .restore_cloud import START, Adapter, FakeCloud, Server

USER = "a" * 32
#: After how many seconds a guest is up.
GUEST = 20.0
#: What guests do, and what their consoles show in the end.
GUESTS = {
    "good": "Debian GNU/Linux 12 web ttyS0\n\nweb login: ",
    "broken": "No bootable device.\n",
    "silent": "",
    "unseen": None,
    "forbidden": None,
}
IMAGES_FAULT = "Build of instance 1 aborted: Image 2 is unacceptable: it is no qcow2"
CLOUDS_FAULT = "No valid host was found. There are not enough hosts available."


@dataclass
class Born:
    """What the cloud knows of a server besides."""

    user: str = USER
    created: datetime = START
    active: datetime | None = None
    fault: str | None = None


class VerifyCloud(FakeCloud):
    """``guest`` is what the images hold; ``fault`` lets boots end in ERROR."""

    def __init__(self, guest: str = "good", fault: str | None = None) -> None:
        super().__init__()
        self.guest = guest
        self.fault = fault
        self.versions = True
        self.born: dict[str, Born] = {}
        self.refuse_boot: tuple[int, str] | None = None
        self.refuse_patch = False
        if fault is not None:
            self.fails.add("boot")

    def cloud(self) -> Cloud:
        def open_adapter(service: str, **options: Any) -> Any:
            return UserAdapter(self, service, options)

        return Cloud(open_adapter)

    def signals(self) -> Follower:
        fake = self

        class Waiting(Follower):
            def sleep(self, seconds: float, *, interruptible: bool = True) -> None:
                fake.pass_time(max(seconds, 0.01))

            def call(self, function: Any, *_: Any, **__: Any) -> Any:
                return function()

        return Waiting(SignalCatcher(catch=False))

    def clock(self) -> float:
        return (self.now - START).total_seconds()

    def plan(self, *named: str, options: VerifyOptions) -> list[VerifyPlan]:
        return plan_verify(self.cloud(), named, options)

    def prove(self, plan: VerifyPlan, options: VerifyOptions) -> Verified:
        signals, listener = self.signals(), Listener()
        return Trial(self.cloud(), plan, options, signals, listener, self.clock).run()

    def sweep(self) -> list[str]:
        poller = Poller(self.signals(), clock=self.clock)
        return remove_left_behind(self.cloud(), poller)

    # -- answers

    def handle(self, service: str, seen: Any) -> tuple[int, Any]:
        found = re.fullmatch(r"/servers/([^/]+)", seen.url)
        if seen.method == "DELETE" and found:
            return self._delete(found[1])
        found = re.fullmatch(r"/servers/([^/]+)/action", seen.url)
        if found and "os-getConsoleOutput" in (seen.body or {}):
            return self._console(found[1])
        if seen.method == "POST" and seen.url == "/servers" and self.refuse_boot:
            status, why = self.refuse_boot
            return status, {"forbidden": {"message": why}}
        if seen.method == "PATCH" and self.refuse_patch:
            return 403, None
        return super().handle(service, seen)

    def _boot(self, body: Any, **more: Any) -> tuple[int, Any]:
        status, answer = super()._boot(body, **more)
        if status == 202:
            server_id = answer["server"]["id"]
            server, born = self.servers[server_id], Born(created=self.now)
            self.born[server_id] = born
            server.networks = ()
            booted = self._later[-1][1]

            def done() -> None:
                booted()
                born.active, born.fault = self.now, self.fault

            self._later[-1] = (self._later[-1][0], done)
        return status, answer

    def _server_view(self, server: Server) -> dict[str, Any]:
        view, born = super()._server_view(server), self.born.get(server.id, Born())
        more: dict[str, Any] = {
            "user_id": born.user,
            "created": f"{born.created:%Y-%m-%dT%H:%M:%SZ}",
        }
        if server.status == "ERROR":
            more["fault"] = {"message": born.fault}
        if not self.versions:
            view.pop("tags")
        return {**view, **more}

    def _delete(self, server_id: str) -> tuple[int, Any]:
        server = self.servers.get(server_id)
        if server is None:
            return 404, {"itemNotFound": {"message": "no such server"}}
        if server.locked:
            return 409, {"conflictingRequest": {"message": "locked"}}
        server.task = "deleting"
        self.after(1.0, partial(self.servers.pop, server_id, None))
        return 204, None

    def _console(self, server_id: str) -> tuple[int, Any]:
        server = self.servers.get(server_id)
        if server is None:
            return 404, {"itemNotFound": {"message": f"Instance {server_id}: none"}}
        if self.guest == "forbidden":
            return 403, {"forbidden": {"message": "Policy does not allow this"}}
        text = GUESTS[self.guest]
        if text is None:
            message = "Guest does not have a console available."
            return 404, {"itemNotFound": {"message": message}}
        active = self.born[server_id].active
        if active is None or (self.now - active).total_seconds() < GUEST:
            text = "\x1b[2JSeaBIOS\r\n" if text else ""
        return 200, {"output": text}


class UserAdapter(Adapter):
    """An adapter that knows whose it is."""

    def get_user_id(self) -> str:
        return USER

    def request(self, url: str, method: str, **options: Any) -> Any:
        answer = super().request(url, method, **options)
        if not self._fake.versions:  # type: ignore[attr-defined]
            del answer.headers["x-openstack-nova-api-version"]
        return answer


#: How an image is proven where nothing else is asked for.
CONSOLE = VerifyOptions()
BOOTED = VerifyOptions(level=Level.BOOTED)
