"""Getting a server back through both shells: the data, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from rax_scheduled_images_ext.cli.nova import restore as command
from rax_scheduled_images_ext.console import restore as console
from rax_scheduled_images_ext.console.terminal import OutputFailed
from rax_scheduled_images_ext.model.image import (
    FACTS_KEY,
    MARKER_KEY,
    RESTORE_KEY,
    SAFETY_KEY,
)
from rax_scheduled_images_ext.operations import restore as operation
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import BlockDevice
from rax_scheduled_images_ext.sandbox.backend.region import flavors
from rax_scheduled_images_ext.sandbox.dispatcher import Seen
from rax_scheduled_images_ext.sandbox.fixture import Requests

from ..openstackshell import not_beside_novaclient_7
from ..serviceshell import Service
from .fleet import MYSERVER, add_image, id_of, remember_proof
from .runners import advance_to_slot

pytestmark = pytest.mark.flow

NOW = ("--yes", "--wait")
LOOKED_AT = re.compile(r"/(servers|images)/([-0-9a-f]{36}$|detail)")


class Hurried(Requests):
    """Two minutes pass at each look, from the first change on."""

    def __init__(self, cloud: Sandbox) -> None:
        super().__init__()
        self.cloud = cloud
        self.begun = False

    def append(self, seen: Seen) -> None:
        super().append(seen)
        change = seen.method == "POST" and "/servers" in seen.path
        self.begun = self.begun or change
        if self.begun and seen.method == "GET" and LOOKED_AT.search(seen.path):
            self.cloud.advance(120)


def last(nova: Any, server: str = "myserver") -> int:
    """The number that the server's last boot has found on its disk."""
    log = nova.ok("console-log", server)
    found = re.search(r"VERIFY last=(\d+)", log)
    assert found, log
    return int(found[1])


@pytest.fixture
def images(nova: Any, cloud: Sandbox) -> list[str]:
    """The IDs of two images of ``myserver``, the newest first."""
    for name in ("first", "second"):
        nova.ok("image-create", "myserver", name)
        cloud.advance("1h")
    cloud.requests = Hurried(cloud)
    return [image.id for image in cloud.images(MYSERVER)]


def changes(cloud: Sandbox) -> list[tuple[str, str]]:
    return [
        (seen.method, seen.path)
        for seen in cloud.requests
        if seen.method != "GET" and "/identity" not in seen.path
    ]


def restore(nova: Any, *argv: str, **options: Any) -> Any:
    """Restore through nova; the result as JSON."""
    result = nova("scheduled-images-restore", *argv, "--format", "json", **options)
    assert result.status == 0, result
    return json.loads(result.out)


def test_in_place_the_data_is_back_and_undone(
    nova: Any, cloud: Sandbox, images: list[str]
) -> None:
    done = restore(nova, "myserver", "--in-place", *NOW)
    assert (done["image_id"], done["status"]) == (images[0], "ACTIVE")
    monday = last(nova)
    cloud.advance("10m")
    undone = nova(*done["undo"].split()[1:], *NOW)
    assert undone.status == 0, undone
    # The disk as it was before: it had counted on for an hour.
    assert last(nova) > monday + 3000
    (safety,) = [i for i in cloud.images() if i.id == done["safety_image_id"]]
    assert safety.properties[SAFETY_KEY] == safety.id
    assert not {RESTORE_KEY, MARKER_KEY} & safety.properties.keys()


def test_an_older_image_has_older_data(nova: Any, images: list[str]) -> None:
    restore(nova, "myserver", "--in-place", *NOW)
    newer = last(nova)
    restore(nova, "myserver", "--in-place", "--image", "first", *NOW)
    assert last(nova) <= newer - 3600


@not_beside_novaclient_7
def test_as_a_new_server(
    nova: Any, openstack: Any, cloud: Sandbox, images: list[str]
) -> None:
    result = openstack(
        *("server", "snapshot", "restore", "myserver", "--as", "back"),
        *(*NOW, "-f", "json"),
    )
    assert result.status == 0, result
    done = json.loads(result.out)
    with cloud.region() as region:
        old, new = region.servers.get(MYSERVER), region.servers.get(done["restored_id"])
    assert (new.name, new.image_id, new.status) == ("back", images[0], "ACTIVE")
    assert (new.flavor_id, new.key_name) == (old.flavor_id, old.key_name)
    assert new.metadata[RESTORE_KEY].startswith(f"{MYSERVER}:{images[0]}:")
    assert last(nova, "back") > 0
    assert (old.status, old.task_state) == ("ACTIVE", None)


