"""Tags of servers: what Nova has of them from microversion 2.26 on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.raw import Box, Caller, box

OPENSTACK = Path(sys.executable).with_name("openstack")
V = "2.52"


def tags(caller: Caller, server: str) -> Any:
    return caller.get(f"{server}/tags", version=V).json()["tags"]


def test_tags_are_compared_as_mysql_does(admin: Caller, server: str) -> None:
    """Without letter case: a second one is accepted, and not there."""
    assert admin.put(f"{server}/tags/Blue", version=V).status_code == 201
    assert admin.put(f"{server}/tags/blue", version=V).status_code == 201
    assert tags(admin, server) == ["Blue"]
    assert admin.get(f"{server}/tags/BLUE", version=V).status_code == 204
    listed = admin.get("/servers?tags=bLUE", version=V).json()["servers"]
    assert [f"/servers/{each['id']}" for each in listed] == [server]
    # Whoever removes "the other one" removes it.
    assert admin.delete(f"{server}/tags/blue", version=V).status_code == 204
    assert tags(admin, server) == []


def test_the_life_of_a_tag(admin: Caller, server: str) -> None:
    url = f"{server}/tags/blue"
    assert tags(admin, server) == []
    assert admin.get(url, version=V).status_code == 404
    made = admin.put(url, version=V)
    assert (made.status_code, made.content) == (201, b"")
    assert made.headers["Location"] == f"{admin.root}{url}"
    assert admin.put(url, version=V).status_code == 204
    assert admin.get(url, version=V).status_code == 204
    assert tags(admin, server) == ["blue"]
    assert admin.delete(url, version=V).status_code == 204
    gone = admin.delete(url, version=V)
    assert gone.status_code == 404
    assert gone.json()["itemNotFound"]["message"].endswith("has no tag 'blue'")


def test_all_at_once(admin: Caller, server: str) -> None:
    body = {"tags": ["b", "a", "b"]}
    answer = admin.put(f"{server}/tags", body, version=V)
    assert (answer.status_code, answer.json()) == (200, {"tags": ["a", "b"]})
    assert admin.put(f"{server}/tags", {"tags": []}, version=V).json() == {"tags": []}
    admin.put(f"{server}/tags", body, version=V)
    assert admin.delete(f"{server}/tags", version=V).status_code == 204
    assert tags(admin, server) == []


@pytest.mark.parametrize("tag", ["x" * 61, "a,b", "a%2Fb"])
def test_not_a_tag(admin: Caller, server: str, tag: str) -> None:
    answer = admin.put(f"{server}/tags/{tag}", version=V)
    # A slash never reaches it: it parts the path.
    assert answer.status_code == (404 if "%2F" in tag else 400)
    body = {"tags": [tag.replace("%2F", "/")]}
    assert admin.put(f"{server}/tags", body, version=V).status_code == 400
    assert tags(admin, server) == []


@pytest.mark.parametrize("body", [None, [], {}, {"tags": None}, {"tags": [1]}])
def test_not_a_list_of_tags(admin: Caller, server: str, body: Any) -> None:
    admin.put(f"{server}/tags/kept", version=V)
    assert admin.put(f"{server}/tags", body, version=V).status_code == 400
    assert tags(admin, server) == ["kept"]


def test_fifty_are_the_most(admin: Caller, server: str) -> None:
    most = [f"t{number:02}" for number in range(50)]
    more = {"tags": [*most, "more"]}
    assert admin.put(f"{server}/tags", more, version=V).status_code == 400
    assert admin.put(f"{server}/tags", {"tags": most}, version=V).status_code == 200
    answer = admin.put(f"{server}/tags/more", version=V)
    assert answer.status_code == 400
    assert "exceeded the per-server limit 50" in answer.text
    assert tags(admin, server) == most


def test_readers_only_look(cloud_box: Box, server: str) -> None:
    cloud_box.admin.put(f"{server}/tags/a", version=V)
    reader = cloud_box.as_("observer")
    assert tags(reader, server) == ["a"]
    for answer in (
        reader.put(f"{server}/tags/b", version=V),
        reader.put(f"{server}/tags", {"tags": []}, version=V),
        reader.delete(f"{server}/tags/a", version=V),
        reader.delete(f"{server}/tags", version=V),
    ):
        assert answer.status_code == 403
        assert "os-server-tags:" in answer.json()["forbidden"]["message"]
    creator = cloud_box.as_("creator")
    assert creator.put(f"{server}/tags/b", version=V).status_code == 201
    assert tags(creator, server) == ["a", "b"]


def test_another_project(cloud_box: Box, server: str) -> None:
    stranger = cloud_box.as_("stranger")
    for answer in (
        stranger.get(f"{server}/tags", version=V),
        stranger.put(f"{server}/tags/a", version=V),
        stranger.delete(f"{server}/tags", version=V),
    ):
        assert answer.status_code == 403
    assert tags(cloud_box.admin, server) == []


def test_they_may_change_while_a_snapshot_runs_and_on_a_locked_server(
    cloud_box: Box, admin: Caller, server: str
) -> None:
    admin.snapshot(server.rpartition("/")[2], "x")
    admin.post(f"{server}/action", {"lock": None})
    creator = cloud_box.as_("creator")
    assert creator.put(f"{server}/tags/a", version=V).status_code == 201


def test_not_of_a_server_in_error(cloud_box: Box, admin: Caller, server: str) -> None:
    with cloud_box.sandbox.region() as region:
        region.servers.reset_state(server.rpartition("/")[2], "error")
    answer = admin.put(f"{server}/tags/a", version=V)
    assert answer.status_code == 409
    assert answer.json()["conflictingRequest"]["message"].startswith(
        "Cannot 'update tag' instance "
    )
    assert tags(admin, server) == []


def test_a_change_does_not_update_the_server(
    cloud_box: Box, admin: Caller, server: str
) -> None:
    before = admin.get(server).json()["server"]["updated"]
    cloud_box.sandbox.advance("1h")
    admin.put(f"{server}/tags/a", version=V)
    assert admin.get(server).json()["server"]["updated"] == before


def test_versions(admin: Caller, server: str) -> None:
    admin.put(f"{server}/tags/a", version="2.26")
    assert admin.get(f"{server}/tags", version="2.25").status_code == 404
    assert admin.put(f"{server}/tags/b", version="2.25").status_code == 404
    assert "tags" not in admin.get(server, version="2.25").json()["server"]
    assert admin.get(server, version="2.26").json()["server"]["tags"] == ["a"]
    for version, number in (("2.25", 4), ("2.26", 1)):
        found = admin.get("/servers?tags=a", version=version).json()["servers"]
        assert len(found) == number


def test_boot_with_tags(admin: Caller) -> None:
    def boot(version: str, **more: Any) -> Any:
        server = {
            "name": "new",
            "imageRef": admin.base_image(),
            "flavorRef": "1",
            "networks": "none",
            **more,
        }
        return admin.post("/servers", {"server": server}, version=version)

    made = boot("2.52", tags=["b", "a", "b"]).json()["server"]
    assert tags(admin, f"/servers/{made['id']}") == ["a", "b"]
    assert boot("2.51", tags=["a"]).status_code == 400
    assert boot("2.52", tags=["a,b"]).status_code == 400
    assert boot("2.52", tags=[f"t{n}" for n in range(51)]).status_code == 400


def test_they_go_with_their_server(cloud_box: Box, admin: Caller) -> None:
    server_id = admin.boot("new")
    admin.put(f"/servers/{server_id}/tags/a", version=V)
    admin.delete(f"/servers/{server_id}")
    with cloud_box.sandbox.cloud.transaction():
        store = cloud_box.sandbox.cloud.store
        assert store.all("SELECT * FROM tags") == []


def test_a_state_file_keeps_them(tmp_path: Path) -> None:
    state = tmp_path / "cloud.db"
    for known in ([], ["a"]):
        with box("openstack", state=state) as made:
            server = f"/servers/{made.admin.server_id()}"
            assert tags(made.admin, server) == known
            made.admin.put(f"{server}/tags/a", version=V)


def test_rackspace_has_none() -> None:
    with box("rackspace") as made:
        server = f"/servers/{made.admin.server_id()}"
        assert made.admin.get(f"{server}/tags").status_code == 404
        assert "tags" not in made.admin.get(server).json()["server"]


# Filters


NAMES = ["a", "b", "c", "d"]
some = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)


@pytest.fixture(scope="module")
def tagged() -> Iterator[tuple[Caller, dict[str, set[str]]]]:
    """A cloud with sixteen servers more, each with other tags."""
    with box("openstack") as made:
        sets = {}
        for number in range(16):
            chosen = {name for bit, name in enumerate(NAMES) if number >> bit & 1}
            server_id = made.admin.boot(f"s{number:02}")
            url = f"/servers/{server_id}/tags"
            made.admin.put(url, {"tags": sorted(chosen)}, version=V)
            sets[f"s{number:02}"] = chosen
        yield made.admin, sets


@given(
    filters=st.dictionaries(
        st.sampled_from(["tags", "tags-any", "not-tags", "not-tags-any"]), some
    )
)
def test_filters(
    tagged: tuple[Caller, dict[str, set[str]]], filters: dict[str, list[str]]
) -> None:
    admin, sets = tagged
    holds: dict[str, Callable[[set[str], set[str]], bool]] = {
        "tags": lambda own, asked: asked <= own,
        "tags-any": lambda own, asked: bool(asked & own),
        "not-tags": lambda own, asked: not asked <= own,
        "not-tags-any": lambda own, asked: not asked & own,
    }
    expected = {
        name
        for name, own in sets.items()
        if all(holds[word](own, set(asked)) for word, asked in filters.items())
    }
    query = {word: ",".join(asked) for word, asked in filters.items()}
    for path in ("/servers", "/servers/detail"):
        found, url = set(), path
        params: Any = {**query, "name": "^s", "limit": 5}
        while url:
            body = admin.get(url, version=V, params=params).json()
            found |= {server["name"] for server in body["servers"]}
            links = body.get("servers_links", [])
            url, params = (links[0]["href"] if links else ""), None
        assert found == expected


# Clients that nobody here wrote


@pytest.mark.skipif(not OPENSTACK.exists(), reason="there is no openstack command")
def test_openstack(cloud: Sandbox) -> None:
    def openstack(*argv: str) -> str:
        done = subprocess.run(
            [OPENSTACK, *argv], env=cloud.environ(), capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    openstack("server", "set", "--tag", "x", "--tag", "y", "web1")
    openstack("server", "unset", "--tag", "y", "web1")
    shown = openstack("server", "show", "-f", "json", "-c", "tags", "web1")
    assert json.loads(shown)["tags"] == ["x"]
    listed = openstack("server", "list", "--tags", "x", "-f", "value", "-c", "Name")
    assert listed == "web1\n"
    image = "Debian 12 (Bookworm)"
    openstack(
        *("server", "create", "--image", image, "--flavor", "1", "--nic", "none"),
        *("--tag", "t1", "new"),
    )
    listed = openstack("server", "list", "--tags", "t1", "-f", "value", "-c", "Name")
    assert listed == "new\n"


def test_nova(nova: Any) -> None:
    if "server-tag-add" not in nova("help").out:
        pytest.skip("this novaclient knows no tags")
    nova("server-tag-add", "myserver", "a", "b")
    assert "| a   |" in nova.ok("server-tag-list", "myserver")
    nova("server-tag-delete", "myserver", "a")
    nova("server-tag-set", "web1", "b", "c")
    assert "web1" in nova.ok("list", "--tags", "b,c")
    assert "myserver" not in nova.ok("list", "--tags", "b,c")
    nova("server-tag-delete-all", "web1")
    assert "web1" not in nova.ok("list", "--tags-any", "b,c")
