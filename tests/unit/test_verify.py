"""Proving that images boot: what is made, what is concluded, and what is removed."""

from __future__ import annotations

import re
import sys
import uuid
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext import errors
from rax_scheduled_images_ext.model import verify as model
from rax_scheduled_images_ext.model.image import VERIFIED_KEY, ServerImage
from rax_scheduled_images_ext.model.verify import (
    Finding,
    Level,
    Verification,
    blames_image,
    last_verification,
    verification_of,
    verified_metadata,
)
from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand
from rax_scheduled_images_ext.operations.verify import VerifyOptions

from .restore_cloud import PROJECT, START, Server, uuid_of
from .verify_cloud import (
    BOOTED,
    CLOUDS_FAULT,
    CONSOLE,
    IMAGES_FAULT,
    Born,
    VerifyCloud,
)


def with_image(fake: VerifyCloud, **more: Any) -> tuple[Server, Any]:
    server = fake.add_server("web")
    fake.add_image(server.id, "monday", 2)
    return server, fake.add_image(server.id, "tuesday", 1, **more)


def prove(fake: VerifyCloud, options: VerifyOptions = CONSOLE) -> Any:
    (plan,) = fake.plan("web", options=options)
    return fake.prove(plan, options)


def record(fake: VerifyCloud, image_id: str) -> Verification | None:
    image = fake.images[image_id]
    return verification_of(
        ServerImage(image.id, "", "ACTIVE", metadata=image.properties)
    )


def test_a_login_prompt_proves_the_newest_image() -> None:
    fake = VerifyCloud()
    server, image = with_image(fake)
    done = prove(fake)
    assert (done.finding, done.level, done.enough) == (
        Finding.PROVEN,
        Level.CONSOLE,
        True,
    )
    assert (done.problem, done.left_id) == (None, None)
    known = record(fake, image.id)
    assert known == Verification(image.id, done.time, Level.CONSOLE, "web login:")
    assert list(fake.servers) == [server.id]


def test_the_test_server_has_no_network_and_nothing_of_ours_but_its_marks() -> None:
    fake = VerifyCloud()
    server, image = with_image(fake)
    server.tags = ["scheduled-images", "scheduled-images:daily:7", "prod"]
    server.metadata = {"role": "db"}
    prove(fake)
    (boot,) = [each for each in fake.changes() if each.url == "/servers"]
    wanted = boot.body["server"]
    assert wanted["networks"] == "none"
    assert wanted["tags"] == [model.TEST_TAG, f"{model.TEST_TAG}:{image.id}"]
    assert list(wanted["metadata"]) == [model.TEST_KEY]
    assert wanted["metadata"][model.TEST_KEY].startswith(f"{image.id}:")
    assert model.is_test_server(wanted["name"])
    assert wanted.keys() == {
        *("name", "imageRef", "flavorRef", "metadata", "networks", "tags")
    }


@pytest.mark.parametrize("guest", ["unseen", "forbidden", "silent"])
def test_without_a_console_it_has_only_booted(guest: str) -> None:
    fake = VerifyCloud(guest)
    _, image = with_image(fake)
    done = prove(fake)
    assert (done.finding, done.level, done.enough) == (
        Finding.PROVEN,
        Level.BOOTED,
        False,
    )
    assert "console" in done.seen
    assert prove(fake, BOOTED).enough
    assert record(fake, image.id).level is Level.BOOTED  # type: ignore[union-attr]


def test_a_console_that_never_shows_it_is_a_failure() -> None:
    fake = VerifyCloud("broken")
    _, image = with_image(fake)
    done = prove(fake)
    assert (done.finding, done.level) == (Finding.FAILED, None)
    assert "No bootable device." in done.seen
    known = record(fake, image.id)
    assert known is not None
    assert (known.level, known.word) == (None, "failed")
    assert len(fake.servers) == 1


