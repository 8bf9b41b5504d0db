"""Reading what nova prints."""

from __future__ import annotations

import json
import re
from typing import Any


def properties(out: str) -> dict[str, str]:
    """The rows of a table of two columns."""
    found = re.findall(r"^\| (.*?) +\| (.*?) +\|$", out, re.MULTILINE)
    assert found.pop(0) == ("Property", "Value")
    return dict(found)


def row(out: str, image_id: str) -> list[str]:
    """The cells of the one row of a table that begins with an ID."""
    (line,) = [line for line in out.splitlines() if line.startswith(f"| {image_id} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def objects(out: str) -> list[dict[str, Any]]:
    """The rows of ``--format json``."""
    found: list[dict[str, Any]] = json.loads(out)
    return found
