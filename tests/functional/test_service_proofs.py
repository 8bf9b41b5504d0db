"""The service proves images: by itself, and as a command."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.engine.proofs import Proofs
from rax_scheduled_images_ext.model.image import VERIFIED_KEY
from rax_scheduled_images_ext.model.verify import (
    is_test_server,
    metadata_of_test,
    name_of_test,
)
from rax_scheduled_images_ext.operations.verify import VerifyOptions
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.environment import client_environment

from ..serviceshell import Service
from .fleet import MYSERVER, NOBODY, add_image, project_of, remember_proof
from .runners import advance_to_slot, runner_of

PROGRAM = Path(sys.executable).with_name("scheduled-images-service")
pytestmark = [
    pytest.mark.flow,
    pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True),
]


@pytest.fixture
def service(cloud: Sandbox) -> Service:
    return Service(cloud)


@pytest.fixture
def image(nova: Any, cloud: Sandbox, service: Service) -> str:
    """The scheduled image of ``myserver``, whose retention is 1."""
    assert nova("scheduled-images-enable", "myserver", "1").status == 0
    return made(cloud, service)


def made(cloud: Sandbox, service: Service) -> str:
    """Make the image of the next slot, and apply the retention; its ID."""
    advance_to_slot(cloud)
    service("tick")
    cloud.advance("5m")
    service("tick")
    (image,) = cloud.images(MYSERVER)
    return image.id


def record(cloud: Sandbox) -> str | None:
    (image,) = cloud.images(MYSERVER)
    return image.properties.get(VERIFIED_KEY)


def test_it_proves_those_whose_turn_it_is_once(
    cloud: Sandbox, service: Service, image: str
) -> None:
    result = service("verify", "--format", "json")
    assert result.status == 0, result
    (row,) = json.loads(result.out)
    assert (row["image_id"], row["result"]) == (image, "proven")
    again = service("verify", "--format", "json")
    assert json.loads(again.out) == []
    named = service("verify", "myserver", "--level", "booted", "--format", "json")
    assert [each["level"] for each in json.loads(named.out)] == ["booted"]


def test_what_was_proven_outlives_the_image(
    cloud: Sandbox, service: Service, image: str
) -> None:
    service("verify")
    known = str(record(cloud))
    newer = made(cloud, service)
    assert newer != image
    carried = str(record(cloud))
    assert carried == f"{newer}:{image}:" + known.split(":", 2)[2]
    assert json.loads(service("verify", "--format", "json").out) == []
    (row,) = json.loads(service("status", "--format", "json").out)
    assert row["verified"].endswith("Z console")


def break_image(cloud: Sandbox, image: str) -> None:
    with cloud.region() as region:
        region.disks.write(image, None)


def test_a_proof_that_failed_is_told(
    cloud: Sandbox, service: Service, image: str
) -> None:
    break_image(cloud, image)
    result = service("verify", "--time-limit", "2s")
    assert result.status == 3
    assert "No bootable device" in result.err
    status = service("status")
    assert status.status == 3
    assert "failed" in status.out


def test_bad_input_sends_nothing(cloud: Sandbox, service: Service) -> None:
    cloud.requests.clear()
    for argv, told in (
        (("verify", "--every", "2h"), "a day at least"),
        (("run", "--verify-every", "0s"), "a day at least"),
        (("verify", "--level", "command"), "require each other"),
    ):
        result = service(*argv)
        assert result.status == 2
        assert told in result.err
    assert not cloud.requests


def within(seconds: float, what: Callable[[], Any]) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.1)
    assert found
    return found


@pytest.mark.parametrize("broken", [False, True])
def test_run_proves_beside_its_ticks(
    cloud: Sandbox, image: str, start: Any, tmp_path: Any, broken: bool
) -> None:
    if broken:
        break_image(cloud, image)
    told = tmp_path / "told"
    process = start(
        *(
            PROGRAM,
            "run",
            "--every",
            "1s",
            "--verify-every",
            "90d",
            "--metrics-port",
            "0",
        ),
        *("--on-failure", f"sh -c 'cat > {told}'", "--log-format", "json"),
        *("--state", str(tmp_path / "state")),
        env=client_environment(cloud.env()),
    )
    lines: list[dict[str, Any]] = []

    def seen(event: str) -> dict[str, Any]:
        for line in process.stderr:
            lines.append(json.loads(line))
            if lines[-1]["event"] == event:
                return lines[-1]
        raise AssertionError(lines)

    try:
        port = seen("service started")["port"]
        if broken:
            within(30, lambda: any(is_test_server(s.name) for s in cloud.servers()))
        else:
            event = seen("proof proven")
            assert (event["server"], event["image"]) == (MYSERVER, image)
            url = f"http://127.0.0.1:{port}/metrics"
            gauge = "scheduled_images_verified_timestamp_seconds{"
            within(20, lambda: gauge in requests.get(url, timeout=9).text)
            text = requests.get(url, timeout=9).text
            assert 'scheduled_images_proofs_total{finding="' in text
            assert str(record(cloud)).startswith(f"{image}:{image}:")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    # Also one that was under way.
    assert not [s for s in cloud.servers() if is_test_server(s.name)]
    if broken:
        # That it was ended says nothing about the image.
        assert record(cloud) is None


# -- as workers prove


def proofs(cloud: Sandbox, at_once: int = 2) -> Proofs:
    runner = runner_of(cloud)
    return Proofs(runner.projects, timedelta(days=90), VerifyOptions(at_once=at_once))


def now(cloud: Sandbox) -> datetime:
    return datetime.fromtimestamp(cloud.advance(0), timezone.utc)


def test_as_many_are_due_as_may_be_proven_at_once(cloud: Sandbox, image: str) -> None:
    project, ids = project_of(cloud), [each.id for each in cloud.servers()]
    with_images = [each for each in ids if each != MYSERVER]
    for each in with_images:
        add_image(cloud, "snap", instance_uuid=each, image_type="snapshot")
    proven, *unproven = with_images
    remember_proof(cloud, cloud.images(proven)[0].id, None)
    keys = [(project, each) for each in (proven, *unproven, NOBODY, MYSERVER)]
    due, rest = proofs(cloud, 2).next_due(keys, now(cloud))
    assert (due, rest) == (keys[1:3], keys[3:])
    # Another project is the next batch, and a server without an image is none.
    due, rest = proofs(cloud, 9).next_due([*keys, ("other", MYSERVER)], now(cloud))
    assert due == [*keys[1:-2], keys[-1]]
    assert not rest or rest == [("other", MYSERVER)]


def test_test_servers_under_way_take_the_room(cloud: Sandbox, image: str) -> None:
    assert proofs(cloud, 1).has_room()
    with cloud.region() as region:
        model = region.servers.get(MYSERVER)
        region.servers.boot(
            project_id=model.project_id,
            user_id=model.user_id,
            name=name_of_test(image, "0" * 32),
            image_id=image,
            flavor_id=model.flavor_id,
            metadata=metadata_of_test(image, 720, "0" * 32),
        )
    assert not proofs(cloud, 1).has_room()
    assert proofs(cloud, 2).has_room()
    # It is left behind by now.
    cloud.advance("25m")
    assert proofs(cloud, 1).has_room()
