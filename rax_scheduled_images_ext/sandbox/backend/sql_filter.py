"""SQL for the conditions and the order of queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from rax_scheduled_images_ext.model.image import PENDING_KEY, SERVER_KEY
from rax_scheduled_images_ext.sandbox.backend.models import (
    Comparison,
    ServerQuery,
    Sort,
)

_OPERATORS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
# The properties with a column of their own, and an index: without one, each list would
# read all images.
_COLUMNS = {SERVER_KEY: "server_id", PENDING_KEY: "pending"}
#: The status of nearly all images.
ACTIVE = "active"
_TAGGED = (
    "SELECT 1 FROM tags t WHERE t.region = r.region AND t.server_id = r.id AND t.tag"
)
_NEVER_NULL = frozenset("id name status created updated launched".split())


class Where:
    """Conditions on the rows ``r`` of one region, all of which must hold."""

    def __init__(self, region: str) -> None:
        self._parts = ["r.region = ?"]
        self.values: list[object] = [region]

    @property
    def sql(self) -> str:
        """The clause, with placeholders for ``values``."""
        return "WHERE " + " AND ".join(self._parts)

    def add(self, part: str, *values: object) -> None:
        """Only rows that meet this condition."""
        self._parts.append(part)
        self.values.extend(values)

    def equal(self, column: str, value: object) -> None:
        """Only rows with this value; None matches any."""
        if isinstance(value, bool):
            # As a literal, so that a partial index can be used.
            self.add(f"r.{column} = {int(value)}")
        elif value is not None:
            self.add(f"r.{column} = ?", value)

    def within(self, column: str, allowed: Sequence[str]) -> None:
        """Only rows with one of these values."""
        self.add(f"r.{column} IN ({', '.join('?' * len(allowed))})", *allowed)
        if column == "status" and ACTIVE not in allowed:
            # Redundant, but allows the partial index of images that are not ACTIVE.
            self.add(f"r.status <> '{ACTIVE}'")

    def compare(self, column: str, comparison: Comparison) -> None:
        """Only rows whose value compares this way."""
        operator, value = comparison
        self.add(f"r.{column} {_OPERATORS[operator]} ?", value)

    def has_property(self, key: str, value: str) -> None:
        """Only images with this property."""
        if key in _COLUMNS:
            self.add(f"r.{_COLUMNS[key]} = ?", value)
        else:
            self.add(
                "EXISTS (SELECT 1 FROM json_each(r.properties) p"
                " WHERE p.key = ? AND p.value = ?)",
                key,
                value,
            )

    def has_tag(self, tag: str) -> None:
        """Only images with this tag."""
        self.add("EXISTS (SELECT 1 FROM json_each(r.tags) t WHERE t.value = ?)", tag)

    def tagged(self, query: ServerQuery) -> None:
        """Only servers whose tags match a query."""
        for tag in query.tags:
            self.add(f"EXISTS ({_TAGGED} = ?)", tag)
        for tag in query.not_tags_any:
            self.add(f"NOT EXISTS ({_TAGGED} = ?)", tag)
        if query.tags_any:
            holes = ", ".join("?" * len(query.tags_any))
            self.add(f"EXISTS ({_TAGGED} IN ({holes}))", *query.tags_any)
        if query.not_tags:
            all_ = " AND ".join(f"EXISTS ({_TAGGED} = ?)" for _ in query.not_tags)
            self.add(f"NOT ({all_})", *query.not_tags)

    def after(self, sort: Sort, row: sqlite3.Row) -> None:
        """Only rows that come after this one in the order."""
        if len({direction for _, direction in sort}) == 1:
            # One comparison of all columns, so that an index need not be read from its
            # beginning.
            sql, values = _after((), sort, row)
        else:
            each = [_after(sort[:n], sort[n : n + 1], row) for n in range(len(sort))]
            sql = f"({' OR '.join(part for part, _ in each)})"
            values = [value for _, values in each for value in values]
        self.add(sql, *values)


def _after(equal: Sort, beyond: Sort, row: sqlite3.Row) -> tuple[str, list[object]]:
    """Return the condition, and its values, for rows that come after this one.

    :param equal: the columns that equal the row's.
    :param beyond: the columns by which rows come after it, all in the same direction.
    """
    names = ", ".join(_plain(column) for column, _ in beyond)
    holes = ", ".join("?" * len(beyond))
    operator = "<" if beyond[0][1] == "desc" else ">"
    parts = [f"{_plain(column)} = ?" for column, _ in equal]
    sql = " AND ".join([*parts, f"({names}) {operator} ({holes})"])
    return sql, [_or_empty(row[column]) for column, _ in (*equal, *beyond)]


def _plain(column: str) -> str:
    return f"r.{column}" if column in _NEVER_NULL else f"IFNULL(r.{column}, '')"


def _or_empty(value: object) -> object:
    return "" if value is None else value


def order(sort: Sort) -> str:
    """Return the clause of ORDER BY."""
    return ", ".join(f"{_plain(column)} {direction}" for column, direction in sort)
