"""Proofs over HTTP, with random faults and kills: no test server stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.image import VERIFIED_KEY
from rax_scheduled_images_ext.model.verify import Finding
from rax_scheduled_images_ext.operations.snapshot.polling import Listener, Poller
from rax_scheduled_images_ext.operations.snapshot.signals import (
    Follower,
    SignalCatcher,
)
from rax_scheduled_images_ext.operations.verify import (
    Trial,
    VerifyOptions,
    plan_verify,
    remove_left_behind,
)
from rax_scheduled_images_ext.sandbox import Sandbox

from .proofs import left_in
from .raw import START
from .test_restore_laws import Killed, killing, prepared

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
fewer = settings(max_examples=max(5, settings().max_examples // 4))
MOST = 30
OPTIONS = VerifyOptions()

kills = st.dictionaries(
    st.integers(0, MOST), st.sampled_from(["before", "after"]), max_size=1
)
faults = st.lists(
    st.builds(
        "{} {} after {} x{}".format,
        st.sampled_from(
            ["POST /servers", "POST /action$", "GET /servers", "DELETE", "PATCH"]
        ),
        st.sampled_from(["drop", "lose-answer", "500", "503 html", "truncate", "404"]),
        st.integers(0, 3),
        st.integers(1, 3),
    ),
    max_size=3,
)


def waiting(sandbox: Sandbox) -> Follower:
    """Time passes in the cloud alone."""

    class Waiting(Follower):
        def sleep(self, seconds: float, *, interruptible: bool = True) -> None:
            sandbox.advance(max(5.0, seconds))

        def call(self, function: Any, *_: Any, **__: Any) -> Any:
            return function()

    return Waiting(SignalCatcher(catch=False))


def run(sandbox: Sandbox, kills: Mapping[int, str]) -> Any:
    """Prove the newest image; None if the program was killed, or could not begin."""
    cloud, signals = killing(sandbox, kills), waiting(sandbox)
    start = sandbox.advance(0)

    def clock() -> float:
        return sandbox.cloud.clock.now() - start

    try:
        remove_left_behind(cloud, Poller(signals, clock=clock))
        plans = plan_verify(cloud, ["myserver"], OPTIONS)
        if not plans:
            return None
        return Trial(cloud, plans[0], OPTIONS, signals, Listener(), clock).run()
    except Killed:
        return None
    except (ScheduledImagesError, ClientException, OSError):
        return None


@fewer
@given(kills, faults)
def test_what_is_concluded_is_true_and_no_test_server_stays(
    deaths: dict[int, str], wrong: list[str]
) -> None:
    with Sandbox(speed=0, start=START) as sandbox:
        image = prepared(sandbox)
        servers = {each.id for each in sandbox.servers()}
        images = {each.id for each in sandbox.images()}
        sandbox.fault(*wrong)
        done = run(
            sandbox,
            dict.fromkeys(range(min(deaths, default=999), 999), "before") | deaths,
        )
        event("killed" if done is None else done.finding.value)
        sandbox.clear_faults()
        # The image boots, whatever else goes wrong.
        assert done is None or done.finding is not Finding.FAILED
        for each in sandbox.images():
            if VERIFIED_KEY in each.properties:
                assert each.id == image
                assert ":console:" in each.properties[VERIFIED_KEY]
        sandbox.advance("2h")
        again = run(sandbox, {})
        assert again.finding is Finding.PROVEN
        assert not left_in(sandbox)
        assert {each.id for each in sandbox.servers()} == servers
        assert {each.id for each in sandbox.images()} == images
        methods = {seen.method for seen in sandbox.requests}
        assert methods <= {"GET", "POST", "PATCH", "DELETE"}
