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
from pathlib import Path

import pytest
import requests

from rax_scheduled_images_ext.sandbox import Sandbox, cli

from ..functional.conftest import Start

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
    @pytest.mark.slow
    def test_the_command_finds_the_cloud(self) -> None:
        done = sandbox("exec", "--", "nova", "scheduled-images-enable", "myserver", "7")
        assert (done.returncode, done.stdout) == (0, "")

    def test_its_exit_status_comes_back(self) -> None:
        assert sandbox("exec", "--", "sh", "-c", "exit 42").returncode == 42

    @pytest.mark.slow
    def test_a_signal_that_ended_it_comes_back(self) -> None:
        assert sandbox("exec", "--", "sh", "-c", "kill -9 $$").returncode == 137

    @pytest.mark.slow
    def test_what_cannot_be_started(self, tmp_path: Path) -> None:
        done = sandbox("exec", "--", tmp_path / "missing")
        assert done.returncode == 127
        assert done.stderr == (
            f"scheduled-images-sandbox: cannot start '{tmp_path}/missing':"
            " No such file or directory\n"
        )

    @pytest.mark.slow
    def test_what_may_not_be_started(self, tmp_path: Path) -> None:
        file = tmp_path / "data"
        file.touch()
        assert sandbox("exec", "--", file).returncode == 126

    @pytest.mark.slow
    def test_another_cloud_of_the_persons_is_hidden(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "production")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        done = sandbox("exec", "--", "nova", "list")
        assert "myserver" in done.stdout
        assert sandbox("exec", "--", "printenv", "OS_CLOUD").returncode == 1

    def test_the_secret_is_in_no_argument(self) -> None:
        script = "tr '\\0' ' ' < /proc/$PPID/cmdline; echo; printenv OS_PASSWORD"
        listed, password = sandbox("exec", "--", "sh", "-c", script).stdout.splitlines()
        assert password
        assert password not in listed

    @pytest.mark.slow
    def test_the_options_shape_the_cloud(self) -> None:
        done = sandbox(
            *("exec", "--like", "rackspace", "--servers", "3", "--start", "2030-01-01"),
            *("--images-per-server", "2", "--speed", "0", "--"),
            *("sh", "-c", "echo $OS_API_KEY; scheduled-images-sandbox state"),
        )
        key, _, state = done.stdout.partition("\n")
        assert key
        assert json.loads(state)["now"].startswith("2030-01-01T00:00:00")

    @pytest.mark.slow
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
    def test_it_stays_until_it_is_told_to_end(self, run: Start, number: int) -> None:
        process = run()
        url = exports(process)["SANDBOX_URL"]
        assert requests.get(f"{url}/sandbox/state", timeout=60).ok
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.communicate() == ("", "")

    def test_it_ends_where_it_was_told_to_while_it_was_stopped(
        self, run: Start
    ) -> None:
        process = run()
        exports(process)
        # What it then goes on with is any thread that the system likes.
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
            process.send_signal(number)
        assert process.wait(60) == 0
        assert process.communicate() == ("", "")

    @pytest.mark.slow
    def test_verbose_tells_each_request_on_stderr(self, run: Start) -> None:
        process = run("-v")
        url = exports(process)["SANDBOX_URL"]
        requests.get(f"{url}/identity/v3", timeout=60)
        process.terminate()
        assert process.communicate() == ("", "200 GET /identity/v3\n")

    @pytest.mark.slow
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

    @pytest.mark.slow
    def test_an_address_of_another_machine(self) -> None:
        done = sandbox("run", "--host", "203.0.113.1", "--port", "0")
        assert (done.returncode, done.stderr) == (
            1,
            "scheduled-images-sandbox: error: cannot listen on 203.0.113.1 port 0:"
            " Cannot assign requested address\n",
        )

    def test_a_state_file_that_is_none(self, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_text("not a database, and not to be touched\n" * 100)
        before = file.read_bytes()
        done = sandbox("run", "--port", "0", "--state", file)
        assert done.returncode == 1
        assert done.stderr.startswith("scheduled-images-sandbox: error: ")
        assert str(file) in done.stderr
        assert done.stderr.count("\n") == 1
        assert file.read_bytes() == before

    @pytest.mark.slow
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
            f"scheduled-images-sandbox: error: what answers at {url} is no sandbox\n",
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

    def test_env_of_nobody(self, capsys: pytest.CaptureFixture[str]) -> None:
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

    def test_nobody_is_there(self, capsys: pytest.CaptureFixture[str]) -> None:
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
            f"scheduled-images-sandbox: error: what answers at {url} is no sandbox\n"
        )


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
        (["run", "--", "nova"], "exec, and only exec, takes a command"),
        (["exec"], "exec, and only exec, takes a command: exec -- CMD [ARG...]"),
        (["exec", "--"], "exec, and only exec, takes a command"),
        (["exec", "nova", "list"], "unrecognized arguments: nova list"),
        (["advance"], "the following arguments are required: DURATION"),
        (["advance", "10"], "'10' is not a duration: write a number and w, d, h, m or"),
        (["advance", "-5d"], "the following arguments are required: DURATION"),
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
