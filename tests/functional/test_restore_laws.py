"""Restores over HTTP, with random faults and kills: what a disk held is never lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext import Cloud, connect
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.restore import RestoreOptions
from rax_scheduled_images_ext.operations.restore import Restoration, plan_restore
from rax_scheduled_images_ext.operations.snapshot.polling import Poller, Timeouts
from rax_scheduled_images_ext.operations.snapshot.signals import SignalCatcher
from rax_scheduled_images_ext.sandbox import Sandbox

from .fleet import MYSERVER
from .raw import START
from .test_python_api import make_client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
fewer = settings(max_examples=max(5, settings().max_examples // 4))
MOST = 24

kills = st.dictionaries(
    st.integers(0, MOST), st.sampled_from(["before", "after"]), max_size=2
)
faults = st.lists(
    st.builds(
        "{} {} after {} x1".format,
        st.sampled_from(["POST /action$", "GET /servers", "GET /images", "PATCH"]),
        st.sampled_from(["drop", "lose-answer", "500", "503 html", "truncate", "404"]),
        st.integers(0, 3),
    ),
    max_size=2,
)


class Killed(BaseException):
    """The program is gone."""


class Killing:
    """An adapter through which a program dies at some of its requests."""

    def __init__(
        self, adapter: Any, kills: Mapping[int, str], count: list[int]
    ) -> None:
        self._adapter, self._kills, self._count = adapter, kills, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def request(self, *args: Any, **options: Any) -> Any:
        number, self._count[0] = self._count[0], self._count[0] + 1
        if self._kills.get(number) == "before":
            raise Killed
        answer = self._adapter.request(*args, **options)
        if self._kills.get(number) == "after":
            raise Killed
        return answer


def killing(sandbox: Sandbox, kills: Mapping[int, str]) -> Cloud:
    real, count = connect(make_client(sandbox)), [0]

    def open_adapter(service: str, **options: Any) -> Any:
        return Killing(real.open_adapter(service, **options), kills, count)

    return Cloud(open_adapter)


def poller(sandbox: Sandbox) -> Poller:
    """Time passes in the cloud alone."""

    class Waiting(SignalCatcher):
        def sleep(self, seconds: float, *, interruptible: bool = True) -> None:
            sandbox.advance(max(10.0, 4 * seconds))

        def call(self, function: Any, *_: Any, **__: Any) -> Any:
            return function()

    start = sandbox.advance(0)
    return Poller(
        Waiting(catch=False),
        Timeouts(total=2000),
        clock=lambda: sandbox.cloud.clock.now() - start,
    )


def run(sandbox: Sandbox, options: RestoreOptions, kills: Mapping[int, str]) -> str:
    """Run the command once; how it ended."""
    try:
        cloud = killing(sandbox, kills)
        plan = plan_restore(cloud, "myserver", options)
        Restoration(cloud, plan, poller(sandbox)).run(wait=True)
    except Killed:
        return "killed"
    except (ScheduledImagesError, ClientException, OSError) as error:
        return type(error).__name__
    return "done"


def number_on(sandbox: Sandbox, owner: str) -> int:
    """The number on a disk, of a server or an image."""
    with sandbox.region() as region:
        disk = region.disks.read(owner)
        return -1 if disk is None else disk.at(sandbox.cloud.clock.now()).last


def prepared(sandbox: Sandbox) -> str:
    """Make an image, and let the guest write on; the image's ID."""
    sandbox.advance("10m")
    with sandbox.region() as region:
        made = region.snapshots.create(MYSERVER, "before", {}, user_id="user")
    sandbox.advance("2h")
    return made.id


@fewer
@given(kills, faults)
def test_in_place_the_disk_is_never_lost_and_the_command_goes_on(
    deaths: dict[int, str], wrong: list[str]
) -> None:
    with Sandbox(speed=0, start=START) as sandbox:
        image = prepared(sandbox)
        before = number_on(sandbox, MYSERVER)
        wanted = number_on(sandbox, image)
        assert 0 < wanted < before
        sandbox.fault(*wrong)
        options = RestoreOptions(in_place=True)
        event(run(sandbox, options, deaths))
        for _ in range(5):
            sandbox.clear_faults()
            ended = run(sandbox, options, {})
            if ended == "done":
                break
            sandbox.advance("2m")
        assert ended == "done"
        safety = [i for i in sandbox.images(MYSERVER) if i.name.startswith("before-r")]
        held = [number_on(sandbox, each.id) for each in safety if each.size]
        assert max(held) >= before
        assert wanted <= number_on(sandbox, MYSERVER) < before
        methods = {seen.method for seen in sandbox.requests}
        assert methods <= {"GET", "POST", "PATCH"}


@fewer
@given(kills, faults)
def test_as_new_there_is_one_new_server(
    deaths: dict[int, str], wrong: list[str]
) -> None:
    with Sandbox(speed=0, start=START) as sandbox:
        image = prepared(sandbox)
        before = number_on(sandbox, MYSERVER)
        sandbox.fault(*(each.replace("/action", "/servers") for each in wrong))
        options = RestoreOptions(new_name="back")
        event(run(sandbox, options, deaths))
        sandbox.clear_faults()
        assert run(sandbox, options, {}) == "done"
        (made,) = [each for each in sandbox.servers() if each.name == "back"]
        assert number_on(sandbox, made.id) >= number_on(sandbox, image)
        assert number_on(sandbox, MYSERVER) >= before
        assert {seen.method for seen in sandbox.requests} <= {"GET", "POST"}
