"""One function of many values on many processes, none of which outlives this one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe, Process, parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any, Generic, TypeVar

from planner.errors import PlannerError

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 2
"""Values that a process has at a time, so that it never waits for the next."""

SPREAD = 64
"""Values per process from the first without an answer to the last handed out: one slow value stops nobody."""

TICK = 0.1
"""Seconds after which a wish to stop is heard."""

FAILED = None
"""Sent where the function raised an exception."""


def answers(
    function: Callable[[A], B], values: Iterable[A], jobs: int, stopped: Callable[[], bool]
) -> Iterator[list[B]]:
    """What the function makes of the values: in their order, in lists, as it comes.

    Once `stopped` says so, or when a process was killed, what is finished still comes, in order but with gaps; the rest
    is dropped.

    Raises:
        PlannerError: a process was killed from outside.
    """
    with _crew(function, jobs) as workers:
        desk = _Desk(function, workers, enumerate(values))
        desk.hand_out()
        while desk.is_waiting() and not desk.killed and not stopped():
            desk.collect()
            if found := list(desk.in_order()):
                yield found
            desk.hand_out()
        if desk.held:
            yield [desk.held[number] for number in sorted(desk.held)]
        if desk.killed:
            raise PlannerError(
                "a worker process was killed, for want of memory perhaps",
                "fewer --jobs need less; the same command goes on from what is written",
            )


@dataclass(slots=True, eq=False)
class _Worker(Generic[A]):
    """A process, the pipe to it, and the numbered values that it has."""

    process: Process
    pipe: Connection
    has: list[tuple[int, A]] = field(default_factory=list)


@dataclass(slots=True)
class _Desk(Generic[A, B]):
    """Where values go out and answers come in.

    Attributes:
        due: the first value whose answer was not given away.
        held: answers behind it, by number.
    """

    function: Callable[[A], B]
    workers: list[_Worker[A]]
    todo: Iterator[tuple[int, A]]
    sent: int = 0
    due: int = 0
    held: dict[int, B] = field(default_factory=dict)
    killed: bool = False

    def hand_out(self) -> None:
        """Give each process what it may have, the idle ones first."""
        with suppress(BrokenPipeError, ConnectionResetError):  # killed: `collect` sees it
            for has in range(AHEAD):
                for worker in self.workers:
                    if len(worker.has) == has:
                        self._send(worker)

    def _send(self, worker: _Worker[A]) -> None:
        room = self.sent < self.due + SPREAD * len(self.workers)
        numbered = next(self.todo, None) if room else None
        if numbered is not None:
            worker.has.append(numbered)
            self.sent += 1
            worker.pipe.send(numbered[1])

    def is_waiting(self) -> bool:
        """Whether an answer is still to come."""
        return any(worker.has for worker in self.workers)

    def collect(self) -> None:
        """Take the answers that come within a tick."""
        busy = {worker.pipe: worker for worker in self.workers if worker.has}
        for pipe in wait(list(busy), TICK):
            worker = next(w for p, w in busy.items() if p is pipe)
            try:
                self._take(worker, worker.pipe.recv())
            except (EOFError, ConnectionResetError):
                self.killed = True

    def _take(self, worker: _Worker[A], answer: Any) -> None:
        number, value = worker.has.pop(0)
        # what the function fails on is done again here, where its exception is seen with all that led to it
        self.held[number] = self.function(value) if answer is FAILED else answer

    def in_order(self) -> Iterator[B]:
        """Answers before which none is missing."""
        while self.due in self.held:
            yield self.held.pop(self.due)
            self.due += 1


@contextmanager
def _crew(function: Callable[[A], B], jobs: int) -> Iterator[list[_Worker[A]]]:
    """Processes that work until they are killed, at the latest when this one ends, however it ends."""
    workers: list[_Worker[A]] = []
    try:
        for _ in range(jobs):
            workers.append(_start(function))
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()


def _start(function: Callable[[A], B]) -> _Worker[A]:
    ours, theirs = Pipe()
    process = Process(target=_work, args=(function, theirs), daemon=True)
    process.start()
    theirs.close()  # the process alone holds it, so that its death is seen at this end
    return _Worker(process, ours)


def _work(function: Callable[[Any], Any], pipe: Connection) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # signals are for the parent
    Thread(target=_follow, daemon=True).start()
    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            pipe.send(_answer(function, pipe.recv()))


def _answer(function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except Exception:
        return FAILED


def _follow() -> None:
    """Die with the parent, even one that was killed and could tell nobody."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
