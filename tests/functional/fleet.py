"""Servers and images beyond those that a sandbox starts with."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE
from rax_scheduled_images_ext.model.verify import (
    Level,
    Verification,
    verified_metadata,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery

MYSERVER = "24ade2fe-60d9-4d3e-a02c-c9a6a1b588a6"
NOBODY = "00000000-dead-4bad-8bad-000000000000"

NOT_OFFERED = (
    "ERROR (NotFound): This cloud has no scheduled images: it lacks the extension"
    " rax-si-image-schedule, and the server tags of compute API 2.26 that do without"
    " it (HTTP 404)\n"
)

# What makes an image one of the service's.
MARKED: dict[str, Any] = {MARKER_KEY: MARKER_VALUE}


def project_of(cloud: Sandbox) -> str:
    """The ID of the project of ``myserver``."""
    with cloud.region() as region:
        return region.servers.get(MYSERVER).project_id


def add_image(
    cloud: Sandbox,
    name: str,
    *,
    image_id: str | None = None,
    protected: bool = False,
    owner: str | None = None,
    visibility: str = "private",
    **properties: str,
) -> str:
    """Add an image of the same project, or of another one; its ID."""
    with cloud.region() as region:
        image = region.images.add(
            owner=owner or region.servers.get(MYSERVER).project_id,
            visibility=visibility,
            name=name,
            image_id=image_id,
            protected=protected,
            disk_format="raw",
            container_format="bare",
            properties=properties,
        )
        return region.images.upload(image.id, b"disk").id


def remember_proof(cloud: Sandbox, image_id: str, level: Level | None) -> None:
    """Write a proof of an image on it, as of now.

    :param level: what was reached, None if it failed.
    """
    now = datetime.fromtimestamp(cloud.advance(0), timezone.utc)
    with cloud.region() as region:
        found = Verification(image_id, now, level, "No bootable device.")
        properties = region.images.get(image_id).properties
        properties = {**properties, **verified_metadata(image_id, found)}
        region.images.update(image_id, properties=properties)


def id_of(cloud: Sandbox, name: str) -> str:
    """The ID of the server of this name."""
    with cloud.region() as region:
        (server,) = region.servers.select(ServerQuery(name=f"^{name}$"))
        return server.id


def sent(cloud: Sandbox) -> list[str]:
    """The requests after authentication and the talk about versions."""
    lines = [f"{method} {path} {status}" for method, path, status in cloud.requests]
    cloud.requests.clear()
    lines = [re.sub(" /(compute/v2.1|image/v2)(?=[/ ])", " ", line) for line in lines]
    return [line for line in lines if "/identity/" not in line and line != "GET  200"]
