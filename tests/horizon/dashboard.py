"""Horizon as people use it: its login form, its links and its tables' actions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import django
from bs4 import BeautifulSoup, Tag

from . import settings

os.environ["DJANGO_SETTINGS_MODULE"] = settings.__name__
django.setup()

from django.test import Client  # noqa: E402

PANEL = "/project/scheduled_images/"


class Cloud(Protocol):
    """A cloud that people log in to."""

    def env(self, user: str = "admin") -> dict[str, str]:
        """Return the OS_* variables of a user."""

    def servers(self) -> Sequence[Any]:
        """Return the servers, which have an ID and a name."""


def words(tag: Tag | None) -> str:
    assert tag is not None
    return " ".join(tag.get_text(" ").split())


@dataclass
class Page:
    """What Horizon answered in the end."""

    response: Any
    soup: BeautifulSoup = field(init=False)

    def __post_init__(self) -> None:
        self.soup = BeautifulSoup(self.response.content.decode(), "html.parser")

    @property
    def status(self) -> int:
        return int(self.response.status_code)

    @property
    def path(self) -> str:
        return str(self.response.request["PATH_INFO"])

    @property
    def messages(self) -> list[str]:
        """What Horizon says at the top: the kind of message, and its text."""
        return [
            words(each).removeprefix("\N{MULTIPLICATION SIGN} ")
            for each in self.soup.select(".messages .alert")
        ]

    def at(self, selector: str) -> str:
        """The words of the one element that a CSS selector finds."""
        (found,) = self.soup.select(selector)
        return words(found)

    def all(self, selector: str) -> list[str]:
        return [words(each) for each in self.soup.select(selector)]

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the table's rows, without the box to select it."""
        found = self.soup.select("table.datatable tbody tr[data-object-id]")
        cells = "td:not(.multi_select_column):not(.actions_column)"
        return [list(map(words, row.select(cells))) for row in found]

    @property
    def names(self) -> list[str]:
        return [row[0] for row in self.rows]

    def actions(self, object_id: str) -> list[str]:
        """What the table offers for a row."""
        (row,) = self.soup.select(f'tr[data-object-id="{object_id}"]')
        found = row.select(".actions_column a[id], .actions_column button")
        return sorted({words(each) for each in found} - {""})

    @property
    def table_actions(self) -> list[str]:
        found = self.soup.select(".table_actions a[id], .table_actions button[name]")
        return [words(each) for each in found if words(each)]

    def fields(self, form: str) -> dict[str, str]:
        """What a browser would send of a form that nobody has touched."""
        (found,) = self.soup.select(f"form#{form}")
        return dict(_fields(found))


def _fields(form: Tag) -> Iterator[tuple[str, str]]:
    for each in form.select("input[name], select[name]"):
        name = str(each["name"])
        if each.name == "select":
            chosen = each.select("option[selected]") or each.select("option")[:1]
            for option in chosen:
                yield name, str(option.get("value", ""))
        elif each.get("type") != "checkbox" or each.has_attr("checked"):
            yield name, str(each.get("value", ""))


class Dashboard:
    """Somebody who is logged in to Horizon by its own form."""

    def __init__(self, cloud: Cloud, user: str = "admin") -> None:
        self.cloud = cloud
        self.client = Client()
        password = cloud.env(user)["OS_PASSWORD"]
        fields = {"username": user, "password": password, "region": "default"}
        page = Page(self.client.post("/auth/login/", fields))
        assert (page.status, page.response["Location"]) == (302, "/"), page.soup.text

    def get(self, path: str, **options: Any) -> Page:
        return Page(self.client.get(path, follow=True, **options))

    def servers(self, query: str = "") -> Page:
        return self.get(PANEL + query)

    def server(self, name: str) -> Page:
        return self.get(f"{PANEL}{self.id_of(name)}/")

    def id_of(self, name: str) -> str:
        (found,) = (each.id for each in self.cloud.servers() if each.name == name)
        return str(found)

    def act(self, path: str, action: str, *ids: str) -> Page:
        """Choose an action of a table, for one row or for those that are selected."""
        data: dict[str, Any] = {"action": action}
        if ids:
            data["object_ids"] = list(ids)
        return Page(self.client.post(path, data, follow=True))

    def send(self, path: str, form: str, **values: str) -> Page:
        """Open a form, fill it in, and send it."""
        return self.again(self.get(path), path, form, **values)

    def again(self, page: Page, path: str, form: str, **values: str) -> Page:
        """Send the form of a page."""
        fields = page.fields(form) | values
        return Page(self.client.post(path, fields, follow=True))
