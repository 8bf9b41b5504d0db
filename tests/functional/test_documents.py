"""README.rst and the documents tell the truth.

With ``--rewrite-documents`` the sessions in them are written anew. The list of requests
is made from the code: ``python -m tests.functional.test_documents`` prints it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import novaclient
import pytest

import rax_scheduled_images_ext
from rax_scheduled_images_ext import errors
from rax_scheduled_images_ext.model.task_states import STATES, task_state
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.demo import SETTINGS
from rax_scheduled_images_ext.sandbox.faults.grammar import GRAMMAR, parse_fault

from ..openstackshell import not_beside_novaclient_7
from ..serviceshell import Service
from ..waiting import until
from .documents import ROOT, Document
from .fleet import MYSERVER
from .runners import advance_to_slot, schedule
from .test_retention import ids

pytestmark = [pytest.mark.novaclient, pytest.mark.flow]

BIN = Path(sys.executable).parent
APIS = (
    ("openstack", "/identity/v3", "Keystone v3"),
    ("rackspace", "/identity/v2.0", "Keystone v2.0 (--like rackspace)"),
    ("openstack", "/compute/v2.1", "Nova"),
    ("openstack", "/image/v2", "Glance"),
    ("openstack", "/volume/v3", "Cinder"),
    ("openstack", "/network/v2.0", "Neutron"),
    ("openstack", "/sandbox", "the sandbox itself"),
)
TIME = re.compile(r"^\d\d:\d\d:\d\d", re.MULTILINE)
SECONDS = re.compile(r"\d+(\.\d+)? s\b")


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Any:
    """Open a page of the documents by its path below their root."""
    rewrite = request.config.getoption("--rewrite-documents")
    return lambda name: Document(ROOT / "doc" / "source" / f"{name}.rst", rewrite)


@pytest.fixture
def readme(request: pytest.FixtureRequest) -> Document:
    return Document(
        ROOT / "README.rst", request.config.getoption("--rewrite-documents")
    )


@pytest.fixture
def early() -> Iterator[Sandbox]:
    """A cloud as the tour starts it."""
    with Sandbox(**SETTINGS) as cloud:
        yield cloud


# -- README.rst


def test_the_tests_are_run_by_the_command_that_is_given(readme: Document) -> None:
    command = readme.block("Run the tests")
    assert command.startswith("python3 -m venv ")
    assert command in (ROOT / ".ci" / "run").read_text()


def test_the_front_page_is_short(readme: Document) -> None:
    assert len(readme.text.splitlines()) <= 120


def test_the_quick_start_prints_what_is_shown(readme: Document, tmp_path: Path) -> None:
    with readme.sandbox(tmp_path) as cloud:
        readme.replay("This shell has a new cloud", cloud, tmp_path)


def test_the_front_page_names_every_command(readme: Document, nova: Any) -> None:
    listed = re.findall(
        r"^ +((?:scheduled-images|snapshot)-\S+)", nova.ok("help"), re.M
    )
    assert len(listed) > 10
    for command in listed:
        assert f"``nova {command}``" in readme.text


def test_contributors_find_the_files_of_every_command(nova: Any) -> None:
    text = Document(ROOT / "CONTRIBUTING.rst").text
    table = text.partition("\nCommand  ")[2].partition("\n\n")[0]
    package = ROOT / "rax_scheduled_images_ext"
    for name in re.findall(r"``([\w/]+(?:\.py|/))``", table):
        folder = package / "cli" / "nova" if "/" not in name else package
        assert (folder / name).exists(), name
    listed = re.findall(
        r"^ +((?:scheduled-images|snapshot)-\S+)", nova.ok("help"), re.M
    )
    assert len(listed) > 10
    for command in listed:
        assert f"``{command}``" in table


# -- sessions


def test_the_service_can_be_tried(page: Any, tmp_path: Path) -> None:
    document = page("service/index")
    with document.sandbox(tmp_path) as cloud:
        document.replay("In its shell", cloud, tmp_path)


@not_beside_novaclient_7
@pytest.mark.parametrize(
    "name",
    ["user/consistency", "user/gone", "user/ten-minutes", "user/troubleshooting"],
)
def test_a_page_prints_what_it_shows(page: Any, name: str, tmp_path: Path) -> None:
    page(name).replay_all(tmp_path)


@not_beside_novaclient_7
def test_policies_do_what_is_shown(page: Any, tmp_path: Path) -> None:
    document = page("service/policies")
    (tmp_path / "policies.yaml").write_text(document.block("Write down who"))
    document.replay_all(tmp_path)


def test_the_tour_is_what_the_demo_prints(page: Any) -> None:
    tour = page("user/tour")
    done = run(BIN / "scheduled-images-sandbox", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    block = tour.block("A tour")
    if tour.rewrite:
        tour.shows(block, done.stdout)
    assert steps(done.stdout) == steps(block)


def steps(printed: str) -> list[str]:
    """Part the output at its commands; leave out what novaclient 7 shows otherwise."""
    parts = re.split(r"^(?=[$#] )", printed, flags=re.MULTILINE)
    its_own = "$ nova image-show" if novaclient.__version__.startswith("7.") else "none"
    return [part for part in parts if not part.startswith(its_own)]


@not_beside_novaclient_7
def test_rules_are_set_tried_and_forecast_as_it_is_shown(
    page: Any, tmp_path: Path
) -> None:
    document = page("user/rules")
    with document.sandbox(tmp_path) as cloud:
        document.replay("A week of days, a month", cloud, tmp_path, 2)
        document.replay("Simulate a schedule", cloud, tmp_path)
        document.replay("See what there will be", cloud, tmp_path)
        program = tmp_path / "program.py"
        program.write_text(document.block("A week of days, a month", 2))
        done = run(sys.executable, program, env=cloud.environ())
    assert (done.returncode, done.stderr) == (0, "")


@not_beside_novaclient_7
def test_a_server_is_got_back_as_it_is_shown(page: Any, tmp_path: Path) -> None:
    document = page("user/restore")
    with document.sandbox(tmp_path) as cloud:
        document.replay("Put a server back", cloud, tmp_path)
        program = tmp_path / "program.py"
        program.write_text(document.block("From Python"))
        done = run(sys.executable, program, env=cloud.environ())
    assert (done.returncode, done.stderr) == (0, "")
    document.shows(document.block("From Python", 1), done.stdout)


@pytest.mark.parametrize("cloud", [{"extension": False, "speed": 60}], indirect=True)
def test_each_restore_that_is_shown_works(
    page: Any, readme: Document, nova: Any, cloud: Sandbox
) -> None:
    """The questions of a person's terminal are answered by ``--yes``."""
    schedule(cloud, 7)
    advance_to_slot(cloud)
    service = Service(cloud)
    assert service("tick").status == 0
    until(lambda: [image for image in cloud.images(MYSERVER) if image.size])
    # Now it names what its server was made of.
    assert service("tick").status == 0
    text = readme.text + page("user/restore").text
    shown = re.findall(r"^    \$ nova (scheduled-images-restore .*)$", text, re.M)
    assert len(shown) == 8
    safety = ""
    for command in shown:
        if MYSERVER in command and any(s.id == MYSERVER for s in cloud.servers()):
            nova.ok("delete", "myserver")
        words = command.replace("SAFETY-IMAGE", safety).split()
        how = () if "--dry-run" in words else ("--yes", "--wait", "--format", "json")
        result = nova(*words, *how)
        assert result.status == 0, result
        if how:
            done = json.loads(result.out)
            assert done["status"] == "ACTIVE"
            safety = done["safety_image_id"] or safety
    assert {"myserver", "myserver-back"} <= {each.name for each in cloud.servers()}


