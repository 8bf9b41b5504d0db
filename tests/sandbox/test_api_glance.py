"""What the image API answers as a real Glance was seen to; each once got it wrong."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import requests

from ..functional.raw import Box, Caller, box

BARE = {"disk_format": "raw", "container_format": "bare"}
HASHES = {"os_hash_algo", "os_hash_value"}


def create(admin: Caller, name: str, **more: Any) -> dict[str, Any]:
    answer = admin.image("POST", "/images", json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def show(admin: Caller, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = admin.image("GET", f"/images/{image_id}").json()
    return shown


def names(answer: requests.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {image["name"] for image in answer.json()["images"]}


def replace(key: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": f"/{key}", "value": value}


def test_what_the_data_shows(admin: Caller) -> None:
    data = b"a disk" * 100
    image = create(admin, "disk", **BARE)
    assert {image[key] for key in (*HASHES, "virtual_size")} == {None}
    octets = {"Content-Type": "application/octet-stream"}
    path = f"/images/{image['id']}/file"
    assert admin.image("GET", path).headers.get("Content-Type") is None
    admin.image("PUT", path, data=data, headers=octets)
    active = show(admin, image["id"])
    assert active["os_hash_algo"] == "sha512"
    assert active["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert (active["virtual_size"], active["size"]) == (600, 600)
    assert "stores" not in active
    assert admin.image("GET", "/info/stores").status_code == 404


def test_what_a_snapshots_data_shows(admin: Caller) -> None:
    image_id = admin.snapshot(admin.server_id(), "snap")
    assert show(admin, image_id)["os_hash_value"] is None
    admin.sandbox.advance("5m")
    active = show(admin, image_id)
    assert len(active["os_hash_value"]) == 128
    assert active["virtual_size"] == active["size"]


def test_a_fleets_images_have_hashes_too() -> None:
    with box("openstack", servers=1, images_per_server=2) as made:
        images = made.admin.image("GET", "/images?image_type=snapshot").json()["images"]
        assert len({image["os_hash_value"] for image in images}) == 2
        assert {len(image["os_hash_value"]) for image in images} == {128}


def test_hidden_images_are_not_listed(admin: Caller) -> None:
    image_id = create(admin, "secret")["id"]
    create(admin, "born-hidden", os_hidden=True)
    assert admin.patch(image_id, replace("os_hidden", True)).json()["os_hidden"]
    assert "secret" not in names(admin.image("GET", "/images"))
    assert "secret" not in {i["name"] for i in admin.get("/images").json()["images"]}
    hidden = names(admin.image("GET", "/images?os_hidden=true"))
    assert hidden >= {"secret", "born-hidden"}
    assert show(admin, image_id)["os_hidden"] is True
    assert admin.get(f"/images/{image_id}").ok
    assert admin.patch(image_id, replace("os_hidden", False)).ok
    assert "secret" in names(admin.image("GET", "/images"))
    assert admin.patch(image_id, replace("os_hidden", "yes")).status_code == 400


@pytest.mark.parametrize("key", ["min_disk", "min_ram"])
def test_less_than_nothing_is_not_needed(admin: Caller, key: str) -> None:
    body = {"name": "x", key: -1}
    assert admin.image("POST", "/images", json=body).status_code == 400
    image_id = create(admin, "x", **{key: 0})["id"]
    assert admin.patch(image_id, replace(key, -1)).status_code == 400
    assert admin.patch(image_id, replace(key, 1)).ok


def test_members(cloud_box: Box, admin: Caller) -> None:
    path = f"/images/{create(admin, 'x')['id']}/members"
    assert admin.image("GET", path).json()["members"] == []
    assert cloud_box.as_("stranger").image("GET", path).status_code == 404
    base = f"/images/{admin.base_image()}/members"
    assert admin.image("GET", base).status_code == 403
    assert admin.image("GET", "/images?member_status=nonsense").status_code == 400
    assert admin.image("GET", "/images?member_status=all").ok


def test_a_refused_token(admin: Caller) -> None:
    for token in ("", "nonsense"):
        answer = admin.image("GET", "/images", headers={"X-Auth-Token": token})
        assert answer.status_code == 401
        assert answer.json().keys() == {"message", "code", "title"}
        assert answer.json()["code"] == "401 Unauthorized"
        assert "Keystone uri=" in answer.headers["WWW-Authenticate"]
        assert "x-openstack-request-id" not in answer.headers
    assert "x-openstack-request-id" in admin.image("GET", "/images").headers
