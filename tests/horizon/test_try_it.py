"""The way to try the panel, as the document prints it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sysconfig
import time
from pathlib import Path

import openstack_dashboard
import requests

import rax_scheduled_images_ext.horizon.enabled as panel
from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.documents import ROOT, Document
from .dashboard import PANEL

PAGE = Document(ROOT / "doc/source/panel/horizon.rst")


def test_the_panel_is_tried_as_documented(cloud: Sandbox, tmp_path: Path) -> None:
    """All but what changes the environment, on ports of the test's own."""
    _, settings, start, password = (PAGE.block("Try it", place) for place in range(4))
    copy = tmp_path / "openstack_dashboard"
    shutil.copytree(next(iter(openstack_dashboard.__path__)), copy)
    for each in Path(next(iter(panel.__path__))).glob("_10*.py"):
        shutil.copy(each, copy / "local/enabled")
    assert "http://127.0.0.1:8740" in settings
    text = settings.replace("http://127.0.0.1:8740", cloud.url)
    (copy / "local/local_settings.py").write_text(text)
    variable, collect, serve = (line.removeprefix("$ ") for line in start.splitlines())
    name, value = variable.removeprefix("export ").split("=")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    programs = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "PATH": programs,
        "SANDBOX_URL": cloud.url,
        name: value,
    }
    subprocess.run(shlex.split(collect), env=environment, check=True, cwd=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    argv = shlex.split(serve.replace("8000", str(port)))
    # Its reloader would be a second process.
    server = subprocess.Popen([*argv, "--noreload"], env=environment, cwd=tmp_path)
    try:
        printed = subprocess.run(
            password.removeprefix("$ "),
            shell=True,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        session = requests.Session()
        session.trust_env = False
        login = await_page(session, f"{url}/auth/login/")
        (style, *_) = re.findall(r'href="(/static/dashboard/css/[^"]+)"', login)
        assert session.get(f"{url}{style}").status_code == 200
        fields = {
            "username": "admin",
            "password": printed.partition("=")[2].strip(),
            "region": "default",
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        }
        session.post(f"{url}/auth/login/", fields, headers={"Referer": url})
        shown = session.get(f"{url}{PANEL}")
        assert shown.url == f"{url}{PANEL}"
        assert "web1" in shown.text
    finally:
        server.terminate()
        server.wait()


def await_page(session: requests.Session, url: str) -> str:
    """Return a page as soon as the server listens."""
    for _ in range(120):
        try:
            return session.get(url).text
        except requests.ConnectionError:
            time.sleep(0.5)
    raise AssertionError(url)
