"""What one process of a worker does, without a broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rax_scheduled_images_ext.engine.find import Finder
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER, project_of
from ..functional.runners import advance_to_slot, made, runner_of, schedule

pytestmark = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
REGION = "RegionOne"


@pytest.fixture
def worker(cloud: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The settings of a process that works for the test's cloud."""
    for name, value in cloud.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SCHEDULED_IMAGES_OPTIONS", "--every 90s --log-format json")
    # The application is made when it is imported.
    from rax_scheduled_images_ext.service.workers import settings

    settings.settings.cache_clear()
    monkeypatch.setattr(settings, "_ENGINES", {})
    yield settings
    settings.settings.cache_clear()


@pytest.mark.parametrize("fault", ["GET /servers 401", "GET /servers 500"])
def test_a_login_that_is_refused_is_not_kept(
    cloud: Sandbox, worker: Any, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The password may have been changed, as `run` knows."""
    from rax_scheduled_images_ext.service.workers import tasks

    schedule(cloud, 3)
    engine = worker.engine_of(REGION)
    project = str(engine.runner.projects.listing.compute.adapter.get_project_id())
    tasks.look(REGION, project, MYSERVER, "", 0.0)
    assert worker.engine_of(REGION) is engine
    cloud.fault(fault)
    if fault.endswith("401"):
        cloud.fault("POST /auth/tokens 401")
    tasks.look(REGION, project, MYSERVER, "", 0.0)
    cloud.clear_faults()
    assert (worker.engine_of(REGION) is engine) is fault.endswith("500")


def test_a_scan_is_dropped_by_the_broker_and_not_by_clocks(
    cloud: Sandbox, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message says for how long it is good, not until when by beat's clock."""
    from rax_scheduled_images_ext.service.workers.app import make_app

    app = make_app()
    app.conf.update(broker_url="memory://", task_queues=None)
    app.conf.task_create_missing_queues = True
    (entry,) = app.conf.beat_schedule.values()
    with app.connection_for_write() as connection:
        sent = app.send_task(
            entry["task"], entry["args"], connection=connection, **entry["options"]
        )
        message = connection.SimpleQueue(entry["options"]["queue"]).get(timeout=60)
    assert message.headers["id"] == sent.id
    assert message.headers["expires"] is None
    assert int(message.properties["expiration"]) == 90_000


def test_each_deletion_is_logged_when_it_happens(
    cloud: Sandbox, worker: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from rax_scheduled_images_ext.service.workers import tasks

    schedule(cloud, 1)
    project = project_of(cloud)
    for _ in range(2):
        slot = advance_to_slot(cloud)
        tasks.look(REGION, project, MYSERVER, slot, 0.0)
        first = made(cloud)[0].id
        cloud.advance("5m")
        tasks.look(REGION, project, MYSERVER, slot, 0.0)
    assert first not in [image.id for image in made(cloud)]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    deleted = [line["image"] for line in lines if line["event"] == "image deleted"]
    assert deleted == [first]


def test_the_slot_of_a_hidden_image_counts_as_made(cloud: Sandbox, worker: Any) -> None:
    """The image was hidden before it was settled: so its server is looked at."""
    from rax_scheduled_images_ext.service.workers import tasks
    from rax_scheduled_images_ext.service.workers.sender import Sender

    schedule(cloud, 1)
    slot = advance_to_slot(cloud)
    tasks.look(REGION, project_of(cloud), MYSERVER, slot, 0.0)
    (image,) = made(cloud)
    cloud.advance("2h")
    with cloud.region() as region:
        region.images.update(image.id, attributes={"hidden": True})
    engine = worker.engine_of(REGION)
    sent: list[Any] = []
    sender = Sender.__new__(Sender)
    object.__setattr__(sender, "region", REGION)
    object.__setattr__(sender, "_send", lambda task, args: sent.append(args))
    for page in engine.finder.pages():
        sender.send_looks(page, engine.runner.limits)
    for args in sent:
        tasks.look(*args)
    assert len(sent) == 1
    assert [each.id for each in made(cloud)] == [image.id]


def test_a_ping_is_good_only_if_no_image_is_missing(cloud: Sandbox) -> None:
    """A scan that has ended says nothing of the images."""
    from rax_scheduled_images_ext.service.workers.tally import count_missing

    runner = runner_of(cloud)
    finder = Finder(runner.projects)

    def missing(*, owners: bool = True) -> int:
        (page,) = finder.pages()
        return count_missing(page, finder.known, page.now, owners=owners)

    schedule(cloud, 1)
    advance_to_slot(cloud)
    cloud.advance("3h")
    # It may have been scheduled just now.
    assert missing() == 0
    runner.tick()
    assert missing() == 0
    cloud.advance("10m")
    runner.tick()
    advance_to_slot(cloud)
    assert missing() == 0
    cloud.advance("3h")
    assert missing() == 1
    with cloud.region() as region:
        region.cloud.store.update("servers", region.name, MYSERVER, status="ERROR")
    assert (missing(), missing(owners=False)) == (1, 0)
    cloud.advance("10h")
    assert (missing(), missing(owners=False)) == (1, 0)
