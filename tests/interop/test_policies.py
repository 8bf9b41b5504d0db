"""Policies on the real Nova, which must be up: whoever acts by hand wins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rax_scheduled_images_ext.model.policies import fingerprint
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag

from ..scenarios.resources import Workshop
from .cloud.layout import DEFAULT_STATE, Layout
from .terminal import NEEDS_CLOUD, NEEDS_OPENSTACK, Terminal

pytestmark = NEEDS_CLOUD

# Other servers of the project are not its business.
FILE = """
version: 1
prefix: ops
policies:
  - name: everybody
    match: {{name: "^{prefix}"}}
    schedule: {{every: daily, keep: {{last: 7}}}}
except: {{tags: [no-images], name: "^(?!{prefix})"}}
"""
DAILY = schedule_tag(ImageSchedule(7))
WEEKLY = schedule_tag(ImageSchedule(4, "SATURDAY"))
GIVEN = {MARKER_TAG, DAILY, f"{MARKER_TAG}-policy:ops-everybody:1:{fingerprint(DAILY)}"}


@pytest.fixture
def resources() -> Iterator[Workshop]:
    resources = Workshop(Layout(DEFAULT_STATE).environ("demo"))
    yield resources
    resources.clear()


def tags(resources: Workshop, server_id: str) -> set[str]:
    server = resources.server(server_id)
    assert server is not None
    return set(server["tags"])


@NEEDS_OPENSTACK
def test_a_policy_gives_and_by_hand_wins(tmp_path: Path, resources: Workshop) -> None:
    terminal = Terminal(tmp_path, Layout(DEFAULT_STATE).environ("demo"))
    (tmp_path / "policies.yaml").write_text(FILE.format(prefix=resources.prefix))
    weekly, ended, excepted = (resources.boot() for _ in range(3))
    path = f"/servers/{excepted[1]}/tags"
    resources.api.do("compute", "PUT", path, {"tags": ["no-images"]})
    # Servers of which it is shown, by both shells, that nobody has covered them.
    check = "scheduled-images-check --unprotected --policies policies.yaml"
    found = terminal.try_to(f"nova {check}")
    assert found.returncode == 3, found
    lines = [line for line in found.stdout.splitlines() if "unprotected: " in line]
    named = {server[1] for server in (weekly, ended) if server[1] in found.stdout}
    assert (len(lines), named) == (2, {weekly[1], ended[1]})
    checked = terminal.try_to(
        "openstack server image schedule check --unprotected --policies policies.yaml"
    )
    assert checked.returncode == 3, checked
    assert weekly[1] in checked.stdout + checked.stderr

    printed = terminal.run(
        "scheduled-images-service plan --policies policies.yaml --format json"
    )
    planned = {row["id"]: row["action"] for row in json.loads(printed)}
    assert planned == {weekly[1]: "give schedule", ended[1]: "give schedule"}
    assert not tags(resources, weekly[1])
    tick = "scheduled-images-service tick --policies policies.yaml"
    done = terminal.try_to(tick)
    assert (done.returncode, done.stderr.count(" schedule given ")) == (0, 2), done
    assert tags(resources, weekly[1]) == tags(resources, ended[1]) == GIVEN
    assert tags(resources, excepted[1]) == {"no-images"}
    assert terminal.run(f"nova {check}").startswith("ok: ")

    terminal.run(f"nova scheduled-images-enable --day-of-week sat {weekly[0]} 4")
    terminal.run(f"openstack server image schedule unset {ended[0]}")
    for _ in range(2):
        terminal.run(tick)
        assert tags(resources, weekly[1]) == {MARKER_TAG, WEEKLY}
        assert tags(resources, ended[1]) == {f"{MARKER_TAG}:off"}
    # Nobody is named who was left out on purpose.
    assert terminal.run(f"nova {check}").startswith("ok: ")
    # A new server is covered by the next tick, and not by the one before it.
    _, new = resources.boot()
    assert new in terminal.try_to(f"nova {check}").stdout
    terminal.run(tick)
    assert tags(resources, new) == GIVEN
