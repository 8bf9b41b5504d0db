"""The panel's page of all servers."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from textwrap import dedent

import pytest

from rax_scheduled_images_ext.console.images import size_for_people
from rax_scheduled_images_ext.errors import InvalidPolicies
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.panel.readings import Patience
from rax_scheduled_images_ext.panel.settings import policy_file
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..waiting import until
from .fleet import MYSERVER, id_of, remember_proof, sent
from .panels import Page, Panel, Reader, panel_over
from .runners import runner_of, schedule
from .test_policies import ALL
from .test_volume_backed import SERVER

FACES = [{}, {"like": "rackspace"}, {"extension": False}]
on_all_faces = pytest.mark.parametrize("cloud", FACES, indirect=True)
many = pytest.mark.parametrize(
    "cloud", [{"servers": 246, "images_per_server": 2}], indirect=True
)


def names(page: Page) -> list[str]:
    return page.all("#servers tbody th")


def enable(nova: Nova, *argv: str) -> None:
    """Enable; where tags are the schedules, that says so on stderr."""
    result = nova("scheduled-images-enable", *argv)
    assert result.status == 0, result


@on_all_faces
def test_the_servers_with_their_schedules(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "--day-of-week", "sat", "web1", "4")
    page = reader.get(reader.page.path)

    assert page.status == 200
    assert page.title.startswith("Servers of ")
    # Whatever has a schedule stands before what has none.
    assert names(page)[0] == "web1"
    web1 = page.all(f"#s-{id_of(cloud, 'web1')[:8]} td")
    assert web1 == ["never", "weekly on Saturday, keep 4", "-", "-", "-"]
    myserver = page.all(f"#s-{MYSERVER[:8]} td")
    assert myserver == ["off", "none", "-", "-", "-"]


def test_what_is_late_stands_first_and_in_the_title(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "web1", "db1", "myserver", "3")
    cloud.advance("2d")
    cloud.fault("lose-image of web1")
    cloud.advance("2d")
    page = reader.get(reader.page.path)

    assert page.title.startswith("(1 late) Servers of demo, RegionOne")
    assert page.all("#count") == ["4 servers"]
    assert names(page) == ["web1", "db1", "myserver", "check-my-task-state"]
    web1 = page.all(f"#s-{id_of(cloud, 'web1')[:8]} td")
    assert web1[0] == "late"
    assert web1[2].split()[0] in nova.ok("scheduled-images-list", "--name", "web1")
    assert reader.link("1 late").path == page.path
    assert names(reader.page) == ["web1"]
    assert web1[3].startswith("overdue since ")
    # Why, by the server's history, and what comes next.
    assert re.search(
        r"Failed on [23] days since 2026-01-0[789]: Image [0-9a-f]{8}… could not be"
        r" found\. Trying again in ",
        web1[3],
    )
    # It is not looked for again and again.
    sent(cloud)
    reader.get(page.path)
    assert not [line for line in sent(cloud) if "os-instance-actions" in line]
    assert names(reader.get(f"{page.path}?status=off")) == ["check-my-task-state"]


def test_a_server_whose_image_did_not_boot_stands_first(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "web1", "db1", "myserver", "3")
    cloud.advance("2d")
    remember_proof(cloud, cloud.images(MYSERVER)[0].id, None)
    page = reader.get(reader.page.path)
    assert page.all(".tile.bad") == ["1 failing", "1 unprotected"]
    assert names(page)[0] == "myserver"
    assert page.all("tr:has(.stale) th") == ["myserver"]
    assert page.all(f"#s-{MYSERVER[:8]} td")[0] == "ok proof failed"
    assert reader.link("1 failing").path == page.path
    assert names(reader.page) == ["myserver"]


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_a_malformed_tag(reader: Reader, cloud: Sandbox) -> None:
    with cloud.region() as region:
        region.servers.set_tags(
            MYSERVER, ("scheduled-images", "scheduled-images:hourly:7")
        )
    page = reader.get(reader.page.path)

    assert page.title.startswith("(1 late)")
    row = page.all(f"#s-{MYSERVER[:8]} td")
    assert row[:2] == ["invalid", "scheduled-images:hourly:7"]
    # The filter finds what the header counts.
    page = reader.link("1 late")
    assert names(page) == ["myserver"]
    assert page.at("#status option[selected]").text == "late"


def test_the_task_state_of_a_running_snapshot(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("image-create", "myserver", "mine")
    cloud.advance(2)
    page = reader.get(reader.page.path)
    assert page.all(f"#s-{MYSERVER[:8]} .task")[0].startswith("snapshot")

    cloud.advance("1h")
    assert reader.get(page.path).all(f"#s-{MYSERVER[:8]} .task") == []


@many
def test_pages_of_a_hundred_filtered_and_sorted(reader: Reader) -> None:
    path = reader.page.path
    page = reader.get(f"{path}?sort=name")
    assert page.all("#count") == ["250 servers"]
    assert len(names(page)) == 100
    assert names(page)[:3] == ["check-my-task-state", "db1", "myserver"]

    page = reader.link("Next")
    page = reader.link("Next")
    assert len(names(page)) == 50
    assert page.all(".pager") == ["Previous Page 3 of 3"]
    assert names(page)[-2:] == ["server-00246", "web1"]
    assert names(reader.get(f"{path}?sort=name&page=99")) == names(page)

    page = reader.get(f"{path}?sort=-name&name=ERVER-0001")
    assert page.all("#count") == ["10 of 250 servers"]
    assert names(page) == [f"server-0001{n}" for n in reversed(range(10))]
    assert names(reader.link("Server ▼")) == [f"server-0001{n}" for n in range(10)]
    assert reader.get(f"{path}?name=nothing").all(".empty") == [
        "No server matches the filter."
    ]


@pytest.mark.parametrize("sort", ["name", "newest", "due"])
@many
def test_a_column_sorts_both_ways(reader: Reader, sort: str) -> None:
    path = f"{reader.page.path}?name=server-000"
    up = names(reader.get(f"{path}&sort={sort}"))
    down = names(reader.get(f"{path}&sort=-{sort}"))
    assert len(up) == 99
    assert sorted(up) == sorted(down)
    # Equal ones stay in the order of their names.
    assert up != down
    assert (up == down[::-1]) == (sort == "name")


@many
def test_a_hundred_servers_fit_into_sixty_kilobytes(reader: Reader) -> None:
    page = reader.get(reader.page.path)
    assert len(names(page)) == 100
    assert len(page.response.content) < 60_000


@pytest.mark.parametrize(
    "cloud",
    [{"extension": False, "servers": 100, "images_per_server": 1}],
    indirect=True,
)
def test_so_do_a_hundred_of_whatever_state(panel: Panel, cloud: Sandbox) -> None:
    """All late, each with its cause, the longest name and a schedule with rules."""
    rules = ImageSchedule(at="02:30", keep=Keep(daily=14, weekly=8))
    tags = (MARKER_TAG, schedule_tag(rules))
    ids = [each.id for each in cloud.servers() if each.name.startswith("server-")]
    with cloud.region() as region:
        for number, server_id in enumerate(ids):
            name = f"server-{number}-{'x' * 255}"[:255]
            region.servers.update(server_id, name=name)
            region.servers.set_tags(server_id, tags)
    for image in cloud.images()[:50]:
        remember_proof(cloud, image.id, None)
    cloud.advance("30d")
    reader = panel.reader()

    def causes() -> list[str]:
        return reader.get(f"{reader.page.path}?status=late").all("#servers p")

    until(lambda: sum("No snapshot was" in each for each in causes()) == 100)
    page = reader.page
    assert page.all("#servers .stale").count("late") == 100
    assert page.all("#servers .stale").count("proof failed") > 40
    assert len(page.response.content) < 60_000
    # The names are told apart, and found.
    assert len({*names(page)}) == 100
    name = f"server-7-{'x' * 255}"[:255]
    (label,) = names(reader.get(f"{page.path}?name={name}"))
    assert label == f"{name[:28]}… ({ids[7][:8]})"
    assert reader.link(label).all("h1") == [name]


def test_the_tiles_count_what_their_filters_find(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "web1", "db1", "3")
    enable(nova, "--day-of-week", "mon", "myserver", "3")
    cloud.advance("3d")
    path = reader.page.path
    page = reader.get(path)
    tiles = {
        name: int(number)
        for number, name in (tile.split(" ", 1) for tile in page.all(".tile")[:-1])
    }
    assert tiles.keys() >= {"late", "failing", "made today", "ok", "off"}
    assert (tiles["ok"], tiles["off"], tiles["unprotected"]) == (3, 1, 1)
    for name, number in tiles.items():
        page = reader.get(path)
        page = reader.link(f"{number} {name}")
        assert len(names(page)) == number, name
        assert page.all(".tile[aria-current]") == [f"{number} {name}"]
    total = sum(image.size or 0 for image in cloud.images())
    assert page.all(".tile")[-1] == f"{size_for_people(total)} in images"


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_who_is_unprotected_is_who_the_list_names(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "myserver", "3")
    enable(nova, "db1", "3")
    nova.ok("scheduled-images-disable", "db1")
    web = id_of(cloud, "web1")
    with cloud.region() as region:
        region.servers.set_tags(web, ("scheduled-images", "scheduled-images:hourly:7"))
    path = reader.page.path
    reader.get(path)
    page = reader.link("2 unprotected")
    assert names(page) == ["check-my-task-state", "web1"]
    listed = json.loads(
        nova.ok("scheduled-images-list", "--unprotected", "--format", "json")
    )
    assert sorted(names(page)) == sorted(row["server"] for row in listed)
    states = [page.all(f"#s-{row['id'][:8]} td")[0] for row in listed]
    assert states == [row["state"] for row in listed]
    assert page.at("#status option[selected]").text == "unprotected"
    # Nothing is due of one without a schedule.
    assert "overdue" not in page.at("#servers").text
    # What is searched is filtered as well.
    assert names(reader.get(f"{path}?status=unprotected&name=web")) == ["web1"]
    assert "without --policies" in reader.page.at("#exceptions").text


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_the_exceptions_of_policies_count(cloud: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    with pytest.raises(InvalidPolicies):
        policy_file(str(file))
    file.write_text(dedent(ALL))
    database = id_of(cloud, "db1")
    with cloud.region() as region:
        region.servers.set_tags(database, ("no-images",))
    with panel_over(cloud, policies=policy_file(str(file))) as panel:
        reader = panel.reader()
        page = reader.link("3 unprotected")
        assert "db1" not in names(page)
        assert "exceptions in policies.yaml count" in page.at("#exceptions").text
        # It is read again. A mistake in it changes nothing, and is said.
        file.write_text(dedent(ALL).replace("no-images", "other"))
        assert "db1" in names(reader.get(f"{page.path}?status=unprotected"))
        file.write_text("version: 2")
        page = reader.get(f"{page.path}?status=unprotected")
        assert "db1" in names(page)
        assert "before a mistake: policies.yaml" in page.at("#exceptions").text


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_the_space_of_images_is_that_of_their_volume_snapshots(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    path = reader.page.path
    server_id = cloud.boot("database", server_id=SERVER, volume_size=8).id
    schedule(cloud, 2, server_id=server_id)
    runner = runner_of(cloud)
    for _ in range(3):
        cloud.advance("1d")
        runner.tick()
        runner.tick()
    page = reader.get(path)
    assert page.all(f"#s-{server_id[:8]} td")[-1] == "16 GiB"
    assert page.all(".tile")[-1] == "16 GiB in images"
    reader.link("CSV")
    rows = {
        e["server"]: e for e in csv.DictReader(reader.page.response.text.splitlines())
    }
    assert (rows["database"]["gib"], rows["web1"]["gib"]) == ("16.0", "0.0")
    images = [image.id for image in cloud.images(server_id)]
    page = reader.get(f"{path}/{server_id}")
    assert "Space 16 GiB in 2 images" in page.text
    # So is that of each image, wherever it is shown.
    home, size = f"{path}/{server_id}", "td[data-label=Size]"
    assert page.all(size) == ["8.0 GiB"] * 2
    page = reader.get(f"{home}/images/delete?image={images[0]}")
    assert page.all(".total") == ["8.0 GiB will be deleted. This cannot be undone."]
    assert page.all(size) == ["8.0 GiB"]
    assert reader.get(f"{home}/schedule?retention=1").all(size) == ["8.0 GiB"] * 2
    page = reader.get(f"{home}/restore")
    assert [t.rsplit(", ")[-1] for t in page.all("#image option")[1:]] == [
        "8.0 GiB"
    ] * 2
    page = reader.get(f"{path}?name={images[0]}")
    assert page.all("#found li")[0].endswith(", 8.0 GiB")
    nova.ok("scheduled-images-protect", images[0])
    page = reader.get(f"{home}/images/{images[0]}/unprotect")
    assert "8.0 GiB" in page.all("section p")[0]
    assert nova("scheduled-images-unprotect", images[0]).status == 0
    # What expires is counted in the same way.
    reader.get(path)
    reader.submit("#bulk", server=[server_id], action="update", retention="1")
    assert reader.page.all("#forecast .total") == ["16 GiB"]

    cloud.fault("GET /snapshots/detail 503")
    page = reader.get(path)
    assert page.all(f"#s-{server_id[:8]} td")[-1] == "at least 0 B"
    assert page.all(".tile")[-1] == "at least 0 B in images"


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_where_nobody_makes_images_the_page_asks_who_does(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "web1", "3")
    cloud.advance("3d")
    page = reader.get(reader.page.path)
    assert page.all("#servers p")[0].startswith("No snapshot was requested.")
    # Once, of however many servers.
    question = "Is a scheduled-images-service running?"
    assert page.text.count(question) == 1
    assert question in page.at("#question").text
    assert question in reader.link("web1").at(".overdue").text


def test_a_cause_that_cannot_be_read_is_unknown(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "web1", "3")
    cloud.advance("2d")
    cloud.fault("POST /action 503")
    cloud.fault("lose-image of web1")
    cloud.advance("2d")
    cloud.fault("GET /os-instance-actions 503")
    page = reader.get(reader.page.path)
    text = "Why is unknown: its history cannot be read."
    assert page.all("#servers p")[0].startswith(text)
    assert page.all(".tile.bad") == ["1 late", "3 unprotected"]


def test_a_search_finds_images_and_parts_of_ids(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("image-create", "web1", "before-the-upgrade")
    cloud.advance("1h")
    (image,) = cloud.images(id_of(cloud, "web1"))
    path = reader.page.path
    for text in ("THE-UPGRADE", image.id[4:13], id_of(cloud, "web1")[9:20]):
        page = reader.get(f"{path}?name={text}")
        assert names(page) == ["web1"], text
    page = reader.get(f"{path}?name=the-upgrade")
    assert page.all("#found summary") == ["1 image matches"]
    found = page.at("#found a[download]")
    text = reader.get(f"{path}{found['href']}").response.text
    (row,) = csv.DictReader(text.splitlines())
    assert (row["id"], row["name"], row["server"]) == (image.id, image.name, "web1")
    reader.get(f"{path}?name=the-upgrade")
    page = reader.link("before-the-upgrade")
    assert page.all("h1") == ["web1"]
    # Also those of a server that is gone.
    nova.ok("delete", "web1")
    page = reader.get(f"{path}?name=the-upgrade")
    assert names(page) == []
    assert ", which is not in RegionOne, " in page.all("#found li")[0]
    assert reader.link("before-the-upgrade").has(f"#image-{image.id}")


def test_the_table_is_a_file_as_well(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "web1", "3")
    cloud.advance("1d")
    reader.get(f"{reader.page.path}?name=web")
    page = reader.link("CSV")
    assert page.response.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in page.response.headers["Content-Disposition"]
    (row,) = csv.DictReader(page.response.text.splitlines())
    assert (row["server"], row["state"], row["retention"]) == ("web1", "ok", "3")
    printed = nova.ok("scheduled-images-list", "--format", "csv", "--name", "web")
    (line,) = csv.DictReader(printed.splitlines())
    assert {**row, **line} == row


@many
def test_a_page_costs_what_the_list_costs(
    panel: Panel, nova: Nova, cloud: Sandbox
) -> None:
    sent(cloud)
    assert nova("scheduled-images-list", "--long").status == 0
    listed = sent(cloud)
    panel.reader()
    assert sorted(sent(cloud)) == sorted(listed)


# -- several at once


@on_all_faces
def test_several_are_switched_on_changed_and_off(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ids = [id_of(cloud, name) for name in ("db1", "web1")]
    home = reader.page.path
    page = reader.submit("#bulk", server=ids, when="sunday", retention=4)
    assert page.all("#forecast") == ["No image expires because of this."]
    assert page.all("#reviewed tbody tr") == [
        f"{name} no schedule weekly on Sunday, keep 4 0" for name in ("db1", "web1")
    ]
    shows(nova, "no schedule")
    page = done(reader.submit("#change"), reader)
    assert page.all("#outcome") == ["All done."]
    shows(nova, "Weekly on: SUNDAY\nRetention: 4")

    reader.get(home)
    reader.submit("#bulk", server=ids, action="update", retention=2)
    done(reader.submit("#change"), reader)
    shows(nova, "Weekly on: SUNDAY\nRetention: 2")

    reader.get(home)
    page = reader.submit("#bulk", server=ids, action="disable")
    assert page.all("#reviewed tbody th") == ["db1", "web1"]
    done(reader.submit("#change"), reader)
    shows(nova, "no schedule")
    assert reader.link("Continue").path == home


def shows(nova: Nova, expected: str) -> None:
    for name in ("db1", "web1"):
        result = nova("scheduled-images-show", name)
        shown = result.out.strip().removeprefix("Schedule type: ")
        assert (shown if result.status == 0 else "no schedule") == expected


def done(page: Page, reader: Reader) -> Page:
    """Look at the page of a change until it is over."""
    path = page.path
    assert "/jobs/" in path
    until(lambda: "Under way." not in reader.get(path).all("#outcome"))
    return reader.page


def reviewed(page: Page) -> list[str]:
    """The rows of a review, folded."""
    for each in page.soup.select("#reviewed details > ul"):
        each.extract()
    return page.all("#reviewed tbody tr")


def test_the_review_counts_what_expires(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "db1", "web1", "5")
    cloud.advance("6d")
    ids = [id_of(cloud, name) for name in ("db1", "web1", "myserver")]
    home = reader.page.path
    reader.get(home)
    page = reader.submit("#bulk", server=ids, action="update", retention=2)
    going = {
        name: sorted(cloud.images(id_of(cloud, name)), key=lambda image: image.created)[
            :4
        ]
        for name in ("db1", "web1")
    }
    sizes = {n: sum(each.size or 0 for each in of) for n, of in going.items()}
    total = size_for_people(sum(sizes.values()))
    # It looks as dangerous as it is.
    assert page.has(".risk #confirm.danger")
    assert page.all("#forecast") == [
        f"8 images will be deleted when the next scheduled images are made: {total} ."
    ]
    for name, images in going.items():
        assert all(image.name in page.text for image in images), name
    assert reviewed(page) == [
        f"{name} daily, keep 5 daily, keep 2 4, {size_for_people(size)}"
        for name, size in sizes.items()
    ]
    assert page.all("#left-out li") == ["myserver : it has no schedule"]
    assert page.all("#confirm") == ["Keep 2 images of 2 servers"]
    page = done(reader.submit("#change"), reader)
    assert page.all("#outcome") == ["All done."]
    assert page.all("label") == ["2 of 2"]


def test_what_is_not_known_is_left_out(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    """A failed forecast does not mean that nothing expires."""
    enable(nova, "db1", "web1", "5")
    cloud.advance("6d")
    ids = [id_of(cloud, name) for name in ("db1", "web1")]
    home = reader.page.path
    reader.get(home)
    cloud.fault(f"GET /images.*{ids[1]} 503")
    page = reader.submit("#bulk", server=ids, action="update", retention=1)
    assert page.all("#forecast strong") == ["5 images will be deleted"]
    (left_out,) = page.all("#left-out li")
    rows = list(csv.DictReader(reader.link("CSV").response.text.splitlines()))
    assert len(rows) == len(page.all("#reviewed tbody tr")) + 1
    assert rows[-1]["left_out"]
    assert rows[-1]["then"] == rows[-1]["expiring"] == ""
    assert rows[0]["expiring"].split("; ") == sorted(
        image.name for image in cloud.images(ids[0])
    )
    reader.get(page.path)
    assert left_out.startswith("web1 : ")
    assert "(HTTP 503)" in left_out
    assert page.all("#confirm") == ["Keep 1 image of 1 server"]
    cloud.clear_faults()
    done(reader.submit("#change"), reader)
    assert "Retention: 1" in nova.ok("scheduled-images-show", "db1")
    assert "Retention: 5" in nova.ok("scheduled-images-show", "web1")

    # Where nothing is known there is nothing to confirm.
    cloud.fault("GET /images 503")
    reader.get(home)
    page = reader.submit("#bulk", server=ids, action="update", retention=1)
    assert page.all("#forecast") == ["None of these servers would be changed."]
    assert "No image expires" not in page.text
    assert not page.has("#confirm")


def test_what_is_not_known_any_more_is_not_done(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "db1", "web1", "5")
    cloud.advance("6d")
    ids = [id_of(cloud, name) for name in ("db1", "web1")]
    reader.get(reader.page.path)
    reader.submit("#bulk", server=ids, action="update", retention=4)
    cloud.fault(f"GET /images.*{ids[1]} 503")
    page = done(reader.submit("#change"), reader)
    assert page.all("#outcome") == ["1 failed , 1 of 2 done."]
    assert "(HTTP 503)" in page.all("#failures li")[0]
    assert "Retention: 4" in nova.ok("scheduled-images-show", "db1")
    assert "Retention: 5" in nova.ok("scheduled-images-show", "web1")


def test_what_is_not_as_it_was_shown_is_shown_again(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    """Three images were announced, and by now eight would go."""
    enable(nova, "db1", "web1", "5")
    cloud.advance("2d")
    ids = [id_of(cloud, name) for name in ("db1", "web1", "myserver")]
    reader.get(reader.page.path)
    page = reader.submit("#bulk", server=ids, action="enable", retention=2)
    before = len(cloud.images(ids[0]))
    assert page.all("#forecast strong") == [
        f"{2 * (before - 1)} images will be deleted"
    ]
    enable(nova, "web1", "7")
    page = done(reader.submit("#change"), reader)
    assert page.all("#outcome") == ["2 of 3 done."]
    assert page.all(".note")[0].startswith("Left unchanged: web1. ")
    assert "Retention: 7" in nova.ok("scheduled-images-show", "web1")
    assert "Retention: 2" in nova.ok("scheduled-images-show", "myserver")

    # It is about that server alone, as it is now.
    page = reader.link("Continue")
    assert page.has("#changed")
    (row,) = reviewed(page)
    assert row.startswith(f"web1 daily, keep 7 daily, keep 2 {before - 1}, ")
    cloud.advance("3d")
    page = done(reader.submit("#change"), reader)
    assert page.all("#outcome") == ["0 of 1 done."]
    assert "Retention: 7" in nova.ok("scheduled-images-show", "web1")
    assert len(cloud.images(ids[1])) == before + 3
    page = reader.link("Continue")
    assert page.all("#forecast strong") == [f"{before + 2} images will be deleted"]
    page = done(reader.submit("#change"), reader)
    assert page.all("#outcome") == ["All done."]
    assert "Retention: 2" in nova.ok("scheduled-images-show", "web1")


def test_a_schedule_that_was_not_shown_is_not_switched_off(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    enable(nova, "db1", "web1", "5")
    ids = [id_of(cloud, name) for name in ("db1", "web1", "myserver")]
    reader.get(reader.page.path)
    page = reader.submit("#bulk", server=ids, action="disable")
    assert page.all("#left-out li") == ["myserver : it has no schedule"]
    assert page.all("#confirm") == ["Switch the schedules of 2 servers off"]
    enable(nova, "web1", "6")
    page = done(reader.submit("#change"), reader)
    assert page.all("#outcome") == ["1 of 2 done."]
    assert "Retention: 6" in nova.ok("scheduled-images-show", "web1")
    assert nova("scheduled-images-show", "db1").status == 1


def test_a_review_is_its_owners_and_says_what_was_shown(
    panel: Panel, reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    page = reader.submit("#bulk", server=MYSERVER, retention=4)
    _, fields = reader.fill("#change")
    page = reader.post(page.path, [(k, v) for k, v in fields if k != "reviewed"])
    assert page.messages == ["This is not what you were shown. Nothing was changed."]
    assert nova("scheduled-images-show", "myserver").status == 1
    page = reader.get(f"{page.path}x")
    assert (page.status, page.all("h1")) == (404, ["Unknown review"])


def test_each_failure_is_named_and_the_others_are_done(
    reader: Reader, nova: Nova, cloud: Sandbox
) -> None:
    ids = [id_of(cloud, name) for name in ("db1", "web1")]
    reader.submit("#bulk", server=ids, retention=4)
    cloud.fault(f"POST /{ids[1]}/ 403")
    page = done(reader.submit("#change"), reader)

    assert page.all("#outcome") == ["1 failed , 1 of 2 done."]
    (failure,) = page.all("#failures li")
    assert failure.startswith("web1 : Your role does not permit this. What the ")
    assert nova.ok("scheduled-images-show", "db1").endswith("Retention: 4\n")


def test_the_list_stays_as_it_was_filtered(reader: Reader) -> None:
    home = reader.page.path
    narrow = f"{home}?name=web&status=off&sort=-name"

    def is_as_before(page: Page) -> bool:
        shown = dict(reader.fill("#filter")[1])
        kept = shown == {"name": "web", "status": "off", "sort": "-name"}
        return kept and names(page) == ["web1"]

    reader.get(narrow)
    web1 = str(reader.page.at("#servers input[name=server]")["value"])
    # Nothing is chosen, or what is typed is wrong.
    assert is_as_before(reader.submit("#bulk", retention="4"))
    assert is_as_before(reader.submit("#bulk", server=web1, retention="0"))
    page = reader.submit("#bulk", server=web1, retention="4")
    review = page.path
    assert page.has("#reviewed")
    assert is_as_before(reader.link("Cancel"))
    assert reader.page.has("#servers input[checked]")
    reader.get(review)
    done(reader.submit("#change"), reader)
    page = reader.link("Continue")
    assert (page.at("#name")["value"], names(page)) == ("web", [])


def test_no_choice_and_a_wrong_schedule_send_nothing(
    reader: Reader, cloud: Sandbox
) -> None:
    home = reader.page.path
    sent(cloud)
    page = reader.submit("#bulk", when="friday", retention=4)
    assert page.path == home
    assert page.messages == ["No server is chosen. Choose servers in the list."]
    assert dict(reader.fill("#bulk")[1]).items() >= {
        ("when", "friday"),
        ("retention", "4"),
    }
    sent(cloud)
    page = reader.submit("#bulk", server=MYSERVER, action="update", retention="70000")
    assert page.messages == [
        "'70000' is not a retention: a whole number from 1 to 65535"
    ]
    # What was chosen and typed is still there.
    assert dict(reader.fill("#bulk")[1]).items() >= {
        ("server", MYSERVER),
        ("action", "update"),
        ("retention", "70000"),
    }
    page = reader.submit("#bulk", server=MYSERVER, action="explode")
    assert page.messages[0].startswith("'explode' is not an action: use ")
    assert not [line for line in sent(cloud) if not line.startswith("GET")]


@many
def test_all_can_mean_more_than_a_page(reader: Reader) -> None:
    path = reader.page.path
    page = reader.get(f"{path}?name=server-")
    assert len(names(page)) == 100
    (label,) = page.all("label:has([name=all])")
    assert label == "Select all 246 that match"
    page = reader.submit("#bulk", all="yes", action="update", retention=1)
    if "/jobs/" in page.path:
        done(page, reader)
        page = reader.link("Continue")
    assert page.all("#confirm") == ["Keep 1 image of 246 servers"]
    assert len(page.all("#reviewed tbody tr")) == 100
    assert page.all("#forecast strong") == ["492 images will be deleted"]
    assert page.all("#more")[0].startswith("And 146 more servers, ")
    assert len(page.response.content) < 60_000


def test_servers_of_one_name_are_told_apart(cloud: Sandbox) -> None:
    ids = [cloud.boot("twin").id for _ in range(2)]
    labels = {server_id: f"twin ({server_id[:8]})" for server_id in ids}
    with panel_over(cloud) as panel:
        reader = panel.reader()
        home = reader.page.path
        assert {*names(reader.page)} >= {*labels.values(), "myserver"}
        assert {*reader.page.all("#bulk tbody label")} >= {*labels.values()}
        page = reader.submit("#bulk", server=ids, retention=3)
        assert sorted(page.all("#reviewed tbody th")) == sorted(labels.values())
        cloud.fault(f"POST /{ids[1]}/ 503")
        page = done(reader.submit("#change"), reader)
        assert page.all("#failures strong") == [labels[ids[1]]]
        cloud.clear_faults()
        reader.get(home)
        page = reader.link(labels[ids[0]])
        assert page.all("h1") == [labels[ids[0]]]
        assert page.title.startswith(labels[ids[0]])
        page = reader.submit("#schedule-form", when="friday", retention="0")
        assert page.all("h1") == [f"{labels[ids[0]]}: review the schedule"]


def test_what_was_chosen_is_still_chosen_after_a_cancel(
    reader: Reader, cloud: Sandbox
) -> None:
    reader.submit("#bulk", server=MYSERVER, retention=3)
    page = reader.link("Cancel")
    assert [
        str(box["value"]) for box in page.soup.select("#bulk [checked][name=server]")
    ] == [MYSERVER]
    # Also where the filter does not show it.
    page = reader.get(f"{page.path}?name=web&server={MYSERVER}&server=nobody")
    assert names(page) == ["web1"]
    assert [v for k, v in reader.fill("#bulk")[1] if k == "server"] == [MYSERVER]
    assert page.all("#chosen") == ["Change the chosen servers, also 1 not shown here"]


def test_open_pages_share_what_was_read(cloud: Sandbox) -> None:
    with panel_over(cloud, login=True, refresh=600.0) as panel:
        first = panel.logged_in()
        sent(cloud)
        for _ in range(3):
            first.get(first.page.path)
            panel.logged_in("admin2")
        assert sent(cloud) == []
        # Who has another role may be shown other things.
        panel.logged_in("observer")
        assert len(sent(cloud)) > 1


@pytest.mark.long
@pytest.mark.parametrize(
    "cloud", [{"servers": 9996, "images_per_server": 1}], indirect=True
)
def test_ten_thousand_servers(cloud: Sandbox) -> None:
    with panel_over(cloud, refresh=600.0, patience=Patience(300, 300)) as panel:
        reader = panel.reader()
        path = reader.page.path
        assert reader.page.all("#count") == ["10000 servers"]
        assert reader.page.all(".pager span") == ["Page 1 of 100"]
        sent(cloud)
        page = reader.get(f"{path}?sort=-name&page=100")
        assert len(names(page)) == 100
        page = reader.get(f"{path}?name=server-0999")
        assert names(page) == [f"server-0999{n}" for n in range(7)]
        assert len(page.response.content) < 200_000
        assert sent(cloud) == []


@many
def test_a_mistake_keeps_the_choice_of_all_that_match(reader: Reader) -> None:
    page = reader.get(f"{reader.page.path}?name=server-0&page=2")
    page = reader.submit("#bulk", all="yes", action="update", retention=0)
    assert page.messages
    assert page.all("#count")[0].startswith("246 of 250 servers")
    assert page.has("#choose-all [name=all][checked]")
    page = reader.submit("#bulk", retention=1)
    assert page.all("h1") == ["Keep 1 image of 246 servers"]


@pytest.mark.parametrize("name", ['ÿ"; x=1/../\\', "日本 ✓", "a,b;c%0d%0a", "a\nb"])
def test_a_file_is_named_after_any_server(cloud: Sandbox, name: str) -> None:
    server_id = cloud.boot(name).id
    with panel_over(cloud) as panel:
        reader = panel.reader()
        path = f"{reader.page.path}/{server_id}"
        for address in (f"{path}?format=csv", f"{path}/calendar?format=csv"):
            page = reader.get(address)
            assert page.status == 200
            assert page.response.headers["Content-Type"].startswith("text/csv")
            assert "\n" not in page.response.headers["Content-Disposition"]
