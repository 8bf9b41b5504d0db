"""Snapshots of real disks: when the disk is copied, and what the image holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rax_scheduled_images_ext.sandbox.backend.state import LibvirtTimings

from ..interop.cloud.layout import Layout
from ..interop.cloud.services import Services
from ..interop.terminal import Terminal
from .guests import Guest, Lab, last_tick

_TRIGGER = """
CREATE TABLE passed (id INTEGER PRIMARY KEY, uuid TEXT, task_state TEXT);
CREATE TRIGGER pass AFTER UPDATE OF task_state ON instances
WHEN OLD.task_state IS NOT NEW.task_state
BEGIN INSERT INTO passed (uuid, task_state) VALUES (NEW.uuid, NEW.task_state); END;
"""


@contextmanager
def passed_states(layout: Layout, guest: Guest) -> Iterator[list[str | None]]:
    """Return the task states that a server passes through, each of them.

    Nova's database notes them: whoever polls may miss those that last an instant.
    """
    states: list[str | None] = []
    path = layout.databases / "nova_cell1.sqlite"
    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.executescript(_TRIGGER)
        try:
            yield states
        finally:
            query = "SELECT task_state FROM passed WHERE uuid = ? ORDER BY id"
            states += [state for (state,) in database.execute(query, (guest.id,))]
            database.executescript("DROP TRIGGER pass; DROP TABLE passed;")


def test_the_disk_is_copied_in_the_second_image_pending_upload(
    services: Services, terminal: Terminal, lab: Lab, server: tuple[str, Guest]
) -> None:
    name, guest = server
    guest.count_to(5)
    with passed_states(services.layout, guest) as states:
        terminal.run(f"nova snapshot-create --wait {name} {name}-image")
    # The sandbox passes through the same ones with --hypervisor libvirt.
    assert states == [*(state for state, _ in LibvirtTimings().phases), None]


def test_what_was_written_before_is_in_and_nothing_of_after(
    terminal: Terminal, lab: Lab, server: tuple[str, Guest], tmp_path: Path
) -> None:
    """What counts is the guest's own word, before and after the disk is held."""
    name, guest = server
    guest.count_to(5)
    console = f"sh -c 'nova console-log {name} > {tmp_path}/%s'"
    before, after = console % "before", console % "after"
    terminal.run(
        f'nova snapshot-create --wait --before "{before}" --after "{after}"'
        f" {name} {name}-image"
    )
    terminal.run(f"nova scheduled-images-restore {name} --as {name}-back --yes --wait")
    back = lab.guest(f"{name}-back")
    shown = [(tmp_path / each).read_text() for each in ("before", "after")]
    assert last_tick(shown[0]) <= back.check().last <= last_tick(shown[1])
    lab.delete(back)