def test_an_image_is_proven_as_it_is_shown(page: Any, tmp_path: Path) -> None:
    document = page("user/verify")
    with document.sandbox(tmp_path) as cloud:
        document.replay(
            "An image that is complete", cloud, tmp_path, same=without_chance
        )
        document.replay(
            "The image carries the result", cloud, tmp_path, same=without_chance
        )


def without_chance(text: str) -> str:
    """What a proof prints without what is by chance."""
    text = re.sub(r"(scheduled-images-verify-\w{8})-\w{8}", r"\1-NONCE", text)
    text = re.sub(r"2026-01-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
    # The clock runs, and a column is as wide as its widest age.
    text = re.sub(r"\b(\d+[dhms])+ (ago|old)|in (\d+[dhms])+", "AGE", text)
    text = re.sub(r"-{5,}", "-----", re.sub(r" {2,}", " ", text))
    return TIME.sub(
        "hh:mm:ss", re.sub(r"test server [-\w]{36}", "test server ID", text)
    )


@not_beside_novaclient_7
def test_openstack_does_what_is_shown(page: Any, tmp_path: Path) -> None:
    document = page("user/openstack")
    with document.sandbox(tmp_path) as cloud:
        document.replay("``set`` changes only", cloud, tmp_path)


@not_beside_novaclient_7
def test_images_are_kept_as_it_is_shown(page: Any, tmp_path: Path) -> None:
    document = page("user/images")
    with document.sandbox(tmp_path) as cloud:
        document.replay("openstackclient has image commands", cloud, tmp_path)


@not_beside_novaclient_7
def test_the_page_about_openstack_names_every_command(page: Any) -> None:
    found = entry_points(group="openstack.compute.v2")
    names = [each.name for each in found if each.value.startswith("rax_")]
    assert len(names) == 14
    for name in names:
        assert f"\n``{name.replace('_', ' ')}`` " in page("user/openstack").text


def test_many_servers_are_shown_as_they_print(page: Any, tmp_path: Path) -> None:
    document = page("user/check")
    with document.sandbox(tmp_path) as cloud:
        document.replay("All servers at a glance", cloud, tmp_path)
        document.replay("Which servers have no", cloud, tmp_path, 2)
        document.replay("Who is not covered?", cloud, tmp_path)


def test_schedules_are_set_as_it_is_shown(page: Any, tmp_path: Path) -> None:
    document = page("user/schedules")
    with document.sandbox(tmp_path) as cloud:
        document.replay("One server", cloud, tmp_path)
        document.replay("Many servers", cloud, tmp_path, 2)


def test_retention_is_shown_as_it_is(page: Any, nova: Any, tmp_path: Path) -> None:
    document = page("user/retention")
    with document.sandbox(tmp_path) as cloud:
        make_clone(nova, cloud)
        document.replay("What will be deleted tonight?", cloud, tmp_path, 6)


def make_clone(nova: Any, cloud: Sandbox) -> None:
    """Make the server whose images have inherited their metadata."""
    base = ["--image", ids(cloud)[-2], "--flavor", "2", "--nic", "none"]
    assert nova("boot", *base, "clone", cloud=cloud).status == 0
    nova.ok("scheduled-images-enable", "clone", "4", cloud=cloud)
    nova.ok("image-create", "clone", "my-own", cloud=cloud)
    cloud.advance("1h")


@not_beside_novaclient_7
def test_volume_snapshots_go_as_is_shown(
    page: Any, nova: Any, early: Sandbox, tmp_path: Path
) -> None:
    early.boot("database", volume_size=8)
    nova.ok("scheduled-images-enable", "database", "7", cloud=early)
    early.advance("2d")
    page("user/retention").replay("Servers that boot from", early, tmp_path)


def test_faults_do_what_is_shown(
    page: Any, nova: Any, cloud: Sandbox, tmp_path: Path
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "7")
    session = page("sandbox/faults").block("Inject faults")
    assert session.count("$ nova") == 2
    page("sandbox/faults").replay("Inject faults", cloud, tmp_path)


# -- snapshots


def timeless(text: str) -> list[str]:
    """The lines of an output, without what is another time each time."""
    return SECONDS.sub("N s", TIME.sub("hh:mm:ss", text)).splitlines()


def snapshot_session(page: Any, number: int) -> tuple[str, str]:
    """Return a command of the page about snapshots, and its output."""
    block = page("user/snapshots").block("Snapshot a database server", number)
    command, _, output = block.replace("\\\n", "").partition("\n")
    return command.removeprefix("$ "), output


def printed(cloud: Sandbox, command: str, path: Path) -> str:
    """Run a command line, with an `ssh` that does nothing; both its streams."""
    ssh = path / "ssh"
    ssh.write_text("#!/bin/sh\n")
    ssh.chmod(0o700)
    environment = cloud.environ()
    environment["PATH"] = f"{path}:{environment['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_database_is_stopped_and_started_as_it_is_shown(
    page: Any, quick: Sandbox, tmp_path: Path
) -> None:
    command, output = snapshot_session(page, 0)
    text = printed(quick, f"{command} --interval 0.2", tmp_path)
    assert timeless(text)[-len(output.splitlines()) :] == timeless(output)


