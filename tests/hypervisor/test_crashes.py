"""Services and runners that are killed while they make an image or rebuild a server."""

from __future__ import annotations

import json
import signal
from datetime import timedelta

import pytest

from rax_scheduled_images_ext.model.plan import ABANDONED_AFTER
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.model.task_states import UPLOADING
from rax_scheduled_images_ext.model.times import read_time, write_time

from .. import rehearsed
from ..interop.cloud.hypervisor import copies_disk
from ..interop.cloud.services import LIBVIRT, REAL_COMPUTE, Services
from ..interop.terminal import Terminal
from .guests import PATIENCE, Guest, Lab, until

COPY, UPLOAD = "copy", "upload"
VICTIMS = (REAL_COMPUTE, LIBVIRT, "glance")


def crash(
    services: Services, terminal: Terminal, command: str, victim: str, moment: str
) -> tuple[int, str]:
    """Kill a service when a restore says something, and start it again.

    :returns: the exit status of the restore, and what it said after that.
    """
    process = terminal.start(f"{command} --yes --wait --time-limit 2m")
    assert process.stderr is not None
    assert any(moment in line for line in process.stderr)
    services.process(victim).signal(signal.SIGKILL)
    services.up()
    _, said = process.communicate()
    print(f"{victim} killed, {moment}: {process.returncode} {said}")
    assert process.returncode in (0, 1, 4, 6), said
    # Nova makes no server on a host whose libvirt was away until it knows better.
    operator = Terminal(terminal.folder, services.layout.environ("admin"))
    statuses = "openstack compute service list --format value --column Status"
    until(lambda: "disabled" not in operator.run(statuses))
    return process.returncode, said


@pytest.mark.parametrize("moment", ["is being created", "is being rebuilt"])
@pytest.mark.parametrize("victim", VICTIMS)
def test_the_same_command_restores_after_a_crash(
    services: Services,
    terminal: Terminal,
    lab: Lab,
    server: tuple[str, Guest],
    victim: str,
    moment: str,
) -> None:
    name, guest = server
    counted = lab.make_image(terminal, name)
    (image,) = lab.images(guest)
    later = guest.count_to(guest.tick + 20)
    command = f"nova scheduled-images-restore {name} --in-place --image {image.id}"
    status, said = crash(services, terminal, command, victim, moment)
    if status and moment == "is being created":
        assert "nothing was changed" in said
    elif guest.server.status == "REBUILD":
        # A rebuild that the service receives only after its start fails, and the server
        # stays so until an administrator resets its state.
        operator = Terminal(terminal.folder, services.layout.environ("admin"))
        operator.run(f"nova reset-state {guest.id}")
        assert guest.server.status == "ERROR"
    if status:
        assert "Safety image" in said
        terminal.run(f"{command} --yes --wait")
    check = guest.check()
    assert counted <= check.last < later
    # The one safety image that is complete has all that was counted before.
    (safety,) = (
        each
        for each in lab.images(guest)
        if each.id != image.id and each.status == "active"
    )
    undo = f"nova scheduled-images-restore {name} --in-place --image {safety.id}"
    terminal.run(f"{undo} --yes --wait")
    check = guest.check()
    assert check.last >= later


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_new_server_is_made_after_a_crash(
    services: Services,
    terminal: Terminal,
    lab: Lab,
    server: tuple[str, Guest],
    victim: str,
) -> None:
    name, guest = server
    counted = lab.make_image(terminal, name)
    command = f"nova scheduled-images-restore {name} --as {name}-back"
    status, _ = crash(services, terminal, command, victim, "is being made")
    if status:
        # It deletes nothing, and says what is left.
        again = terminal.try_to(f"{command} --yes --wait")
        print(f"again: {again}")
        if again.returncode:
            left = lab.guest(f"{name}-back")
            assert left.server.status == "ERROR"
            assert left.id in again.stderr
            lab.delete(left)
            terminal.run(f"{command} --yes --wait")
    back = lab.guest(f"{name}-back")
    check = back.check()
    assert check.last >= counted
    lab.delete(back)
    # The old one has not noticed.
    guest.count_to(guest.tick + 1)


# -- scheduled images


