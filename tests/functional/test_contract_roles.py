"""Who may see, set and remove a schedule, on all types of cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .clouds import PROXIED_ROLES
from .raw import Box, Caller, box

ADMINS = ("admin", "admin2", "global-admin")
CREATORS = ("creator", "creator2")
OBSERVERS = ("observer", "observer2", "global-observer")

# get on, get off, post, delete on, delete off
RIGHTS = {
    **dict.fromkeys(ADMINS, (200, 404, 200, 202, 404)),
    **dict.fromkeys(CREATORS, (200, 404, 200, 403, 403)),
    **dict.fromkeys(OBSERVERS, (200, 404, 403, 403, 403)),
}


@pytest.fixture(params=["openstack", "rackspace", PROXIED_ROLES], scope="module")
def shared_box(request: pytest.FixtureRequest) -> Iterator[Box]:
    with box(request.param) as made:
        yield made


@pytest.fixture
def cloud_box(shared_box: Box) -> Box:
    set_schedule(shared_box.admin, None)
    return shared_box


def schedule_path(box: Box) -> str:
    return f"/servers/{box.admin.server_id()}/rax-si-image-schedule"


def set_schedule(admin: Caller, retention: int | None) -> None:
    path = f"/servers/{admin.server_id()}/rax-si-image-schedule"
    if retention is None:
        assert admin.delete(path).status_code in (202, 404)
    else:
        body = {"image_schedule": {"retention": retention}}
        assert admin.post(path, body).status_code == 200


def retention(box: Box) -> int | None:
    answer = box.admin.get(schedule_path(box))
    if answer.status_code == 404:
        return None
    return int(answer.json()["image_schedule"]["retention"])


@pytest.mark.parametrize("user", RIGHTS)
def test_rights(cloud_box: Box, user: str) -> None:
    caller, path = cloud_box.as_(user), schedule_path(cloud_box)
    get_on, get_off, post, delete_on, delete_off = RIGHTS[user]
    body = {"image_schedule": {"retention": 9}}

    assert caller.get(path).status_code == get_off
    assert caller.delete(path).status_code == delete_off
    assert caller.post(path, body).status_code == post
    assert retention(cloud_box) == (9 if post == 200 else None)

    set_schedule(cloud_box.admin, 3)
    assert caller.get(path).status_code == get_on
    assert caller.post(path, body).status_code == post
    assert retention(cloud_box) == (9 if post == 200 else 3)
    assert caller.delete(path).status_code == delete_on
    assert (retention(cloud_box) is None) == (delete_on == 202)


def test_a_creator_may_not_even_remove_its_own(cloud_box: Box) -> None:
    creator, path = cloud_box.as_("creator"), schedule_path(cloud_box)
    assert creator.post(path, {"image_schedule": {"retention": 4}}).status_code == 200
    refused = creator.delete(path)
    assert refused.status_code == 403
    assert "rax-si-image-schedule:delete" in refused.json()["forbidden"]["message"]
    assert retention(cloud_box) == 4


@pytest.mark.parametrize("first", ["admin", "creator"])
@pytest.mark.parametrize("second", ["admin2", "creator2"])
def test_a_schedule_belongs_to_the_server(
    cloud_box: Box, first: str, second: str
) -> None:
    path = schedule_path(cloud_box)
    for user, kept in ((first, 2), (second, 5), (first, 3)):
        body = {"image_schedule": {"retention": kept}}
        assert cloud_box.as_(user).post(path, body).status_code == 200
        assert retention(cloud_box) == kept


@pytest.mark.parametrize("enabled", [True, False])
def test_a_stranger_is_kept_out(cloud_box: Box, enabled: bool) -> None:
    set_schedule(cloud_box.admin, 3 if enabled else None)
    stranger, path = cloud_box.as_("stranger"), schedule_path(cloud_box)
    if cloud_box.sandbox.like == "rackspace":
        # With the account's own URL, which all its clients use.
        url, wanted = cloud_box.admin.root + path, 401
    else:
        url, wanted = path, 404
    assert stranger.get(url).status_code == wanted
    body = {"image_schedule": {"retention": 9}}
    assert stranger.post(url, body).status_code == wanted
    assert stranger.delete(url).status_code == wanted
    assert retention(cloud_box) == (3 if enabled else None)


def test_a_stranger_in_its_own_account_sees_nothing(cloud_box: Box) -> None:
    stranger, server_id = cloud_box.as_("stranger"), cloud_box.admin.server_id()
    assert stranger.get("/servers").json()["servers"] == []
    for path in ("", "/metadata", "/os-instance-actions", "/rax-si-image-schedule"):
        assert stranger.get(f"/servers/{server_id}{path}").status_code == 404


@pytest.mark.parametrize("user", OBSERVERS)
def test_an_observer_changes_nothing(cloud_box: Box, user: str) -> None:
    observer, admin = cloud_box.as_(user), cloud_box.admin
    server = f"/servers/{admin.server_id()}"
    before = admin.get(server).json(), admin.get("/servers").json()
    image = admin.base_image()
    new = {"name": "new", "imageRef": image, "flavorRef": "1"}
    for method, path, body in (
        ("POST", "/servers", {"server": new}),
        ("PUT", server, {"server": {"name": "other"}}),
        ("DELETE", server, None),
        ("POST", f"{server}/metadata", {"metadata": {"a": "b"}}),
        ("PUT", f"{server}/metadata", {"metadata": {"a": "b"}}),
        ("PUT", f"{server}/metadata/a", {"meta": {"a": "b"}}),
        ("POST", f"{server}/action", {"createImage": {"name": "x"}}),
        ("POST", f"{server}/action", {"os-stop": None}),
        ("POST", f"{server}/action", {"lock": None}),
        ("POST", f"{server}/action", {"reboot": {"type": "SOFT"}}),
    ):
        answer = observer(method, path, json=body)
        assert answer.status_code == 403, (method, path, answer.text)
        assert answer.json()["forbidden"]["message"].startswith("Policy doesn't allow")
    assert observer.image("DELETE", f"/images/{image}").status_code == 403
    assert (admin.get(server).json(), admin.get("/servers").json()) == before
