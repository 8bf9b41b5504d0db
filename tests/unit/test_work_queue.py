"""Many things at once: order, bounds, slowing down together, and Ctrl-C."""

from __future__ import annotations

import _thread
import io
import signal
import threading
import time
from functools import partial
from typing import Any

import pytest

from rax_scheduled_images_ext.client.pool import Throttle
from rax_scheduled_images_ext.console.terminal import Progress, say
from rax_scheduled_images_ext.operations.work_queue import (
    Outcome,
    Report,
    RunInterrupted,
    run,
)

from ..waiting import until


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def outcomes(items: Any, action: Any, workers: int = 4) -> list[Outcome[Any, Any]]:
    reported: list[Outcome[Any, Any]] = []
    assert run(items, action, Report(reported.append), workers=workers) == reported
    return reported


def test_outcomes_come_in_the_order_of_the_items() -> None:
    first = threading.Event()

    def action(number: int) -> int:
        if number == 0:
            first.wait()
        if number == 3:
            first.set()
        return number * number

    assert [each.value for each in outcomes(range(6), action)] == [0, 1, 4, 9, 16, 25]


def test_an_error_is_an_outcome_and_stops_nothing() -> None:
    told = outcomes([1, 0, 2], lambda number: 2 // number)
    assert [(each.item, each.value) for each in told] == [(1, 2), (0, None), (2, 1)]
    assert [type(each.error) for each in told] == [
        type(None),
        ZeroDivisionError,
        type(None),
    ]


@pytest.mark.parametrize("items", [[], ["only"]])
def test_one_thing_or_none_is_done_in_this_thread(items: list[str]) -> None:
    here = threading.current_thread()
    told = outcomes(items, lambda _item: threading.current_thread())
    assert [each.value for each in told] == [here] * len(items)


def test_no_more_are_under_way_than_there_are_workers() -> None:
    lock, under_way, most = threading.Lock(), 0, 0
    all_there = threading.Barrier(4)

    def action(_number: int) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        all_there.wait(60)
        time.sleep(0.01)
        with lock:
            under_way -= 1

    outcomes(range(20), action, workers=4)
    assert most == 4


def test_an_interrupt_says_what_was_done() -> None:
    hanging = threading.Event()
    told: list[Any] = []

    def action(number: int) -> int:
        if number == 1:
            hanging.wait()
        if number == 4:
            # By then 0, 2 and 3 have ended: one thread is left to do them.
            _thread.interrupt_main()
            hanging.wait()
        return number

    with pytest.raises(RunInterrupted) as caught:
        run(
            range(10),
            action,
            Report(lambda outcome: told.append(outcome.value)),
            workers=2,
        )
    hanging.set()
    assert told == [0, 2, 3]
    interrupted = caught.value
    assert (interrupted.done, interrupted.unknown) == (3, (1, 4))
    assert interrupted.untouched == (5, 6, 7, 8, 9)
    assert isinstance(interrupted, KeyboardInterrupt)


def test_an_interrupt_that_another_thread_is_handed_ends_it_too() -> None:
    hanging = threading.Event()

    def action(number: int) -> None:
        if number == 1:
            time.sleep(0.3)  # Until the other one waits.
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        hanging.wait()

    with pytest.raises(RunInterrupted):
        run(range(2), action)
    hanging.set()


def test_who_reports_may_be_interrupted_too() -> None:
    told: list[Any] = []

    def tell(outcome: Outcome[int, int]) -> None:
        if outcome.value == 2:
            raise KeyboardInterrupt
        told.append(outcome.value)

    with pytest.raises(KeyboardInterrupt):
        run(range(4), lambda number: number, Report(tell), workers=2)
    assert told == [0, 1]


def test_of_those_that_wait_one_that_was_refused_goes_first() -> None:
    throttle = Throttle(1)
    change: Any = throttle._change
    entered: list[str] = []

    def enter(name: str) -> None:
        if name == "refused":
            throttle.pause(0)
        with throttle:
            entered.append(name)

    names = ["other", "other", "refused"]
    threads = [threading.Thread(target=enter, args=(name,)) for name in names]
    with throttle:
        for number, thread in enumerate(threads):
            thread.start()
            until(partial(lambda number: len(change._waiters) > number, number))
        assert entered == []
    for thread in threads:
        thread.join(60)
    assert entered == ["refused", "other", "other"]


def test_nobody_goes_before_the_pause_is_over() -> None:
    now = [0.0]
    throttle = Throttle(4, lambda: now[0])
    throttle.pause(0.01)
    entered = threading.Event()

    def enter() -> None:
        with throttle:
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.1)
    now[0] = 1.0
    assert entered.wait(60)
    thread.join(60)


def test_after_a_pause_requests_go_one_by_one_and_then_more() -> None:
    throttle = Throttle(8)
    lock, under_way, seen = threading.Lock(), 0, []

    def enter() -> None:
        nonlocal under_way
        with throttle:
            with lock:
                under_way += 1
                seen.append(under_way)
            time.sleep(0.005)
            with lock:
                under_way -= 1

    throttle.pause(0)
    enter()
    threads = [threading.Thread(target=enter) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One came back before these began, so that two may go.
    assert max(seen[:4]) <= 2
    assert 3 <= max(seen) <= 8


def test_only_a_terminal_sees_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, dumb, file = Terminal(), Terminal(), io.StringIO()
    for stream, kind, seen in (
        (terminal, "xterm", True),
        (dumb, "dumb", False),
        (file, "xterm", False),
    ):
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setenv("TERM", kind)
        report = Report[int, None](progress=Progress.show)
        run(range(3), lambda _: time.sleep(0.15), report, workers=1)
        say("done")
        assert ("\r2 of 3" in stream.getvalue()) is seen
        # The line is gone when something else is said.
        assert stream.getvalue().endswith("\r\x1b[Kdone\n" if seen else "done\n")
    assert dumb.getvalue() == file.getvalue() == "done\n"


def test_a_result_is_the_value_or_raises_the_error() -> None:
    one, other = outcomes([1, 0], lambda number: 2 // number)
    assert one.result() == 2
    with pytest.raises(ZeroDivisionError):
        other.result()
