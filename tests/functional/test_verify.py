"""Proving that images boot through both shells: the levels, and what stays behind."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import VERIFIED_KEY, ServerImage
from rax_scheduled_images_ext.model.schedule_tags import is_own_tag
from rax_scheduled_images_ext.model.verify import TEST_KEY, is_test_server
from rax_scheduled_images_ext.model.volume_snapshots import deletion_metadata
from rax_scheduled_images_ext.operations import verify as operation
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import BlockDevice

from ..openstackshell import not_beside_novaclient_7
from ..serviceshell import Service
from .fleet import MYSERVER, add_image, project_of
from .proofs import failing, left_in

pytestmark = pytest.mark.flow

SOON = ("--yes", "--time-limit", "2s")


def changes(cloud: Sandbox) -> list[str]:
    return [
        seen.path
        for seen in cloud.requests
        if seen.method != "GET" and "/identity" not in seen.path
    ]


def verify(nova: Any, *argv: str, status: int = 0) -> list[dict[str, Any]]:
    """Prove through nova; the rows, if it ends with this status."""
    result = nova("scheduled-images-verify", *argv, "--format", "json")
    assert result.status == status, result
    return list(json.loads(result.out or "[]"))


def records(cloud: Sandbox) -> dict[str, str]:
    """What is written on images, by their names."""
    return {
        image.name: image.properties[VERIFIED_KEY]
        for image in cloud.images()
        if VERIFIED_KEY in image.properties
    }


@pytest.fixture
def image(nova: Any, cloud: Sandbox) -> str:
    """The ID of an image of ``myserver``."""
    cloud.advance("1h")
    nova.ok("image-create", "myserver", "snap")
    cloud.advance("10m")
    cloud.requests.clear()
    (made,) = [each for each in cloud.images() if each.name == "snap"]
    return made.id


def test_a_login_prompt_proves_an_image(nova: Any, cloud: Sandbox, image: str) -> None:
    before = [each.id for each in cloud.servers()]
    (row,) = verify(nova, "myserver", "--yes")
    assert (row["image_id"], row["result"], row["level"]) == (
        image,
        "proven",
        "console",
    )
    assert records(cloud)["snap"] == (
        f"{image}:{image}:{row['time']}:console:{row['seen']}"
    )
    assert row["seen"].endswith(" login:")
    assert [each.id for each in cloud.servers()] == before


@not_beside_novaclient_7
def test_both_shells_print_the_same(
    nova: Any, openstack: Any, cloud: Sandbox, image: str
) -> None:
    (row,) = verify(nova, "snap", "--yes")
    verified = ("server", "snapshot", "verify", image, "--yes", "-f", "json")
    result = openstack(*verified)
    assert result.status == 0, result
    assert "1 test server (1 of flavor m1.small), 1 at once" in result.err
    (same,) = json.loads(result.out)
    assert list(same.values())[:5] == list(row.values())[:5]


def test_without_a_console_it_has_booted(nova: Any, cloud: Sandbox, image: str) -> None:
    with cloud.region() as region:
        properties = {
            **region.images.get(image).properties,
            "hw_serial_port_count": "0",
        }
        region.images.update(image, properties=properties)
    result = nova("scheduled-images-verify", "snap", *SOON)
    assert result.status == 1
    assert "Proven only to level 'booted'" in result.err
    assert records(cloud)["snap"].split(":", 6)[5] == "booted"
    verify(nova, "snap", "--level", "booted", "--yes")


def test_an_image_without_a_system_fails(nova: Any, cloud: Sandbox) -> None:
    blank = add_image(cloud, "blank", instance_uuid=MYSERVER, image_type="snapshot")
    with cloud.region() as region:
        region.disks.write(blank, None)
    result = nova("scheduled-images-verify", blank, *SOON)
    assert result.status == 3
    assert "Failed: image blank" in result.err
    assert "No bootable device." in result.err
    assert ":failed:" in records(cloud)["blank"]
    assert not left_in(cloud)


def test_what_else_the_console_may_show(nova: Any, cloud: Sandbox, image: str) -> None:
    (row,) = verify(nova, "snap", "--yes", "--console", r"gaps=0 bad=0 boots=\d")
    assert "gaps=0 bad=0" in row["seen"]
    verify(nova, "snap", *SOON, "--console", "boots=77", status=3)
    assert ":failed:" in records(cloud)["snap"]


def test_a_command_is_given_what_is_known(
    nova: Any, cloud: Sandbox, image: str, tmp_path: Any
) -> None:
    known = tmp_path / "known"
    script = f"import sys; open({str(known)!r}, 'w').write(sys.stdin.read())"
    command = f'{sys.executable} -c "{script}"'
    (row,) = verify(nova, "myserver", "--yes", "--command", command)
    assert row["level"] == "command"
    facts = json.loads(known.read_text())
    assert (facts["image_id"], facts["of_server_id"]) == (image, MYSERVER)
    assert facts["addresses"] == []
    verify(nova, "myserver", "--yes", "--command", "false", status=3)


def test_with_a_network_it_is_told_what_that_means(
    nova: Any, cloud: Sandbox, image: str
) -> None:
    project = project_of(cloud)
    with cloud.region() as region:
        network = region.networks.networks(project)[0].id
    command = ("--command", "cat")
    result = nova("scheduled-images-verify", "snap", "--yes", "--network", network)
    assert result.status == 0, result
    assert "copy of a production server" in result.err
    quiet = nova("scheduled-images-verify", "snap", "--yes", *command)
    assert "copy of a production server" not in quiet.err


@pytest.mark.parametrize("cloud", [{"server_quota": 4}], indirect=True)
def test_a_quota_says_nothing(nova: Any, cloud: Sandbox, image: str) -> None:
    (row,) = verify(nova, "snap", "--yes", status=1)
    assert row["result"] == "unknown"
    assert "Quota exceeded" in row["seen"]
    assert not records(cloud)


@pytest.mark.parametrize(
    ("why", "result", "status"),
    [
        ("No valid host was found.", "unknown", 1),
        ("Build of instance x aborted: Image y is unacceptable: no", "failed", 3),
    ],
)
def test_error_is_the_images_only_if_it_is_said(
    nova: Any, cloud: Sandbox, image: str, why: str, result: str, status: int
) -> None:
    failing(cloud, why)
    (row,) = verify(nova, "snap", "--yes", status=status)
    assert row["result"] == result
    assert why in row["seen"]
    assert bool(records(cloud)) == (result == "failed")
    assert not left_in(cloud)


@pytest.mark.parametrize("size", [20, 4])
def test_the_volumes_go_too_and_no_others(nova: Any, cloud: Sandbox, size: int) -> None:
    with cloud.region() as region:
        model = region.servers.get(MYSERVER)
        region.servers.boot(
            project_id=model.project_id,
            user_id=model.user_id,
            name="vol",
            image_id="",
            flavor_id=model.flavor_id,
            devices=(BlockDevice("image", model.image_id, size, boot_index=0),),
        )
    cloud.advance("1h")
    nova.ok("image-create", "vol", "of-vol")
    cloud.advance("1h")

    def volumes() -> list[str]:
        with cloud.region() as region:
            return [each.id for each in region.volumes.select(None)]

    before = volumes()
    (row,) = verify(nova, "of-vol", "--flavor", model.flavor_id, "--yes")
    assert (row["result"], row["level"]) == ("proven", "console")
    assert volumes() == before


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
def test_on_rackspaces_cloud_it_needs_a_network(
    nova: Any, cloud: Sandbox, image: str
) -> None:
    (row,) = verify(nova, "snap", "--yes", status=1)
    assert "use --network" in row["seen"]
    assert not changes(cloud)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((), "no terminal to ask for confirmation: use --yes"),
        (
            ("--yes", "--level", "command"),
            "--level command and --command require each other",
        ),
        (("--yes", "--level", "booted", "--console", "x"), "--console requires"),
        (("--yes", "--console", "x*"), "matches even an empty console"),
        (("--yes", "--console", "("), "is not a regular expression"),
        (("--yes", "--level", "all"), "'all' is not one of booted, console, command"),
        (("--yes", "--at-once", "0"), "'0' is not allowed"),
        (("--yes", "--command", "no-such-program"), "there is no program"),
    ],
)
def test_bad_usage_sends_nothing(
    nova: Any, cloud: Sandbox, argv: tuple[str, ...], told: str
) -> None:
    result = nova("scheduled-images-verify", "myserver", *argv)
    assert (result.status, result.out) == (2, "")
    assert told in result.err
    assert not [seen for seen in cloud.requests if "/servers" in seen.path]


def test_what_is_not_there_is_one_line_and_the_others_are_proven(
    nova: Any, cloud: Sandbox, image: str
) -> None:
    result = nova("scheduled-images-verify", "nothing", "snap", "web1", "--yes")
    assert result.status == 1
    assert "No server or image with a name or ID of 'nothing' exists." in result.err
    assert "There is no complete image of server web1" in result.err
    assert records(cloud)


def test_a_refused_change_of_the_image_is_told(
    nova: Any, cloud: Sandbox, image: str
) -> None:
    cloud.fault("PATCH /images/ 403")
    result = nova("scheduled-images-verify", "snap", "--yes")
    assert result.status == 1
    assert "Result not saved: image snap" in result.err
    assert not records(cloud)


def test_several_at_once(nova: Any, cloud: Sandbox, image: str) -> None:
    for name in ("web1", "db1"):
        nova.ok("image-create", name, f"of-{name}")
    cloud.advance("10m")
    rows = verify(
        nova,
        "myserver",
        "web1",
        "db1",
        "snap",
        *("--yes", "--at-once", "3", "--level", "booted"),
    )
    assert {row["image"] for row in rows} == {"snap", "of-web1", "of-db1"}
    assert {row["result"] for row in rows} == {"proven"}
    assert not left_in(cloud)


def test_lists_pass_test_servers_over(
    nova: Any, cloud: Sandbox, image: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(operation, "_DELETION", 1.0)
    cloud.fault("DELETE /servers/ 500")
    nova("scheduled-images-verify", "snap", "--yes", "--level", "booted")
    cloud.clear_faults()
    (left,) = left_in(cloud)
    listed = nova.ok("scheduled-images-list", "--format", "json")
    assert left not in listed
    assert nova("scheduled-images-enable", "--all", "--yes", "7").status == 0
    with cloud.region() as region:
        server = region.servers.get(left)
    assert not [tag for tag in server.tags if is_own_tag(tag)]
    assert TEST_KEY in server.metadata
    cloud.advance("2h")
    result = nova("scheduled-images-verify", "snap", "--yes")
    assert f"Removed test server {left}, which was left behind" in result.err
    assert not left_in(cloud)


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
@pytest.mark.parametrize("marked", ["its image", "another image", ""])
def test_a_test_server_on_a_volume_goes_without_its_image_only_if_that_is_known(
    nova: Any, cloud: Sandbox, monkeypatch: Any, marked: str
) -> None:
    monkeypatch.setattr(operation, "_DELETION", 1.0)
    of = cloud.boot("data", volume_size=8)
    assert nova("snapshot-create", "data", "of-data").status == 0
    (image,) = cloud.images(of.id)
    cloud.fault("DELETE /servers/ 500")
    nova("scheduled-images-verify", "of-data", "--yes", "--level", "booted")
    cloud.clear_faults()
    left = {each.id for each in cloud.servers() if is_test_server(each.name)}
    (test,) = left
    named = {"its image": image.id, "another image": MYSERVER}
    with cloud.region() as region:
        # Some clouds do not name the image of a server that boots from a volume.
        region.servers.touch(test, image_id="")
        region.images.drop(image.id)
        (snapshot,) = region.volumes.snapshots(of.project_id)
        if marked:
            of_image = ServerImage(named[marked], "", "ACTIVE")
            region.volumes.set_snapshot_metadata(
                snapshot.id, deletion_metadata(of_image)
            )
    cloud.advance("2h")
    rows = json.loads(Service(cloud).ok("leftovers", "--format", "json"))
    (row,) = [row for row in rows if row["kind"] == "test server"]
    assert {row["id"]} == left
    assert image.id in row["reason"]
    removed = marked == "its image"
    effect = "it frees a place in the quota; volumes that were made for it go with it"
    assert row["effect"] == (
        "the next proof in its project deletes it" if removed else effect
    )
    nova.ok("image-create", "myserver", "snap")
    cloud.advance("10m")
    nova("scheduled-images-verify", "snap", "--yes", "--level", "booted")
    there = {each.id for each in cloud.servers() if is_test_server(each.name)}
    assert there == (set() if removed else left)


def check(nova: Any, *argv: str) -> Any:
    return nova("scheduled-images-check", "--verified-within", "90d", *argv)


def test_check_and_list_tell_when_it_was(nova: Any, cloud: Sandbox, image: str) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    cloud.advance("100d")
    nova.ok("image-create", "myserver", "snap2")
    cloud.advance("10m")
    result = check(nova)
    assert result.status == 3, result
    assert "unproven: myserver" in result.out
    assert "no image has ever been proven to boot" in result.out
    (row,) = verify(nova, "snap2", "--yes", "--level", "booted")
    told = check(nova)
    assert told.status == 3
    assert "the last proof reached 'booted'" in told.out
    assert check(nova, "--level", "booted").status == 0
    verify(nova, "snap2", "--yes")
    assert check(nova).status == 0
    listing = nova.ok("scheduled-images-list", "--long", "--format", "json")
    (listed,) = [each for each in json.loads(listing) if each["id"] == MYSERVER]
    assert listed["verified_level"] == "console"
    assert listed["verified"] >= row["time"]
    cloud.advance("91d")
    assert check(nova).status == 3


def test_a_proof_that_failed_is_worse_than_none(nova: Any, cloud: Sandbox) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    blank = add_image(cloud, "blank", instance_uuid=MYSERVER, image_type="snapshot")
    with cloud.region() as region:
        region.disks.write(blank, None)
    assert check(nova).status == 0
    verify(nova, "myserver", *SOON, status=3)
    result = check(nova)
    assert result.status == 3
    assert "the last proof failed" in result.out
    plain = nova("scheduled-images-check")
    assert plain.status == 3
    assert plain.out == result.out
