"""The collection as a whole: its documentation, its examples, its page."""

from __future__ import annotations

import json
import re
import shutil
import sys
from configparser import ConfigParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.documents import Document
from .conftest import ROOT, SOURCE, Play, info, run, schedule

SCHEDULES = ("server_image_schedule", "server_image_schedule_info")
MODULES = (*SCHEDULES, "server_restore")
INSTALLED = Path("ansible_collections", "rax", "scheduled_images")


def documentation(
    module: str, collection: str = "rax.scheduled_images"
) -> dict[str, Any]:
    """What ansible-doc makes of a module."""
    name = f"{collection}.{module}"
    done = run("ansible-doc", "--json", "-t", "module", name)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)[name]
    return found


def test_the_collection_has_the_version_of_the_package() -> None:
    package = ConfigParser()
    package.read(ROOT / "setup.cfg")
    collection = yaml.safe_load((SOURCE / "galaxy.yml").read_text())
    assert collection["version"] == package["metadata"]["version"]


def test_every_module_is_in_the_group_and_in_the_readme() -> None:
    modules = {path.stem for path in (SOURCE / "plugins" / "modules").glob("*.py")}
    assert modules == set(MODULES)
    runtime = yaml.safe_load((SOURCE / "meta" / "runtime.yml").read_text())
    _, *group = runtime["action_groups"]["openstack"]
    assert set(group) == modules
    readme = (SOURCE / "README.md").read_text()
    assert set(re.findall(r"`rax\.scheduled_images\.(\w+)` \|", readme)) == modules


@pytest.mark.parametrize("module", MODULES)
def test_a_module_s_documentation_can_be_read(module: str) -> None:
    done = run("ansible-doc", "-t", "module", f"rax.scheduled_images.{module}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "EXAMPLES:" in done.stdout
    assert "RETURN VALUES:" in done.stdout


def test_results_are_the_ones_that_are_documented(play: Play) -> None:
    one, many = play(schedule(retention=7), info(name="myserver"))
    (row,) = many["schedules"]
    for module, found in zip(SCHEDULES, (one["schedule"], row), strict=True):
        returned = documentation(module)["return"]
        documented = returned.get("schedule") or returned["schedules"]
        always = [
            key
            for key, value in documented["contains"].items()
            if value["returned"] == "success"
        ]
        assert always == list(found)


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_the_examples_work(play: Play, cloud: Sandbox, tmp_path: Path) -> None:
    clouds = tmp_path / "clouds.yaml"
    cloud.boot("web2")
    auth = {
        key.lower().removeprefix("os_"): value
        for key, value in cloud.env().items()
        if key.startswith("OS_") and key not in ("OS_REGION_NAME",)
    }
    auth.pop("identity_api_version")
    clouds.write_text(json.dumps({"clouds": {"mycloud": {"auth": auth}}}))
    tasks = [
        task
        for module in SCHEDULES
        for task in yaml.safe_load(documentation(module)["examples"])
    ]
    results = play(*tasks, environment={"OS_CLIENT_CONFIG_FILE": str(clouds)})
    assert [result.get("failed", False) for result in results] == [False] * len(tasks)
    assert [result["changed"] for result in results[:4]] == [True] * 4
    assert len(results[4]["schedules"]) == 2


def test_ansible_lint_finds_nothing(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "collection")
    # The changes are in the release notes, and there is no public repository.
    skipped = "galaxy[no-changelog],galaxy[no-repository]"
    command = ("ansible-lint", "--offline", "--nocolor", "-q", "-x", skipped)
    done = run(*command, cwd=tmp_path / "collection")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_arguments_and_documentation_agree(collections: Path) -> None:
    """Ansible's own check of modules finds only that they are not under the GPL."""
    spec = find_spec("ansible_test")
    assert spec is not None
    assert spec.origin is not None
    checks = Path(spec.origin).parent / "_util" / "controller" / "sanity"
    done = run(
        *(sys.executable, checks / "validate-modules" / "validate.py", "--arg-spec"),
        *("--collection", INSTALLED, "plugins/modules"),
        cwd=collections / INSTALLED,
    )
    found = re.findall(r"^plugins/modules/(\w+)\.py:0:0: (\S+)", done.stdout, re.M)
    licence = "Emissing-gplv3-license"
    assert sorted(found) == [(module, licence) for module in MODULES], done.stdout
    assert done.stderr == ""


# -- the page


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Document:
    rewrite = request.config.getoption("--rewrite-documents")
    return Document(ROOT / "doc" / "source" / "user" / "ansible.rst", rewrite)


@pytest.mark.parametrize("cloud", [{"speed": 0}], indirect=True)
def test_the_playbook_prints_what_is_shown(
    page: Document, cloud: Sandbox, tmp_path: Path
) -> None:
    cloud.boot("web2")
    (tmp_path / "images.yml").write_text(page.block("A playbook"))
    page.replay("Run it", cloud, tmp_path, 2)


def test_the_page_names_every_option(page: Document) -> None:
    shared = documentation("auth", "openstack.cloud")["doc"]["options"]
    for module in MODULES:
        own = set(documentation(module)["doc"]["options"]) - set(shared)
        assert len(own) >= 3
        for option in own:
            assert f"``{option}``" in page.text
