"""Commands that change something, with a stream that does not take what they say.

The law: the change is made, a status of 0 says so, and what was to be reported on
stdout ends on stderr.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import MARKER_KEY, PROTECTED_KEY
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova, image_commands_are_ours
from ..openstackshell import not_beside_novaclient_7
from ..waiting import until
from .fleet import MYSERVER, id_of

BIN = Path(sys.executable).parent
# The notice that novaclient begins with would end it on such a stderr.
NOVA = (
    "import sys, novaclient.shell as shell; sys.argv[0] = 'nova';"
    "shell.OpenStackComputeShell().main(sys.argv[1:])"
)
SET, UNSET = (f"openstack server image schedule {verb}" for verb in ("set", "unset"))
SNAPSHOT = "openstack server snapshot"
RESTORE = "--yes --no-wait --as back myserver"
CLOSED, FULL, BROKEN, STOPPED = "closed", "full", "broken", "stopped"


@dataclass(frozen=True)
class Change:
    """A command, and how its change shows.

    ``{0}`` in it is myserver's oldest image, the one of ``deleted`` if there is such;
    ``{1}`` an image that is protected.
    """

    command: str
    done: Callable[[Sandbox, str, str], bool]
    #: What it prints on stdout, None for nothing.
    prints: str | None = None

    def argv(self, *images: str) -> list[str]:
        program, *words = self.command.format(*images).split()
        if program == "nova":
            return [sys.executable, "-c", NOVA, *words]
        return [str(BIN / program), *words]


def scheduled(*wanted: int | None, day: str | None = None) -> Any:
    """Whether myserver, and then web1, have these retentions."""

    def done(cloud: Sandbox, *_: str) -> bool:
        ids = (MYSERVER, id_of(cloud, "web1"))[: len(wanted)]
        with cloud.region() as region:
            found = [region.servers.get(each).schedule for each in ids]
        return [each and each.retention for each in found] == list(wanted)

    return done


def has(key: str, which: int, there: bool = True) -> Any:
    """Whether one of the images has some metadata, or has none of it."""

    def done(cloud: Sandbox, *images: str) -> bool:
        with cloud.region() as region:
            return (key in region.images.get(images[which]).properties) is there

    return done


def deleted(cloud: Sandbox, oldest: str, _protected: str) -> bool:
    return oldest not in {image.id for image in cloud.images(MYSERVER)}


def created(cloud: Sandbox, *_: str) -> bool:
    return any(image.name == "x" for image in cloud.images(id_of(cloud, "db1")))


def restored(cloud: Sandbox, *_: str) -> bool:
    return any(server.name == "back" for server in cloud.servers())


CHANGES = [
    Change("nova scheduled-images-enable myserver 3", scheduled(3)),
    Change("nova scheduled-images-enable myserver web1 3", scheduled(3, 3)),
    Change("nova scheduled-images-update --retention 3 myserver", scheduled(3)),
    Change("nova scheduled-images-disable myserver", scheduled(None)),
    Change("nova scheduled-images-disable --all", scheduled(None, None)),
    Change("nova scheduled-images-protect {0}", has(MARKER_KEY, 0, False)),
    Change("nova scheduled-images-unprotect {1}", has(PROTECTED_KEY, 1, False)),
    Change("nova scheduled-images-prune --yes --keep 5 myserver", deleted, "{0}"),
    Change("nova snapshot-create db1 x", created, "{new}"),
    Change("nova image-meta {0} set a=b", has("a", 0)),
    Change(f"nova image-meta {{0}} delete {MARKER_KEY}", has(MARKER_KEY, 0, False)),
    Change("nova image-delete {0}", deleted),
    Change(f"{SET} --retention 3 myserver", scheduled(3)),
    Change(f"{SET} --retention 3 myserver web1", scheduled(3, 3)),
    Change(f"{UNSET} myserver", scheduled(None)),
    Change(f"{UNSET} --all", scheduled(None, None)),
    Change(f"{SNAPSHOT} protect {{0}}", has(MARKER_KEY, 0, False)),
    Change(f"{SNAPSHOT} unprotect {{1}}", has(PROTECTED_KEY, 1, False)),
    Change(f"{SNAPSHOT} prune --yes --keep 5 myserver", deleted, "{0}"),
    Change(f"{SNAPSHOT} prune --yes --keep 5 -f json myserver", deleted, "{0}"),
    Change(f"{SNAPSHOT} create db1 x", created, "{new}"),
    Change(f"nova scheduled-images-restore {RESTORE}", restored, "{back}"),
    Change(f"{SNAPSHOT} restore {RESTORE}", restored, "{back}"),
]


def cases(test: Any) -> Any:
    """Parametrize a test with all changes, both streams, and all that may be wrong."""

    def marked(change: Change) -> Any:
        command = change.command
        marks = [not_beside_novaclient_7] if command.startswith("openstack") else []
        if command.startswith("nova image"):
            marks = [image_commands_are_ours]
        return pytest.param(change, marks=marks, id=command)

    test = pytest.mark.parametrize("change", list(map(marked, CHANGES)))(test)
    test = pytest.mark.parametrize("stream", ["stdout", "stderr"])(test)
    return pytest.mark.parametrize("kind", [CLOSED, FULL, BROKEN, STOPPED])(test)


def week(nova: Nova, cloud: Sandbox) -> tuple[str, str]:
    """Make a week of images; the IDs of the oldest, and of one that is protected."""
    nova.ok("scheduled-images-enable", "myserver", "7")
    nova.ok("scheduled-images-enable", "web1", "7")
    cloud.advance("8d")
    oldest, protected, *_ = (image.id for image in cloud.images(MYSERVER)[::-1])
    nova.ok("scheduled-images-protect", protected)
    return oldest, protected


@contextmanager
def bad(kind: str) -> Iterator[tuple[int, int | None]]:
    """Open a stream that takes nothing; for one that does later, what reads it."""
    if kind == FULL:
        descriptor = os.open("/dev/full", os.O_WRONLY)
        yield descriptor, None
        os.close(descriptor)
        return
    reader, descriptor = os.pipe()
    if kind == STOPPED:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while os.write(descriptor, b"\n" * 512):
                pass
        os.set_blocking(descriptor, True)
        yield descriptor, reader
        os.close(reader)
        return
    os.close(reader)
    yield descriptor, None
    os.close(descriptor)


@cache
def cmd2_starts_without_stdout() -> bool:
    """Whether cmd2, which ``openstack`` imports, can be: before 4.0 it cannot."""
    argv = [sys.executable, "-c", "import cmd2"]
    closed = subprocess.run(
        argv, stderr=subprocess.DEVNULL, preexec_fn=lambda: os.close(1), check=False
    )
    return closed.returncode == 0


def skip_what_cannot_be(change: Change, stream: str, kind: str) -> None:
    """Skip what this machine or another library's version does not let begin."""
    if kind == FULL and not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    openstack = change.command.startswith("openstack")
    closed = openstack and (kind, stream) == (CLOSED, "stdout")
    if closed and not cmd2_starts_without_stdout():
        pytest.skip("this cmd2 cannot be imported without a stdout")


