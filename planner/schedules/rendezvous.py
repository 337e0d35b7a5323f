"""Blocking sends: sender and receiver meet, the tensor travels, and only then does either go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from planner.schedules.clock import Cell, Deadlock, Span
from planner.schedules.ops import Op


class Letter(NamedTuple):
    """One tensor on its way: the passing it belongs to ("F" or "B"), its micro-batch and the cell that sends it."""

    way: str
    micro_batch: int
    cell: int


Step = Op | tuple[Letter, ...]
"""An operation, or letters that are exchanged at the same time."""


def steps(rank: int, order: Sequence[Op], grid: Sequence[Cell], v: int) -> list[Step]:
    """Operations with the exchanges between them: send the result, then receive the next input.

    Both at once where the peer is the same, as Megatron-LM's send_forward_recv_backward does.
    """
    program: list[Step] = []
    behind: Op | None = None
    for op in order:
        sent = [] if behind is None else list(_sent(rank, behind, grid, v))
        received = list(_received(rank, op, grid, v))
        if sent and received and sent[0][1] == received[0][1]:
            program.append((sent[0][0], received[0][0]))
        else:
            program += [(letter,) for letter, _ in sent + received]
        program.append(op)
        behind = op
    return program + [(letter,) for letter, _ in (_sent(rank, behind, grid, v) if behind else ())]


def _sent(rank: int, op: Op, grid: Sequence[Cell], v: int) -> Iterator[tuple[Letter, int]]:
    """The letter that an operation's result goes into, and the rank that gets it."""
    here = rank * v + op.chunk
    to = {"F": grid[here].after, "W": -1}.get(op.kind, grid[here].before)
    if to >= 0 and grid[to].rank != rank:
        yield Letter("F" if op.kind == "F" else "B", op.micro_batch, here), grid[to].rank


def _received(rank: int, op: Op, grid: Sequence[Cell], v: int) -> Iterator[tuple[Letter, int]]:
    """The letter that an operation's input comes in, and the rank that sends it."""
    here = rank * v + op.chunk
    source = {"F": grid[here].before, "W": -1}.get(op.kind, grid[here].after)
    if source >= 0 and grid[source].rank != rank:
        yield Letter("F" if op.kind == "F" else "B", op.micro_batch, source), grid[source].rank


class Rendezvous:
    """Ranks that run their steps in order and meet for every letter."""

    def __init__(self, orders: Sequence[Sequence[Op]], grid: Sequence[Cell], v: int) -> None:
        self.programs = [steps(rank, order, grid, v) for rank, order in enumerate(orders)]
        self.grid, self.v = grid, v
        self.came: dict[Letter, tuple[int, float]] = {}
        self.arrived: dict[Letter, float] = {}
        self.spans: list[list[Span]] = [[] for _ in orders]
        self.now = [0.0] * len(orders)
        self.position = [0] * len(orders)

    def run(self) -> list[list[Span]]:
        """Start and end of every operation.

        Raises:
            Deadlock: ranks wait for letters whose other end waits as well.
        """
        ready = list(range(len(self.programs)))[::-1]
        while ready:
            rank = ready.pop()
            ready += self._advance(rank)
        if any(at < len(program) for at, program in zip(self.position, self.programs, strict=True)):
            raise Deadlock("with blocking sends these orders of operations wait for each other")
        return self.spans

    def _advance(self, rank: int) -> list[int]:
        """Run a rank until it has to wait; returns the ranks that waited for it."""
        woken: list[int] = []
        program, v = self.programs[rank], self.v
        while self.position[rank] < len(program):
            step = program[self.position[rank]]
            if isinstance(step, Op):
                start = self.now[rank]
                self.now[rank] = start + self.grid[rank * v + step.chunk].lengths[step.kind]
                self.spans[rank].append((start, self.now[rank]))
            elif not self._exchange(rank, step, woken):
                break
            self.position[rank] += 1
        return woken

    def _exchange(self, rank: int, letters: tuple[Letter, ...], woken: list[int]) -> bool:
        """Come to the meetings of a step; true when all of its letters have arrived."""
        now, came, arrived = self.now[rank], self.came, self.arrived
        for letter in letters:
            first, then = came.setdefault(letter, (rank, now))
            if first != rank and letter not in arrived:
                arrived[letter] = max(then, now) + self._hop(letter)
                woken.append(first)
        if any(letter not in arrived for letter in letters):
            return False
        self.now[rank] = max(arrived[letter] for letter in letters)
        return True

    def _hop(self, letter: Letter) -> float:
        cell = self.grid[letter.cell]
        return cell.hop_after if letter.way == "F" else cell.hop_before
