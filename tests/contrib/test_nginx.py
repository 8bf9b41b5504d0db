"""The panel behind the real nginx, by the configuration that is in contrib."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
import trustme

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.conftest import Start
from ..functional.documents import ROOT
from ..functional.fleet import MYSERVER
from ..functional.panels import Panel, Reader, panel_over
from ..waiting import until

EXAMPLE = ROOT / "contrib" / "nginx" / "scheduled-images-panel.conf"
HOST = "panel.example.com"
# What the distribution's own configuration says around it.
AROUND = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/panel.conf;
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
        assert isinstance(port, int)
        return port


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Return a text with each of these in place of what is there."""
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


class Site:
    """A panel behind nginx.

    ``url`` is where people reach it, ``plain`` the port without TLS.
    """

    def __init__(self, panel: Panel, folder: Path, prefix: str) -> None:
        self.panel, self.folder = panel, folder
        self.plain, port = free_port(), free_port()
        self.url = f"https://{HOST}:{port}{prefix}"
        self.authority = folder / "authority.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        certificate = authority.issue_cert(HOST)
        certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
        for each in certificate.cert_chain_pems:
            each.write_to_path(str(folder / "certificate.pem"), append=True)
        example = re.sub(r" *listen \[::\].*\n", "", EXAMPLE.read_text())
        (folder / "panel.conf").write_text(
            replaced(
                example,
                ("listen 80;", f"listen 127.0.0.1:{self.plain};"),
                ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
                (f"/etc/ssl/certs/{HOST}.pem", f"{folder}/certificate.pem"),
                (f"/etc/ssl/private/{HOST}.key", f"{folder}/key.pem"),
                ("http://127.0.0.1:8750", panel.url),
                ("/images", prefix),
            )
        )
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder))

    def reader(self, path: str = "") -> Reader:
        reader = Reader(f"{self.url}{path}")
        reader.session.verify = str(self.authority)
        return reader

    def logged_in(self) -> Reader:
        reader = self.reader()
        assert reader.get(f"{self.url}/").all("h1") == ["Log in"]
        password = self.panel.cloud.env()["OS_PASSWORD"]
        reader.submit("#login", user="admin", password=password)
        return reader


@pytest.fixture
def site(
    cloud: Sandbox,
    nginx: Path,
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Any]:
    """Open a panel behind nginx, at a prefix."""
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host == HOST else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    @contextmanager
    def opened(prefix: str) -> Iterator[Site]:
        with panel_over(cloud, login=True, proxies=1, hosts=(HOST,)) as panel:
            site = Site(panel, tmp_path, prefix)
            process = start(nginx, "-p", tmp_path, "-c", tmp_path / "nginx.conf")

            def responds() -> bool:
                assert process.poll() is None, process.communicate()
                with socket.socket() as tried:
                    return tried.connect_ex(("127.0.0.1", site.plain)) == 0

            until(responds)
            yield site

    return opened


@pytest.mark.parametrize("prefix", ["/images", ""], ids=["prefix", "root"])
def test_the_panel_behind_nginx(site: Callable[[str], Any], prefix: str) -> None:
    with site(prefix) as opened:
        reader = opened.logged_in()
        page = reader.page
        assert page.response.url.startswith(f"{opened.url}/p/")
        addresses = [
            str(each[name])
            for name in ("href", "src", "action", "hx-get", "hx-post")
            for each in page.soup.select(f"[{name}]")
        ]
        assert len(addresses) > 10
        for address in addresses:
            whole = urljoin(page.response.url, address)
            assert whole.startswith(f"{opened.url}/"), address
        for each in page.soup.select("script[src]"):
            address = urljoin(page.response.url, str(each["src"]))
            assert reader.session.get(address).status_code == 200
        (cookie,) = reader.session.cookies
        assert (cookie.secure, cookie.path) == (True, f"{prefix}/")
        # A form is accepted on this port, and leads on where it should.
        reader.link("myserver")
        reader.submit("#schedule-form", when="friday", retention=3)
        assert reader.page.messages == ["Saved: weekly on Friday, keep 3."]
        assert reader.page.response.url.startswith(f"{opened.url}/p/")
        assert MYSERVER in reader.page.path
        assert reader.submit("form.who").path == f"{prefix}/bye"


def test_what_a_client_says_of_itself_is_replaced(
    site: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rax_scheduled_images_ext.panel.guesses._FIRST", 600.0)
    forged = {
        "X-Forwarded-For": "198.51.100.1",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": "/evil",
    }
    with site("") as opened:
        reader = opened.reader()
        reader.session.headers.update(forged)
        page = reader.get(f"{opened.url}/")
        assert page.response.url == f"{opened.url}/login"
        assert "evil" not in page.response.text
        assert all(cookie.secure for cookie in reader.session.cookies)
        # Wrong passwords are counted by the address that nginx saw.
        for number in range(4):
            reader.session.headers["X-Forwarded-For"] = f"198.51.100.{number}"
            reader.submit("#login", user="admin", password="wrong")
        assert reader.page.status == 429


def test_how_much_may_be_sent(site: Callable[[str], Any]) -> None:
    with site("/images") as opened:
        reader = opened.logged_in()
        large = [("x", "y" * 1024 * 1024)]
        assert reader.post(f"{opened.url}/project", large).status == 413


def test_whoever_comes_without_tls_is_sent_on(site: Callable[[str], Any]) -> None:
    with site("/images") as opened:
        answer = requests.get(
            f"http://{HOST}:{opened.plain}/images/?x=1", allow_redirects=False
        )
        assert answer.status_code == 301
        assert answer.headers["Location"] == f"https://{HOST}/images/?x=1"
        # Without the slash at the end, on whatever port.
        answer = requests.get(
            opened.url, allow_redirects=False, verify=opened.authority
        )
        assert answer.status_code == 301
        assert answer.headers["Location"] == "/images/"
