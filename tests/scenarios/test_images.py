"""image-list, image-show, image-meta and image-delete on snapshots."""

from __future__ import annotations

import re

import pytest

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE

from .conftest import Run
from .resources import Workshop
from .tables import properties, row

# Release 7 of novaclient has these commands itself, and warns of their end.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The novaclient.v2.images module:DeprecationWarning"
)

NOBODY = "00000000-dead-4bad-8bad-000000000000"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def snapshot(resources: Workshop, server: tuple[str, str]) -> str:
    """A real snapshot of the server, with metadata."""
    image_id = resources.snapshot(server[1], color="red", purpose="a try")
    resources.done(server[1], image_id)
    return image_id


def test_list(nova: Run, server: tuple[str, str], snapshot: str) -> None:
    cells = row(nova.ok("image-list"), snapshot)
    assert cells[2:] == ["ACTIVE", server[1]]


@pytest.mark.needs("image commands of ours")
def test_show(
    nova: Run, resources: Workshop, server: tuple[str, str], snapshot: str
) -> None:
    image = resources.image(snapshot)
    assert image is not None
    shown = properties(nova.ok("image-show", snapshot))
    assert properties(nova.ok("image-show", image["name"])) == shown
    expected = {
        "id": snapshot,
        "name": image["name"],
        "status": "ACTIVE",
        "progress": "100",
        "minRam": "0",
        "server": server[1],
        "metadata instance_uuid": server[1],
        "metadata image_type": "snapshot",
        "metadata color": "red",
        "metadata purpose": "a try",
    }
    assert shown | expected == shown
    assert re.fullmatch(TIME, shown["created"])
    assert re.fullmatch(TIME, shown["updated"])
    assert int(shown["OS-EXT-IMG-SIZE:size"]) > 0


@pytest.mark.needs("image commands of ours")
def test_list_no_more_than_asked_for(nova: Run, snapshot: str) -> None:
    assert nova.ok("image-list", "--limit", "1").count("ACTIVE") == 1


def test_metadata_is_set_and_deleted(
    nova: Run, resources: Workshop, snapshot: str
) -> None:
    before = resources.image(snapshot)
    argv = ["color=blue", "fresh=1=2", f"{MARKER_KEY}={MARKER_VALUE}"]
    assert nova.ok("image-meta", snapshot, "set", *argv) == ""
    after = resources.image(snapshot)
    assert before is not None
    assert after is not None
    changed = {"color": "blue", "fresh": "1=2", MARKER_KEY: MARKER_VALUE}
    assert after == before | changed | {"updated_at": after["updated_at"]}

    assert nova.ok("image-meta", snapshot, "delete", "fresh", MARKER_KEY) == ""
    after = resources.image(snapshot)
    assert after is not None
    updated = {"color": "blue", "updated_at": after["updated_at"]}
    assert after == before | updated


@pytest.mark.needs("image commands of ours")
def test_what_an_image_lacks_cannot_be_deleted(nova: Run, snapshot: str) -> None:
    nova.ok("image-meta", snapshot, "set", "color=red")
    for missing in (("nosuch",), ("color", "nosuch")):
        result = nova("image-meta", snapshot, "delete", "color", "nosuch")
        assert (result.status, result.out) == (1, "")
        assert result.err.splitlines() == [
            f"ERROR (NotFound): Image {snapshot} has no metadata '{key}' (HTTP 404)"
            for key in missing
        ]


def test_images_are_deleted(nova: Run, resources: Workshop, snapshot: str) -> None:
    other = resources.add_image(resources.name("other"))
    assert nova.ok("image-delete", snapshot, other) == ""
    assert resources.image(snapshot) is resources.image(other) is None


@pytest.mark.needs("image commands of ours")
def test_what_cannot_be_deleted_does_not_stop_the_rest(
    nova: Run, resources: Workshop
) -> None:
    kept, gone = (resources.add_image(resources.name("image")) for _ in range(2))
    resources.protect(kept)
    result = nova("image-delete", NOBODY, kept, gone)
    assert (result.status, result.out) == (1, "")
    first, second = result.err.splitlines()
    assert first == (
        f"Delete for image {NOBODY} failed: No image with a name or ID of '{NOBODY}'"
        " exists."
    )
    assert second.startswith(f"Delete for image {kept} failed: ")
    assert "HTTP 403" in second
    assert resources.image(kept) is not None
    assert resources.image(gone) is None


@pytest.mark.needs("image commands of ours", "other users")
def test_who_may_only_look_changes_nothing(
    nova: Run, resources: Workshop, snapshot: str
) -> None:
    before = resources.image(snapshot)
    assert nova.ok("image-show", snapshot, user="observer")
    for argv in (("image-meta", snapshot, "set", "a=1"), ("image-delete", snapshot)):
        result = nova(*argv, user="observer")
        assert (result.status, result.out) == (1, "")
        assert "HTTP 403" in result.err
    assert resources.image(snapshot) == before


@pytest.mark.needs("image commands of ours", "other users")
def test_another_project_sees_no_image(nova: Run, snapshot: str) -> None:
    for argv in (("image-show",), ("image-delete",)):
        result = nova(*argv, snapshot, user="stranger")
        assert result.status == 1
        assert f"No image with a name or ID of '{snapshot}' exists." in result.err
    assert snapshot not in nova.ok("image-list", user="stranger")
