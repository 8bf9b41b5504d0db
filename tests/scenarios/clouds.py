"""The kinds of cloud that the scenarios run on, and what each can."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

import novaclient

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.state import Timings

from ..interop.cloud.layout import DEFAULT_STATE, Layout

KINDS = ("sandbox", "real", "named")
NOVACLIENT_7 = novaclient.__version__.startswith("7.")
#: What scenarios of a plain OpenStack need; the sandbox can be one as well.
WITHOUT = "a cloud without the extension"
#: What scenarios need in which something works on all servers of the project.
WHOLE = "a project of its own"
# What cannot be asked of this interpreter, whatever the cloud.
CLIENT_LACKS = {"image commands of ours", "openstack"} if NOVACLIENT_7 else set()


@dataclass
class CloudUnderTest:
    """A cloud, as scenarios see it.

    :param kind: one of ``KINDS``.
    :param users: OS_* variables: of ``admin``, whom nova runs as unless told
        otherwise, and of ``observer`` and ``stranger`` where there are such.
    :param lacks: what scenarios cannot ask of it.
    """

    kind: str
    users: Mapping[str, Mapping[str, str]]
    lacks: set[str] = field(default_factory=set)

    def env(self, user: str = "admin") -> dict[str, str]:
        """Return the OS_* variables of a user."""
        return dict(self.users[user])

    def slow_snapshots(self, seconds: float) -> AbstractContextManager[None]:
        """Let each task state of the snapshots that begin meanwhile last so long."""
        raise NotImplementedError

    def failing_uploads(self) -> AbstractContextManager[None]:
        """Let the snapshots that begin meanwhile fail at their upload."""
        raise NotImplementedError


class SandboxCloud(CloudUnderTest):
    """A sandbox of this process. Its time flies, but for what it should not."""

    SPEED = 20.0

    def __init__(self, sandbox: Sandbox) -> None:
        users = {name: sandbox.env(name) for name in ("admin", "observer", "stranger")}
        super().__init__("sandbox", users)
        self._sandbox = sandbox
        self._each_takes(0.1)

    def _each_takes(self, seconds: float) -> None:
        virtual = seconds * self.SPEED
        self._sandbox.cloud.timings = Timings(1, virtual, virtual, virtual, 0.5)

    @contextmanager
    def slow_snapshots(self, seconds: float) -> Iterator[None]:
        before = self._sandbox.cloud.timings
        self._each_takes(seconds)
        yield
        self._sandbox.cloud.timings = before

    @contextmanager
    def failing_uploads(self) -> Iterator[None]:
        self._sandbox.fault("lose-image")
        yield
        self._sandbox.clear_faults()


class RealCloud(CloudUnderTest):
    """The OpenStack on loopback, which must be up."""

    def __init__(self, layout: Layout) -> None:
        users = {
            "admin": layout.environ("demo"),
            "observer": layout.environ("observer"),
            "stranger": layout.environ("stranger"),
        }
        super().__init__("real", users)
        self._knobs = layout.knobs

    @contextmanager
    def slow_snapshots(self, seconds: float) -> Iterator[None]:
        with self._turned("seconds", str(seconds)):
            yield

    @contextmanager
    def failing_uploads(self) -> Iterator[None]:
        with self._turned("fail", ""):
            yield

    @contextmanager
    def _turned(self, knob: str, value: str) -> Iterator[None]:
        path = self._knobs / knob
        path.write_text(value)
        try:
            yield
        finally:
            path.unlink()


class NamedCloud(CloudUnderTest):
    """The cloud that the OS_* variables name, with their one user.

    How long its snapshots take cannot be told it: slow ones are hoped for.
    """

    def __init__(self, environ: Mapping[str, str], *, extension: bool) -> None:
        lacks = {"other users", "slow snapshots", "failing uploads"}
        lacks |= {"rehearsals", "networks of its own", WHOLE}
        if extension:
            lacks.add(WITHOUT)
        super().__init__("named", {"admin": dict(environ)}, lacks)

    @contextmanager
    def slow_snapshots(self, seconds: float) -> Iterator[None]:
        yield


@contextmanager
def opened(kind: str, environ: Mapping[str, str]) -> Iterator[CloudUnderTest]:
    """Open the cloud of a kind.

    :param kind: one of ``KINDS``, or ``plain sandbox``.
    :param environ: the person's own variables; OS_* count for a named cloud.
    """
    with ExitStack() as stack:
        if kind in ("sandbox", "plain sandbox"):
            sandbox = Sandbox(speed=SandboxCloud.SPEED, extension=kind == "sandbox")
            cloud: CloudUnderTest = SandboxCloud(stack.enter_context(sandbox))
        elif kind == "real":
            cloud = RealCloud(Layout(DEFAULT_STATE))
        else:
            from .resources import has_extension

            own = {key: value for key, value in environ.items() if key[:3] == "OS_"}
            cloud = NamedCloud(own, extension=has_extension(own))
        cloud.lacks |= CLIENT_LACKS
        yield cloud


def person() -> dict[str, str]:
    """Return the variables of the user who runs the tests."""
    return dict(os.environ)


def pause(seconds: float) -> None:
    """Wait; here alone do the scenarios wait without looking at something."""
    time.sleep(seconds)
