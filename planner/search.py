"""Exhaustive search over batches of plans: mask, need, cost, rank. Knows neither training nor serving."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from planner.plan import INTEGERS, Plan

LAYOUT = ("tp", "cp", "ep", "pp", "dp")
VARIANT = (*LAYOUT, "b", "sp", "v")


@dataclass(frozen=True, slots=True)
class Problem:
    """What a search needs to know of a batch of plans.

    Attributes:
        legal: plan -> (mask, how many broke each rule first).
        need: plan -> bytes on the fullest rank; capacity: bytes there are.
        cost: plan -> what to minimise, asked of plans that fit only.
    """

    legal: Callable[[Plan], tuple[Any, dict[str, int]]]
    need: Callable[[Plan], Any]
    capacity: float
    cost: Callable[[Plan], Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One plan with its score: seconds if it fits, bytes that it needs."""

    plan: Plan
    cost: float
    need: float

    @property
    def order(self) -> tuple[Any, ...]:
        """Cheapest first, then leanest, then by degrees: the same input always ranks alike."""
        return (self.cost, self.need, *(getattr(self.plan, n) for n in INTEGERS), self.plan.schedule)


@dataclass(slots=True)
class Outcome:
    """What a search found.

    Attributes:
        best: ranked, the best plan of every layout (tp, cp, ep, pp, dp) before variants of one.
        near: nearest misses of layouts none of whose plans fit, by bytes needed.
        plans: how many were enumerated; legal: obey all rules; feasible: also fit.
        broken: how many plans broke each rule first.
    """

    best: list[Candidate] = field(default_factory=list)
    near: list[Candidate] = field(default_factory=list)
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
) -> Outcome:
    """Score every plan and keep the best `keep` and the `keep` nearest misses.

    Memory is checked first; the cost is computed for the plans that fit. `first_fit` stops at the first batch with one.
    `tick` is told the number of plans done after every batch.
    """
    started, outcome = perf_counter(), Outcome()
    best, near = _Shortlist(keep), _Shortlist(keep)
    for batch in batches:
        mask, broken = problem.legal(batch)
        outcome.plans += len(batch)
        for name, count in broken.items():
            outcome.broken[name] = outcome.broken.get(name, 0) + count
        plan = batch if mask.all() else batch[mask]
        if len(plan):
            outcome.legal += len(plan)
            outcome.feasible += _score(plan, problem, best, near)
        if tick is not None:
            tick(outcome.plans)
        if first_fit and outcome.feasible:
            break
    outcome.best, outcome.near = best.ranked(), near.ranked(without=best.layouts)
    outcome.seconds = perf_counter() - started
    return outcome


def _score(plan: Plan, problem: Problem, best: _Shortlist, near: _Shortlist) -> int:
    """Score one legal batch; returns how many fit."""
    need = problem.need(plan)
    fits = need <= problem.capacity
    if not fits.all():
        near.offer(plan[~fits], need[~fits], need[~fits])
    if fits.any():
        fitting, need = plan[fits], need[fits]
        best.offer(fitting, problem.cost(fitting), need)
    return int(np.count_nonzero(fits))


class _Shortlist:
    """The cheapest plan of each layout, and the cheapest of those that differ in more than recomputation or ZeRO."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.layouts: dict[tuple[int, ...], Candidate] = {}
        self.variants: list[Candidate] = []

    def offer(self, plan: Plan, cost: Any, need: Any) -> None:
        """Consider a batch, in which rows of one layout are neighbours, and in it those of one variant."""
        for row in _cheapest(cost, need, _starts(plan, LAYOUT), None):
            candidate = Candidate(plan[row].scalar(), float(cost[row]), float(need[row]))
            key = layout(candidate.plan)
            if key not in self.layouts or candidate.order < self.layouts[key].order:
                self.layouts[key] = candidate
        rows = _cheapest(cost, need, _starts(plan, VARIANT), self.keep)
        found = [Candidate(plan[r].scalar(), float(cost[r]), float(need[r])) for r in rows]
        self.variants = sorted(self.variants + found, key=lambda c: c.order)[: self.keep]

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
    return tuple(getattr(plan, name) for name in LAYOUT)


def _cheapest(cost: Any, need: Any, starts: Any, keep: int | None) -> list[int]:
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


def _starts(plan: Plan, names: tuple[str, ...]) -> Any:
    """Rows at which one of the columns changes, the first row included."""
    changed = np.ones(len(plan), dtype=bool)
    changed[1:] = False
    for name in names:
        column = getattr(plan, name)
        changed[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changed)
