"""What ranks hold at their fullest where the backward is split, against counts of their operations."""

from __future__ import annotations

import random

import numpy as np
import pytest

from planner.schedules import SCHEDULES
from planner.schedules.fullest import Fullest, State, corners, counted, joined
from planner.simulate import replay

SPLIT = [name for name, schedule in SCHEDULES.items() if schedule.splits]

SHARES = (0.0, 0.3, 0.9, 1.0, 1.1, 2.0, 5.0, 30.0)
"""M_W / M_B: at most 32/34 of a layer that keeps everything, 16 of one that keeps its input."""


def heaviest(states: tuple[State, ...], share: float) -> float:
    """The most that any state weighs; a micro-batch that waits weighs `share`."""
    return max((float(whole + share * part) for whole, part in states), default=0.0)


def weights(held: Fullest) -> list[list[float]]:
    """In the loss, in any forward, in the backward, and in the backward or behind, for each share."""
    groups = (held.loss, held.loss + held.forward, held.backward, held.backward + held.behind)
    return [[heaviest(states, share) for share in SHARES] for states in groups]


def of(name: str, p: int, m: int, first: int, last: int) -> list[Fullest]:
    """The catalogue's."""
    schedule = SCHEDULES[name]
    assert schedule.fullest is not None
    found = schedule.fullest(float(p), float(m), float(schedule.chunks), float(first), float(last))
    assert all(first <= rank <= last for rank, _ in found)
    return [held for _, held in found]


def played(name: str, p: int, m: int) -> list[Fullest]:
    """Every rank's, from its operations; the last chunk of DualPipe's second half is the other one."""
    schedule = SCHEDULES[name]
    v = schedule.chunks
    lasts = [int(v > 1 and not (schedule.placement.copies and rank >= p // 2)) for rank in range(p)]
    return [counted(schedule.ops(rank, p, m, v), last).times(1.0 / schedule.cuts(v)) for rank, last in enumerate(lasts)]


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize("p", [*range(1, 11), 16])
def test_every_rank(name: str, p: int) -> None:
    """Alone, and the fullest of some neighbours, in every moment and whatever W needs; all m up to 3p + 4."""
    dice, schedule = random.Random(p), SCHEDULES[name]
    for m in (m for m in range(1, 3 * p + 5) if schedule.broken(p, m, schedule.chunks) is None):
        ranks = played(name, p, m)
        for rank, held in enumerate(ranks):
            assert np.max([weights(one) for one in of(name, p, m, rank, rank)], axis=0).tolist() == weights(held)
        first = dice.randrange(p)
        last = dice.randrange(first, p)
        several = np.max([weights(one) for one in of(name, p, m, first, last)], axis=0)
        assert several.tolist() == weights(joined(ranks[first : last + 1]))


@pytest.mark.parametrize("name", SPLIT)
def test_arrays(name: str) -> None:
    """Many plans at once, each as alone."""
    schedule, dice = SCHEDULES[name], random.Random(1)
    assert schedule.fullest is not None
    plans = [(p, 2 * n * p, *sorted(dice.choices(range(p), k=2))) for p in (2, 4, 6) for n in (1, 2, 4, 5)]
    p, m, first, last = np.array(plans, dtype=float).T
    found = schedule.fullest(p, m, float(schedule.chunks), first, last)
    for k, plan in enumerate(plans):
        here = [Fullest(*(tuple(picked(state, k) for state in states) for states in held)) for _, held in found]
        assert list(map(weights, here)) == list(map(weights, of(name, *plan)))


def picked(state: State, k: int) -> State:
    """Of an array of states, that of one plan."""
    whole, part = (np.ravel(one)[k] if np.ndim(one) else one for one in state)
    return whole, part


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize("share", SHARES)
def test_replay(name: str, share: float) -> None:
    """The clock's counts are the same."""
    p, m = 6, 20
    ran = replay(name, p, m, backward=2.0, weight=1.0, weight_share=share)
    for rank in range(p):
        most = max(heaviest(states, share) for held in of(name, p, m, rank, rank) for states in held)
        assert ran.peak(rank) == pytest.approx(most)


def test_by_hand() -> None:
    """ZB-H1, four ranks: rank 2 holds 2 whole and 2 that wait, then 1 and 3; ZB-V's last rank drains 2p - 1 chunks."""
    (rank, held), *_ = SCHEDULES["zb-h1"].fullest(4.0, 8.0, 1.0, 2.0, 2.0)  # type: ignore[misc]
    assert (rank, corners(held.backward), corners(held.behind)) == (2.0, ((2.0, 2.0),), ((1.0, 3.0),))
    assert corners(of("zb-v", 4, 8, 3, 3)[0].behind) == ((3.5, 0.5), (0.0, 3.5))


def test_corners() -> None:
    """On the line between two others, or below it, a state is never the fullest alone."""
    assert corners([(4, 0), (3, 1), (2, 1), (0, 6), (1, 2)]) == ((4, 0), (0, 6))
    assert corners([(4, 0), (3, 3), (0, 4)]) == ((4, 0), (3, 3), (0, 4))
    assert corners([]) == ()
