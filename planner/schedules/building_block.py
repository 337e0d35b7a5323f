"""Schedules made by repeating a building block: one micro-batch's passes over a V, shifted by six slots for the next.

Qi et al. 2024 (Pipeline Parallelism with Controllable Memory, arXiv:2405.15362, sections 3 and 4): the spans between a
chunk's forward and backward in the block bound what a rank holds; warm-up and drain are then squeezed within that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from planner.schedules.ops import Op

PERIOD = 6
"""Slots between micro-batches: two chunks with a forward, an input gradient and a weight gradient each."""

KINDS = (("F", 0), ("F", 1), ("I", 1), ("I", 0))
"""The passes of a micro-batch over a rank in the order of time: down the V and up again, then back."""

Block = Callable[[int, int], tuple[int, int, int, int]]
"""(rank, p) -> the slots of KINDS for the first micro-batch."""

Slots = dict[int, Op]


@lru_cache(maxsize=64)
def repeated(block: Block, p: int, m: int) -> tuple[tuple[Op, ...], ...]:
    """Every rank's operations. Beyond 4p + 2 micro-batches the steady state between warm-up and drain goes on."""
    few = min(m, 4 * p + 2)
    rows = [_row(block(rank, p), few) for rank in range(p)]
    _squeeze(rows, block, p, few)
    middle = block(0, p)[-1] + PERIOD * ((few * PERIOD - block(0, p)[-1]) // (2 * PERIOD))
    return tuple(tuple(_in_order(_stretched(row, middle, m - few) if m > few else row)) for row in rows)


def _row(slots: tuple[int, ...], m: int) -> Slots:
    passes = list(zip(slots, KINDS, strict=True))
    return {slot + PERIOD * i: Op(kind, i, chunk) for slot, (kind, chunk) in passes for i in range(m)}


def _squeeze(rows: list[Slots], block: Block, p: int, m: int) -> None:
    """Move each pass of warm-up and drain to the earliest free slot behind its input where no rank holds more."""
    most = max(_peak(row) for row in rows)
    starts, ends = block(0, p)[-1], PERIOD * (m - 1)
    at = {(rank, *op[:3]): slot for rank, row in enumerate(rows) for slot, op in row.items()}
    for slot, rank in sorted((slot, rank) for rank, row in enumerate(rows) for slot in row):
        if starts <= slot <= ends:
            continue
        op, row = rows[rank].pop(slot), rows[rank]
        key = (rank, *op[:3])
        first = 1 + max((at[one] for one in _inputs(rank, p, op)), default=-1)
        for chosen in range(first, slot + 1):
            if chosen in row:
                continue
            row[chosen] = op
            if chosen == slot or _peak(row) <= most:
                at[key] = chosen
                break
            del row[chosen]


def _inputs(rank: int, p: int, op: Op) -> Iterator[tuple[int, str, int, int]]:
    """What a pass waits for: that of the neighbour, its own chunk's before it, and its micro-batch's predecessor."""
    step = KINDS.index((op.kind, op.chunk))
    neighbour = rank + (-1, 1, -1, 1)[step]
    if 0 <= neighbour < p:
        yield neighbour, op.kind, op.micro_batch, op.chunk
    elif step:
        yield rank, KINDS[step - 1][0], op.micro_batch, KINDS[step - 1][1]
    if op.micro_batch:
        yield rank, op.kind, op.micro_batch - 1, op.chunk


def _in_order(row: Slots) -> Iterator[Op]:
    """Passes in order of time, the oldest gradient of weights in every slot that is free."""
    waiting: list[Op] = []
    for slot in range(min(row), max(row) + 1):
        op = row.get(slot)
        if op is not None:
            yield op
            waiting += [op._replace(kind="W")] if op.kind == "I" else []
        elif waiting:
            yield waiting.pop(0)
    yield from waiting


def _peak(row: Slots) -> int:
    """Most chunks held at once, from the forward until the gradient of weights."""
    held = most = 0
    for op in _in_order(row):
        held += (op.kind == "F") - (op.kind == "W")
        most = max(most, held)
    return most


def _stretched(row: Slots, middle: int, more: int) -> Slots:
    """`more` further periods behind slot `middle`, each like the one before it."""
    longer = {slot: op for slot, op in row.items() if slot < middle}
    for slot, op in row.items():
        if slot >= middle:
            longer[slot + PERIOD * more] = op._replace(micro_batch=op.micro_batch + more)
        if middle - PERIOD <= slot < middle:
            for k in range(1, more + 1):
                longer[slot + PERIOD * k] = op._replace(micro_batch=op.micro_batch + k)
    return longer
