"""The service deletes the images of servers that are gone, if it is asked to."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.engine.gone import GoneImages
from rax_scheduled_images_ext.engine.projects import OneProject
from rax_scheduled_images_ext.model.durations import format_duration
from rax_scheduled_images_ext.model.image import (
    FACTS_KEY,
    GONE_KEY,
    MARKER_KEY,
    SERVER_KEY,
)
from rax_scheduled_images_ext.operations.prune import PrunedImage
from rax_scheduled_images_ext.programs.arguments import span
from rax_scheduled_images_ext.sandbox import Sandbox

from ..serviceshell import Service
from .fleet import MYSERVER, sent
from .gone import (
    NO_SERVER,
    archive_server,
    boot_from,
    delete_server,
    left,
    make_elsewhere,
    make_images,
    plain,
    restore_server,
    shared,
)
from .interceptor import Interceptor, json_answer, page
from .raw import START
from .runners import connected

TICK = ("tick", "--after-delete", "30d")


@pytest.fixture
def service(cloud: Sandbox) -> Service:
    return Service(cloud)


def tick(service: Any, cloud: Sandbox, *argv: str) -> Any:
    """Tick on the next day."""
    cloud.advance("1d")
    return service(*(argv or TICK))


@plain
def test_it_is_off_by_default(cloud: Sandbox, service: Service) -> None:
    images = make_images(cloud, 2)
    delete_server(cloud)
    cloud.advance("100d")
    sent(cloud)
    assert service("tick").status == 0
    assert left(cloud) == images
    assert not [line for line in sent(cloud) if line.startswith("GET /servers?")]


@plain
def test_images_go_when_it_is_time(cloud: Sandbox, service: Service) -> None:
    images = make_images(cloud, 3)
    delete_server(cloud)
    cloud.advance("29d23h")
    result = service(*TICK)
    assert (result.status, result.err) == (0, "")
    assert left(cloud) == images
    result = tick(service, cloud)
    assert result.status == 0
    assert left(cloud) == []
    lines = [line for line in result.err.splitlines() if " image deleted " in line]
    assert [image_id for line in lines for image_id in images if image_id in line] == (
        images
    )
    assert 'reason="its server is gone"' in lines[0]


@plain
def test_it_looks_once_a_day(cloud: Sandbox, service: Service) -> None:
    make_images(cloud, 1)
    delete_server(cloud)
    service(*TICK)
    sent(cloud)
    service(*TICK)
    assert not [line for line in sent(cloud) if line.startswith("GET /servers?")]
    tick(service, cloud)
    assert [line for line in sent(cloud) if "os-instance-actions" in line]


@plain
def test_a_server_that_is_back_keeps_all(cloud: Sandbox, service: Service) -> None:
    images = make_images(cloud, 2)
    delete_server(cloud)
    service(*TICK)
    with cloud.region() as region:
        assert GONE_KEY in region.images.get(images[1]).properties
    cloud.advance("40d")
    restore_server(cloud)
    service(*TICK)
    assert left(cloud) == images
    # Deleted once more, the time begins anew.
    delete_server(cloud)
    for _ in range(5):
        tick(service, cloud)
        cloud.advance("5d")
    assert left(cloud) == images
    cloud.advance("1d")
    tick(service, cloud)
    assert left(cloud) == []


@plain
@pytest.mark.parametrize("noted", [True, False])
def test_an_archived_history(cloud: Sandbox, service: Service, noted: bool) -> None:
    """What the newest image carries outlasts it; without that nothing is deleted."""
    images = make_images(cloud, 2)
    delete_server(cloud)
    if noted:
        service(*TICK)
    archive_server(cloud)
    cloud.advance("40d")
    tick(service, cloud)
    assert left(cloud) == ([] if noted else images)


@plain
def test_a_note_on_a_copy_says_nothing(cloud: Sandbox, service: Service) -> None:
    images = make_images(cloud, 2)
    delete_server(cloud)
    service(*TICK)
    with cloud.region() as region:
        noted = region.images.get(images[1]).properties[GONE_KEY]
        for image_id, note in ((images[1], None), (images[0], noted)):
            properties = dict(region.images.get(image_id).properties)
            properties.pop(GONE_KEY, None)
            if note:
                properties[GONE_KEY] = note
            region.images.update(image_id, properties=properties)
    archive_server(cloud)
    cloud.advance("40d")
    tick(service, cloud)
    assert left(cloud) == images


@shared
def test_two_novas_with_one_glance(cloud: Sandbox, service: Service) -> None:
    theirs = make_elsewhere(cloud, 2)
    mine = [each for each in make_images(cloud, 2) if each not in theirs]
    with cloud.region() as region:
        # One of theirs says nothing of its region, one of mine names theirs.
        for image_id, facts in ((theirs[0], None), (mine[0], "RegionTwo")):
            properties = dict(region.images.get(image_id).properties)
            known = json.loads(properties.pop(FACTS_KEY))
            if facts is not None:
                properties[FACTS_KEY] = json.dumps({**known, "region": facts})
            region.images.update(image_id, properties=properties)
    delete_server(cloud)
    cloud.advance("100d")
    tick(service, cloud)
    assert left(cloud) == sorted([*theirs, mine[0]], key=left(cloud).index)


@plain
def test_what_must_stay(cloud: Sandbox, service: Service) -> None:
    images = make_images(cloud, 4)
    with cloud.region() as region:
        boot_from(region, images[0])
        region.images.update(images[1], attributes={"protected": True})
        properties = dict(region.images.get(images[2]).properties)
        del properties[MARKER_KEY]
        region.images.update(images[2], properties=properties)
    delete_server(cloud)
    cloud.advance("40d")
    result = tick(service, cloud)
    assert result.status == 0
    kept = [image.id for image in cloud.images() if image.id in images]
    assert sorted(kept) == sorted(images[:3])


@plain
def test_an_error_leaves_the_newer_ones(cloud: Sandbox, service: Service) -> None:
    images = make_images(cloud, 3)
    delete_server(cloud)
    cloud.advance("40d")
    cloud.fault(f"DELETE /images/{images[1]} 500")
    result = tick(service, cloud)
    assert result.status == 1
    assert left(cloud) == images[1:]
    assert " image failed " in result.err
    cloud.clear_faults()
    assert tick(service, cloud).status == 0
    assert left(cloud) == []


@plain
def test_no_region_no_deletion(cloud: Sandbox, service: Service) -> None:
    result = service(*TICK, env={"OS_REGION_NAME": ""})
    assert result.status == 1
    assert "--after-delete requires a region" in result.err


ANSWERS = {
    "none": json_answer("404 Not Found", NO_SERVER),
    "page": page("404 Not Found"),
    "busy": page("503 Service Unavailable"),
    "broken": json_answer("200 OK", "{"),
    "other": json_answer("200 OK", '{"server": {"id": "x", "status": "ACTIVE"}}'),
    "empty": json_answer("200 OK", '{"instanceActions": []}'),
    "created": json_answer(
        "200 OK",
        '{"instanceActions": [{"action": "create", "start_time":'
        ' "2025-01-01T00:00:00.000000"}]}',
    ),
}
WHERE = ("server", "history", "images")


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(
    state=st.sampled_from(["there", "deleted", "restored", "archived"]),
    region=st.sampled_from(["RegionOne", "RegionTwo", None]),
    days=st.integers(0, 60),
    answers=st.dictionaries(
        st.sampled_from(WHERE),
        st.tuples(st.sampled_from(sorted(ANSWERS)), st.integers(0, 3)),
    ),
)
def test_laws(
    state: str, region: str | None, days: int, answers: dict[str, tuple[str, int]]
) -> None:
    """Nothing goes but what a deleted server of this region left long enough ago."""
    with Sandbox(extension=False, speed=0, start=START) as cloud:
        images = make_images(cloud, 2)
        with cloud.region() as here:
            for image_id in images:
                properties = dict(here.images.get(image_id).properties)
                known = json.loads(properties[FACTS_KEY])
                properties[FACTS_KEY] = json.dumps({**known, "region": region})
                here.images.update(image_id, properties=properties)
        if state != "there":
            delete_server(cloud)
        if state == "restored":
            restore_server(cloud)
        if state == "archived":
            archive_server(cloud)
        now = datetime.fromtimestamp(cloud.advance(f"{days}d"), timezone.utc)
        paths = {
            "server": f"/servers/{MYSERVER}$",
            "history": "/os-instance-actions",
            "images": f"{SERVER_KEY}=",
        }
        done: list[PrunedImage] = []
        with Interceptor(cloud) as front:
            for what, (answer, passed) in answers.items():
                front.answer("GET", paths[what], ANSWERS[answer], passed=passed)
            projects = OneProject(connected(cloud))
            work = GoneImages(projects, span("30d"), Clock(at=now), report=done.append)
            errors = work.delete()
        may_go = state == "deleted" and region == "RegionOne" and days >= 30
        gone = [each for each in images if each not in left(cloud)]
        assert gone == [] or may_go, (format_duration(days * 86400), errors)
        assert gone == images[: len(gone)]
        if may_go and not answers:
            assert gone == images


@plain
def test_all_projects(cloud: Sandbox, service: Service) -> None:
    """Each project's images are its own, whatever others publish."""
    images = make_images(cloud, 2)
    with cloud.region() as region:
        original = region.images.get(images[1])
        forged = region.images.add(
            owner="f" * 32,
            name=original.name,
            visibility="public",
            properties=original.properties,
        )
        region.images.upload(forged.id, b"disk")
        # Somebody else boots from an image that was shared.
        server = region.servers.get(MYSERVER)
        region.servers.boot(
            project_id="f" * 32,
            user_id=server.user_id,
            name="theirs",
            image_id=images[0],
            flavor_id="2",
        )
    delete_server(cloud)
    cloud.advance("40d")
    result = service(*TICK, "--all-projects", user="operator")
    assert images[0] in left(cloud)
    assert forged.id in left(cloud)
    assert images[1] not in left(cloud), result
