"""A 404 that is not a service's own is believed by no command."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import SERVER_KEY, TYPE_KEY
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.clouds import open_cloud
from ..functional.fleet import MARKED, MYSERVER, add_image
from ..functional.interceptor import Answer, Interceptor, Rule, json_answer, page
from ..functional.raw import START
from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from ..shell import Shell

OWN: dict[str, Any] = {SERVER_KEY: MYSERVER, TYPE_KEY: "snapshot"}
#: What gateways answer, whatever they are asked for.
PAGES = (
    page("404 Not Found"),
    json_answer("404 Not Found", '{"message": "no Route matched"}'),
)
#: What a command must not say of what it does not know.
CLAIMS = re.compile(
    "not enabled|No (server|image)|no scheduled images|no schedule|does not exist"
    "|disappeared|is gone|is lost|nothing to delete|no longer there|already",
    re.IGNORECASE,
)
SNAPSHOT, SCHEDULE = ("server", "snapshot"), ("server", "image", "schedule")
#: What a shell itself asks for, and what a command does without where it must.
OTHERS = re.compile(
    r"/identity/|/os-instance-actions|^GET (/[A-Z]+)?(/[a-z]+(/v[0-9.]+(/\d+)?)?)?/?$"
)
#: Where Nova itself answers a page: the command then asks whether it is Nova's.
OWN_PAGE = re.compile("/rax-si-image-schedule$")

NOVA = {
    "enable": ("scheduled-images-enable", MYSERVER, "4"),
    "enable by name": ("scheduled-images-enable", "myserver", "4"),
    "dry run": ("scheduled-images-enable", "--dry-run", MYSERVER, "1"),
    "disable": ("scheduled-images-disable", MYSERVER),
    "show": ("scheduled-images-show", MYSERVER),
    "update": ("scheduled-images-update", "--retention", "3", MYSERVER),
    "list": ("scheduled-images-list",),
    "check": ("scheduled-images-check", "--max-age", "9w"),
    "image list": ("scheduled-images-image-list", MYSERVER),
    "image list by name": ("scheduled-images-image-list", "myserver"),
    "protect": ("scheduled-images-protect", "{image}"),
    "unprotect": ("scheduled-images-unprotect", "{image}"),
    "prune": ("scheduled-images-prune", "--keep", "1", "--yes", MYSERVER),
    "create": ("snapshot-create", "--interval", "0.1", MYSERVER, "x"),
    "watch": ("snapshot-watch", "--interval", "0.1", "--time-limit", "1s", MYSERVER),
    "image-list": ("image-list",),
    "image-show": ("image-show", "{image}"),
    "image-meta": ("image-meta", "{image}", "set", "a=b"),
    "image-delete": ("image-delete", "{image}"),
}
OPENSTACK = {
    "set": (*SCHEDULE, "set", "--retention", "4", MYSERVER),
    "unset": (*SCHEDULE, "unset", MYSERVER),
    "show": (*SCHEDULE, "show", MYSERVER),
    "list": (*SCHEDULE, "list"),
    "check": (*SCHEDULE, "check", "--max-age", "9w"),
    "snapshot list": (*SNAPSHOT, "list", MYSERVER),
    "protect": (*SNAPSHOT, "protect", "{image}"),
    "unprotect": (*SNAPSHOT, "unprotect", "{image}"),
    "prune": (*SNAPSHOT, "prune", "--keep", "1", "--yes", MYSERVER),
    "create": (*SNAPSHOT, "create", "--interval", "0.1", MYSERVER, "x"),
    "watch": (
        *(*SNAPSHOT, "watch", "--interval", "0.1", "--time-limit", "1s", MYSERVER),
    ),
}
CLOUDS: dict[str, Any] = {
    "extension": {},
    "tags": {"extension": False},
    "rackspace": {"like": "rackspace"},
    "compute's proxy": {},
}
CASES = [
    *(
        pytest.param(kind, Nova, argv, id=f"nova {key}-{kind}")
        for kind in CLOUDS
        for key, argv in NOVA.items()
    ),
    *(
        pytest.param(
            *(kind, OpenStack, argv),
            id=f"openstack {key}-{kind}",
            marks=not_beside_novaclient_7,
        )
        for kind in ("extension", "tags")
        for key, argv in OPENSTACK.items()
    ),
]


class Gateway(Interceptor):
    """Answers the request number ``due``, and all like it, in the service's place.

    ``hit`` is that request, None as long as it has not come.
    """

    due: int | None = None
    skipped: re.Pattern[str] | None = None
    passed = 0
    page: Answer
    hit: tuple[str, str] | None = None

    def arm(self, due: int, page: Answer) -> None:
        self.due, self.page, self.passed, self.hit = due, page, 0, None

    def wrong_answer(self, method: str, path: str) -> Rule | None:
        if self.due is None or OTHERS.search(f"{method} {path}"):
            return None
        if self.skipped and self.skipped.search(path):
            return None
        if self.hit is None and self.passed == self.due:
            self.hit = method, path
        self.passed += 1
        rule = Rule(method, re.compile(""), self.page, 1)
        return rule if self.hit == (method, path) else None


@pytest.mark.parametrize(("kind", "shell", "argv"), CASES)
def test_a_404_of_a_proxy_is_believed_nowhere(
    kind: str, shell: Callable[[Sandbox], Shell], argv: tuple[str, ...]
) -> None:
    with open_cloud(CLOUDS[kind], speed=0, start=START) as cloud:
        gateway = Gateway(cloud)
        result = Nova(cloud)("scheduled-images-enable", MYSERVER, "2")
        assert result.status == 0, result
        for name in ("one", "two", "three"):
            add_image(cloud, name, **MARKED, **OWN)
        gateway.skipped = OWN_PAGE if kind == "tags" else None
        if kind == "compute's proxy":
            gateway.without_image_service()
        image = cloud.images(MYSERVER)[0].id
        words = [word.format(image=image) for word in argv]
        for due in count():
            gateway.arm(due, PAGES[due % len(PAGES)])
            result = shell(cloud)(*words)
            if gateway.hit is None:
                assert due, result
                return
            trace = (kind, gateway.hit, result)
            # What is done beyond the command's task may stay unknown.
            assert result.status != 0 or "is not known" in result.err, trace
            assert "404" in result.err, trace
            assert "Traceback" not in result.err, trace
            assert not CLAIMS.search(result.err + result.out), trace
