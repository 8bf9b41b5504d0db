"""A compute service that is killed while it makes an image, or rebuilds a server."""

from __future__ import annotations

import signal

import pytest

from ..interop.cloud.services import REAL_COMPUTE, Services
from ..interop.terminal import Terminal
from .guests import Guest, Lab


def crash(services: Services, terminal: Terminal, command: str, moment: str) -> str:
    """Kill the compute service when a restore says something, and start it again.

    :returns: what the restore said after that.
    """
    process = terminal.start(f"{command} --yes --wait --time-limit 2m")
    assert process.stderr is not None
    assert any(moment in line for line in process.stderr)
    services.process(REAL_COMPUTE).signal(signal.SIGKILL)
    services.up()
    _, said = process.communicate()
    assert process.returncode in (1, 4, 6), said
    return said


@pytest.mark.parametrize("moment", ["is being created", "is being rebuilt"])
def test_the_same_command_restores_after_a_crash(
    services: Services,
    terminal: Terminal,
    lab: Lab,
    server: tuple[str, Guest],
    moment: str,
) -> None:
    name, guest = server
    counted = lab.make_image(terminal, name)
    (image,) = lab.images(guest)
    later = guest.count_to(guest.tick + 20)
    command = f"nova scheduled-images-restore {name} --in-place --image {image.id}"
    said = crash(services, terminal, command, moment)
    assert "Safety image" in said
    if moment == "is being created":
        assert "nothing was changed" in said
    elif guest.server.status == "REBUILD":
        # A rebuild that the service receives only after its start fails, and the server
        # stays so until an administrator resets its state.
        operator = Terminal(terminal.folder, services.layout.environ("admin"))
        operator.run(f"nova reset-state {guest.id}")
        assert guest.server.status == "ERROR"
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
