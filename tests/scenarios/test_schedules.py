"""Schedules, wherever the cloud keeps them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rax_scheduled_images_ext.output.views import NEEDS_SERVICE

from .conftest import Run
from .resources import Workshop
from .tables import objects


def enable(nova: Run, *argv: str) -> None:
    """Enable scheduled images; a cloud that makes none itself says what does."""
    result = nova("scheduled-images-enable", *argv)
    assert (result.status, result.out) == (0, ""), result
    assert result.err in ("", f"{NEEDS_SERVICE}\n")


@pytest.fixture
def scheduled(nova: Run, own: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The same with a daily schedule."""
    enable(nova, own[0], "7")
    yield own
    nova("scheduled-images-disable", own[1])


def test_a_schedule_comes_and_goes(nova: Run, scheduled: tuple[str, str]) -> None:
    name, server_id = scheduled
    daily = "Schedule type: Daily\nRetention: 7\n"
    assert nova.ok("scheduled-images-show", name) == daily
    assert nova.ok("scheduled-images-show", server_id) == daily
    weekly = ("--day-of-week", "sat", server_id, "4")
    enable(nova, *weekly)
    shown = nova.ok("scheduled-images-show", name)
    assert shown == "Schedule type: Weekly on: SATURDAY\nRetention: 4\n"
    result = nova("scheduled-images-update", "--retention", "5", name)
    assert (result.status, result.out) == (0, "")
    shown = nova.ok("scheduled-images-show", name)
    assert shown == "Schedule type: Weekly on: SATURDAY\nRetention: 5\n"
    assert nova.ok("scheduled-images-disable", name) == ""
    for verb in ("show", "disable"):
        result = nova(f"scheduled-images-{verb}", name)
        assert (result.status, result.out) == (1, "")
        told = f"Scheduled images not enabled for server {server_id} (HTTP 404)"
        assert result.err == f"ERROR (NotFound): {told}\n"


def test_a_dry_run_changes_nothing(nova: Run, scheduled: tuple[str, str]) -> None:
    name, _ = scheduled
    out = nova.ok("scheduled-images-enable", "--dry-run", name, "3")
    assert "retention 3" in out
    assert "No image expires with the next scheduled image." in out
    shown = nova.ok("scheduled-images-show", name)
    assert shown == "Schedule type: Daily\nRetention: 7\n"


def test_the_fleet_knows_its_schedules(nova: Run, scheduled: tuple[str, str]) -> None:
    name, server_id = scheduled
    argv = ("--name", f"^{name}$", "--format", "json")
    (row,) = objects(nova.ok("scheduled-images-list", *argv))
    assert (row["id"], row["schedule"], row["retention"]) == (server_id, "daily", 7)
    assert objects(nova.ok("scheduled-images-list", "--disabled", *argv)) == []
    # So young a schedule may be without an image, or its first is made at once.
    assert nova("scheduled-images-check", "--name", f"^{name}$").status in (0, 3)


def test_a_server_that_is_not_there(nova: Run, resources: Workshop) -> None:
    nobody = resources.name("nobody")
    for argv in (("show", nobody), ("disable", nobody), ("enable", nobody, "7")):
        result = nova(f"scheduled-images-{argv[0]}", *argv[1:])
        assert (result.status, result.out) == (1, "")
        told = f"No server with a name or ID of '{nobody}' exists."
        assert result.err == f"ERROR (CommandError): {told}\n"
