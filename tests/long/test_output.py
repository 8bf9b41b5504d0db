"""Output that is not taken: by its encoding, by a full disk, by a closed pipe."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER, id_of
from ..novashell import DEPRECATION

pytestmark = pytest.mark.novaclient

NOVA = Path(sys.executable).with_name("nova")
ASCII = {"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"}
FULL = "ERROR (OSError): Cannot write to stdout: No space left on device\n"
# What a full disk is: the device is there on Linux alone.
full_disk = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="there is no /dev/full"
)


def nova(
    cloud: Sandbox, *argv: str, env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a real `nova`, whose output goes to a file of the test's."""
    done = subprocess.run(
        [NOVA, *argv],
        env={**cloud.environ(), **(env or {})},
        text=True,
        **{
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        },
    )
    done.stderr = DEPRECATION.sub("", done.stderr)
    return done


@pytest.fixture
def old(cloud: Sandbox) -> list[str]:
    """Ten days of images, of which seven are there; their IDs, oldest first."""
    assert nova(cloud, "scheduled-images-enable", "myserver", "7").returncode == 0
    cloud.advance("10d")
    return ids(cloud)


def named(cloud: Sandbox, server_id: str = MYSERVER) -> dict[str, str]:
    """The names of a server's images by their IDs, the oldest first."""
    return {image.id: image.name for image in reversed(cloud.images(server_id))}


def ids(cloud: Sandbox, server_id: str = MYSERVER) -> list[str]:
    """The IDs of a server's images, oldest first."""
    return list(named(cloud, server_id))


class TestCharacters:
    """A stdout that knows ASCII alone gets escapes."""

    @pytest.fixture
    def server(self, cloud: Sandbox) -> str:
        return cloud.boot("bücher-服务器-🖥").id

    @pytest.fixture
    def images(self, cloud: Sandbox, server: str) -> list[str]:
        assert nova(cloud, "scheduled-images-enable", server, "5").returncode == 0
        cloud.advance("6d")
        return ids(cloud, server)

    def test_a_prune_tells_what_it_deleted(
        self, cloud: Sandbox, server: str, images: list[str]
    ) -> None:
        argv = ("scheduled-images-prune", "--yes", "--keep", "3", "bücher-服务器-🖥")
        done = nova(cloud, *argv, env=ASCII)
        assert (done.returncode, done.stderr) == (0, "")
        assert "b\\xfccher-\\u670d\\u52a1\\u5668-\\U0001f5a5" in done.stdout
        assert all(image_id in done.stdout for image_id in images[:2])
        assert ids(cloud, server) == images[2:]

    @pytest.mark.parametrize("encoding", [ASCII, {"PYTHONUTF8": "1"}])
    def test_json_stays_json(
        self, cloud: Sandbox, images: list[str], encoding: dict[str, str]
    ) -> None:
        argv = ("scheduled-images-list", "--format", "json")
        done = nova(cloud, *argv, env=encoding)
        assert (done.returncode, done.stderr) == (0, "")
        names = {row["server"] for row in json.loads(done.stdout)}
        assert "bücher-服务器-🖥" in names

    @pytest.mark.parametrize("form", ["csv", "value", "table"])
    def test_other_forms_have_escapes(
        self, cloud: Sandbox, images: list[str], form: str
    ) -> None:
        argv = ("scheduled-images-list", "--format", form, "--name", "cher")
        done = nova(cloud, *argv, env=ASCII)
        assert (done.returncode, done.stderr) == (0, "")
        assert "b\\xfccher" in done.stdout
        if form == "csv":
            (row,) = csv.DictReader(done.stdout.splitlines())
            assert row["retention"] == "5"

    def test_errors_do_not_fail_either(self, cloud: Sandbox) -> None:
        done = nova(cloud, "scheduled-images-show", "größe", env=ASCII)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith(
            "ERROR (CommandError): No server with a name or ID of 'gr\\xf6\\xdfe'"
            " exists.\n"
        )

    def test_a_snapshot_of_it(self, quick: Sandbox, server: str) -> None:
        hooks = ("--before", "true", "--after", "true")
        done = nova(quick, "snapshot-create", *hooks, server, "größe", env=ASCII)
        assert (done.returncode, len(done.stdout)) == (0, 37)
        assert "Server b\\xfccher-" in done.stderr