def test_the_watch_prints_what_is_shown(
    page: Any, quick: Sandbox, tmp_path: Path
) -> None:
    command, output = snapshot_session(page, 1)
    printed(quick, "nova image-create check-my-task-state x", tmp_path)
    # So that one of the polls meets the short state before the upload.
    quick.advance(15)
    text = printed(quick, f"{command} --interval 0.2", tmp_path)
    assert timeless(text)[-len(output.splitlines()) :] == timeless(output)


def test_the_table_of_states_is_the_one_in_use(page: Any) -> None:
    rows = re.findall(
        r"^(``\w+``|any other)  +(\S.*?)  +(\S.*?)  +(\S.*)$",
        page("user/snapshots").text,
        re.M,
    )
    told = {name.strip("`"): (disk, accepts, why) for name, disk, accepts, why in rows}
    assert told.pop("task_state", None) is not None
    assert list(told) == [*STATES, "any other"]
    for name, (disk, accepts, meaning) in told.items():
        state = task_state(name)
        assert disk == state.disk.value
        assert accepts == ("accepted" if state.accepts else "refused (409)")
        assert meaning == state.meaning


def test_the_exit_statuses_are_the_ones_in_use(page: Any) -> None:
    text = page("user/snapshots").text
    below = text.partition("Exit statuses\n")[2].partition("From Python")[0]
    told = {int(number) for number in re.findall(r"^(\d+)  ", below, re.MULTILINE)}
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    used = {kind.exit_status for kind in kinds if hasattr(kind, "exit_status")}
    assert told == used - {3} | {0, 2, 129, 130, 131, 143}


