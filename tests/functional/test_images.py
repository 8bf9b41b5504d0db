"""image-list, -show, -meta and -delete, by the real nova, through both image APIs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import HAS_IMAGE_COMMANDS, image_commands_are_ours
from .fleet import MYSERVER, NOBODY, add_image
from .interceptor import Interceptor
from .raw import START

Run = Callable[..., Any]


SERVED = [
    ("openstack", "image service"),
    ("openstack", "compute's proxy"),
    ("rackspace", "compute's proxy"),
]


@pytest.fixture(params=SERVED, ids=" ".join)
def served(request: pytest.FixtureRequest) -> Any:
    """Whom the cloud is like, and what has its images."""
    return request.param


@pytest.fixture
def cloud(served: tuple[Any, str]) -> Iterator[Sandbox]:
    with Sandbox(like=served[0], speed=0, start=START) as sandbox:
        yield sandbox


@pytest.fixture
def run(served: tuple[str, str], nova: Any, front: Interceptor) -> Run:
    """``nova`` on a cloud whose catalog has, or has not, an image service."""
    if served[1] == "compute's proxy":
        front.without_image_service()

    def run_nova(*argv: str, **options: Any) -> Any:
        return nova(*argv, **options)

    return run_nova


both_types = pytest.mark.parametrize(
    "served", [("openstack", ""), ("rackspace", "")], ids=["openstack", "rackspace"]
)
one_type = pytest.mark.parametrize("served", [("openstack", "")], ids=["openstack"])


def out(result: Any) -> str:
    assert (result.status, result.err) == (0, ""), result
    return str(result.out)


def rows(result: Any) -> dict[str, str]:
    """The rows of a table of two columns."""
    found = re.findall(r"^\| (.*?) +\| (.*?) +\|$", out(result), re.MULTILINE)
    assert found.pop(0) == ("Property", "Value")
    assert found == sorted(found)
    return dict(found)


def proxied(cloud: Sandbox) -> bool:
    """Whether the image commands' requests since the last look went to compute."""
    paths = [path for _, path, _ in cloud.requests if "/images" in path]
    cloud.requests.clear()
    assert paths
    return all("/compute/" in path for path in paths)


def properties(cloud: Sandbox, image_id: str) -> dict[str, str]:
    with cloud.region() as region:
        return dict(region.images.get(image_id).properties)


@both_types
@pytest.mark.skipif(not HAS_IMAGE_COMMANDS, reason="this novaclient has none")
@pytest.mark.filterwarnings("ignore:The novaclient.v2.images module:DeprecationWarning")
def test_novaclients_own_commands_are_used(nova: Any, cloud: Sandbox) -> None:
    for verb in ("list", "show", "meta", "delete"):
        assert "DEPRECATED: " in nova.ok("help", f"image-{verb}")
    assert "Debian 12 (Bookworm)" in nova("image-list").out
    assert proxied(cloud)