def drained(reader: int, into: list[bytes]) -> None:
    """Read all that there is."""
    while text := os.read(reader, 65536):
        into.append(text)


def check(nova: Nova, cloud: Sandbox, change: Change, stream: str, kind: str) -> None:
    """See that the law holds."""
    skip_what_cannot_be(change, stream, kind)
    images = week(nova, cloud)
    other = "stderr" if stream == "stdout" else "stdout"
    late: list[bytes] = []
    with bad(BROKEN if kind == CLOSED else kind) as (descriptor, reader):
        number = 1 if stream == "stdout" else 2
        process = subprocess.Popen(
            change.argv(*images),
            env=cloud.environ(),
            stdin=subprocess.DEVNULL,
            text=True,
            preexec_fn=(lambda: os.close(number)) if kind == CLOSED else None,
            **{stream: descriptor, other: subprocess.PIPE},  # type: ignore[call-overload]
        )
        if reader is not None:
            # It is done although nobody reads, and reported when somebody does; but
            # how many servers were found is reported before any of them is changed.
            if stream == "stdout" or "--all" not in change.command:
                until(lambda: change.done(cloud, *images))
            os.close(descriptor)
            read = threading.Thread(target=drained, args=(reader, late))
            read.start()
        out, err = process.communicate(timeout=120)
        if reader is not None:
            read.join(60)
    assert change.done(cloud, *images)
    told = out if stream == "stderr" else err
    for text in (told, b"".join(late).decode()):
        assert "Traceback" not in text
        assert "Exception ignored" not in text
    if change.prints is None or stream == "stderr":
        assert process.returncode == 0, told
    if change.prints is not None:
        new = next((i.id for i in cloud.images() if i.name == "x"), "")
        back = next((s.id for s in cloud.servers() if s.name == "back"), "")
        wanted = change.prints.format(images[0], new=new, back=back)
        everywhere = told + b"".join(late).decode()
        assert wanted in everywhere
        if stream == "stdout" and kind in (CLOSED, FULL):
            assert process.returncode == 1
