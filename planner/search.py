"""Exhaustive search over batches of plans: mask, need, cost, rank. Knows neither training nor serving."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import attrgetter
from time import perf_counter

import numpy as np

from planner.frozen import frozen
from planner.plan import INTEGERS, Floats, Ints, Mask, Num, OnePlan, Plan

LAYOUT = ("tp", "cp", "ep", "pp", "dp")
VARIANT = (*LAYOUT, "etp", "dp_replicate", "b", "sp", "v")

_DEGREES, _LAYOUT = attrgetter(*INTEGERS), attrgetter(*LAYOUT)

FEW = 2**16
"""Plans of which all is kept that is found of them."""

LARGEST_BLOCK = 2**24
"""Bytes: many arrays of one batch, and below the 32 MiB at which glibc stops to learn."""


@frozen
class Problem:
    """What a search needs to know of a batch of plans.

    Attributes:
        legal: plan -> (mask, how many broke each rule first).
        need: plan -> bytes on the fullest rank; capacity: bytes there are.
        cost: plan -> what to minimise, asked of plans that fit only.
        part: told, before the cost is asked for some rows of a batch: these, the batch, and which of it they are.
    """

    legal: Callable[[Plan], tuple[Mask, dict[str, int]]]
    need: Callable[[Plan], Num]
    capacity: float
    cost: Callable[[Plan], Num]
    part: Callable[[Plan, Plan, Mask], None] = lambda part, batch, mask: None


@frozen
class Candidate:
    """One plan with its score: seconds if it fits, bytes that it needs; its place in its batch, of the first FEW."""

    plan: OnePlan
    cost: float
    need: float
    batch: Plan | None = field(default=None, repr=False, compare=False)
    place: int = field(default=0, repr=False, compare=False)

    @property
    def order(self) -> tuple[float | str, ...]:
        """Cheapest first, then leanest, then by degrees: the same input always ranks alike."""
        return (self.cost, self.need, *_DEGREES(self.plan), self.plan.schedule)


@dataclass(slots=True)
class Outcome:
    """What a search found.

    Attributes:
        best: ranked, the best plan of every layout (tp, cp, ep, pp, dp) before variants of one.
        near: nearest misses of layouts none of whose plans fit, by bytes needed.
        least: bytes that the leanest plan needs of those that do not fit.
        plans: how many were enumerated; legal: obey all rules; feasible: also fit.
        broken: how many plans broke each rule first.
    """

    best: list[Candidate] = field(default_factory=list)
    near: list[Candidate] = field(default_factory=list)
    least: float = np.inf
    plans: int = 0
    legal: int = 0
    feasible: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def search(
    batches: Iterable[Plan],
    problem: Problem,
    keep: int,
    first_fit: bool = False,
    tick: Callable[[int], None] | None = None,
    misses: bool = True,
) -> Outcome:
    """Score every plan and keep the best `keep` and, unless nobody asks for `misses`, the `keep` nearest of those.

    Memory is checked first; the cost is computed for the plans that fit, if any are kept. `first_fit` stops at the
    first batch with one. `tick` is told the number of plans done after every batch.
    """
    return search_each(batches, [problem], keep, first_fit, tick, misses)[0]


def search_each(
    batches: Iterable[Plan],
    problems: Sequence[Problem],
    keep: int,
    first_fit: bool = False,
    tick: Callable[[int], None] | None = None,
    misses: bool = True,
) -> list[Outcome]:
    """Like `search`, of several problems about the same plans: each is asked of a batch before the next batch comes.

    All are given the same `Plan`, what is legal in any of them, so that they can share what they find of it.
    """
    started = perf_counter()
    _hold_memory()
    ledgers = [_Ledger(problem, Outcome(), _Shortlist(keep), _Shortlist(keep * misses)) for problem in problems]
    for batch in batches:
        plan, masks = _obeying(batch, ledgers)
        if len(plan):
            _score(plan, ledgers, masks)
        if tick is not None:
            tick(sum(one.outcome.plans for one in ledgers))
        if first_fit and all(one.outcome.feasible for one in ledgers):
            break
    for one in ledgers:
        one.outcome.best, one.outcome.near = one.best.ranked(), one.near.ranked(without=one.best.layouts)
        one.outcome.seconds = (perf_counter() - started) / len(ledgers)
    return [one.outcome for one in ledgers]


@frozen
class _Ledger:
    """A problem, and what is known of its answer so far."""

    problem: Problem
    outcome: Outcome
    best: _Shortlist
    near: _Shortlist


def _obeying(batch: Plan, ledgers: Sequence[_Ledger]) -> tuple[Plan, list[Mask]]:
    """The plans of a batch that are legal in some problem, as a grid where they are one; which of them are in each."""
    masks = []
    for one in ledgers:
        mask, broken = one.problem.legal(batch)
        one.outcome.plans += len(batch)
        one.outcome.legal += int(np.count_nonzero(mask))
        for name, count in broken.items():
            one.outcome.broken[name] = one.outcome.broken.get(name, 0) + count
        masks.append(mask)
    legal = reduce(np.logical_or, masks)
    if legal.all():
        return batch, masks
    plan, at = batch.around(legal)
    if not legal[at].all():
        plan, at = batch[legal], legal
    return plan, [mask[at] for mask in masks]


def _hold_memory() -> None:
    """Let the allocator keep what the arrays of one batch free, for those of the next.

    glibc hands freed memory back beyond a threshold, and every page of it faults when it comes again: a third of a
    large search. It takes the size of the largest block that was mapped and freed for what a program uses (mallopt(3),
    M_MMAP_THRESHOLD), so one is mapped, never touched, and freed. Elsewhere nothing comes of it.
    """
    np.empty(LARGEST_BLOCK, dtype=np.uint8)


def _score(plan: Plan, ledgers: Sequence[_Ledger], legal: Sequence[Mask]) -> None:
    """Score one batch in every problem, of which a mask says what is legal there."""
    needs = [np.broadcast_to(one.problem.need(plan), plan.shape) for one in ledgers]
    fitting = [own & (need <= one.problem.capacity) for one, need, own in zip(ledgers, needs, legal, strict=True)]
    missing = [own & ~fits for own, fits in zip(legal, fitting, strict=True)]
    for one, need, fits, missed in zip(ledgers, needs, fitting, missing, strict=True):
        one.outcome.feasible += int(np.count_nonzero(fits))
        one.outcome.least = min(one.outcome.least, float(np.min(need, where=missed, initial=np.inf)))
    if any(one.best.keep for one in ledgers):
        _list(plan, ledgers, needs, fitting, missing)


def _list(
    plan: Plan, ledgers: Sequence[_Ledger], needs: Sequence[Floats], fitting: Sequence[Mask], missing: Sequence[Mask]
) -> None:
    """Put plans of one batch on the short lists: those that miss by what they need, those that fit by their cost."""
    runs = (_runs(plan, LAYOUT), _runs(plan, VARIANT))
    for one, need, missed in zip(ledgers, needs, missing, strict=True):
        if one.near.keep:
            bytes_needed = need[missed]
            one.near.offer(plan, missed, bytes_needed, bytes_needed, runs)
    wanted = reduce(np.logical_or, fitting)
    part, places = _part(plan, wanted)
    for one, need, fits in zip(ledgers, needs, fitting, strict=True):
        if fits.any():
            one.problem.part(part, plan, wanted)
            cost = np.broadcast_to(one.problem.cost(part), places.shape)[places]
            one.best.offer(plan, fits, cost[fits[wanted]], need[fits], runs)


def _part(plan: Plan, wanted: Mask) -> tuple[Plan, Mask]:
    """What is priced so that the plans under a mask are, and they in it: of a grid all, if at least half is wanted."""
    part, at = plan.around(wanted)
    places = wanted[at]
    if places.all() or 2 * np.count_nonzero(places) >= places.size:
        return part, places
    rows = plan[wanted]
    return rows, np.ones(len(rows), dtype=bool)


class _Shortlist:
    """The cheapest plan of each layout, and the cheapest of those that differ in more than recomputation or ZeRO."""

    def __init__(self, keep: int) -> None:
        self.keep, self.seen = keep, 0
        self.layouts: dict[tuple[int, ...], Candidate] = {}
        self.variants: list[Candidate] = []

    def offer(self, plan: Plan, mask: Mask, cost: Floats, need: Floats, runs: tuple[Ints, Ints]) -> None:
        """Consider the plans under a mask, in which those of one layout are neighbours, and in it those of one variant.

        `cost` and `need` are theirs alone; `runs` number the layouts and the variants of all plans.
        """
        places = np.flatnonzero(mask)
        self.seen += len(plan)
        if not len(places):
            return
        batch = plan if self.seen <= FEW else None

        def candidates(rows: list[int]) -> list[Candidate]:
            at = places[rows]
            each = zip(plan[at].each(), cost[rows].tolist(), need[rows].tolist(), at.tolist(), strict=True)
            return [Candidate(one, seconds, bytes, batch, place) for one, seconds, bytes, place in each]

        for candidate in candidates(_cheapest(cost, need, _starts(runs[0], mask), None)):
            first = candidate.plan
            known = self.layouts.setdefault(layout(first), candidate)
            if candidate.cost <= known.cost and candidate.order < known.order:
                self.layouts[layout(first)] = candidate
        worst = self.variants[-1].cost if len(self.variants) == self.keep else np.inf
        rows = [r for r in _cheapest(cost, need, _starts(runs[1], mask), self.keep) if cost[r] <= worst]
        if rows:
            self.variants = sorted(self.variants + candidates(rows), key=lambda c: c.order)[: self.keep]

    def ranked(self, without: Iterable[tuple[int, ...]] = ()) -> list[Candidate]:
        """`keep` candidates, cheapest first; variants of a layout only when layouts are fewer than that."""
        layouts = sorted((c for key, c in self.layouts.items() if key not in without), key=lambda c: c.order)
        chosen = {c.plan: c for c in layouts[: self.keep]}
        for candidate in self.variants:
            if len(chosen) < self.keep and layout(candidate.plan) not in without:
                chosen.setdefault(candidate.plan, candidate)
        return sorted(chosen.values(), key=lambda c: c.order)


def layout(plan: Plan) -> tuple[int, ...]:
    """How the accelerators are split: (tp, cp, ep, pp, dp)."""
    found: tuple[int, ...] = _LAYOUT(plan)
    return found


def _cheapest(cost: Floats, need: Floats, starts: Ints, keep: int | None) -> list[int]:
    """The cheapest row of each run, or of the `keep` cheapest runs; the leanest among equals."""
    ends = np.append(starts[1:], len(cost))
    runs = range(len(starts))
    if keep is not None and len(starts) > keep:
        runs = np.argpartition(np.minimum.reduceat(cost, starts), keep)[:keep].tolist()
    found = []
    for i in runs:
        run = slice(starts[i], ends[i])
        ties = np.flatnonzero(cost[run] == cost[run].min())
        found.append(int(starts[i] + ties[np.argmin(need[run][ties])]))
    return found


def _starts(runs: Ints, mask: Mask) -> Ints:
    """Of the plans under a mask, those at which a new run begins, the first included."""
    kept = runs[mask]
    return np.flatnonzero(np.concatenate(([True], kept[1:] != kept[:-1])))


def _runs(plan: Plan, names: tuple[str, ...]) -> Ints:
    """A number for every plan, which is that of the one before it where they are alike in some columns."""
    runs: Ints = np.zeros((), dtype=int)
    for axis, length in enumerate(plan.shape):
        columns = [np.ravel(c) for c in (getattr(plan, name) for name in names) if np.shape(c)[axis] == length > 1]
        along = np.zeros(length, dtype=int)
        for column in columns:
            along[1:] |= column[1:] != column[:-1]
        numbers = np.cumsum(along)
        runs = np.expand_dims(runs * (numbers[-1] + 1), -1) + numbers
    return runs
