"""Names and tags that others have written never act on a terminal, a log or a page."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from datetime import datetime, timezone

import pytest

from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.slots import (
    Window,
    next_slot,
)
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from ..serviceshell import Service
from .fleet import MARKED, add_image
from .panels import Reader

EVIL = 'a\x1b[2J\n\r\t\x7f\x9b31m\u202eb\u2066\u200bc\u2028d ERROR "x" reason=forged'
SEEN = (
    r"a\x1b[2J\n\r\t\x7f\x9b31m\u202eb\u2066\u200bc\u2028d"
    ' ERROR "x" reason=forged'
)
MARKER = "scheduled-images"
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def only_seen(text: str) -> str:
    """The text, in which nothing but line feeds and tabs is hidden."""
    found = {c for c in text if unicodedata.category(c) in HIDDEN} - set("\n\t")
    assert not found, found
    return text


@pytest.fixture
def evil(cloud: Sandbox) -> str:
    """The ID of a server that has the name, a schedule, and an image of that name."""
    server = cloud.boot(EVIL).id
    if cloud.cloud.extension:
        with cloud.region() as region:
            region.schedules.set(server, 1, None)
    else:
        with cloud.region() as region:
            region.servers.set_tags(server, [MARKER, f"{MARKER}:daily:1"])
    for _ in range(2):
        add_image(cloud, EVIL, instance_uuid=server, image_type="snapshot", **MARKED)
    return server


def advance_to_slot_of(cloud: Sandbox, server: str) -> None:
    """Let time pass until the server's next image is due."""
    now = datetime.fromtimestamp(cloud.advance(0), timezone.utc)
    slot = next_slot(server, ImageSchedule(1), now, Window())
    cloud.advance((slot.due - now).total_seconds())


FORMATS = ("table", "json", "csv", "value")


@pytest.mark.parametrize("form", FORMATS)
def test_nova(nova: Nova, evil: str, form: str) -> None:
    for argv in (
        ("scheduled-images-list",),
        ("scheduled-images-image-list", evil),
        ("scheduled-images-prune", "--dry-run", evil),
        ("scheduled-images-check",),
    ):
        result = nova(*argv, "--format", form)
        only_seen(result.err)
        out = only_seen(result.out)
        if argv[0] == "scheduled-images-image-list":
            _names(out, form, SEEN if form != "value" else SEEN.replace(r"\n\r\t", " "))


def _names(out: str, form: str, seen: str) -> None:
    """See that the name is there, and only JSON has it itself."""
    if form == "json":
        assert {row["name"] for row in json.loads(out)} == {EVIL}
    elif form == "csv":
        assert {row["name"] for row in csv.DictReader(io.StringIO(out))} == {seen}
    else:
        assert out.count(seen.split(" ")[0]) == 2


def test_lines_of_nova(nova: Nova, cloud: Sandbox, evil: str) -> None:
    first, *_ = (image.id for image in cloud.images(evil))
    for argv in (
        ("scheduled-images-enable", "--dry-run", evil, "1"),
        ("scheduled-images-check",),
        ("scheduled-images-protect", first),
        ("scheduled-images-unprotect", first),
        ("snapshot-watch", "--wait-start", "0.1s", evil),
        ("scheduled-images-show", EVIL + "2"),
    ):
        result = nova(*argv)
        only_seen(result.out)
        assert "forged" in only_seen(result.out + result.err) or "unprotect" not in argv


@not_beside_novaclient_7
@pytest.mark.parametrize("form", ["table", "json", "csv", "value", "yaml"])
def test_openstack(openstack: OpenStack, evil: str, form: str) -> None:
    group = ("server", "image")
    for argv in (
        (*group, "schedule", "list", "--long"),
        (*group, "schedule", "check", "--long"),
        ("server", "snapshot", "list", "--long", evil),
        ("server", "snapshot", "prune", "--dry-run", evil),
    ):
        result = openstack(*argv, "-f", form)
        out = only_seen(result.out)
        only_seen(result.err)
        if argv[1:3] == ("snapshot", "list"):
            if form == "json":
                assert {row["Name"] for row in json.loads(out)} == {EVIL}
            elif form == "csv":
                rows = csv.DictReader(io.StringIO(out), escapechar="\\")
                assert {row["Name"] for row in rows} == {SEEN}
            elif form == "value":
                assert out.count(SEEN) == 2


@not_beside_novaclient_7
@pytest.mark.parametrize("form", ["table", "json", "shell", "value", "yaml"])
def test_openstack_show(openstack: OpenStack, evil: str, form: str) -> None:
    out = only_seen(
        openstack.ok("server", "image", "schedule", "show", evil, "-f", form)
    )
    if form == "json":
        assert json.loads(out)["server"] == EVIL


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_the_service(cloud: Sandbox, evil: str) -> None:
    service = Service(cloud)
    broken = cloud.boot("broken").id
    with cloud.region() as region:
        region.servers.set_tags(broken, [MARKER, f"{MARKER}:\x1b[31m\nx reason=forged"])
    for command in ("plan", "status"):
        for form in FORMATS:
            result = service(command, "--format", form)
            only_seen(result.out + result.err)
            if form == "json" and command == "status":
                assert EVIL in {row["server"] for row in json.loads(result.out)}
    advance_to_slot_of(cloud, evil)
    tick = service("tick")
    # Made or refused: Nova lets no image have such a name.
    line, *_ = (each for each in tick.err.splitlines() if f" server={evil} " in each)
    only_seen(tick.err)
    found = re.search(r' server_name=("(?:[^"\\]|\\.)*") project=', line)
    assert found is not None
    assert json.loads(found[1]) == EVIL
    (no_image,) = (line for line in tick.err.splitlines() if " no image " in line)
    assert r"\u001b[31m\nx reason=forged" in no_image
    assert no_image.count(" reason=") == 2


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_the_log_as_json_is_the_text_itself(cloud: Sandbox, evil: str) -> None:
    advance_to_slot_of(cloud, evil)
    tick = Service(cloud)("tick", "--log-format", "json")
    events = [json.loads(line) for line in tick.err.splitlines()]
    assert EVIL in {event.get("server_name") for event in events}


def test_the_panel(reader: Reader, evil: str) -> None:
    for page in (reader.get("/"), reader.get(f"{reader.page.path}/{evil}")):
        only_seen(page.response.text.replace("\r", ""))
        assert r"a\x1b[2J\n\r\t\x7f" in page.response.text
