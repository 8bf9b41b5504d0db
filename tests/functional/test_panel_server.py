"""The panel's page of one server."""

from __future__ import annotations

import csv
import re
from typing import Any

import pytest

from rax_scheduled_images_ext.console.images import size_for_people
from rax_scheduled_images_ext.model.image import MARKER_KEY
from rax_scheduled_images_ext.model.task_states import COPYING, UPLOADING
from rax_scheduled_images_ext.model.verify import Level
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image

from ..novashell import Nova
from .fleet import (
    MARKED,
    MYSERVER,
    NOBODY,
    add_image,
    id_of,
    project_of,
    remember_proof,
    sent,
)
from .panels import Page, Panel, Reader, panel_over, words
from .runners import runner_of, schedule

FACES = [{}, {"like": "rackspace"}]
BOOTED = "5e2f0f3c-6c55-4a5b-8c67-8d8f0cf2a0d1"
on_both_faces = pytest.mark.parametrize("cloud", FACES, indirect=True)
on_all_faces = pytest.mark.parametrize(
    "cloud", [*FACES, {"extension": False}], indirect=True
)


@pytest.fixture
def reader(panel: Panel) -> Reader:
    """Somebody who looks at myserver."""
    reader = panel.reader()
    reader.link("myserver")
    return reader


def made(cloud: Sandbox) -> list[str]:
    """The names of the images that there are of the server."""
    return [image.name for image in cloud.images(MYSERVER)]


def ten_days(nova: Nova, cloud: Sandbox, retention: int = 7) -> None:
    nova.ok("scheduled-images-enable", "myserver", str(retention))
    cloud.advance("10d")


def rows(page: Page, *columns: str) -> list[list[str]]:
    """These columns of the table of images, newest image first."""
    found = []
    for row in page.soup.select("#image-table tbody tr"):
        cells = {"Image": row.select_one("th")}
        cells |= {str(td.get("data-label")): td for td in row.select("td")}
        found.append([" ".join(cells[c].get_text(" ").split()) for c in columns])  # type: ignore[union-attr]
    return found


# -- the schedule


@on_all_faces
def test_a_schedule_is_saved_changed_and_taken_away(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    path = reader.page.path
    page = reader.submit("#schedule-form", when="friday", retention=4)
    assert (page.path, page.messages) == (path, ["Saved: weekly on Friday, keep 4."])
    assert page.all("#schedule") == ["weekly on Friday, keep 4"]
    assert "Weekly on: FRIDAY" in nova("scheduled-images-show", "myserver").out
    # The form shows what is.
    page = reader.submit("#schedule-form", retention=5)
    assert page.all("#schedule") == ["weekly on Friday, keep 5"]

    page = reader.submit("form[action$=disable]")
    assert page.messages == ["The schedule is off. The images stay."]
    assert page.all("#schedule") == ["none"]
    assert not page.has("form[action$=disable]")
    assert nova("scheduled-images-show", "myserver").status == 1


@on_both_faces
def test_nothing_is_saved_before_it_is_shown_what_expires(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud)
    path = reader.page.path
    dry = nova.ok("scheduled-images-enable", "--dry-run", "myserver", "3")
    reader.get(path)
    page = reader.submit("#schedule-form", retention=3)

    assert page.all("#forecast strong") == ["5 images will be deleted"]
    names = page.all("#forecast tbody th")
    assert len(names) == 5
    assert all(name in dry for name in names)
    assert page.all("#forecast tbody td:last-child") == [
        *(["older than the newest 3"] * 4),
        "last of the newest 3",
    ]
    assert "Retention: 7" in nova.ok("scheduled-images-show", "myserver")
    page = reader.submit("main form")
    assert page.messages == ["Saved: daily, keep 3."]
    assert "Retention: 3" in nova.ok("scheduled-images-show", "myserver")


def test_what_was_shown_for_another_schedule_does_not_count(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud)
    reader.get(reader.page.path)
    reader.submit("#schedule-form", retention=5)
    page = reader.submit("main form", retention=1)
    assert page.all("#forecast strong") == ["7 images will be deleted"]
    assert "Retention: 7" in nova.ok("scheduled-images-show", "myserver")


def test_the_preview_changes_nothing(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud)
    reader.get(reader.page.path)
    _, fields = reader.fill("#schedule-form", retention=2)
    address = str(reader.page.at("#preview")["formaction"])
    assert reader.page.at("#schedule-form")["hx-post"] == address
    sent(cloud)
    page = reader.post(address, fields)
    assert page.all("#forecast strong") == ["6 images will be deleted"]
    page = reader.post(address, [(k, v) for k, v in fields if k != "retention"])
    assert page.all("#forecast") == [
        "'' is not a retention: a whole number from 1 to 65535"
    ]
    assert not [line for line in sent(cloud) if not line.startswith("GET")]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"retention": "0"}, "'0' is not a retention: a whole number from 1 to 65535"),
        (
            {"when": "hourly"},
            "'hourly' is not a schedule: use daily, sunday, monday, tuesday,"
            " wednesday, thursday, friday, saturday, 12h, 8h, 6h, 4h, 3h, 2h, 1h",
        ),
    ],
)
def test_a_schedule_that_cannot_be_sends_nothing(
    reader: Reader, cloud: Sandbox, fields: dict[str, str], problem: str
) -> None:
    sent(cloud)
    page = reader.submit("#schedule-form", **fields)
    assert (page.status, page.all("#forecast")) == (400, [problem])
    assert sent(cloud) == []
    # What was typed is still there.
    page = reader.link("Back without saving")
    for key, value in fields.items():
        assert (key, value) in reader.fill("#schedule-form")[1] or key == "when"


