"""What workers send each other, those of earlier releases among them.

The modules of workers read the configuration when they are imported, so they are asked
in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from rax_scheduled_images_ext.sandbox import Sandbox

SETUP = """
import json, sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from rax_scheduled_images_ext.engine.find import OpenImages, Page
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.note import Refusal, new_note
from rax_scheduled_images_ext.model.plan import Action, Cause, Step
from rax_scheduled_images_ext.model.slots import (
    Slot,
)
from rax_scheduled_images_ext.service.workers.sender import look_arguments
from rax_scheduled_images_ext.service.workers.tally import add_page

now = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)
server = InventoryServer("server", "web", project_id="project")
slot = Slot("2026-01-05", now - timedelta(minutes=5))
note = new_note(None, slot.name, Refusal.BUSY, 0, frozenset({0}), 1, now, "busy")
step = Step(server, Action.MAKE, Cause.DUE, slot, since=slot.due)
noted = Step(server, Action.MAKE, Cause.DUE, slot, since=slot.due, note=note)
page = Page(now, [step], None, Counter("a"), OpenImages.of([], []))
print(json.dumps(eval(sys.argv[1])))
"""


def answer(cloud: Sandbox, expression: str) -> Any:
    """What an expression is in a worker."""
    program = [sys.executable, "-c", SETUP, expression]
    done = subprocess.run(
        program, env=cloud.environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_look_without_a_note_is_one_that_earlier_workers_know(cloud: Sandbox) -> None:
    looks = "[look_arguments('DFW', each, 1.5) for each in (step, noted)]"
    plain, noted = answer(cloud, looks)
    assert plain == ["DFW", "project", "server", "2026-01-05", 1.5]
    assert noted[:-1] == plain
    assert json.loads(noted[-1][1])["reason"] == "busy"


def test_a_tally_of_earlier_workers_goes_on(cloud: Sandbox) -> None:
    """They pass on only what they count themselves."""
    names = ("began", "servers", "due", "oldest", "invalid", "under_way")
    before = dict.fromkeys(names, 2)
    assert answer(cloud, f"add_page({before}, page, 0)") == {
        "began": 2,
        "servers": 3,
        "due": 3,
        "oldest": 300.0,
        "invalid": 2,
        "under_way": 1,
        "hanging": 0,
        "missing": 0,
        "proofs": None,
    }
