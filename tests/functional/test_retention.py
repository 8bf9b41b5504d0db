"""image-list, -protect, -unprotect, -prune and the forecast, by the real nova."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from requests.adapters import HTTPAdapter

from rax_scheduled_images_ext.model.image import (
    MARKER_KEY,
    MARKER_VALUE,
    PROTECTED_KEY,
    ServerImage,
)
from rax_scheduled_images_ext.model.retention import apply_policy, surplus
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.directory import CloudType
from rax_scheduled_images_ext.sandbox.backend.service import as_server_image
from rax_scheduled_images_ext.sandbox.fixture import Requests

from .fleet import (
    MARKED,
    MYSERVER,
    NOBODY,
    NOT_OFFERED,
    add_image,
    id_of,
    project_of,
    sent,
)
from .interceptor import Interceptor, json_answer, page
from .stale import StaleWriter

Run = Callable[..., Any]
# What is said before any image is looked at needs no second type of cloud.
one_type = pytest.mark.parametrize("cloud", ["openstack"], indirect=True)


@pytest.fixture(params=["openstack", "compute's proxy"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A cloud like OpenStack, and one like Rackspace without an image service."""
    like: CloudType = "openstack" if request.param == "openstack" else "rackspace"
    with Sandbox(like=like, speed=0, start=1767225600.0) as sandbox:
        yield sandbox


@pytest.fixture
def proxied(request: pytest.FixtureRequest) -> bool:
    return "compute's proxy" in request.node.callspec.id


@pytest.fixture
def front(front: Interceptor, proxied: bool) -> Interceptor:
    """With ``proxied`` the catalog has no image service."""
    if proxied:
        front.without_image_service()
    return front


@pytest.fixture
def run(nova: Any, front: Interceptor) -> Run:
    """``nova``, whose schedules and images are of the cloud of the test."""

    def run_nova(*argv: str, **options: Any) -> Any:
        return nova(*argv, **options)

    return run_nova


@pytest.fixture
def week(run: Run, cloud: Sandbox) -> list[str]:
    """Ten days of daily images, of which seven are there; their IDs, oldest first."""
    out(run("scheduled-images-enable", "myserver", "7"))
    cloud.advance("10d")
    return [image.id for image in images(cloud)][::-1]


def out(result: Any, err: str = "") -> str:
    assert (result.status, result.err) == (0, err), result
    return str(result.out)


def images(cloud: Sandbox, server_id: str = MYSERVER) -> list[ServerImage]:
    """What the cloud itself has of a server, newest first."""
    return [as_server_image(image) for image in cloud.images(server_id)]


def ids(cloud: Sandbox) -> list[str]:
    """The IDs of myserver's images, oldest first."""
    return [image.id for image in images(cloud)][::-1]


def change(cloud: Sandbox, image_id: str, **attributes: object) -> None:
    """Change an image behind everybody's back; a property of None goes."""
    with cloud.region() as region:
        region.images.update(image_id, attributes=attributes)


def mark(cloud: Sandbox, image_id: str, **marks: str | None) -> None:
    """Change an image's metadata behind everybody's back; None takes it away."""
    with cloud.region() as region:
        whole = {**region.images.get(image_id).properties, **marks}
        region.images.update(
            image_id, properties={k: v for k, v in whole.items() if v is not None}
        )


def metadata(cloud: Sandbox, image_id: str) -> dict[str, str]:
    with cloud.region() as region:
        return dict(region.images.get(image_id).properties)


def data(result: Any) -> list[dict[str, Any]]:
    return list(json.loads(result.out))


