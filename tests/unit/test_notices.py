"""Commands and pings that hang, what is remembered, and what is alive."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.client.pool import Throttle
from rax_scheduled_images_ext.service import reported as files
from rax_scheduled_images_ext.service.health import Health
from rax_scheduled_images_ext.service.notify import Notifier, fail_url
from rax_scheduled_images_ext.service.reported import Reported, default_path

from ..waiting import until
from .test_time_limits import BODY, dripping


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is logged, each with its reason."""
    monkeypatch.setattr("rax_scheduled_images_ext.service.events.LOG.propagate", True)

    def lines() -> list[tuple[str, str]]:
        return [(r.getMessage(), vars(r)["reason"]) for r in caplog.records]

    return lines


def writer(path: Path, gate: Path | None = None) -> list[str]:
    """A command that appends its input to a file, once a gate is there."""
    code = (
        "import os, sys, time\n"
        f"gate = {str(gate) if gate else None!r}\n"
        "if gate: open(gate + '.reached', 'w')\n"
        "while gate and not os.path.exists(gate): time.sleep(0.02)\n"
        f"open({str(path)!r}, 'a').write(sys.stdin.read() + '\\n')\n"
    )
    return [sys.executable, "-c", code]


def test_what_fails_while_the_command_runs_is_reported_in_one_call(
    tmp_path: Path,
) -> None:
    told, gate = tmp_path / "told", tmp_path / "gate"
    notifier = Notifier(writer(told, gate), limit=120)
    notifier.notify({"event": "failed", "server": 0})
    until((tmp_path / "gate.reached").exists)
    for number in range(1, 50):
        # It is not waited for.
        notifier.notify({"event": "failed", "server": number})
    gate.touch()
    notifier.close()
    first, second = map(json.loads, told.read_text().splitlines())
    assert first == {"event": "failed", "server": 0}
    assert second == {
        "event": "failures",
        "failures": [{"event": "failed", "server": n} for n in range(1, 50)],
    }


def test_what_fails_at_once_is_one_call(tmp_path: Path) -> None:
    notifier = Notifier(writer(tmp_path / "told"), limit=120)
    notifier.notify({"event": "failed", "server": 1}, {"event": "failed", "server": 2})
    notifier.notify()
    notifier.close()
    (call,) = (tmp_path / "told").read_text().splitlines()
    assert [each["server"] for each in json.loads(call)["failures"]] == [1, 2]


def test_a_command_that_hangs_is_ended_with_all_it_has_started(
    tmp_path: Path, lines: Any
) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {pid}; wait"
    notifier = Notifier(["sh", "-c", script], limit=1)
    notifier.notify({"event": "failed"})
    notifier.close(60)
    assert lines() == [("on-failure command failed", "TimeoutExpired")]
    child = int(pid.read_text())

    def ended() -> bool:
        shown = subprocess.run(["ps", "-o", "stat=", str(child)], capture_output=True)
        return shown.stdout.strip()[:1] in (b"", b"Z")

    until(ended)


def test_who_ends_says_what_is_not_over_and_ends_it(tmp_path: Path, lines: Any) -> None:
    gate = tmp_path / "gate"
    notifier = Notifier(writer(tmp_path / "told", gate), limit=120)
    notifier.notify({"event": "failed"})
    until((tmp_path / "gate.reached").exists)
    notifier.close(0.1)
    notifier.close()
    assert lines() == [
        ("on-failure command not ended", "it takes longer than 0.1 s"),
        ("on-failure command failed", "CalledProcessError"),
    ]


def test_an_error_of_the_program_keeps_no_later_notice_back(
    tmp_path: Path, lines: Any
) -> None:
    notifier = Notifier(writer(tmp_path / "told"), limit=120)
    notifier.notify({"event": object()})
    notifier.close()
    assert [event for event, _ in lines()] == ["notice failed"]
    notifier.notify({"event": "failed"})
    notifier.close()
    assert json.loads((tmp_path / "told").read_text()) == {"event": "failed"}


def test_a_ping_whose_answer_drips_stalls_nothing(lines: Any) -> None:
    with dripping(BODY, b" ") as server:
        notifier = Notifier(url=f"{server.url}/secret", limit=0.5)
        notifier.ping(good=True)
        notifier.close(60)
        assert server.requests[0].startswith(b"GET /secret ")
    assert lines() == [("ping failed", "ConnectionError")]


@pytest.mark.parametrize(
    ("url", "failed"),
    [
        ("https://h/x", "https://h/x/fail"),
        ("https://h/x/", "https://h/x/fail"),
        ("https://h", "https://h/fail"),
        ("https://h/x?token=1", "https://h/x/fail?token=1"),
        ("https://h/x?a=/b#c", "https://h/x/fail?a=/b#c"),
    ],
)
def test_a_bad_tick_ends_the_path(url: str, failed: str) -> None:
    assert fail_url(url) == failed


# -- what is remembered

STATES = st.lists(st.none() | st.integers() | st.text(), max_size=3)
DEEDS = st.lists(st.tuples(st.sampled_from("abc"), st.none() | STATES))


