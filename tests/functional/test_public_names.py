"""The package's public names, as a program uses them."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

import rax_scheduled_images_ext as scheduled_images
from rax_scheduled_images_ext import errors
from rax_scheduled_images_ext.sandbox import Sandbox

from .fleet import MYSERVER, NOBODY
from .test_python_api import make_client

pytestmark = [
    pytest.mark.novaclient,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
DAILY = scheduled_images.ImageSchedule(3)


@pytest.fixture
def reached(cloud: Sandbox) -> scheduled_images.Cloud:
    return scheduled_images.connect(make_client(cloud))


def test_every_public_name_is_there_and_has_words() -> None:
    for name in scheduled_images.__all__:
        assert getattr(scheduled_images, name).__doc__, name
    assert {*scheduled_images.__all__} < {*dir(scheduled_images)}
    with pytest.raises(AttributeError, match=r"^module .* has no attribute 'missing'$"):
        _ = scheduled_images.missing


def test_another_object_than_a_client_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^str is neither an openstacksdk Connection"):
        scheduled_images.connect("myserver")


def test_importing_the_package_imports_none_of_its_modules() -> None:
    code = (
        "import sys, rax_scheduled_images_ext as package;"
        "print([name for name in sys.modules if name.startswith(package.__name__)])"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.strip() == "['rax_scheduled_images_ext']"


def test_a_schedule_is_enabled_shown_changed_and_disabled(
    reached: scheduled_images.Cloud, capfd: Any
) -> None:
    (enabled,) = scheduled_images.enable(reached, "myserver", DAILY)
    assert enabled.item == scheduled_images.Target("myserver")
    assert enabled.result() == DAILY
    (shown,) = scheduled_images.show(reached, "myserver")
    assert shown.result() == scheduled_images.ServerSchedule(MYSERVER, DAILY)
    saturday = scheduled_images.ScheduleSettings(day_of_week="sat")
    (changed,) = scheduled_images.change(reached, "myserver", saturday)
    weekly = scheduled_images.ImageSchedule(3, "SATURDAY")
    assert changed.result() == scheduled_images.ScheduleChange(DAILY, weekly)
    (disabled,) = scheduled_images.disable(reached, "myserver")
    assert disabled.error is None
    assert capfd.readouterr() == ("", "")


def test_an_error_of_one_server_keeps_no_other_from_its_schedule(
    reached: scheduled_images.Cloud,
) -> None:
    reported: list[Any] = []
    outcomes = scheduled_images.enable(
        reached,
        ["myserver", NOBODY, "web1"],
        DAILY,
        scheduled_images.Report(reported.append),
    )
    assert reported == outcomes
    assert [outcome.value for outcome in outcomes] == [DAILY, None, DAILY]
    with pytest.raises(errors.NoMatch):
        outcomes[1].result()
    names = [found.label for found in scheduled_images.find_targets(reached, "e.*1$")]
    assert names == ["web1"]


@pytest.mark.parametrize("retention", [0, 65536])
def test_a_retention_that_cannot_be_sends_nothing(
    reached: scheduled_images.Cloud, cloud: Sandbox, retention: int
) -> None:
    with pytest.raises(errors.InvalidValue, match=f"'{retention}'"):
        scheduled_images.enable(
            reached, "myserver", scheduled_images.ImageSchedule(retention)
        )
    with pytest.raises(errors.InvalidValue, match=f"'{retention}'"):
        scheduled_images.change(
            reached, "myserver", scheduled_images.ScheduleSettings(retention)
        )
    with pytest.raises(errors.InvalidValue, match=f"'{retention}'"):
        scheduled_images.plan_prune(reached, "myserver", retention)
    assert cloud.requests == []


def test_the_inventory_and_the_check_return_data(
    reached: scheduled_images.Cloud, cloud: Sandbox
) -> None:
    scheduled_images.enable(reached, ["myserver", "web1"], DAILY)
    cloud.advance("4d")
    inventory = scheduled_images.read_inventory(reached, enabled=True)
    assert [
        (status.server.name, status.state, status.counted)
        for status in sorted(inventory.servers, key=lambda each: each.server.name)
    ] == [
        ("myserver", scheduled_images.State.OK, 3),
        ("web1", scheduled_images.State.OK, 3),
    ]
    (region,) = scheduled_images.read_regions(reached, name=re.compile("^web1$"))
    assert [status.server.name for status in region.result().servers] == ["web1"]
    assert not scheduled_images.check(reached).problems
    cloud.advance("1h")
    late = scheduled_images.check(reached, max_age=timedelta(minutes=30))
    assert [status.server.name for status in late.problems] == ["myserver", "web1"]
    assert late.stale
    with pytest.raises(errors.NoServers):
        scheduled_images.check(reached, name="^db1$")


def test_retention_is_foreseen_and_applied(
    reached: scheduled_images.Cloud, cloud: Sandbox
) -> None:
    scheduled_images.enable(reached, "myserver", scheduled_images.ImageSchedule(5))
    cloud.advance("5d")
    images = scheduled_images.list_images(reached, "myserver")
    assert [decision.rank for decision in images] == [1, 2, 3, 4, 5]
    (found,) = scheduled_images.forecast(reached, "myserver", DAILY)
    # Of five images the next one leaves two, being the third itself.
    expiring = [decision.image.id for decision in found.result().expiring]
    assert expiring == [decision.image.id for decision in images[:1:-1]]
    (planned,) = scheduled_images.plan_prune(reached, "myserver", keep=3)
    oldest = [images[4].image.id, images[3].image.id]
    plan = planned.result()
    assert [decision.image.id for decision in plan.decisions] == oldest
    assert {each.action for each in plan.images()} == {"delete"}
    kept = scheduled_images.protect(reached, oldest[0])
    assert kept.scheduled
    done = scheduled_images.prune(reached, [plan])
    assert [(each.image.id, each.action) for each in done] == [
        (oldest[0], "skipped"),
        (oldest[1], "deleted"),
    ]
    scheduled_images.unprotect(reached, oldest[0])
    next_ones = scheduled_images.next_expiry(reached, MYSERVER)
    assert next_ones is not None
    assert [decision.image.id for decision in next_ones] == [oldest[0]]
    scheduled_images.disable(reached, "myserver")
    assert scheduled_images.next_expiry(reached, MYSERVER) is None


def test_a_server_is_quiesced_over_a_cloud(
    reached: scheduled_images.Cloud, cloud: Sandbox
) -> None:
    calls: list[object] = []
    with scheduled_images.quiesced_snapshot(
        reached,
        MYSERVER,
        "now",
        before=lambda _: calls.append("before"),
        after=lambda _: calls.append("after"),
    ) as snapshot:
        cloud.advance("1h")
    assert calls == ["before", "after"]
    assert snapshot.wait().status == "ACTIVE"
    gone = scheduled_images.quiesced_snapshot(
        reached, NOBODY, "now", before=calls.append, after=calls.append
    )
    with pytest.raises(errors.NoSuchServer) as caught, gone:
        pass
    assert type(caught.value) is errors.NoSuchServer
    assert calls == ["before", "after"]
