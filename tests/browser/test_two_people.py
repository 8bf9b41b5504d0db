"""Two people at once: what one confirms is what there is, or nothing is done."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.fleet import MYSERVER, id_of
from ..functional.panels import Panel
from .conftest import Visits
from .faces import let_days_pass
from .visits import Visit

NAMES = ("db1", "myserver", "web1")


def says(visit: Visit, text: str) -> None:
    expect(visit.page.locator("#messages")).to_contain_text(text)


def set_schedule(visit: Visit, retention: int) -> None:
    """Change how many images the server of the open page keeps."""
    visit.edit()
    visit.page.get_by_label("Retention: images to keep").fill(str(retention))
    visit.page.get_by_role("button", name="Save").click()
    says(visit, f"Saved: daily, keep {retention}.")


def ids_of_images(cloud: Sandbox, name: str) -> list[str]:
    return [image.id for image in cloud.images(id_of(cloud, name))]


@pytest.fixture
def people(visits: Visits, shared: Panel, cloud: Sandbox) -> tuple[Visit, Visit]:
    """Two who look at three servers with a schedule and a few images each."""
    ann = visits(shared, failures=(409,)).log_in("admin")
    for name in NAMES:
        ann.page.get_by_label(name, exact=True).check()
    ann.page.get_by_label("Retention: images to keep").fill("9")
    ann.page.get_by_role("button", name="Review the change").click()
    ann.page.locator("#confirm").click()
    expect(ann.page.locator("#outcome")).to_have_text("All done.")
    let_days_pass(cloud, 5)
    ben = visits(shared, failures=(409,)).log_in("admin2")
    for each in (ann, ben):
        each.open(ben.page.url)
        ok = each.page.locator(".tile", has_text="ok")
        expect(ok).to_have_text("3 ok")
    return ann, ben


@pytest.mark.parametrize("cloud", [{}, {"extension": False}], indirect=True)
def test_one_changes_what_the_other_confirms(
    people: tuple[Visit, Visit], cloud: Sandbox
) -> None:
    ann, ben = people
    home = ben.page.url
    number = {name: len(ids_of_images(cloud, name)) for name in NAMES}
    assert min(number.values()) >= 4

    # Ann is shown what keeping one image of three servers deletes.
    for name in NAMES:
        ann.page.get_by_label(name, exact=True).check()
    ann.page.get_by_label("Retention", exact=True).check()
    ann.page.get_by_label("Retention: images to keep").fill("1")
    ann.page.get_by_role("button", name="Review the change").click()
    expect(ann.page.locator("#forecast strong")).to_contain_text(
        "images will be deleted"
    )

    # Ben changes one of the schedules, and protects an image of another server.
    set_schedule(ben.server("db1"), 7)
    ben.open(home)
    ben.server("web1").page.get_by_role("button", name="Protect").last.click()
    says(ben, "is protected")

    # Only the third is as shown.
    ann.page.locator("#confirm").click()
    expect(ann.page.locator("#outcome")).to_be_visible()
    expect(ann.page.locator("main")).to_contain_text("Left unchanged: db1, web1.")
    ann.page.get_by_role("link", name="Continue").click()
    expect(ann.page.locator("#changed")).to_be_visible()
    rows = ann.page.locator("#reviewed tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="db1")).to_contain_text("daily, keep 7")
    assert number == {name: len(ids_of_images(cloud, name)) for name in NAMES}
    ann.open(home)
    for name, words in zip(NAMES, ("keep 7", "keep 1", "keep 9"), strict=True):
        row = ann.page.locator(f"#s-{id_of(cloud, name)[:8]}")
        expect(row).to_contain_text(f"daily, {words}")

    # A prune that Ben has made pointless.
    beyond = number["myserver"] - 1
    ann.open(f"{home}/{MYSERVER}/prune")
    expect(ann.page.locator("#confirm")).to_have_text(f"Delete {beyond} images")
    ben.open(home)
    set_schedule(ben.server("myserver"), 9)
    before = ids_of_images(cloud, "myserver")
    ann.page.locator("#confirm").click()
    says(ann, "0 images were deleted.")
    says(ann, f"{beyond} images that were shown stay, or were gone already")
    assert ids_of_images(cloud, "myserver") == before

    # An image that Ben protects while Ann is asked whether to delete it.
    ann.open(f"{home}/{MYSERVER}")
    ann.page.get_by_role("link", name="Delete").last.click()
    expect(ann.page.locator("#confirm")).to_have_text("Delete 1 image")
    ben.open(f"{home}/{MYSERVER}")
    ben.page.get_by_role("button", name="Protect").last.click()
    says(ben, "is protected")
    ann.page.locator("#confirm").click()
    says(ann, "This has changed since it was shown. Nothing was done.")
    assert ids_of_images(cloud, "myserver") == before

    # A schedule that Ben changes while Ann types.
    ann.open(f"{home}/{MYSERVER}")
    ann.edit()
    ann.page.get_by_label("Retention: images to keep").fill("2")
    ben.open(f"{home}/{MYSERVER}")
    set_schedule(ben, 12)
    ann.page.get_by_role("button", name="Save").click()
    expect(ann.page.locator("#conflict")).to_contain_text("now it is daily, keep 12")
    ben.open(f"{home}/{MYSERVER}")
    expect(ben.page.locator("#schedule")).to_have_text("daily, keep 12")


def test_one_deletes_the_image_that_the_other_restores(
    people: tuple[Visit, Visit], cloud: Sandbox
) -> None:
    ann, ben = people
    home = ben.page.url
    first, second = ids_of_images(cloud, "myserver")[:2]
    ann.open(f"{home}/{MYSERVER}/restore?how=in-place")
    expect(ann.page.locator("#plan")).to_contain_text(first)
    ben.open(f"{home}/{MYSERVER}")
    ben.page.get_by_role("link", name="Delete").first.click()
    ben.page.locator("#confirm").click()
    says(ben, "is deleted.")
    cloud.requests.clear()
    ann.page.locator("#confirm").click()
    says(ann, "The plan has changed since it was shown. Nothing was done.")
    expect(ann.page.locator("#plan")).to_contain_text(second)
    assert not [each for each in cloud.requests if each.path.endswith("/action")]

    # Each of them confirms the deletion of the same image.
    for each in people:
        each.open(f"{home}/{MYSERVER}/images/delete?image={second}")
    ben.page.locator("#confirm").click()
    says(ben, "is deleted.")
    ann.page.locator("#confirm").click()
    expect(ann.page.locator("h1")).to_have_text("No such image")
    assert not {first, second} & set(ids_of_images(cloud, "myserver"))
    ann.problems.clear()
