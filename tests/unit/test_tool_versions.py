"""The tools of a commit are those of the tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pre_commit_and_tox_pin_the_same_versions() -> None:
    pinned = r"\b(ruff|mypy)==([\w.]+)"
    tox = dict(re.findall(pinned, (ROOT / "tox.ini").read_text()))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert {*tox} == {"ruff", "mypy"}
    assert {*re.findall(pinned, hooks)} == {("ruff", tox["ruff"])}
    # It has tox run mypy.
    assert "tox -q -e types" in hooks
