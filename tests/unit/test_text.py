"""The laws of text that others have written: lines, tables, JSON and the log."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.console.formats import (
    Column,
    as_csv,
    as_json,
    as_table,
    as_values,
)
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.service.events import TextFormatter
from rax_scheduled_images_ext.text import (
    one_line,
    printable,
    printable_json,
    quoted,
)

HIDDEN: tuple[Any, ...] = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Many a text has what a terminal obeys, and what a line is split by.
TEXTS = st.one_of(
    st.text(),
    st.text(
        st.sampled_from("ab =\"'\\,|-\x1b\n\r\t\x00\x7f\x85\u202e\u2066\u200b\u2028")
    ),
    st.text(st.characters(categories=HIDDEN)),
    # No decoder of JSON leaves two surrogates that belong together.
).filter(lambda text: not re.search("[\ud800-\udbff][\udc00-\udfff]", text))
COLUMNS: list[Column[str]] = [
    Column("name", "Name", lambda row: row),
    Column("other", "Other", lambda _: "z"),
]
FACT = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|[^\s"=\\]+)')


def is_seen(text: str, but: str = "") -> bool:
    return not any(unicodedata.category(c) in HIDDEN and c not in but for c in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web 1", "web 1"),
        ("Grün 漢字 🙂", "Grün 漢字 🙂"),
        ("C:\\x", "C:\\x"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x7f\x9b", r"\x7f\x9b"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u200bb\u2028c\ufeff", r"a\u200bb\u2028c\ufeff"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_is_not_seen_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert one_line(text) == printable(" ".join(text.splitlines()))


@given(TEXTS)
def test_any_text_is_one_line_that_acts_on_nothing(text: str) -> None:
    for line in (
        *(printable(text), one_line(text), quoted(text)),
        str(ScheduledImagesError(text)),
    ):
        assert is_seen(line)
        assert len(line.splitlines()) <= 1
    assert printable(printable(text)) == printable(text)


@given(TEXTS)
def test_formats_print_a_line_a_row(name: str) -> None:
    for form in (as_csv, as_values, as_table):
        text = form(COLUMNS, [name, name])
        assert is_seen(text, but="\n\t" if form is as_values else "\n")
        lines = {as_csv: 3, as_values: 2, as_table: 6}[form]
        assert len(text.split("\n")) == lines
    rows = list(csv.reader(io.StringIO(as_csv(COLUMNS, [name]))))
    assert rows[1] == [printable(name), "z"]


@given(TEXTS)
def test_json_is_the_text_itself(name: str) -> None:
    text = printable_json(as_json(COLUMNS, [name]))
    assert is_seen(text, but="\n")
    assert json.loads(text) == [{"name": name, "other": "z"}]


@given(st.dictionaries(st.sampled_from(["server", "server_name", "reason"]), TEXTS))
def test_the_facts_of_a_line_of_the_log_can_be_read_back(facts: dict[str, str]) -> None:
    """Whatever the values are: no name forges a fact, or a line."""
    line = written(facts)
    assert is_seen(line)
    assert line.startswith("INFO image started")
    rest = line.removeprefix("INFO image started")
    assert FACT.sub("", rest) == ""
    found = {key: json.loads(v) if v[0] == '"' else v for key, v in FACT.findall(rest)}
    assert found == facts


@pytest.mark.parametrize("value", ["web1", "2026-01-05", "http://h:1/v2.1", "a'b", "ä"])
def test_plain_values_are_not_quoted(value: str) -> None:
    assert written({"server": value}) == f"INFO image started server={value}"


def test_a_name_forges_no_fact() -> None:
    name = 'x reason=ok\n2026 ERROR "y"'
    assert written({"server_name": name}) == (
        'INFO image started server_name="x reason=ok\\n2026 ERROR \\"y\\""'
    )


def written(facts: dict[str, Any]) -> str:
    record = logging.makeLogRecord(
        {"msg": "image started", "levelname": "INFO", "levelno": logging.INFO, **facts}
    )
    return TextFormatter("%(levelname)s %(message)s").format(record)
