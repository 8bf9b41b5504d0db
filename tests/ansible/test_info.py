"""``server_image_schedule_info``, with the extension and with tags."""

from __future__ import annotations

from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery

from ..functional.fleet import MYSERVER, NOBODY, id_of
from ..functional.raw import START
from ..novashell import Nova
from .conftest import Play, info

EXTENSION = {"extension": True}
#: Two servers more, with a week of daily images; and time for one of them to be late.
FLEET = {"servers": 2, "images_per_server": 7, "start": START}
clouds = pytest.mark.parametrize(
    "cloud", [EXTENSION, {"extension": False}], indirect=True
)


def names(result: dict[str, Any]) -> list[str]:
    """The servers of a result, in its order."""
    assert not result["changed"]
    return [row["server"] for row in result["schedules"]]


@clouds
def test_servers_are_chosen_by_name_by_id_and_by_schedule(
    play: Play, cloud: Sandbox
) -> None:
    cloud.boot("db1.test")
    cloud.boot("db1xtest")
    everything = ["check-my-task-state", "db1", "db1.test", "db1xtest", "myserver"]
    everything.append("web1")
    nova = Nova(cloud)
    nova("scheduled-images-enable", "web1", "4", "--day-of-week", "saturday")
    nova("scheduled-images-enable", "myserver", "7")
    everyone, pattern, exact, by_id, enabled, disabled, no_id = play(
        info(),
        info(name="1$"),
        info(name=r"^db1\.test$"),
        info(server=MYSERVER),
        info(enabled=True),
        info(enabled=False, name="^[mw]"),
        info(name=NOBODY),
    )
    assert names(everyone) == everything
    assert names(pattern) == ["db1", "web1"]
    assert names(exact) == ["db1.test"]
    assert names(enabled) == ["myserver", "web1"]
    assert names(disabled) == []
    assert names(no_id) == []
    assert by_id["schedules"] == [
        {
            "server": "myserver",
            "id": MYSERVER,
            "schedule": "daily",
            "day_of_week": None,
            "retention": 7,
            "counted": 0,
            "kept": 0,
            "newest": None,
            "next_due": None,
            "state": "never",
            "expires_next": [],
            "problem": None,
        }
    ]
    (weekly,) = (row for row in everyone["schedules"] if row["server"] == "web1")
    assert (weekly["schedule"], weekly["day_of_week"]) == ("weekly", "SATURDAY")
    (off,) = (row for row in everyone["schedules"] if row["server"] == "db1")
    assert (off["schedule"], off["retention"], off["state"]) == (None, None, "off")


@pytest.mark.parametrize("cloud", [FLEET], indirect=True)
def test_the_newest_image_and_whether_it_is_late(play: Play, cloud: Sandbox) -> None:
    late = id_of(cloud, "server-00002")
    with cloud.region() as region:
        (server,) = region.servers.select(ServerQuery(name="^server-00002$"))
        region.servers.hold(server.id, True)
    cloud.advance("2d")
    usual, patient, alone = play(
        info(name="^server-"), info(name="^server-", max_age=100), info(name=late)
    )
    assert [row["state"] for row in usual["schedules"]] == ["ok", "late"]
    assert [row["state"] for row in patient["schedules"]] == ["ok", "ok"]
    assert alone["schedules"] == usual["schedules"][1:]
    first = usual["schedules"][0]
    assert (first["counted"], first["kept"]) == (7, 0)
    assert first["newest"] < first["next_due"]
    (expiring,) = first["expires_next"]
    assert expiring.startswith("Daily-server-00001-")


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_a_malformed_tag_is_named(play: Play, cloud: Sandbox) -> None:
    with cloud.region() as region:
        region.servers.set_tags(
            MYSERVER, ["scheduled-images", "scheduled-images:hourly:3"]
        )
    (result,) = play(info(name="myserver"), options=("--check",))
    (row,) = result["schedules"]
    assert (row["state"], row["schedule"]) == ("invalid", None)
    assert row["problem"] == "scheduled-images:hourly:3"


def test_bad_input_is_named_before_any_request(play: Play, cloud: Sandbox) -> None:
    ages = (0, 87601, True)
    *wrong, pattern, maybe = play(
        *(info(max_age=age) for age in ages),
        info(name="web["),
        info(enabled="maybe"),
    )
    for age, result in zip(ages, wrong, strict=True):
        assert result["msg"] == (
            f"'{age}' is not a max_age: a whole number of hours from 1 to 87600"
        )
    assert pattern["msg"].startswith("'web[' is not a regular expression: ")
    assert "argument 'enabled' is of type" in maybe["msg"]
    assert list(cloud.requests) == []


def test_a_cloud_that_cannot_be_read_fails(play: Play, cloud: Sandbox) -> None:
    cloud.fault("GET /servers/detail 500")
    (result,) = play(info())
    assert result["failed"]
    assert "(HTTP 500)" in result["msg"]
