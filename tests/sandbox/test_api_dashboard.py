"""What a dashboard asks for beside servers and images."""

from __future__ import annotations

from typing import Any

import pytest

from rax_scheduled_images_ext.model.metadefs import definition
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.raw import Caller


def read(caller: Caller, path: str, **options: Any) -> Any:
    url = path if path.startswith("/servers") else caller.sandbox.url + path
    answer = caller("GET", url, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def usage(admin: Caller) -> str:
    return f"/compute/v2.1/os-simple-tenant-usage/{admin.project_id}"


def test_usage_is_that_of_the_servers_that_exist(
    cloud: Sandbox, admin: Caller, usage: str
) -> None:
    cloud.advance("10h")
    found = read(admin, usage)["tenant_usage"]
    servers = {each.id: each for each in cloud.servers()}
    assert {each["instance_id"] for each in found["server_usages"]} == servers.keys()
    hours = [each["hours"] for each in found["server_usages"]]
    assert found["total_hours"] == pytest.approx(sum(hours))
    assert found["total_vcpus_usage"] == pytest.approx(
        sum(each["vcpus"] * each["hours"] for each in found["server_usages"])
    )
    # Only the hours since the start of the period count.
    started = read(admin, f"{usage}?start=2999-01-01T00:00:00")["tenant_usage"]
    assert started["total_hours"] == 0


def test_usage_has_pages(cloud: Sandbox, admin: Caller, usage: str) -> None:
    pages: dict[str, Any] = {"version": "2.40"}
    seen: list[str] = []
    query = "?limit=3"
    while found := read(admin, usage + query, **pages)["tenant_usage"]:
        seen += [each["instance_id"] for each in found["server_usages"]]
        query = f"?limit=3&marker={seen[-1]}"
    assert seen == sorted(each.id for each in cloud.servers())
    unknown = f"{cloud.url}{usage}?marker=unknown"
    assert admin("GET", unknown, **pages).status_code == 400


@pytest.mark.parametrize("query", ["?start=yesterday", "?end=soon"])
def test_a_period_that_is_none_is_refused(
    admin: Caller, usage: str, query: str
) -> None:
    answer = admin("GET", admin.sandbox.url + usage + query)
    assert answer.status_code == 400
    assert "Invalid datetime string" in answer.text


def test_another_projects_usage_is_refused(cloud: Sandbox, admin: Caller) -> None:
    other = "00000000deadbeef00000000deadbeef"
    url = f"{cloud.url}/compute/v2.1/os-simple-tenant-usage/{other}"
    assert admin("GET", url).status_code == 403


def test_a_server_shows_its_volumes(cloud: Sandbox, admin: Caller) -> None:
    server = cloud.boot("on-volume", volume_size=3)
    path = f"/servers/{server.id}/os-volume_attachments"
    (found,) = read(admin, path)["volumeAttachments"]
    assert found["serverId"] == server.id
    assert [found["volumeId"]] == list(server.volumes)
    assert "delete_on_termination" not in found
    new = {"OpenStack-API-Version": "compute 2.89"}
    (found,) = read(admin, path, headers=new)["volumeAttachments"]
    assert found["delete_on_termination"] in (True, False)
    assert "id" not in found


def test_volume_limits_count_what_there_is(cloud: Sandbox, admin: Caller) -> None:
    cloud.boot("on-volume", volume_size=3)
    limits = read(admin, "/volume/v3/limits")["limits"]["absolute"]
    assert (limits["totalVolumesUsed"], limits["totalGigabytesUsed"]) == (1, 3)


def test_definitions_of_metadata_are_found_by_what_they_are_for(admin: Caller) -> None:
    everywhere = "/image/v2/metadefs/namespaces"
    listed = read(admin, everywhere)["namespaces"]
    name = definition()["namespace"]
    assert [each["namespace"] for each in listed] == [
        "ScheduledImages",
        "ServerHints",
        "ServerNotes",
    ]
    assert not [each for each in listed if "properties" in each]
    for_images = read(admin, f"{everywhere}?resource_types=OS::Glance::Image")
    assert for_images["namespaces"] == listed[:1]
    for_servers = read(admin, f"{everywhere}?resource_types=OS::Nova::Server")
    assert for_servers["namespaces"] == listed[1:]
    page = read(admin, f"{everywhere}?limit=1&marker={name}")
    assert page["namespaces"] == listed[1:2]
    shown = read(admin, f"{everywhere}/{name}")
    assert shown["properties"] == definition()["properties"]
    known = read(admin, "/image/v2/schemas/metadefs/namespace")["properties"]
    assert shown.keys() <= known.keys()
    gone = admin("GET", f"{admin.sandbox.url}{everywhere}/Other")
    assert gone.status_code == 404


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/volume/v3/os-volume-transfer/detail", {"transfers": []}),
        ("/network/v2.0/floatingips?port_id=x", {"floatingips": []}),
    ],
)
def test_what_there_is_none_of(admin: Caller, path: str, answer: Any) -> None:
    assert read(admin, path) == answer


def test_there_is_one_zone_and_one_type_of_volumes(admin: Caller) -> None:
    (zone,) = read(admin, "/compute/v2.1/os-availability-zone")["availabilityZoneInfo"]
    assert (zone["zoneName"], zone["zoneState"]) == ("nova", {"available": True})
    types = read(admin, "/volume/v3/types")["volume_types"]
    assert types == [read(admin, "/volume/v3/types/default")["volume_type"]]
