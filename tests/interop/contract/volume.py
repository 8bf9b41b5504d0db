"""Requests to Cinder v3, and to Nova about servers that boot from volumes."""

from __future__ import annotations

from typing import Any

from .case import Case

_PROJECT = "os-extended-snapshot-attributes:project_id"


def _get(path: str, note: str = "", **more: Any) -> Case:
    return Case("volume", "GET", path, note, **more)


def _send(method: str, path: str, body: Any, note: str = "", **more: Any) -> Case:
    return Case("volume", method, path, note, body=body, **more)


def _volume(note: str, **form: Any) -> Case:
    return _send("POST", "/volumes", {"volume": form}, note)


def _snapshot(note: str, **form: Any) -> Case:
    return _send("POST", "/snapshots", {"snapshot": form}, note)


def _boot(note: str, *devices: Any, image: str = "", **more: Any) -> Case:
    server = {
        "name": "{run}-booted",
        "imageRef": image,
        "flavorRef": "{flavor}",
        "block_device_mapping_v2": list(devices),
        **more,
    }
    return Case("compute", "POST", "/servers", note, body={"server": server})


# What the service marks snapshots with before it deletes their image.
_METADATA = "/snapshots/{vsnapshot}/metadata"
_FATE = {"metadata": {"scheduled_images_snapshot": "goes"}}


def _marked(fate: str, **more: Any) -> Case:
    wanted = f"%7B%27scheduled_images_snapshot%27:+%27{fate}%27%7D"
    query = f"metadata={wanted}&name={{run}}-kept"
    more.setdefault("version", "3.22")
    return _get(f"/snapshots/detail?{query}", show=("snapshots.*.name",), **more)


def _root(source: str, uuid: str = "{missing}", **more: Any) -> dict[str, Any]:
    return {
        "source_type": source,
        "destination_type": "volume",
        "uuid": uuid,
        "boot_index": 0,
        **more,
    }


ABOUT = (
    Case(
        "volume root",
        "GET",
        "/",
        "versions",
        who="nobody",
        show=("versions.*.id", "versions.*.version", "versions.*.min_version"),
    ),
    _get("/", show=("versions.*.id",)),
    _get("/volumes", who="nobody"),
    _get("/volumes", who="liar"),
    _get("/nothing"),
    _send("PATCH", "/volumes", {}, "no such method"),
    _get("/volumes?name={run}-spare", version="3.99"),
    _get("/volumes?name={run}-spare", version="nonsense"),
)

VOLUMES = (
    _get("/volumes?name={run}-spare", show=("volumes.*.name",)),
    _get("/volumes/detail?name={run}-spare", show=("volumes.*.status",)),
    _get("/volumes/detail?name={run}-spare", version="3.71"),
    _get("/volumes?name={run}-none", show=("volumes",)),
    _get("/volumes?name={run}-spare&limit=1", "a full page"),
    _get("/volumes?limit=nonsense"),
    _get("/volumes?limit=-1"),
    _get("/volumes?marker={missing}"),
    _get("/volumes?sort=nonsense"),
    _get("/volumes/{spare}", show=("volume.status", "volume.size", "volume.bootable")),
    _get("/volumes/{spare}", version="3.48"),
    _get("/volumes/{spare}", version="3.71", show=("volume.volume_type",)),
    _get("/volumes/{spare}", who="reader"),
    _get("/volumes/{spare}", who="stranger"),
    _get("/volumes/{missing}"),
    _get(
        "/volumes/{attached}",
        show=("volume.status", "volume.bootable", "volume.name", "volume.description"),
    ),
    _volume("no size", name="{run}-new"),
    _volume("size 0", name="{run}-new", size=0),
    _volume("size in words", name="{run}-new", size="big"),
    _volume("no such snapshot", name="{run}-new", snapshot_id="{missing}"),
    _volume("no such source", name="{run}-new", source_volid="{missing}"),
    _volume("a number as metadata", name="{run}-new", size=1, metadata={"a": 1}),
    _send("POST", "/volumes", {}, "nothing"),
    _send("POST", "/volumes", {"volume": {"size": 1}}, who="reader"),
    _send("DELETE", "/volumes/{missing}", None),
    _send("DELETE", "/volumes/{attached}", None, "attached"),
    _send("DELETE", "/volumes/{spare}", None, "with a snapshot"),
    _send("DELETE", "/volumes/{spare}", None, who="reader"),
    _send("DELETE", "/volumes/{spare}", None, who="stranger"),
)

