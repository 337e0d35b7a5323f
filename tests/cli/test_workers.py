"""Many processes, one order, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable

import pytest

from planner.cli.workers import SPREAD, answers
from planner.errors import PlannerError


def square(value: int) -> int:
    return value * value


def late_first(value: int) -> int:
    """The first value is answered after many others."""
    time.sleep(0.2 if value == 0 else 0)
    return value


def stuck(value: int) -> int:
    """Value 3 never ends."""
    if value == 3:
        time.sleep(3600)
    return value


def shot(value: int) -> int:
    """Value 3 kills its process, as the kernel does when memory runs out."""
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def broken(value: int) -> int:
    """A mistake of the program."""
    return 1 // (3 - value)


def never() -> bool:
    return False


@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7, 300])
@pytest.mark.parametrize("function", [square, late_first])
def test_answers_keep_the_order(jobs: int, count: int, function: Callable[[int], int]) -> None:
    """Whatever number of processes works on them, and none remains."""
    lists = list(answers(function, iter(range(count)), jobs, never))
    assert [answer for found in lists for answer in found] == [function(value) for value in range(count)]
    assert all(lists) and not multiprocessing.active_children()


def test_a_slow_value_holds_back_a_bounded_number() -> None:
    """Memory and what a crash can lose do not grow with the sweep."""
    taken: list[int] = []
    values = (taken.append(value) or value for value in range(10**6))  # type: ignore[func-returns-value]
    held = answers(stuck, values, 2, lambda: len(taken) >= 3 + 2 * SPREAD)
    found = [answer for some in held for answer in some]
    assert found[:3] == [0, 1, 2] and 3 not in found and found == sorted(found)
    assert len(taken) == 3 + 2 * SPREAD and not multiprocessing.active_children()


def test_a_stop_waits_for_nobody() -> None:
    """What is finished comes out, also behind a value that never ends."""
    got: list[int] = []
    for found in answers(stuck, range(10), 2, lambda: bool(got)):
        got.extend(found)
    assert got and 3 not in got and got == sorted(got) and not multiprocessing.active_children()


def test_whoever_stops_listening_leaves_nobody() -> None:
    """An exception in the loop, Ctrl-C among them, ends the processes."""
    for _ in answers(stuck, range(10), 2, never):
        break
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_killed_process_is_said(jobs: int) -> None:
    """After everything that was finished."""
    got: list[int] = []
    with pytest.raises(PlannerError, match="killed") as error:
        for found in answers(shot, range(10), jobs, never):
            got += found
    assert got and 3 not in got and got == sorted(got)
    assert "--jobs" in error.value.hint[0] and not multiprocessing.active_children()


def test_a_bug_is_seen_here() -> None:
    """With the traceback of the function itself."""
    with pytest.raises(ZeroDivisionError) as error:
        list(answers(broken, range(10), 2, never))
    assert error.traceback[-1].name == "broken" and not multiprocessing.active_children()
