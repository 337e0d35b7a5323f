"""Puts ordered operations on a clock: every rank runs its list in order, and each operation waits for its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from planner.errors import PlannerError
from planner.frozen import frozen
from planner.schedules.ops import Op, Placement

Hop = Callable[[int, int], float]
"""Seconds that a boundary tensor takes from one rank to another."""

Span = tuple[float, float]
"""Start and end of an operation."""

NEVER = -1.0
"""Arrival time of what has not arrived."""


@frozen
class Cell:
    """One (rank, chunk): how long its operations take and where its results go.

    Attributes:
        lengths: seconds by kind of operation.
        after, before: index of the cell of the next and of the previous stage, -1: none.
        hop_after, hop_before: seconds of the send there.
    """

    rank: int
    lengths: dict[str, float]
    after: int
    before: int
    hop_after: float
    hop_before: float


def cells(
    placement: Placement, p: int, v: int, lengths: Callable[[int, int], dict[str, float]], hop: Hop
) -> list[Cell]:
    """All cells, cell (rank, chunk) at rank*v + chunk."""
    after = placement.next(p, v)
    before = {there: here for here, there in after.items()}

    def index(cell: tuple[int, int] | None) -> int:
        return -1 if cell is None else cell[0] * v + cell[1]

    def send(rank: int, cell: tuple[int, int] | None) -> float:
        return 0.0 if cell is None or cell[0] == rank else hop(rank, cell[0])

    grid = [(rank, chunk) for rank in range(p) for chunk in range(v)]
    return [
        Cell(
            rank,
            lengths(rank, chunk),
            index(after.get((rank, chunk))),
            index(before.get((rank, chunk))),
            send(rank, after.get((rank, chunk))),
            send(rank, before.get((rank, chunk))),
        )
        for rank, chunk in grid
    ]


class Deadlock(PlannerError):
    """Every rank waits for another one."""


class Clock:
    """Asynchronous sends: they take their time and block nobody.

    Per cell and micro-batch it keeps when the input of the forward and of the backward arrives.
    """

    def __init__(self, orders: Sequence[Sequence[Op]], grid: Sequence[Cell], m: int, v: int) -> None:
        self.orders, self.grid, self.v = orders, grid, v
        self.forward = [[0.0 if cell.before < 0 else NEVER] * m for cell in grid]
        self.backward = [[NEVER] * m for _ in grid]
        self.spans: list[list[Span]] = [[] for _ in orders]
        self.stalled = [False] * len(orders)

    def run(self, hidden: float | None) -> list[list[Span]]:
        """Start and end of every operation; `hidden`: share of a pair's shorter half that runs behind the longer one.

        Raises:
            Deadlock: an operation's input never arrives.
        """
        ready = list(range(len(self.orders)))[::-1]
        while ready:
            rank = ready.pop()
            ready += self._advance(rank, hidden)
        if any(len(done) < len(order) for done, order in zip(self.spans, self.orders, strict=True)):
            raise Deadlock("these orders of operations wait for each other")
        return self.spans

    def _advance(self, rank: int, hidden: float | None) -> list[int]:
        """Run a rank until it has to wait; returns the waiting ranks for which something arrived."""
        order, spans, grid, v = self.orders[rank], self.spans[rank], self.grid, self.v
        forward, backward, stalled = self.forward, self.backward, self.stalled
        woken: list[int] = []
        now = spans[-1][1] if spans else 0.0
        position, count = len(spans), len(order)
        stalled[rank] = False
        while position < count:
            kind, i, chunk, paired = order[position]
            here = rank * v + chunk
            cell = grid[here]
            arrived = now if kind == "W" else forward[here][i] if kind == "F" else backward[here][i]
            if arrived < 0.0:
                stalled[rank] = True
                break
            start = arrived if arrived > now else now
            now = start + cell.lengths[kind]
            if paired and hidden is not None:
                other = order[position + 1]
                there = grid[rank * v + other.chunk]
                arrived = backward[rank * v + other.chunk][other.micro_batch]
                if arrived < 0.0:
                    stalled[rank] = True
                    break
                start = max(start, arrived)
                now = start + both(cell.lengths["F"], there.lengths[other.kind], hidden)
                spans.append((start, now))
                position += 1
                self._deliver(here, i, "F", now, woken)
                here, kind, i = rank * v + other.chunk, other.kind, other.micro_batch
            spans.append((start, now))
            position += 1
            if kind != "W":
                self._deliver(here, i, kind, now, woken)
        return woken

    def _deliver(self, here: int, i: int, kind: str, now: float, woken: list[int]) -> None:
        """Send a result on, and wake the rank that waits for something."""
        cell = self.grid[here]
        if kind == "F":
            if cell.after < 0:
                self.backward[here][i] = now
                return
            to = cell.after
            self.forward[to][i] = now + cell.hop_after
        else:
            to = cell.before
            if to < 0:
                return
            self.backward[to][i] = now + cell.hop_before
        rank = self.grid[to].rank
        if self.stalled[rank]:
            self.stalled[rank] = False
            woken.append(rank)


def both(forward: float, backward: float, hidden: float) -> float:
    """Seconds of an overlapped pair: the longer half, and what of the shorter one is not hidden behind it."""
    return max(forward, backward) + (1.0 - hidden) * min(forward, backward)
