"""Moments and durations so far away that their sums would overflow."""

from __future__ import annotations

import json

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.service.cli import parse

from ..novashell import Nova
from ..serviceshell import Service
from .fleet import MARKED, MYSERVER, add_image
from .interceptor import Interceptor
from .runners import schedule

PLAIN = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
pytestmark = PLAIN

FAR = (
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"),
    *("9000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"),
)
LONG = ("36501d", "9" * 30 + "w", "9" * 400 + "d")


@pytest.mark.parametrize("moment", FAR)
def test_moments(cloud: Sandbox, moment: str) -> None:
    problem = f"'{moment}' is not a time: write it as 2026-01-01T00:0"
    refused(cloud, ["plan", "--at", moment], problem)


@pytest.mark.parametrize("length", LONG)
def test_durations(cloud: Sandbox, length: str) -> None:
    for argv in (
        ["plan", "--max-delay", length],
        ["status", "--max-age", length],
    ):
        refused(cloud, argv, f"'{length}' is not allowed: 36500d at most")


@pytest.mark.usefixtures("cloud")
def test_run() -> None:
    """Only read: it would go on for ever."""
    with pytest.raises(SystemExit, match="2"):
        parse(["run", "--every", LONG[0]])


def refused(cloud: Sandbox, argv: list[str], problem: str) -> None:
    result = Service(cloud)(*argv)
    assert (result.status, result.out) == (2, "")
    assert problem in result.err
    assert result.err.count("\n") == 1
    assert not cloud.requests


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:00Z", "8999-12-31T23:59:59Z"])
def test_the_last_that_are_allowed(cloud: Sandbox, moment: str) -> None:
    schedule(cloud)
    for argv in (
        ["plan", "--all", "--at", moment, "--max-delay", "36500d", "--format", "json"],
        ["status", "--max-age", "36500d", "--format", "json"],
    ):
        result = Service(cloud)(*argv)
        assert (result.status, result.err) == (0, "")
        assert json.loads(result.out)
    assert Service(cloud).tick(moment).status in (0, 1)


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_images_of_such_times(
    cloud: Sandbox, front: Interceptor, nova: Nova, created: str
) -> None:
    """What a cloud says is not believed: such an image's time is unknown."""
    schedule(cloud, 1)
    add_image(cloud, "far", instance_uuid=MYSERVER, image_type="snapshot", **MARKED)
    now = b'"created_at": "2026-01-05T12:00:00Z"'
    far = f'"created_at": "{created}"'.encode()
    front.change("GET", "/v2/images", lambda content: content.replace(now, far))
    for argv in (
        ["scheduled-images-list"],
        ["scheduled-images-image-list", "myserver"],
    ):
        result = nova(*argv, "--format", "json")
        assert (result.status, result.err) == (0, "")
        assert all(row.get("created") is None for row in json.loads(result.out))
    for command in ("plan", "status", "tick"):
        assert "Traceback" not in Service(cloud)(command).err
