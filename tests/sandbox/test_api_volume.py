"""The sandbox's block storage API, and servers that boot from volumes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.raw import Box, Caller

NOBODY = "00000000-dead-4bad-8bad-000000000000"
TENANT = "os-extended-snapshot-attributes:project_id"


class Volumes:
    """The block storage API as one user asks it."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.root = f"{caller.sandbox.url}/volume/v3"

    def __call__(
        self, method: str, path: str, *, version: str | None = None, **options: Any
    ) -> requests.Response:
        headers = {"OpenStack-API-Version": f"volume {version}"} if version else {}
        url = self.root + path
        return self.caller(method, url, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        answer = self("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def make(self, **wanted: Any) -> dict[str, Any]:
        """Make a volume."""
        answer = self("POST", "/volumes", json={"volume": {"size": 1, **wanted}})
        assert answer.status_code == 202, answer.text
        return dict(answer.json()["volume"])

    def snapshot(self, volume_id: str, **wanted: Any) -> dict[str, Any]:
        """Make a snapshot of a volume."""
        body = {"snapshot": {"volume_id": volume_id, **wanted}}
        answer = self("POST", "/snapshots", json=body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json()["snapshot"])


@pytest.fixture
def volumes(admin: Caller) -> Volumes:
    return Volumes(admin)


def boot(admin: Caller, *devices: dict[str, Any], **more: Any) -> requests.Response:
    """Boot a server with these devices and, unless there is one, no image."""
    server = {
        "name": "bfv",
        "imageRef": "",
        "flavorRef": "1",
        "block_device_mapping_v2": list(devices),
        **more,
    }
    return admin.post("/servers", {"server": server})


def booted(admin: Caller, *devices: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Boot a server; return it."""
    answer = boot(admin, *devices, **more)
    assert answer.status_code == 202, answer.text
    server_id = answer.json()["server"]["id"]
    shown = admin.get(f"/servers/{server_id}", version="2.3").json()
    return dict(shown["server"])


def attached(server: dict[str, Any]) -> list[str]:
    return [each["id"] for each in server["os-extended-volumes:volumes_attached"]]


def root(source: str, source_id: str, **more: Any) -> dict[str, Any]:
    """A root disk on a volume."""
    return {
        "source_type": source,
        "destination_type": "volume",
        "uuid": source_id,
        "boot_index": "0",
        **more,
    }


@pytest.fixture
def backed(admin: Caller) -> dict[str, Any]:
    """A server that boots from a new volume of an image."""
    return booted(admin, root("image", admin.base_image(), volume_size=3))


def message(answer: requests.Response) -> tuple[int, str]:
    ((error),) = answer.json().values()
    assert error["code"] == answer.status_code
    return answer.status_code, error["message"]


class TestBooting:
    def test_from_a_new_volume(self, backed: dict[str, Any], volumes: Volumes) -> None:
        assert backed["image"] == ""
        (volume_id,) = attached(backed)
        volume = volumes.get(f"/volumes/{volume_id}")["volume"]
        assert (volume["status"], volume["size"]) == ("in-use", 3)
        (attachment,) = volume["attachments"]
        assert attachment["server_id"] == backed["id"]
        assert attachment["device"] == "/dev/vda"
        assert volume["volume_image_metadata"]["os_distro"] == "debian"

    def test_from_a_volume(self, admin: Caller, volumes: Volumes) -> None:
        volume = volumes.make(imageRef=admin.base_image())
        assert (volume["status"], volume["bootable"]) == ("available", "true")
        server = booted(admin, root("volume", volume["id"]))
        assert attached(server) == [volume["id"]]
        taken = message(boot(admin, root("volume", volume["id"])))
        assert taken[0] == 400
        assert f"Volume {volume['id']} status must be available" in taken[1]

    def test_from_a_snapshot_and_from_an_image_that_names_one(
        self, admin: Caller, backed: dict[str, Any], volumes: Volumes
    ) -> None:
        image_id = admin.snapshot(backed["id"], "mine")
        (snapshot,) = volumes.get("/snapshots")["snapshots"]
        for server in (
            booted(admin, root("snapshot", snapshot["id"])),
            booted(admin, imageRef=image_id),
        ):
            (volume_id,) = attached(server)
            volume = volumes.get(f"/volumes/{volume_id}")["volume"]
            assert volume["snapshot_id"] == snapshot["id"]
            assert volume["size"] == 3

    def test_an_image_that_a_client_names_twice_is_not_booted_from(
        self, admin: Caller, backed: dict[str, Any]
    ) -> None:
        image_id = admin.snapshot(backed["id"], "mine")
        again = root("image", image_id, destination_type="local")
        assert len(attached(booted(admin, again, imageRef=image_id))) == 1

    def test_a_second_disk(self, admin: Caller, volumes: Volumes) -> None:
        blank = {
            "source_type": "blank",
            "destination_type": "volume",
            "volume_size": 2,
            "delete_on_termination": True,
        }
        local = {"source_type": "blank", "destination_type": "local"}
        server = booted(admin, blank, local, imageRef=admin.base_image())
        assert server["image"]["id"] == admin.base_image()
        assert [each["size"] for each in volumes.get("/volumes/detail")["volumes"]] == [
            2
        ]
        # It does not boot from it, so its image is one as usual.
        image_id = admin.snapshot(server["id"], "mine")
        image = admin.image("GET", f"/images/{image_id}").json()
        assert "block_device_mapping" not in image
        assert image["status"] == "queued"
        admin.delete(f"/servers/{server['id']}")
        assert volumes.get("/volumes")["volumes"] == []

    @pytest.mark.parametrize(
        ("device", "why"),
        [
            (
                root("blank", NOBODY, volume_size=1, boot_index=None),
                "Block Device Mapping is Invalid: Boot sequence for the instance and"
                " image/block device mapping combination is not valid.",
            ),
            (
                root("volume", NOBODY),
                f"Block Device Mapping is Invalid: failed to get volume {NOBODY}.",
            ),
            (
                root("snapshot", NOBODY),
                f"Snapshot {NOBODY} could not be found.",
            ),
            (
                root("image", NOBODY, volume_size=1),
                f"Block Device Mapping is Invalid: failed to get image {NOBODY}.",
            ),
            (
                root("image", NOBODY),
                "Images with destination_type 'volume' need to have a non-zero size"
                " specified",
            ),
        ],
    )
    def test_what_cannot_be_booted_from(
        self, admin: Caller, device: dict[str, Any], why: str
    ) -> None:
        before = len(admin.get("/servers").json()["servers"])
        assert message(boot(admin, device)) == (400, why)
        assert len(admin.get("/servers").json()["servers"]) == before

    @pytest.mark.parametrize(
        "wrong",
        [
            {"source_type": "tape"},
            {"boot_index": "first"},
            {"volume_size": 0},
            {"uuid": "a b"},
            {"colour": "red"},
        ],
    )
    def test_devices_that_are_none(self, admin: Caller, wrong: dict[str, Any]) -> None:
        assert message(boot(admin, {**root("volume", NOBODY), **wrong}))[0] == 400

    def test_no_image_and_no_device(self, admin: Caller) -> None:
        assert message(boot(admin)) == (400, "Missing imageRef attribute")

    def test_one_volume_for_several_servers(
        self, admin: Caller, volumes: Volumes
    ) -> None:
        blank = volumes.make()
        refused = boot(admin, root("volume", blank["id"]))
        why = f"Block Device {blank['id']} is not bootable."
        assert message(refused) == (400, why)
        volume = volumes.make(imageRef=admin.base_image())
        answer = boot(admin, root("volume", volume["id"]), max_count=2)
        why = "Cannot attach one or more volumes to multiple instances"
        assert message(answer) == (400, why)

    @pytest.mark.parametrize("goes", [True, False])
    def test_deleting_the_server(
        self, admin: Caller, volumes: Volumes, goes: bool
    ) -> None:
        more = {"volume_size": 1, "delete_on_termination": goes}
        server = booted(admin, root("image", admin.base_image(), **more))
        admin.delete(f"/servers/{server['id']}")
        left = volumes.get("/volumes/detail")["volumes"]
        assert [each["status"] for each in left] == ([] if goes else ["available"])

    def test_a_volume_with_snapshots_stays(
        self, admin: Caller, volumes: Volumes
    ) -> None:
        more = {"volume_size": 1, "delete_on_termination": True}
        server = booted(admin, root("image", admin.base_image(), **more))
        admin.snapshot(server["id"], "mine")
        admin.delete(f"/servers/{server['id']}")
        (volume,) = volumes.get("/volumes/detail")["volumes"]
        assert volume["status"] == "available"


class TestImages:
    def test_as_nova_makes_it(
        self, admin: Caller, backed: dict[str, Any], volumes: Volumes
    ) -> None:
        image_id = admin.snapshot(backed["id"], "mine", colour="red")
        shown = admin.get(f"/servers/{backed['id']}").json()["server"]
        assert shown["OS-EXT-STS:task_state"] is None
        image = admin.image("GET", f"/images/{image_id}").json()
        (snapshot,) = volumes.get("/snapshots/detail")["snapshots"]
        assert snapshot["name"] == "snapshot for mine"
        assert snapshot["volume_id"] == attached(backed)[0]
        assert snapshot[TENANT] == admin.project_id
        (device,) = json.loads(image["block_device_mapping"])
        given = {key: value for key, value in device.items() if value is not None}
        assert given == {
            "source_type": "snapshot",
            "destination_type": "volume",
            "snapshot_id": snapshot["id"],
            "device_name": "/dev/vda",
            "boot_index": 0,
            "volume_size": 3,
            "delete_on_termination": False,
        }
        assert (image["status"], image["size"], image["virtual_size"]) == (
            *("active", 0),
            None,
        )
        assert image["bdm_v2"] == "True"
        assert image["root_device_name"] == "/dev/vda"
        assert (image["base_image_ref"], image["colour"]) == ("", "red")
        # Nova does not say of which server it is.
        assert not {"instance_uuid", "image_type", "user_id"} & set(image)
        # Compute's own view of it has the mapping as JSON.
        (proxied,) = [
            each
            for each in admin.get("/images/detail").json()["images"]
            if each["id"] == image_id
        ]
        assert proxied["metadata"]["block_device_mapping"] == [device]

    def test_what_a_server_hands_on_to_its_images(
        self, admin: Caller, cloud: Sandbox
    ) -> None:
        """Nova says of no image of theirs of which server it is.

        So those of a server that was booted from a server's image to a volume say what
        that image says, but for what createImage is given.
        """
        first = admin.server_id()
        marks = {"org.openstack__1__created_by": "scheduled_images_service"}
        image_id = admin.snapshot(first, "first", **marks)
        cloud.advance("1h")
        backed = booted(admin, root("image", image_id, volume_size=3))
        assert backed["id"] != first
        copy = admin.snapshot(backed["id"], "mine")
        image = admin.image("GET", f"/images/{copy}").json()
        assert image["instance_uuid"] == first
        assert image["image_type"] == "snapshot"
        assert marks.items() <= image.items()
        own = {"instance_uuid": backed["id"], "image_type": "mine"}
        copy = admin.snapshot(backed["id"], "mine", **own)
        image = admin.image("GET", f"/images/{copy}").json()
        assert own.items() <= image.items()
        # Nova keeps the beginning of what is long.
        long = {"op": "add", "path": "/long", "value": "x" * 300}
        assert admin.patch(image_id, long).status_code == 200
        backed = booted(admin, root("image", image_id, volume_size=3))
        copy = admin.snapshot(backed["id"], "mine")
        assert admin.image("GET", f"/images/{copy}").json()["long"] == "x" * 255
        # An image with data has its own server's ID.
        local = booted(admin, imageRef=image_id, flavorRef="2")
        copy = admin.snapshot(local["id"], "mine")
        image = admin.image("GET", f"/images/{copy}").json()
        assert image["instance_uuid"] == local["id"]

    def test_a_name_that_leaves_no_room_for_that_of_a_snapshot(
        self, admin: Caller, backed: dict[str, Any], volumes: Volumes
    ) -> None:
        path = f"/servers/{backed['id']}/action"
        answer = admin.post(path, {"createImage": {"name": "n" * 243}})
        status, why = message(answer)
        assert status == 400
        assert f"'snapshot for {'n' * 243}' is too long (HTTP 400)" in why
        assert volumes.get("/snapshots")["snapshots"] == []
        admin.snapshot(backed["id"], "n" * 242)

    def test_no_backup(self, admin: Caller, backed: dict[str, Any]) -> None:
        wanted = {"name": "b", "backup_type": "daily", "rotation": 1}
        path = f"/servers/{backed['id']}/action"
        answer = admin.post(path, {"createBackup": wanted})
        why = "Backup is not supported for volume-backed instances."
        assert message(answer) == (400, why)

    def test_not_in_every_state(self, admin: Caller, backed: dict[str, Any]) -> None:
        path = f"/servers/{backed['id']}/action"
        admin.post(path, {"os-resetState": {"state": "error"}})
        answer = admin.post(path, {"createImage": {"name": "mine"}})
        assert message(answer)[0] == 409


class TestVolumes:
    def test_lists(self, volumes: Volumes) -> None:
        ids = [volumes.make(name=name)["id"] for name in ("a", "b", "c")]
        found = volumes.get("/volumes")["volumes"]
        assert {each["id"] for each in found} == set(ids)
        assert set(found[0]) == {"id", "name", "links"}
        assert [
            v["name"] for v in volumes.get("/volumes?sort=name:asc")["volumes"]
        ] == [*"abc"]
        (b,) = volumes.get("/volumes/detail?name=b")["volumes"]
        assert b["id"] == ids[1]
        assert volumes.get("/volumes?status=in-use")["volumes"] == []

    def test_pages(self, volumes: Volumes) -> None:
        ids = {volumes.make(name=name)["id"] for name in ("a", "b", "c")}
        found, path = [], "/volumes?limit=2"
        while path:
            page = volumes.get(path)
            found += [each["id"] for each in page["volumes"]]
            links = page.get("volumes_links", [{"href": ""}])
            path = links[0]["href"].removeprefix(volumes.root)
        assert (len(found), set(found)) == (3, ids)

    @pytest.mark.parametrize(
        ("query", "answer"),
        [
            ("limit=x", (400, "limit param must be an integer")),
            ("limit=-1", (400, "limit param must be positive")),
            ("sort=shape", (400, "Invalid input received: Invalid sort key")),
            ("marker=x", (404, "Volume x could not be found.")),
        ],
    )
    def test_queries_that_are_wrong(
        self, volumes: Volumes, query: str, answer: tuple[int, str]
    ) -> None:
        assert message(volumes("GET", f"/volumes?{query}")) == answer

    def test_deleting(self, volumes: Volumes) -> None:
        volume, other = volumes.make(), volumes.make()
        snapshot = volumes.snapshot(volume["id"])
        path = f"/volumes/{volume['id']}"
        status, why = message(volumes("DELETE", path))
        assert (status, why[:57]) == (
            400,
            "Invalid volume: Volume status must be available or error ",
        )
        for gone in (f"/snapshots/{snapshot['id']}", path):
            assert volumes("DELETE", gone).status_code == 202
            assert volumes("DELETE", gone).status_code == 404
        assert [v["id"] for v in volumes.get("/volumes")["volumes"]] == [other["id"]]

    def test_from_another_volume(self, volumes: Volumes) -> None:
        volume = volumes.make(size=5, metadata={"a": "b"})
        assert volume["metadata"] == {"a": "b"}
        assert volumes.make(source_volid=volume["id"], size=None)["size"] == 5

    @pytest.mark.parametrize(
        "wanted", [{}, {"size": 0}, {"size": "big"}, {"size": 1, "metadata": {"a": 1}}]
    )
    def test_not_a_volume(self, volumes: Volumes, wanted: Any) -> None:
        answer = volumes("POST", "/volumes", json={"volume": wanted})
        assert message(answer)[0] == 400


class TestSnapshots:
    def test_of_an_attached_volume(
        self, volumes: Volumes, backed: dict[str, Any]
    ) -> None:
        (volume_id,) = attached(backed)
        body: dict[str, Any] = {"snapshot": {"volume_id": volume_id}}
        refused = volumes("POST", "/snapshots", json=body)
        assert message(refused) == (
            400,
            f"Invalid volume: Volume {volume_id} status must be available, but current"
            " status is: in-use.",
        )
        assert volumes("POST", "/snapshots", json=body, version="3.66").ok
        body["snapshot"]["force"] = True
        assert volumes("POST", "/snapshots", json=body).ok

    def test_lists(self, volumes: Volumes) -> None:
        volume = volumes.make()
        one = volumes.snapshot(volume["id"], name="one", description="first")
        other = volumes.snapshot(volumes.make()["id"], name="other")
        assert TENANT not in volumes.get("/snapshots")["snapshots"][0]
        found = volumes.get(f"/snapshots/detail?volume_id={volume['id']}")["snapshots"]
        assert found == [one]
        shown = volumes.get(f"/snapshots/{other['id']}")["snapshot"]
        assert shown == other
        newest = volumes.get(f"/snapshots/{one['id']}", version="3.71")["snapshot"]
        assert set(newest) - set(one) == {
            "group_snapshot_id",
            "user_id",
            "consumes_quota",
        }

    def test_one_that_is_in_use(self, volumes: Volumes, cloud: Sandbox) -> None:
        snapshot = volumes.snapshot(volumes.make()["id"])
        with cloud.region() as region:
            region.volumes.set_snapshot_status(snapshot["id"], "backing-up")
        assert message(volumes("DELETE", f"/snapshots/{snapshot['id']}")) == (
            400,
            "Invalid snapshot: Snapshot status must be available or error and must not"
            " be part of a group.",
        )

    def test_of_what_is_not_there(self, volumes: Volumes) -> None:
        body = {"snapshot": {"volume_id": NOBODY}}
        why = f"Volume {NOBODY} could not be found."
        assert message(volumes("POST", "/snapshots", json=body)) == (404, why)
        status, why = message(volumes("POST", "/snapshots", json={"snapshot": {}}))
        assert (status, why) == (
            400,
            "Invalid input for field/attribute snapshot. Value: {}. 'volume_id' is a"
            " required property",
        )


class TestMetadata:
    @pytest.fixture
    def path(self, volumes: Volumes) -> str:
        """The path of the metadata of a snapshot that has none."""
        return f"/snapshots/{volumes.snapshot(volumes.make()['id'])['id']}/metadata"

    def test_it_is_added_replaced_and_taken_away(
        self, volumes: Volumes, path: str
    ) -> None:
        for method, given, whole in (
            ("POST", {"a": "1"}, {"a": "1"}),
            ("POST", {"b": "2"}, {"a": "1", "b": "2"}),
            ("PUT", {"b": "3"}, {"b": "3"}),
            ("POST", {}, {"b": "3"}),
        ):
            answer = volumes(method, path, json={"metadata": given})
            assert (answer.status_code, answer.json()) == (200, {"metadata": whole})
            assert volumes.get(path) == {"metadata": whole}
        item = {"meta": {"c": "4"}}
        assert volumes("PUT", f"{path}/c", json=item).json() == item
        assert volumes.get(f"{path}/c") == item
        assert volumes("DELETE", f"{path}/b").status_code == 200
        assert volumes.get(path) == {"metadata": {"c": "4"}}
        snapshot = volumes.get(path.removesuffix("/metadata"))["snapshot"]
        assert snapshot["metadata"] == {"c": "4"}

    @pytest.mark.parametrize(
        ("method", "more", "body", "answer"),
        [
            ("GET", "/x", None, (404, "has no metadata with key x.")),
            ("DELETE", "/x", None, (404, "has no metadata with key x.")),
            ("PUT", "/x", {"meta": {"y": "1"}}, (400, "body and URI mismatch")),
            ("PUT", "/x", {"meta": {"x": "1", "y": "1"}}, (400, "has too many")),
            ("PUT", "/x", {"meta": {}}, (400, "Value: {}.")),
            ("PUT", "/x", {}, (400, "'meta' is a required property")),
            ("POST", "", {}, (400, "'metadata' is a required property")),
            ("POST", "", {"metadata": None}, (400, "None is not of type 'object'")),
            ("POST", "", {"metadata": {"": "x"}}, (400, "'' does not match")),
            ("POST", "", {"metadata": {"a/b": "x"}}, (400, "'a/b' does not match")),
            ("POST", "", {"metadata": {"a": 7}}, (400, "7 is not of type 'string'")),
            ("POST", "", {"metadata": {"a": "x" * 256}}, (400, "attribute a. Value")),
        ],
    )
    def test_what_cannot_be(
        self,
        volumes: Volumes,
        path: str,
        method: str,
        more: str,
        body: Any,
        answer: tuple[int, str],
    ) -> None:
        status, why = message(volumes(method, path + more, json=body))
        assert status == answer[0]
        assert answer[1] in why
        assert volumes.get(path) == {"metadata": {}}

    def test_of_what_is_not_there(self, volumes: Volumes) -> None:
        body = {"metadata": {"a": "1"}}
        why = f"Snapshot {NOBODY} could not be found."
        path = f"/snapshots/{NOBODY}/metadata"
        assert message(volumes("POST", path, json=body)) == (404, why)
        assert message(volumes("GET", path)) == (404, why)

    def test_lists_are_filtered_by_it(self, volumes: Volumes, path: str) -> None:
        """From 3.22 on; older versions take no notice."""
        volumes("POST", path, json={"metadata": {"fate": "goes", "a": "1"}})
        own = path.split("/")[2]
        volumes.snapshot(volumes.make()["id"])

        def listed(wanted: str, version: str | None = "3.22") -> list[str]:
            query = f"/snapshots/detail?metadata={wanted}"
            found = volumes.get(query, version=version)["snapshots"]
            return [each["id"] for each in found]

        assert listed("{'fate': 'goes'}") == [own]
        assert listed('{"fate": "goes", "a": "1"}', "3.71") == [own]
        for other in ("{'fate': 'stays'}", "{'fate': 'goes', 'a': '2'}", "{'a': 1}"):
            assert listed(other) == []
        for odd in ("nonsense", "7", "[]", "{"):
            assert listed(odd) == []
        assert len(listed("{}")) == 2
        for version in (None, "3.21"):
            assert len(listed("{'fate': 'goes'}", version)) == 2

    def test_readers_and_others_do_not_change_it(
        self, cloud_box: Box, volumes: Volumes, path: str
    ) -> None:
        volumes("POST", path, json={"metadata": {"a": "1"}})
        reader, stranger = (
            Volumes(cloud_box.as_(name)) for name in ("observer", "stranger")
        )
        assert reader.get(path) == {"metadata": {"a": "1"}}
        for method, more, policy in (
            ("POST", "", "update_snapshot_metadata"),
            ("PUT", "", "update_snapshot_metadata"),
            ("DELETE", "/a", "delete_snapshot_metadata"),
        ):
            answer = reader(method, path + more, json={"metadata": {"b": "1"}})
            why = f"Policy doesn't allow volume:{policy} to be performed."
            assert message(answer) == (403, why)
            answer = stranger(method, path + more, json={"metadata": {"b": "1"}})
            assert message(answer)[0] == 404
        assert volumes.get(path) == {"metadata": {"a": "1"}}


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status", "progress", "later"),
        [
            ("fail-volume", "error", "0%", "error"),
            ("hang-volume of bfv", "creating", "0%", "available"),
            ("fail-volume of another", "available", "100%", "available"),
        ],
    )
    def test_how_a_snapshot_ends(
        self,
        admin: Caller,
        backed: dict[str, Any],
        volumes: Volumes,
        cloud: Sandbox,
        fault: str,
        status: str,
        progress: str,
        later: str,
    ) -> None:
        cloud.fault(fault)
        image_id = admin.snapshot(backed["id"], "mine")
        image = admin.image("GET", f"/images/{image_id}").json()
        assert (image["status"], image["size"]) == ("active", 0)
        (snapshot,) = volumes.get("/snapshots/detail")["snapshots"]
        shown = snapshot["os-extended-snapshot-attributes:progress"]
        assert (snapshot["status"], shown) == (status, progress)
        cloud.clear_faults()
        (snapshot,) = volumes.get("/snapshots/detail")["snapshots"]
        assert snapshot["status"] == later

    def test_a_deletion_that_is_accepted_and_not_done(
        self, admin: Caller, backed: dict[str, Any], volumes: Volumes, cloud: Sandbox
    ) -> None:
        admin.snapshot(backed["id"], "mine")
        (snapshot,) = volumes.get("/snapshots/detail")["snapshots"]
        path = f"/snapshots/{snapshot['id']}"
        cloud.fault("keep-volume x1")
        cloud.advance("1h")
        assert volumes("DELETE", path).status_code == 202
        left = volumes.get(path)["snapshot"]
        assert left["status"] == "available"
        assert left["updated_at"] > snapshot["updated_at"]
        assert volumes("DELETE", path).status_code == 202
        assert volumes("GET", path).status_code == 404


class TestWhoMay:
    @pytest.fixture
    def made(self, volumes: Volumes) -> tuple[str, str]:
        """The paths of a volume and of a snapshot of it."""
        volume = volumes.make()
        snapshot = volumes.snapshot(volume["id"])
        return f"/volumes/{volume['id']}", f"/snapshots/{snapshot['id']}"

    def test_readers_only_look(self, cloud_box: Box, made: tuple[str, str]) -> None:
        reader = Volumes(cloud_box.as_("observer"))
        for path, policy in zip(made, ("delete", "delete_snapshot"), strict=True):
            assert reader.get(path)
            why = f"Policy doesn't allow volume:{policy} to be performed."
            assert message(reader("DELETE", path)) == (403, why)

    def test_others_see_nothing(self, cloud_box: Box, made: tuple[str, str]) -> None:
        stranger = Volumes(cloud_box.as_("stranger"))
        for path in made:
            assert message(stranger("GET", path))[0] == 404
            assert message(stranger("DELETE", path))[0] == 404
        assert stranger.get("/volumes")["volumes"] == []
        assert stranger.get("/snapshots")["snapshots"] == []

    def test_no_token(self, cloud: Sandbox) -> None:
        answer = requests.get(f"{cloud.url}/volume/v3/volumes", timeout=60)
        assert answer.status_code == 401
        assert answer.json()["error"]["title"] == "Unauthorized"


class TestVersions:
    def test_the_documents(self, cloud: Sandbox, volumes: Volumes) -> None:
        answer = requests.get(f"{cloud.url}/volume/", timeout=60)
        assert answer.status_code == 300
        (version,) = answer.json()["versions"]
        assert (version["min_version"], version["version"]) == ("3.0", "3.71")
        assert version["links"][1]["href"] == f"{cloud.url}/volume/v3/"
        assert volumes.get("/") == answer.json()

    def test_what_a_request_asks_for(self, volumes: Volumes) -> None:
        answer = volumes("GET", "/volumes", version="3.59")
        assert answer.headers["OpenStack-API-Version"] == "volume 3.59"
        latest = volumes("GET", "/volumes", version="latest")
        assert latest.headers["OpenStack-API-Version"] == "volume 3.71"
        assert message(volumes("GET", "/volumes", version="3.99")) == (
            406,
            "Version 3.99 is not supported by the API. Minimum is 3.0 and maximum is"
            " 3.71.",
        )
        assert message(volumes("GET", "/volumes", version="x")) == (
            400,
            "API Version String x is of invalid format. Must be of format"
            " MajorNum.MinorNum.",
        )

    def test_the_project_in_the_path(self, volumes: Volumes) -> None:
        own = volumes.caller.project_id
        assert volumes.get(f"/{own}/volumes") == {"volumes": []}
        assert message(volumes("GET", f"/{'0' * 32}/volumes"))[0] == 400
        assert volumes("GET", f"/{own}/backups").status_code == 404


def test_the_state_file_keeps_them(tmp_path: Path) -> None:
    def look(ask: Callable[[Sandbox], Any]) -> Any:
        with Sandbox(speed=0, state=tmp_path / "cloud.db") as sandbox:
            return ask(sandbox)

    def make(sandbox: Sandbox) -> tuple[str, str]:
        server = sandbox.boot("bfv", volume_size=4)
        with sandbox.region() as region:
            region.snapshots.create(server.id, "mine", {}, user_id=server.user_id)
            (snapshot,) = region.volumes.snapshots(server.project_id)
        return server.id, snapshot.id

    server_id, snapshot_id = look(make)

    def find(sandbox: Sandbox) -> tuple[int, str]:
        with sandbox.region() as region:
            assert region.servers.get(server_id).boots_from_volume
            (volume,) = region.volumes.of_server(server_id)
            return volume.size, region.volumes.snapshot(snapshot_id).volume_id

    size, volume_id = look(find)
    assert size == 4
    assert volume_id
