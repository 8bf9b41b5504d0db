"""Horizon's panel over a real Keystone, Nova and Glance, which must be up.

For an environment that has Horizon.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rax_scheduled_images_ext
from rax_scheduled_images_ext.model import metadefs
from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag

pytest.importorskip("openstack_dashboard")

from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from werkzeug.test import Client as Browser

from ..functional.documents import ROOT, Document
from ..horizon.dashboard import PANEL, Dashboard, Page
from ..scenarios.resources import Workshop
from .cloud.api import Administrator
from .cloud.install import run
from .cloud.layout import DEFAULT_STATE, GLANCE, KEYSTONE, REGION, Layout, url
from .fronts import proxied
from .terminal import NEEDS_CLOUD

pytestmark = [NEEDS_CLOUD, pytest.mark.filterwarnings("default")]
LAYOUT = Layout(DEFAULT_STATE)
PAGE = Document(ROOT / "doc/source/panel/horizon.rst")
INSTANCES = "/project/instances/"
NAMESPACE = metadefs.definition()["namespace"]


class People:
    """The people who can log in to the real cloud."""

    def env(self, user: str = "demo") -> dict[str, str]:
        return LAYOUT.environ(user)

    def servers(self) -> list[Any]:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def keystone() -> Iterator[None]:
    with override_settings(OPENSTACK_KEYSTONE_URL=url(KEYSTONE, "/v3")):
        yield


@pytest.fixture
def demo() -> Dashboard:
    """A member of the project, who has logged in."""
    return Dashboard(People(), "demo")


@pytest.fixture
def resources() -> Iterator[Workshop]:
    resources = Workshop(LAYOUT.environ("demo"))
    yield resources
    resources.clear()


@pytest.fixture
def server(resources: Workshop) -> tuple[str, str]:
    """The ID of a server, and its page."""
    _, server_id = resources.boot()
    return server_id, f"{PANEL}{server_id}/"


def tags(resources: Workshop, server_id: str) -> set[str]:
    found = resources.server(server_id)
    assert found is not None
    return set(found["tags"])


def set_schedule(demo: Dashboard, path: str, **fields: str) -> Page:
    """Set a schedule as a person does: look at the forecast, continue."""
    shown = demo.send(f"{path}schedule/", "schedule_form", **fields)
    assert shown.soup.select("#forecast"), shown.soup.text
    return demo.again(shown, f"{path}schedule/", "schedule_form")


def ids(page: Page) -> list[str]:
    """The IDs of what a table shows."""
    rows = page.soup.select("tr[data-object-id]")
    return [str(row["data-object-id"]) for row in rows]


def test_a_schedule_from_the_first_look_to_its_end(
    resources: Workshop, demo: Dashboard, server: tuple[str, str]
) -> None:
    server_id, path = server
    page = demo.servers()
    assert (page.status, page.messages) == (200, [])
    assert server_id in ids(page)
    assert {"Set Schedule", "Take Snapshot"} <= set(page.actions(server_id))
    assert demo.get(path).at("#schedule") == "no schedule"
    done = set_schedule(demo, path, when="SATURDAY", last="4")
    assert done.messages == [
        "Success: Saved the schedule of 1 server: weekly on Saturday; keeps the newest"
        " 4 images."
    ]
    weekly = schedule_tag(ImageSchedule(4, "SATURDAY"))
    assert tags(resources, server_id) == {MARKER_TAG, weekly}
    fields = demo.get(f"{path}schedule/").fields("schedule_form")
    assert (fields["when"], fields["last"]) == ("SATURDAY", "4")
    page = demo.servers()
    (row,) = (row for row in page.rows if row[0] == name_of(resources, server_id))
    assert row[1:3] == ["No image yet", "weekly on Saturday"]
    done = demo.act(PANEL, f"scheduled_images__remove__{server_id}")
    assert done.messages == [
        f"Success: Removed Schedule: {name_of(resources, server_id)}"
    ]
    assert not tags(resources, server_id) & {MARKER_TAG, weekly}


def name_of(resources: Workshop, server_id: str) -> str:
    found = resources.server(server_id)
    assert found is not None
    return str(found["name"])


def test_images_from_the_snapshot_to_the_prune(
    resources: Workshop, demo: Dashboard, server: tuple[str, str]
) -> None:
    server_id, path = server
    set_schedule(demo, path, when="daily", last="7")
    made = []
    for _ in range(4):
        image_id = resources.snapshot(server_id, **{MARKER_KEY: MARKER_VALUE})
        resources.done(server_id, image_id)
        made.append(image_id)
    name = resources.name("by-hand")
    done = demo.send(f"{path}snapshot/", "snapshot_form", name=name)
    assert done.messages == [f"Info: The snapshot {name} has started."]
    (by_hand,) = (i["id"] for i in resources.images_of(server_id) if i["name"] == name)
    resources.done(server_id, by_hand)
    page = demo.get(path)
    assert page.messages == []
    assert sorted(ids(page)) == sorted([*made, by_hand])
    first, second, *_ = made
    done = demo.act(path, f"images__protect__{first}")
    assert done.messages[0].startswith("Success: Protected Image: ")
    image = resources.image(first)
    assert image is not None
    assert MARKER_KEY not in image
    shown = demo.get(f"{path}images/{first}/unprotect/")
    assert "The schedule counts the image again. It" in shown.at("#fate")
    done = demo.again(shown, f"{path}images/{first}/unprotect/", "unprotect_form")
    assert done.messages[0].endswith("is no longer protected.")
    done = demo.act(path, f"images__delete__{second}")
    assert done.messages[0].startswith("Success: Deleted Image: ")
    assert resources.image(second) is None
    # Those that a shorter retention leaves over go.
    shown = demo.send(f"{path}schedule/", "schedule_form", when="daily", last="1")
    # Two of them now, and the third with the next image.
    assert len(shown.all("#forecast tbody tr")) == 3
    demo.again(shown, f"{path}schedule/", "schedule_form")
    shown = demo.get(f"{path}prune/")
    assert len(shown.all("#plan tbody tr")) == 2
    done = demo.again(shown, f"{path}prune/", "prune_form")
    assert done.messages == ["Success: Deleted 2 images."]
    left = {image["id"] for image in resources.images_of(server_id)}
    assert (len(left), by_hand in left) == (2, True)


def test_a_server_is_restored_as_a_new_one(
    resources: Workshop, demo: Dashboard, server: tuple[str, str]
) -> None:
    server_id, path = server
    image_id = resources.snapshot(server_id)
    resources.done(server_id, image_id)
    name = resources.name("again")
    shown = demo.send(f"{path}restore/", "restore_form", new_name=name)
    assert "A new server is made from the image " in shown.at("#plan")
    done = demo.again(shown, f"{path}restore/", "restore_form")
    assert done.messages == [f"Info: The new server {name} is being made."]
    listed = resources.api.do("compute", "GET", f"/servers?name={name}")
    (made,) = (each["id"] for each in listed["servers"])
    resources.until(
        "the new server is ACTIVE",
        lambda: (resources.server(made) or {})["status"] == "ACTIVE",
    )
    found = resources.server(made)
    assert found is not None
    assert found["image"]["id"] == image_id


def test_who_only_reads_is_refused(
    resources: Workshop, demo: Dashboard, server: tuple[str, str]
) -> None:
    server_id, path = server
    set_schedule(demo, path, when="daily", last="7")
    observer = Dashboard(People(), "observer")
    page = observer.servers()
    assert page.actions(server_id) == ["Show Images"]
    assert page.table_actions == []
    refused = observer.act(PANEL, f"scheduled_images__remove__{server_id}")
    assert refused.messages[0].startswith("Error: You are not allowed to remove")
    shown = observer.send(f"{path}schedule/", "schedule_form", when="daily", last="1")
    again = observer.again(shown, f"{path}schedule/", "schedule_form")
    assert again.messages[0].startswith("Error: Unable to save the schedule of ")
    assert "403" in again.messages[0]
    assert schedule_tag(ImageSchedule(7)) in tags(resources, server_id)


def test_another_project_sees_nothing(server: tuple[str, str]) -> None:
    stranger = Dashboard(People(), "stranger")
    assert server[0] not in ids(stranger.servers())
    page = stranger.get(server[1])
    assert page.path == PANEL
    assert page.messages[0].startswith("Error: Unable to retrieve the server.")


def test_horizons_own_pages_lead_to_the_panel(
    demo: Dashboard, server: tuple[str, str]
) -> None:
    server_id, path = server
    page = demo.get(INSTANCES)
    (action,) = page.soup.select(
        f"#instances__row_{server_id}__action_scheduled_images"
    )
    assert action["href"] == path
    tab = f"{INSTANCES}{server_id}/?tab=instance_details__scheduled_images"
    assert demo.get(tab).at("#schedule") == "no schedule"


@pytest.fixture
def fronted() -> Iterator[str]:
    """A second region: the same services, with the extension's API before Nova."""
    administrator = Administrator(LAYOUT.environ("admin"))
    name, made = "Fronted", []
    administrator.post("identity", "/regions", {"region": {"id": name}})
    try:
        with proxied() as compute:
            addresses = {"nova": f"{compute}/v2.1", "glance": url(GLANCE)}
            for service, address in addresses.items():
                found = administrator.get("identity", f"/services?name={service}")
                endpoint = {
                    "service_id": found["services"][0]["id"],
                    "interface": "public",
                    "url": address,
                    "region_id": name,
                }
                body = {"endpoint": endpoint}
                done = administrator.post("identity", "/endpoints", body)
                made.append(done["endpoint"]["id"])
            yield name
    finally:
        for endpoint_id in made:
            administrator.delete("identity", f"/endpoints/{endpoint_id}")
        administrator.delete("identity", f"/regions/{name}")


