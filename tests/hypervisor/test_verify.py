"""Proving images by what a real guest says of its disk."""

from __future__ import annotations

import json

from rax_scheduled_images_ext.model.verify import TEST_TAG

from ..interop.cloud.seed import GUEST_FLAVOR
from ..interop.terminal import Terminal
from .guests import Guest, Lab

WHOLE = r"VERIFY last=\d+ gaps=0 bad=0 checked=15"


def test_an_image_is_proven_by_what_its_guest_finds(
    terminal: Terminal, lab: Lab, server: tuple[str, Guest]
) -> None:
    name, guest = server
    guest.count_to(16)
    lab.make_image(terminal, name)
    command = f"nova scheduled-images-verify {name} --console '{WHOLE}' --yes"
    (row,) = json.loads(terminal.run(f"{command} --format json"))
    assert (row["result"], row["level"]) == ("proven", "console")
    assert row["seen"].startswith("VERIFY last=")
    (image,) = lab.images(guest)
    known = image.properties["scheduled_images_verified"]
    assert image.id in known
    # The test server is gone, and the server itself counts on.
    assert not list(lab.cloud.compute.servers(tags=TEST_TAG))
    guest.count_to(guest.tick + 1)
    # A guest that says something else is a proof that failed.
    command = f"nova scheduled-images-verify {name} --console 'VERIFY .* bad=1 ' --yes"
    done = terminal.try_to(f"{command} --time-limit 30s --format json")
    assert done.returncode == 3, done
    (row,) = json.loads(done.stdout)
    assert row["result"] == "failed"


def test_an_image_that_holds_nothing_only_boots(terminal: Terminal, lab: Lab) -> None:
    """Nova calls such a server ACTIVE; that alone is not what was asked for."""
    image = lab.cloud.image.create_image(
        name=lab.name("empty"),
        data=bytes(1024 * 1024),
        disk_format="raw",
        container_format="bare",
        allow_duplicates=True,
    )
    flavor = GUEST_FLAVOR["name"]
    command = (
        f"nova scheduled-images-verify {image.id} --time-limit 30s --flavor {flavor}"
    )
    done = terminal.try_to(f"{command} --console VERIFY --yes --format json")
    assert done.returncode == 1, done
    (row,) = json.loads(done.stdout)
    assert row["level"] == "booted"
    assert "its console shows nothing" in row["seen"]
    lab.cloud.image.delete_image(image)
