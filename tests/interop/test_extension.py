"""The extension's API before the real Nova, which must be up, beside the sandbox's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rax_scheduled_images_ext.model.schedule_tags import OFF_TAG
from rax_scheduled_images_ext.sandbox import Sandbox

from .cloud.layout import DEFAULT_STATE, Layout
from .contract.answer import Summary
from .contract.clouds import move
from .contract.deviations import FORCED, compare, inexact, report, unmeant
from .contract.extension import CASES, ROLES
from .contract.runner import run
from .contract.stage import Person, Stage
from .fronts import filtered, proxied

LAYOUT = Layout(DEFAULT_STATE)
DEPRECATION = "nova CLI is deprecated and will be removed in a future release"
Answers = dict[str, Summary]
_PEOPLE = {"reader": "observer", "stranger": "stranger"}


def people(**names: str) -> dict[str, dict[str, str]]:
    return {who: LAYOUT.environ(name) for who, name in {**_PEOPLE, **names}.items()}


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """Where the extension's API is, with the rights of Nova and of Rackspace."""
    with (
        filtered(LAYOUT) as filter_,
        proxied() as proxy,
        proxied("--roles", "rackspace") as strict,
    ):
        yield {
            "filter": f"{filter_}/v2.1",
            "filter, roles": f"{filter_}/strict/v2.1",
            "proxy": f"{proxy}/v2.1",
            "proxy, roles": f"{strict}/v2.1",
        }


@pytest.fixture(scope="module")
def sandbox() -> Answers:
    """What the sandbox answers, which has the extension itself."""
    with Sandbox(speed=0) as sandbox:
        names = {"user": "admin", "member": "creator", **_PEOPLE}
        everyone = {who: sandbox.env(name) for who, name in names.items()}
        table = (*CASES, *ROLES)
        return run(everyone, table, sleep=lambda seconds: move(sandbox, seconds))


@pytest.fixture(scope="module", params=["filter", "proxy"])
def answers(request: pytest.FixtureRequest, addresses: dict[str, str]) -> Answers:
    """What the real Nova answers behind the API."""
    everyone = people(user="demo")
    found = run(everyone, CASES, compute=addresses[request.param])
    strict = people(user="owner", member="demo")
    address = addresses[f"{request.param}, roles"]
    return found | run(strict, ROLES, compute=address)


def test_it_differs_only_where_nova_forces_it(
    sandbox: Answers, answers: Answers
) -> None:
    found = compare(sandbox, answers)
    missing = unmeant(found, FORCED)
    assert not missing, "\n" + report(missing)
    assert not inexact(found, FORCED)


# -- what the table cannot say


@pytest.fixture(scope="module", params=["filter", "proxy"])
def shared(
    request: pytest.FixtureRequest, addresses: dict[str, str]
) -> Iterator[Stage]:
    """A server of the user's behind the API, and the administrator."""
    everyone = {
        who: Person(LAYOUT.environ(name))
        for who, name in (("user", "demo"), ("reader", "admin"))
    }
    with Stage(everyone, compute=addresses[request.param]).set_up() as made:
        yield made


@pytest.fixture
def stage(shared: Stage) -> Stage:
    """The server without a schedule and without tags."""
    ask(shared, "DELETE", SCHEDULE)
    tags = f"{SERVER}/tags"
    assert ask(shared, "DELETE", tags, version="2.26").status_code == 204
    return shared


def ask(stage: Stage, method: str, path: str, body: Any = None, **more: Any) -> Any:
    token = stage.people[more.pop("who", "user")].token
    version = more.pop("version", None)
    headers = {"OpenStack-API-Version": f"compute {version}"} if version else {}
    path = stage.fill(path)
    return stage.send("compute", method, path, body=body, token=token, headers=headers)


SERVER = "/servers/{server}"
SCHEDULE = f"{SERVER}/rax-si-image-schedule"
BODY = {"image_schedule": {"retention": 5}}


def test_tags_of_others_and_versions(stage: Stage) -> None:
    put = ask(stage, "PUT", f"{SERVER}/tags", {"tags": ["web"]}, version="2.26")
    assert put.json() == {"tags": ["web"]}
    assert ask(stage, "POST", SCHEDULE, BODY).json() == BODY
    put = ask(stage, "PUT", f"{SERVER}/tags", {"tags": ["db"]}, version="2.60")
    assert put.json() == {"tags": ["db"]}
    assert ask(stage, "DELETE", f"{SERVER}/tags", version="2.60").status_code == 204
    assert ask(stage, "GET", SCHEDULE).json() == BODY
    rebuild = {"rebuild": {"imageRef": stage.words["base"]}}
    for version in ("2.1", "2.90"):
        stage.wait_until_idle()
        rebuilt = ask(stage, "POST", f"{SERVER}/action", rebuild, version=version)
        assert rebuilt.status_code == 202
        server = rebuilt.json()["server"]
        assert server["RAX-SI:image_schedule"] == BODY["image_schedule"]
        assert server.get("tags", []) == []
    stage.wait_until_idle()