def test_the_plan_changes_nothing(nova: Any, cloud: Sandbox, images: list[str]) -> None:
    plan = nova.ok("scheduled-images-restore", "myserver", "--as", "b", "--dry-run")
    assert images[0] in plan
    assert "all that was written after" in plan
    assert not changes(cloud)


def requests_before_the_first_change(cloud: Sandbox) -> int:
    paths = [
        seen.path
        for seen in cloud.requests
        if "/identity" not in seen.path and re.search(r"v2(\.1)?/.", seen.path)
    ]
    return next(i for i, seen in enumerate(paths) if seen.endswith("/servers"))


def test_at_most_six_requests_come_first(
    nova: Any, cloud: Sandbox, images: list[str]
) -> None:
    restore(nova, "myserver", "--as", "back", *NOW)
    assert requests_before_the_first_change(cloud) <= 6


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
@pytest.mark.parametrize("label", ["myserver", MYSERVER])
def test_nor_for_a_server_that_is_gone(nova: Any, cloud: Sandbox, label: str) -> None:
    nova("scheduled-images-enable", "myserver", "7")
    made_by_the_service(cloud)
    nova.ok("delete", "myserver")
    cloud.requests = Hurried(cloud)
    restore(nova, label, "--as", "back", *NOW)
    assert requests_before_the_first_change(cloud) <= 6


def test_the_same_command_finds_what_it_has_made(
    nova: Any, cloud: Sandbox, images: list[str]
) -> None:
    first = restore(nova, "myserver", "--as", "back", "--yes", "--no-wait")
    again = restore(nova, "myserver", "--as", "back", *NOW)
    assert again["restored_id"] == first["restored_id"]
    assert (first["changed"], again["changed"]) == (True, False)


@pytest.mark.parametrize(
    "fault",
    [
        "POST /action$ 503 x1",
        "POST /action$ lose-answer x1",
        "POST /action$ lose-answer after 1 x1",
        "POST /action$ drop after 1 x1",
        "PATCH 500 x1",
        "GET /images 503 x2",
        "GET /servers 500 after 1 x3",
        "expire",
    ],
)
def test_after_a_fault_the_same_command_goes_on(
    nova: Any, cloud: Sandbox, images: list[str], fault: str
) -> None:
    cloud.fault(fault)
    before = [image.id for image in cloud.images()]
    for _ in range(4):
        result = nova("scheduled-images-restore", "myserver", "--in-place", *NOW)
        if result.status == 0:
            break
        assert len(result.err.splitlines()) <= 6, result
    assert result.status == 0, result
    assert set(before) <= {image.id for image in cloud.images()}
    assert not [method for method, _ in changes(cloud) if method == "DELETE"]


@pytest.mark.parametrize("path", ["/servers", "/flavors", "/images"])
def test_a_plan_outlives_a_service_that_is_away_for_a_moment(
    nova: Any, cloud: Sandbox, images: list[str], path: str
) -> None:
    cloud.fault(f"GET {path} 503 x2")
    argv = ("myserver", "--as", "back", "--dry-run", "--format", "json")
    result = nova("scheduled-images-restore", *argv)
    assert result.status == 0
    assert json.loads(result.out)["image_id"] in images
    assert result.err.endswith(" service is busy: trying again in 2 s\n")