def schedule(terminal: Terminal, lab: Lab, guest: Guest) -> str:
    """Let a server have scheduled images; return when the first one is due."""
    lab.tag(guest, MARKER_TAG, schedule_tag(ImageSchedule(2)))
    return str(terminal.plan(None, guest.id)["next_due"])


def hours_later(moment: str, hours: int) -> str:
    """Return a time as the APIs write it, some hours after another."""
    time = read_time(moment)
    assert time is not None
    return str(write_time(time + timedelta(hours=hours)))


def has_reached(services: Services, phase: str, guest: Guest) -> bool:
    """Whether a snapshot is at a phase."""
    if phase == COPY:
        return copies_disk(services.layout, guest.id)
    # Before the copy it is shown for an instant.
    return all(guest.server.task_state == UPLOADING for _ in range(3))


def restored(terminal: Terminal, lab: Lab, name: str) -> int:
    """Make a server from the newest image; return what its guest found, all whole."""
    back = f"{name}-back"
    terminal.run(f"nova scheduled-images-restore {name} --as {back} --yes --wait")
    guest = lab.guest(back)
    last = guest.check().last
    lab.delete(guest)
    return last


@pytest.mark.parametrize(
    ("victim", "phase"),
    [
        (REAL_COMPUTE, COPY),
        (LIBVIRT, COPY),
        ("glance", UPLOAD),
    ],
)
def test_a_later_tick_makes_the_image_that_a_crash_lost(
    services: Services,
    terminal: Terminal,
    lab: Lab,
    filled: tuple[str, Guest],
    victim: str,
    phase: str,
) -> None:
    name, guest = filled
    at = schedule(terminal, lab, guest)
    assert "image started" in terminal.tick(None, at)
    until(lambda: has_reached(services, phase, guest))
    services.process(victim).signal(signal.SIGKILL)
    if victim == REAL_COMPUTE:
        # Until it is started again, nobody can tell that the image will not come.
        assert "image started" not in terminal.tick(None, at)
        assert guest.server.task_state is not None
    services.up()
    until(lambda: guest.server.task_state is None)
    assert guest.server.status == "ACTIVE"
    # There is no image that could be taken for one.
    assert all(image.status != "active" for image in lab.images(guest))
    listed = f"nova scheduled-images-list --name {name} --format json"
    (row,) = json.loads(terminal.run(listed))
    assert (row["state"], row["counted"]) == ("never", 0)
    watched = terminal.try_to(f"nova snapshot-watch {name}")
    assert f"No snapshot of server {name} is under way" in watched.stderr
    # The guest has not noticed, and all that it wrote is in the next image.
    counted = guest.count_to(guest.tick + 1)
    make_at_last(terminal, lab, guest, hours_later(at, 2))
    assert restored(terminal, lab, name) >= counted


def make_at_last(terminal: Terminal, lab: Lab, guest: Guest, at: str) -> None:
    """Tick until there is the one image of the slot, complete."""
    until(
        lambda: (
            terminal.tick(None, at)
            and [image.status for image in lab.images(guest)] == ["active"]
        ),
        # An image that stays queued is given up after ten minutes of the cloud's time.
        PATIENCE + ABANDONED_AFTER.total_seconds(),
    )
    # It is recognized, and no other one is made.
    logged = terminal.tick(None, at)
    assert logged.startswith("0 "), logged
    assert "image started" not in logged
    assert len(lab.images(guest)) == 1


@pytest.mark.parametrize("command", ["tick", "run"])
def test_a_killed_runner_leaves_the_image_to_the_next_tick(
    terminal: Terminal, lab: Lab, filled: tuple[str, Guest], command: str
) -> None:
    """The cloud goes on with the image; the next tick finds it, and makes no other."""
    name, guest = filled
    counted = guest.tick
    at = schedule(terminal, lab, guest)
    runner = terminal.start(" ".join((*rehearsed.PROGRAM, "--at", at, command)))
    until(lambda: guest.server.task_state is not None)
    runner.send_signal(signal.SIGKILL)
    runner.communicate()
    make_at_last(terminal, lab, guest, hours_later(at, 2))
    assert restored(terminal, lab, name) >= counted
