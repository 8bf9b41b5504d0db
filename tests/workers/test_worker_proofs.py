"""Workers prove that images boot: within limits, and although they are killed."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from rax_scheduled_images_ext.model.image import SERVER_KEY, VERIFIED_KEY
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.region.disks import Disk
from rax_scheduled_images_ext.service import queues

from .. import waiting
from ..functional.fleet import add_image
from ..functional.proofs import failing, left_in
from .broker import Broker
from .cluster import Cluster
from .rehearsal import REGION, Rehearsal
from .test_workers import EVERY, cloud, environ, rehearsal

__all__ = ["cloud", "environ", "rehearsal"]

until = partial(waiting.until, seconds=120)
PROVING = (*EVERY, "--log-format", "json", "--verify-every", "1d")


@pytest.fixture
def images(rehearsal: Rehearsal) -> list[str]:
    """The IDs of the images of five servers, which have a schedule."""
    sandbox = rehearsal.sandbox
    ids = [server.id for server in sandbox.servers()][:5]
    rehearsal.schedule(dict.fromkeys(ids, ImageSchedule(1)))
    with Connection(rehearsal.broker.url) as connection, connection.channel() as opened:
        queue = queues.note(queues.proven(REGION))
        queue(opened).declare()
        queue(opened).purge()
    return [
        add_image(sandbox, "snap", instance_uuid=each, image_type="snapshot")
        for each in ids
    ]


def proven(sandbox: Sandbox) -> int:
    """Of how many servers an image was proven."""
    known = [image.properties for image in sandbox.images()]
    return len({each[SERVER_KEY] for each in known if VERIFIED_KEY in each})


def events(text: str, name: str) -> list[dict[str, Any]]:
    """The events of this name in what was logged."""
    found = [json.loads(line) for line in text.splitlines() if line[:1] == "{"]
    return [each for each in found if each["event"] == name]


def notes(rehearsal: Rehearsal) -> int:
    """How many notes there are that the day's proofs have begun."""
    with Connection(rehearsal.broker.url) as connection:
        return queues.length(connection, queues.proven(REGION)) or 0


def test_each_image_is_proven_once_and_no_more_at_once_than_allowed(
    rehearsal: Rehearsal, images: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    sandbox, most = rehearsal.sandbox, 0
    with Cluster(tmp_path, environ, PROVING, workers=2, beats=2) as cluster:
        while proven(sandbox) < 5:
            most = max(most, len(left_in(sandbox)))
            assert rehearsal.wait_for_scan(120, scans=0)
        assert rehearsal.wait_for_scan(120, scans=3)
        assert notes(rehearsal) == 1
    assert not left_in(sandbox)
    assert most <= 2
    logs = cluster.logs()
    told = events(logs, "proof proven")
    assert sorted(each["image"] for each in told) == sorted(images)
    assert all(each["reason"].startswith("console: ") for each in told)
    assert "Traceback" not in logs


def test_one_connection_holds_a_lock(broker: Broker) -> None:
    name = queues.proving("somewhere")
    with Connection(broker.url) as one, Connection(broker.url) as other:
        with (
            queues.locked(one, name, 60) as first,
            queues.locked(other, name, 60) as no,
        ):
            assert (first, no) == (True, False)
        with queues.locked(other, name, 60) as free:
            assert free
            # The holder is gone before it releases it.
            other.collect()
        until(lambda: can_lock(one, name))


def can_lock(connection: Connection, name: str) -> bool:
    """Whether nobody else holds a lock."""
    with queues.locked(connection, name, 60) as free:
        return free


def test_the_window_is_kept(
    rehearsal: Rehearsal, images: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    options = (*PROVING, "--window", "22:00-23:00")
    with Cluster(tmp_path, environ, options):
        assert rehearsal.wait_for_scan(120, scans=2)
        assert (notes(rehearsal), proven(rehearsal.sandbox)) == (0, 0)


def test_a_killed_worker_leaves_nothing_for_long(
    rehearsal: Rehearsal, images: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    sandbox = rehearsal.sandbox
    for image in images:
        disks(sandbox, image, None)
    options = (*PROVING, "--verify-at-once", "1")
    with Cluster(tmp_path, environ, options, children=1) as cluster:
        (left,) = until(lambda: left_in(sandbox))
        assert cluster.kill_child("worker0", random.Random(1))
        for image in images:
            disks(sandbox, image, Disk())
        # It may still be in use by somebody, so nothing else is tried meanwhile.
        assert rehearsal.wait_for_scan(120, scans=3)
        assert (left_in(sandbox), proven(sandbox)) == ([left], 0)
        sandbox.advance("30m")
        until(lambda: proven(sandbox) == 5)
        until(lambda: not left_in(sandbox))
    assert not events(cluster.logs(), "proof failed")


def test_a_worker_that_ends_deletes_its_test_server_and_another_goes_on(
    rehearsal: Rehearsal, images: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    sandbox = rehearsal.sandbox
    for image in images:
        disks(sandbox, image, None)
    first = Cluster(tmp_path, environ, PROVING, children=1)
    with first:
        until(lambda: left_in(sandbox))
        first.end("worker0")
    # Nothing is known of an image that was not looked at to the end.
    assert (left_in(sandbox), proven(sandbox)) == ([], 0)
    for image in images:
        disks(sandbox, image, Disk())
    with Cluster(tmp_path, environ, PROVING, beats=0):
        until(lambda: proven(sandbox) == 5)


def disks(sandbox: Sandbox, image: str, disk: Disk | None) -> None:
    """Write what an image holds; one without anything does not boot."""
    with sandbox.region() as region:
        region.disks.write(image, disk)


def test_a_proof_that_failed_is_told(
    rehearsal: Rehearsal, images: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    told, sandbox = tmp_path / "told", rehearsal.sandbox
    disks(sandbox, images[2], None)
    options = (*PROVING, "--on-failure", f"sh -c 'cat >> {told}'")
    failing(sandbox, f"Image {images[2]} is unacceptable", images[2])
    with Cluster(tmp_path, environ, options) as cluster:
        until(told.exists)
        until(lambda: proven(sandbox) == 5)
    (failed,) = events(cluster.logs(), "proof failed")
    assert failed["image"] == images[2]
    assert json.loads(told.read_text())["event"] == "proof failed"
    assert len(events(cluster.logs(), "proof proven")) == 4