@given(deeds=DEEDS, restarts=st.sets(st.integers(0, 20)))
def test_a_process_knows_what_the_one_before_has_said(
    tmp_path_factory: pytest.TempPathFactory, deeds: Any, restarts: set[int]
) -> None:
    """As many processes as there may be: news is what one process would report."""
    path = tmp_path_factory.mktemp("state") / "state.json"
    one, reported = Reported(), Reported.load(path)
    for number, (about, state) in enumerate(deeds):
        if number in restarts:
            reported.save()
            reported = Reported.load(path)
        if state is None:
            assert reported.forget("x", about) == one.forget("x", about)
        else:
            found = reported.is_news("x", about, state), one.is_news("x", about, state)
            assert found[0] == found[1]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"a": 1}', '{"a": {"b": 1}}', "[" * 100_000, "\0\xff"],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content, encoding="latin-1")
    reported = Reported.load(path)
    assert reported.is_news("x", "server", ["broken"])
    reported.save()
    assert not Reported.load(path).is_news("x", "server", ["broken"])


def test_the_file_is_its_owners_alone_and_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "state.json"
    reported = Reported(path)
    reported.is_news("x", "server", [1])
    before = os.umask(0)
    try:
        reported.save()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["state.json"]
    inode = path.stat().st_ino
    reported.save()
    assert path.stat().st_ino == inode, "nothing was new"


@pytest.mark.parametrize("where", ["file/state.json", "folder", "/proc/nowhere/x"])
def test_an_unwritable_place_does_not_matter(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    reported = Reported.load(tmp_path / where)
    assert reported.is_news("x", "server", [1])
    reported.save()
    assert not reported.is_news("x", "server", [1])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_two_at_once_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "state.json"

    def work(name: str) -> None:
        for number in range(50):
            reported = Reported.load(path)
            reported.is_news("x", name, [number])
            reported.save()

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert json.loads(path.read_text())["x"]
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_it_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MOST", 3)
    reported = Reported()
    for name in "abcde":
        assert reported.is_news("x", name, [1])
    assert [reported.is_news("x", name, [1]) for name in "cdea"] == [False] * 3 + [True]
    reported.keep(["x"], {"a"})
    assert not reported.forget("x", "d")
    assert reported.forget("x", "a")


class Config:
    """What of a cloud's configuration counts."""

    def __init__(self, name: str, region: str, **auth: str) -> None:
        self.name, self.region_name = name, region
        self.config = {"auth": auth}


def test_each_runner_has_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def path(config: Any, *, all_projects: bool = False) -> Path:
        found = default_path(config, all_projects=all_projects)
        assert found is not None
        return found

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one = Config("../my cloud/", "r1", project_name="p", password="secret")
    paths = {
        path(one),
        path(one, all_projects=True),
        path(Config("../my cloud/", "r2", project_name="p")),
        path(Config("../my cloud/", "r1", project_name="q")),
    }
    assert len(paths) == 4
    assert {each.parent for each in paths} == {tmp_path / "scheduled-images"}
    # A new password changes nothing.
    assert path(one) == path(Config("../my cloud/", "r1", project_name="p"))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path(one).parent == tmp_path / ".local/state/scheduled-images"


# -- whether it is alive


class Watched:
    """A service whose time is set."""

    def __init__(self, every: float) -> None:
        self.now = 1000.0
        self.throttle = Throttle(1, lambda: self.now)
        self.health = Health(every, lambda: self.now)
        self.health.throttle = self.throttle

    def answer(self) -> None:
        with self.throttle:
            pass

    def after(self, seconds: float) -> tuple[bool, bool]:
        """Let time pass; return whether it is alive, and whether it is ready."""
        self.now += seconds
        return self.health.lifeless() is None, self.health.unready() is None


def test_a_first_look_may_take_as_long_as_the_cloud_answers() -> None:
    service = Watched(60)
    for _ in range(60):
        assert service.after(120)[0]
        service.answer()
    assert service.after(0) == (True, False)
    assert service.health.unready() == "no scan has ended for 7200 s"
    service.health.looked(good=True)
    assert service.after(0) == (True, True)


def test_no_response_for_ten_minutes_is_no_sign_of_life() -> None:
    service = Watched(60)
    service.answer()
    service.health.looked(good=True)
    assert service.after(660) == (True, False)
    assert service.after(1) == (False, False)
    assert service.health.lifeless() == "no response from the cloud for 601 s"


def test_scans_without_a_response_are_no_sign_of_life() -> None:
    service = Watched(60)
    for _ in range(10):
        assert service.after(60)[0]
        service.health.looked(good=False)
    assert service.after(60) == (False, False)
    service.answer()
    assert service.after(0) == (True, False)


def test_who_looks_once_an_hour_need_not_be_answered_meanwhile() -> None:
    service = Watched(3600)
    service.answer()
    service.health.looked(good=True)
    assert service.after(3600) == (True, True)
    assert service.after(600) == (True, True)
    assert service.after(1) == (False, True)
