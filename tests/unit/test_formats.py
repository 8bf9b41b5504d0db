"""One set of columns, four forms."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from rax_scheduled_images_ext.console.formats import FORMATS, Column, attribute


@dataclass(frozen=True)
class Thing:
    name: str
    count: int | None


COLUMNS: tuple[Column[Thing], ...] = (
    attribute("name", "Name"),
    Column("count", "How many", lambda thing: thing.count),
)
THINGS = [Thing("web1", 7), Thing("größe, x", None)]

FORMS = {
    "table": """\
+----------+----------+
| Name     | How many |
+----------+----------+
| web1     | 7        |
| größe, x | -        |
+----------+----------+""",
    "json": """\
[
  {
    "name": "web1",
    "count": 7
  },
  {
    "name": "größe, x",
    "count": null
  }
]""",
    "csv": """\
name,count
web1,7
"größe, x",""",
    "value": "web1\t7\ngröße, x\t",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_shows_the_same_rows(name: str) -> None:
    assert FORMATS[name](COLUMNS, THINGS) == FORMS[name]


def test_no_form_is_without_a_test() -> None:
    assert FORMS.keys() == FORMATS.keys()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "table",
            "+------+----------+\n| Name | How many |\n+------+----------+\n",
        ),
        ("json", "[]"),
        ("csv", "name,count"),
        ("value", ""),
    ],
)
def test_no_rows_are_still_the_form(name: str, text: str) -> None:
    assert FORMATS[name](COLUMNS, []).startswith(text)


def test_json_keeps_what_a_table_cannot_show() -> None:
    name = 'a\r\nb\t"c"'
    things = [Thing(name, 1)]
    assert json.loads(FORMATS["json"](COLUMNS, things)) == [{"name": name, "count": 1}]
    assert "\r" not in FORMATS["table"](COLUMNS, things)


def test_a_plain_row_stays_one_line_of_as_many_values_as_columns() -> None:
    text = FORMATS["value"](COLUMNS, [Thing("a\tb\nc", 1)])
    assert text == "a b c\t1"


def test_a_columns_human_form_is_for_the_table_alone() -> None:
    count: Column[Thing] = Column(
        "count", "Count", lambda thing: thing.count, "{} images".format
    )
    assert "| 7 images |" in FORMATS["table"]([count], THINGS[:1])
    assert FORMATS["value"]([count], THINGS[:1]) == "7"