# -- programs


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("reference/index", "From a novaclient client"),
        ("reference/index", "Many servers, images, and data"),
        ("reference/index", "or for an openstacksdk connection"),
        ("user/snapshots", "From Python"),
    ],
)
def test_a_program_prints_what_is_shown(
    page: Any, quick: Sandbox, tmp_path: Path, name: str, heading: str
) -> None:
    document = page(name)
    # Nobody waits a minute for a test.
    faster = "after=start, limits=Timeouts(interval=0.2, slow_interval=0.2))"
    source = document.block(heading).replace("after=start)", faster)
    program = tmp_path / "program.py"
    program.write_text(f"from rax_scheduled_images_ext import Timeouts\n{source}")
    done = run(sys.executable, program, env=quick.environ())
    assert (done.returncode, done.stderr) == (0, "")
    document.shows(document.block(heading, 1), done.stdout)


def test_the_snippet_of_the_front_page_prints_what_is_shown(
    readme: Document, page: Any, cloud: Sandbox, tmp_path: Path
) -> None:
    whole = page("reference/index").block("From a novaclient client")
    client = whole.partition("server = ")[0]
    program = tmp_path / "program.py"
    program.write_text(client + readme.block("Python"))
    done = run(sys.executable, program, env=cloud.environ())
    assert (done.returncode, done.stderr) == (0, "")
    readme.shows(readme.block("Python", 1), done.stdout)


def test_the_reference_has_every_public_name(page: Any) -> None:
    listed = re.findall(
        r"^\.\. auto(?:class|function|exception):: (\w+)$",
        page("reference/index").text,
        re.MULTILINE,
    )
    assert sorted(listed) == sorted(rax_scheduled_images_ext.__all__)


def test_the_tests_of_a_script_pass(page: Any, tmp_path: Path) -> None:
    source = page("sandbox/testing").block("Test your own scripts")
    (tmp_path / "test_script.py").write_text(source)
    done = run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the old client breaks nova from Python 3.12 on"
)
def test_the_old_client_is_recognised_by_what_is_quoted(page: Any) -> None:
    old = os.environ["OLD_CLIENT_PATH"]
    done = run(BIN / "nova", "help", env={**os.environ, "PYTHONPATH": old})
    assert done.returncode == 1
    block = page("user/migration").block("Remove the old packages", 1)
    command, line = block.splitlines()
    assert command == "$ nova help"
    assert done.stderr.splitlines()[-1] == line


# -- the sandbox


def requests() -> Iterator[str]:
    """Yield the lines of the list of requests."""
    for like, path, title in APIS:
        sandbox = Sandbox(like, speed=0)  # type: ignore[arg-type]
        sandbox.stop()
        app = next(m.app for m in sandbox._dispatcher._mounts if m.pattern.match(path))
        methods: dict[str, set[str]] = defaultdict(set)
        for rule in app().url_map.iter_rules():
            methods[rule.rule] |= rule.methods or set()
        yield f"{title}, at {path}"
        for rule_path, known in sorted(methods.items()):
            short = re.sub(r"<(?:\w+_)?(\w+)>", r"{\1}", rule_path)
            listed = " ".join(sorted(known - {"HEAD", "OPTIONS"}))
            yield f"  {short:<46}{listed}"


def test_the_requests_are_all_there(page: Any) -> None:
    document = page("sandbox/emulation")
    listed = "".join(f"{line}\n" for line in requests())
    document.shows(document.block("What is emulated"), listed)


def test_the_grammar_of_faults_is_all_there(page: Any) -> None:
    assert textwrap.indent(GRAMMAR, "    ") in page("sandbox/faults").text


def test_the_examples_of_faults_are_some(page: Any) -> None:
    below = page("sandbox/faults").text.partition("\nSome to try:\n")[2]
    examples = re.findall(r"^``(.*)``\n    ", below, re.MULTILINE)
    assert len(examples) > 8
    for example in examples:
        assert parse_fault(example).text == example


if __name__ == "__main__":
    for line in requests():
        print(line)
