"""Rows of things as a table for people, or as JSON, CSV or plain values for programs.

A column defines once how to take its value from a row. JSON prints the value as it is,
CSV and plain values as text, and the table in the column's ``human`` form. JSON can
escape every character; the others print invisible characters as backslash escapes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from rax_scheduled_images_ext.console.terminal import put
from rax_scheduled_images_ext.text import printable

Row = TypeVar("Row")


def for_people(value: Any) -> str:
    """Return a value as novaclient's tables show it."""
    return "-" if value is None else str(value)


def for_programs(value: Any) -> str:
    """Return a value as text; None is empty."""
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A value of each row; ``key`` names it for programs, ``title`` for people.

    A ``further`` one has more than a word in it, and few rows have it: only forms that
    name the values of each row have it, and only where there is one.
    """

    key: str
    title: str
    value: Callable[[Row], Any]
    human: Callable[[Any], str] = for_people
    further: bool = False


def plain(columns: Sequence[Column[Row]]) -> list[Column[Row]]:
    """Return the columns that every row has."""
    return [column for column in columns if not column.further]


def attribute(key: str, title: str) -> Column[Any]:
    """Return the column of a row's attribute ``key``."""
    return Column(key, title, attrgetter(key))


def as_table(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> str:
    """Return a table with a frame, one line per row."""
    from prettytable import PrettyTable

    columns = plain(columns)
    table = PrettyTable([column.title for column in columns])
    table.align = "l"
    for row in rows:
        cells = [column.human(column.value(row)) for column in columns]
        # Nearly all are printable.
        whole = "".join(cells).isprintable()
        table.add_row(cells if whole else list(map(printable, cells)))
    return str(table.get_string())


def as_json(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> str:
    """Return a list of objects, even for a single row."""
    objects = [
        {
            column.key: value
            for column in columns
            if (value := column.value(row)) is not None or not column.further
        }
        for row in rows
    ]
    return json.dumps(objects, indent=2, ensure_ascii=False)


def as_csv(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> str:
    """Return a line of the columns' keys, then a line of quoted values per row."""
    columns, text = plain(columns), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    for row in rows:
        writer.writerow(
            [printable(for_programs(column.value(row))) for column in columns]
        )
    return text.getvalue().removesuffix("\n")


def as_values(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> str:
    """Return a line per row, with tabs between the values.

    White space within a value becomes one blank, so that each row stays on one line.
    """
    columns = plain(columns)
    return "\n".join(
        "\t".join(
            printable(" ".join(for_programs(column.value(row)).split()))
            for column in columns
        )
        for row in rows
    )


#: The formats by the names that ``--format`` accepts.
FORMATS: dict[str, Callable[[Sequence[Column[Any]], Iterable[Any]], str]] = {
    "table": as_table,
    "json": as_json,
    "csv": as_csv,
    "value": as_values,
}


def print_rows(columns: Sequence[Column[Any]], rows: Sequence[Any], name: str) -> None:
    """Print rows in the named format; CSV prints its keys even without rows."""
    text = FORMATS[name](columns, rows)
    if text:
        put(text, as_json=name == "json")
