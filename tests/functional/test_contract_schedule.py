"""The image schedule of a server over plain HTTP, on all types of cloud."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from .clouds import PROXIED
from .raw import Box, Caller, box

SCHEDULE = "/servers/{}/rax-si-image-schedule"
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
# Of no server and no tenant.
STRANGE_ID = "24e62789-c4aa-469f-90f2-89af4f62fc14"


# Those that make scheduled images themselves, and all.
MAKERS = ["openstack", "rackspace"]
TYPES = [*MAKERS, PROXIED]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cloud" in metafunc.fixturenames:
        types = MAKERS if metafunc.function in MADE else TYPES
        metafunc.parametrize("cloud", types, indirect=True)


@pytest.fixture
def path(admin: Caller) -> str:
    return SCHEDULE.format(admin.server_id())


def enable(caller: Caller, path: str, retention: Any, **more: Any) -> requests.Response:
    return caller.post(path, {"image_schedule": {"retention": retention, **more}})


def schedule(**values: Any) -> dict[str, Any]:
    return {"image_schedule": values}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(2, 2), ("2", 2), (3, 3), (1, 1), (65535, 65535), ("65535", 65535)],
)
def test_enable_echoes_a_number(admin: Caller, path: str, sent: Any, kept: int) -> None:
    answer = enable(admin, path, sent)
    assert (answer.status_code, answer.json()) == (200, schedule(retention=kept))
    shown = admin.get(path)
    assert (shown.status_code, shown.json()) == (200, schedule(retention=kept))


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("spell", [str.upper, str.lower, str.title])
def test_a_day_reads_back_in_capitals(
    admin: Caller, path: str, day: str, spell: Any
) -> None:
    answer = enable(admin, path, 4, day_of_week=spell(day))
    wanted = schedule(day_of_week=day, retention=4)
    assert (answer.status_code, answer.json()) == (200, wanted)
    assert admin.get(path).json() == wanted


def test_the_last_post_holds(admin: Caller, path: str) -> None:
    for retention, more in ((2, {}), (2, {}), (5, {"day_of_week": "SUNDAY"}), (3, {})):
        assert enable(admin, path, retention, **more).status_code == 200
    # Weekly became daily, as a day that is not repeated is gone.
    assert admin.get(path).json() == schedule(retention=3)
    assert enable(admin, path, 3, day_of_week="monday").status_code == 200
    assert enable(admin, path, 4, day_of_week="friday").status_code == 200
    assert admin.get(path).json() == schedule(day_of_week="FRIDAY", retention=4)


@pytest.mark.parametrize("again", [2, 7])
def test_enable_disable_enable(admin: Caller, path: str, again: int) -> None:
    assert enable(admin, path, 2).status_code == 200
    gone = admin.delete(path)
    assert (gone.status_code, gone.content) == (202, b"")
    assert admin.get(path).status_code == 404
    assert enable(admin, path, again).status_code == 200
    assert admin.get(path).json() == schedule(retention=again)


def test_two_servers_are_independent(admin: Caller) -> None:
    first, second = (
        SCHEDULE.format(admin.server_id(name)) for name in ("myserver", "web1")
    )
    assert enable(admin, first, 2).status_code == 200
    assert enable(admin, second, 3).status_code == 200
    assert admin.delete(first).status_code == 202
    assert admin.get(first).status_code == 404
    assert admin.get(second).json() == schedule(retention=3)


BAD_RETENTIONS = ["", 0, "0", -1, "-1", "test", "*", 65536, "65536", 1.5, 2.0, True]
BAD_RETENTIONS += [False, None, [], [2], {}, " 2", "2 ", "٢", "1e2", "9" * 400]


@pytest.mark.parametrize("retention", BAD_RETENTIONS, ids=lambda r: repr(r)[:12])
def test_a_bad_retention_changes_nothing(
    admin: Caller, path: str, retention: Any
) -> None:
    answer = enable(admin, path, retention)
    assert answer.status_code == 400
    assert answer.json()["badRequest"]["code"] == 400
    assert "from 1 to 65535" in answer.json()["badRequest"]["message"]
    assert admin.get(path).status_code == 404
    enable(admin, path, 3, day_of_week="SUNDAY")
    assert enable(admin, path, retention).status_code == 400
    assert admin.get(path).json() == schedule(day_of_week="SUNDAY", retention=3)


@pytest.mark.parametrize(
    "day", ["", "someday", "sat", "0", 6, None, [], True, "SÁBADO"]
)
def test_a_bad_day_changes_nothing(admin: Caller, path: str, day: Any) -> None:
    enable(admin, path, 3)
    answer = enable(admin, path, 5, day_of_week=day)
    assert answer.status_code == 400
    assert "MONDAY, TUESDAY" in answer.json()["badRequest"]["message"]
    assert admin.get(path).json() == schedule(retention=3)


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b'{"image_schedule": null}',
        b'{"image_schedule": []}',
        b'{"image_schedule": {}}',
        b'{"image_schedule": {"day_of_week": "MONDAY"}}',
        b'{"schedule": {"retention": 2}}',
    ],
)
def test_a_malformed_body(admin: Caller, path: str, body: bytes | None) -> None:
    answer = admin(
        "POST", path, data=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["badRequest"]["message"]
    assert admin.get(path).status_code == 404


@pytest.mark.parametrize("server", [STRANGE_ID, "*", "", "myserver"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_server(admin: Caller, server: str, method: str) -> None:
    enable(admin, SCHEDULE.format(admin.server_id()), 2)
    body = {"image_schedule": {"retention": 2}} if method == "POST" else None
    assert admin(method, SCHEDULE.format(server), json=body).status_code == 404
    kept = admin.get(SCHEDULE.format(admin.server_id())).json()
    assert kept == schedule(retention=2)


def test_a_deleted_server_has_no_schedule(admin: Caller, path: str) -> None:
    enable(admin, path, 2)
    assert admin.delete(path.rpartition("/")[0]).status_code == 204
    assert enable(admin, path, 2).status_code == 404
    assert admin.get(path).status_code == 404
    assert admin.delete(path).status_code == 404


def test_no_schedule_says_so_and_names_the_server(admin: Caller, path: str) -> None:
    message = f"Image schedule does not exist for server {admin.server_id()}"
    wanted = {"itemNotFound": {"message": message, "code": 404}}
    for method in ("GET", "DELETE"):
        answer = admin(method, path)
        assert (answer.status_code, answer.json()) == (404, wanted)
    enable(admin, path, 2)
    assert admin.delete(path).status_code == 202
    for method in ("GET", "DELETE"):
        assert admin(method, path).json() == wanted


def test_bodies_of_get_and_delete_mean_nothing(admin: Caller, path: str) -> None:
    enable(admin, path, 2)
    body = {"image_schedule": {"retention": 9}}
    shown = admin("GET", path, json=body)
    assert (shown.status_code, shown.json()) == (200, schedule(retention=2))
    assert admin("DELETE", path, json=body).status_code == 202


@pytest.mark.parametrize("suffix", ["s", "-test", "/more"])
def test_other_paths_below_a_server(admin: Caller, path: str, suffix: str) -> None:
    enable(admin, path, 2)
    for method in ("GET", "POST", "DELETE"):
        body = {"image_schedule": {"retention": 2}} if method == "POST" else None
        assert admin(method, path + suffix, json=body).status_code == 404


def test_runs_and_culling_leave_the_schedule(cloud_box: Box, path: str) -> None:
    enable(cloud_box.admin, path, 2)
    cloud_box.sandbox.advance("6d")
    assert cloud_box.admin.get(path).json() == schedule(retention=2)


def test_disable_keeps_the_images(cloud_box: Box, path: str) -> None:
    admin = cloud_box.admin
    enable(admin, path, 2)
    cloud_box.sandbox.advance("5d")
    before = admin.get("/images").json()
    assert admin.delete(path).status_code == 202
    cloud_box.sandbox.advance("5d")
    assert len(before["images"]) == 3
    assert admin.get("/images").json() == before


MADE = [test_runs_and_culling_leave_the_schedule, test_disable_keeps_the_images]
FOREIGN = [STRANGE_ID.replace("-", ""), "", "*"]


@pytest.mark.parametrize("tenant", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_foreign_tenant_in_the_url(tenant: str, method: str) -> None:
    with box("rackspace") as rackspace:
        admin = rackspace.admin
        path = SCHEDULE.format(admin.server_id())
        enable(admin, path, 2)
        url = f"{rackspace.sandbox.url}/DFW/compute/v2/{tenant}{path}"
        body = {"image_schedule": {"retention": 5}} if method == "POST" else None
        answer = admin(method, url, json=body)
        assert answer.status_code == 401
        assert answer.json()["unauthorized"]["code"] == 401
        assert admin.get(path).json() == schedule(retention=2)


@pytest.mark.parametrize("token", [None, "", "nonsense", "ééé", "a.b"])
def test_without_a_good_token(admin: Caller, path: str, token: str | None) -> None:
    headers = {} if token is None else {"X-Auth-Token": token.encode()}
    answer = requests.get(admin.root + path, headers=headers, timeout=60)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(
        'Keystone uri="http://127.0.0.'
    )
