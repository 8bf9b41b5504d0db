"""A region's images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rax_scheduled_images_ext.sandbox.backend.models import (
    Conflict,
    Forbidden,
    Image,
    ImageQuery,
    Invalid,
    NotFound,
    OverQuota,
)
from rax_scheduled_images_ext.sandbox.backend.region.base import OfImages
from rax_scheduled_images_ext.sandbox.backend.region.disks import Disk
from rax_scheduled_images_ext.sandbox.backend.store import Row, image_of

_GIB = 2**30
# Values that Nova refuses, of the properties that it reads.
_WRONG = {
    "hw_architecture": "Architecture name '{}' is not recognised",
    "img_config_drive": "Image's config drive option '{}' is invalid",
}
_RIGHT = {
    "hw_architecture": frozenset(
        "aarch64 alpha armv6 armv7l armv7b cris i686 ia64 lm32 m68k microblaze"
        " microblazeel mips mipsel mips64 mips64el openrisc parisc parisc64 ppc ppcle"
        " ppc64 ppc64le ppcemb s390 s390x sh4 sh4eb sparc sparc64 unicore32 x86_64"
        " xtensa xtensaeb".split()
    ),
    "img_config_drive": frozenset({"optional", "mandatory"}),
}


@dataclass(frozen=True)
class Usage:
    """How many images a project has, how many are being uploaded, and their bytes."""

    number: int
    uploading: int
    size: int


class Images(OfImages):
    """Listing, making, changing and deleting images."""

    def select(self, query: ImageQuery) -> list[Image]:
        """Return a page of images.

        :raises Invalid: for an unknown marker or sort key.
        """
        rows = self._store.select_images(self.name, query)
        return [image_of(row) for row in rows]

    def get(self, image_id: str, *, deleted: bool = False) -> Image:
        """Return one image; a deleted one only if asked for.

        :raises NotFound: where there is none.
        """
        return image_of(self.row(image_id, deleted=deleted))

    def add(
        self,
        *,
        owner: str,
        name: str,
        properties: Mapping[str, str] | None = None,
        visibility: str = "private",
        protected: bool = False,
        hidden: bool = False,
        min_disk: int = 0,
        min_ram: int = 0,
        disk_format: str | None = None,
        container_format: str | None = None,
        tags: Sequence[str] = (),
        image_id: str | None = None,
    ) -> Image:
        """Make an image without data: it is queued.

        :raises OverQuota: where the project has as many as it may.
        :raises Conflict: where the id given is taken.
        """
        self._check_quota(owner)
        now = self._cloud.now
        image_id = image_id or self._cloud.new_id()
        if self._store.first(
            "SELECT 1 FROM images WHERE region = ? AND id = ?", self.name, image_id
        ):
            raise Conflict(f"Image ID {image_id} already exists!")
        image = Image(
            id=image_id,
            name=name,
            region=self.name,
            owner=owner,
            status="queued",
            visibility=visibility,
            protected=protected,
            size=None,
            checksum=None,
            min_disk=min_disk,
            min_ram=min_ram,
            disk_format=disk_format,
            container_format=container_format,
            created=now,
            updated=now,
            deleted_at=None,
            tags=tuple(dict.fromkeys(tags)),
            properties=dict(properties or {}),
            hidden=hidden,
        )
        self._store.insert("images", [image_row(image)])
        return image

    def upload(self, image_id: str, data: bytes) -> Image:
        """Give a queued image its data: it is active.

        :raises Conflict: where it has data already.
        """
        image = self.get(image_id)
        if image.status != "queued":
            raise Conflict(
                f"Image status transition from {image.status} to saving is not allowed"
            )
        self._store.update(
            "images",
            self.name,
            image_id,
            status="active",
            size=len(data),
            checksum=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            sha512=hashlib.sha512(data).hexdigest(),
            data=data,
            updated=self._cloud.now,
        )
        # Whatever the data is, a guest boots from it.
        self._region.disks.write(image_id, Disk() if data else None)
        return self.get(image_id)

    def data(self, image_id: str) -> bytes | None:
        """Return the data that was uploaded; a snapshot has none to give."""
        self.get(image_id)
        row = self._store.first(
            "SELECT data FROM images WHERE region = ? AND id = ?", self.name, image_id
        )
        return None if row is None else row["data"]

    def update(
        self,
        image_id: str,
        *,
        attributes: Mapping[str, object] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> Image:
        """Change base attributes, and replace all custom properties if given.

        :param attributes: any of name, visibility, protected, min_disk,
            min_ram, disk_format, container_format, status, owner, hidden and tags.
        :raises NotFound: where there is no such image.
        """
        self.row(image_id)
        columns = dict(attributes or {})
        tags = columns.get("tags")
        if isinstance(tags, Iterable):
            columns["tags"] = json.dumps(list(dict.fromkeys(tags)))
        if properties is not None:
            columns["properties"] = json.dumps(dict(properties))
        self._store.update(
            "images", self.name, image_id, updated=self._cloud.now, **columns
        )
        return self.get(image_id)

    def delete(self, image_id: str) -> None:
        """Delete the image.

        :raises NotFound: where there is none.
        :raises Forbidden: where it is protected.
        """
        if self.get(image_id).protected:
            raise Forbidden(f"Image {image_id} is protected and cannot be deleted.")
        self.drop(image_id)

    def _check_quota(self, owner: str) -> None:
        """See that a project may have one more image.

        Hidden ones and those without data count as well.
        """
        quota = self._cloud.image_quota
        if quota is None:
            return
        used = self.usage(owner).number
        if used >= quota:
            raise OverQuota(
                "The request returned a 413 Request Entity Too Large. This generally"
                " means that rate limiting or a quota threshold was breached.\n\nThe"
                f" response body:\nProject {owner} is over a limit for [Resource"
                f" image_count_total is over limit of {quota} due to current usage"
                f" {used} and delta 1]"
            )

    def usage(self, owner: str) -> Usage:
        """Return what the images of a project take."""
        row = self._store.first(
            "SELECT count(*) AS number, coalesce(sum(status = 'saving'), 0) AS"
            " uploading, coalesce(sum((status = 'active') * size), 0) AS size"
            " FROM images WHERE region = ? AND owner = ? AND deleted_at IS NULL"
            " AND status != 'killed'",
            self.name,
            owner,
        )
        assert row is not None
        return Usage(row["number"], row["uploading"], row["size"])

    def row(self, image_id: str, *, deleted: bool = False) -> Row:
        row = self._store.image_row(self.name, image_id)
        if row is None or (row["deleted_at"] is not None and not deleted):
            raise NotFound(f"Failed to find image {image_id}")
        return row

    def drop(self, image_id: str) -> None:
        now = self._cloud.now
        self._region.disks.discard(image_id)
        self._store.update(
            "images",
            self.name,
            image_id,
            status="deleted",
            deleted_at=now,
            updated=now,
            data=None,
        )


def check_fits(
    image: Image, *, ram: int, disk: int = 0, volume: int | None = None
) -> None:
    """See that an image is ready, and fits a flavor.

    :param ram: of the flavor, in MiB.
    :param disk: of the flavor, in GiB; 0 for one of any size.
    :param volume: the size of the volume that is the root disk, in GiB, if one is.
    :raises Invalid: where it is not, or does not.
    """
    for key, allowed in _RIGHT.items():
        value = image.properties.get(key)
        if value is not None and value not in allowed:
            raise Invalid(_WRONG[key].format(value))
    if image.status != "active":
        raise Invalid(f"Image {image.id} is not active.")
    if ram < image.min_ram:
        raise Invalid("Flavor's memory is too small for requested image.")
    least, size = image.min_disk * _GIB, disk * _GIB
    if volume is not None and least > volume * _GIB:
        raise Invalid(
            "Volume is smaller than the minimum size specified in image metadata."
            f" Volume size is {volume * _GIB} bytes, minimum size is {least} bytes."
        )
    if volume is None and size and (image.size or 0) > size:
        raise Invalid(
            "Flavor's disk is too small for requested image. Flavor disk is"
            f" {size} bytes, image is {image.size} bytes."
        )
    if volume is None and size and least > size:
        raise Invalid(
            "Flavor's disk is smaller than the minimum size specified in image"
            f" metadata. Flavor disk is {size} bytes, minimum size is {least} bytes."
        )


def image_row(image: Image) -> dict[str, object]:
    """Return an image as the store keeps it."""
    row = dict(vars(image))
    row["tags"] = json.dumps(image.tags)
    row["properties"] = json.dumps(dict(image.properties))
    return row
