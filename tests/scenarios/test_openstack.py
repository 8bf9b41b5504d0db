"""The ``openstack`` client beside ours, on the same images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE, PROTECTED_KEY
from rax_scheduled_images_ext.sandbox.environment import client_environment

from .clouds import CloudUnderTest
from .conftest import Run
from .resources import Workshop
from .tables import objects, properties

pytestmark = pytest.mark.needs("openstack")


@pytest.fixture
def openstack(under_test: CloudUnderTest) -> Any:
    """``openstack(*argv)``: a real process; its JSON where it prints some."""

    def run(*argv: str) -> Any:
        done = subprocess.run(
            [Path(sys.executable).with_name("openstack"), *argv],
            env=client_environment(under_test.env()),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "json" in argv else done.stdout

    return run


@pytest.mark.long
def test_both_see_the_same(
    nova: Run, resources: Workshop, server: tuple[str, str], openstack: Any
) -> None:
    name, server_id = server
    image = resources.name("by-openstack")
    openstack("server", "image", "create", "--name", image, "--wait", name)
    theirs = openstack("image", "show", image, "-f", "json")
    ours = properties(nova.ok("image-show", theirs["id"]))
    assert (ours["name"], ours["server"]) == (image, server_id)

    openstack("image", "set", "--property", f"{MARKER_KEY}={MARKER_VALUE}", image)
    argv = ("scheduled-images-image-list", name, "--format", "json")
    (row,) = objects(nova.ok(*argv))
    assert (row["id"], row["counted"]) == (theirs["id"], True)
    nova.ok("scheduled-images-protect", image)
    kept = openstack("image", "show", image, "-f", "json")["properties"]
    assert PROTECTED_KEY in kept
    assert MARKER_KEY not in kept

    openstack("image", "unset", "--property", PROTECTED_KEY, image)
    (row,) = objects(nova.ok(*argv))
    assert (row["retention_status"], row["reason"]) == (
        "kept (exempt)",
        "not a scheduled image",
    )
    nova.ok("image-delete", image)
    assert resources.image(theirs["id"]) is None