def test_the_api_without_versions(stage: Stage) -> None:
    root = stage.addresses["compute"]
    stage.addresses["compute"] = f"{root[: -len('/v2.1')]}/v2/{{project}}"
    stage.addresses["compute"] = stage.fill(stage.addresses["compute"])
    assert ask(stage, "POST", SCHEDULE, BODY).json() == BODY
    shown = ask(stage, "GET", SERVER)
    listed = ask(stage, "GET", "/servers/detail?RAX-SI%3Aimage_schedule=True&limit=1")
    (in_list,) = listed.json()["servers"]
    for server in (shown.json()["server"], in_list):
        assert server["RAX-SI:image_schedule"] == BODY["image_schedule"]
        assert not {"tags", "locked", "description"} & server.keys()
    for answer in (shown, listed):
        assert "/v2.1" not in answer.text
        assert not {"OpenStack-API-Version", "Vary"} & answer.headers.keys()
    assert ask(stage, "DELETE", SCHEDULE).status_code == 202
    stage.addresses["compute"] = root


def test_the_states_in_which_nova_changes_no_tags(stage: Stage) -> None:
    def reset(state: str) -> None:
        body = {"os-resetState": {"state": state}}
        answer = ask(stage, "POST", f"{SERVER}/action", body, who="reader")
        assert answer.status_code == 202

    assert ask(stage, "POST", SCHEDULE, BODY).status_code == 200
    reset("error")
    for method in ("POST", "DELETE"):
        body = {"image_schedule": {"retention": 9}} if method == "POST" else None
        refused = ask(stage, method, SCHEDULE, body)
        assert refused.status_code == 409
        assert "vm_state error" in refused.json()["conflictingRequest"]["message"]
    assert ask(stage, "GET", SCHEDULE).json() == BODY
    reset("active")
    many = {"tags": [f"tag-{number}" for number in range(49)]}
    refused = ask(stage, "PUT", f"{SERVER}/tags", many, version="2.26")
    assert refused.status_code == 400
    assert ask(stage, "DELETE", SCHEDULE).status_code == 202
    # What keeps policies from giving it another one takes a place as well.
    full = {"tags": [f"tag-{number}" for number in range(49)]}
    assert ask(stage, "PUT", f"{SERVER}/tags", full, version="2.26").status_code == 200
    refused = ask(stage, "POST", SCHEDULE, BODY)
    assert refused.status_code == 400
    message = refused.json()["badRequest"]["message"]
    assert "has 49 other tags, and a server has at most 50" in message
    left = {*ask(stage, "GET", f"{SERVER}/tags", version="2.26").json()["tags"]}
    assert left - {OFF_TAG} == {*full["tags"]}


def test_pages_keep_their_sizes(stage: Stage) -> None:
    servers = []
    for number in range(4):
        word = f"page{number}"
        stage.boot(word)
        servers.append(stage.words[word])
        if number != 2:
            path = f"/servers/{{{word}}}/rax-si-image-schedule"
            assert ask(stage, "POST", path, BODY).status_code == 200
    for version in ("2.1", "2.75"):
        for path in ("/servers", "/servers/detail"):
            pages = []
            url = f"{path}?limit=2&RAX-SI%3Aimage_schedule=True&name={{run}}-page"
            while url:
                answer = ask(stage, "GET", url, version=version).json()
                pages.append([server["id"] for server in answer["servers"]])
                links = answer.get("servers_links")
                url = links[0]["href"] if links else ""
                url = url.removeprefix(stage.addresses["compute"])
                assert not url or url.startswith("/servers")
            listed = [server for page in pages for server in page]
            wanted = [each for each in servers if each != servers[2]]
            assert (len(pages[0]), sorted(listed)) == (2, sorted(wanted))


def test_nova_and_its_commands(stage: Stage) -> None:
    program = Path(sys.executable).with_name("nova")
    name = stage.fill("{run}-server")

    def run(command: str, *argv: str) -> str:
        # The option has had several names, the variable one.
        address = {"NOVACLIENT_ENDPOINT_OVERRIDE": stage.addresses["compute"]}
        done = subprocess.run(
            [program, f"scheduled-images-{command}", *argv],
            env={**os.environ, **LAYOUT.environ("demo"), **address},
            capture_output=True,
            text=True,
            check=True,
        )
        lines = done.stderr.splitlines()
        assert [line for line in lines if line != DEPRECATION] == []
        return done.stdout

    assert run("enable", "--day-of-week", "sat", name, "4") == ""
    shown = "Schedule type: Weekly on: SATURDAY\nRetention: 4\n"
    assert run("show", name) == shown
    listing = ("list", "--enabled", "--name", f"^{name}$", "--format", "json")
    (row,) = json.loads(run(*listing))
    assert (row["server"], row["schedule"], row["retention"]) == (name, "weekly", 4)
    assert run("disable", name) == ""
    assert json.loads(run(*listing)) == []
