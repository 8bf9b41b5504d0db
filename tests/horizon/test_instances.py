"""Horizon's own pages over the sandbox, and what is added to them."""

from __future__ import annotations

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from .dashboard import PANEL, Dashboard

INSTANCES = "/project/instances/"


@pytest.mark.parametrize(
    "path",
    [
        "/project/",
        INSTANCES,
        f"{INSTANCES}{{server}}/",
        f"{INSTANCES}{{server}}/?tab=instance_details__log",
        f"{INSTANCES}{{server}}/?tab=instance_details__audit",
    ],
)
def test_horizons_pages_show_no_errors(
    cloud: Sandbox, admin: Dashboard, path: str
) -> None:
    before = len(cloud.requests)
    page = admin.get(path.format(server=admin.id_of("myserver")))
    assert (page.status, page.messages) == (200, [])
    assert [each for each in cloud.requests[before:] if each.status >= 400] == []


def test_an_instance_has_a_link_to_its_images(admin: Dashboard) -> None:
    web1 = admin.id_of("web1")
    page = admin.get(INSTANCES)
    assert "Scheduled Images" in page.actions(web1)
    (action,) = page.soup.select(f"#instances__row_{web1}__action_scheduled_images")
    assert action["href"] == f"{PANEL}{web1}/"


def test_an_instances_page_has_a_tab(admin: Dashboard) -> None:
    web1 = admin.id_of("web1")
    page = admin.get(f"{INSTANCES}{web1}/?tab=instance_details__scheduled_images")
    assert page.at("#schedule") == "no schedule"
    assert page.soup.select(f'a[href="{PANEL}{web1}/"]')
