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


def test_what_is_named_after_novaclient_7_has_it() -> None:
    sections = re.split(r"^\[", (ROOT / "tox.ini").read_text(), flags=re.MULTILINE)
    named = [each for each in sections if "-novaclient7}]" in each.partition("\n")[0]]
    named += [each for each in sections if each.startswith("testenv:novaclient7")]
    assert len(named) == 2
    assert all("{[novaclient7]deps}" in each for each in named)
    (pins,) = [each for each in sections if each.startswith("novaclient7]")]
    assert "python-novaclient==7." in pins
