"""The panel's page of the servers that are gone."""

from __future__ import annotations

import csv
import json

import pytest

from rax_scheduled_images_ext.model.image import SERVER_KEY
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from .fleet import MYSERVER
from .gone import (
    delete_server,
    left,
    make_elsewhere,
    make_images,
    plain,
    restore_server,
    shared,
)
from .panels import Page, Panel, Reader, panel_over
from .runners import made


def looking(panel: Panel) -> Reader:
    """Somebody who looks at the servers that are gone."""
    reader = panel.reader()
    reader.link("Servers that are gone")
    return reader


def cells(page: Page) -> list[str]:
    """What the row of the only one says."""
    assert len(page.all("#gone tbody tr")) == 1
    return page.all("#gone tbody td")


@plain
def test_they_are_those_of_the_list(panel: Panel, nova: Nova, cloud: Sandbox) -> None:
    images = make_images(cloud, 3)
    assert looking(panel).page.all(".empty")
    nova.ok("scheduled-images-protect", images[0])
    delete_server(cloud)
    cloud.advance("2d")
    with panel_over(cloud) as later:
        reader = looking(later)
        page = reader.page
        assert page.all("#gone tbody th") == ["myserver"]
        (listed,) = json.loads(
            nova.ok("scheduled-images-list", "--gone", "--format", "json")
        )
        assert (listed["images"], listed["kept"]) == (2, 1)
        gib = f"{listed['gib']:.1f} GiB"
        assert cells(page)[:4] == [
            *(MYSERVER, "deleted 2d ago 2026-01-07 17:51 UTC"),
            *("2, 1 kept", gib),
        ]
        assert cells(page)[4].startswith("2d5m ago")
        assert page.all("#count") == [f"1 server, {gib} in images"]
        assert not page.has("#unknown")
        restore = reader.link("Restore…")
        assert restore.all("h1") == ["Restore myserver"]
        # There is no old one to be beside.
        assert "the old one" not in restore.text
        shown = reader.link("myserver").text
        assert "This server is deleted." in shown
        # By the same clock as in the list.
        assert "Newest 2d5m ago" in shown
        reader.get(f"{page.path}?format=csv")
        (saved,) = csv.DictReader(reader.page.response.text.splitlines())
        assert saved == {key: str(value) for key, value in listed.items()}


@plain
def test_their_images_are_deleted_after_a_review(
    panel: Panel, nova: Nova, cloud: Sandbox
) -> None:
    images = make_images(cloud, 3)
    nova.ok("scheduled-images-protect", images[0])
    delete_server(cloud)
    reader = looking(panel)
    reader.link("myserver")
    page = reader.link("Delete its scheduled images…")
    assert page.all("h1") == ["myserver: delete its scheduled images"]
    assert len(page.all("#plan tbody tr")) == 2
    assert left(cloud) == images
    page = reader.submit("form:has(#confirm)")
    assert page.messages == ["2 images were deleted."]
    # What is kept for good stays, and is no reason to list the server.
    assert left(cloud) == images[:1]
    assert page.all("h1") == ["Servers that are gone"]
    assert not page.has("#gone")


@plain
def test_one_that_is_back_keeps_its_images(panel: Panel, cloud: Sandbox) -> None:
    images = make_images(cloud, 2)
    delete_server(cloud)
    reader = looking(panel)
    reader.link("myserver")
    reader.link("Delete its scheduled images…")
    form = reader.fill("form:has(#confirm)")
    restore_server(cloud)
    page = reader.post(*form)
    assert "is not gone" in page.text
    assert left(cloud) == images
    home = reader.get("/").path
    page = reader.get(f"{home}/{MYSERVER}/prune?gone=yes")
    assert (page.status, page.has("#confirm")) == (409, False)


@shared
def test_of_an_unknown_region_nothing_is_deleted(panel: Panel, cloud: Sandbox) -> None:
    images = make_elsewhere(cloud, 2)
    server_id = made(cloud)[0].properties[SERVER_KEY]
    reader = looking(panel)
    page = reader.page
    assert cells(page)[1] == "region unknown"
    assert page.has("#unknown")
    assert cells(page)[-1] == "Restore…"
    home = page.path.removesuffix("/gone")
    for address in (
        f"{home}/servers/{server_id}/prune?gone=yes",
        f"{home}/servers/{server_id}/images/delete?image={images[0]}",
    ):
        page = reader.get(address)
        assert page.status == 409, address
        assert "is not known to have been in this region" in page.text
        assert not page.has("#confirm")
    # Nor is it called deleted.
    page = reader.get(f"{home}/servers/{server_id}")
    (said,) = page.all("#summary .message.failed")
    assert said.endswith(
        ": it is deleted, or in another region that has the same images."
    )
    assert left(cloud) == images


@plain
def test_what_cannot_be_read_is_unknown(panel: Panel, cloud: Sandbox) -> None:
    images = make_images(cloud, 1)
    delete_server(cloud)
    cloud.fault(f"GET /servers/{MYSERVER} 503")
    page = looking(panel).page
    assert "it is unknown whether it is gone" in page.at("#problem").text
    assert not page.has("#gone")
    assert left(cloud) == images


@plain
def test_who_may_only_look_is_offered_no_action(cloud: Sandbox) -> None:
    make_images(cloud, 1)
    delete_server(cloud)
    with panel_over(cloud, login=True) as panel:
        reader = panel.logged_in("observer")
        page = reader.link("Servers that are gone")
        assert "Restore" not in page.at("#gone").text
        page = reader.link("myserver")
        assert page.has("#image-table")
        assert not page.has("#prune")


@pytest.mark.parametrize(
    "cloud", [{"servers": 126, "images_per_server": 2}], indirect=True
)
def test_a_hundred_fit_into_sixty_kilobytes(panel: Panel, cloud: Sandbox) -> None:
    for server_id in {image.properties[SERVER_KEY] for image in made(cloud)}:
        delete_server(cloud, str(server_id))
    reader = looking(panel)
    page = reader.page
    assert page.all("#count")[0].startswith("126 servers, ")
    assert len(page.all("#gone tbody th")) == 100
    assert len(page.response.content) < 60_000
    assert len(reader.link("Next").all("#gone tbody th")) == 26
    assert reader.link("Previous").all("#gone th") == page.all("#gone th")