def test_a_form_made_from_another_schedule_shows_both(
    reader: Reader, nova: Nova
) -> None:
    """Ann opens the page, Ben changes the schedule, and Ann saves."""
    page = reader.submit("#schedule-form", retention=5)
    path = page.path
    nova.ok("scheduled-images-enable", "--day-of-week", "friday", "myserver", "9")
    page = reader.submit("#schedule-form", retention=6)
    assert page.status == 409
    assert page.all("#conflict") == [
        "The schedule has changed since this form was loaded. It was daily, keep 5 ;"
        " now it is weekly on Friday, keep 9 ."
    ]
    shown = nova.ok("scheduled-images-show", "myserver")
    assert "FRIDAY" in shown
    assert "Retention: 9" in shown
    # To leave it is one choice, to replace it the other.
    assert reader.link("Leave it: weekly on Friday, keep 9").path == path
    reader.submit("#schedule-form", retention=9)
    assert "FRIDAY" in nova.ok("scheduled-images-show", "myserver")
    reader.get(path)
    _, stale = reader.fill("#schedule-form", when="daily", retention=6)
    nova.ok("scheduled-images-enable", "--day-of-week", "friday", "myserver", "8")
    page = reader.post(f"{path}/schedule", stale)
    assert page.all("#review button") == [
        "Replace weekly on Friday, keep 8 with daily, keep 6"
    ]
    page = reader.submit("#review")
    assert page.messages == ["Saved: daily, keep 6."]
    assert "Retention: 6" in nova.ok("scheduled-images-show", "myserver")


def test_the_choice_is_shown_again_if_the_schedule_changes_once_more(
    reader: Reader, nova: Nova
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "8")
    assert reader.submit("#schedule-form", retention=6).status == 409
    nova.ok("scheduled-images-enable", "myserver", "7")
    page = reader.submit("#review")
    assert page.status == 409
    assert "now it is daily, keep 7" in page.all("#conflict")[0]
    assert "Retention: 7" in nova.ok("scheduled-images-show", "myserver")


def test_a_schedule_that_was_not_shown_is_not_switched_off(
    reader: Reader, nova: Nova
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "8")
    reader.get(reader.page.path)
    nova.ok("scheduled-images-enable", "myserver", "7")
    page = reader.submit("form[action$=disable]")
    assert page.status == 409
    assert "It was daily, keep 8 ; now it is daily, keep 7 ." in page.text
    assert "Retention: 7" in nova.ok("scheduled-images-show", "myserver")
    page = reader.submit("#review")
    assert page.messages == ["The schedule is off. The images stay."]
    assert nova("scheduled-images-show", "myserver").status == 1


def test_a_forecast_says_that_the_schedule_was_changed(
    reader: Reader, nova: Nova
) -> None:
    """As htmx shows it within the page."""
    nova.ok("scheduled-images-enable", "myserver", "8")
    address = str(reader.page.at("#preview")["formaction"])
    _, fields = reader.fill("#schedule-form", retention=6)
    page = reader.post(address, fields, headers={"HX-Request": "true"})
    assert page.status == 200
    assert "now it is daily, keep 8" in page.all("#forecast #conflict")[0]


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_where_the_cloud_makes_no_images_the_page_says_so(reader: Reader) -> None:
    assert "scheduled-images-service" in reader.page.all("#needs-service")[0]


