"""``nova`` and ``openstack`` never disagree about a server."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.image import MARKER_KEY
from rax_scheduled_images_ext.model.schedule import DAYS, ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image, Server

from ..functional.fleet import MARKED, add_image
from ..functional.raw import START
from ..openstackshell import not_beside_novaclient_7
from ..scenarios.drivers import DRIVERS

pytestmark = not_beside_novaclient_7

schedules = st.builds(
    ImageSchedule, st.integers(1, 4), st.none() | st.sampled_from(DAYS)
)
#: What somebody has done to one of a server's images.
handlings = st.sampled_from(["leave", "unmark", "mark otherwise", "lock", "delete"])
servers = st.fixed_dictionaries(
    {
        "schedule": st.none() | schedules,
        # Whether the last days went by without an image.
        "held": st.booleans(),
        "handlings": st.lists(handlings, max_size=6),
        # Images by hand: with the marker, as heirs have it, or without.
        "others": st.lists(st.booleans(), max_size=2),
    }
)
#: ``malformed`` is whether a server has tags that are no schedule, where tags are.
clouds = st.fixed_dictionaries(
    {
        "extension": st.booleans(),
        "servers": st.lists(servers, min_size=1, max_size=3),
        "malformed": st.booleans(),
        "days": st.integers(0, 12),
        "late": st.integers(0, 9),
    }
)


def make(sandbox: Sandbox, wanted: dict[str, Any]) -> list[Server]:
    """Make the servers of a cloud, and let time pass."""
    made = [sandbox.boot(f"s{number}") for number in range(len(wanted["servers"]))]
    with sandbox.region() as region:
        for server, each in zip(made, wanted["servers"], strict=True):
            if each["schedule"] is None:
                continue
            if wanted["extension"]:
                schedule = each["schedule"]
                region.schedules.set(
                    server.id, schedule.retention, schedule.day_of_week
                )
            else:
                region.servers.set_tags(
                    server.id, (MARKER_TAG, schedule_tag(each["schedule"]))
                )
        if wanted["malformed"] and not wanted["extension"]:
            tags = (MARKER_TAG, "scheduled-images:hourly:3")
            region.servers.set_tags(made[0].id, tags)
    sandbox.advance(f"{wanted['days']}d")
    for server, each in zip(made, wanted["servers"], strict=True):
        for image, handling in zip(
            sandbox.images(server.id), each["handlings"], strict=False
        ):
            handle(sandbox, image, handling)
        for number, marked in enumerate(each["others"]):
            marker: dict[str, Any] = MARKED if marked else {}
            name = f"{server.name}-{number}"
            kind: dict[str, Any] = {
                "instance_uuid": server.id,
                "image_type": "snapshot",
            }
            add_image(sandbox, name, **kind, **marker)
        with sandbox.region() as region:
            region.servers.hold(server.id, each["held"])
    sandbox.advance(f"{wanted['late']}d")
    return made


def handle(sandbox: Sandbox, image: Image, handling: str) -> None:
    """Do to an image what somebody has done."""
    properties = dict(image.properties)
    with sandbox.region() as region:
        if handling == "unmark":
            del properties[MARKER_KEY]
            region.images.update(image.id, properties=properties)
        elif handling == "mark otherwise":
            properties[MARKER_KEY] = "somebody"
            region.images.update(image.id, properties=properties)
        elif handling == "lock":
            region.images.update(image.id, attributes={"protected": True})
        elif handling == "delete":
            region.images.delete(image.id)


@settings(max_examples=max(3, settings().max_examples // 5))
@given(wanted=clouds)
def test_both_tell_the_same(wanted: dict[str, Any]) -> None:
    options = {"speed": 0, "start": START, "extension": wanted["extension"]}
    with Sandbox(**options) as sandbox:
        made = make(sandbox, wanted)
        nova, openstack = (DRIVERS[name](sandbox) for name in ("nova", "openstack"))
        for verb, *argv in (
            ("list",),
            ("list", "--enabled"),
            ("list", "--disabled"),
            ("check",),
            ("check", "--max-age", "5d"),
        ):
            theirs, expected = nova.rows(verb, *argv)
            ours, rows = openstack.rows(verb, *argv)
            assert (ours.status, rows) == (theirs.status, expected)
            assert theirs.err == ours.err == ""
        listed = {row["id"]: row for row in nova.listed("list")}
        for server in made:
            assert openstack.listed("images", server.id) == (
                nova.listed("images", server.id)
            )
            shown = nova.run("show", "--format", "value", server.id)
            ours = openstack.run("show", "-f", "json", server.id)
            assert ours.status == shown.status
            if ours.status == 0:
                row = listed[server.id]
                assert openstack.schedule(server.id) == nova.schedule(server.id)
                status = json.loads(ours.out)
                told = {key: status[key] for key in row if key in status}
                assert told == {key: row[key] for key in told}
                assert {"state", "newest", "next_due", "counted"} <= told.keys()
            else:
                assert shown.err.endswith(f"): {ours.err}")
