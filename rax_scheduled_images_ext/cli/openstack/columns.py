"""Turns this package's columns into what cliff prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cliff.columns import FormattableColumn

from rax_scheduled_images_ext.console.formats import Column, for_people
from rax_scheduled_images_ext.text import printable

#: The formats that have an escape for every character, and a form for every value.
FAITHFUL = ("json", "yaml")


class Cell(FormattableColumn[Any]):
    """A value that tables show in a form of their own."""

    def __init__(self, value: Any, human: Callable[[Any], str]) -> None:
        super().__init__(value)
        self._human = human

    def human_readable(self) -> str:
        """Return the value as a table shows it."""
        return self._human(self._value)

    def escaped(self) -> Cell:
        """Return the value with escapes for invisible characters."""
        return Cell(escaped(self._value), self._human)


def listed(
    columns: Sequence[Column[Any]], rows: Iterable[Any], form: str = "table"
) -> tuple[list[str], list[list[Any]]]:
    """Return rows as a Lister expects them, named by headings.

    :param form: the format; only :data:`FAITHFUL` ones have further columns.
    """
    rows = list(rows)
    wanted = [
        column
        for column in columns
        if not column.further
        or (form in FAITHFUL and any(column.value(row) is not None for row in rows))
    ]
    names = [_heading(column.title) for column in wanted]
    return names, [[_cell(column, row) for column in wanted] for row in rows]


def shown(columns: Sequence[Column[Any]], row: Any) -> tuple[list[str], list[Any]]:
    """Return one row as a ShowOne expects it, named by keys."""
    wanted = [
        column
        for column in columns
        if not column.further or column.value(row) is not None
    ]
    return [column.key for column in wanted], [_cell(column, row) for column in wanted]


def escaped(value: Any) -> Any:
    """Return a value, or values, as formats that cannot escape show them."""
    if isinstance(value, (list, tuple)):
        return [escaped(each) for each in value]
    if isinstance(value, Cell):
        return value.escaped()
    return printable(value) if isinstance(value, str) else value


def _cell(column: Column[Any], row: Any) -> Any:
    """Return a value; None is printed as cliff prints it."""
    value = column.value(row)
    if value is None or column.human is for_people:
        return value
    return Cell(value, column.human)


def _heading(title: str) -> str:
    """Return a title as openstackclient writes the headings of columns."""
    return " ".join(word[:1].upper() + word[1:] for word in title.split())
