"""A token that the cloud no longer accepts while several threads use it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from keystoneauth1.session import Session

from rax_scheduled_images_ext.client.identity import is_accepted, log_in
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


def test_a_404_of_a_proxy_ends_no_session(cloud: Sandbox) -> None:
    env, session = cloud.env(), Session()
    user, password = env["OS_USERNAME"], env["OS_PASSWORD"]
    auth = log_in(session, env["OS_AUTH_URL"], user, password, "Default").auth
    cloud.fault("GET /auth/tokens 404 html x1", "GET /auth/tokens 404 x1")
    assert is_accepted(session, auth)
    assert not is_accepted(session, auth)
    assert is_accepted(session, auth)