# -- images


@on_both_faces
def test_the_images_as_the_command_lists_them(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud, 3)
    nova.ok("image-create", "myserver", "mine")
    cloud.advance("1h")
    page = reader.get(reader.page.path)

    listed = nova.ok("scheduled-images-image-list", "--format", "value", "myserver")
    expected = [line.split("\t") for line in listed.splitlines()]
    found = rows(page, "Image", "Status", "Retention", "Reason")
    assert found == [[row[1], row[4], row[5], row[6]] for row in expected]
    assert page.all("#images-title") == ["4 images"]
    # A cell for each run and the next one, and a lane for what is beside them.
    first, second = page.soup.select("#lanes .cells")
    kinds = [str(cell["class"][1]) for cell in first.select(".cell")]
    assert kinds == ["expires", "kept", "kept", "next"]
    (mine,) = second.select(".cell")
    assert mine["class"] == ["cell", "exempt"]
    assert words(mine).startswith("★ ")
    assert "mine, made " in words(mine)
    assert page.has(str(mine["href"]))


def test_a_proof_that_failed_is_red_and_one_that_did_not_is_not(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud, 2)
    assert reader.get(reader.page.path).all("#proof") == ["never"]
    newest, older = cloud.images(MYSERVER)
    remember_proof(cloud, older.id, Level.CONSOLE)
    cloud.advance("1h")
    page = reader.get(reader.page.path)
    assert page.all("#proof")[0].startswith("console 1h ago")
    assert not page.has("#summary .stale, #image-table .stale")
    remember_proof(cloud, newest.id, None)
    page = reader.get(reader.page.path)
    assert page.title.startswith("myserver (proof failed)")
    assert page.all("#proof .stale") == ["failed"]
    assert page.all("#summary .stale") == ["proof failed", "failed"]
    red = page.all("#image-table tr:has(.stale) th")
    assert red == [newest.name]
    shown = [proof for (proof,) in rows(page, "Proof")]
    assert shown[0].startswith("failed 0s ago")
    assert shown[0].endswith("No bootable device. consistency: crash")
    assert shown[1].startswith("console 1h ago")


@on_both_faces
def test_protect_and_unprotect(reader: Reader, nova: Nova, cloud: Sandbox) -> None:
    ten_days(nova, cloud, 3)
    page = reader.get(reader.page.path)
    name, _ = rows(page, "Image", "Retention")[-1]
    last = page.soup.select("#image-table button[form=protect]")[-1]
    page = reader.submit("#protect", image=last["value"])
    assert page.messages == [f"{name} is protected: no schedule deletes it."]
    assert rows(page, "Image", "Retention")[-1] == [name, "kept (exempt)"]
    assert MARKER_KEY not in nova.ok("image-show", name)
    cloud.advance("5d")
    page = reader.get(page.path)
    assert rows(page, "Image")[-1] == [name]

    # What happens to it, and when, is shown before it is done.
    page = reader.link("Unprotect…")
    assert name in page.text
    (fate,) = page.all("#fate")
    assert fate.startswith(
        "It will be deleted when the next scheduled image is made: in "
    )
    assert "older than the newest 3" in fate
    assert page.at("#fate time")
    assert name in page.all("table tbody th")
    assert page.all("#confirm") == ["Unprotect: let it be deleted next"]
    assert "kept (exempt)" in reader.link("Keep it protected").all(".retention")
    reader.link("Unprotect…")
    page = reader.submit("#ask")
    assert page.messages == [f"{name} is no longer protected."]
    assert rows(page, "Image", "Retention")[-1] == [name, "expires next"]


