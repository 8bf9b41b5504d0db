"""``quiesced_snapshot``, as programs use it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from novaclient import client

from rax_scheduled_images_ext import (
    Listener,
    Snapshot,
    Timeouts,
    connect,
    quiesced_snapshot,
)
from rax_scheduled_images_ext.errors import (
    HoldCutShort,
    ImageLost,
    NoSuchServer,
    ResumeFailed,
    ServerBusy,
)
from rax_scheduled_images_ext.sandbox import Sandbox

from .fleet import MYSERVER
from .snapshots import images, task_state

pytestmark = [pytest.mark.novaclient, pytest.mark.flow]

QUICK = Timeouts(interval=0.1, slow_interval=0.1)


@pytest.fixture
def cs(cloud: Sandbox) -> Any:
    env = cloud.env()
    return client.Client(
        "2.1",
        username=env["OS_USERNAME"],
        password=env["OS_PASSWORD"],
        project_name=env["OS_PROJECT_NAME"],
        auth_url=env["OS_AUTH_URL"],
        user_domain_id="default",
        project_domain_id="default",
    )


class Hooks:
    """Something to stop and resume."""

    def __init__(self, **errors: Exception) -> None:
        self.done: list[str] = []
        self.errors = errors

    def before(self, snapshot: Snapshot) -> None:
        self._do("before", snapshot)

    def after(self, snapshot: Snapshot) -> None:
        self._do("after", snapshot)

    def _do(self, what: str, snapshot: Snapshot) -> None:
        assert snapshot.server_id == MYSERVER
        assert snapshot.server_name == "myserver"
        self.done.append(what)
        if what in self.errors:
            raise self.errors[what]

    def around(self, cs: Any, server: object = MYSERVER, **options: Any) -> Any:
        hooks = {"before": self.before, "after": self.after}
        return quiesced_snapshot(
            connect(cs), server, "monday", **{"limits": QUICK, **hooks, **options}
        )


def test_the_server_is_resumed_once_the_disk_is_copied(cs: Any, quick: Sandbox) -> None:
    hooks = Hooks()
    told: list[str] = []

    class Told(Listener):
        def note(self, text: str) -> None:
            told.append(text)

    options = {"metadata": {"a": "b"}, "listener": Told()}
    server = cs.servers.get(MYSERVER)
    with hooks.around(cs, server, **options) as snapshot:
        assert hooks.done == ["before"]
        assert snapshot.image_id == images(quick)["monday"].id
        assert task_state(quick, "myserver") is not None
    assert hooks.done == ["before", "after"]
    assert snapshot.copied
    assert snapshot.held is not None
    image = snapshot.wait()
    assert (image.status, image.metadata["a"]) == ("ACTIVE", "b")
    assert told[0] == f"Image {snapshot.image_id} is being created"


def test_an_error_in_the_block_resumes_at_once(cs: Any, cloud: Sandbox) -> None:
    hooks = Hooks()
    with pytest.raises(ZeroDivisionError), hooks.around(cs):
        assert 1 / 0
    assert hooks.done == ["before", "after"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_any_exception_resumes_too(
    cs: Any, cloud: Sandbox, kind: type[BaseException]
) -> None:
    hooks = Hooks()
    with pytest.raises(kind), hooks.around(cs):
        raise kind
    assert hooks.done == ["before", "after"]


def test_a_failing_before(cs: Any, cloud: Sandbox) -> None:
    hooks = Hooks(before=OSError("cannot"))
    with pytest.raises(OSError, match="cannot"), hooks.around(cs):
        raise AssertionError("nothing is to be done")
    assert hooks.done == ["before", "after"]
    assert "monday" not in images(cloud)


def test_a_failing_after_tells_of_both(cs: Any, cloud: Sandbox) -> None:
    hooks = Hooks(after=OSError("cannot start"))
    with pytest.raises(ResumeFailed, match="cannot start") as caught, hooks.around(cs):
        raise KeyError("the first error")
    assert isinstance(caught.value.__cause__, OSError)
    assert isinstance(caught.value.__cause__.__context__, KeyError)
    assert hooks.done == ["before", "after"]


def test_a_hold_has_a_limit(cs: Any, cloud: Sandbox) -> None:
    hooks = Hooks()
    limits = Timeouts(interval=0.1, hold=5)
    with pytest.raises(HoldCutShort) as caught, hooks.around(cs, limits=limits):
        pass
    assert hooks.done == ["before", "after"]
    assert caught.value.image_id == images(cloud)["monday"].id


def test_a_lost_image_is_reported_to_who_waits(cs: Any, quick: Sandbox) -> None:
    hooks = Hooks()
    with hooks.around(cs) as snapshot:
        pass
    with quick.region() as region:
        region.images.delete(snapshot.image_id)
    with pytest.raises(ImageLost, match="is lost: it is gone"):
        snapshot.wait()


def test_nothing_is_stopped_in_vain(cs: Any, cloud: Sandbox) -> None:
    hooks = Hooks()
    with pytest.raises(NoSuchServer), hooks.around(cs, "0" * 32):
        pass
    cs.servers.create_image(MYSERVER, "other")
    with pytest.raises(ServerBusy), hooks.around(cs):
        pass
    assert hooks.done == []


PROGRAM = """
    import os, signal, sys
    from novaclient import client
    from rax_scheduled_images_ext import connect, quiesced_snapshot

    cs = client.Client(
        "2.1",
        username=os.environ["OS_USERNAME"],
        password=os.environ["OS_PASSWORD"],
        project_name=os.environ["OS_PROJECT_NAME"],
        auth_url=os.environ["OS_AUTH_URL"],
        user_domain_id="default",
        project_domain_id="default",
    )

    def say(word):
        return lambda snapshot: print(word, flush=True)

    HANDLER
    try:
        with quiesced_snapshot(
            connect(cs), sys.argv[1], "x", before=say("before"), after=say("after")
        ):
            print("block", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    print("end", flush=True)
"""


@pytest.mark.parametrize(
    ("signum", "handler", "words", "status"),
    [
        (signal.SIGINT, "", ["interrupted", "end"], 0),
        (signal.SIGTERM, "", [], -signal.SIGTERM),
        (signal.SIGHUP, "", [], -signal.SIGHUP),
        (
            signal.SIGTERM,
            "signal.signal(signal.SIGTERM, lambda *_: print('handled', flush=True))",
            ["handled", "interrupted", "end"],
            0,
        ),
    ],
)
def test_a_signal_is_delivered_when_the_server_is_resumed(
    cloud: Sandbox,
    tmp_path: Path,
    signum: signal.Signals,
    handler: str,
    words: list[str],
    status: int,
) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM).replace("HANDLER", handler))
    running = subprocess.Popen(
        [sys.executable, program, MYSERVER],
        env=cloud.environ(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "before\n"
    assert running.stdout.readline() == "block\n"
    time.sleep(0.2)
    os.kill(running.pid, signum)
    out, _ = running.communicate(timeout=60)
    assert out.split() == ["after", *words]
    assert running.returncode == status
