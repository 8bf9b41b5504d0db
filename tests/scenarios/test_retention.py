"""The retention of a server's images; protect, unprotect and prune."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from requests.adapters import HTTPAdapter

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE, PROTECTED_KEY

from .clouds import pause
from .drivers import Driver
from .resources import Workshop
from .test_schedules import enable

INHERITED = "; marker likely inherited from its base image"


def snapshots(resources: Workshop, server_id: str, count: int) -> list[str]:
    """Add marked images, the newest first; some are of the same second."""
    made = []
    for number in range(count):
        made.append(resources.add_snapshot(server_id))
        if number % 10 == 9:
            pause(1.1)
    return made[::-1]


def by_age(images: list[dict[str, Any]]) -> list[str]:
    """The IDs, newest first; of one second the same way every time."""
    ordered = sorted(images, key=lambda each: (each["created_at"], each["id"]))
    return [each["id"] for each in reversed(ordered)]


def test_the_fate_of_thirty_snapshots(
    driver: Driver, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    made = snapshots(resources, server_id, 30)
    by_hand = resources.add_snapshot(server_id, marked=False)
    listed = driver.listed("images", name)
    ids = [image["id"] for image in listed]
    assert set(ids) == {*made, by_hand}
    times = [image["created"] for image in listed]
    assert times == sorted(times, reverse=True)
    statuses = {
        image["id"]: (image["retention_status"], image["reason"]) for image in listed
    }
    assert statuses.pop(by_hand) == ("kept (exempt)", "not a scheduled image")
    # Without a schedule nothing goes, whether or not the cloud could have one.
    idle = ("kept", f"no schedule, so nothing is deleted{INHERITED}")
    assert set(statuses.values()) == {idle}

    planned = driver.ok("prune", "--keep", "7", "--dry-run", name)
    marked = [image for image in ids if image != by_hand]
    assert [image for image in marked if image in planned] == marked[7:]
    assert len(resources.images_of(server_id)) == 31


def test_the_schedule_decides_what_expires(
    driver: Driver, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    made = snapshots(resources, server_id, 12)
    enable(driver, name, 10)
    listed = driver.listed("images", name)
    assert {image["id"] for image in listed} >= set(made)
    ours = [image for image in listed if image["id"] in made]
    assert [image["expires_in_runs"] for image in ours[-3:]] == [1, 1, 1]
    assert ours[-4]["expires_in_runs"] == 2
    assert ours[-1]["retention_status"] == "expires next"
    driver.ok("disable", name)


def test_protect_and_unprotect(
    driver: Driver, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    image_id = resources.add_snapshot(server_id)
    before = resources.image(image_id)
    assert before is not None
    for _ in range(2):
        assert driver.ok("protect", image_id) == ""
        kept = resources.image(image_id)
        assert kept is not None
        assert MARKER_KEY not in kept
        assert kept[PROTECTED_KEY] == f"{image_id}:{MARKER_VALUE}"
    (image,) = driver.listed("images", name)
    assert (image["retention_status"], image["reason"]) == (
        "kept (exempt)",
        "protected",
    )
    for _ in range(2):
        result = driver.run("unprotect", image_id)
        assert (result.status, result.out) == (0, "")
        assert (
            result.err
            == f"No image of server {server_id} expires: it has no schedule\n"
        )
        after = resources.image(image_id)
        assert after is not None
        assert after == before | {"updated_at": after["updated_at"]}


def test_only_snapshots_are_protected(driver: Driver, resources: Workshop) -> None:
    image_id = resources.add_image(resources.name("image"))
    before = resources.image(image_id)
    for verb in ("protect", "unprotect"):
        result = driver.run(verb, image_id)
        assert (result.status, result.out) == (1, "")
        assert f"Image {image_id} is not a snapshot of a server" in result.err
    assert resources.image(image_id) == before


def test_prune_passes_over_what_is_protected(
    driver: Driver, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    made = snapshots(resources, server_id, 12)
    ordered = by_age(resources.images_of(server_id))
    assert set(ordered) == set(made)
    locked, kept = ordered[-1], ordered[-2]
    resources.protect(locked)
    driver.ok("protect", kept)
    result, rows = driver.rows("prune", "--keep", "4", "--yes", name)
    assert result.status == 1
    told = f"Image {locked} is protected in the image service"
    assert result.err.splitlines() == [driver.failed_delete(locked, told)]
    actions = {row["id"]: row["action"] for row in rows}
    counted = [image for image in ordered if image != kept]
    assert actions.pop(locked) == "failed"
    assert actions == dict.fromkeys(counted[4:-1], "deleted")
    left = {image["id"] for image in resources.images_of(server_id)}
    assert left == {*counted[:4], locked, kept}
    resources.protect(locked, False)
    assert driver.run("prune", "--keep", "4", "--yes", name).status == 0
    assert resources.image(locked) is None
    assert driver.ok("images", name).count(INHERITED) == 4


@contextmanager
def before_deleting(image_id: str, act: Callable[[], None]) -> Iterator[list[str]]:
    """Do something right before this process sends the deletion of an image."""
    send = HTTPAdapter.send
    met: list[str] = []

    def sent(adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
        if request.method == "DELETE" and request.url.endswith(image_id) and not met:
            met.append(image_id)
            act()
        return send(adapter, request, **options)

    with mock.patch.object(HTTPAdapter, "send", sent):
        yield met


def test_an_image_goes_under_the_hands_of_prune(
    driver: Driver, resources: Workshop, own: tuple[str, str]
) -> None:
    name, server_id = own
    snapshots(resources, server_id, 5)
    ordered = by_age(resources.images_of(server_id))
    lost = ordered[3]
    with before_deleting(lost, lambda: resources.delete_image(lost)) as met:
        result, listed = driver.rows("prune", "--keep", "2", "--yes", name)
    assert met == [lost]
    assert (result.status, result.err) == (0, "")
    rows = {row["id"]: (row["action"], row["reason"]) for row in listed}
    assert rows.pop(lost) == ("skipped", "already gone")
    assert {action for action, _ in rows.values()} == {"deleted"}
    assert rows.keys() == {ordered[2], ordered[4]}
    left = {image["id"] for image in resources.images_of(server_id)}
    assert left == set(ordered[:2])


def test_an_inherited_marker(
    driver: Driver, resources: Workshop, server: tuple[str, str]
) -> None:
    scheduled = resources.add_snapshot(server[1])
    name, server_id = resources.boot(image=scheduled)
    by_hand = []
    for _ in range(2):
        by_hand.append(resources.snapshot(server_id))
        resources.until("it is over", lambda: resources.task_state(server_id) is None)
        pause(1.1)
    # The image service made them heirs: nobody has marked them.
    marks = {image[MARKER_KEY] for image in resources.images_of(server_id)}
    assert marks == {MARKER_VALUE}
    (going,) = driver.listed("prune", "--keep", "1", "--dry-run", name)
    assert (going["id"], going["action"]) == (by_hand[0], "delete")
    assert going["reason"] == f"older than the newest{INHERITED}"

    ours = resources.name("by-snapshot-create")
    result = driver.create(name, ours, "--interval", "0.2", "--wait")
    assert result.status == 0, result
    assert "Removed the scheduled images marker that image" in result.err
    made = resources.image(result.out.strip())
    assert made is not None
    assert MARKER_KEY not in made
    listed = driver.listed("images", name)
    statuses = {image["id"]: image["retention_status"] for image in listed}
    assert statuses.pop(made["id"]) == "kept (exempt)"
    assert statuses == dict.fromkeys(by_hand, "kept")
