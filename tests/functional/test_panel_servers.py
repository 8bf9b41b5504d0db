"""The panel's page of all servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from .fleet import id_of
from .panels import Panel, panel_over

FACES = [{}, {"like": "rackspace"}, {"extension": False}]
on_all_faces = pytest.mark.parametrize("cloud", FACES, indirect=True)


@pytest.fixture
def panel(cloud: Sandbox) -> Iterator[Panel]:
    with panel_over(cloud) as panel:
        yield panel


@on_all_faces
def test_the_servers_with_their_schedules(panel: Panel, nova: Nova) -> None:
    nova.ok("scheduled-images-enable", "--day-of-week", "sat", "web1", "4")
    page = panel.reader().page

    assert page.status == 200
    assert page.title.startswith("Servers of ")
    rows = {row[:3]: row for row in page.all("#servers tbody tr")}
    assert len(rows) == 4
    web1 = page.all(f"#server-{id_of(panel.cloud, 'web1')} td")
    assert web1[1:4] == ["never", "weekly on Saturday", "4"]
