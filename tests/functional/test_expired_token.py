"""A token that the cloud no longer accepts while several threads use it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rax_scheduled_images_ext.sandbox import Sandbox

from .runners import connected

THREADS = 4


def test_all_threads_go_on_with_a_new_token(cloud: Sandbox) -> None:
    compute = connected(cloud, workers=THREADS).compute

    def status(_: object) -> int:
        return compute.get("/servers").status

    assert status(None) == 200
    # Long enough for all to be refused before there is a new one.
    cloud.fault("GET /servers delay 0.3s", "expire", "POST /auth/tokens delay 0.5s")
    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(status, range(THREADS))) == {200}
