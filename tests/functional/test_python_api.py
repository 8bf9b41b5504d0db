"""Programs: ``cs.scheduled_images``, the old attribute, and the image store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import novaclient
import pytest
from novaclient import client, exceptions
from novaclient.api_versions import APIVersion

import rax_scheduled_images_ext
from rax_scheduled_images_ext import connect, errors
from rax_scheduled_images_ext.cli.nova.manager import ScheduledImagesManager
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.sandbox import Sandbox

from .fleet import MARKED, MYSERVER, NOBODY, add_image, id_of
from .interceptor import Interceptor, page

OLD = "rax_scheduled_images_python_novaclient_ext"
# novaclient 7 finds extensions by what setuptools has deprecated since.
pytestmark = [
    pytest.mark.novaclient,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def make_client(cloud: Sandbox, api_version: str = "2.1", **env: str) -> Any:
    """A novaclient client with all extensions, as its documents say to make one."""
    env = {**cloud.env(), **env}
    return client.Client(
        api_version,
        env["OS_USERNAME"],
        env["OS_PASSWORD"],
        project_name=env["OS_PROJECT_NAME"],
        auth_url=env["OS_AUTH_URL"],
        user_domain_name=env["OS_USER_DOMAIN_NAME"],
        project_domain_name=env["OS_PROJECT_DOMAIN_NAME"],
        region_name=env["OS_REGION_NAME"],
        extensions=client.discover_extensions(api_version),
    )


@pytest.fixture
def cs(cloud: Sandbox) -> Any:
    return make_client(cloud)


def test_the_manager_is_what_is_documented(cs: Any) -> None:
    assert isinstance(cs.scheduled_images, ScheduledImagesManager)


@pytest.mark.parametrize("form", ["id", "bytes", "object"])
def test_a_server_is_an_object_or_an_id(cs: Any, form: str) -> None:
    server: object = {
        "id": MYSERVER,
        "bytes": MYSERVER.encode(),
        "object": cs.servers.get(MYSERVER),
    }[form]
    assert cs.scheduled_images.enable(server, 7) == ImageSchedule(7)
    assert cs.scheduled_images.get(server) == ImageSchedule(7)
    cs.scheduled_images.disable(server)
    with pytest.raises(errors.NoSchedule) as told:
        cs.scheduled_images.get(server)
    assert told.value.server_id == MYSERVER


@pytest.mark.parametrize("day", ["saturday", "SAT", b"Saturday"])
def test_a_day_of_the_week(cs: Any, day: Any) -> None:
    schedule = cs.scheduled_images.enable(MYSERVER, 4, day_of_week=day)
    assert schedule == ImageSchedule(4, "SATURDAY")
    assert schedule.every == "weekly"


@pytest.mark.parametrize(
    ("retention", "day"),
    [
        *[(0, None), (-1, None), (65536, None), ("7", None), (1.5, None), (True, None)],
        *[(None, None), (7, "someday"), (7, "s"), (7, ""), (7, 6)],
    ],
)
def test_wrong_values_are_not_sent(
    cs: Any, cloud: Sandbox, retention: Any, day: Any
) -> None:
    cloud.requests.clear()
    with pytest.raises(errors.InvalidValue) as told:
        cs.scheduled_images.enable(MYSERVER, retention, day)
    assert isinstance(told.value, ValueError)
    assert list(cloud.requests) == []


@pytest.mark.parametrize("server", ["", ".", ".."])
def test_what_cannot_be_an_id_is_not_sent(cs: Any, cloud: Sandbox, server: str) -> None:
    cs.scheduled_images.enable(MYSERVER, 7)
    cloud.requests.clear()
    with pytest.raises(errors.InvalidValue):
        cs.scheduled_images.disable(server)
    assert list(cloud.requests) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda manager, server: manager.get(server),
        lambda manager, server: manager.enable(server, 7),
        lambda manager, server: manager.disable(server),
    ],
)
def test_the_meanings_of_404_are_three_errors(
    cs: Any, cloud: Sandbox, front: Interceptor, call: Any
) -> None:
    manager = cs.scheduled_images
    with pytest.raises(errors.NoSuchServer) as told:
        call(manager, NOBODY)
    assert isinstance(told.value, exceptions.NotFound)
    assert str(told.value) == f"No server with the ID '{NOBODY}' exists (HTTP 404)"
    assert told.value.server_id == NOBODY

    front.without_schedules()
    elsewhere = make_client(cloud).scheduled_images
    with pytest.raises(errors.NotOffered) as other:
        call(elsewhere, MYSERVER)
    assert isinstance(other.value, exceptions.NotFound)


def test_errors_can_be_caught_as_novaclients_or_as_ours(cs: Any) -> None:
    for kind in (exceptions.NotFound, errors.ScheduledImagesError):
        with pytest.raises(kind, match=f"not enabled for server {MYSERVER}"):
            cs.scheduled_images.disable(MYSERVER)


# -- the old attribute


def test_the_old_calls(cs: Any) -> None:
    old = getattr(cs, OLD)
    daily = old.enable(MYSERVER, "7")
    assert (daily.retention, getattr(daily, "day_of_week", None)) == (7, None)
    assert daily.to_dict() == {"retention": 7}
    weekly = old.enable(MYSERVER, 4, day_of_week="saturday")
    assert (weekly.retention, weekly.day_of_week) == (4, "SATURDAY")
    assert old.get(server_id=MYSERVER).day_of_week == "SATURDAY"
    assert old.disable(MYSERVER) is None


def test_the_old_errors(cs: Any, cloud: Sandbox) -> None:
    old = getattr(cs, OLD)
    for server in (MYSERVER, NOBODY):
        with pytest.raises(exceptions.NotFound) as told:
            old.get(server)
        assert str(told.value) == (
            f"Scheduled images not enabled for server {server} (HTTP 404)"
        )
        assert told.value.code == 404
        with pytest.raises(exceptions.NotFound):
            old.disable(server)
    cloud.requests.clear()
    for retention, day in (("abc", None), ("", None), (0, None), (7, "someday")):
        with pytest.raises(exceptions.BadRequest) as refused:
            old.enable(MYSERVER, retention, day)
        assert refused.value.code == 400
    assert list(cloud.requests) == []


def test_the_old_calls_are_one_request_each(cs: Any, cloud: Sandbox) -> None:
    old = getattr(cs, OLD)
    old.enable(MYSERVER, 7)
    cloud.requests.clear()
    for call in (old.get, old.disable, old.get, old.disable):
        with suppress(exceptions.NotFound):
            call(MYSERVER)
    assert [status for _, _, status in cloud.requests] == [200, 202, 404, 404]


# -- images


@pytest.fixture(params=["2.1", "2.35", "2.36", "2.79"])
def proxy(request: pytest.FixtureRequest, cloud: Sandbox, front: Interceptor) -> Any:
    """The image store of a cloud without an image service, at some microversion."""
    if APIVersion(request.param) > novaclient.API_MAX_VERSION:
        pytest.skip(f"this novaclient does not know microversion {request.param}")
    front.without_image_service()
    return connect(make_client(cloud, request.param)).images


def test_the_proxy_is_asked_at_a_microversion_that_has_it(
    proxy: Any, cloud: Sandbox
) -> None:
    image = add_image(cloud, "mine", a="1")
    proxy.set_metadata(image, {"b": "2"})
    proxy.delete_metadata(proxy.find("mine"), ["a"])
    assert proxy.get(image).metadata == {"b": "2"}
    proxy.delete(image)
    assert "mine" not in [each.name for each in proxy.list()]


@pytest.fixture(params=["image service", "proxy"])
def store(request: pytest.FixtureRequest, cloud: Sandbox, front: Interceptor) -> Any:
    if request.param == "proxy":
        front.without_image_service()
    return connect(make_client(cloud)).images


def test_images_are_filtered(store: Any, cloud: Sandbox) -> None:
    other = cloud.boot("other").id
    scheduled = add_image(cloud, "a", instance_uuid=MYSERVER, **MARKED)
    by_hand = add_image(cloud, "b", instance_uuid=MYSERVER)
    foreign = add_image(cloud, "a", instance_uuid=other, **MARKED)

    def ids(**filters: Any) -> set[str]:
        return {image.id for image in store.list(**filters)}

    assert {scheduled, by_hand, foreign} < ids()
    assert ids(server_id=MYSERVER) == {scheduled, by_hand}
    assert ids(scheduled=True) == {scheduled, foreign}
    assert ids(server_id=MYSERVER, scheduled=True) == {scheduled}
    assert ids(name="a") == {scheduled, foreign}
    assert ids(name="a", server_id=other) == {foreign}
    assert len(ids(limit=2)) == 2
    assert ids(server_id=NOBODY) == set()


def test_an_image_has_one_shape(store: Any, nova: Any, cloud: Sandbox) -> None:
    nova.ok("image-create", "myserver", "mine")
    image = store.find("mine")
    assert (image.status, image.server_id, image.scheduled) == (
        "SAVING",
        MYSERVER,
        False,
    )
    cloud.advance("2h")
    image = store.get(image)
    assert (image.status, image.progress) == ("ACTIVE", 100)
    assert image.created < image.updated
    assert image.size > 0
    assert image.metadata["image_type"] == "snapshot"


@pytest.mark.parametrize("key", ["", "visibility", "protected", "k" * 256])
def test_malformed_metadata_is_not_sent(store: Any, cloud: Sandbox, key: str) -> None:
    image = store.get(add_image(cloud, "mine"))
    cloud.requests.clear()
    calls: tuple[Callable[[], Any], ...] = (
        lambda: store.set_metadata(image, {"fine": "1", key: "1"}),
        lambda: store.delete_metadata(image, ["fine", key]),
    )
    for call in calls:
        with pytest.raises(errors.InvalidValue):
            call()
    assert list(cloud.requests) == []


def test_no_such_image(store: Any) -> None:
    calls: tuple[Callable[[], Any], ...] = (
        lambda: store.get(NOBODY),
        lambda: store.set_metadata(NOBODY, {"a": "1"}),
        lambda: store.delete_metadata(NOBODY, ["a"]),
        lambda: store.delete(NOBODY),
    )
    for call in calls:
        with pytest.raises(errors.NoSuchImage) as told:
            call()
        assert told.value.image_id == NOBODY
    with pytest.raises(errors.NoMatch, match=f"name or ID of '{NOBODY}' exists"):
        store.find(NOBODY)


@pytest.mark.parametrize(
    "suffix", ["", "/", "/v2", "/v2/", "/v2.9", "/v1"], ids=lambda s: s or "bare"
)
def test_a_catalog_may_say_the_version_of_the_image_api(
    cloud: Sandbox, front: Interceptor, suffix: str
) -> None:
    def moved(content: bytes) -> bytes:
        there = f'"{cloud.url}/image'.encode()
        return content.replace(there + b'"', there + suffix.encode() + b'"')

    front.change("POST", "/tokens$", moved)
    store = connect(make_client(cloud)).images
    front.log.clear()
    if suffix == "/v2.9":
        with pytest.raises(errors.ApiError):
            list(store.list())
        assert any("/image/v2.9/images" in line for line in front.log)
    else:
        assert [image.name for image in store.list()] == ["Debian 12 (Bookworm)"]
        assert any("GET /image/v2/images?" in line for line in front.log)


# -- the package


def test_the_version_is_the_distributions() -> None:
    name = "rax-scheduled-images-ext"
    assert rax_scheduled_images_ext.__version__ == version(name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = rax_scheduled_images_ext.nonsense


IMPORTS = """
import sys
from importlib.metadata import entry_points
import novaclient.shell, novaclient.client, novaclient.v2.client, novaclient.v2.shell
before = set(sys.modules)
for point in entry_points(group="novaclient.extension"):
    if point.value.startswith("rax_scheduled_images_ext."):
        point.load()
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_the_extension_imports_nothing_that_novaclient_has_not() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORTS],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    imported = done.stdout.split()
    assert "rax_scheduled_images_ext" in imported
    assert set(imported) - set(sys.stdlib_module_names) == {"rax_scheduled_images_ext"}


def test_names_of_servers_are_for_the_command_line(cs: Any, cloud: Sandbox) -> None:
    assert id_of(cloud, "myserver") == MYSERVER
    with pytest.raises(errors.NoSuchServer, match="the ID 'myserver'"):
        cs.scheduled_images.get("myserver")


def test_the_old_call_believes_no_proxy(cs: Any, front: Interceptor) -> None:
    front.answer("GET", "/rax-si-image-schedule$", page("404 Not Found"), 1)
    with pytest.raises(exceptions.NotFound, match="without a readable reason"):
        getattr(cs, OLD).get(MYSERVER)
    with pytest.raises(exceptions.NotFound, match="Scheduled images not enabled"):
        getattr(cs, OLD).get(MYSERVER)
