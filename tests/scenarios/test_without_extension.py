"""Schedules on a cloud without the extension: tags of servers, as anybody sets them."""

from __future__ import annotations

import pytest

from .conftest import Run
from .tables import objects

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


def tags(nova: Run, server: str) -> set[str]:
    """The tags of a server, by nova's own command."""
    lines = nova.ok("server-tag-list", server).splitlines()
    return {line.strip("| ") for line in lines[3:-1]}


def test_schedules_are_tags(nova: Run, scheduled: tuple[str, str]) -> None:
    name, _ = scheduled
    nova.ok("server-tag-add", name, "tier:gold")
    nova("scheduled-images-enable", "--day-of-week", "sat", name, "4")
    weekly = {"scheduled-images", "scheduled-images:weekly-saturday:4"}
    assert tags(nova, name) == {*weekly, "tier:gold"}
    nova.ok("scheduled-images-disable", name)
    assert tags(nova, name) == {"tier:gold"}

    for tag in ("scheduled-images:daily:9", "scheduled-images"):
        nova.ok("server-tag-add", name, tag)
    shown = nova.ok("scheduled-images-show", name)
    assert shown == "Schedule type: Daily\nRetention: 9\n"


def test_a_malformed_tag_is_named(nova: Run, scheduled: tuple[str, str]) -> None:
    name, server_id = scheduled
    tag = "scheduled-images:hourly:3"
    nova.ok("server-tag-add", name, tag)
    shown = nova("scheduled-images-show", name)
    assert (shown.status, shown.out) == (1, "")
    assert f"Server {server_id} has the tag '{tag}', which is not" in shown.err
    argv = ("--name", f"^{name}$", "--format", "json")
    (row,) = objects(nova.ok("scheduled-images-list", "--enabled", *argv))
    assert (row["state"], row["schedule"], row["retention"]) == ("invalid", tag, None)
    check = nova("scheduled-images-check", "--name", f"^{name}$")
    line = f"invalid: {name} ({server_id}): the tag '{tag}' is not a schedule\n"
    assert (check.status, check.out, check.err) == (3, line, "")


def test_a_server_that_has_too_many_tags(nova: Run, own: tuple[str, str]) -> None:
    name, _ = own
    nova.ok("server-tag-set", name, *(f"tag-{number}" for number in range(50)))
    result = nova("scheduled-images-enable", name, "7")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("ERROR (BadRequest): The number of tags exceeded")
    assert len(tags(nova, name)) == 50
