"""Getting a server back from the panel."""

from __future__ import annotations

import re

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..waiting import until
from .fleet import MYSERVER, remember_proof
from .gone import delete_server
from .panels import Page, Panel, Reader, panel_over
from .runners import runner_of, schedule
from .test_restore import Hurried, last


@pytest.fixture
def images(nova: Nova, cloud: Sandbox) -> list[str]:
    """The IDs of two images of ``myserver``, the newest first."""
    for name in ("first", "second"):
        nova.ok("image-create", "myserver", name)
        cloud.advance("1h")
    cloud.requests = Hurried(cloud)
    return [image.id for image in cloud.images(MYSERVER)]


@pytest.fixture
def reader(panel: Panel, images: list[str]) -> Reader:
    """Somebody who looks at myserver."""
    assert images
    reader = panel.reader()
    reader.link("myserver")
    return reader


def choose(reader: Reader, **values: str) -> Page:
    """Choose on the page of restores, and see the plan."""
    if not reader.page.has("#choice"):
        reader.get(str(reader.page.at("#restore")["href"]))
    address, fields = reader.fill("#choice", **values)
    query = "&".join(f"{key}={value}" for key, value in fields)
    return reader.get(f"{address.partition('?')[0]}?{query}")


def over(reader: Reader) -> Page:
    """The page of the change that was just started, when it is over."""
    path = reader.page.path
    until(lambda: "Under way" not in reader.get(path).text)
    return reader.page


def test_in_place_and_undone(
    reader: Reader, nova: Nova, cloud: Sandbox, images: list[str]
) -> None:
    page = choose(reader, how="in-place", image=images[1])
    assert page.at("#plan-title").text == "The disk of myserver will be replaced"
    assert "a safety image of its present disk is made" in page.at("#plan").text
    assert page.has("section.risk #confirm.danger")
    before = last(nova)
    reader.submit("#restore")
    page = over(reader)
    assert page.all("#outcome") == ["All done."]
    assert "myserver is ACTIVE, restored from first." in page.text
    (safety,) = [each.id for each in cloud.images(MYSERVER) if each.id not in images]
    assert f"The safety image {safety} is kept." in page.text
    assert any("is being rebuilt" in each for each in page.all("#log li"))
    assert last(nova) != before

    # The same page undoes it.
    page = reader.link("Undo…")
    assert page.at("#plan-title").text == "The disk of myserver will be replaced"
    assert safety in page.at("#plan").text
    reader.submit("#restore")
    assert over(reader).all("#outcome") == ["All done."]


def test_the_images_to_choose_from_have_times_with_one_zone(reader: Reader) -> None:
    reader.get(str(reader.page.at("#restore")["href"]))
    _, *images = reader.page.all("#image option")
    assert len(images) == 2
    for text in images:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC, (first|second), ", text)


def test_as_a_new_server(reader: Reader, nova: Nova, images: list[str]) -> None:
    page = choose(reader, how="new")
    assert page.at("#plan-title").text == "A new server will be made"
    assert "second" in page.at("#plan").text
    assert not page.has(".risk")
    reader.submit("#restore")
    page = over(reader)
    assert "myserver-restored is ACTIVE, restored from second." in page.text
    assert not page.has("#undo")
    assert reader.link("Continue").at("h1").text == "myserver-restored"
    assert "myserver-restored" in nova.ok("list")


def test_a_plan_that_is_not_as_it_was_shown_is_shown_again(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    choose(reader, how="new")
    form = reader.fill("#restore")
    nova.ok("image-create", "myserver", "third")
    cloud.advance("1h")
    page = reader.post(*form)
    assert page.messages == [
        "The plan has changed since it was shown. Nothing was done."
    ]
    assert "third" in page.at("#plan").text
    assert "myserver-restored" not in nova.ok("list")


def test_what_is_refused_is_said_in_the_words_of_the_page(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("lock", "myserver")
    page = choose(reader, how="in-place")
    assert page.status == 409
    assert "“As a new server”" in page.at("#problem").text
    assert "--" not in page.at("#problem").text
    assert not page.has("#restore")
    page = choose(reader, how="new", name="")
    assert (page.status, page.has("#restore")) == (400, False)


def test_a_restore_that_fails_says_what_there_is(
    reader: Reader, cloud: Sandbox
) -> None:
    choose(reader, how="in-place")
    cloud.fault("lose-image of myserver")
    reader.submit("#restore")
    page = over(reader)
    assert page.all("#outcome") == ["1 failed , 0 of 1 done."]
    assert "The disk of myserver was not changed." in page.text
    assert not page.has("#undo")


def test_a_server_that_is_gone_comes_back_from_its_images(
    panel: Panel, nova: Nova, cloud: Sandbox, images: list[str]
) -> None:
    nova.ok("delete", "myserver")
    reader = panel.reader()
    reader.get(re.sub("servers$", f"servers/{MYSERVER}", reader.page.path))
    assert "This server is deleted. Its images remain." in reader.page.text
    page = reader.get(str(reader.page.at("#restore")["href"]))
    assert not page.has("input[value=in-place]")
    # What the image does not say is asked for; the name is the old one if it is known.
    assert "is not known" in page.at("#flavor-hint").text
    assert page.at("#flavor").has_attr("required")
    page = choose(reader, how="new", name="back", flavor="m1.small")
    assert page.status == 200, page.text
    reader.submit("#restore")
    assert "back is ACTIVE, restored from second." in over(reader).text


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_a_plan_is_in_the_words_of_the_page(panel: Panel, cloud: Sandbox) -> None:
    """No tags of schedules, no options, one way to write times."""
    schedule(cloud, 2)
    runner = runner_of(cloud)
    for _ in range(12):
        cloud.advance("6h")
        runner.tick()
    reader = panel.reader()
    home = reader.page.path
    for how in ("new&schedule=yes", "new", "in-place"):
        page = reader.get(f"{home}/{MYSERVER}/restore?how={how}&name=back")
        plan = page.at("#plan").text
        assert re.search(r"Made at\d{4}-\d\d-\d\d \d\d:\d\d UTC", plan)
        assert not re.search(r"--|scheduled-images:|\dT\d|:00Z", plan), plan
        words = "Scheduledaily, keep 2"
        assert (words in plan) == ("schedule" in how)
    # Nothing is left of it but its images, which say what it was.
    delete_server(cloud)
    cloud.advance("1h")
    with panel_over(cloud) as later:
        reader = later.reader()
        page = reader.get(f"{home}/{MYSERVER}/restore")
        assert page.all("h1") == ["Restore myserver"]
        assert page.at("#new-name")["value"] == "myserver"
        assert "the old server's: m1.small" in page.at("#flavor-hint").text
        assert not page.at("#flavor").has_attr("required")
        page = choose(reader, how="new")
        assert "m1.small" in page.at("#plan").text
        assert reader.get(f"{home}/{MYSERVER}").all("h1") == ["myserver"]


def test_an_image_whose_proof_failed_is_named(
    reader: Reader, cloud: Sandbox, images: list[str]
) -> None:
    remember_proof(cloud, images[0], None)
    page = choose(reader, how="new")
    assert "its proof failed" in page.at("#plan").text
    assert "proof failed" in page.at("#image").text
    assert "first" in page.at("#plan").text


def test_who_may_only_look_is_not_offered_a_restore(
    cloud: Sandbox, images: list[str]
) -> None:
    assert images
    with panel_over(cloud, login=True) as shared:
        reader = shared.logged_in("observer")
        page = reader.link("myserver")
        assert page.has("#image-table")
        assert "Restore" not in page.text
