"""The laws of copies: servers hand the properties of their base image on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.image import (
    OWN_KEY,
    PENDING_KEY,
    RUN_KEY,
    SERVER_KEY,
    SNAPSHOT,
    TYPE_KEY,
    ServerImage,
    inherited_copies,
    made_by_run,
    nonce_of,
    original_of,
    own_metadata,
    run_metadata,
    scheduled_image_name,
)
from rax_scheduled_images_ext.model.retention import Reason, apply_policy, surplus

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
MAPPING = (
    '[{"source_type": "snapshot",'
    ' "snapshot_id": "5e2f0f3c-6c55-4a5b-8c67-8d8f0cf2a0d1"}]'
)


@dataclass
class Server:
    """A server, and the properties that it hands on."""

    id: str
    volume_backed: bool
    base: dict[str, str] = field(default_factory=dict)


@dataclass
class Cloud:
    """Servers and images, with the properties that Nova gives those."""

    servers: list[Server] = field(default_factory=list)
    images: list[ServerImage] = field(default_factory=list)
    made: dict[str, set[str]] = field(default_factory=dict)
    copied: set[str] = field(default_factory=set)
    hours: int = 0

    def boot(self, volume_backed: bool, image: ServerImage | None = None) -> Server:
        server = Server(f"server-{len(self.servers)}", volume_backed)
        server.base = dict(image.metadata) if image else {}
        self.servers.append(server)
        self.made[server.id] = set()
        return server

    def rebuild(self, server: Server, image: ServerImage) -> None:
        server.base = dict(image.metadata)

    def snapshot(self, server: Server, name: str = "my own") -> ServerImage:
        """A person's."""
        image = self._image(server, name, {})
        if RUN_KEY in image.metadata:
            self.copied.add(image.id)
        return image

    def begin(self, server: Server) -> ServerImage:
        """The service's."""
        now = self._now().timestamp()
        metadata = run_metadata(server.id, "2026-01-01", f"1-{self.hours:032x}")
        name = scheduled_image_name(server.id, weekly=False, now=now)
        image = self._image(server, name, metadata)
        self.made[server.id].add(image.id)
        return image

    def end(self, image: ServerImage, *, says: bool = True) -> ServerImage:
        """It is found to be whole; without saying what it is as it once was."""
        metadata = {k: v for k, v in image.metadata.items() if k != PENDING_KEY}
        if says:
            metadata |= own_metadata(image)
        ended = replace(image, metadata=metadata)
        self.images[self.images.index(image)] = ended
        return ended

    def counted(self, server: Server) -> set[str]:
        decisions = apply_policy(self.images, server.id, 3, "ours")
        return {each.image.id for each in decisions if each.counted}

    def of(self, server: Server) -> set[str]:
        """What the service has made of a server, as far as it is whole and there."""
        return {
            image.id
            for image in self.images
            if image.id in self.made[server.id] and PENDING_KEY not in image.metadata
        }

    def _now(self) -> datetime:
        self.hours += 1
        return START + timedelta(hours=self.hours)

    def _image(
        self, server: Server, name: str, metadata: dict[str, str]
    ) -> ServerImage:
        properties = {**server.base, TYPE_KEY: SNAPSHOT, **metadata}
        if server.volume_backed:
            properties["block_device_mapping"] = MAPPING
        elif SERVER_KEY not in metadata:
            properties[SERVER_KEY] = server.id
        image = ServerImage(
            id=f"image-{len(self.images):03d}-{self.hours}",
            name=name,
            status="ACTIVE",
            created=self._now(),
            size=0 if server.volume_backed else 4096,
            server_id=properties.get(SERVER_KEY),
            owner="ours",
            metadata=properties,
        )
        self.images.append(image)
        return image


kinds = pytest.mark.parametrize("volume_backed", [False, True])