SNAPSHOTS = (
    _get("/snapshots?volume_id={spare}", show=("snapshots.*.name",)),
    _get("/snapshots/detail?volume_id={spare}", show=("snapshots.*.status",)),
    _get(
        "/snapshots/detail?name=snapshot for {run}-backed", show=("snapshots.*.name",)
    ),
    _get("/snapshots/detail?volume_id={spare}", version="3.71"),
    _get("/snapshots?volume_id={missing}", show=("snapshots",)),
    _get("/snapshots?marker={missing}"),
    _get("/snapshots/{vsnapshot}", show=("snapshot.name", f"snapshot.{_PROJECT}")),
    _get("/snapshots/{vsnapshot}", version="3.71"),
    _get("/snapshots/{vsnapshot}", who="reader"),
    _get("/snapshots/{vsnapshot}", who="stranger"),
    _get("/snapshots/{missing}"),
    _snapshot("of no volume"),
    _snapshot("of a missing volume", volume_id="{missing}"),
    _snapshot("of an attached volume", volume_id="{attached}"),
    _snapshot("of what is no id", volume_id="nonsense"),
    _send("POST", "/snapshots", {"snapshot": {"volume_id": "{spare}"}}, who="reader"),
    _send("DELETE", "/snapshots/{missing}", None),
    _send("DELETE", "/snapshots/{vsnapshot}", None, who="reader"),
    _send("DELETE", "/snapshots/{vsnapshot}", None, who="stranger"),
    _send("POST", _METADATA, _FATE, "mark", show=("metadata",)),
    _send("POST", _METADATA, _FATE, "mark again", show=("metadata",)),
    _send("POST", _METADATA, _FATE, who="reader"),
    _send("POST", _METADATA, _FATE, who="stranger"),
    _send("POST", "/snapshots/{missing}/metadata", _FATE),
    _marked("goes"),
    _marked("stays"),
    _marked("stays", version="3.21"),
    _marked("goes", who="stranger"),
    _send("DELETE", "/snapshots/{vsnapshot}", None),
)

SERVERS = (
    Case(
        "compute",
        "GET",
        "/servers/{backed}",
        version="2.3",
        show=("server.image", "server.status", "server.OS-EXT-STS:task_state"),
    ),
    Case("compute", "GET", "/servers/{backed}", version="2.98", show=("server.image",)),
    Case(
        "image",
        "GET",
        "/images/{backed_image}",
        show=("status", "size", "disk_format", "bdm_v2", "base_image_ref", "color"),
    ),
    Case("compute", "GET", "/images/{backed_image}", show=("image.status",)),
    _boot("no image and no devices"),
    _boot("no boot index", _root("volume", boot_index=None)),
    _boot("a missing volume", _root("volume")),
    _boot("a missing snapshot", _root("snapshot")),
    _boot("a missing image", _root("image", volume_size=1)),
    _boot("an image and no size", _root("image", "{base}")),
    _boot("an attached volume", _root("volume", "{attached}")),
    _boot("a strange source", _root("tape")),
    _boot("a strange index", _root("volume", boot_index="first")),
    _boot("a volume for two", _root("volume", "{spare}"), max_count=2),
    Case(
        "compute",
        "POST",
        "/servers/{backed}/action",
        "a backup of what boots from a volume",
        body={"createBackup": {"name": "b", "backup_type": "daily", "rotation": 1}},
    ),
)

CASES = (*ABOUT, *VOLUMES, *SERVERS, *SNAPSHOTS)