@pytest.mark.parametrize(
    ("fault", "finding"),
    [(IMAGES_FAULT, Finding.FAILED), (CLOUDS_FAULT, Finding.UNKNOWN)],
)
def test_error_is_the_images_only_if_the_cloud_says_so(
    fault: str, finding: Finding
) -> None:
    fake = VerifyCloud(fault=fault)
    _, image = with_image(fake)
    assert prove(fake).finding is finding
    assert (record(fake, image.id) is None) == (finding is Finding.UNKNOWN)
    assert len(fake.servers) == 1


@pytest.mark.parametrize(
    "refusal", [(403, "Quota exceeded for instances"), (400, "Image is unacceptable")]
)
def test_a_refusal_says_nothing_of_the_image(refusal: tuple[int, str]) -> None:
    fake = VerifyCloud()
    _, image = with_image(fake)
    fake.refuse_boot = refusal
    done = prove(fake)
    assert done.finding is Finding.UNKNOWN
    assert refusal[1] in done.seen
    assert record(fake, image.id) is None


def test_what_cannot_be_written_is_told() -> None:
    fake = VerifyCloud()
    with_image(fake)
    fake.refuse_patch = True
    done = prove(fake)
    assert done.finding is Finding.PROVEN
    assert "cannot be recorded" in str(done.problem)


@pytest.mark.parametrize(
    ("script", "finding"),
    [
        ("import json,sys; sys.exit('image_id' not in json.load(sys.stdin))", "proven"),
        ("raise SystemExit(3)", "failed"),
        ("import os; os.kill(os.getpid(), 9)", "unknown"),
    ],
)
def test_a_command_is_content_or_not(script: str, finding: str) -> None:
    fake = VerifyCloud()
    with_image(fake)
    command = HookCommand(script, (sys.executable, "-c", script))
    done = prove(fake, VerifyOptions(Level.COMMAND, command=command))
    assert done.finding.value == finding
    assert done.enough == (finding == "proven")


def test_a_cloud_without_versions_needs_a_network() -> None:
    fake = VerifyCloud()
    fake.versions = False
    with_image(fake)
    assert "use --network" in prove(fake).seen
    assert not fake.changes()
    net = replace(CONSOLE, networks=(uuid_of(7),))
    assert prove(fake, net).finding is Finding.PROVEN
    (boot,) = [each for each in fake.changes() if each.url == "/servers"]
    assert "tags" not in boot.body["server"]
    assert boot.body["server"]["networks"] == [{"uuid": uuid_of(7)}]


def test_an_image_is_found_by_its_server_or_by_itself() -> None:
    fake = VerifyCloud()
    server, image = with_image(fake)
    for named in ("web", server.id, "of-tuesday", image.id):
        (plan,) = fake.plan(named, options=CONSOLE)
        assert (plan.image.id, plan.flavor.name) == (image.id, "small")
    (plan,) = fake.plan("of-monday", options=CONSOLE)
    assert plan.image.id != image.id
    del fake.servers[server.id]
    assert not fake.plan(server.id, options=CONSOLE)
    (plan,) = fake.plan(server.id, options=replace(CONSOLE, flavor="small"))
    assert plan.image.id == image.id
    assert not fake.changes()


def test_volumes_go_with_the_test_server() -> None:
    fake = VerifyCloud()
    snapshot = uuid_of(50)
    fake.volume_snapshots[snapshot] = "available"
    mapping = (
        f'[{{"source_type": "snapshot", "destination_type": "volume", "snapshot_id":'
        f' "{snapshot}", "device_name": "/dev/vda", "boot_index": 0, "volume_size": 1,'
        ' "delete_on_termination": false}]'
    )
    with_image(fake, properties={"block_device_mapping": mapping}, size=0)
    assert prove(fake).finding is Finding.PROVEN
    (boot,) = [each for each in fake.changes() if each.url == "/servers"]
    assert boot.body["server"]["block_device_mapping_v2"] == [
        {
            "device_name": "/dev/vda",
            "boot_index": 0,
            "source_type": "snapshot",
            "destination_type": "volume",
            "uuid": snapshot,
            "volume_size": 1,
            "delete_on_termination": True,
        }
    ]