def test_what_unprotecting_does_is_shown_again_if_it_has_changed(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    cloud.advance("4d")
    page = reader.get(reader.page.path)
    name, _ = rows(page, "Image", "Retention")[0]
    page = reader.submit("#protect", image=cloud.images(MYSERVER)[0].id)
    page = reader.link("Unprotect…")
    assert page.all("#confirm") == ["Unprotect: let it be deleted in its turn"]
    assert page.all("#fate")[0].startswith(
        "It will be deleted when 7 more scheduled images are made: in "
    )
    nova.ok("scheduled-images-enable", "myserver", "1")
    page = reader.submit("#ask")
    assert page.messages == ["This has changed since it was shown. Nothing was done."]
    assert page.all("#confirm") == ["Unprotect: let it be deleted next"]
    assert MARKER_KEY not in nova.ok("image-show", name)

    nova.ok("scheduled-images-disable", "myserver")
    page = reader.get(page.path)
    assert page.all("#fate")[0].startswith("The server has no valid schedule")
    assert reader.submit("#ask").messages == [f"{name} is no longer protected."]


@on_both_faces
def test_delete_asks_first(reader: Reader, nova: Nova, cloud: Sandbox) -> None:
    ten_days(nova, cloud, 3)
    page = reader.get(reader.page.path)
    names = [name for (name,) in rows(page, "Image")]
    link = page.soup.select("a[href*=delete]")[1]
    page = reader.get(str(link["href"]))
    assert page.all("#confirm") == ["Delete 1 image"]
    assert names[1] in page.text
    assert names[1] in made(cloud)
    page = reader.submit("main form")
    assert page.messages == [f"{names[1]} is deleted."]
    assert [name for (name,) in rows(page, "Image")] == [names[0], names[2]]
    assert names[1] not in made(cloud)


def test_an_image_that_somebody_protects_meanwhile_is_not_deleted(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud, 3)
    page = reader.get(reader.page.path)
    name = rows(page, "Image")[0][0]
    page = reader.get(str(page.soup.select("a[href*=delete]")[0]["href"]))
    nova.ok("scheduled-images-protect", name)
    page = reader.submit("#ask")
    assert page.messages == ["This has changed since it was shown. Nothing was done."]
    assert "kept (exempt)" in page.text
    assert name in made(cloud)
    assert reader.submit("#ask").messages == [f"{name} is deleted."]


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_the_volume_snapshots_of_an_image_go_with_it(cloud: Sandbox) -> None:
    server_id = cloud.boot("database", server_id=BOOTED, volume_size=8).id
    schedule(cloud, 3, server_id=server_id)
    runner, project_id = runner_of(cloud), project_of(cloud)
    for _ in range(3):
        cloud.advance("1d")
        runner.tick()
        runner.tick()
    cloud.advance("1h")
    runner.tick()
    first, second, third = cloud.images(server_id)[::-1]

    def left() -> set[str]:
        with cloud.region() as region:
            return {str(s.name) for s in region.volumes.snapshots(project_id)}

    def named(*images: Image) -> set[str]:
        return {f"snapshot for {image.name}" for image in images}

    assert left() == named(first, second, third)
    with panel_over(cloud) as panel:
        reader = panel.reader()
        home = reader.link("database").path

        def ask(image: Image) -> Page:
            return reader.get(f"{home}/images/delete?image={image.id}")

        assert ask(first).all("#snapshots")[0].endswith(" will be deleted too.")
        assert reader.submit("#ask").messages == [f"{first.name} is deleted."]
        assert left() == named(second, third)

        # In doubt the image stays.
        cloud.fault("GET /snapshots 403")
        ask(second)
        (message,) = reader.submit("#ask").messages
        assert message.startswith(f"{second.name}: its volume snapshot ")
        assert cloud.images(server_id) == [third, second]
        cloud.clear_faults()

        # What is left is named.
        cloud.fault("DELETE /snapshots 503")
        ask(third)
        messages = reader.submit("#ask").messages
        assert messages[0] == f"{third.name} is deleted."
        assert "but these volume snapshots of it are not" in messages[1]
        assert left() == named(second, third)


def test_no_image_of_another_server_is_deleted(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud, 3)
    page = reader.get(reader.page.path)
    address, fields = reader.fill("#protect", image=cloud.images(MYSERVER)[-1].id)
    web1 = id_of(cloud, "web1")
    address = address.replace(MYSERVER, web1).replace("/protect", "/delete")
    page = reader.post(address, fields)
    assert (page.status, page.all("h1")) == (404, ["No such image"])
    assert len(cloud.images(MYSERVER)) == 3


def test_an_image_that_the_image_service_protects(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    image_id = add_image(
        cloud, "locked", protected=True, instance_uuid=MYSERVER, image_type="snapshot"
    )
    home = f"{reader.page.path}/images/delete?image="
    page = reader.get(f"{home}{image_id}")
    why = "cannot be deleted here: it is protected in the image service."
    assert page.all("section .message.failed") == [f"It {why}"]
    assert not page.has("#confirm, .total")
    # What is unknown is not offered either, and the others are.
    snapshot: dict[str, Any] = {"instance_uuid": MYSERVER, "image_type": "snapshot"}
    broken = add_image(cloud, "broken", **snapshot, block_device_mapping="{")
    other = add_image(cloud, "other", **snapshot)
    page = reader.get(f"{home}{image_id}&image={broken}&image={other}")
    assert page.all("section .message.failed") == [
        f"locked {why}",
        "broken cannot be deleted here: its volume snapshots are unknown (its"
        " block_device_mapping is not JSON).",
    ]
    assert page.all("#confirm") == ["Delete 1 image"]
    # The image service has the last word.
    with cloud.region() as region:
        region.images.update(other, attributes={"protected": True})
    page = reader.submit("#ask")
    assert page.all("#messages .failed") == [
        "This has changed since it was shown. Nothing was done."
    ]


def test_several_images_are_protected_and_deleted_at_once(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud, 4)
    reader.get(reader.page.path)
    first, second, third, _ = [each.id for each in cloud.images(MYSERVER)]
    page = reader.submit("#several", image=[first, second])
    assert [each.split(" is ")[1] for each in page.messages] == [
        "protected: no schedule deletes it."
    ] * 2
    address, fields = reader.fill("#several", image=[second, third])
    page = reader.post(address.replace("/protect", "/choose"), fields)
    assert page.has(".risk")
    assert len(page.all(".images tbody tr")) == 2
    sizes = {each.id: each.size or 0 for each in cloud.images(MYSERVER)}
    total = size_for_people(sizes[second] + sizes[third])
    assert page.all(".total") == [f"{total} will be deleted. This cannot be undone."]
    # Each that cannot be deleted is named, and the other is.
    cloud.fault(f"DELETE /{second} 503")
    page = reader.submit("#ask")
    assert len(page.messages) == 2
    assert [each.id for each in cloud.images(MYSERVER)][:2] == [first, second]
    assert third not in [each.id for each in cloud.images(MYSERVER)]
    page = reader.submit("#several")
    assert page.messages == ["No image is chosen. Nothing was done."]


def test_the_images_are_a_file_as_well(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud, 3)
    remember_proof(cloud, cloud.images(MYSERVER)[0].id, None)
    reader.get(reader.page.path)
    rows = list(csv.DictReader(reader.link("CSV").response.text.splitlines()))
    printed = nova.ok("scheduled-images-image-list", "--format", "csv", "myserver")
    for row, line in zip(rows, csv.DictReader(printed.splitlines()), strict=True):
        assert {**row, **line} == row
    assert rows[0]["verified"].startswith("failed 20")


def test_what_is_to_be_deleted_is_a_file_as_well(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud, 4)
    nova.ok("scheduled-images-enable", "myserver", "2")
    prune = reader.get(f"{reader.page.path}/prune")
    names = prune.all("#plan tbody th")
    rows = list(csv.DictReader(reader.link("CSV").response.text.splitlines()))
    command = ("scheduled-images-prune", "--dry-run", "--format", "csv", "myserver")
    printed = nova.ok(*command)
    assert rows == list(csv.DictReader(printed.splitlines()))
    assert [row["name"] for row in rows] == names
    reader.get(prune.path.removesuffix("/prune"))
    ids = [each.id for each in cloud.images(MYSERVER)[:2]]
    page = reader.get(f"{reader.page.path}/images/delete?image={'&image='.join(ids)}")
    names = page.all(".images tbody th")
    rows = list(csv.DictReader(reader.link("CSV").response.text.splitlines()))
    assert [row["name"] for row in rows] == names
    assert len(cloud.images(MYSERVER)) == 4


def test_a_run_without_an_image_is_missing_and_says_why(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "4")
    cloud.advance("3d")
    cloud.fault("lose-image of myserver")
    cloud.advance("2d")
    page = reader.get(reader.page.path)
    kinds = [str(cell["class"][1]) for cell in page.soup.select("#lanes .cell")]
    assert kinds == ["kept"] * 3 + ["missing"] * 2 + ["next"]
    assert page.all("#summary .overdue p")[0].startswith("Failed on ")
    assert "could not be found" in page.all("#summary .overdue p")[0]
    # The calendar has both, as far back as they are known.
    page = reader.link("Its calendar")
    assert len(page.all("#months td.made")) == 3
    assert len(page.all("#months td.failed")) == 2
    assert "could not be found" in page.at("#failed").text
    days = list(csv.DictReader(reader.link("CSV").response.text.splitlines()))
    assert [(day["made"], day["failed"] != "0") for day in days] == [
        *([("1", False)] * 3),
        *([("0", True)] * 2),
    ]


# -- pruning


@on_both_faces
def test_prune_shows_its_plan_and_names_the_number(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud)
    nova.ok("scheduled-images-enable", "myserver", "3")
    reader.get(reader.page.path)
    page = reader.link("Prune: apply the retention now…")
    dry = nova.ok("scheduled-images-prune", "--dry-run", "myserver")
    names = page.all("#plan tbody th")
    assert len(names) == 4
    assert all(name in dry for name in names)
    assert page.all("#confirm") == ["Delete 4 images"]
    assert len(cloud.images(MYSERVER)) == 7
    page = reader.submit("main form")
    assert page.messages == ["4 images were deleted."]
    assert len(rows(page, "Image")) == 3

    page = reader.link("Prune: apply the retention now…")
    assert "there is nothing to delete" in page.all("#nothing")[0]


def test_prune_deletes_nothing_that_was_not_shown(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud)
    nova.ok("scheduled-images-enable", "myserver", "6")
    reader.get(reader.page.path)
    page = reader.link("Prune: apply the retention now…")
    (shown,) = page.all("#plan tbody th")
    nova.ok("scheduled-images-enable", "myserver", "2")
    page = reader.submit("main form")
    assert page.messages == ["1 image was deleted."]
    assert len(rows(page, "Image")) == 6
    assert shown not in made(cloud)


# -- snapshots


@on_all_faces
def test_a_snapshot_and_its_phases(reader: Reader, cloud: Sandbox) -> None:
    page = reader.submit("#snapshot-form", name="before-the-upgrade")
    assert page.messages == ["The snapshot before-the-upgrade has started."]
    seen: dict[str, None] = {}
    current: list[str] = []
    writable: dict[str, bool] = {}
    for _ in range(200):
        page = reader.get(page.path)
        seen |= dict.fromkeys(page.all(".phases li span"))
        now = page.all(".phases .now span")
        current += [word for word in now if word not in current]
        task = page.all("#task")[0]
        writable[task] = "may write again" in page.all("#disk")[0]
        if page.all("#disk.done") == [
            "The snapshot is over: the image before-the-upgrade is ready."
        ]:
            break
        assert page.at("#summary")["hx-trigger"] == "every 2s"
        cloud.advance(1)
    assert page.all("#task") == ["none"]
    assert list(seen) == [
        "snapshot queued",
        "snapshot: disk being copied",
        "snapshot: waiting for upload",
        "snapshot: uploading",
    ]
    assert current[-2:] == ["snapshot: waiting for upload", "snapshot: uploading"]
    assert not writable["snapshot: disk being copied"]
    assert writable["snapshot: uploading"]
    # Where the cloud does not document that, it is not relied on.
    with_extension = not page.has("#needs-service")
    assert writable["snapshot: waiting for upload"] == with_extension
    assert rows(page, "Image", "Status", "Retention") == [
        ["before-the-upgrade", "ACTIVE", "kept (exempt)"]
    ]


@on_both_faces
@pytest.mark.parametrize("state", [COPYING, UPLOADING])
@pytest.mark.parametrize(
    "watched",
    [
        pytest.param(True, id="watched"),
        pytest.param(False, id="looked-at-later", marks=pytest.mark.long),
    ],
)
def test_a_snapshot_that_failed_is_red_and_says_why(
    reader: Reader, cloud: Sandbox, state: str, watched: bool
) -> None:
    cloud.fault(f"lose-image {state}")
    page = reader.submit("#snapshot-form", name="mine")
    # It has started, which is not a success yet.
    assert page.all("#messages .done") == []
    assert page.messages == ["The snapshot mine has started."]
    while watched and page.all("#task") != ["none"]:
        cloud.advance(1)
        page = reader.get(page.path)
    cloud.advance("1h")
    page = reader.get(page.path)
    (why,) = page.all("#disk.failed")
    assert re.fullmatch(
        r"The snapshot mine has failed: its image is gone; Image \S+ could not be"
        r" found\. It was started 1h\S* ago 2026-01-\d\d \d\d:\d\d UTC \.",
        why,
    )
    assert not page.has("#disk.done")
    # It is still so at the next look, and a new snapshot has a new end.
    assert reader.get(page.path).has("#disk.failed")
    cloud.clear_faults()
    reader.submit("#snapshot-form", name="again")
    assert not reader.page.has("#disk.failed")
    cloud.advance("1h")
    assert reader.get(page.path).all("#disk.done") == [
        "The snapshot is over: the image again is ready."
    ]


def test_a_snapshot_of_somebody_else_that_failed(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("image-create", "myserver", "theirs")
    cloud.fault("lose-image")
    while not reader.get(reader.page.path).all("#task")[0].startswith("snapshot: disk"):
        cloud.advance(1)
    cloud.advance("1h")
    page = reader.get(reader.page.path)
    assert page.all("#disk.failed")[0].startswith(
        "The snapshot theirs has failed: its image is gone"
    )


def test_the_end_of_a_snapshot_that_cannot_be_known_is_not_green(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("image-create", "myserver", "theirs")
    page = reader.get(reader.page.path)
    assert page.has("#disk.message")
    image = cloud.images(MYSERVER)[0].id
    cloud.advance("1h")
    # Not 404: it says nothing of the image.
    with cloud.region() as region:
        region.images.delete(image)
    cloud.fault(f"GET /images/{image} 503")
    page = reader.get(page.path)
    assert not page.has("#disk.done, #disk.failed")
    assert page.all("#disk") == [
        "The snapshot is over. The state of its image is unknown."
    ]
    cloud.clear_faults()
    assert reader.get(page.path).has("#disk.failed")


def test_an_image_that_is_being_made_has_no_size(
    reader: Reader, cloud: Sandbox
) -> None:
    page = reader.submit("#snapshot-form", name="mine")
    (image,) = cloud.images(MYSERVER)
    home, row = page.path, f"#image-{image.id}"
    assert page.all(f"{row} [data-label=Size]") == ["-"]
    # Nothing can be restored from it yet.
    assert page.all(f"{row} .actions a") == ["Delete…"]
    page = reader.get(f"{home}/images/delete?image={image.id}")
    assert page.all(".total strong") == ["1 image of unknown size"]
    page = reader.get(f"{home}/restore?image={image.id}")
    assert page.all("#image option[selected]")[0].endswith(", mine, SAVING")
    page = reader.get(f"{home.rsplit('/', 1)[0]}?name=mine")
    assert page.all("#found li")[0].endswith(", SAVING")
    cloud.advance("1h")
    assert "Restore…" in reader.get(home).all(f"{row} .actions a")


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        (
            "fail-volume",
            "failed",
            r"The snapshot mine has failed: its volume snapshot"
            r" \S+ is error, not available\. It was started .*",
        ),
        ("hang-volume", "", "The snapshot is over, but its image is not ready yet."),
        (
            "GET /snapshots/ 503",
            "",
            "The snapshot is over. The state of its image is unknown.",
        ),
        ("", "done", "The snapshot is over: the image mine is ready."),
    ],
)
def test_a_snapshot_is_over_when_those_of_its_volumes_are(
    cloud: Sandbox, fault: str, kind: str, text: str
) -> None:
    cloud.boot("database", server_id=BOOTED, volume_size=8)
    if fault:
        cloud.fault(fault)
    with panel_over(cloud) as panel:
        reader = panel.reader()
        reader.link("database")
        reader.submit("#snapshot-form", name="mine")
        cloud.advance("1h")
        page = reader.get(reader.page.path)
        assert re.fullmatch(text, page.all("#disk")[0])
        assert [k for k in ("done", "failed") if page.has(f"#disk.{k}")] == [
            each for each in [kind] if each
        ]
        # What is not final is looked at again.
        cloud.clear_faults()
        cloud.advance("1h")
        ready = not page.has("#disk.failed")
        assert reader.get(page.path).has("#disk.done") is ready


def test_what_a_server_does_after_a_snapshot_is_no_snapshot(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    page = reader.submit("#snapshot-form", name="mine")
    while page.all("#task") != ["snapshot: uploading"]:
        cloud.advance(1)
        page = reader.get(page.path)
    # Nobody looks while it has no task.
    cloud.advance("1h")
    nova.ok("rebuild", "myserver", cloud.images(MYSERVER)[0].id)
    page = reader.get(page.path)
    assert page.all("#task") == ["rebuilding"]
    assert page.all("#disk.done") == ["The snapshot is over: the image mine is ready."]
    assert not page.has(".phases")
    # The next snapshot is shown again.
    cloud.advance("1h")
    page = reader.submit("#snapshot-form", name="next")
    assert page.has(".phases")
    assert not page.has("#disk.done")


def test_a_snapshot_does_not_inherit_the_marker(cloud: Sandbox) -> None:
    base = add_image(cloud, "base", **MARKED)
    server_id = cloud.boot("again", image_id=base).id
    with panel_over(cloud) as panel:
        reader = panel.reader()
        reader.link("again")
        reader.submit("#snapshot-form", name="mine")
    (image,) = cloud.images(server_id)
    assert MARKER_KEY not in image.properties


def test_a_busy_server_is_named(reader: Reader, cloud: Sandbox) -> None:
    reader.submit("#snapshot-form", name="one")
    page = reader.submit("#snapshot-form", name="two")
    (message,) = page.messages
    assert message.startswith("The snapshot: Server myserver is busy (task_state: ")
    assert len(cloud.images(MYSERVER)) == 1


@pytest.mark.parametrize("name", ["n" * 255, "\N{SNOWMAN}" * 255, "db 1", "a"])
def test_the_name_of_a_snapshot_fits_and_differs_each_time(
    cloud: Sandbox, name: str
) -> None:
    server_id = cloud.boot(name).id
    with panel_over(cloud) as panel:
        reader = panel.reader()
        reader.get(f"{reader.page.path}/{server_id}")
        for _ in range(3):
            typed = str(reader.page.at("#image-name")["value"])
            assert typed.startswith(name[:200])
            # Volume snapshots are called "snapshot for" and this.
            assert len(f"snapshot for {typed}") <= 255
            page = reader.submit("#snapshot-form")
            assert page.messages == [f"The snapshot {typed} has started."]
            cloud.advance("1h")
            reader.get(page.path)
    assert len({image.name for image in cloud.images(server_id)}) == 3


def test_a_snapshot_needs_a_name(reader: Reader, cloud: Sandbox) -> None:
    sent(cloud)
    page = reader.submit("#snapshot-form", name="two\tparts")
    assert page.messages[0].endswith(
        " is not a name for an image: use 1 to 255 printable characters"
    )
    assert page.at("#image-name")["value"] == r"two\tparts"
    assert not [line for line in sent(cloud) if not line.startswith("GET")]


# -- servers that are not there


def test_a_server_that_is_not_there(reader: Reader) -> None:
    page = reader.get(reader.page.path.replace(MYSERVER, NOBODY))
    assert page.status == 404
    assert f"No server with the ID '{NOBODY}' exists" in page.all("#problem")[0]


def test_a_server_that_is_gone_is_not_shown_as_it_was(
    reader: Reader, nova: Nova
) -> None:
    path = reader.page.path
    form = reader.fill("#schedule-form", retention=3)
    nova.ok("delete", "myserver")
    headers = {"HX-Request": "true", "X-Panel-Refresh": "1"}
    page = reader.get(path, headers=headers)
    assert (page.status, page.response.headers["HX-Refresh"]) == (204, "true")
    for address in (path, f"{path}/prune", f"{path}/disable"):
        page = reader.get(address)
        assert page.status == 404, address
        assert f"No server with the ID '{MYSERVER}' exists" in page.all("#problem")[0]
    page = reader.post(*form)
    assert page.status == 404
    assert "/problems/" in page.path


def test_the_images_of_a_deleted_server(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ten_days(nova, cloud, 2)
    nova.ok("delete", "myserver")
    page = reader.get(reader.page.path)
    assert "This server is deleted. Its images remain." in page.text
    assert len(rows(page, "Image")) == 2
    assert not page.has("#schedule-form")


def test_names_are_text(nova: Nova, cloud: Sandbox) -> None:
    name = "<script>alert(1)</script>\"'&"
    server_id = cloud.boot(name).id
    with panel_over(cloud) as panel:
        reader = panel.reader()
        page = reader.page
        assert page.all(f"#s-{server_id[:8]} th") == [name]
        assert "<script>alert" not in page.response.text
        page = reader.link(name)
        assert page.all("h1") == [name]
        assert page.title.startswith(name)
        page = reader.submit("#snapshot-form", name=name)
        assert page.messages == [f"The snapshot {name} has started."]
        assert "<script>alert" not in page.response.text
