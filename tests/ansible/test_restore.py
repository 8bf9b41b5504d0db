"""The module server_restore."""

from __future__ import annotations

from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import VERIFIED_KEY
from rax_scheduled_images_ext.sandbox import Sandbox

from .conftest import Play, Task
from .test_collection import documentation


def task(**arguments: Any) -> Task:
    return {"rax.scheduled_images.server_restore": {"name": "myserver", **arguments}}


@pytest.fixture
def cloud(cloud: Sandbox) -> Sandbox:
    """The test's cloud, with an image of ``myserver``."""
    (server,) = [each for each in cloud.servers() if each.name == "myserver"]
    with cloud.region() as region:
        region.snapshots.create(server.id, "before", {}, user_id=server.user_id)
    cloud.advance("1h")
    return cloud


def test_a_new_server_is_made_once(play: Play, cloud: Sandbox) -> None:
    results = play(task(new_name="back"), task(new_name="back"))
    assert [each["changed"] for each in results] == [True, False]
    first, second = (each["restore"] for each in results)
    assert first["restored_id"] == second["restored_id"]
    assert first["status"] == "ACTIVE"
    assert "adminPass" not in str(results)
    (documented,) = documentation("server_restore")["return"].values()
    assert list(documented["contains"]) == list(first)


def test_an_image_whose_proof_failed_is_passed_over(play: Play, cloud: Sandbox) -> None:
    (server,) = [each for each in cloud.servers() if each.name == "myserver"]
    (older,) = cloud.images(server.id)
    with cloud.region() as region:
        region.snapshots.create(server.id, "after", {}, user_id=server.user_id)
    cloud.advance("1h")
    newest = cloud.images(server.id)[0]
    record = f"{newest.id}:{newest.id}:2026-01-05T01:00:00Z:failed:No disk"
    with cloud.region() as region:
        properties = {**newest.properties, VERIFIED_KEY: record}
        region.images.update(newest.id, properties=properties)
    result, named = play(
        task(new_name="back"),
        task(new_name="other", image="after"),
        options=("--check",),
    )
    assert result["restore"]["image_id"] == older.id
    (warning,) = result["warnings"]
    assert warning.startswith(f"Skipped: image after ({newest.id}): its proof failed")
    assert named["restore"]["image_id"] == newest.id
    assert len(named["warnings"]) == 1


def test_check_mode_plans(play: Play, cloud: Sandbox) -> None:
    before = len(cloud.servers())
    (result,) = play(task(new_name="back"), options=("--check",))
    assert result["changed"]
    assert result["restore"]["restored_id"] is None
    assert result["restore"]["missing"]
    assert len(cloud.servers()) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "use one of --as NAME and --in-place"),
        ({"new_name": "back", "at": "soon"}, "'soon' is not a time"),
        ({"new_name": "web1"}, "that this restore did not make"),
    ],
)
def test_what_is_refused(play: Play, arguments: dict[str, Any], told: str) -> None:
    (result,) = play(task(**arguments))
    assert result["failed"]
    assert told in result["msg"]


@pytest.mark.parametrize("cloud", [{"speed": 60}], indirect=True)
def test_in_place(play: Play, cloud: Sandbox) -> None:
    (result,) = play(task(in_place=True))
    assert result["changed"]
    safety = result["restore"]["safety_image_id"]
    assert safety in [image.id for image in cloud.images()]
