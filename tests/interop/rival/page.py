"""The tables of the documents, from what was measured."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...functional.documents import ROOT
from .cases import CASES

MEASURED = Path(__file__).with_name("measured.json")
PAGE = ROOT / "doc/source/user/freezer-measured.inc"
TOOLS = ("Freezer", "this package")
_NOT_MET = "cannot happen: no data pass through it"
_MOVING = {(case.kind, case.title) for case in CASES if case.moves_data}
# What differs from one run to the next, and says nothing.
_NOISE = (
    (r"^\S+Z (?:INFO|WARNING|ERROR) ", ""),
    (r" (?:server|server_name|project|slot|image|missed|request_id)=\S+", ""),
    (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "ID"),
    (r"\bguest-[0-9a-f]{8}-\d+-\w+", "SERVER"),
    (r"\b\d{4}-\d\d-\d\dT[\d:]+Z\b", "TIME"),
    (r" at 0x[0-9a-f]+", ""),
)
_LONGEST = 150


def write(measured: dict[str, Any], path: Path = PAGE) -> None:
    """Write what the page includes."""
    path.write_text(tables(measured))


def tables(measured: dict[str, Any]) -> str:
    """Return all tables as reStructuredText."""
    lines = [
        ".. Written by python -m tests.interop.rival; do not edit.",
        "",
        *_cost_table("costs", "What it costs", measured),
        *_cost_table("times", "A large server, without the gate", measured),
        *_trial_table("backup", measured),
        *_trial_table("restore", measured),
    ]
    return "\n".join(lines)


def _cost_table(part: str, title: str, measured: dict[str, Any]) -> Iterator[str]:
    costs = measured.get(part, [])
    if len(costs) < 2 * len(TOOLS):
        return
    yield from _head(title, "30 35 35", ("", *TOOLS))
    for kind, end in (("backup", "complete"), ("restore", "the server is ACTIVE")):
        for title, key, show in (
            ("its commands run", "seconds", _seconds),
            (f"until {end}", "complete", _seconds),
            ("its requests", "requests", str),
            ("it sends", "sent", _size),
            ("it receives", "received", _size),
            ("Nova and Glance move", "inside", _size),
            ("on its own disk then", "stored", _size),
            ("in Glance then", "images", _size),
        ):
            by_tool = {each["tool"]: each for each in costs if each["kind"] == kind}
            if key in by_tool[TOOLS[0]]:
                cells = [[show(by_tool[tool][key])] for tool in TOOLS]
                yield from _row(f"{kind}: {title}", *cells)
    yield ""


def _seconds(number: float) -> str:
    return f"{number:.0f} s"


def _size(number: int) -> str:
    if not number:
        return "nothing"
    return f"{number / 1e3:.0f} kB" if number < 1e5 else f"{number / 1e6:.1f} MB"


def _trial_table(kind: str, measured: dict[str, Any]) -> Iterator[str]:
    trials = measured.get("trials", [])
    titles = list(dict.fromkeys(t["title"] for t in trials if t["kind"] == kind))
    yield from _head(f"When a {kind} goes wrong", "20 40 40", ("", *TOOLS))
    for title in titles:
        cells = []
        for tool in TOOLS:
            found = [
                t
                for t in trials
                if (t["kind"], t["title"], t["tool"]) == (kind, title, tool)
            ]
            missing = _NOT_MET if (kind, title) in _MOVING else "not tried"
            cells.append(list(_told(found[0])) if found else [missing])
        yield from _row(title, *cells)
    yield ""


def _told(trial: dict[str, Any]) -> Iterator[str]:
    for step in trial["steps"]:
        yield _step(step)
    yield f"left: {_counted(trial['left'])}"
    if trial["kind"] == "backup":
        yield f"the older backup: {_older(trial)}"
        yield f"a restore now: {_short(trial['restored'])}"
    is_done = trial["kind"] == "restore" and trial["steps"][0]["status"] == 0
    if is_done or not trial["again"]:
        yield "next run: not needed"
        return
    for step in trial["again"]:
        yield f"next run: {_step(step)}"
    what = "a new backup" if trial["kind"] == "backup" else "one restored server"
    yield f"then: {what if trial['healed'] else f'**not {what}**'}"
    yield f"left then: {_counted(trial['left_then'])}"


def _older(trial: dict[str, Any]) -> str:
    if trial["older"]:
        return "kept"
    # A retention of one image deletes it once the new one is complete.
    is_replaced = trial["restored"] == "the new one"
    return "replaced by the new one" if is_replaced else "**lost**"


def _step(step: dict[str, Any]) -> str:
    if step["status"] < 0:
        return "killed"
    said = f": ``{_short(step['said'])}``" if step["said"] else ""
    return f"status {step['status']}{said}"


def _counted(things: list[str]) -> str:
    return (
        ", ".join(f"{n} x {what}" for what, n in Counter(things).items()) or "nothing"
    )


def _short(text: str) -> str:
    for pattern, instead in _NOISE:
        text = re.sub(pattern, instead, text)
    text = text.replace("`", "'")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _head(title: str, widths: str, names: tuple[str, ...]) -> Iterator[str]:
    yield f".. list-table:: {title}"
    yield "   :header-rows: 1"
    yield f"   :widths: {widths}"
    yield ""
    yield from _row(names[0], *([each] for each in names[1:]))


def _row(title: str, *cells: list[str]) -> Iterator[str]:
    yield f"   * - {title}".rstrip()
    for cell in cells:
        for number, line in enumerate(cell):
            bar = "| " if len(cell) > 1 else ""
            yield f"     {'-' if not number else ' '} {bar}{line}"