@given(st.data())
def test_what_counts_is_what_the_service_has_made_of_the_server(
    data: st.DataObject,
) -> None:
    """Whatever is booted from, or rebuilt to, whichever image."""
    cloud = Cloud()
    cloud.boot(False)
    cloud.boot(True)
    for _ in range(data.draw(st.integers(0, 25))):
        server = data.draw(st.sampled_from(cloud.servers))
        act = data.draw(st.sampled_from(["begin", "end", "snapshot", "boot", "clean"]))
        if act == "begin":
            cloud.begin(server)
        elif act == "snapshot":
            name = data.draw(st.sampled_from(["my own", "Daily-x-1767225600"]))
            cloud.snapshot(server, name)
        elif act == "clean":
            gone = surplus(cloud.images, server.id, 2, "ours")
            assert {each.id for each in gone} <= cloud.made[server.id]
            cloud.images = [each for each in cloud.images if each not in gone]
        elif cloud.images:
            image = data.draw(st.sampled_from(cloud.images))
            if act == "boot" and data.draw(st.booleans()):
                cloud.boot(data.draw(st.booleans()), image)
            elif act == "boot":
                cloud.rebuild(server, image)
            elif image.id not in cloud.copied and PENDING_KEY in image.metadata:
                cloud.end(image)
        for each in cloud.servers:
            assert cloud.counted(each) == cloud.of(each)


@kinds
@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_year_of_a_server_that_has_one_of_its_own_images(
    volume_backed: bool, rebuilt: bool
) -> None:
    cloud = Cloud()
    server = cloud.boot(volume_backed)
    for day in range(365):
        cloud.end(cloud.begin(server))
        if rebuilt and day % 30 == 10:
            cloud.rebuild(server, cloud.images[-1])
        if day % 50 == 20:
            own = cloud.snapshot(server)
        for image in surplus(cloud.images, server.id, 7, "ours"):
            cloud.images.remove(image)
        assert len(cloud.counted(server)) == min(7, day + 1)
        if day > 20:
            assert own in cloud.images


@kinds
def test_yesterdays_images_count_and_their_copies_do_not(volume_backed: bool) -> None:
    """No image said what it is, and none of Rackspace's ever does."""
    cloud = Cloud()
    server = cloud.boot(volume_backed)
    week = [cloud.end(cloud.begin(server), says=False) for _ in range(7)]
    assert cloud.counted(server) == {image.id for image in week}
    cloud.rebuild(server, week[2])
    heirs = [server, cloud.boot(False, week[3]), cloud.boot(True, week[4])]
    copies = [cloud.snapshot(heir) for heir in heirs]
    for each in cloud.servers:
        assert cloud.counted(each) == cloud.of(each)
    assert inherited_copies(cloud.images) == {copy.id for copy in copies}
    # And with those that say it, beside which they are.
    cloud.end(cloud.begin(server))
    for each in cloud.servers:
        assert cloud.counted(each) == cloud.of(each)


def test_the_only_image_is_not_lost_to_the_snapshot_of_another_server() -> None:
    """The heir boots from a volume, so its snapshot names the old server."""
    cloud = Cloud()
    only = cloud.end(cloud.begin(cloud.boot(False)))
    mine = cloud.snapshot(cloud.boot(True, only))
    assert mine.server_id == only.server_id
    assert surplus(cloud.images, str(only.server_id), 1, "ours") == []
    (copy, kept) = apply_policy(cloud.images, str(only.server_id), 1, "ours")
    assert (copy.reason, kept.reason) == (Reason.INHERITED, Reason.NEWEST)
    assert original_of(mine) == only.id


def test_a_copy_is_not_an_image_of_a_run() -> None:
    cloud = Cloud()
    server = cloud.boot(True)
    image = cloud.begin(server)
    assert made_by_run(image, server.id)
    image = cloud.end(image)
    assert image.metadata[OWN_KEY] == f"{image.id}:{nonce_of(image)}"
    assert made_by_run(image, server.id)
    assert not made_by_run(cloud.snapshot(cloud.boot(True, image)), server.id)
    assert not made_by_run(cloud.snapshot(cloud.boot(False, image)), server.id)
    cloud.rebuild(server, image)
    assert not made_by_run(cloud.snapshot(server), server.id)
    assert made_by_run(cloud.begin(server), server.id)


def test_an_image_that_others_publish_makes_no_copy_of_ours() -> None:
    cloud = Cloud()
    server = cloud.boot(False)
    image = cloud.end(cloud.begin(server), says=False)
    forged = replace(image, id="forged", owner="theirs", created=START)
    assert inherited_copies([image, forged]) == frozenset()


def test_the_snapshot_of_a_copy_taken_before_its_original_was_whole() -> None:
    cloud = Cloud()
    server = cloud.boot(True)
    image = cloud.begin(server)
    copy = cloud.snapshot(cloud.boot(True, image))
    assert PENDING_KEY in copy.metadata
    assert inherited_copies(cloud.images) == {copy.id}
    cloud.end(image)
    assert inherited_copies(cloud.images) == {copy.id}