@full_disk
class TestFullDisk:
    """What was done is reported on stderr if stdout is full."""

    @pytest.mark.parametrize(
        "form",
        ["json", "table", "csv", "value"],
    )
    def test_a_prune_tells_what_it_deleted(
        self, cloud: Sandbox, old: list[str], form: str
    ) -> None:
        argv = ("--yes", "--keep", "5", "--format", form, "myserver")
        names = named(cloud)
        with open("/dev/full", "w") as full:
            done = nova(cloud, "scheduled-images-prune", *argv, stdout=full)
        assert ids(cloud) == old[2:]
        first, *rest = done.stderr.splitlines(keepends=True)
        assert (done.returncode, first) == (1, FULL)
        assert rest == [
            f"Deleted: image {names[image_id]} ({image_id}) of server myserver\n"
            for image_id in old[:2]
        ]

    def test_a_snapshot_does_not_end_well(self, quick: Sandbox) -> None:
        with open("/dev/full", "w") as full:
            done = nova(quick, "snapshot-create", "db1", "x", stdout=full)
        (image_id,) = ids(quick, server_id=id_of(quick, "db1"))
        assert done.returncode == 1
        assert f"Image {image_id} is being created" in done.stderr
        assert done.stderr.splitlines()[-1].startswith(
            "ERROR (OSError): Cannot write to stdout: "
        )

    @pytest.mark.parametrize(
        "command",
        [
            "scheduled-images-list",
            "scheduled-images-check",
            "scheduled-images-show myserver",
            "scheduled-images-show --format json myserver",
            "scheduled-images-image-list myserver",
            "scheduled-images-enable --dry-run myserver 3",
            "snapshot-watch myserver --wait-start 1s",
        ],
    )
    def test_what_only_prints_fails_in_one_line(
        self, cloud: Sandbox, old: list[str], command: str
    ) -> None:
        with open("/dev/full", "w") as full:
            done = nova(cloud, *command.split(), stdout=full)
        assert (done.returncode, done.stderr) == (1, FULL)

    def test_a_full_stderr_does_not_stop_the_rest(self, cloud: Sandbox) -> None:
        argv = ("scheduled-images-enable", "nosuch", "web1", "3")
        with open("/dev/full", "w") as full:
            # What novaclient says first would already end its own program.
            code = (
                "import sys, novaclient.shell as shell; sys.argv[0] = 'nova';"
                "shell.OpenStackComputeShell().main(sys.argv[1:])"
            )
            done = subprocess.run(
                [sys.executable, "-c", code, *argv],
                env=cloud.environ(),
                stderr=full,
            )
        # Python itself ends with 120 if it cannot write out stderr.
        assert done.returncode in (1, 120)
        shown = nova(cloud, "scheduled-images-show", "web1")
        assert shown.stdout == "Schedule type: Daily\nRetention: 3\n"


class TestClosedPipe:
    """After a pipe is closed only deletions are reported."""

    def test_a_list_ends_quietly(self, cloud: Sandbox, old: list[str]) -> None:
        done = closed(cloud, "scheduled-images-image-list", "myserver")
        assert (done.returncode, done.stderr) == (141, "")

    def test_a_prune_tells_what_it_deleted(
        self, cloud: Sandbox, old: list[str]
    ) -> None:
        argv = ("scheduled-images-prune", "--yes", "--keep", "6", "myserver")
        name = named(cloud)[old[0]]
        done = closed(cloud, *argv)
        assert (done.returncode, done.stderr) == (
            1,
            f"Deleted: image {name} ({old[0]}) of server myserver\n",
        )
        assert ids(cloud) == old[1:]


def closed(cloud: Sandbox, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run `nova` into a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return nova(cloud, *argv, stdout=writer)
    finally:
        os.close(writer)
