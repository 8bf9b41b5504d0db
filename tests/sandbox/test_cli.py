"""``scheduled-images-sandbox``: its commands, their exit statuses and their errors."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pytest
import requests

from rax_scheduled_images_ext.model.times import END
from rax_scheduled_images_ext.sandbox import Sandbox, cli
from rax_scheduled_images_ext.sandbox.backend import cloud as backend
from rax_scheduled_images_ext.sandbox.backend.clock import Clock

from ..functional.conftest import Start
from ..novashell import Nova

PROGRAM = Path(sys.executable).with_name("scheduled-images-sandbox")
NOVA = str(PROGRAM.with_name("nova"))


class Stranger(BaseHTTPRequestHandler):
    """Something else that listens on this machine."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>It works!</html>")

    def log_message(self, *_arguments: object) -> None:
        pass


def sandbox(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *argv], capture_output=True, text=True)


@pytest.fixture
def run(start: Start) -> Start:
    """Start ``run`` with these options; it is ended with the test."""
    return partial(start, PROGRAM, "run", "--port", "0")


def exports(process: subprocess.Popen[str]) -> dict[str, str]:
    """Let a shell read what ``run`` printed, as a person would."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("export SANDBOX_URL="):
            break
    script = "".join(lines) + "env"
    printed = subprocess.check_output(["sh", "-c", script], text=True)
    return dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)


class TestExec:
    def test_the_command_finds_the_cloud(self) -> None:
        done = sandbox("exec", "--", "nova", "scheduled-images-enable", "myserver", "7")
        assert (done.returncode, done.stdout) == (0, "")

    def test_its_exit_status_comes_back(self) -> None:
        assert sandbox("exec", "--", "sh", "-c", "exit 42").returncode == 42

    def test_a_signal_that_ended_it_comes_back(self) -> None:
        assert sandbox("exec", "--", "sh", "-c", "kill -9 $$").returncode == 137

    def test_what_cannot_be_started(self, tmp_path: Path) -> None:
        done = sandbox("exec", "--", tmp_path / "missing")
        assert done.returncode == 127
        assert done.stderr == (
            f"scheduled-images-sandbox: cannot start '{tmp_path}/missing':"
            " No such file or directory\n"
        )

    def test_what_may_not_be_started(self, tmp_path: Path) -> None:
        file = tmp_path / "data"
        file.touch()
        assert sandbox("exec", "--", file).returncode == 126

    def test_another_cloud_of_the_persons_is_hidden(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "production")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        done = sandbox("exec", "--", "nova", "list")
        assert "myserver" in done.stdout
        assert sandbox("exec", "--", "printenv", "OS_CLOUD").returncode == 1

    def test_commands_beside_it_are_found_without_activation(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", os.defpath)
        done = sandbox("exec", "--", "nova", "list")
        assert done.returncode == 0
        assert "myserver" in done.stdout
        monkeypatch.delenv("PATH")
        found = sandbox("exec", "--", "sh", "-c", "command -v nova").stdout
        assert found == f"{NOVA}\n"

    def test_path_stays_where_it_has_them_already(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = f"/first{os.pathsep}{PROGRAM.parent}{os.pathsep}{os.defpath}"
        monkeypatch.setenv("PATH", path)
        assert sandbox("exec", "--", "printenv", "PATH").stdout == f"{path}\n"

    def test_the_secret_is_in_no_argument(self) -> None:
        script = "tr '\\0' ' ' < /proc/$PPID/cmdline; echo; printenv OS_PASSWORD"
        listed, password = sandbox("exec", "--", "sh", "-c", script).stdout.splitlines()
        assert password
        assert password not in listed

    def test_the_options_shape_the_cloud(self) -> None:
        done = sandbox(
            *("exec", "--like", "rackspace", "--servers", "3", "--start", "2030-01-01"),
            *("--images-per-server", "2", "--speed", "0", "--"),
            *("sh", "-c", "echo $OS_API_KEY; scheduled-images-sandbox state"),
        )
        key, _, state = done.stdout.partition("\n")
        assert key
        assert json.loads(state)["now"].startswith("2030-01-01T00:00:00")

    def test_a_cloud_can_be_without_scheduled_images(self) -> None:
        nova = ("nova", "scheduled-images-enable", "myserver", "7")
        done = sandbox("exec", "--without-extension", "--", *nova)
        assert (done.returncode, done.stdout) == (0, "")
        assert "This cloud makes no scheduled images itself" in done.stderr

    def test_termination_is_passed_on(self, tmp_path: Path) -> None:
        script = (
            "trap 'echo ended; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
        )
        with subprocess.Popen(
            [PROGRAM, "exec", "--", "sh", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            process.terminate()
            assert process.wait() == 5
            assert process.stdout.read() == "ended\n"


class TestRun:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_stays_until_it_is_stopped(self, run: Start, number: int) -> None:
        process = run()
        url = exports(process)["SANDBOX_URL"]
        assert requests.get(f"{url}/sandbox/state", timeout=60).ok
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.communicate() == ("", "")

    def test_it_ends_where_asked_while_it_was_stopped(self, run: Start) -> None:
        process = run()
        exports(process)
        # What it then goes on with is any thread that the system likes.
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
            process.send_signal(number)
        assert process.wait(60) == 0
        assert process.communicate() == ("", "")

    def test_verbose_tells_each_request_on_stderr(self, run: Start) -> None:
        process = run("-v")
        url = exports(process)["SANDBOX_URL"]
        requests.get(f"{url}/identity/v3", timeout=60)
        process.terminate()
        assert process.communicate() == ("", "200 GET /identity/v3\n")

    def test_a_port_that_is_taken(self, cloud: Sandbox) -> None:
        port = cloud.url.rpartition(":")[2]
        done = sandbox("run", "--port", port)
        assert done.returncode == 1
        assert done.stderr == (
            "scheduled-images-sandbox: error: cannot listen on 127.0.0.1 port"
            f" {port}: Address already in use\n"
        )

    def test_another_address(self, run: Start) -> None:
        url = exports(run("--host", "127.0.0.2"))["SANDBOX_URL"]
        assert url.startswith("http://127.0.0.2:")
        assert requests.get(f"{url}/sandbox/state", timeout=60).ok

    def test_an_address_of_another_machine(self) -> None:
        done = sandbox("run", "--host", "203.0.113.1", "--port", "0")
        assert (done.returncode, done.stderr) == (
            1,
            "scheduled-images-sandbox: error: cannot listen on 203.0.113.1 port 0:"
            " Cannot assign requested address\n",
        )

    def test_a_malformed_state_file(self, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_text("not a database, and not to be touched\n" * 100)
        before = file.read_bytes()
        done = sandbox("run", "--port", "0", "--state", file)
        assert done.returncode == 1
        assert done.stderr.startswith("scheduled-images-sandbox: error: ")
        assert str(file) in done.stderr
        assert done.stderr.count("\n") == 1
        assert file.read_bytes() == before

    @pytest.mark.parametrize(
        ("first", "then"),
        [
            (("--regions", "2"), ()),
            (("--like", "rackspace"), ()),
            ((), ("--like", "rackspace")),
        ],
    )
    def test_a_state_file_of_other_regions(
        self, tmp_path: Path, first: tuple[str, ...], then: tuple[str, ...]
    ) -> None:
        file = tmp_path / "cloud.db"
        assert sandbox("exec", *first, "--state", file, "--", "true").returncode == 0
        done = sandbox("exec", *then, "--state", file, "--", "true")
        assert done.returncode == 1
        assert done.stderr.startswith(
            "scheduled-images-sandbox: error: the state file is of a cloud with the"
            " regions "
        )
        assert done.stderr.endswith(": start it with the same --like and --regions\n")
        assert done.stderr.count("\n") == 1
        # One more region is one more, and what was there is there.
        assert sandbox("exec", *first, "--state", file, "--", "true").returncode == 0

    def test_a_state_file_in_no_folder(self, tmp_path: Path) -> None:
        done = sandbox("run", "--port", "0", "--state", tmp_path / "none" / "state")
        assert done.returncode == 1
        assert str(tmp_path) in done.stderr
        assert done.stderr.count("\n") == 1


def saying(answer: object) -> type[BaseHTTPRequestHandler]:
    """Return the handler of a server that answers everything with this JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            pass

    return Handler


