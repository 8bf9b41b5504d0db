"""The page of one server: its images, and what can be done with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from rax_scheduled_images_ext.horizon.forms import RestoreForm
from rax_scheduled_images_ext.horizon.restore import Progress
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.sandbox import Sandbox

from .dashboard import PANEL, Dashboard, Page
from .test_servers import set_schedule


@pytest.fixture
def web1(cloud: Sandbox, admin: Dashboard) -> str:
    """The page of a server with the three images that it keeps."""
    set_schedule(admin, "web1", when="daily", last="3")
    cloud.advance("3d")
    return f"{PANEL}{admin.id_of('web1')}/"


def image_ids(admin: Dashboard, path: str) -> list[str]:
    found = admin.get(path).soup.select("tr[data-object-id]")
    return [str(row["data-object-id"]) for row in found]


def test_images_show_what_the_schedule_does_with_them(
    admin: Dashboard, web1: str
) -> None:
    page = admin.get(web1)
    assert page.at("#state") == "OK"
    assert [row[3] for row in page.rows] == [
        "expires in 3 runs",
        "expires in 2 runs",
        "expires next",
    ]
    assert page.rows[0][4] == "number 1 of the newest 3"


def test_protecting_an_image_and_returning_it_to_its_schedule(
    cloud: Sandbox, admin: Dashboard, web1: str
) -> None:
    oldest = image_ids(admin, web1)[-1]
    assert "Unprotect Image" not in admin.get(web1).actions(oldest)
    done = admin.act(web1, f"images__protect__{oldest}")
    assert done.messages[0].startswith("Success: Protected Image: Daily-web1-")
    assert done.rows[-1][3:5] == ["kept (exempt)", "protected"]
    assert done.actions(oldest) == [
        "Delete Image",
        "Restore From Image",
        "Unprotect Image",
    ]
    path = f"{web1}images/{oldest}/unprotect/"
    shown = admin.get(path)
    assert "It then expires next (last of the newest 3)." in shown.at("#fate")
    # What would become of it changes before it is confirmed.
    cloud.advance("1d")
    again = admin.again(shown, path, "unprotect_form")
    assert again.messages[0].startswith("Warning: This has changed since it was shown.")
    assert "older than the newest 3" in again.at("#fate")
    done = admin.again(again, path, "unprotect_form")
    assert done.messages[0].endswith("is no longer protected.")
    assert "expires next" in done.rows[-1][3]
    # An old link to the form does not open it.
    refused = admin.get(path)
    assert refused.path == web1
    assert refused.messages[0].endswith("is not protected.")


@pytest.mark.parametrize("action", ["protect", "delete"])
def test_an_old_page_is_told_what_no_longer_fits(
    cloud: Sandbox, admin: Dashboard, web1: str, action: str
) -> None:
    newest, *_, oldest = image_ids(admin, web1)
    admin.act(web1, f"images__delete__{oldest}")
    page = admin.act(web1, f"images__{action}__{oldest}")
    assert page.messages == [f"Error: The image {oldest} no longer exists."]
    # The others are done.
    both = admin.act(web1, f"images__{action}", oldest, newest)
    gone, done = both.messages
    assert gone == f"Error: The image {oldest} no longer exists."
    assert done.startswith("Success: ")


def test_what_does_not_fit_an_image_is_not_called_forbidden(
    cloud: Sandbox, admin: Dashboard, web1: str
) -> None:
    admin.send(f"{web1}snapshot/", "snapshot_form", name="before-upgrade")
    snapshot, newest, *_ = image_ids(admin, web1)
    page = admin.act(web1, "images__protect", snapshot, newest)
    why, done = page.messages
    assert why == (
        "Error: before-upgrade needs no protection: no schedule counts or deletes it."
    )
    assert done.startswith("Success: Protected Image: Daily-web1-")
    (again,) = admin.act(web1, f"images__protect__{newest}").messages
    assert again.endswith("is protected already.")
    (none,) = admin.act(PANEL, "scheduled_images__remove", admin.id_of("db1")).messages
    assert none == "Error: db1 has no schedule."


def test_deleting_asks_and_deletes(cloud: Sandbox, admin: Dashboard, web1: str) -> None:
    newest, *others = image_ids(admin, web1)
    page = admin.get(web1)
    (button,) = page.soup.select(f'tr[data-object-id="{newest}"] button.btn-danger')
    assert button["data-batch-action"] == "true"
    done = admin.act(web1, f"images__delete__{newest}")
    assert done.messages[0].startswith("Success: Deleted Image: Daily-web1-")
    assert image_ids(admin, web1) == others


def test_pruning_shows_what_goes_and_deletes_only_that(
    cloud: Sandbox, admin: Dashboard, web1: str
) -> None:
    path = f"{web1}prune/"
    assert admin.get(path).at("#nothing").startswith("No image is beyond the retention")
    set_schedule(admin, "web1", when="daily", last="1")
    shown = admin.get(path)
    assert len(shown.all("#plan tbody tr")) == 2
    kept = image_ids(admin, web1)[1]
    admin.act(web1, f"images__protect__{kept}")
    again = admin.again(shown, path, "prune_form")
    assert again.messages == [
        "Warning: This has changed since it was shown. Nothing was done."
    ]
    assert len(image_ids(admin, web1)) == 3
    done = admin.again(again, path, "prune_form")
    assert done.messages == ["Success: Deleted 1 image."]
    assert len(image_ids(admin, web1)) == 2
    assert kept in image_ids(admin, web1)


def test_a_snapshot_starts(admin: Dashboard, web1: str) -> None:
    done = admin.send(f"{web1}snapshot/", "snapshot_form", name="before the upgrade")
    assert done.messages == ["Info: The snapshot before the upgrade has started."]
    assert done.rows[0][0] == "before the upgrade"
    busy = admin.send(f"{web1}snapshot/", "snapshot_form", name="another")
    assert "is busy" in busy.messages[0]


def test_a_restore_shows_its_plan_and_makes_the_server_once_that_was_shown(
    cloud: Sandbox, admin: Dashboard, web1: str
) -> None:
    path, before = f"{web1}restore/", len(cloud.servers())
    shown = admin.send(path, "restore_form", new_name="web1-again")
    assert "A new server is made from the image Daily-web1-" in shown.at("#plan")
    assert "The old one stays as it is. Flavor" in shown.at("#plan")
    assert "Security groups default" in shown.at("#plan")
    assert len(cloud.servers()) == before
    done = admin.again(shown, path, "restore_form")
    assert done.messages == ["Info: The new server web1-again is being made."]
    page = f"/project/instances/{admin.id_of('web1-again')}/"
    (link,) = done.soup.select(".messages .alert-info p a")
    assert link["href"] == page
    # Once it is there, it is not offered again.
    shown = admin.send(path, "restore_form", new_name="web1-again")
    assert "web1-again is already there from an earlier restore." in shown.at("#plan")
    assert [each["href"] for each in shown.soup.select("#plan a")] == [page]
    assert buttons(shown) == ["Continue"]
    assert buttons(admin.again(shown, path, "restore_form")) == ["Continue"]


def test_the_name_of_a_new_server_is_text(admin: Dashboard, web1: str) -> None:
    path = f"{web1}restore/"
    shown = admin.send(path, "restore_form", new_name="<b>m3</b>")
    done = admin.again(shown, path, "restore_form")
    assert done.messages == ["Info: The new server <b>m3</b> is being made."]


def buttons(page: Page) -> list[str]:
    found = page.soup.select("#restore_form input[type=submit]")
    return [str(each["value"]) for each in found]


def ended(cloud: Sandbox, admin: Dashboard, path: str) -> Page:
    """The page of a server once its restore in place is over."""
    for _ in range(60):
        page = admin.get(path)
        if "being restored" not in page.at("#restore"):
            return page
        cloud.advance("1m")
        time.sleep(0.5)
    raise AssertionError(page.at("#restore"))


def disk_of(cloud: Sandbox, admin: Dashboard) -> str | None:
    (found,) = (each for each in cloud.servers() if each.name == "web1")
    return found.image_id


def test_a_restore_in_place_asks_makes_a_safety_image_and_can_be_undone(
    cloud: Sandbox, admin: Dashboard, login: Callable[..., Dashboard], web1: str
) -> None:
    path, before = f"{web1}restore/", disk_of(cloud, admin)
    newest, *_ = image_ids(admin, web1)
    shown = admin.send(path, "restore_form", how="in-place", image=newest)
    assert "The disk of web1 is replaced by the image Daily-web1-" in shown.at("#plan")
    assert "First, a safety image" in shown.at("#plan")
    (button,) = shown.soup.select("#restore_form .btn-danger")
    assert button["value"] == "Replace Disk"
    assert disk_of(cloud, admin) == before
    started = admin.again(shown, path, "restore_form")
    assert "is being restored in place from Daily-web1-" in started.at("#restore")
    # Whoever sends it again does not start a second one, nor plan it.
    for twice in (
        admin.again(shown, path, "restore_form"),
        admin.send(path, "restore_form", how="in-place", image=newest),
    ):
        assert twice.all("#restore_form .alert-danger") == [
            "Server web1 is being restored already"
        ]
        assert not twice.soup.select("#plan")
    assert disk_of(cloud, admin) == before
    done = ended(cloud, admin, web1)
    assert "was restored in place from Daily-web1-" in done.at("#restore")
    assert "is ACTIVE" in done.at("#restore")
    assert disk_of(cloud, admin) == newest
    (safety,) = (row for row in done.rows if row[0].startswith("before-restore-web1"))
    assert safety[3] == "kept (exempt)"
    # Who only reads is not offered to undo it.
    assert not login("observer").get(web1).soup.select("#undo")
    # A later one that fails leaves it.
    again = admin.send(path, "restore_form", how="in-place", image=newest)
    cloud.fault("POST /action 403")
    admin.again(again, path, "restore_form")
    failed = ended(cloud, admin, web1)
    assert "has failed." in failed.at("#restore")
    assert failed.at("#undo") == "Undo Earlier Restore"
    assert (
        failed.soup.select("#undo")[0]["href"] == done.soup.select("#undo")[0]["href"]
    )
    # Undo opens the form with what undoes it.
    (undo,) = done.soup.select("#undo")
    path = f"{web1}{undo['href']}"
    shown = admin.send(path, "restore_form")
    assert "replaced by the image before-restore-web1-" in shown.at("#plan")
    admin.again(shown, path, "restore_form")
    assert "from before-restore-web1-" in ended(cloud, admin, web1).at("#restore")


def test_a_plan_that_has_changed_since_is_shown_again(
    cloud: Sandbox, admin: Dashboard, web1: str
) -> None:
    path, before = f"{web1}restore/", disk_of(cloud, admin)
    shown = admin.send(path, "restore_form", how="in-place")
    cloud.advance("1d")
    again = admin.again(shown, path, "restore_form")
    assert again.messages[0].startswith("Warning: This has changed since it was shown.")
    assert again.at("#plan") != shown.at("#plan")
    assert (disk_of(cloud, admin), admin.get(web1).all("#restore")) == (before, [])


def test_a_restore_in_place_that_fails_says_that_the_disk_is_as_it_was(
    cloud: Sandbox, admin: Dashboard, web1: str
) -> None:
    path, before = f"{web1}restore/", disk_of(cloud, admin)
    shown = admin.send(path, "restore_form", how="in-place")
    cloud.fault("POST /action 403")
    admin.again(shown, path, "restore_form")
    page = ended(cloud, admin, web1)
    assert "has failed. The safety image was refused" in page.at("#restore")
    # Once is enough.
    assert "so nothing was changed: " in page.at("#restore")
    assert page.at("#restore").endswith(".")
    assert "The disk was not changed." not in page.at("#restore")
    assert not page.soup.select("#undo")
    assert disk_of(cloud, admin) == before


def test_a_restore_whose_process_has_ended_is_not_called_running(
    cloud: Sandbox, admin: Dashboard, web1: str
) -> None:
    long_ago = datetime.now(timezone.utc) - timedelta(minutes=10)
    Progress(admin.id_of("web1"), "Daily-web1", long_ago, "SAVING").save()
    page = admin.get(web1)
    assert "Start the same restore again to continue it." in page.at("#restore")
    assert "not changed" not in page.at("#restore")


def test_a_refusal_names_the_fields_of_the_form(
    cloud: Sandbox, admin: Dashboard, web1: str
) -> None:
    server_id = admin.id_of("web1")
    with cloud.region() as region:
        region.servers.lock(server_id, True)
    page = admin.send(f"{web1}restore/", "restore_form", how="in-place")
    (problem,) = page.all("#restore_form .alert-danger")
    assert "locked" in problem
    assert "--" not in problem
    assert not page.soup.select("#plan")


def test_an_image_that_is_deleted_by_now_has_no_date() -> None:
    form = RestoreForm.__new__(RestoreForm)
    plan: Any = SimpleNamespace(image=ServerImage("3e0cd9bf", "", "UNKNOWN"))
    form.plan = plan
    assert form.plan_image == "3e0cd9bf, which is deleted by now"


def test_a_name_is_asked_for_only_with_a_new_server(
    admin: Dashboard, web1: str
) -> None:
    page = admin.send(f"{web1}restore/", "restore_form", new_name=" ")
    assert "This field is required." in page.at("#restore_form .has-error")
    page = admin.send(f"{web1}restore/", "restore_form", how="in-place", new_name=" ")
    assert "The disk of web1 is replaced" in page.at("#plan")


def test_a_deleted_server_still_has_its_images_and_is_made_anew_from_them(
    cloud: Sandbox, admin: Dashboard, web1: str
) -> None:
    server_id = admin.id_of("web1")
    now = datetime.now(timezone.utc)
    Progress(server_id, "Daily-web1", now, "ACTIVE", "done", True, "1").save()
    assert admin.get(web1).soup.select("#undo")
    with cloud.region() as region:
        region.servers.delete(server_id)
    page = admin.get(web1)
    assert not page.soup.select("#restore, #undo")
    assert page.at(".page-header h1") == "web1"
    # Whoever has its ID finds it.
    name = "scheduled_images__servers_filter__q"
    admin.client.post(PANEL, {name: server_id, f"{name}_field": "id"})
    found = admin.servers()
    assert found.messages == ["Info: web1 is deleted. Its images remain."]
    assert found.soup.select(".messages .alert-info p a")[0]["href"] == web1
    assert "This server is deleted. Its images remain." in page.soup.text
    assert len(page.rows) == 3
    assert page.table_actions == ["Restore Server", "Protect Images", "Delete Images"]
    path = f"{web1}restore/"
    form = admin.get(path)
    assert form.fields("restore_form")["new_name"] == "web1-restored"
    (how,) = form.soup.select("#id_how")
    assert [each["value"] for each in how.select("option")] == ["new"]
    refused = admin.send(path, "restore_form", new_name="web1")
    (problem,) = refused.all("#restore_form .alert-danger")
    assert "The flavor of server web1 is not known: choose a flavor with a" in problem
    (small,) = (
        str(each["value"])
        for each in form.soup.select("#id_flavor option")
        if each.text.startswith("m1.small ")
    )
    shown = admin.send(path, "restore_form", new_name="web1", flavor=small)
    assert "The old one" not in shown.at("#plan")
    done = admin.again(shown, path, "restore_form")
    assert done.messages == ["Info: The new server web1 is being made."]
    assert "web1" in [each.name for each in cloud.servers()]


def test_an_unknown_server_leads_back_with_a_message(admin: Dashboard) -> None:
    page = admin.get(f"{PANEL}11111111-1111-4111-8111-111111111111/")
    assert page.path == PANEL
    (message,) = page.messages
    assert message.startswith("Error: Unable to retrieve the server.")
    assert "No server with the ID" in message


def test_who_only_reads_sees_images_and_no_actions(
    login: Callable[..., Dashboard], web1: str
) -> None:
    observer = login("observer")
    page = observer.get(web1)
    assert len(page.rows) == 3
    assert page.table_actions == []
    (first, *_) = image_ids(observer, web1)
    assert page.actions(first) == []
    refused = observer.get(f"{web1}restore/")
    assert refused.path == web1
    assert refused.messages == ["Error: You are not allowed to restore servers."]
    refused = observer.act(web1, f"images__delete__{first}")
    assert refused.messages[0].startswith("Error: You are not allowed to delete image")
    assert first in image_ids(observer, web1)
