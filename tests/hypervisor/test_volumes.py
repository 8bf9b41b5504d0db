"""Servers that boot from a volume: what the guest wrote is in its volume snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ..interop.terminal import Terminal
from .guests import Guest, Lab
from .test_verify import WHOLE


@pytest.fixture
def backed(lab: Lab) -> Iterator[tuple[str, Guest]]:
    """The name of a server on a volume, and its guest; all made of it goes."""
    name, guest = lab.boot_from_volume("backed")
    yield name, guest
    lab.delete_backed(name)


def test_a_new_server_on_a_volume_counts_on(
    terminal: Terminal, lab: Lab, backed: tuple[str, Guest]
) -> None:
    name, guest = backed
    guest.count_to(16)
    counted = lab.make_image(terminal, name)
    (image,) = lab.images(guest)
    # The image itself is empty: the data is in the snapshot that it names.
    assert image.size == 0
    later = guest.count_to(guest.tick + 1)
    command = f"nova scheduled-images-restore {name} --as {name}-back"
    terminal.run(f"{command} --yes --wait")
    back = lab.guest(f"{name}-back")
    check = back.check()
    assert counted <= check.last <= later
    assert check.boots == 1
    # The old one was not touched.
    assert guest.count_to(check.last + 1)
    command = f"nova scheduled-images-verify {image.id} --console '{WHOLE}' --yes"
    (row,) = json.loads(terminal.run(f"{command} --format json"))
    assert (row["result"], row["level"]) == ("proven", "console")
