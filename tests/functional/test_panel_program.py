"""scheduled-images-panel as it is called, and the panel under a WSGI server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.environment import client_environment

from ..novashell import Nova
from .fleet import MYSERVER
from .panels import Reader, panel_over

PROGRAM = Path(sys.executable).with_name("scheduled-images-panel")


@contextmanager
def running(
    env: Mapping[str, str], *argv: str, lines: int = 1
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the program on any port; the process and the first lines that it prints."""
    process = subprocess.Popen(
        [PROGRAM, "--port", "0", *argv],
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, [process.stdout.readline().strip() for _ in range(lines)]
    finally:
        process.kill()
        process.communicate()


def check_it_ends(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """See that a signal ends the program, which has written nothing to stderr."""
    process.send_signal(number)
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def ended(*argv: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run the program to its end: its status and what it wrote."""
    done = subprocess.run(
        [PROGRAM, *argv],
        env=dict(client_environment({}) if env is None else env),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def entered(line: str) -> Reader:
    """A user who opens the address that the program prints."""
    address = line.removeprefix("Open ")
    reader = Reader(address.partition("/enter")[0])
    reader.get(address)
    return reader


def test_for_oneself_until_it_is_terminated(cloud: Sandbox) -> None:
    with running(cloud.environ("observer")) as (process, (line,)):
        reader = entered(line)
        assert reader.page.all("#user") == ["observer"]
        assert process.stdout is not None
        # There is always one good address.
        again = process.stdout.readline().strip()
        assert entered(again.removeprefix("Opened. For another browser use ")).page
        check_it_ends(process, signal.SIGTERM)


def test_for_several_people(cloud: Sandbox) -> None:
    env = cloud.environ()
    password = env.pop("OS_PASSWORD")
    del env["OS_USERNAME"]
    with running(env, "--login", "--allow-host", "panel.example") as (process, (line,)):
        reader = Reader(line.removeprefix("The panel is at ").rstrip("/"))
        page = reader.get("/", headers={"Host": "panel.example"})
        assert page.all("h1") == ["Log in"]
        reader.get("/")
        page = reader.submit("#login", user="creator", password=password)
        assert page.all("#user") == ["creator"]
        check_it_ends(process, signal.SIGINT)


@pytest.mark.long
def test_more_requests_than_threads(cloud: Sandbox) -> None:
    """They wait for one another, and no one is warned of it."""
    with running(cloud.environ(), "--login") as (process, (line,)):
        address = line.removeprefix("The panel is at ")

        def status(number: int) -> int:
            return requests.get(address, timeout=60).status_code

        with ThreadPoolExecutor(80) as readers:
            assert set(readers.map(status, range(320))) == {200}
        check_it_ends(process, signal.SIGINT)


def test_clouds_yaml(cloud: Sandbox, bare_environment: Path) -> None:
    env = cloud.env()
    folder = bare_environment / ".config" / "openstack"
    folder.mkdir(parents=True)
    (folder / "clouds.yaml").write_text(
        f"""\
clouds:
  sandbox:
    region_name: RegionOne
    auth:
      auth_url: {env["OS_AUTH_URL"]}
      username: observer
      password: {env["OS_PASSWORD"]}
      project_name: demo
      user_domain_name: Default
      project_domain_name: Default
"""
    )
    with running(client_environment({"OS_CLOUD": "sandbox"})) as (_, (line,)):
        assert entered(line).page.all("#user") == ["observer"]


@pytest.mark.parametrize("like", ["openstack", "rackspace"])
def test_a_first_look(like: str) -> None:
    env = client_environment({})
    with running(env, "--sandbox", "--like", like) as (_, (line,)):
        reader = entered(line)
        if like == "rackspace":
            assert reader.page.all("#where strong") == ["010101", "DFW"]
        assert reader.page.title.startswith("(1 late) ")
        states = dict.fromkeys(reader.page.all("b[class]"))
        assert list(states) == ["late", "never", "ok", "off"]
        page = reader.link("myserver")
        assert len(page.all("#image-table tbody tr")) >= 7
        assert "kept (exempt)" in page.all(".retention")


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (
            ("--host", "0.0.0.0"),
            "--host requires --login: without it, everyone who connects",
        ),
        (
            ("--proxies", "1"),
            "--proxies requires --login: without it, everyone who connects",
        ),
        (
            ("--allow-host", "x"),
            "--allow-host requires --login: without it, everyone who connects",
        ),
        (
            ("--login", "--allow-host", "https://x/"),
            "argument --allow-host: 'https://x/' is not a host name",
        ),
        (("--idle", "soon"), "argument --idle: 'soon' is not a duration"),
        (("--idle", "0s"), "argument --idle: '0s' is too short: it must be 1s or"),
        (("--port", "x"), "argument --port: 'x' is not allowed: a whole number from 0"),
    ],
)
def test_bad_usage(argv: tuple[str, ...], problem: str) -> None:
    status, out, err = ended(*argv)
    assert (status, out) == (2, "")
    assert err.startswith(f"scheduled-images-panel: error: {problem}")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("argv", [(), ("--login",)])
def test_no_cloud(argv: tuple[str, ...]) -> None:
    status, out, err = ended("--port", "0", *argv)
    assert (status, out) == (1, "")
    assert err == (
        "scheduled-images-panel: error: no cloud is configured: set OS_CLOUD or"
        " OS_AUTH_URL\n"
    )


def test_a_port_that_is_taken(cloud: Sandbox) -> None:
    port = cloud.url.rpartition(":")[2]
    status, out, err = ended("--port", port, env=cloud.environ())
    assert (status, out) == (1, "")
    assert err == (
        f"scheduled-images-panel: error: cannot listen on 127.0.0.1 port {port}:"
        " Address already in use\n"
    )


WSGI = """
import json, sys
from rax_scheduled_images_ext.panel.wsgi import app

client = app.test_client()
found = {}
for name in ("localhost", "panel.example", "evil.example"):
    answer = client.get("/login", headers={"Host": name, "X-Forwarded-Prefix": "/x"})
    found[name] = [answer.status_code, "/x/static/" in answer.text]
print(json.dumps(found))
"""


def test_the_wsgi_entry_point(cloud: Sandbox) -> None:
    env = {
        **client_environment({"OS_AUTH_URL": cloud.env()["OS_AUTH_URL"]}),
        "SCHEDULED_IMAGES_PANEL_HOSTS": "panel.example, other.example",
        "SCHEDULED_IMAGES_PANEL_PROXIES": "1",
        "SCHEDULED_IMAGES_PANEL_IDLE": "5m",
    }
    done = subprocess.run(
        [sys.executable, "-c", WSGI], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout == (
        '{"localhost": [200, true], "panel.example": [200, true],'
        ' "evil.example": [400, false]}\n'
    )


def test_help_imports_little() -> None:
    code = (
        "import sys; from rax_scheduled_images_ext.panel.cli import make_parser;"
        " make_parser().format_help();"
        " print([m for m in ('flask', 'keystoneauth1', 'openstack', 'waitress')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_sandbox_is_advanced_and_broken_from_the_page(cloud: Sandbox) -> None:
    Nova(cloud).ok("scheduled-images-enable", "myserver", "7")
    with panel_over(cloud, sandbox=cloud) as panel:
        reader = panel.reader()
        home = reader.page.path
        assert reader.page.all("#sandbox")[0].startswith("This is a sandbox")
        reader.link("Advance its time, or break it")
        page = reader.submit("#advance", duration="7d")
        assert page.path == home
        assert page.messages == ["In the sandbox a week more has passed."]
        assert len(cloud.images(MYSERVER)) == 7
        assert "daily, keep 7" in page.all(f"#s-{MYSERVER[:8]} td")
        reader.link("Advance its time, or break it")
        page = reader.submit("#break", fault="lose-image")
        assert page.messages == ["Broken: Snapshots fail: their images are lost."]
        reader.link("Advance its time, or break it")
        reader.submit("#advance", duration="7d")
        assert reader.page.all(".tile.bad") == [
            "1 late",
            "1 failing",
            "3 unprotected",
        ]
        page = reader.link("Advance its time, or break it")
        assert page.has("#broken")
        page = reader.submit("#mend")
        assert page.messages == ["Everything in the sandbox works again."]
        assert cloud.faults() == []
        # Nothing else can be asked of it.
        reader.link("Advance its time, or break it")
        page = reader.submit("#advance", duration="9999999d")
        assert page.status == 400
    # No other cloud has such a page.
    with panel_over(cloud) as panel:
        reader = panel.reader()
        assert not reader.page.has("#sandbox")
        assert reader.get("/sandbox").status == 404
