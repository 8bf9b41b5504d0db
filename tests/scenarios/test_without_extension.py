"""Schedules on a cloud without the extension: tags of servers, as anybody sets them."""

from __future__ import annotations

import pytest

from .drivers import Driver

# The same as on any cloud, on this one.
from .test_schedules import scheduled as scheduled
from .test_schedules import (
    test_a_dry_run_changes_nothing as test_a_dry_run_changes_nothing,
)
from .test_schedules import (
    test_a_schedule_comes_and_goes as test_a_schedule_comes_and_goes,
)
from .test_schedules import (
    test_a_server_that_is_not_there as test_a_server_that_is_not_there,
)
from .test_schedules import (
    test_the_fleet_knows_its_schedules as test_the_fleet_knows_its_schedules,
)

pytestmark = pytest.mark.needs("a cloud without the extension")


def test_schedules_are_tags(driver: Driver, scheduled: tuple[str, str]) -> None:
    name, _ = scheduled
    driver.add_tags(name, "tier:gold")
    driver.enable(name, 4, "sat")
    weekly = {"scheduled-images", "scheduled-images:weekly-saturday:4"}
    assert driver.tags(name) == {*weekly, "tier:gold"}
    driver.add_tags(name, "scheduled-images:weekly-saturday:9")
    assert driver.schedule(name) == ("weekly", "SATURDAY", 9)
    driver.ok("disable", name)
    assert driver.tags(name) == {"scheduled-images:off", "tier:gold"}

    # Beside that tag there is no schedule until somebody takes it away.
    driver.add_tags(name, "scheduled-images:daily:9", "scheduled-images")
    assert "the tag 'scheduled-images:off'" in driver.run("show", name).err
    driver.enable(name, 9)
    assert driver.schedule(name) == ("daily", None, 9)


def test_a_malformed_tag_is_named(driver: Driver, scheduled: tuple[str, str]) -> None:
    name, server_id = scheduled
    tag = "scheduled-images:hourly:3"
    driver.add_tags(name, tag)
    shown = driver.run("show", name)
    assert (shown.status, shown.out) == (1, "")
    assert f"Server {server_id} has the tag '{tag}', which is not" in shown.err
    (row,) = driver.listed("list", "--enabled", "--name", f"^{name}$")
    assert (row["state"], row["schedule"], row["retention"]) == ("invalid", tag, None)
    check, rows = driver.rows("check", "--name", f"^{name}$")
    assert (check.status, check.err) == (3, "")
    assert [(row["id"], row["state"]) for row in rows] == [(server_id, "invalid")]


def test_a_server_that_has_too_many_tags(driver: Driver, own: tuple[str, str]) -> None:
    name, _ = own
    driver.add_tags(name, *(f"tag-{number}" for number in range(50)))
    result = driver.enable(name, 7)
    assert (result.status, result.out) == (1, "")
    assert result.err.endswith(" at most 50: a schedule requires two\n")
    assert len(driver.tags(name)) == 50
