"""The tables of metrics in the documents."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

_TEXT = (
    Path(__file__).parents[1] / "doc" / "source" / "service" / "monitoring.rst"
).read_text()
RUN, WORKER = "run", "worker"
#: Policies that match no server, but are there.
NOBODYS = """
version: 1
policies:
  - {name: none, match: {tags: [none]}, schedule: {every: daily, keep: {last: 7}}}
"""
# What belongs to a histogram.
_PARTS = re.compile("_(bucket|count|sum)$")


def documented(program: str) -> dict[str, frozenset[str]]:
    """Return the labels of each metric of a program, by the documents."""
    found: dict[str, frozenset[str]] = {}
    for heading in ("both ``run`` and ``worker``", f"``{program}`` only"):
        for name, labels in _rows(f"\nMetrics of {heading}:\n"):
            if "queue" not in labels:
                labels |= {"region"}
            found[name] = frozenset(labels)
    return found


def _rows(heading: str) -> list[tuple[str, set[str]]]:
    """Return the names, and what stands under "More labels", of a table."""
    _, found, below = _TEXT.partition(heading)
    assert found, heading
    rows: list[tuple[str, set[str]]] = []
    for name, labels, _ in _table(below.lstrip("\n").split("\n\n")[0]):
        if name:
            rows.append((name.strip("`"), set()))
        rows[-1][1].update(re.findall(r"``(\w+)``", labels))
    return rows


def _table(text: str) -> list[list[str]]:
    """Return what stands in the columns of each line below a table's head."""
    rule, _, _, *lines, _ = text.splitlines()
    columns = [slice(*found.span()) for found in re.finditer("=+", rule)]
    return [[line[column].strip() for column in columns] for line in lines]


def label_values() -> dict[str, set[str]]:
    """Return the values of each label, by the documents."""
    (table,) = (part for part in _TEXT.split("\n\n") if "\nLabel  " in part)
    values: dict[str, set[str]] = {}
    label = ""
    for name, written in _table(table):
        label = name.strip("`") or label
        found = re.findall("``([^`]+)``", written)
        values.setdefault(label, set()).update(found)
    return values


def exported(text: str) -> dict[str, frozenset[str]]:
    """Return the labels of each metric that a program serves."""
    found: dict[str, frozenset[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            is_part = family.type == "histogram"
            name = _PARTS.sub("", sample.name) if is_part else sample.name
            found[name] = frozenset(sample.labels) - {"le"}
    return found
