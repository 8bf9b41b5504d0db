"""The panel as people use it: over HTTP, by its links and forms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from urllib.parse import urljoin, urlsplit

import requests
from bs4 import BeautifulSoup, Tag

from rax_scheduled_images_ext.panel.app import create_app
from rax_scheduled_images_ext.panel.readings import Patience
from rax_scheduled_images_ext.panel.settings import EntryTokens, Settings, cloud_for
from rax_scheduled_images_ext.programs.http_server import Server
from rax_scheduled_images_ext.sandbox import Sandbox


@dataclass
class Page:
    """What was answered: where it led in the end, its status and its HTML."""

    response: requests.Response
    soup: BeautifulSoup = field(init=False)

    def __post_init__(self) -> None:
        self.soup = BeautifulSoup(self.response.text, "html.parser")

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def path(self) -> str:
        return urlsplit(self.response.url).path

    @property
    def title(self) -> str:
        assert self.soup.title is not None
        return self.soup.title.text

    @property
    def text(self) -> str:
        """All that can be read on the page, as one line."""
        return words(self.soup.body)

    @property
    def messages(self) -> list[str]:
        """What the page says about what was just done."""
        return [words(each) for each in self.soup.select("#messages .message")]

    def at(self, selector: str) -> Tag:
        """The one element that a CSS selector finds."""
        (found,) = self.soup.select(selector)
        return found

    def all(self, selector: str) -> list[str]:
        """The words of all elements that a CSS selector finds."""
        return [words(each) for each in self.soup.select(selector)]

    def has(self, selector: str) -> bool:
        return bool(self.soup.select(selector))


def words(tag: Tag | None) -> str:
    assert tag is not None
    return " ".join(tag.get_text(" ").split())


class Reader:
    """A person with a browser: keeps cookies, follows links, and sends forms."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.page: Page
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str, **options: Any) -> Page:
        """Open an address, as a link of the page."""
        shown = self.page.response.url if hasattr(self, "page") else f"{self.url}/"
        url = urljoin(shown, path)
        self.page = Page(self.session.get(url, timeout=300, **options))
        return self.page

    def link(self, words_of_link: str) -> Page:
        """Follow the link with these words."""
        (found,) = [
            each for each in self.page.soup.select("a") if words(each) == words_of_link
        ]
        return self.get(urljoin(self.page.response.url, str(found["href"])))

    def fill(self, selector: str, **values: Any) -> tuple[str, list[tuple[str, str]]]:
        """Fill a form in; its address and fields."""
        form = self.page.at(selector)
        address = urljoin(self.page.response.url, str(form.get("action")))
        fields = [(k, v) for k, v in _fields(form) if k not in values]
        for key, value in values.items():
            several = value if isinstance(value, list) else [value]
            fields += [(key, str(each)) for each in several]
        return address, fields

    def submit(self, selector: str, **values: Any) -> Page:
        """Send a form of the page, with some fields filled in."""
        return self.post(*self.fill(selector, **values))

    def post(self, address: str, fields: list[tuple[str, str]], **options: Any) -> Page:
        """Send fields to an address."""
        url = urljoin(f"{self.url}/", address)
        shown = self.page.response.url if hasattr(self, "page") else url
        headers = {"Referer": shown, **options.pop("headers", {})}
        answer = self.session.post(
            url, data=fields, timeout=300, headers=headers, **options
        )
        self.page = Page(answer)
        return self.page


class Proxy(requests.adapters.HTTPAdapter):
    """A reverse proxy with TLS, as the documents set one up, in front of a panel.

    :param outside: the address at which people reach the panel through it.
    :param client: where they come from.
    """

    def __init__(self, outside: str, panel: str, client: str = "192.0.2.1") -> None:
        super().__init__()
        self.outside = outside
        self._client = client
        self._panel = panel

    def send(self, request: requests.PreparedRequest, **options: Any) -> Any:  # type: ignore[override]
        assert request.url is not None
        assert f"{request.url}/".startswith(f"{self.outside}/"), request.url
        parts = urlsplit(self.outside)
        inner = request.copy()
        inner.url = self._panel + request.url.removeprefix(self.outside)
        inner.headers.update(
            {
                "Host": parts.netloc,
                "X-Forwarded-For": self._client,
                "X-Forwarded-Host": parts.netloc,
                "X-Forwarded-Proto": parts.scheme,
                "X-Forwarded-Prefix": parts.path,
            }
        )
        answer = super().send(inner, **options)
        answer.url, answer.request = request.url, request
        return answer


def through(proxy: Proxy) -> Reader:
    """Somebody who reaches a panel through a proxy."""
    reader = Reader(proxy.outside)
    reader.session.mount("https://", proxy)
    return reader


def _fields(form: Tag) -> Iterator[tuple[str, str]]:
    """The fields that a browser would send of a form that nobody has touched."""
    for each in form.select("input[name], select[name]"):
        name = str(each["name"])
        if each.name == "select":
            options = each.select("option[selected]") or each.select("option")[:1]
            for option in options:
                yield name, str(option.get("value", option.text))
        elif each.get("type") in ("checkbox", "radio"):
            if each.has_attr("checked"):
                yield name, str(each.get("value", "on"))
        else:
            yield name, str(each.get("value", ""))


@dataclass
class Panel:
    """A running panel."""

    url: str
    settings: Settings
    cloud: Sandbox

    def reader(self) -> Reader:
        """Somebody who has just entered, or stands before the login page."""
        reader = Reader(self.url)
        if self.settings.entry is not None:
            reader.get(f"/enter?token={self.settings.entry.token}")
        return reader

    def logged_in(self, user: str = "admin", **options: Any) -> Reader:
        """Somebody who has logged in as a user."""
        reader = self.reader()
        env = self.cloud.env(user)
        reader.get("/login", **options)
        domain = env.get("OS_USER_DOMAIN_NAME", "")
        reader.submit("#login", user=user, password=env["OS_PASSWORD"], domain=domain)
        return reader


@contextmanager
def panel_over(
    cloud: Sandbox, user: str = "admin", *, login: bool = False, **options: Any
) -> Iterator[Panel]:
    """Run a panel for a cloud, for one of its users or for all who log in.

    It looks at the cloud anew for each page, unless a ``refresh`` is given.
    """
    options.setdefault("refresh", 0.0)
    options.setdefault("patience", Patience(60, 60))
    with mock.patch.dict(os.environ, cloud.env(user)):
        config, session = cloud_for("tests", with_login=not login)
    entry = None if login else EntryTokens()
    settings = Settings(config, session, entry=entry, **options)
    server = Server("127.0.0.1", 0, threads=32)
    server.start(create_app(settings))
    try:
        yield Panel(server.url, settings, cloud)
    finally:
        server.stop()
        session.session.close()