@pytest.mark.parametrize(
    "device",
    [
        '{"source_type": "volume", "volume_id": "x", "destination_type": "volume"}',
        f'{{"source_type": "snapshot", "snapshot_id": "{uuid_of(50)}"}}',
        "7",
    ],
)
def test_other_volumes_are_never_attached(device: str) -> None:
    image = ServerImage(
        uuid_of(1), "", "ACTIVE", metadata={"block_device_mapping": f"[{device}]"}
    )
    with pytest.raises(errors.SnapshotsInDoubt):
        model.devices_of_test(image)


# -- what was left behind


def left_behind(fake: VerifyCloud, days: float = 1) -> Server:
    image = fake.add_image(None, "tuesday", 1)
    nonce = "b" * 32
    server = fake.add_server(
        model.name_of_test(image.id, nonce),
        image_id=image.id,
        tags=model.tags_of_test(image.id),
        metadata=model.metadata_of_test(image.id, 600, nonce),
    )
    fake.born[server.id] = Born(created=START - timedelta(days=days))
    return server


def test_what_was_left_behind_is_removed() -> None:
    fake = VerifyCloud()
    server = left_behind(fake)
    assert fake.sweep() == [server.id]
    assert not fake.servers


def _other_user(fake: VerifyCloud, server: Server) -> None:
    fake.born[server.id].user = "c" * 32


def _other_project(fake: VerifyCloud, server: Server) -> None:
    server.project = "2" * 32


def _young(fake: VerifyCloud, server: Server) -> None:
    fake.born[server.id].created = START - timedelta(minutes=19)


def _rebuilt(fake: VerifyCloud, server: Server) -> None:
    server.image_id = uuid_of(99)


def _from_a_volume(fake: VerifyCloud, server: Server) -> None:
    server.image_id = ""


def _untagged(fake: VerifyCloud, server: Server) -> None:
    server.tags = [model.TEST_TAG]


def _other_tag(fake: VerifyCloud, server: Server) -> None:
    server.tags = model.tags_of_test(uuid_of(99))


def _unmarked(fake: VerifyCloud, server: Server) -> None:
    server.metadata = {}


def _other_form(fake: VerifyCloud, server: Server) -> None:
    server.metadata = {model.TEST_KEY: f"{server.image_id}:600:me"}


def _other_name(fake: VerifyCloud, server: Server) -> None:
    server.name = "production"


def _locked(fake: VerifyCloud, server: Server) -> None:
    server.locked = True


DIFFERENT = (
    *(_other_user, _other_project, _young, _rebuilt, _from_a_volume, _untagged),
    *(_other_tag, _unmarked, _other_form, _other_name, _locked),
)


@pytest.mark.parametrize("different", DIFFERENT)
def test_whatever_is_different_in_one_thing_stays(different: Any) -> None:
    fake = VerifyCloud()
    server = left_behind(fake)
    different(fake, server)
    assert not fake.sweep()
    assert list(fake.servers) == [server.id]
    assert not fake.changes()


# -- what is written on images

seen = st.text(max_size=300)
verifications = st.builds(
    Verification,
    st.uuids().map(str),
    st.datetimes(
        min_value=START.replace(tzinfo=None),
        max_value=START.replace(tzinfo=None, year=2900),
    ).map(lambda each: each.replace(tzinfo=START.tzinfo, microsecond=0)),
    st.sampled_from([None, *Level]),
    seen,
)


@given(st.uuids().map(str), verifications)
def test_what_is_written_is_read(image_id: str, known: Verification) -> None:
    metadata = verified_metadata(image_id, known)
    (value,) = metadata.values()
    assert len(value) <= 255
    assert value.isascii()
    assert value.isprintable()
    image = ServerImage(image_id, "", "ACTIVE", metadata=metadata)
    found = verification_of(image)
    assert found is not None
    assert replace(found, seen="") == replace(known, seen="")
    # A copy says nothing.
    assert verification_of(replace(image, id=uuid_of(1))) is None
    # Nor does an image that is not known to be of the server's project.
    for owner, project_id in ((None, "ours"), ("theirs", "ours"), (None, None)):
        other = replace(image, owner=owner)
        assert last_verification([other], project_id) is None
    assert last_verification([replace(image, owner="ours")], "ours") == found


