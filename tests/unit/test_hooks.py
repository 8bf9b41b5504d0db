"""Commands that stop and resume a server, signals as messages, and telling of it."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rax_scheduled_images_ext.console.terminal import BackgroundWriter
from rax_scheduled_images_ext.errors import CommandFailed, InvalidValue
from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand
from rax_scheduled_images_ext.operations.snapshot.signals import (
    SIGNALS,
    Interrupted,
    SignalCatcher,
)


def run(text: str, seconds: float = 20, **options: object) -> str:
    """Run a command and return what it has printed."""
    told: list[bytes] = []
    HookCommand.parse(text).run(
        variables={"SERVER_NAME": "db 1"},
        seconds=seconds,
        signals=options.pop("signals", SignalCatcher(catch=False)),  # type: ignore[arg-type]
        write=told.append,
        **options,  # type: ignore[arg-type]
    )
    return b"".join(told).decode()


def test_a_command_is_split_like_a_shell_would_and_run_without_one() -> None:
    assert run("""echo 'a  b' "$SERVER_NAME;" c\\ d""") == "a  b $SERVER_NAME; c d\n"
    assert run("""sh -c 'echo "$SERVER_NAME"; echo x >&2'""") == "db 1\nx\n"


def test_much_output_is_handed_on_whole() -> None:
    assert len(run("head -c 1000000 /dev/zero")) == 1000000


def test_a_command_reads_nothing() -> None:
    assert run("cat") == ""


def test_what_a_command_leaves_running_does_not_delay_its_end() -> None:
    # It is still there.
    os.kill(int(run("sh -c 'sleep 600 & echo $!'")), signal.SIGKILL)


@pytest.mark.parametrize(
    ("text", "seconds", "why"),
    [
        ("false", 20, "'false' ended with status 1"),
        ("sh -c 'kill -9 $$'", 20, "was ended by SIGKILL"),
        ("sleep 20", 0.2, "'sleep 20' was ended: it took longer than 0.2 s"),
    ],
)
def test_a_command_that_fails_says_how(text: str, seconds: float, why: str) -> None:
    with pytest.raises(CommandFailed, match=why.replace("$", r"\$")):
        run(text, seconds=seconds)


def test_a_program_that_is_gone_when_it_is_to_be_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    command = HookCommand.parse(str(program))
    program.unlink()
    with pytest.raises(CommandFailed, match="cannot be started: No such file"):
        command.run(
            variables={},
            seconds=1,
            signals=SignalCatcher(catch=False),
            write=lambda _: None,
        )


@pytest.mark.parametrize("text", ["", " ", "a 'b", "no-such-program x", "/"])
def test_not_a_command(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not a command"):
        HookCommand.parse(text)


def test_an_ended_command_takes_along_what_it_has_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(CommandFailed):
        run(f"sh -c '(sleep 1; echo late > {log}) & sleep 20'", seconds=0.2)
    time.sleep(1.2)
    assert not log.exists()


def test_a_command_that_ignores_sigterm_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "rax_scheduled_images_ext.operations.snapshot.hooks._GRACE", 0.3
    )
    with pytest.raises(CommandFailed):
        run("sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'", seconds=0.3)


def soon(send: Callable[[int], object], signum: int) -> None:
    """Send a signal in a moment."""
    timer = threading.Timer(0.2, send, (signum,))
    timer.daemon = True
    timer.start()


def to_the_process(signum: int) -> None:
    os.kill(os.getpid(), signum)


def to_another_thread(signum: int) -> None:
    """Where the system may put it, and where it wakes nobody."""
    signal.pthread_kill(threading.get_ident(), signum)


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_ends_a_command_unless_ignored(signum: int) -> None:
    with SignalCatcher() as signals:
        with pytest.raises(Interrupted) as caught:
            run(f"sh -c 'kill -{signum} $PPID; sleep 20'", signals=signals)
        assert caught.value.exit_status == 128 + signum
        command = f"sh -c 'kill -{signum} $PPID; sleep 0.3; echo done'"
        assert run(command, signals=signals, interruptible=False) == "done\n"
        assert signals.received == signum


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_ends_a_wait_and_interrupts_nothing_else(signum: int) -> None:
    before = signal.getsignal(signum)
    with SignalCatcher() as signals:
        signal.raise_signal(signum)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted, match=signal.Signals(signum).name):
            signals.check()
        with pytest.raises(Interrupted):
            signals.sleep(10)
        assert signals.call(lambda: "done", 10, interruptible=False) == "done"
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize("send", [to_the_process, to_another_thread])
def test_a_signal_ends_a_long_wait_at_once(send: Callable[[int], object]) -> None:
    over = threading.Event()
    waits: tuple[Callable[[SignalCatcher], object], ...] = (
        lambda signals: signals.sleep(600),
        lambda signals: signals.call(over.wait, 600),
    )
    for wait in waits:
        with SignalCatcher() as signals:
            soon(send, signal.SIGINT)
            with pytest.raises(Interrupted):
                wait(signals)
    over.set()


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalCatcher() as signals:
            signal.raise_signal(signal.SIGHUP)
            signals.check()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_catch_nothing() -> None:
    results: list[object] = []

    def work() -> None:
        with SignalCatcher() as signals:
            results.append(signal.getsignal(signal.SIGTERM))
            results.append(signals.call(lambda: 1, 10))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [signal.SIG_DFL, 1]


def test_a_call_that_takes_too_long_is_left_alone() -> None:
    signals = SignalCatcher(catch=False)
    release = threading.Event()
    with pytest.raises(TimeoutError, match="no response within 0 seconds"):
        signals.call(release.wait, 0.1)
    release.set()
    with pytest.raises(ZeroDivisionError):
        signals.call(lambda: 1 / 0, 10)
    assert signals.call(lambda: 7, 10) == 7


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [None, Broken()])
def test_what_cannot_be_printed_is_lost(stream: io.StringIO | None) -> None:
    writer = BackgroundWriter(stream)
    writer.say("one")
    writer.say("two")
    writer.close()


def test_output_arrives_in_order() -> None:
    stream = io.StringIO()
    writer = BackgroundWriter(stream)
    for number in range(100):
        writer.say(str(number))
    writer.write(b"\xff")
    writer.close()
    assert stream.getvalue() == "".join(f"{n}\n" for n in range(100)) + "\ufffd"


@pytest.mark.parametrize("fill", [True, False])
def test_a_pipe_that_nobody_reads_delays_nothing(fill: bool) -> None:
    reader, end = os.pipe()
    if not fill:
        os.close(reader)
    with os.fdopen(end, "w") as stream:
        writer = BackgroundWriter(stream)
        for _ in range(40 if fill else 2):
            writer.write(b"x" * 10000)
        writer.close(0.2)
        # The final reader gets everything.
        if fill:
            left = 400000
            while left:
                left -= len(os.read(reader, left))
            os.close(reader)


def test_signals_in_every_moment_of_a_wait() -> None:
    """Hundreds of signals, none of which is lost or breaks anything."""
    stop = threading.Event()

    def shower() -> None:
        while not stop.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.001)

    with SignalCatcher() as signals:
        thread = threading.Thread(target=shower)
        thread.start()
        try:
            numbers: list[int] = []
            for number in range(100):
                same = partial(int, number)
                numbers.append(signals.call(same, 10, interruptible=False))
        finally:
            stop.set()
            thread.join()
        assert numbers == list(range(100))
        assert signals.received == signal.SIGTERM
