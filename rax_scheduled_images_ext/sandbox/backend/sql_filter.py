"""Conditions and orders of the queries, in SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from rax_scheduled_images_ext.sandbox.backend.models import (
    Comparison,
    ServerQuery,
    Sort,
)

_OPERATORS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
# The property that has a column of its own.
_PROPERTY = "instance_uuid"
_TAGGED = (
    "SELECT 1 FROM tags t WHERE t.region = r.region AND t.server_id = r.id AND t.tag"
)
_NEVER_NULL = frozenset("id name status created updated launched".split())


class Where:
    """Conditions on one region's rows ``r``, all of which must hold."""

    def __init__(self, region: str) -> None:
        self._parts = ["r.region = ?"]
        self.values: list[object] = [region]

    @property
    def sql(self) -> str:
        """The clause; its holes are for ``values``."""
        return "WHERE " + " AND ".join(self._parts)

    def add(self, part: str, *values: object) -> None:
        """Only rows for which this is so."""
        self._parts.append(part)
        self.values.extend(values)

    def equal(self, column: str, value: object) -> None:
        """Only rows with this value; any where it is None."""
        if value is not None:
            self.add(f"r.{column} = ?", value)

    def within(self, column: str, allowed: Sequence[str]) -> None:
        """Only rows with one of these values."""
        self.add(f"r.{column} IN ({', '.join('?' * len(allowed))})", *allowed)

    def compare(self, column: str, comparison: Comparison) -> None:
        """Only rows whose value compares like this."""
        operator, value = comparison
        self.add(f"r.{column} {_OPERATORS[operator]} ?", value)

    def has_property(self, key: str, value: str) -> None:
        """Only images with this property."""
        if key == _PROPERTY:
            self.add("r.server_id = ?", value)
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
        """Only servers whose tags are as a query asks."""
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
        alternatives = []
        values: list[object] = []
        for place, (column, direction) in enumerate(sort):
            same = [f"{_plain(c)} = ?" for c, _ in sort[:place]]
            beyond = f"{_plain(column)} {'<' if direction == 'desc' else '>'} ?"
            alternatives.append(" AND ".join([*same, beyond]))
            values += [_or_empty(row[c]) for c, _ in sort[: place + 1]]
        first, direction = sort[0]
        # Said first and alone, so that the index on it is used.
        self.add(
            f"{_plain(first)} {'<=' if direction == 'desc' else '>='} ?",
            _or_empty(row[first]),
        )
        self.add(f"({' OR '.join(f'({a})' for a in alternatives)})", *values)


def _plain(column: str) -> str:
    return f"r.{column}" if column in _NEVER_NULL else f"IFNULL(r.{column}, '')"


def _or_empty(value: object) -> object:
    return "" if value is None else value


def order(sort: Sort) -> str:
    """Return what comes after ORDER BY."""
    return ", ".join(f"{_plain(column)} {direction}" for column, direction in sort)
