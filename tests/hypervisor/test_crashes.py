"""A compute service that is killed while it makes an image, or rebuilds a server."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from rax_scheduled_images_ext.sandbox.environment import client_environment

from ..interop.cloud.services import REAL_COMPUTE, Services
from ..interop.terminal import Terminal
from .guests import Guest, Lab


@pytest.fixture
def compute(services: Services) -> Iterator[Services]:
    """A cloud whose compute service runs again at the end."""
    yield services
    services.up()


@pytest.mark.parametrize(
    ("moment", "status", "said"),
    [
        ("is being created", 4, "nothing was changed"),
        ("is being rebuilt", 1, "is in ERROR"),
    ],
)
def test_the_same_command_restores_after_a_crash(
    terminal: Terminal,
    lab: Lab,
    server: tuple[str, Guest],
    compute: Services,
    moment: str,
    status: int,
    said: str,
) -> None:
    name, guest = server
    counted = lab.make_image(terminal, name)
    (image,) = lab.images(guest)
    later = guest.count_to(guest.tick + 20)
    command = f"nova scheduled-images-restore {name} --in-place --image {image.id}"
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command} --yes --wait"],
        cwd=terminal.folder,
        env=client_environment(terminal.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any(moment in line for line in process.stderr)
    compute.process(REAL_COMPUTE).signal(signal.SIGKILL)
    compute.up()
    _, rest = process.communicate()
    assert (process.returncode, said in rest) == (status, True), rest
    # It is told what is left, and the same command goes on.
    assert "Safety image" in rest
    terminal.run(f"{command} --yes --wait")
    check = guest.check()
    assert check.is_clean
    assert counted <= check.last < later
    # One of the safety images is whole, and has all that was counted before.
    safety = [
        each
        for each in lab.images(guest)
        if each.id != image.id and each.status == "active"
    ]
    assert len(safety) == 1
    terminal.run(
        f"nova scheduled-images-restore {name} --in-place --image {safety[0].id}"
        " --yes --wait"
    )
    check = guest.check()
    assert check.is_clean
    assert check.last >= later
