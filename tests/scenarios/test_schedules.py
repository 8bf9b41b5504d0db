"""Schedules, wherever the cloud keeps them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rax_scheduled_images_ext.console.schedules import NEEDS_SERVICE

from .drivers import Driver
from .resources import Workshop


def enable(driver: Driver, server: str, retention: int, day: str | None = None) -> None:
    """Enable scheduled images; a cloud that makes none itself says what does."""
    result = driver.enable(server, retention, day)
    assert (result.status, result.out) == (0, ""), result
    assert result.err in ("", f"{NEEDS_SERVICE}\n")


@pytest.fixture
def scheduled(driver: Driver, own: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The same with a daily schedule."""
    enable(driver, own[0], 7)
    yield own
    driver.run("disable", own[1])


def test_a_schedule_comes_and_goes(driver: Driver, scheduled: tuple[str, str]) -> None:
    name, server_id = scheduled
    assert driver.schedule(name) == ("daily", None, 7)
    assert driver.schedule(server_id) == ("daily", None, 7)
    enable(driver, server_id, 4, "sat")
    assert driver.schedule(name) == ("weekly", "SATURDAY", 4)
    result = driver.run("update", "--retention", "5", name)
    assert (result.status, result.out) == (0, "")
    assert driver.schedule(name) == ("weekly", "SATURDAY", 5)
    result = driver.run("update", "--daily", name)
    assert (result.status, result.out) == (0, "")
    assert driver.schedule(name) == ("daily", None, 5)
    assert driver.ok("disable", name) == ""
    for verb in ("show", "disable"):
        result = driver.run(verb, name)
        assert (result.status, result.out) == (1, "")
        told = f"Scheduled images not enabled for server {server_id} (HTTP 404)"
        assert result.err == driver.error("NotFound", told) + "\n"


def test_a_dry_run_changes_nothing(driver: Driver, scheduled: tuple[str, str]) -> None:
    name, _ = scheduled
    out = driver.forecast(name, 3)
    assert "retention 3" in out
    assert "No image expires with the next scheduled image." in out
    assert driver.schedule(name) == ("daily", None, 7)


def test_the_fleet_knows_its_schedules(
    driver: Driver, scheduled: tuple[str, str]
) -> None:
    name, server_id = scheduled
    (row,) = driver.listed("list", "--name", f"^{name}$")
    assert (row["id"], row["schedule"], row["retention"]) == (server_id, "daily", 7)
    assert driver.listed("list", "--disabled", "--name", f"^{name}$") == []
    # So young a schedule may be without an image, or its first is made at once.
    assert driver.run("check", "--name", f"^{name}$").status in (0, 3)


def test_a_server_that_is_not_there(driver: Driver, resources: Workshop) -> None:
    nobody = resources.name("nobody")
    results = [driver.run(verb, nobody) for verb in ("show", "disable")]
    for result in (*results, driver.enable(nobody, 7)):
        assert (result.status, result.out) == (1, "")
        told = f"No server with a name or ID of '{nobody}' exists."
        assert result.err == driver.error("CommandError", told) + "\n"