def made_by_the_service(cloud: Sandbox, *argv: str) -> Any:
    """The image that the service has made of ``myserver``."""
    service = Service(cloud)
    advance_to_slot(cloud)
    service("tick", *argv)
    cloud.advance("5m")
    service("tick", *argv)
    (image,) = cloud.images(MYSERVER)
    return image


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_a_server_that_is_gone_comes_back_from_its_images(
    nova: Any, cloud: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    nova("scheduled-images-enable", "myserver", "7")
    image = made_by_the_service(cloud)
    facts = json.loads(image.properties[FACTS_KEY])
    assert next(iter(facts)) == "image"
    assert (facts["image"], facts["name"]) == (image.id, "myserver")
    assert len(image.properties[FACTS_KEY].encode()) <= 1024
    assert not {"metadata", "description"} & facts.keys()
    with cloud.region() as region:
        old = region.servers.get(MYSERVER)
        flavor = region.flavors.get(old.flavor_id)
    nova.ok("delete", "myserver")
    with cloud.region() as region:
        region.flavors.delete(flavor.id)
    refused = nova("scheduled-images-restore", "myserver", "--as", "b", "--dry-run")
    assert refused.status == 1
    assert refused.err.endswith(
        f"The flavor of server myserver no longer exists ({flavor.name}; vcpus"
        f" {flavor.vcpus}; ram {flavor.ram}; disk {flavor.disk}): use --flavor NAME"
        f" with a disk of at least {flavor.disk} GiB\n"
    )
    with cloud.region() as region:
        other = next(f.id for f in region.flavors.list() if f.disk >= flavor.disk)
    argv = ("myserver", "--as", "b", "--flavor", other, "--dry-run")
    assert restore(nova, *argv)["flavor"] != flavor.name
    # Somebody has made it anew, larger: it has another ID.
    anew = replace(flavor, id="12", ram=2 * flavor.ram)
    monkeypatch.setitem(flavors._FLAVORS, "12", anew)
    cloud.requests = Hurried(cloud)
    done = restore(nova, "myserver", "--as", "myserver", *NOW)
    assert done["server_gone"]
    unknown = "metadata, description and tags of the old one are not known"
    assert unknown in done["differs"]
    (resized,) = [text for text in done["differs"] if "other sizes" in text]
    assert f"ram {flavor.ram};" in resized
    with cloud.region() as region:
        new = region.servers.get(done["restored_id"])
    assert (new.flavor_id, new.image_id) == ("12", image.id)
    assert done["networks"] == facts.get("networks")


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_a_cloud_that_shows_no_more_than_the_id_of_a_flavor(
    nova: Any, cloud: Sandbox
) -> None:
    """Microversions with more are refused."""
    nova("scheduled-images-enable", "myserver", "7")
    cloud.fault(f"GET /servers/{MYSERVER}$ 406 x1")
    cloud.fault(f"GET /servers/{MYSERVER}$ 406 after 1 x1")
    image = made_by_the_service(cloud)
    facts = json.loads(image.properties[FACTS_KEY])
    with cloud.region() as region:
        assert facts["flavor"] == {"id": region.servers.get(MYSERVER).flavor_id}


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_metadata_and_description_come_back_if_they_were_recorded(
    nova: Any, cloud: Sandbox
) -> None:
    nova.ok("meta", "myserver", "set", "role=mail")
    with cloud.region() as region:
        region.servers.update(MYSERVER, description="the mail server")
    nova("scheduled-images-enable", "myserver", "7")
    made_by_the_service(cloud, "--record-metadata")
    nova.ok("delete", "myserver")
    done = restore(nova, "myserver", "--as", "myserver", "--yes")
    assert "tags of the old one are not known" in done["differs"]
    with cloud.region() as region:
        new = region.servers.get(done["restored_id"])
    assert (new.metadata["role"], new.description) == ("mail", "the mail server")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((), "error: one of the arguments --as --in-place is required"),
        (("--as", "x", "--in-place"), "--in-place: not allowed with argument --as"),
        (("--as", ""), "is not a name or ID"),
        (("--in-place", "--flavor", "1"), "--flavor goes with --as"),
        (("--in-place", "--at", "soon"), "'soon' is not a time"),
        (("--as", "x"), "no terminal to ask for confirmation"),
    ],
)
def test_bad_usage_sends_nothing(
    nova: Any, cloud: Sandbox, argv: tuple[str, ...], told: str
) -> None:
    result = nova("scheduled-images-restore", "myserver", *argv)
    assert (result.status, result.out) == (2, "")
    assert told in result.err
    assert not [seen for seen in cloud.requests if "/servers" in seen.path]