@given(st.text(max_size=200))
def test_anything_may_be_written_there(value: str) -> None:
    metadata = {VERIFIED_KEY: value}
    image = ServerImage(uuid_of(1), "", "ACTIVE", metadata=metadata)
    assert verification_of(image) is None


@pytest.mark.parametrize(
    ("fault", "blamed"),
    [
        (IMAGES_FAULT, True),
        ("Corrupt image download. Hash was 1 expected 2", True),
        (CLOUDS_FAULT, False),
        ("qemu-img: No space left on device", False),
        ("Exceeded maximum number of retries.", False),
        ("Failed to allocate the network(s), not rescheduling.", False),
        ("", False),
        (None, False),
    ],
)
def test_whom_a_fault_blames(fault: str | None, blamed: bool) -> None:
    assert blames_image(fault) is blamed


@pytest.mark.parametrize(
    ("console", "line"),
    [
        ("a\r\nweb login: ", "web login:"),
        ("\x1b[2J\x1b[1;1Hweb login:\r\nTICK 3", "web login:"),
        ("Last logins: none", None),
        ("", None),
    ],
)
def test_what_a_console_shows(console: str, line: str | None) -> None:
    assert model.expected_line(console, model.LOGIN) == line


def test_a_regular_expression_may_match_nothing_at_all() -> None:
    assert model.expected_line("", re.compile("x*")) == ""
    assert PROJECT


# -- whose turn it is

DAY = timedelta(days=1)


@given(
    st.integers(1, 120),
    st.integers(1, 60),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_each_server_is_proven_once_in_the_interval(
    number: int, days: int, troubles: int, random: Any
) -> None:
    every = timedelta(days=days)
    known: dict[str, Verification | None] = {
        str(uuid.UUID(int=random.getrandbits(128))): None for _ in range(number)
    }
    most = model.most_a_day(number, every)
    assert most <= number / days + 1
    last = dict.fromkeys(known, 0)
    for day in range(1, 4 * days + 1):
        now = START + day * DAY
        due = model.due_proofs(known, every, now)
        assert len(due) <= most
        for server_id in due:
            # Some proofs cannot be tried; they leave nothing behind.
            if day % (3 * troubles) == 0:
                continue
            known[server_id] = Verification(uuid_of(1), now, Level.CONSOLE)
            gone, last[server_id] = day - last[server_id], day
            # Not again and again: the others have their turn first.
            assert gone * 2 >= 1
    longest = max(4 * days - each for each in last.values())
    assert longest <= 2 * days + 2
    assert all(known.values())


def test_what_was_just_proven_is_not_due() -> None:
    every = 90 * DAY
    server_id = uuid_of(5)
    begin = model.began(server_id, every, START)
    assert START - every < begin <= START
    assert model.began(server_id, every, begin + every - timedelta(seconds=2)) == (
        pytest.approx(begin, abs=timedelta(seconds=2))
    )
    proven = Verification(uuid_of(1), begin, None)
    assert not model.due_proofs({server_id: proven}, every, START)
    before = replace(proven, time=begin - timedelta(seconds=1))
    assert model.due_proofs({server_id: before}, every, START) == [server_id]


@given(st.integers(4, 60), st.uuids())
def test_a_server_is_found_in_each_of_its_turns(days: int, found: uuid.UUID) -> None:
    """Workers look once a day; here the first look of each turn is in vain."""
    every, server_id = timedelta(days=days), str(found)
    proof, tried, proofs = None, None, []
    for day in range(3 * days):
        now = START + day * DAY
        if not model.is_turn(server_id, every, now):
            continue
        turn = model.began(server_id, every, now)
        if model.is_due(proof, server_id, every, now):
            if tried is not None and abs(turn - tried) < DAY:
                proof = Verification(uuid_of(1), now, None)
                proofs.append(day)
            tried = turn
    assert len(proofs) in (2, 3, 4)
    gaps = {after - before for before, after in pairwise(proofs)}
    assert all(days - 1 <= gap <= days + 1 for gap in gaps)