def test_through_the_api_before_nova(
    resources: Workshop, server: tuple[str, str], fronted: str
) -> None:
    server_id, path = server
    demo = Dashboard(People(), "demo")
    note = "#needs-service"
    demo.get(f"/auth/switch_services_region/{REGION}/?next={PANEL}")
    assert demo.get(path).soup.select(note)
    demo.get(f"/auth/switch_services_region/{fronted}/?next={PANEL}")
    page = demo.get(path)
    assert (page.messages, page.soup.select(note)) == ([], [])
    done = set_schedule(demo, path, when="SATURDAY", last="4")
    assert done.messages[0].startswith("Success: Saved the schedule of 1 server: ")
    weekly = schedule_tag(ImageSchedule(4, "SATURDAY"))
    assert tags(resources, server_id) == {MARKER_TAG, weekly}
    # By the rights of the extension a member may not remove it.
    remove = f"scheduled_images__remove__{server_id}"
    refused = demo.act(PANEL, remove)
    assert refused.messages[0].startswith("Error: You are not allowed to remove")
    owner = Dashboard(People(), "owner")
    owner.get(f"/auth/switch_services_region/{fronted}/?next={PANEL}")
    done = owner.act(PANEL, remove)
    assert done.messages[0].startswith("Success: Removed Schedule: ")
    assert not tags(resources, server_id) & {MARKER_TAG, weekly}