@not_beside_novaclient_7
def test_both_shells_show_that_one_way_is_required(nova: Any, openstack: Any) -> None:
    for shown in (
        nova("help", "scheduled-images-restore").out,
        openstack("server", "snapshot", "restore", "--help").out,
    ):
        words = " ".join(shown.split())
        assert "(--as <name> | --in-place)" in words
        assert "One of --as and --in-place is required." in words
    result = openstack("server", "snapshot", "restore", "myserver")
    assert (result.status, result.out) == (2, "")
    assert result.err.endswith("one of the arguments --as --in-place is required\n")


def test_an_image_that_did_not_boot_is_passed_over(
    nova: Any, cloud: Sandbox, images: list[str]
) -> None:
    newest, older = images
    with cloud.region() as region:
        region.disks.write(newest, None)
    proof = nova(
        *("scheduled-images-verify", newest, "--flavor", "m1.small", "--yes"),
        *("--time-limit", "2s"),
    )
    assert proof.status == 3, proof
    plan = nova("scheduled-images-restore", "myserver", "--as", "x", "--dry-run")
    assert older in plan.out
    for shown in (plan.out, plan.err):
        assert re.search(rf"Skipped[:| ]+image second \({newest}\): its proof", shown)
    named = ("--as", "x", "--image", newest)
    result = nova("scheduled-images-restore", "myserver", *named, *NOW)
    assert result.status == 0, result
    assert f"Warning: image second ({newest}): its proof failed" in result.err


@pytest.mark.parametrize("url", ["/flavors", "/os-interface", "/os-server-groups"])
def test_the_404_of_a_proxy_says_nothing(
    nova: Any, cloud: Sandbox, images: list[str], url: str
) -> None:
    """That there is no such flavor or network, only the service itself can say."""
    cloud.fault(f"GET {url} 404 html x1")
    argv = ("scheduled-images-restore", "myserver", "--as", "back", *NOW)
    result = nova(*argv)
    assert (result.status, result.out) == (1, "")
    assert "without a readable reason" in result.err
    assert not changes(cloud)
    assert nova(*argv).status == 0


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        (("--as", "back"), "POST /servers$ 404 html x1"),
        (("--in-place",), "POST /action$ 404 html after 1 x1"),
    ],
)
def test_what_a_proxy_refuses_may_have_been_done(
    nova: Any, cloud: Sandbox, images: list[str], way: tuple[str, ...], fault: str
) -> None:
    cloud.fault(fault)
    result = nova("scheduled-images-restore", "myserver", *way, *NOW)
    assert result.status == 1, result
    assert "It is not known whether" in result.err
    assert "was not changed" not in result.err
    result = nova("scheduled-images-restore", "myserver", *way, *NOW)
    assert result.status == 0, result


def say_of_server(cloud: Sandbox, image_id: str, **known: Any) -> None:
    """Let an image of ``myserver`` say of it what the service writes."""
    facts = {"image": image_id, "name": "myserver", "flavor": {"name": "m1.small"}}
    with cloud.region() as region:
        properties = dict(region.images.get(image_id).properties)
        properties[FACTS_KEY] = json.dumps(facts | known)
        region.images.update(image_id, properties=properties)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("cloud", [{"regions": 2}], indirect=True)
def test_a_server_of_another_region_is_not_gone(
    nova: Any, cloud: Sandbox, images: list[str], named: bool
) -> None:
    """Regions may have the same images."""
    other = "RegionTwo" if named else "RegionOne"
    say_of_server(cloud, images[0], region=other)
    nova.ok("delete", "myserver")
    env = {} if named else {"OS_REGION_NAME": None}
    network = ("--network", "b2ebbcb2-d6c5-4e82-83ab-905588bc26e8")
    for way in (("--as", "back"), ("--in-place",)):
        argv = ("scheduled-images-restore", "myserver", *way)
        refused = nova(*argv, *NOW, env=env)
        assert refused.status == 1, refused
        assert f"was in region {other}, and may be there" in refused.err
    done = restore(nova, "myserver", "--as", "back", *network, *NOW, env=env)
    assert f"the old one was in region {other}" in done["differs"]


