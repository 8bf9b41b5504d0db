"""Beside the service and the client as they were before runners left notes.

The whole rehearsal, a week of both, is in ``tests/beside``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.engine.find import Finder
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.engine.results import Result
from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    PENDING_KEY,
    claim_metadata,
    run_metadata,
)
from rax_scheduled_images_ext.model.note import NOTE
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER, NOBODY, project_of
from ..functional.runners import (
    advance_to_slot,
    made,
    results,
    runner_of,
    schedule,
    slots,
)
from .processes import Process
from .versions import TREE, unpacked
from .week import week_beside

plain = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
SERVER = "5e2f0f3c-6c55-4a5b-8c67-8d8f0cf2a0d1"
TICK = ("tick", "--requests=1")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the package as it was."""
    return unpacked(tmp_path_factory.mktemp("before"))


@pytest.fixture
def runners(
    cloud: Sandbox, before: Path, tmp_path: Path
) -> Iterator[tuple[Process, Process]]:
    """A runner as it was, and one as it is now."""

    def process(name: str, folder: Path) -> Process:
        environ, log = cloud.environ(), tmp_path / name
        return Process(name, folder, environ, lambda: cloud.advance(0), log)

    with process("before", before) as old, process("now", TREE) as new:
        yield old, new


def notes(cloud: Sandbox) -> list[str]:
    """The IDs of the notes that are there."""
    images = cloud.images()
    return [image.id for image in images if image.properties.get(CLAIM_KEY) == NOTE]


def test_a_day_of_both(before: Path, tmp_path: Path) -> None:
    with week_beside(before, tmp_path, seed=1, servers=4, runners=2) as week:
        week.pass_days(0.4)
        week.pass_days(0.6, calm=True)
        week.check()
        week.check_made()


@plain
def test_a_try_that_was_refused_goes_on_beside_an_earlier_runner(
    cloud: Sandbox, runners: tuple[Process, Process]
) -> None:
    old, new = runners
    schedule(cloud, 1)
    advance_to_slot(cloud)
    new.start(TICK)
    while new.request is not None:
        new.step(409 if new.request.is_snapshot else "go")
    left = notes(cloud)
    assert len(left) == 1
    cloud.advance("15m")
    # The hour's try is taken, and a note is neither counted nor swept.
    old.run(TICK)
    assert (made(cloud), notes(cloud)) == ([], left)
    new.run(TICK)
    assert (len(made(cloud)), notes(cloud)) == (1, [])
    cloud.advance("5m")
    old.run(TICK)
    new.run(TICK)
    (image,) = made(cloud)
    assert PENDING_KEY not in image.properties


@plain
@pytest.mark.parametrize(("first", "requests"), [(0, 12), (1, 7)])
def test_a_look_of_one_that_the_other_is_faster_than(
    cloud: Sandbox, runners: tuple[Process, Process], first: int, requests: int
) -> None:
    """Wherever one is held up, the image is made once, and nothing is lost."""
    faster, slower = runners[first], runners[1 - first]
    schedule(cloud, 1)
    for held in range(requests):
        slot = advance_to_slot(cloud)
        slower.start(TICK)
        for _ in range(held):
            if slower.request is not None:
                slower.step()
        for _ in range(2):
            faster.run(TICK)
            cloud.advance("90s")
        slower.finish()
        cloud.advance("1h")
        for _ in range(2):
            faster.run(TICK)
            slower.run(TICK)
            cloud.advance("5m")
        assert slots(cloud) == [slot], held
    assert len(made(cloud, deleted=True)) == requests - 1
    assert not [image for image in cloud.images() if CLAIM_KEY in image.properties]


def add_empty(cloud: Sandbox, properties: Any) -> str:
    """Add an image without data; its ID."""
    owner = project_of(cloud)
    with cloud.region() as region:
        return region.images.add(owner=owner, name="empty", properties=properties).id


@plain
def test_the_places_of_earlier_workers(cloud: Sandbox) -> None:
    """They count as claims do: once with the image that is made, and not for long."""
    schedule(cloud)
    advance_to_slot(cloud)
    place = add_empty(cloud, claim_metadata(NOBODY, "place"))
    image = add_empty(cloud, run_metadata(NOBODY, "2026-01-05", "0-a"))
    project_id = project_of(cloud)
    one, two = (runner_of(cloud, limits=Limits(each, each)) for each in (1, 2))
    assert one.step(MYSERVER, project_id).result is Result.LIMITED
    with cloud.region() as region:
        region.images.delete(image)
    (hint,) = next(Finder(one.projects).pages()).make
    assert one.step(MYSERVER, project_id, note=hint.note).result is Result.LIMITED
    add_empty(cloud, run_metadata(NOBODY, "2026-01-05", "0-b"))
    (hint,) = next(Finder(two.projects).pages()).make
    assert two.step(MYSERVER, project_id, note=hint.note).result is Result.STARTED
    cloud.advance("11m")
    two.tick()
    assert place not in {each.id for each in cloud.images()}


# -- the client


@plain
class TestTheClient:
    """The commands of the client as it was, beside the service as it is."""

    @pytest.fixture
    def nova(self, cloud: Sandbox, before: Path) -> Any:
        program = str(Path(sys.executable).with_name("nova"))
        more = {"PYTHONPATH": str(before), "PYTHONWARNINGS": "ignore"}
        environ = {**os.environ, **cloud.env(), **more}

        def nova(*argv: str) -> Any:
            done = subprocess.run(
                [program, *argv, "--format=json"],
                capture_output=True,
                text=True,
                check=True,
                env=environ,
            )
            return json.loads(done.stdout or "[]")

        return nova

    def test_it_sees_no_notes_and_deletes_what_the_service_deletes(
        self, cloud: Sandbox, nova: Any
    ) -> None:
        schedule(cloud, 2)
        runner = runner_of(cloud)
        for _ in range(2):
            advance_to_slot(cloud)
            runner.tick()
            cloud.advance("5m")
            assert results(runner.tick()) == ["RETAINED"]
        advance_to_slot(cloud)
        cloud.fault("POST /action$ 409 x1")
        assert results(runner.tick()) == ["BUSY"]
        left = notes(cloud)
        assert len(left) == 1
        kept = [image.id for image in made(cloud)]
        shown = nova("scheduled-images-image-list", MYSERVER)
        assert [each["id"] for each in shown] == kept[::-1]
        nova("scheduled-images-prune", MYSERVER, "--yes")
        assert ([image.id for image in made(cloud)], notes(cloud)) == (kept, left)
        (row,) = (r for r in nova("scheduled-images-list") if r["schedule"])
        assert row["counted"] == 2

    def test_it_counts_images_that_are_not_known_to_be_whole(
        self, cloud: Sandbox, nova: Any
    ) -> None:
        """So its prune deletes an older one, and no more than that."""
        cloud.boot("database", server_id=SERVER, volume_size=8)
        schedule(cloud, 1, server_id=SERVER)
        runner = runner_of(cloud)
        cloud.advance("1d")
        runner.tick()
        assert results(runner.tick()) == ["RETAINED"]
        cloud.fault("hang-volume x1")
        cloud.advance("1d")
        runner.tick()
        assert results(runner.tick()) == ["UNPROVEN"]
        older, newer = made(cloud)
        shown = nova("scheduled-images-image-list", "database")
        assert [each["counted"] for each in shown] == [True, True]
        (row,) = nova("scheduled-images-prune", "database", "--dry-run")
        assert row["id"] == older.id
        # The service and its own client keep it.
        assert results(runner.tick()) == ["UNPROVEN"]
        assert [image.id for image in made(cloud)] == [older.id, newer.id]
