"""What a rank holds at its fullest where the backward is split: whole micro-batches, and those that wait for W only.

Neither number alone says when most bytes are held: a micro-batch that is computed again keeps little until I and its
products' inputs from I to W. So these are all states that are the fullest for some weights of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.plan import Num
from planner.schedules.ops import Op

State = tuple[Num, Num]
"""Micro-batches held whole, and those whose weight gradient is all that is missing."""


class Fullest(NamedTuple):
    """The fullest states by what the rank does.

    Attributes:
        loss: a forward of the last chunk; forward: of another, where that may hold more.
        backward: an input gradient or a full backward; behind: nothing, or a weight gradient, where that may hold more.
    """

    loss: tuple[State, ...]
    forward: tuple[State, ...]
    backward: tuple[State, ...]
    behind: tuple[State, ...]

    def beside(self, behind: State) -> Fullest:
        """With one more state behind an input gradient, and that before it."""
        whole, part = behind
        return self._replace(backward=(*self.backward, (whole + 1.0, part - 1.0)), behind=(*self.behind, behind))

    def times(self, factor: Num) -> Fullest:
        """In other units."""
        return Fullest(*(tuple((factor * whole, factor * part) for whole, part in states) for states in self))


Ranks = tuple[tuple[Num, Fullest], ...]
"""Ranks, and the fullest states of each or of those that it stands for."""


def ends(of: Callable[[Num], Fullest], first: Num, last: Num) -> Ranks:
    """The fullest of equal ranks where states change evenly from rank to rank: the first or the last."""
    return (first, of(first)), (last, of(last))


def peaks(*states: State) -> Fullest:
    """What is held before an input gradient, also in the forwards, and after it."""
    return Fullest(states, (), states, tuple((np.maximum(whole - 1.0, 0.0), part + 1.0) for whole, part in states))


def counted(order: Iterable[Op], chunk: int) -> Fullest:
    """Of operations in chunks, `chunk` the last."""
    found: tuple[set[State], ...] = set(), set(), set(), set()
    loss, forward, backward, behind = found
    whole = part = 0
    for kind, _, at, _ in order:
        if kind == "F":
            whole += 1
            (loss if at == chunk else forward).add((whole, part))
            behind.add((whole, part))
        elif kind == "W":
            part -= 1
        else:
            backward.add((whole, part))
            whole, part = whole - 1, part + (kind == "I")
            behind.add((whole, part))
    behind -= {one for one in behind if any(one[0] <= whole and one[1] <= part for whole, part in backward)}
    return Fullest(*map(corners, found))


def joined(each: Sequence[Fullest]) -> Fullest:
    """The fullest of several ranks."""
    return Fullest(*(corners(state for states in moment for state in states) for moment in zip(*each, strict=True)))


def corners(states: Iterable[State]) -> tuple[State, ...]:
    """Those that some weights of the two numbers make the fullest, from most held whole to most waiting.

    (4, 0), (3, 1), (2, 1), (0, 6) -> (4, 0), (0, 6).
    """
    found: list[State] = []
    for state in sorted(set(states), key=lambda one: (-one[0], -one[1])):
        if found and state[1] <= found[-1][1]:
            continue
        while len(found) > 1 and _between(found[-2], found[-1], state):
            found.pop()
        found.append(state)
    return tuple(found)


def _between(one: State, middle: State, other: State) -> bool:
    """Whether the middle state is on the line of the others or below it."""
    return bool((middle[1] - one[1]) * (one[0] - other[0]) <= (other[1] - one[1]) * (one[0] - middle[0]))


def of_each(find: Callable[..., Fullest], *of: Num) -> Fullest:
    """`find` for numbers; for arrays, once for each combination in them."""
    if not any(map(np.ndim, of)):
        return find(*map(int, of))
    columns = [column.astype(int) for column in np.broadcast_arrays(*of)]
    sizes = [int(column.max()) + 1 for column in columns]
    keys, where = np.unique(np.ravel_multi_index(columns, sizes), return_inverse=True)
    found = [find(*map(int, key)) for key in zip(*np.unravel_index(keys, sizes), strict=True)]
    return Fullest(
        *(_gathered(states, where.astype(np.intp).reshape(columns[0].shape)) for states in zip(*found, strict=True))
    )


def _gathered(each: Sequence[tuple[State, ...]], where: NDArray[np.intp]) -> tuple[State, ...]:
    """State by state of as many as the longest list has; shorter ones repeat their last, empty ones hold nothing."""
    longest = max(map(len, each))
    rows = [[*states, *(states[-1:] or [(0, 0)]) * (longest - len(states))] for states in each]
    table = np.array(rows, dtype=np.float64).reshape(len(each), longest, 2)
    return tuple((table[where, k, 0], table[where, k, 1]) for k in range(longest))