def test_the_key_pair_of_somebody_else_is_left_out(
    nova: Any, cloud: Sandbox, images: list[str]
) -> None:
    cloud.cloud.store.run(
        "UPDATE servers SET key_name = 'theirs' WHERE id = ?", MYSERVER
    )
    argv = ("scheduled-images-restore", "myserver", "--as", "back", *NOW)
    refused = nova(*argv)
    assert refused.status == 1
    (line,) = refused.err.splitlines()
    assert line.endswith("; a key pair belongs to a user: use --key or --no-key")
    done = restore(nova, "myserver", "--as", "back", "--no-key", *NOW)
    assert (done["key"], done["status"]) == (None, "ACTIVE")
    assert "it has no key pair" in done["differs"]


def test_images_of_one_that_was_made_anew_are_pointed_at(
    nova: Any, cloud: Sandbox, images: list[str]
) -> None:
    say_of_server(cloud, images[0])
    nova.ok("delete", "myserver")
    nova.ok("boot", "myserver", "--flavor", "m1.small", "--image", images[1])
    refused = nova("scheduled-images-restore", "myserver", "--in-place", *NOW)
    assert refused.status == 1
    told = f"; of another one of that name there are: {MYSERVER}\n"
    assert refused.err.endswith(told)


def test_an_image_of_a_volume_that_was_made_by_hand_is_found_by_its_name(
    nova: Any, cloud: Sandbox
) -> None:
    """Nova writes no server on it."""
    cloud.boot("data", volume_size=8)
    nova.ok("image-create", "data", "by-hand")
    argv = ("scheduled-images-restore", "data", "--as", "back", "--dry-run")
    refused = nova(*argv)
    told = "it boots from a volume: for an image made by hand, use --image\n"
    assert refused.err.endswith(told)
    assert "by-hand" in nova.ok(*argv, "--image", "by-hand")


def test_what_is_refused_is_one_line(
    nova: Any, cloud: Sandbox, images: list[str]
) -> None:
    with cloud.region() as region:
        region.servers.lock(MYSERVER, True)
    foreign = add_image(cloud, "foreign", owner="0" * 32, visibility="public")
    for argv, told in (
        (("--in-place",), "is locked"),
        (("--as", "web1"), "that this restore did not make"),
        (("--as", "x", "--image", foreign), "not known to belong"),
        (("--as", "x", "--image", "nothing"), "No image with a name or ID"),
        (("--as", "x", "--flavor", "nothing"), "No flavor with a name or ID"),
        (("--as", "x", "--at", "2001-01-01"), "There is no complete image"),
    ):
        result = nova("scheduled-images-restore", "myserver", *argv, *NOW)
        assert (result.status, result.out) == (1, ""), result
        assert told in result.err, result
        assert len(result.err.splitlines()) == 1
    assert not changes(cloud)


