"""What is known of a server, and what of it goes with its images.

Of a server that is gone its images are all that is left. So each scheduled image
carries what a new server needs. Images can be shared, so metadata and description are
left out unless they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rax_scheduled_images_ext.model.image import FACTS_KEY, ServerImage

#: How many bytes the facts may take: each listing of images carries them.
MOST_BYTES = 1024
# What goes first if that is not enough.
_EXPENDABLE = (
    *("metadata", "description", "volumes", "groups", "networks", "zone", "key"),
    "flavor",
)
#: How large a server of a flavor is, in Nova's words and units.
SIZES = ("vcpus", "ram", "disk", "ephemeral", "swap")


@dataclass(frozen=True)
class ServerFacts:
    """A server as far as it is known; None is unknown.

    ``image_id`` is the image it boots from, empty for one that boots from a volume.
    Of its flavor clouds show the ID, or the name and the ``sizes`` (see :data:`SIZES`).
    ``networks`` are the IDs of the networks of its ports, one for each port, ``groups``
    the names of its security groups, ``volumes`` the IDs of the attached volumes.
    ``fault`` is why it is in ERROR, ``user_id`` whose request has made it.
    """

    id: str
    name: str = ""
    project_id: str | None = None
    status: str | None = None
    task_state: str | None = None
    locked: bool | None = None
    image_id: str | None = None
    flavor_id: str | None = None
    flavor_name: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    networks: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    key_name: str | None = None
    zone: str | None = None
    config_drive: bool = False
    volumes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    tags: tuple[str, ...] | None = None
    server_group: str | None = None
    region: str | None = None
    fault: str | None = None
    user_id: str | None = None
    created: datetime | None = None
    addresses: tuple[str, ...] = ()

    @property
    def boots_from_volume(self) -> bool:
        """Whether its root disk is a volume."""
        return self.image_id == ""


def facts_metadata(
    image: ServerImage,
    server: ServerFacts,
    region: str | None,
    *,
    private: bool = False,
) -> dict[str, str]:
    """Return what an image is to carry of its server.

    :param private: also its metadata and description.

    The image's own ID comes first: a server that is booted from the image hands the
    property on to its own snapshots, and there it says nothing.
    """
    known: dict[str, Any] = {
        "image": image.id,
        "region": region,
        "name": server.name,
        "flavor": _flavor(server) or None,
        "config_drive": server.config_drive or None,
        "key": server.key_name,
        "zone": server.zone,
        "networks": server.networks,
        "groups": server.groups or None,
        # The image of a server that boots from a volume has them all.
        "volumes": None if server.boots_from_volume else server.volumes or None,
    }
    if private:
        known["metadata"] = dict(server.metadata)
        known["description"] = server.description
    facts = {key: value for key, value in known.items() if value is not None}
    for key in _EXPENDABLE:
        if len(_written(facts)) > MOST_BYTES:
            facts.pop(key, None)
    while facts["name"] and len(_written(facts)) > MOST_BYTES:
        facts["name"] = facts["name"][:-1]
    return {FACTS_KEY: _written(facts)}


def _flavor(server: ServerFacts) -> dict[str, Any]:
    named = {"id": server.flavor_id, "name": server.flavor_name}
    return {key: value for key, value in named.items() if value} | dict(server.sizes)


def read_sizes(flavor: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes that a flavor shows."""
    found = ((key, flavor.get(key)) for key in SIZES)
    return {key: value for key, value in found if type(value) is int}


def _written(facts: Mapping[str, Any]) -> str:
    # In ASCII: some databases take no characters of four bytes.
    return json.dumps(facts, separators=(",", ":"))


def facts_of(image: ServerImage) -> ServerFacts | None:
    """Return what an image says of its server, None if it says nothing.

    Nova cuts what it hands on, and anybody can write anything there.
    """
    if image.server_id is None:
        return None
    try:
        facts = json.loads(image.metadata.get(FACTS_KEY, ""))
    except (ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or facts.get("image") != image.id:
        return None
    flavor, metadata = (_object(facts.get(key)) for key in ("flavor", "metadata"))
    return ServerFacts(
        image.server_id,
        name=_text(facts.get("name")) or "",
        project_id=image.owner,
        # The first images that carried this had nothing but the flavor's ID there.
        flavor_id=_text(facts.get("flavor")) or _text(flavor.get("id")),
        flavor_name=_text(flavor.get("name")),
        sizes=read_sizes(flavor),
        networks=_texts(facts.get("networks")),
        groups=_texts(facts.get("groups")),
        key_name=_text(facts.get("key")),
        zone=_text(facts.get("zone")),
        config_drive=facts.get("config_drive") is True,
        volumes=_texts(facts.get("volumes")) or (),
        metadata={k: v for k, v in metadata.items() if isinstance(v, str)},
        description=_text(facts.get("description")),
        region=_text(facts.get("region")),
    )


def gone_server(server_id: str, name: str, image: ServerImage) -> ServerFacts:
    """Return what is left of a server that is gone, by one of its images."""
    facts = facts_of(image) if image.server_id == server_id else None
    facts = facts or ServerFacts(server_id, project_id=image.owner)
    return replace(facts, id=server_id, name=facts.name or name)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(map(_text, value)):
        return None
    return tuple(value)
