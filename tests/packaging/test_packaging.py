"""What is uploaded: it builds, it is whole, and it works without the extras."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email import message_from_bytes
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


SETTINGS = ConfigParser(interpolation=None)
SETTINGS.read(ROOT / "setup.cfg")
NAMED = f"rax_scheduled_images_ext-{SETTINGS['metadata']['version']}"
WHEEL, SDIST = f"{NAMED}-py3-none-any.whl", f"{NAMED}.tar.gz"


def run(*command: str | Path, folder: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path, tree: Path) -> Path:
    build = (sys.executable, "-m", "build", "--installer", "uv", "--outdir", folder)
    run(*build, folder=tree)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"), ROOT)


def kept() -> list[str]:
    """Return the files that git has, or would take."""
    options = ("--cached", "--others", "--exclude-standard", "-z")
    return run("git", "ls-files", *options).rstrip("\0").split("\0")


@pytest.fixture(scope="module")
def built_without_git(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is built of an archive, such as a forge offers for download."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    tree = tmp_path_factory.mktemp("archive")
    for name in kept():
        if (ROOT / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    return build(tmp_path_factory.mktemp("without-git"), tree)


def names_in(path: Path) -> set[str]:
    """Return the names of the files in a wheel or an sdist."""
    if path.suffix == ".whl":
        return set(zipfile.ZipFile(path).namelist())
    with tarfile.open(path) as archive:
        files = [each.name for each in archive.getmembers() if each.isfile()]
    return {name.partition("/")[2] for name in files}


def test_what_is_built_has_the_version_of_the_release(built: Path) -> None:
    assert {path.name for path in built.iterdir()} == {WHEEL, SDIST}


@pytest.mark.parametrize("name", [WHEEL, SDIST])
def test_git_makes_no_difference(
    built: Path, built_without_git: Path, name: str
) -> None:
    differing = names_in(built / name) ^ names_in(built_without_git / name)
    # It names the commit.
    assert {path.rpartition("/")[2] for path in differing} == {"pbr.json"}


def test_the_sdist_holds_all_that_git_has(built_without_git: Path) -> None:
    there = {name for name in kept() if (ROOT / name).exists()}
    assert there - names_in(built_without_git / SDIST) == set()


def test_the_wheel_says_whose_it_is(built: Path) -> None:
    archive = zipfile.ZipFile(built / WHEEL)
    (name,) = (each for each in archive.namelist() if each.endswith("/METADATA"))
    metadata = message_from_bytes(archive.read(name))
    assert metadata["License-Expression"] == "Apache-2.0 AND 0BSD"
    assert metadata["Author"] == "the contributors of rax-scheduled-images-ext"
    licences = metadata.get_all("License-File")
    assert licences == ["LICENSE", "rax_scheduled_images_ext/panel/static/htmx-LICENSE"]
    for each in licences:
        assert name.replace("METADATA", f"licenses/{each}") in archive.namelist()


@pytest.mark.parametrize("program", ["panel", "sandbox", "service"])
def test_each_program_has_a_manual_page(built: Path, program: str) -> None:
    archive = zipfile.ZipFile(built / WHEEL)
    name = f"scheduled-images-{program}"
    page = archive.read(f"{NAMED}.data/data/share/man/man1/{name}.1").decode()
    assert f".SH NAME\n{name} \\- " in page
    assert "\\-\\-help" in page
    if shutil.which("man"):
        command = ["man", "--warnings", "-l", "-"]
        done = subprocess.run(command, input=page, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert "SYNOPSIS" in done.stdout


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    names = names_in(built / WHEEL)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"rax_scheduled_images_ext", f"{NAMED}.data", f"{NAMED}.dist-info"}
    assert "rax_scheduled_images_ext/py.typed" in names
    assert "rax_scheduled_images_ext/cli/nova/schedules.py" in names
    panel = ROOT / "rax_scheduled_images_ext" / "panel"
    files = [*(panel / "static").iterdir(), *(panel / "templates").iterdir()]
    assert len(files) > 10
    assert {str(file.relative_to(ROOT)) for file in files} <= names


def test_what_is_vendored_is_whole_and_has_its_licence() -> None:
    static = ROOT / "rax_scheduled_images_ext" / "panel" / "static"
    (script,) = static.glob("htmx-*.min.js")
    assert f'version="{script.name[5:-7]}"' in script.read_text().replace("'", '"')
    assert "Zero-Clause BSD" in (static / "htmx-LICENSE").read_text()


def test_twine_finds_nothing_to_say(built: Path) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir())


def test_the_requirements_are_those_of_the_documents() -> None:
    required = distribution("rax-scheduled-images-ext").requires or []
    runtime = {r.split(">")[0] for r in required if "extra" not in r}
    assert runtime == {"pbr", "prettytable", "python-novaclient", "requests", "six"}


def test_the_entry_points_load() -> None:
    for group in ("novaclient.extension", "openstack.compute.v2"):
        ours = [each for each in entry_points(group=group) if "rax_" in each.value]
        assert len(ours) == SETTINGS["entry_points"][group].count("=")
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
        f"scheduled-images-{name}: error: no Python module '{needed}':"
        f" pip install 'rax-scheduled-images-ext[{extra}]'\n"
    )