@pytest.mark.parametrize("size", [30, 20, 4])
def test_a_server_on_a_volume_comes_back_as_a_new_one(
    nova: Any, cloud: Sandbox, size: int
) -> None:
    """Also where its volume is smaller than its flavor's disk of 20 GiB."""
    with cloud.region() as region:
        model = region.servers.get(MYSERVER)
        server = region.servers.boot(
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
    cloud.requests = Hurried(cloud)
    image = next(image for image in cloud.images() if image.name == "of-vol")
    refused = nova("scheduled-images-restore", server.id, "--in-place", *NOW)
    assert "boots from a volume" in refused.err
    # Nova itself would leave an empty disk.
    trap = ("--in-place", "--image", image.id)
    refused = nova("scheduled-images-restore", "myserver", *trap, *NOW)
    assert "would leave an empty disk" in refused.err
    assert not changes(cloud)
    # Nova does not say of which server it is.
    done = restore(nova, "vol", "--as", "vol2", "--image", image.id, *NOW)
    assert done["status"] == "ACTIVE"
    assert last(nova, "vol2") > 0
    (made,) = (each for each in cloud.servers() if each.name == "vol2")
    with cloud.region() as region:
        (volume,) = region.volumes.of_server(made.id)
    assert volume.size == max(size, 20)
    assert ("root volume has 20 GiB" in str(done)) == (size < 20)


@not_beside_novaclient_7
def test_attached_volumes_are_told(nova: Any, openstack: Any, cloud: Sandbox) -> None:
    with cloud.region() as region:
        model = region.servers.get(MYSERVER)
        server = region.servers.boot(
            project_id=model.project_id,
            user_id=model.user_id,
            name="data",
            image_id=model.image_id,
            flavor_id=model.flavor_id,
            devices=(BlockDevice("blank", None, 5),),
        )
        (volume,) = region.servers.get(server.id).volumes
    nova.ok("image-create", "data", "of-data")
    cloud.advance("1h")
    plan = restore(nova, "data", "--as", "data2", "--dry-run")
    told = f"the attached volumes {volume}: attach them yourself"
    assert told in plan["missing"]
    listing = ("server", "image", "schedule", "list", "--long", "--name", "^data$")
    (row,) = openstack.json(*listing)
    assert row["Volumes Not In Images"] == volume
    nova.ok("scheduled-images-enable", "data", "7")
    (image,) = cloud.images(server.id)
    remember_proof(cloud, image.id, None)
    shown = openstack.json("server", "image", "schedule", "show", "data")
    assert shown["volumes_not_in_images"] == volume
    assert shown["verified_level"] == "failed"
    listed = nova.ok("scheduled-images-list", "--long", "--format", "json")
    (row,) = [each for each in json.loads(listed) if each["server"] == "data"]
    assert row["volumes_not_in_images"] == volume


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
@pytest.mark.parametrize("way", [("--in-place",), ("--as", "back")])
def test_on_rackspaces_cloud(
    nova: Any, cloud: Sandbox, images: list[str], way: tuple[str, ...]
) -> None:
    done = restore(nova, "myserver", *way, *NOW)
    assert (done["image_id"], done["status"]) == (images[0], "ACTIVE")


def test_the_password_is_shown_only_if_asked_for(
    nova: Any, cloud: Sandbox, images: list[str]
) -> None:
    word = r'"adminPass"|"admin_password"'
    quiet = nova("--debug", "scheduled-images-restore", "myserver", "--in-place", *NOW)
    assert quiet.status == 0, quiet
    assert not re.search(word, quiet.out + quiet.err)
    assert not re.search(r"\buser_data\b", quiet.out + quiet.err)
    shown = restore(nova, "myserver", "--as", "b", "--show-password", *NOW)
    assert shown["admin_password"]


@pytest.mark.parametrize(
    ("wait", "told"), [("--wait", "Restored: "), ("--no-wait", "Started: ")]
)
def test_a_stdout_that_takes_nothing_hides_nothing(
    nova: Any, cloud: Sandbox, images: list[str], monkeypatch: Any, wait: str, told: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OutputFailed(1)

    monkeypatch.setattr(console, "put", fail)
    result = nova("scheduled-images-restore", "myserver", "--as", "b", "--yes", wait)
    made = id_of(cloud, "b")
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines()[-1] == f"{told}server {made}"


def test_nobody_agrees(
    nova: Any, cloud: Sandbox, images: list[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(command, "can_ask", lambda: True)
    monkeypatch.setattr(console, "agreed", lambda _question: False)
    result = nova("scheduled-images-restore", "myserver", "--in-place")
    assert result.status == 1
    assert result.err.endswith("Nothing was changed.\n")
    assert id_of(cloud, "myserver") == MYSERVER
    assert not changes(cloud)


@not_beside_novaclient_7
@pytest.mark.parametrize("shell", ["nova", "openstack"])
def test_a_person_sees_the_plan_once(
    request: Any, cloud: Sandbox, images: list[str], monkeypatch: Any, shell: str
) -> None:
    command = "rax_scheduled_images_ext.cli.{}.restore.can_ask"
    monkeypatch.setattr(command.format(shell), lambda: True)
    monkeypatch.setattr(console, "agreed", lambda _question: True)
    argv = {
        "nova": ("scheduled-images-restore",),
        "openstack": ("server", "snapshot", "restore"),
    }[shell]
    run = request.getfixturevalue(shell)
    result = run(*argv, "myserver", "--in-place", "--wait")
    assert result.status == 0, result
    assert result.err.count("Not in the image") == 1
    assert images[0] in result.err
    for word in ("Not in the image", "missing", "first", "image_created"):
        assert word not in result.out
    (undo,) = re.findall(r"--in-place --image \S+", result.out)
    assert undo.split()[-1] in {image.id for image in cloud.images(MYSERVER)}
    # A program gets all of it, and so does whoever names a column.
    form = ("--format", "json") if shell == "nova" else ("-f", "json")
    result = run(*argv, "myserver", "--as", "back", "--wait", *form)
    assert json.loads(result.out)["image_id"] == images[0]


@not_beside_novaclient_7
def test_a_new_server_goes_to_the_zone_that_is_named(
    nova: Any, openstack: Any, cloud: Sandbox, images: list[str]
) -> None:
    zone = ("--availability-zone", "nova")
    plan = openstack.json(
        *("server", "snapshot", "restore", "myserver", "--as", "b", "--dry-run"), *zone
    )
    assert plan["availability_zone"] == "nova"
    assert not any("availability zone" in text for text in plan["differs"])
    made = restore(nova, "myserver", "--as", "back", *zone, *NOW)
    with cloud.region() as region:
        assert region.servers.get(made["restored_id"]).pinned_zone == "nova"
        assert region.servers.get(MYSERVER).pinned_zone is None
    argv = ("scheduled-images-restore", "myserver", "--as", "c", "--yes", "--wait")
    result = nova(*argv, "--availability-zone", "moon")
    (line,) = [each for each in result.err.splitlines() if "refused" in each]
    assert result.status == 1
    assert "nothing was made: The requested availability zone is not available" in line
    result = nova("scheduled-images-restore", "myserver", "--in-place", *zone, *NOW)
    assert result.status == 2
    assert "--availability-zone goes with --as" in result.err


class LeftBehind(Requests):
    """A compute service that is killed while it rebuilds a server."""

    def __init__(self, cloud: Sandbox, message: str | None) -> None:
        super().__init__()
        self.cloud, self.message = cloud, message
        self.looks = 0

    def append(self, seen: Seen) -> None:
        super().append(seen)
        if seen.method != "GET" or not seen.path.endswith(f"/servers/{MYSERVER}"):
            return
        with self.cloud.region() as region:
            if region.servers.get(MYSERVER).status != "REBUILD":
                return
            self.looks += 1
            store = self.cloud.cloud.store
            row = store.first("SELECT action FROM rebuilds")
            assert row is not None
            store.run("UPDATE rebuilds SET due = due + 1e9 WHERE due < 1e10")
            if self.looks == 2 and self.message:
                region.servers.finish(MYSERVER, row["action"], self.message)


@pytest.mark.parametrize("message", ["Error", None])
def test_a_rebuild_that_was_left_behind_is_not_waited_for(
    nova: Any,
    cloud: Sandbox,
    images: list[str],
    monkeypatch: Any,
    message: str | None,
) -> None:
    monkeypatch.setattr(operation, "_ASK_EVERY", 0.3)
    cloud.requests = LeftBehind(cloud, message)
    argv = ("scheduled-images-restore", "myserver", "--in-place", "--no-safety-image")
    result = nova(*argv, *NOW, "--time-limit", "8s")
    line = result.err.splitlines()[-1]
    if message is None:
        # Nothing says that it has failed.
        assert result.status == 6, result
        return
    assert result.status == 1, result
    assert "The rebuild of server myserver" in result.err
    assert "has failed, and left it REBUILD (task_state: rebuil" in result.err
    assert "Traceback" not in result.err, line


def test_a_safety_image_that_was_lost_is_not_called_kept(
    nova: Any, cloud: Sandbox, images: list[str]
) -> None:
    cloud.fault("lose-image of myserver")
    result = nova("scheduled-images-restore", "myserver", "--in-place", *NOW)
    assert result.status == 4, result
    assert "is lost, so nothing was changed: it is gone" in result.err
    assert "The disk of server myserver was not changed" in result.err
    assert "is kept" not in result.err