@both_types
@image_commands_are_ours
def test_the_catalog_decides_which_api_is_asked(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    out(nova("image-list"))
    assert not proxied(cloud)
    front.without_image_service()
    out(nova("image-list"))
    assert proxied(cloud)


@image_commands_are_ours
def test_list(run: Run, cloud: Sandbox) -> None:
    image = add_image(cloud, "a snapshot", instance_uuid=MYSERVER)
    lines = out(run("image-list")).splitlines()
    border = f"+{'-' * 38}+----------------------+--------+{'-' * 38}+"
    assert lines[:3] == [
        border,
        f"| {'ID':36} | Name                 | Status | {'Server':36} |",
        border,
    ]
    assert lines[3].endswith(f"| Debian 12 (Bookworm) | ACTIVE | {'':36} |")
    assert lines[4:] == [
        f"| {image} | a snapshot           | ACTIVE | {MYSERVER} |",
        border,
    ]


@image_commands_are_ours
@pytest.mark.parametrize(("limit", "listed"), [("1", 1), ("2", 2), ("99", 4)])
def test_list_no_more_than_asked_for(
    run: Run, cloud: Sandbox, limit: str, listed: int
) -> None:
    for number in range(3):
        add_image(cloud, f"image {number}")
    cloud.requests.clear()
    assert out(run("image-list", "--limit", limit)).count("ACTIVE") == listed
    asked = [path for _, path, _ in cloud.requests if "/images" in path]
    assert len(asked) == 1


@one_type
@image_commands_are_ours
@pytest.mark.parametrize("proxy", [False, True])
def test_list_reads_every_page(nova: Any, proxy: bool) -> None:
    with (
        Sandbox(speed=0, start=START, max_limit=2) as cloud,
        Interceptor(cloud) as front,
    ):
        if proxy:
            front.without_image_service()
        names = {add_image(cloud, f"image {number}") for number in range(6)}
        listed = out(nova("image-list", cloud=cloud))
        assert names < set(re.findall("[0-9a-f-]{36}", listed))
        assert listed.count("ACTIVE") == 7
        some = out(nova("image-list", "--limit", "5", cloud=cloud))
        assert some.count("ACTIVE") == 5
        assert proxied(cloud) is proxy


@image_commands_are_ours
def test_show_every_row(run: Run, nova: Any, cloud: Sandbox) -> None:
    nova.ok("image-create", "--metadata", "purpose=try", "myserver", "by hand")
    cloud.advance("2h")
    shown = rows(run("image-show", "by hand"))
    metadata = {
        key.removeprefix("metadata "): shown.pop(key)
        for key in list(shown)
        if key.startswith("metadata ")
    }
    image_id = shown["id"]
    assert metadata == properties(cloud, image_id)
    assert metadata["purpose"] == "try"
    for name in ("created", "updated"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown.pop(name))
    assert int(shown.pop("OS-EXT-IMG-SIZE:size")) > 0
    assert shown == {
        "id": image_id,
        "minDisk": shown["minDisk"],
        "minRam": "0",
        "name": "by hand",
        "progress": "100",
        "server": MYSERVER,
        "status": "ACTIVE",
    }
    assert rows(run("image-show", image_id)) == rows(run("image-show", "by hand"))


@both_types
@image_commands_are_ours
@pytest.mark.parametrize("elapsed", ["1s", "2m", "1h"])
def test_both_apis_show_the_same(
    nova: Any, cloud: Sandbox, front: Interceptor, elapsed: str
) -> None:
    nova.ok("image-create", "myserver", "half done")
    cloud.advance(elapsed)
    one = rows(nova("image-show", "half done"))
    assert not proxied(cloud)
    front.without_image_service()
    assert rows(nova("image-show", "half done")) == one
    assert proxied(cloud)


@image_commands_are_ours
def test_show_what_is_not_a_snapshot(run: Run) -> None:
    shown = rows(run("image-show", "Debian 12 (Bookworm)"))
    assert "server" not in shown
    assert shown["metadata os_distro"] == "debian"


@image_commands_are_ours
def test_show_what_compute_makes_of_disk_configuration(
    run: Run, cloud: Sandbox
) -> None:
    add_image(cloud, "auto", auto_disk_config="True")
    add_image(cloud, "manual", auto_disk_config="False")
    shown = [rows(run("image-show", name)) for name in ("auto", "manual")]
    assert [row["OS-DCF:diskConfig"] for row in shown] == ["AUTO", "MANUAL"]


@image_commands_are_ours
def test_set_metadata(run: Run, cloud: Sandbox) -> None:
    image = add_image(cloud, "mine", a="old", b="kept")
    argv = ["a=new", "c=x=y", "d=", "e=größe"]
    assert out(run("image-meta", "mine", "set", *argv)) == ""
    expected = {"a": "new", "b": "kept", "c": "x=y", "d": "", "e": "größe"}
    assert properties(cloud, image) == expected
    assert out(run("image-meta", image, "set", "b=too")) == ""
    assert properties(cloud, image) == {**expected, "b": "too"}


@image_commands_are_ours
def test_delete_metadata(run: Run, cloud: Sandbox) -> None:
    image = add_image(cloud, "mine", a="1", b="2", c="3", d="4")
    assert out(run("image-meta", "mine", "delete", "a", "b=whatever")) == ""
    assert properties(cloud, image) == {"c": "3", "d": "4"}
    # What is there goes; what is not there is an error, each of it.
    result = run("image-meta", image, "delete", "a", "c", "nosuch")
    assert (result.status, result.out) == (1, "")
    assert result.err == "".join(
        f"ERROR (NotFound): Image {image} has no metadata '{key}' (HTTP 404)\n"
        for key in ("a", "nosuch")
    )
    assert properties(cloud, image) == {"d": "4"}


@image_commands_are_ours
def test_another_key_than_the_markers_keeps_nothing(run: Run, cloud: Sandbox) -> None:
    """The article's way to keep an image hangs on it that silence means: done."""
    marker: Any = {MARKER_KEY: MARKER_VALUE}
    image = add_image(cloud, "mine", **marker)
    hyphens = MARKER_KEY.replace("created_by", "created-by")
    result = run("image-meta", "mine", "delete", hyphens)
    assert (result.status, result.out) == (1, "")
    assert f"Image {image} has no metadata '{hyphens}'" in result.err
    assert MARKER_KEY in properties(cloud, image)
    assert out(run("image-meta", "mine", "delete", MARKER_KEY)) == ""
    again = run("image-meta", "mine", "delete", MARKER_KEY)
    assert (again.status, again.out, again.err) == (
        *(0, ""),
        f"Image {image} has no metadata '{MARKER_KEY}': no schedule counts or deletes"
        " it\n",
    )


@image_commands_are_ours
def test_keep_a_scheduled_image_for_good(run: Run, nova: Any, cloud: Sandbox) -> None:
    nova.ok("scheduled-images-enable", "myserver", "1")
    cloud.advance("1d12h")
    listed = [line for line in out(run("image-list")).splitlines() if "Daily" in line]
    kept = listed[0].split()[1]
    assert rows(run("image-show", kept))[f"metadata {MARKER_KEY}"] == MARKER_VALUE
    assert out(run("image-meta", kept, "delete", MARKER_KEY)) == ""
    cloud.advance("10d")
    listed = [line for line in out(run("image-list")).splitlines() if "Daily" in line]
    assert len(listed) == 2
    assert any(kept in line for line in listed)


@one_type
@image_commands_are_ours
@pytest.mark.parametrize("key", ["a/b~c", "~1", "per cent %41"])
def test_keys_that_mean_something_in_an_address(
    nova: Any, cloud: Sandbox, key: str
) -> None:
    image = add_image(cloud, "mine")
    nova.ok("image-meta", "mine", "set", f"{key}=1")
    assert properties(cloud, image) == {key: "1"}
    nova.ok("image-meta", "mine", "delete", key)
    assert properties(cloud, image) == {}


@one_type
@image_commands_are_ours
def test_a_race_for_the_same_removal_is_won_by_both(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    image = add_image(cloud, "mine", a="1", b="2")
    nova.ok("image-meta", image, "delete", "a")

    def as_it_was(content: bytes) -> bytes:
        front.edits.clear()
        return json.dumps({**json.loads(content), "a": "1"}).encode()

    front.change("GET", f"/images/{image}$", as_it_was)
    cloud.requests.clear()
    result = nova("image-meta", image, "delete", "a", "b")
    assert (result.status, result.out, result.err) == (0, "", "")
    assert properties(cloud, image) == {}
    seen = [(m, s) for m, path, s in cloud.requests if image in path]
    assert seen == [("GET", 200), ("PATCH", 409), ("GET", 200), ("PATCH", 200)]


@both_types
@image_commands_are_ours
def test_a_race_for_the_same_key_of_the_proxy(
    nova: Any, cloud: Sandbox, front: Interceptor
) -> None:
    image = add_image(cloud, "mine", b="2")
    front.without_image_service()
    front.change("GET", "/images/", lambda c: c.replace(b'"b": ', b'"a": "1", "b": '))
    front.change("GET", "/images/", lambda c: c.replace(b'"b":', b'"a":"1","b":'))
    result = nova("image-meta", image, "delete", "a", "b")
    assert (result.status, result.out, result.err) == (0, "", "")
    assert properties(cloud, image) == {}
    assert ("DELETE", 404) in [(m, s) for m, path, s in cloud.requests if image in path]


@image_commands_are_ours
def test_delete_images(run: Run, cloud: Sandbox) -> None:
    one, two, three = (add_image(cloud, f"image {number}") for number in range(3))
    assert out(run("image-delete", one, "image 1")) == ""
    listed = out(run("image-list"))
    assert [image in listed for image in (one, two, three)] == [False, False, True]


@image_commands_are_ours
def test_of_several_deletions_all_are_tried(run: Run, cloud: Sandbox) -> None:
    image = add_image(cloud, "mine")
    protected = add_image(cloud, "protected", protected=True)
    result = run("image-delete", "nosuch", protected, NOBODY, image)
    assert (result.status, result.out) == (1, "")
    lines = result.err.splitlines()
    assert lines[0] == (
        "Delete for image nosuch failed: No image with a name or ID of 'nosuch' exists."
    )
    assert re.fullmatch(
        rf"Delete for image {protected} failed: .*(protected|not allowed).*"
        r"\(HTTP 403\)( \(Request-ID: .*\))?",
        lines[1],
    )
    assert lines[2] == (
        f"Delete for image {NOBODY} failed: No image with a name or ID of '{NOBODY}'"
        " exists."
    )
    assert len(lines) == 3
    listed = out(run("image-list"))
    assert [i in listed for i in (image, protected)] == [False, True]


@image_commands_are_ours
def test_two_images_of_one_name(run: Run, cloud: Sandbox) -> None:
    twins = sorted(add_image(cloud, "twin", a="1") for _ in range(2))
    for argv in (["show", "twin"], ["meta", "twin", "delete", "a"], ["delete", "twin"]):
        result = run(f"image-{argv[0]}", *argv[1:])
        assert (result.status, result.out) == (1, "")
        assert "Multiple image matches found for 'twin', use an ID to be more" in (
            result.err
        )
        assert all(image in result.err for image in twins)
    assert [properties(cloud, image) for image in twins] == [{"a": "1"}] * 2


@image_commands_are_ours
def test_an_id_wins_over_a_name(run: Run, cloud: Sandbox) -> None:
    image = add_image(cloud, "mine")
    impostor = add_image(cloud, image)
    assert out(run("image-meta", image, "set", "a=1")) == ""
    assert [properties(cloud, i) for i in (image, impostor)] == [{"a": "1"}, {}]


@image_commands_are_ours
def test_a_name_may_look_like_an_id(run: Run, cloud: Sandbox) -> None:
    image = add_image(cloud, NOBODY)
    assert rows(run("image-show", NOBODY))["id"] == image
    for argv in (["set", "a=1", "b=2"], ["delete", "a"]):
        assert out(run("image-meta", NOBODY, *argv)) == ""
    assert properties(cloud, image) == {"b": "2"}
    assert out(run("image-delete", NOBODY)) == ""
    assert image not in out(run("image-list"))


@image_commands_are_ours
def test_names_are_what_they_are(run: Run, cloud: Sandbox) -> None:
    names = ["in:a,b", 'in:"x"', "größe", "n" * 255, "a&b=c#d %41", "a*c"]
    images = [add_image(cloud, name) for name in names]
    add_image(cloud, "a")
    assert [rows(run("image-show", name))["id"] for name in names] == images