class TestImageList:
    def statuses(self, run: Run) -> list[tuple[str, str]]:
        rows = data(run("scheduled-images-image-list", "--format", "json", "myserver"))
        return [(row["retention_status"], row["reason"]) for row in rows]

    def test_newest_first_each_with_its_fate(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        table = out(run("scheduled-images-image-list", "myserver")).splitlines()
        assert re.split(" *[|] *", table[1])[1:-1] == [
            *("ID", "Name", "Created", "Size", "Status", "Retention", "Reason")
        ]
        rows = [re.split(" *[|] *", line)[1:-1] for line in table[3:-1]]
        assert [row[0] for row in rows] == week[::-1]
        assert [row[5] for row in rows] == [
            *(f"expires in {n} runs" for n in range(7, 1, -1)),
            "expires next",
        ]
        assert rows[0][1].startswith("Daily-myserver-")
        assert re.fullmatch(r"2026-01-\d\dT\d\d:\d\d:00Z", rows[0][2])
        assert re.fullmatch(r"\d{3} MiB", rows[0][3])
        assert (rows[0][4], rows[0][6]) == ("ACTIVE", "number 1 of the newest 7")
        assert rows[-1][6] == "last of the newest 7"

    @one_type
    def test_what_is_said_comes_true(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        out(run("scheduled-images-enable", "myserver", "4"))
        told = data(run("scheduled-images-image-list", "--format", "json", "myserver"))
        for made in range(1, 6):
            before = set(ids(cloud))
            cloud.advance("1d")
            gone = before - set(ids(cloud))
            assert gone & set(week) == {
                row["id"] for row in told if row["expires_in_runs"] == made
            }

    def test_programs_get_the_same_and_more(
        self, run: Run, cloud: Sandbox, week: list[str], proxied: bool
    ) -> None:
        argv = ("scheduled-images-image-list", "myserver", "--format", "json")
        newest = images(cloud)[0]
        row = data(run(*argv))[0]
        assert row.pop("size") > 600 * 2**20
        assert row == {
            "id": newest.id,
            "name": newest.name,
            "created": f"{newest.created:%Y-%m-%dT%H:%M:%SZ}",
            "status": "ACTIVE",
            "retention_status": "expires in 7 runs",
            "reason": "number 1 of the newest 7",
            "code": "newest",
            "counted": True,
            "expires_in_runs": 7,
            "protected": None if proxied else False,
            "consistency": "crash",
        }

    def test_every_fate(
        self, run: Run, cloud: Sandbox, week: list[str], proxied: bool
    ) -> None:
        change(cloud, week[6], status="saving")
        mark(cloud, week[5], **{MARKER_KEY: None})
        mark(cloud, week[4], **{MARKER_KEY: "somebody"})
        change(cloud, week[3], protected=True)
        out(run("scheduled-images-protect", week[2]))
        out(run("scheduled-images-enable", "myserver", "1"))
        keeps = ("expires next", "the newest")
        if not proxied:
            why = "; cannot be deleted while protected in the image service"
            keeps = ("kept", "the newest" + why)
        assert self.statuses(run) == [
            ("not counted", "SAVING, not ACTIVE"),
            ("kept (exempt)", "not a scheduled image"),
            ("kept (exempt)", "marked 'somebody'"),
            keeps,
            ("kept (exempt)", "protected"),
            ("expires next", "older than the newest"),
            ("expires next", "older than the newest"),
        ]
        out(run("scheduled-images-disable", "myserver"))
        assert self.statuses(run)[-1] == (
            *("kept", "no schedule, so nothing is deleted"),
        )

    def test_an_inherited_marker_is_named_as_likely(
        self, nova: Any, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        """A server booted from a scheduled image marks its manual snapshots."""
        base = ["--image", week[-1], "--flavor", "2", "--nic", "none"]
        boot_argv = ["boot", *base, "clone"] if cloud.like == "openstack" else None
        if boot_argv is None:
            cloud.boot("clone", image_id=week[-1])
        else:
            out(nova(*boot_argv))
        out(nova("image-create", "clone", "my own"))
        cloud.advance("1h")
        (row,) = data(run("scheduled-images-image-list", "clone", "--format", "json"))
        likely = "; marker likely inherited from its base image"
        assert (row["retention_status"], row["reason"]) == (
            "kept",
            f"no schedule, so nothing is deleted{likely}",
        )
        forecast = out(run("scheduled-images-enable", "--dry-run", "clone", "1"))
        assert f"the newest{likely}" in forecast
        # It is not only likely to go: it goes.
        out(run("scheduled-images-enable", "clone", "1"))
        out(run("scheduled-images-protect", "my own"))
        out(
            run("scheduled-images-unprotect", "my own"),
            err=next_line(cloud, row["id"]),
        )
        cloud.advance("25h")
        left = images(cloud, id_of(cloud, "clone"))
        assert [image.name[:12] for image in left] == ["Daily-clone-"]

    @one_type
    def test_a_server_without_images(self, run: Run) -> None:
        argv = ("scheduled-images-image-list", "web1")
        assert data(run(*argv, "--format", "json")) == []
        table = out(run(*argv))
        assert table.splitlines()[1].startswith("| ID ")

    @one_type
    @pytest.mark.parametrize("server", [NOBODY, "nobody"])
    def test_no_such_server(self, run: Run, server: str) -> None:
        result = run("scheduled-images-image-list", server)
        assert (result.status, result.out, result.err) == (
            1,
            "",
            f"ERROR (CommandError): No server with a name or ID of '{server}'"
            " exists.\n",
        )

    @one_type
    def test_the_images_of_a_server_that_is_gone(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        with cloud.region() as region:
            region.servers.delete(MYSERVER)
        argv = ("scheduled-images-image-list", MYSERVER, "--format", "json")
        rows = data(run(*argv))
        assert [row["id"] for row in rows] == week[::-1]
        assert {row["retention_status"] for row in rows} == {"kept"}
        # Its schedule is gone as well: somebody has to say how many stay.
        result = run("scheduled-images-prune", "--yes", MYSERVER)
        assert (result.status, result.out) == (1, "")
        assert ids(cloud) == week
        assert run("scheduled-images-prune", "--yes", "--keep", "1", MYSERVER).out
        assert ids(cloud) == week[-1:]

    def test_a_cloud_without_scheduled_images(
        self, run: Run, cloud: Sandbox, front: Interceptor
    ) -> None:
        front.without_schedules()
        add_image(
            cloud,
            "Daily-myserver-1767225600",
            instance_uuid=MYSERVER,
            image_type="snapshot",
            **MARKED,
        )
        (row,) = data(
            run("scheduled-images-image-list", "myserver", "--format", "json")
        )
        assert row["retention_status"] == "kept"
        result = run("scheduled-images-image-list", NOBODY)
        assert (result.status, result.out) == (1, "")
        for argv in (
            ("enable", "--dry-run", "myserver", "1"),
            ("prune", "--yes", "myserver"),
        ):
            result = run(f"scheduled-images-{argv[0]}", *argv[1:])
            assert (result.status, result.out, result.err) == (
                1,
                "",
                NOT_OFFERED,
            )
        line = "There is nothing to delete.\n"
        result = run("scheduled-images-prune", "--yes", "--keep", "1", "myserver")
        assert out(result, err=line) == ""


NEXT = "with the next scheduled image"


def next_line(cloud: Sandbox, *image_ids: str, when: str = NEXT) -> str:
    """What unprotect says, where these images of a server are the next to go."""
    with cloud.region() as region:
        found = [region.images.get(image_id) for image_id in image_ids]
    server_id = found[0].properties["instance_uuid"]
    named = ", ".join(f"{image.name} ({image.id})" for image in found)
    return f"Expires next on server {server_id}: {named}, {when}\n"


class TestProtect:
    def test_it_is_kept_and_handed_back_exactly(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        kept = week[0]
        before = metadata(cloud, kept)
        assert out(run("scheduled-images-protect", kept)) == ""
        without = {k: v for k, v in before.items() if k != MARKER_KEY}
        note = {PROTECTED_KEY: f"{kept}:{MARKER_VALUE}"}
        assert metadata(cloud, kept) == without | note
        cloud.advance("30d")
        assert kept in ids(cloud)
        assert len(ids(cloud)) == 8
        result = run("scheduled-images-unprotect", kept)
        assert out(result, err=next_line(cloud, kept, ids(cloud)[1])) == ""
        assert metadata(cloud, kept) == before
        cloud.advance("1d")
        assert kept not in ids(cloud)

    @pytest.mark.parametrize("times", [1, 3, 99])
    def test_somebody_elses_change_that_puts_the_marker_back(
        self, run: Run, cloud: Sandbox, week: list[str], times: int
    ) -> None:
        """The image service writes an image as it read it before this change."""
        kept = week[0]
        before = metadata(cloud, kept)
        stale = StaleWriter(cloud, kept, times)
        result = run("scheduled-images-protect", kept)
        if times < 5:
            assert out(result) == ""
            assert MARKER_KEY not in metadata(cloud, kept)
            assert stale.left == 0
        else:
            assert (result.status, result.out) == (1, "")
            assert result.err.endswith(
                f"Image {kept} does not keep the change of its metadata: something else"
                " changes it at the same time (5 tries)\n"
            )
            assert metadata(cloud, kept) == before

    @one_type
    def test_by_name(self, run: Run, cloud: Sandbox, week: list[str]) -> None:
        name = images(cloud)[-1].name
        out(run("scheduled-images-protect", name))
        assert PROTECTED_KEY in metadata(cloud, week[0])

    def test_twice_is_once(self, run: Run, cloud: Sandbox, week: list[str]) -> None:
        before = metadata(cloud, week[0])
        out(run("scheduled-images-protect", week[0]))
        kept = metadata(cloud, week[0])
        cloud.requests.clear()
        out(run("scheduled-images-protect", week[0]))
        assert metadata(cloud, week[0]) == kept
        assert not changes(cloud)
        out(run("scheduled-images-unprotect", week[0]), err=next_line(cloud, week[0]))
        cloud.requests.clear()
        out(run("scheduled-images-unprotect", week[0]), err=next_line(cloud, week[0]))
        assert metadata(cloud, week[0]) == before
        assert not changes(cloud)

    def test_one_request_where_the_service_can(
        self, run: Run, cloud: Sandbox, week: list[str], proxied: bool
    ) -> None:
        cloud.requests.clear()
        out(run("scheduled-images-protect", week[0]))
        methods = [method for method, _, _ in changes(cloud)]
        assert methods == (["POST", "DELETE"] if proxied else ["PATCH"])

    def test_what_is_not_a_snapshot_is_refused_and_the_others_done(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        odd = add_image(cloud, "odd", instance_uuid=MYSERVER, image_type="other")
        bare = add_image(cloud, "bare", instance_uuid=MYSERVER)
        for command in ("scheduled-images-protect", "scheduled-images-unprotect"):
            result = run(command, odd, bare, "Debian 12 (Bookworm)", "nothing", week[0])
            assert (result.status, result.out) == (1, "")
            lines = result.err.splitlines()
            assert lines[2].startswith("ERROR (CommandError): Debian 12 (Bookworm): ")
            base = re.escape("is not a snapshot of a server")
            assert lines[:2] == [
                f"ERROR (CommandError): Image {odd} is not a snapshot of a server: its"
                " image_type is 'other'",
                f"ERROR (CommandError): Image {bare} is not a snapshot of a server: it"
                " has no image_type",
            ]
            assert re.search(f"{base}: it has no instance_uuid$", lines[2])
            assert lines[3] == (
                "ERROR (CommandError): No image with a name or ID of 'nothing' exists."
            )
            protected = command == "scheduled-images-protect"
            assert (PROTECTED_KEY in metadata(cloud, week[0])) is protected

    @one_type
    def test_a_marker_that_was_taken_away_by_hand_is_put_back(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        before = metadata(cloud, week[0])
        mark(cloud, week[0], **{MARKER_KEY: None})
        out(run("scheduled-images-unprotect", week[0]), err=next_line(cloud, week[0]))
        assert metadata(cloud, week[0]) == before

    def test_a_persons_own_snapshot_is_never_handed_over(
        self, nova: Any, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        out(nova("image-create", "myserver", "my own"))
        cloud.advance("1h")
        own = next(image for image in images(cloud) if image.name == "my own")
        out(run("scheduled-images-protect", "my own"))
        result = run("scheduled-images-unprotect", "my own")
        assert (result.status, result.err) == (
            1,
            f"ERROR (CommandError): Image {own.id} was not made by a schedule: it is"
            " named 'my own' and has never been protected; to let its schedule delete"
            f" it, set its {MARKER_KEY} to {MARKER_VALUE}\n",
        )
        assert metadata(cloud, own.id) == own.metadata

    @one_type
    def test_another_marker_is_left_alone(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        mark(cloud, week[0], **{MARKER_KEY: "me"})
        out(run("scheduled-images-protect", week[0]))
        result = run("scheduled-images-unprotect", week[0])
        assert (result.status, result.err) == (
            1,
            f"ERROR (CommandError): Image {week[0]} was not made by a schedule: its"
            f" {MARKER_KEY} is 'me'\n",
        )
        assert metadata(cloud, week[0])[MARKER_KEY] == "me"

    def test_what_a_base_image_was_protected_from_is_not_handed_on(
        self, nova: Any, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        """Snapshots inherit the note as well; it is about another image."""
        out(run("scheduled-images-protect", week[-1]))
        cloud.boot("clone", image_id=week[-1])
        out(nova("image-create", "clone", "my own"))
        cloud.advance("1h")
        (own,) = images(cloud, id_of(cloud, "clone"))
        assert own.metadata[PROTECTED_KEY] == f"{week[-1]}:{MARKER_VALUE}"
        assert run("scheduled-images-unprotect", "my own").status == 1
        assert metadata(cloud, own.id) == own.metadata

    def test_unprotect_says_when_the_next_one_goes(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        out(run("scheduled-images-protect", week[0], week[1]))
        result = run("scheduled-images-unprotect", week[1])
        assert out(result, err=next_line(cloud, week[1], when="in 2 runs")) == ""
        out(run("scheduled-images-disable", "myserver"))
        line = f"No image of server {MYSERVER} expires: it has no schedule\n"
        assert out(run("scheduled-images-unprotect", week[0]), err=line) == ""
        with cloud.region() as region:
            region.servers.delete(MYSERVER)
        line = f"No image of server {MYSERVER} expires: it no longer exists\n"
        assert out(run("scheduled-images-unprotect", week[0]), err=line) == ""

    @one_type
    def test_an_unknown_next_state_is_not_a_failure(
        self, run: Run, cloud: Sandbox, front: Interceptor, week: list[str]
    ) -> None:
        front.answer("GET", "/rax-si-image-schedule$", page("500 Sorry"))
        result = run("scheduled-images-unprotect", week[0])
        assert result.status == 0
        assert result.err.startswith(
            f"It is not known which image of server {MYSERVER} expires next: "
        )

    @one_type
    def test_who_may_not(self, run: Run, cloud: Sandbox, week: list[str]) -> None:
        before = metadata(cloud, week[0])
        result = run("scheduled-images-protect", week[0], user="observer")
        assert result.status == 1
        assert result.err.startswith("ERROR (Forbidden): ")
        assert metadata(cloud, week[0]) == before

    @pytest.mark.parametrize("command", ["protect", "unprotect"])
    def test_interrupted_at_any_request_nothing_is_lost(
        self, run: Run, cloud: Sandbox, week: list[str], command: str
    ) -> None:
        """Either it is the service's image, or what it was is remembered."""
        before = metadata(cloud, week[0])
        if command == "unprotect":
            out(run("scheduled-images-protect", week[0]))
        after = metadata(cloud, week[0])
        for answered in (False, True):
            for number in range(1, 100):
                if not interrupted(run, number, answered, command, week[0]):
                    break
                now = metadata(cloud, week[0])
                assert now.get(MARKER_KEY) == MARKER_VALUE or (
                    now[PROTECTED_KEY] == f"{week[0]}:{MARKER_VALUE}"
                )
            assert number > 3
            # All of it done once more, from wherever that was, and undone.
            out_or_next(run(f"scheduled-images-{command}", week[0]))
            out_or_next(run("scheduled-images-unprotect", week[0]))
            assert metadata(cloud, week[0]) == before
            if command == "unprotect":
                out(run("scheduled-images-protect", week[0]))
                assert metadata(cloud, week[0]) == after


def out_or_next(result: Any) -> None:
    assert result.status == 0, result
    assert result.err == "" or result.err.startswith("Expires next on server ")


def changes(cloud: Sandbox) -> list[tuple[str, str, int]]:
    """The requests that change something, and were not about a token."""
    return [
        seen
        for seen in cloud.requests
        if seen[0] != "GET" and "/identity/" not in seen[1]
    ]


def interrupted(run: Run, number: int, answered: bool, *argv: str) -> bool:
    """Press Ctrl-C at a request of a command, before or after its answer.

    Returns whether the command sends that many.
    """
    real = HTTPAdapter.send
    count = 0

    def send(adapter: HTTPAdapter, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == number and not answered:
            raise KeyboardInterrupt
        answer = real(adapter, *arguments, **options)
        if count == number:
            raise KeyboardInterrupt
        return answer

    with mock.patch.object(HTTPAdapter, "send", send):
        result = run(f"scheduled-images-{argv[0]}", *argv[1:])
    if count < number:
        assert result.status == 0, result
        return False
    assert result.status == 130, result
    return True


class TestPrune:
    def test_the_retention_now(self, run: Run, cloud: Sandbox, week: list[str]) -> None:
        out(run("scheduled-images-enable", "myserver", "3"))
        assert ids(cloud) == week
        table = out(run("scheduled-images-prune", "--yes", "myserver"))
        assert re.split(" *[|] *", table.splitlines()[1])[1:-1] == [
            *("Server", "ID", "Name", "Created", "Size", "Action", "Reason")
        ]
        assert re.findall(r" ([0-9a-f-]{36}) ", table) == week[:4]
        assert table.count("| deleted | older than the newest 3 |") == 4
        assert ids(cloud) == week[4:]

    @one_type
    def test_a_number_of_its_own(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        out(run("scheduled-images-disable", "myserver"))
        out(run("scheduled-images-prune", "--yes", "--keep", "5", "myserver"))
        assert ids(cloud) == week[2:]

    @one_type
    def test_a_dry_run_changes_nothing(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        cloud.requests.clear()
        argv = ("scheduled-images-prune", "--dry-run", "--keep", "6", "--format")
        (row,) = data(run(*argv, "json", "myserver"))
        assert (row["server"], row["id"], row["action"], row["reason"]) == (
            "myserver",
            week[0],
            "delete",
            "older than the newest 6",
        )
        assert not changes(cloud)
        assert ids(cloud) == week

    @one_type
    def test_the_plan_is_what_is_done(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        argv = ("scheduled-images-prune", "--keep", "2", "--format", "json", "myserver")
        plan = data(run(*argv, "--dry-run"))
        done = data(run(*argv, "--yes"))
        assert [row | {"action": "deleted"} for row in plan] == done

    @one_type
    def test_without_a_terminal_it_needs_a_yes(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        cloud.requests.clear()
        with open(os.devnull) as nothing, mock.patch("sys.stdin", nothing):
            result = run("scheduled-images-prune", "--keep", "1", "myserver")
        assert (result.status, result.out, result.err) == (
            2,
            "",
            "error: no terminal to ask for confirmation: use --yes to delete, or"
            " --dry-run to see what would be deleted\n"
            "Try 'nova help scheduled-images-prune' for more information.\n",
        )
        assert not changes(cloud)
        assert ids(cloud) == week

    @one_type
    def test_what_cannot_be_kept(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        for keep in ("0", "-1", "65536", "1.5", "abc", ""):
            argv = ("scheduled-images-prune", "--yes", f"--keep={keep}", "myserver")
            result = run(*argv)
            assert (result.status, result.out) == (2, "")
            assert (
                f"error: argument --keep: '{keep}' is not a retention: a whole number"
                " from 1 to 65535, or rules such as last=8,daily=7\n" in result.err
            )
        assert ids(cloud) == week

    @one_type
    def test_without_a_schedule_a_number_is_needed(
        self, run: Run, cloud: Sandbox
    ) -> None:
        result = run("scheduled-images-prune", "--yes", MYSERVER)
        assert (result.status, result.out, result.err) == (
            1,
            "",
            f"ERROR (CommandError): Scheduled images not enabled for server {MYSERVER},"
            " and no number of images to keep was given\n",
        )

    @one_type
    def test_nothing_is_to_go(self, run: Run, week: list[str]) -> None:
        for flag in ("--yes", "--dry-run"):
            result = run("scheduled-images-prune", flag, "myserver")
            assert out(result, err="There is nothing to delete.\n") == ""
        result = run("scheduled-images-prune", "--yes", "myserver", "--format", "json")
        assert out(result, err="There is nothing to delete.\n") == "[]\n"

    def test_only_what_the_service_would_delete(
        self, nova: Any, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        mark(cloud, week[0], **{MARKER_KEY: None})
        mark(cloud, week[1], **{MARKER_KEY: "me"})
        change(cloud, week[2], status="saving")
        mark(cloud, week[3], instance_uuid=id_of(cloud, "web1"))
        out(run("scheduled-images-prune", "--yes", "--keep", "1", "myserver"))
        assert set(ids(cloud)) == {week[0], week[1], week[2], week[6]}
        assert [image.id for image in images(cloud, id_of(cloud, "web1"))] == [week[3]]

    @one_type
    def test_several_servers_and_failures(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        out(run("scheduled-images-enable", "web1", "7"))
        cloud.advance("3d")
        both = (MYSERVER, "web1", "nobody", "myserver", "db1")
        result = run(
            *("scheduled-images-prune", "--yes", "--format", "json", "--keep", "1"),
            *both,
        )
        assert result.status == 1
        assert result.err == (
            "ERROR (CommandError): No server with a name or ID of 'nobody' exists.\n"
        )
        rows = data(result)
        assert [row["server"] for row in rows] == [MYSERVER] * 6 + ["web1"] * 2
        assert {row["action"] for row in rows} == {"deleted"}
        assert len(images(cloud)) == len(images(cloud, id_of(cloud, "web1"))) == 1

    def test_a_protected_image_is_skipped_and_reported(
        self, run: Run, cloud: Sandbox, week: list[str], proxied: bool
    ) -> None:
        change(cloud, week[1], protected=True)
        argv = ("scheduled-images-prune", "--keep", "4", "--format", "json", "myserver")
        planned = [row["action"] for row in data(run(*argv, "--dry-run"))]
        assert planned == ["delete", "delete" if proxied else "skip", "delete"]
        cloud.requests.clear()
        result = run(*argv, "--yes")
        assert result.status == 1
        assert result.err.startswith(f"Delete for image {week[1]} failed: ")
        assert result.err.count("\n") == 1
        actions = [(row["id"], row["action"]) for row in data(result)]
        assert actions == [
            (week[0], "deleted"),
            (week[1], "failed"),
            (week[2], "deleted"),
        ]
        assert ids(cloud) == [week[1], *week[3:]]
        # It takes one of the places that the retention gives while it is new.
        assert len(changes(cloud)) == (3 if proxied else 2)

    def test_what_is_refused_or_unreadable_stops_nothing(
        self, run: Run, cloud: Sandbox, front: Interceptor, week: list[str]
    ) -> None:
        refusals = ["403 Forbidden", "409 Conflict", "500 Oops"]
        for image_id, status in zip(week, refusals, strict=False):
            body = json.dumps({"error": {"message": "so it is"}})
            front.answer("DELETE", image_id, json_answer(status, body))
        # The list for the plan, and one before each deletion.
        lists = r"/images(/detail)?\?(?!.*visibility)"
        front.answer("GET", lists, page("200 OK"), 1, passed=4)
        result = run("scheduled-images-prune", "--yes", "--keep", "2", "myserver")
        assert result.status == 1
        lines = result.err.splitlines()
        assert lines[:3] == [
            f"Delete for image {image_id} failed: so it is (HTTP {status[:3]})"
            for image_id, status in zip(week, refusals, strict=False)
        ]
        assert lines[3].startswith(f"Delete for image {week[3]} failed: ")
        assert lines[3].endswith("the content is text/html, not a JSON object")
        # What cannot be read again is not deleted; the last one could be.
        assert ids(cloud) == [*week[:4], *week[5:]]

    def test_what_has_changed_since_the_plan_stays(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        def meanwhile() -> None:
            mark(cloud, week[0], **{MARKER_KEY: None})
            mark(cloud, week[1], **{MARKER_KEY: "me"})
            mark(cloud, week[2], instance_uuid=NOBODY)
            change(cloud, week[3], status="saving")
            with cloud.region() as region:
                region.images.delete(week[4])

        argv = ("scheduled-images-prune", "--yes", "--keep", "1", "--format", "json")
        with after_the_list(meanwhile):
            result = run(*argv, "myserver")
        rows = data(result)
        assert (result.status, result.err) == (0, "")
        assert [row["action"] for row in rows] == [*["skipped"] * 5, "deleted"]
        assert [row["reason"] for row in rows[:4]] == [
            "not a scheduled image",
            "marked 'me'",
            "not an image of this server",
            "SAVING, not ACTIVE",
        ]
        assert rows[4]["reason"] in ("already gone", "DELETED, not ACTIVE")
        assert ids(cloud) == [week[0], week[1], week[3], week[6]]
        assert [image.id for image in images(cloud, NOBODY)] == [week[2]]

    @pytest.mark.parametrize("answered", [False, True])
    def test_interrupted_at_any_request_it_has_deleted_nothing_that_stays(
        self, run: Run, cloud: Sandbox, week: list[str], answered: bool
    ) -> None:
        cloud.advance("20d")
        out(run("scheduled-images-enable", "myserver", "2"))
        change(cloud, ids(cloud)[1], protected=True)
        mark(cloud, ids(cloud)[2], **{MARKER_KEY: None})
        first = images(cloud)
        stays = {
            v.image.id
            for v in apply_policy(first, MYSERVER, 2, project_of(cloud))
            if not v.surplus
        }
        goes = [image.id for image in surplus(first, MYSERVER, 2, project_of(cloud))]
        assert len(goes) == 4
        for number in range(1, 100):
            before = images(cloud)
            argv = ("prune", "--yes", "myserver")
            if not pruned(run, number, answered, *argv):
                break
            there = {image.id for image in images(cloud)}
            assert stays <= there
            gone = [image.id for image in before if image.id not in there]
            # As a plan made afresh says, and the oldest of it that can go.
            able = [
                image.id
                for image in surplus(before, MYSERVER, 2, project_of(cloud))
                if not image.protected
            ]
            assert sorted(gone) == sorted(able[: len(gone)])
        assert number > 4
        assert set(ids(cloud)) == stays | {goes[1]}

    @pytest.mark.flow
    @one_type
    def test_killed_at_many_servers_none_has_lost_what_stays(
        self, cloud: Sandbox, nova: Any, week: list[str]
    ) -> None:
        servers = {name: id_of(cloud, name) for name in ("myserver", "web1", "db1")}
        for name in servers:
            nova.ok("scheduled-images-enable", name, "9")
        cloud.advance("12d")
        # Of 21 that are to go, less than 5 go at each: what is on its way goes too.
        for number in range(1, 5):
            first = {name: images(cloud, id_) for name, id_ in servers.items()}
            killed_at(cloud, number, "prune", "--keep", "2", "--yes", *servers)
            for name, id_ in servers.items():
                there = {image.id for image in images(cloud, id_)}
                gone = {image.id for image in first[name] if image.id not in there}
                able = [
                    image.id
                    for image in surplus(first[name], id_, 2, project_of(cloud))
                ]
                assert gone == set(able[: len(gone)])
        nova.ok("scheduled-images-prune", "--keep", "2", "--yes", *servers)
        assert [len(images(cloud, id_)) for id_ in servers.values()] == [2, 2, 2]

    def test_interrupted_it_tells_what_it_has_done(
        self, run: Run, cloud: Sandbox, week: list[str]
    ) -> None:
        seen = 0

        def interrupt() -> None:
            nonlocal seen
            seen += 1
            if seen == 2:
                raise KeyboardInterrupt

        with before_each("DELETE", interrupt):
            result = run(
                *("scheduled-images-prune", "--yes", "--keep", "1", "myserver"),
                *("--format", "value"),
            )
        assert result.status == 130
        assert result.err == (
            f"Unknown whether deleted: image {week[1]}\n... terminating nova client\n"
        )
        assert [line.split("\t")[1] for line in result.out.splitlines()] == week[:1]
        assert ids(cloud) == week[1:]


def killed_at(cloud: Sandbox, number: int, *argv: str) -> None:
    """Kill a command at a request about one image, when its answer is to leave."""
    nova = Path(sys.executable).with_name("nova")

    class Killing(Requests):
        answered = 0

        def append(self, seen: Any) -> None:
            super().append(seen)
            if re.search(r"/images/[0-9a-f-]{36}$", seen.path):
                self.answered += 1
                if self.answered == number:
                    process.kill()

    with mock.patch.object(cloud, "requests", Killing()):
        process = subprocess.Popen(
            [nova, f"scheduled-images-{argv[0]}", *argv[1:]],
            env=cloud.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert process.wait(timeout=60) == -9


def pruned(run: Run, number: int, answered: bool, *argv: str) -> bool:
    """Interrupt a prune; one that meets a protected image ends with status 1."""
    try:
        return interrupted(run, number, answered, *argv)
    except AssertionError as error:
        if "status=1" in str(error) and "failed: " in str(error):
            return False
        raise


@pytest.mark.flow
class TestAsking:
    """On a terminal, which is a real one here, and so is the process."""

    def ask(
        self, cloud: Sandbox, answer: str, *argv: str, meanwhile: Any = None
    ) -> Any:
        """Run a command on a terminal of its own, and write one line there."""
        nova = Path(sys.executable).with_name("nova")
        ours, its = pty.openpty()
        try:
            process = subprocess.Popen(
                [nova, "scheduled-images-prune", *argv],
                stdin=its,
                stderr=its,
                stdout=subprocess.PIPE,
                env=cloud.environ(),
                text=True,
            )
            os.close(its)
            said = b""
            while not said.endswith(b"[y/N] "):
                said += os.read(ours, 4096)
            if meanwhile:
                meanwhile()
            os.write(ours, answer.encode())
            printed, _ = process.communicate(timeout=60)
            with suppress(OSError):
                while more := os.read(ours, 4096):
                    said += more
        finally:
            os.close(ours)
        return process.returncode, printed, said.decode().replace("\r", "")

    @one_type
    def test_yes(self, cloud: Sandbox, week: list[str]) -> None:
        status, printed, said = self.ask(cloud, "Yes\n", "--keep", "5", "myserver")
        assert status == 0
        for text in (printed, said):
            assert re.findall(r" ([0-9a-f-]{36}) ", text) == week[:2]
        assert "Delete these images permanently? [y/N] " in said
        assert printed.count("| deleted |") == 2
        assert ids(cloud) == week[2:]

    @one_type
    @pytest.mark.parametrize("answer", ["yep\n", "\x04"])
    def test_no(self, cloud: Sandbox, week: list[str], answer: str) -> None:
        status, printed, said = self.ask(cloud, answer, "--keep", "5", "myserver")
        assert (status, printed) == (1, "")
        assert said.endswith("Nothing was deleted.\n")
        assert ids(cloud) == week

    @one_type
    def test_what_is_not_to_go_any_more_when_the_answer_comes(
        self, cloud: Sandbox, week: list[str]
    ) -> None:
        """Another image is kept meanwhile, so that fewer are too many."""

        def meanwhile() -> None:
            mark(cloud, week[-1], **{MARKER_KEY: None})

        status, printed, _ = self.ask(
            cloud, "y\n", "--keep", "5", "myserver", meanwhile=meanwhile
        )
        assert status == 0
        assert re.findall(r" ([0-9a-f-]{36}) ", printed) == week[:1]
        assert ids(cloud) == week[1:]

    @one_type
    def test_what_was_not_shown_does_not_go(
        self, cloud: Sandbox, week: list[str]
    ) -> None:
        status, _, said = self.ask(
            *(cloud, "y\n", "--keep", "5", "myserver"),
            meanwhile=lambda: cloud.advance("1d"),
        )
        assert status == 0
        # The service has deleted the oldest one, and a new one is there.
        assert ids(cloud)[:6] == week[2:7] + ids(cloud)[5:6]
        assert len(re.findall(r" ([0-9a-f-]{36}) ", said)) == 2


class TestImagesOfOthers:
    """Anybody can publish an image that names a server and carries the marker."""

    @pytest.fixture
    def published(self, cloud: Sandbox, week: list[str]) -> list[str]:
        """Three newer images of another project, made out to be myserver's."""
        cloud.advance("1h")
        marks = {"instance_uuid": MYSERVER, "image_type": "snapshot", **MARKED}
        return [
            add_image(
                cloud, "Daily-myserver-1", owner="f" * 32, visibility="public", **marks
            )
            for _ in range(3)
        ]

    def test_they_are_shown_and_not_counted(
        self, run: Run, week: list[str], published: list[str]
    ) -> None:
        rows = data(run("scheduled-images-image-list", "--format", "json", "myserver"))
        theirs = [row for row in rows if row["id"] in published]
        assert [
            (row["retention_status"], row["counted"], row["code"]) for row in theirs
        ] == [("not counted", False, "other_owner")] * 3
        assert [row["id"] for row in rows if row["counted"]] == week[::-1]
        (row,) = (
            row
            for row in data(run("scheduled-images-list", "--format", "json"))
            if row["id"] == MYSERVER
        )
        assert (row["counted"], row["expires_next"]) == (7, "Daily-myserver-1767548760")

    def test_the_forecast_and_pruning_leave_them_out(
        self, run: Run, cloud: Sandbox, week: list[str], published: list[str]
    ) -> None:
        told = out(run("scheduled-images-enable", "--dry-run", "myserver", "6"))
        assert re.findall(r" ([0-9a-f-]{36}) ", told) == week[:2]
        pruning = ("--yes", "--format", "json")
        rows = data(run("scheduled-images-prune", *pruning, "--keep", "5", "myserver"))
        assert [(row["id"], row["action"]) for row in rows] == [
            (week[0], "deleted"),
            (week[1], "deleted"),
        ]
        assert sorted(ids(cloud)) == sorted(week[2:] + published)

    def test_the_service_does_so_too(
        self, cloud: Sandbox, week: list[str], published: list[str]
    ) -> None:
        cloud.advance("1d")
        there = ids(cloud)
        assert set(there) > {*week[1:], *published}
        assert (week[0] in there, len(there)) == (False, 7 + 3)

    def test_published_while_pruning_they_change_nothing(
        self, run: Run, cloud: Sandbox, front: Interceptor, week: list[str]
    ) -> None:
        marks = {"instance_uuid": MYSERVER, "image_type": "snapshot", **MARKED}

        def publish(content: bytes) -> bytes:
            add_image(cloud, "x", owner="f" * 32, visibility="public", **marks)
            return content

        front.change("DELETE", "/images/", publish)
        out(run("scheduled-images-prune", "--yes", "--keep", "5", "myserver"))
        assert {*week[2:]} <= {*ids(cloud)}
        assert not {*week[:2]} & {*ids(cloud)}

    @pytest.mark.parametrize("cloud", ["compute's proxy"], indirect=True)
    def test_a_proxy_that_cannot_tell_counts_none(
        self, run: Run, cloud: Sandbox, front: Interceptor, week: list[str]
    ) -> None:
        front.rewrite = lambda path: re.sub("property-visibility=[a-z]+&?", "", path)
        result = run("scheduled-images-prune", "--yes", "--keep", "1", "myserver")
        assert (result.status, ids(cloud)) == (0, week)
        rows = data(run("scheduled-images-image-list", "--format", "json", "myserver"))
        assert {row["reason"] for row in rows} == {
            "not known to be an image of the server's project"
        }


@pytest.mark.parametrize("number", [2, 5])
def test_what_is_protected_meanwhile_is_made_up_for(
    run: Run, cloud: Sandbox, front: Interceptor, week: list[str], number: int
) -> None:
    """Of seven, all but three are to go; two of those three are protected."""
    left = iter(range(99))

    def protect(content: bytes) -> bytes:
        if next(left) == 0:
            for image_id in week[number : number + 2]:
                mark(cloud, image_id, **{MARKER_KEY: None})
        return content

    front.change("DELETE", "/images/", protect)
    pruning = ("--yes", "--format", "json")
    rows = data(run("scheduled-images-prune", *pruning, "--keep", "3", "myserver"))
    assert sum(image.scheduled for image in images(cloud)) == 3
    assert {*week[number : number + 2]} <= {*ids(cloud)}
    skipped = [row for row in rows if row["action"] == "skipped"]
    assert len(skipped) == 2
    assert {row["reason"] for row in skipped} <= {
        "not a scheduled image",
        "last of the newest 3",
        "number 2 of the newest 3",
        "number 1 of the newest 3",
    }


@one_type
def test_the_requests_of_each_command(
    run: Run, cloud: Sandbox, week: list[str]
) -> None:
    schedule = f"GET /servers/{MYSERVER}/rax-si-image-schedule 200"
    server = f"GET /servers/{MYSERVER} 200"
    listed = f"GET /images?limit=1000&instance_uuid={MYSERVER}"
    one = f"/images/{week[0]}"
    for argv, requests in {
        ("image-list", MYSERVER): [schedule, server, f"{listed} 200"],
        ("protect", week[0]): [
            *(f"GET {one} 200", f"PATCH {one} 200", f"GET {one} 200"),
        ],
        ("unprotect", week[0]): [
            *(f"GET {one} 200", f"PATCH {one} 200", f"GET {one} 200"),
            *(schedule, server, f"{listed} 200"),
        ],
        ("prune", "--yes", "--keep", "6", "myserver"): [
            "GET /servers?name=%5Emyserver%24 200",
            *(server, f"{listed} 200"),
            *(f"{listed} 200", f"DELETE {one} 204"),
        ],
        ("enable", "--dry-run", MYSERVER, "5"): [
            *(schedule, server, f"{listed} 200", "GET /info/usage 200"),
        ],
    }.items():
        cloud.requests.clear()
        assert run(f"scheduled-images-{argv[0]}", *argv[1:]).status == 0
        assert sent(cloud) == requests


class TestForecast:
    def test_a_change(self, run: Run, cloud: Sandbox, week: list[str]) -> None:
        cloud.requests.clear()
        argv = ("scheduled-images-enable", "--dry-run", "myserver", "5")
        first, second, *table, expected = out(run(*argv)).splitlines()
        assert first == "myserver: daily, retention 5 (now daily, retention 7)"
        assert second == "These images expire with the next scheduled image:"
        assert re.findall(r" ([0-9a-f-]{36}) ", "".join(table)) == week[:3]
        terms = (f"in a {term} 5 images" for term in ("week", "month", "year"))
        assert re.sub(r" \([0-9.]+ GiB\)", "", expected) == (
            f"Expected: {', '.join(terms)}."
        )
        assert not changes(cloud)
        # And so it is.
        out(run("scheduled-images-enable", "myserver", "5"))
        assert ids(cloud) == week
        cloud.advance("1d")
        assert ids(cloud)[:-1] == week[3:]

    @one_type
    def test_a_weekly_schedule_that_would_be_daily(self, run: Run) -> None:
        out(run("scheduled-images-enable", "--day-of-week", "sat", "myserver", "4"))
        argv = ("scheduled-images-enable", "--dry-run")
        assert out(run(*argv, "myserver", "4")) == (
            "myserver: daily, retention 4 (now weekly on SATURDAY, retention 4)\n"
            "No image expires with the next scheduled image.\n"
            "Expected: in a week 4 images, in a month 4 images, in a year 4 images.\n"
        )
        same = out(run(*argv, "--day-of-week", "Sat", "myserver", "4"))
        assert same.startswith(
            "myserver: weekly on SATURDAY, retention 4 (no change)\n"
        )

    @one_type
    def test_several_servers(self, run: Run, cloud: Sandbox) -> None:
        argv = ("scheduled-images-enable", "--dry-run", "web1", "nobody", "db1", "7")
        result = run(*argv)
        assert (result.status, result.out, result.err) == (
            1,
            "web1: daily, retention 7 (now no schedule)\n"
            "No image expires with the next scheduled image.\n"
            "Expected: in a week 7 images, in a month 7 images, in a year 7 images.\n"
            "db1: daily, retention 7 (now no schedule)\n"
            "No image expires with the next scheduled image.\n"
            "Expected: in a week 7 images, in a month 7 images, in a year 7 images.\n",
            "ERROR (CommandError): No server with a name or ID of 'nobody' exists.\n",
        )
        assert run("scheduled-images-show", "web1").status == 1


class before_each:  # noqa: N801
    """Do something before each request of a method leaves."""

    def __init__(self, method: str, action: Callable[[], None]) -> None:
        real = HTTPAdapter.send

        def send(adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
            if request.method == method:
                action()
            return real(adapter, request, **options)

        self.patch = mock.patch.object(HTTPAdapter, "send", send)

    def __enter__(self) -> None:
        self.patch.start()

    def __exit__(self, *_error: object) -> None:
        self.patch.stop()


class after_the_list:  # noqa: N801
    """Do something once, when the answer to the first list of images is there."""

    def __init__(self, action: Callable[[], None]) -> None:
        real = HTTPAdapter.send
        done = False

        def send(adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
            nonlocal done
            answer = real(adapter, request, **options)
            # The proxy's list of private images is a part of that.
            whole = re.search(r"/images(/detail)?\?(?!.*visibility)", request.url)
            if whole and not done:
                done = True
                action()
            return answer

        self.patch = mock.patch.object(HTTPAdapter, "send", send)

    def __enter__(self) -> None:
        self.patch.start()

    def __exit__(self, *_error: object) -> None:
        self.patch.stop()
