"""Restoring real disks: what a guest wrote before its image is there, and whole."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    RESTORE_KEY,
    SAFETY_KEY,
)
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag

from .. import rehearsed
from ..interop.terminal import Terminal
from .guests import Guest, Lab, until

SHELLS = {
    "nova": "nova scheduled-images-restore",
    "openstack": "openstack server snapshot restore",
}


def restore(terminal: Terminal, command: str, shell: str = "nova") -> dict[str, Any]:
    """Restore a server, and wait for it; return what is printed."""
    form = "--format json" if shell == "nova" else "-f json"
    printed = terminal.run(f"{SHELLS[shell]} {command} --yes --wait {form}")
    done: dict[str, Any] = json.loads(printed)
    assert done["status"] == "ACTIVE"
    return done


@pytest.mark.parametrize("shell", SHELLS)
def test_a_new_server_counts_on(
    terminal: Terminal, lab: Lab, server: tuple[str, Guest], shell: str
) -> None:
    name, guest = server
    counted = lab.make_image(terminal, name)
    restore(terminal, f"{name} --as {name}-back", shell)
    back = lab.guest(f"{name}-back")
    check = back.check()
    assert check.last >= counted
    assert check.boots == 1
    # The old one was not touched, and each has an address of its own.
    assert guest.tick > check.last
    assert lab.addresses(guest)
    assert lab.addresses(back)
    assert not lab.addresses(guest) & lab.addresses(back)
    assert {port.network_id for port in lab.ports(back)} == {lab.network}
    lab.delete(back)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_disk_is_put_back_in_place_and_again(
    terminal: Terminal, lab: Lab, server: tuple[str, Guest], shell: str
) -> None:
    name, guest = server
    before = lab.addresses(guest)
    counted = lab.make_image(terminal, name)
    later = guest.count_to(guest.tick + 20)
    done = restore(terminal, f"{name} --in-place", shell)
    check = guest.check()
    assert counted <= check.last < later
    # It has the addresses that it had, and there is one more image, kept for good.
    assert lab.addresses(guest) == before
    safety = lab.image(done["safety_image_id"])
    assert (safety.status, safety.owner) == ("active", lab.project_id)
    assert safety.properties[SAFETY_KEY] == safety.id
    assert not {MARKER_KEY, RESTORE_KEY} & set(safety.properties)
    terminal.run(f"{done['undo']} --yes --wait")
    check = guest.check()
    assert check.last >= later


def test_a_stopped_server_gets_its_disk_back_and_stays_stopped(
    terminal: Terminal, lab: Lab, server: tuple[str, Guest]
) -> None:
    name, guest = server
    counted = lab.make_image(terminal, name)
    later = guest.count_to(guest.tick + 20)
    terminal.run(f"nova stop {name}")
    until(lambda: guest.server.status == "SHUTOFF")
    command = f"{SHELLS['nova']} {name} --in-place --yes --wait --format json"
    done = json.loads(terminal.run(command))
    assert (done["status"], guest.server.status) == ("SHUTOFF", "SHUTOFF")
    terminal.run(f"nova start {name}")
    guest.wait_until_active()
    check = guest.check()
    assert counted <= check.last < later
    # Whatever was counted before it was stopped is in the safety image.
    terminal.run(f"{done['undo']} --yes --wait")
    check = guest.check()
    assert check.last >= later


def test_a_server_that_is_gone_comes_back_from_its_scheduled_image(
    terminal: Terminal, lab: Lab, server: tuple[str, Guest]
) -> None:
    name, guest = server
    lab.tag(guest, MARKER_TAG, schedule_tag(ImageSchedule(2)))
    counted = guest.count_to(5)
    image = scheduled(terminal, lab, guest)
    lab.delete(guest)
    restore(terminal, f"{guest.id} --as {name} --image {image.id}")
    back = lab.guest(name)
    check = back.check()
    assert check.last >= counted
    assert {port.network_id for port in lab.ports(back)} == {lab.network}
    lab.delete(back)


def scheduled(terminal: Terminal, lab: Lab, guest: Guest) -> Any:
    """Let the service make an image of a server; return it, complete."""
    at = terminal.plan(None, guest.id)["next_due"]
    program = " ".join((*rehearsed.PROGRAM, "--at", at, "tick"))
    terminal.run(program)
    (image,) = until(lambda: lab.images(guest))
    until(lambda: lab.image(image.id).status == "active")
    terminal.run(program)
    image = lab.image(image.id)
    assert image.properties[MARKER_KEY] == MARKER_VALUE
    return image


# -- killed


def run_killed(terminal: Terminal, command: str, seconds: float) -> bool:
    """Run a command and kill it after a while; whether it was done before that."""
    process = terminal.start(command)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode == 0


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> Iterator[float]:
    """The moments to kill something at, in seconds after its start."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    generator = random.Random(seed)
    number = request.config.getoption("--kills")
    return iter([generator.uniform(0.3, 12) for _ in range(number)])


def test_a_killed_restore_as_new_is_continued(
    terminal: Terminal, lab: Lab, server: tuple[str, Guest], kills: Iterator[float]
) -> None:
    name, guest = server
    counted = lab.make_image(terminal, name)
    for number, seconds in enumerate(kills):
        new = f"{name}-{number}"
        command = f"{SHELLS['nova']} {name} --as {new} --yes --wait"
        run_killed(terminal, command, seconds)
        terminal.run(command)
        back = lab.guest(new)
        check = back.check()
        assert check.last >= counted
        lab.delete(back)
    assert guest.tick > counted


def test_a_killed_restore_in_place_is_continued(
    terminal: Terminal, lab: Lab, server: tuple[str, Guest], kills: Iterator[float]
) -> None:
    name, guest = server
    counted = lab.make_image(terminal, name)
    (image,) = lab.images(guest)
    for seconds in kills:
        later = guest.count_to(guest.tick + 20)
        known = {each.id for each in lab.images(guest)}
        command = f"{SHELLS['nova']} {name} --in-place --image {image.id} --yes --wait"
        if not run_killed(terminal, command, seconds):
            terminal.run(command)
        check = guest.check()
        assert counted <= check.last < later
        # There is one safety image, with all that was counted before.
        (safety,) = (each for each in lab.images(guest) if each.id not in known)
        restore(terminal, f"{name} --in-place --image {safety.id}")
        check = guest.check()
        assert check.last >= later