@pytest.fixture
def loaded() -> Iterator[None]:
    """The definition of the marker, loaded as the document says."""
    line = PAGE.block("Explain the marker").removeprefix("# ").strip()
    folder = Path(*rax_scheduled_images_ext.__path__)
    assert "SITE-PACKAGES" in line
    manage(line.replace("SITE-PACKAGES", str(folder.parent)))
    yield
    manage("glance-manage db unload_metadefs")


def manage(line: str) -> None:
    """Run a command of Glance's own program."""
    program, *arguments = line.split()
    config = ("--config-dir", str(LAYOUT.etc / "glance"))
    run(LAYOUT, program, LAYOUT.bin(program), *config, *arguments)


def test_the_definition_of_the_marker(loaded: None, demo: Dashboard) -> None:
    member = Administrator(LAYOUT.environ("demo"))
    path = f"/metadefs/namespaces/{NAMESPACE}"
    found = member.get("image", path)
    definition = metadefs.definition()
    for key in ("display_name", "description", "visibility", "protected"):
        assert found[key] == definition[key]
    marker = definition["properties"][MARKER_KEY]
    assert found["properties"][MARKER_KEY] == marker
    (kind,) = found["resource_type_associations"]
    assert kind["name"] == "OS::Glance::Image"
    # What the dialog "Update Metadata" asks Horizon for; Django's own client for tests
    # cannot read such an answer.
    browser = Browser(get_wsgi_application())
    for cookie in demo.client.cookies.values():
        browser.set_cookie(cookie.key, cookie.value)
    shown = browser.get(
        "/api/glance/metadefs/namespaces/?resource_type=OS::Glance::Image",
        headers={"X-Requested-With": "XMLHttpRequest"},
    )
    assert shown.status_code == 200, shown.text
    (item,) = json.loads(shown.text)["items"]
    assert item["namespace"] == NAMESPACE
    assert item["properties"][MARKER_KEY]["description"] == marker["description"]
