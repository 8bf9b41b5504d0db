"""The two clouds that must agree, and what the real one once answered."""

from __future__ import annotations

import json
from pathlib import Path

from rax_scheduled_images_ext.sandbox import Sandbox

from ..cloud.layout import DEFAULT_STATE, Layout
from .answer import Summary
from .runner import run

RECORDING = Path(__file__).parent / "recording.json"

# A member of a project, one who may only look at it, and one of another project.
_REAL = {"user": "demo", "reader": "observer", "stranger": "stranger"}
_SANDBOX = {"user": "creator", "reader": "observer", "stranger": "stranger"}

Answers = dict[str, Summary]


def real_answers() -> Answers:
    """Run the table on the real cloud, which must be up."""
    layout = Layout(DEFAULT_STATE)
    return run({who: layout.environ(name) for who, name in _REAL.items()})


def sandbox_answers() -> Answers:
    """Run the table on a fresh sandbox, without waiting."""
    with Sandbox(speed=0) as sandbox:
        people = {who: sandbox.env(name) for who, name in _SANDBOX.items()}
        return run(people, sleep=lambda seconds: move(sandbox, seconds))


def move(sandbox: Sandbox, seconds: float) -> None:
    """Let the sandbox's time pass; its snapshots are slower than the real cloud's."""
    sandbox.advance(20 * seconds)


def recorded_answers() -> Answers:
    """Return what the real cloud answered when it was recorded."""
    answers: Answers = json.loads(RECORDING.read_text())
    return answers


def record(answers: Answers) -> None:
    """Keep answers of the real cloud, a line each."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(answer, sort_keys=True)}"
        for name, answer in answers.items()
    )
    RECORDING.write_text("{\n" + ",\n".join(lines) + "\n}\n")