class TestRunning:
    """The commands that talk to a running sandbox."""

    @pytest.fixture(autouse=True)
    def told(self, cloud: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SANDBOX_URL", cloud.url)

    def test_env_can_be_read_by_a_shell(
        self, cloud: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["env", "--user", "observer"]) == 0
        script = capsys.readouterr().out + "printenv OS_USERNAME OS_PASSWORD"
        printed = subprocess.check_output(["sh", "-c", script], text=True)
        assert printed.split() == ["observer", cloud.env()["OS_PASSWORD"]]

    def test_env_leads_away_from_any_other_cloud(
        self,
        cloud: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        elsewhere = "http://127.0.0.1:9"
        for name, value in {
            "OS_CLOUD": "production",
            "OS_TOKEN": "secret",
            "OS_ENDPOINT": elsewhere,
            "OS_ENDPOINT_OVERRIDE": elsewhere,
            "OS_PROJECT_ID": "other",
            "OS_AUTH_TYPE": "token_endpoint",
            "NOVACLIENT_ENDPOINT_OVERRIDE": elsewhere,
            "NOVACLIENT_BYPASS_URL": elsewhere,
            "http_proxy": elsewhere,
        }.items():
            monkeypatch.setenv(name, value)
        assert cli.main(["env"]) == 0
        script = f'eval "$1"; {shlex.quote(NOVA)} list; env'
        done = subprocess.run(
            ["bash", "-c", script, "bash", capsys.readouterr().out],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done
        assert "myserver" in done.stdout
        names = {line.split("=")[0] for line in done.stdout.splitlines()}
        assert {n for n in names if n.startswith(("OS_", "NOVA"))} <= set(cloud.env())

    @pytest.mark.parametrize("shell", ["sh", "bash"])
    def test_env_where_nothing_is_to_be_unset(
        self, shell: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["env"]) == 0
        done = subprocess.run(
            [shell, "-ec", f"{capsys.readouterr().out}printenv OS_USERNAME"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "admin\n", "")

    @pytest.mark.parametrize(
        "answer",
        [
            {"X=1; touch pwned; Y": "v"},
            {"LD_PRELOAD": "./evil.so"},
            {"OS_USERNAME": ["admin"]},
            ["OS_USERNAME"],
            "text",
        ],
    )
    def test_env_prints_nothing_that_no_sandbox_issues(
        self, answer: object, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with HTTPServer(("127.0.0.1", 0), saying(answer)) as server:
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            url = f"http://127.0.0.1:{server.server_port}"
            assert cli.main(["env", "--url", url]) == 1
            thread.join()
        assert capsys.readouterr() == (
            "",
            "scheduled-images-sandbox: error: what answers at"
            f" {url} is not a sandbox\n",
        )

    def test_what_env_prints_is_quoted(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        answer = {"OS_USERNAME": f"'; touch {tmp_path}/pwned; '"}
        with HTTPServer(("127.0.0.1", 0), saying(answer)) as server:
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            assert (
                cli.main(["env", "--url", f"http://127.0.0.1:{server.server_port}"])
                == 0
            )
            thread.join()
        script = capsys.readouterr().out + "printenv OS_USERNAME"
        printed = subprocess.check_output(["sh", "-c", script], text=True)
        assert printed == answer["OS_USERNAME"] + "\n"
        assert not (tmp_path / "pwned").exists()

    @pytest.mark.parametrize("cloud", [{"regions": 2}], indirect=True)
    def test_env_of_a_region(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["env", "--region", "RegionTwo"]) == 0
        assert "export OS_REGION_NAME=RegionTwo\n" in capsys.readouterr().out
        assert cli.main(["env", "--region", "RegionThree"]) == 1
        assert capsys.readouterr() == (
            "",
            "scheduled-images-sandbox: error: there is no region RegionThree:"
            " RegionOne, RegionTwo\n",
        )

    def test_env_of_an_unknown_user(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["env", "--user", "nobody"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("scheduled-images-sandbox: error: ")
        assert "no user nobody: one of admin, creator" in err

    def test_advance_prints_the_new_time(
        self, cloud: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["advance", "0s"]) == 0
        before = capsys.readouterr().out
        assert cli.main(["advance", "1d"]) == 0
        assert capsys.readouterr().out > before

    def test_state_is_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["state"]) == 0
        assert "myserver" in json.dumps(json.loads(capsys.readouterr().out))

    def test_the_address_may_be_given(
        self,
        cloud: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:9")
        assert cli.main(["state", "--url", cloud.url]) == 0
        monkeypatch.setenv("SANDBOX_URL", cloud.url)
        assert cli.main(["state"]) == 0
        assert capsys.readouterr().err == ""

    def test_no_server_matches(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["advance", "1d", "--url", "http://127.0.0.1:9"]) == 1
        assert capsys.readouterr() == (
            "",
            "scheduled-images-sandbox: error: no sandbox answers at"
            " http://127.0.0.1:9: start one with run, or give its --url\n",
        )

    def test_something_else_is_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        with HTTPServer(("127.0.0.1", 0), Stranger) as server:
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            url = f"http://127.0.0.1:{server.server_port}"
            assert cli.main(["state", "--url", url]) == 1
            thread.join()
        assert capsys.readouterr().err == (
            f"scheduled-images-sandbox: error: what answers at {url} is not a sandbox\n"
        )


class TestAdvanceRefuses:
    """What it refuses, or fails at, leaves the cloud and its time as they were."""

    @pytest.fixture(autouse=True)
    def _address(self, cloud: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SANDBOX_URL", cloud.url)

    def refused(
        self, cloud: Sandbox, nova: Nova, capsys: pytest.CaptureFixture[str], text: str
    ) -> None:
        before = cloud.cloud.clock.now(), cloud.images()
        assert cli.main(["advance", text]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        self.told = err.removeprefix("scheduled-images-sandbox: error: ").strip()
        assert (cloud.cloud.clock.now(), cloud.images()) == before
        nova.ok("scheduled-images-show", "myserver")
        assert cli.main(["advance", "1s"]) == 0
        assert capsys.readouterr().err == ""

    @pytest.fixture
    def scheduled(self, nova: Nova) -> Nova:
        nova.ok("scheduled-images-enable", "myserver", "1")
        return nova

    @pytest.mark.parametrize(
        "cloud", [{"start": END.timestamp() - 3600}], indirect=True
    )
    def test_the_end_of_time(
        self, cloud: Sandbox, scheduled: Nova, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.refused(cloud, scheduled, capsys, "1h")
        assert self.told == (
            "cannot advance by 3600 seconds: the clock ends before the year 9000"
        )
        assert cli.main(["advance", "59m"]) == 0

    def test_more_images_than_anybody_can_wait_for(
        self,
        cloud: Sandbox,
        scheduled: Nova,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(backend, "_MOST_IMAGES", 10)
        self.refused(cloud, scheduled, capsys, "36500d")
        assert self.told == (
            "cannot advance by 36500d: that would make 36500 scheduled images, more"
            " than the maximum of 10; advance by at most 10d"
        )
        assert cli.main(["advance", "10d"]) == 0

    def test_a_fleet_of_the_documents_size(self, cloud: Sandbox) -> None:
        """Refused at once, and ten days of ten thousand servers are not."""
        cloud.add_fleet(10_000, images_per_server=1)
        with cloud.cloud.transaction():
            cloud.cloud._check_number(10 * 86400)
        with pytest.raises(ValueError, match="of 200000; advance by at most 20d"):
            cloud.advance("21d")

    def test_more_looks_than_anybody_can_wait_for(
        self,
        cloud: Sandbox,
        scheduled: Nova,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """At a server that is busy for ever the service looks every five minutes."""
        monkeypatch.setattr(backend, "_MOST_STEPS", 1000)
        cloud.fault("freeze of myserver")
        self.refused(cloud, scheduled, capsys, "36500d")
        assert self.told == (
            "cannot advance that far at once: too much happens in that time"
        )
        assert cli.main(["advance", "2d"]) == 0

    @pytest.mark.parametrize("seconds", [1e300, 10**400, 3153600001])
    def test_numbers_of_seconds(self, cloud: Sandbox, seconds: float) -> None:
        url = f"{cloud.url}/sandbox/advance"
        answer = requests.post(url, json={"seconds": seconds}, timeout=10)
        assert answer.status_code == 400
        assert answer.json()["error"].endswith("seconds: 0 to 3153600000 are allowed")
        assert requests.post(url, json={"seconds": 1}, timeout=10).ok

    def test_time_itself_stops_at_its_end(self) -> None:
        wall = iter(range(0, 10**9, 10**6))
        clock = Clock(start=0.0, speed=1e6, wall=lambda: float(next(wall)))
        assert clock.now() == clock.now() == END.timestamp() - 1


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    version = metadata.version("rax-scheduled-images-ext")
    assert capsys.readouterr() == (f"scheduled-images-sandbox {version}\n", "")


@pytest.mark.parametrize(
    "command", ["", *"run exec env advance fault state demo".split()]
)
def test_help_has_no_markup(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([*command.split(), "--help"])
    text = capsys.readouterr().out
    assert "``" not in text
    assert ":option:" not in text
    assert command or "\n  130  interrupted\n" in text


class TestCompletion:
    """As bash has it after ``eval "$(register-python-argcomplete PROGRAM)"``."""

    def completed(self, line: str, **environment: str) -> tuple[int, list[str]]:
        # argcomplete answers on descriptor 8.
        done = subprocess.run(
            ["bash", "-c", f"{PROGRAM} 8>&1 9>&2 1>/dev/null 2>/dev/null"],
            env={
                **os.environ,
                "_ARGCOMPLETE": "1",
                "_ARGCOMPLETE_IFS": " ",
                "COMP_TYPE": "9",
                "COMP_LINE": line,
                "COMP_POINT": str(len(line)),
                **environment,
            },
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout.split()

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("adv", ["advance"]),
            ("run --like ", ["openstack", "rackspace"]),
            ("exec --without", ["--without-extension"]),
        ],
    )
    def test_words(self, line: str, words: list[str]) -> None:
        pytest.importorskip("argcomplete")
        status, found = self.completed(f"scheduled-images-sandbox {line}")
        assert (status, found) == (0, words)

    def test_nothing_runs_where_the_library_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "argcomplete.py").write_text("raise ModuleNotFoundError")
        path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        status, found = self.completed("scheduled-images-sandbox ", PYTHONPATH=path)
        assert (status, found) == (1, [])


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["run", "--servers", "-1"], "'-1' is not allowed: a whole number from 0 to"),
        (["run", "--servers", "many"], "'many' is not allowed: a whole number from 0"),
        (["run", "--images-per-server", "65536"], "whole number from 0 to 65535"),
        (["run", "--port", "65536"], "a whole number from 0 to 65535"),
        (["run", "--speed", "-1"], "'-1' is not allowed: a number from 0 to"),
        (["run", "--speed", "nan"], "'nan' is not allowed: a number from 0 to"),
        (["run", "--max-limit", "0"], "'0' is not allowed: a whole number from 1 to"),
        (["run", "--image-quota", "-1"], "'-1' is not allowed: a whole number from 0"),
        (["run", "--latency", "1h"], "'1h' is not allowed: a number from 0 to 60"),
        (["run", "--seed", "x"], "'x' is not allowed: a whole number from 0"),
        (["run", "--like", "aws"], "invalid choice: 'aws' (choose from"),
        (["run", "--start", "noon"], "'noon' is not a time: write it as 2026-01-01T"),
        (["run", "--start", "9999-99-99"], "'9999-99-99' is not a time"),
        (["run", "--", "nova"], "only exec accepts a command after '--'"),
        (["exec"], "exec requires '--' before its command: exec -- CMD [ARG...]"),
        (["exec", "--"], "exec requires '--' before its command"),
        (["exec", "nova", "list"], "'--' before its command: exec -- nova list"),
        (["exec", "--severs", "3", "nova"], "unrecognized arguments: --severs 3 nova"),
        (["exec", "--severs", "--", "nova"], "unrecognized arguments: --severs"),
        (["advance"], "the following arguments are required: DURATION"),
        (["advance", "10"], "'10' is not a duration: write a number and w, d, h, m or"),
        # A missing or an invalid argument, depending on the release of Python.
        (["advance", "-5d"], "DURATION"),
        (["advance", ""], "'' is not a duration"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert told in err
