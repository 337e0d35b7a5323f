"""Schedules made by repeating a building block: one micro-batch's passes over a V, shifted by six slots for the next.

Qi et al. 2024 (Pipeline Parallelism with Controllable Memory, arXiv:2405.15362, sections 3 and 4): the spans between a
chunk's forward and backward in the block bound what a rank holds; warm-up and drain are then squeezed within that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from planner.plan import Num
from planner.schedules.fullest import Fullest, Ranks, counted, joined, of_each
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
    """Every rank's operations; of more micro-batches than are `enough` the steady state goes on."""
    few, starts = min(m, enough(block, p)), block(0, p)[-1]
    middle = starts + PERIOD * ((few * PERIOD - starts) // (2 * PERIOD))
    rows = _squeezed(block, p, few)
    return tuple(tuple(_in_order(_stretched(row, middle, m - few) if m > few else row)) for row in rows)


def ops(block: Block, rank: int, p: int, m: int, v: int) -> list[Op]:
    """The block repeated every six slots."""
    return list(repeated(block, p, m)[rank])


def fullest(block: Block, p: Num, m: Num, v: Num, first: Num, last: Num) -> Ranks:
    """Counted from the operations: how many of those in flight are whole differs from rank to rank without a rule."""
    return ((first, of_each(partial(_together, block), p, m, first, last)),)


def _together(block: Block, p: int, m: int, first: int, last: int) -> Fullest:
    return _joined(block, p, min(m, enough(block, p)), first, last)


@lru_cache(maxsize=8192)
def _joined(block: Block, p: int, m: int, first: int, last: int) -> Fullest:
    return joined(_counts(block, p, m)[first : last + 1]).times(0.5)


@lru_cache(maxsize=1024)
def _counts(block: Block, p: int, m: int) -> tuple[Fullest, ...]:
    """Every rank's, in chunks."""
    return tuple(counted(_in_order(row), 1) for row in _squeezed(block, p, m))


def enough(block: Block, p: int) -> int:
    """Micro-batches with a warm-up, a drain and a period between that more of them do not change. V-Half, p = 8: 11."""
    return block(0, p)[-1] // PERIOD + 3


def _squeezed(block: Block, p: int, m: int) -> list[Slots]:
    """Every rank's passes by slot, those of warm-up and drain as early behind their inputs as holds no more for it."""
    at = [[[slot + PERIOD * i for i in range(m)] for slot in block(rank, p)] for rank in range(p)]
    rows, starts, ends = [_Row(own) for own in at], block(0, p)[-1], PERIOD * (m - 1)
    most = max(row.most for row in rows)
    order = [(slot, r, step, i) for r, own in enumerate(at) for step in range(4) for i, slot in enumerate(own[step])]
    for slot, rank, step, i in sorted(order):
        first = slot if starts <= slot <= ends else _earliest(at, rank, step, i)
        at[rank][step][i] = rows[rank].placed(slot, first, most)
    return [dict(_named(own)) for own in at]


def _named(own: list[list[int]]) -> Iterator[tuple[int, Op]]:
    for (kind, chunk), slots in zip(KINDS, own, strict=True):
        yield from ((slot, Op(kind, i, chunk)) for i, slot in enumerate(slots))


def _earliest(at: list[list[list[int]]], rank: int, step: int, i: int) -> int:
    """The slot behind what a pass waits for: its neighbour's, that of its micro-batch before it, and of its chunk."""
    neighbour, inputs = rank + (-1, 1, -1, 1)[step], [-1]
    if 0 <= neighbour < len(at):
        inputs.append(at[neighbour][step][i])
    elif step:
        inputs.append(at[rank][step - 1][i])
    return 1 + max(inputs + at[rank][step][i - 1 : i])


State = tuple[int, int]
"""Weight gradients that wait, and chunks held, from the forward until the weight gradient."""


class _Row:
    """One rank's slots while its passes get their places in the order of time.

    Behind the last that has one all slots are free up to the next pass, and from there on passes are where they were
    built: once no more gradients wait than did then, no more are held either.

    Attributes:
        most: chunks held at once as it was built.
    """

    def __init__(self, at: list[list[int]]) -> None:
        self._slots = [""] * (at[-1][-1] + 1)
        for (kind, _), slots in zip(KINDS, at, strict=True):
            for slot in slots:
                self._slots[slot] = kind
        self._before = [(0, 0)]
        built = self._states(0, len(self._slots))
        self._built, self.most = [0, *(waiting for waiting, _ in built)], max(held for _, held in built)

    def placed(self, slot: int, first: int, most: int) -> int:
        """The pass of a slot moves to the first free one, from `first` on, where never more than `most` are held."""
        kind, self._slots[slot] = self._slots[slot], ""
        for chosen in range(first, slot):
            if not self._slots[chosen]:
                self._slots[chosen] = kind
                if self._fits(chosen, slot, most):
                    return self._settled(chosen)
                self._slots[chosen] = ""
        self._slots[slot] = kind
        return self._settled(slot)

    def _settled(self, slot: int) -> int:
        start, end = min(slot, len(self._before) - 1), max(slot + 1, len(self._before) - 1)
        self._before[start + 1 :] = self._states(start, end)
        return slot

    def _states(self, start: int, end: int) -> list[State]:
        """Behind every slot."""
        states = [self._before[start]]
        for kind in self._slots[start:end]:
            states.append(_behind(kind, *states[-1]))
        return states[1:]

    def _fits(self, chosen: int, slot: int, most: int) -> bool:
        here = min(chosen, len(self._before) - 1)
        waiting, held = self._before[here]
        free = max(chosen + 1, len(self._before) - 1)
        while here < len(self._slots) and (here <= slot or waiting > self._built[here]):
            if free <= here <= slot and not waiting:
                here = slot
            waiting, held = _behind(self._slots[here], waiting, held)
            if held > most:
                return False
            here += 1
        return True


def _behind(kind: str, waiting: int, held: int) -> State:
    """After a slot with an "F", an "I", or none: then the oldest gradient of weights has it."""
    if kind == "F":
        return waiting, held + 1
    if kind:
        return waiting + 1, held
    return (waiting - 1, held - 1) if waiting else (waiting, held)


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
