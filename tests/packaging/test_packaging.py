"""What is uploaded: it builds, it is whole, and it works without the extras."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "scheduled-images-enable",
    "scheduled-images-disable",
    "scheduled-images-show",
    "scheduled-images-image-list",
    "scheduled-images-protect",
    "scheduled-images-unprotect",
    "scheduled-images-prune",
    "image-list",
    "image-show",
    "image-meta",
    "image-delete",
]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--installer", "uv", "--outdir", folder)
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2
    assert "rax_scheduled_images_ext" in tops
    assert "rax_scheduled_images_ext/py.typed" in names
    assert "rax_scheduled_images_ext/cli/nova/schedules.py" in names
    assert any(name.endswith("/LICENSE") for name in names)
    panel = ROOT / "rax_scheduled_images_ext" / "panel"
    files = [*(panel / "static").iterdir(), *(panel / "templates").iterdir()]
    assert len(files) > 10
    assert {str(file.relative_to(ROOT)) for file in files} <= set(names)


def test_what_is_vendored_is_whole_and_has_its_licence() -> None:
    static = ROOT / "rax_scheduled_images_ext" / "panel" / "static"
    (script,) = static.glob("htmx-*.min.js")
    assert f'version="{script.name[5:-7]}"' in script.read_text().replace("'", '"')
    assert "Zero-Clause BSD" in (static / "htmx-LICENSE").read_text()


def test_the_sdist_holds_what_the_tests_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "LICENSE",
        "README.rst",
        "CONTRIBUTING.rst",
        "tox.ini",
        "setup.cfg",
    } <= names
    assert "tests/functional/conftest.py" in names


def test_twine_finds_nothing_to_say(built: Path) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir())


def test_the_requirements_are_those_of_the_documents() -> None:
    required = distribution("rax-scheduled-images-ext").requires or []
    runtime = {r.split(">")[0] for r in required if "extra" not in r}
    assert runtime == {"pbr", "prettytable", "python-novaclient", "requests", "six"}


def test_the_entry_points_load() -> None:
    cfg = ConfigParser()
    cfg.read(ROOT / "setup.cfg")
    for group in ("novaclient.extension", "openstack.compute.v2"):
        ours = [each for each in entry_points(group=group) if "rax_" in each.value]
        assert len(ours) == cfg["entry_points"][group].count("=")
        for entry_point in ours:
            entry_point.load()


def test_nova_lists_the_commands() -> None:
    listed = run(Path(sys.executable).with_name("nova"), "help")
    for command in COMMANDS:
        assert f"\n    {command} " in listed or f"\n    {command}\n" in listed, command


@pytest.mark.parametrize(
    ("name", "command", "needed", "extra"),
    [
        ("panel", "--login", "flask", "panel"),
        ("sandbox", "demo", "flask", "sandbox"),
        ("service", "beat", "celery", "celery"),
        ("service", "plan", "openstack", "service"),
        ("service", "worker", "celery", "celery"),
    ],
)
def test_a_program_without_its_extra_says_what_it_needs(
    name: str, command: str, needed: str, extra: str
) -> None:
    program = Path(sys.executable).with_name(f"scheduled-images-{name}")
    done = subprocess.run([program, command], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"scheduled-images-{name}: error: the {name} needs {needed}:"
        f" pip install 'rax-scheduled-images-ext[{extra}]'\n"
    )
