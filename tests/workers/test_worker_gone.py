"""Workers delete the images of servers that are gone, although they are killed."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kombu import Connection

from rax_scheduled_images_ext.model.image import GONE_KEY
from rax_scheduled_images_ext.service import queues

from .. import waiting
from ..functional.gone import (
    archive_server,
    delete_server,
    left,
    make_images,
)
from .cluster import PROGRAM, Cluster
from .rehearsal import REGION, Rehearsal
from .test_worker_proofs import events
from .test_workers import EVERY, cloud, environ, rehearsal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["cloud", "environ", "rehearsal"]

until = partial(waiting.until, seconds=120)
DELETING = (*EVERY, "--log-format", "json", "--after-delete", "30d")


@pytest.fixture
def images(rehearsal: Rehearsal) -> list[str]:
    """The IDs of the images of a server that was deleted just now, oldest first."""
    begin_day(rehearsal)
    images = make_images(rehearsal.sandbox, 4)
    delete_server(rehearsal.sandbox)
    return images


def notes(rehearsal: Rehearsal) -> int:
    """How many notes there are that servers that are gone have been looked for."""
    with Connection(rehearsal.broker.url) as connection:
        return queues.length(connection, queues.gone(REGION)) or 0


def begin_day(rehearsal: Rehearsal) -> None:
    """Let the note expire; the broker's time is not the cloud's."""
    with Connection(rehearsal.broker.url) as connection, connection.channel() as opened:
        queue = queues.note(queues.gone(REGION))
        queue(opened).declare()
        queue(opened).purge()


def look(rehearsal: Rehearsal) -> None:
    """Wait until workers have looked for servers that are gone."""
    until(lambda: notes(rehearsal) == 1)
    assert rehearsal.wait_for_scan(120)


def test_images_go_when_it_is_time(
    rehearsal: Rehearsal, images: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    sandbox = rehearsal.sandbox
    with Cluster(tmp_path, environ, DELETING, workers=2, beats=2) as cluster:
        look(rehearsal)
        assert left(sandbox) == images
        with sandbox.region() as region:
            assert GONE_KEY in region.images.get(images[-1]).properties
        archive_server(sandbox)
        sandbox.advance("30d")
        # Not a second time today.
        assert rehearsal.wait_for_scan(120)
        assert left(sandbox) == images
        begin_day(rehearsal)
        until(lambda: not left(sandbox))
    logs = cluster.logs()
    gone = [each["image"] for each in events(logs, "image deleted")]
    assert gone == images
    assert "Traceback" not in logs


def test_nobody_has_asked_for_it(
    rehearsal: Rehearsal, images: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    rehearsal.sandbox.advance("100d")
    with Cluster(tmp_path, environ, EVERY):
        assert rehearsal.wait_for_scan(120, scans=2)
    assert (notes(rehearsal), left(rehearsal.sandbox)) == (0, images)


def test_another_goes_on_when_one_is_killed(
    rehearsal: Rehearsal, images: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    sandbox, deleting = rehearsal.sandbox, threading.Event()
    killed = threading.Event()

    def watch(app: WSGIApplication) -> WSGIApplication:
        def watched(
            environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            if environ["REQUEST_METHOD"] == "DELETE" and images[1] in str(
                environ["PATH_INFO"]
            ):
                deleting.set()
                assert killed.wait(120)
            return app(environ, start_response)

        return watched

    sandbox.wrap(watch)
    sandbox.advance("40d")
    with Cluster(tmp_path, environ, DELETING, children=1) as cluster:
        assert deleting.wait(120)
        assert left(sandbox) == images[1:]
        assert cluster.kill_child("worker0", random.Random(1))
        killed.set()
        until(lambda: not left(sandbox))


def test_an_error_leaves_the_newer_ones(
    rehearsal: Rehearsal, images: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    sandbox = rehearsal.sandbox
    sandbox.fault(f"DELETE /images/{images[1]} 500")
    sandbox.advance("40d")
    with Cluster(tmp_path, environ, DELETING) as cluster:
        look(rehearsal)
        until(lambda: events(cluster.logs(), "image failed"))
        assert left(sandbox) == images[1:]
        sandbox.clear_faults()
        begin_day(rehearsal)
        until(lambda: not left(sandbox))


@pytest.mark.parametrize("program", ["worker", "beat"])
def test_a_region_is_required(environ: dict[str, str], program: str) -> None:
    """Images name theirs."""
    done = subprocess.run(
        [str(PROGRAM), program, *DELETING],
        env={**environ, "OS_REGION_NAME": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "--after-delete requires a region" in done.stderr
    assert "Traceback" not in done.stderr
