"""The times of a pipeline's stages, as few numbers as a closed form needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.errors import PlannerError
from planner.plan import Num


@dataclass(frozen=True, slots=True)
class Work:
    """Times of one micro-batch on one rank (seconds).

    Attributes:
        forward: t_f; backward: t_b, the full backward with recomputation.
        weight: t_W, the part of the backward that computes gradients of weights and nobody waits for; None: unknown.
    """

    forward: Num
    backward: Num
    weight: Num | None = None

    @property
    def total(self) -> Num:
        """t_f + t_b."""
        return self.forward + self.backward

    @property
    def weight_gradient(self) -> Num:
        """t_W. Raises PlannerError where it is unknown: half of the backward is a guess to be made by the user only."""
        if self.weight is None:
            raise PlannerError("this schedule splits the backward: it needs the time of the weight gradient")
        return self.weight

    @property
    def input_gradient(self) -> Num:
        """t_B = t_b - t_W. Raises PlannerError where t_W is unknown."""
        return self.backward - self.weight_gradient


@dataclass(frozen=True, slots=True)
class Stages:
    """One pipeline of p ranks: two ends and an interior of long stages, preceded by `short` shorter ones.

    Ranks 1..short hold one layer less than the interior ones after them (they keep most micro-batches in flight, so
    the shorter stages go there). With p = 1, `first` holds everything; with p = 2 there is no interior.

    Attributes:
        p: ranks; short: interior ranks with one layer less.
        first, middle, last: work of rank 0, of a long interior rank, of rank p-1.
        less: work that a short interior rank lacks.
    """

    p: Num
    first: Work
    middle: Work
    last: Work
    short: Num
    less: Work

    def sum(self, of: str) -> Num:
        """Sum over ranks of "forward", "backward", "total" ..."""
        first, middle, last, less = (getattr(w, of) for w in (self.first, self.middle, self.last, self.less))
        interior = np.maximum(self.p - 2.0, 0.0) * middle - self.short * less
        return first + np.where(self.p > 1.0, last, 0.0) + interior

    def largest(self, of: str) -> Num:
        """Largest over ranks of "forward", "backward", "total", "weight_gradient" ..."""
        first, middle, last = (getattr(w, of) for w in (self.first, self.middle, self.last))
        ends = np.maximum(first, np.where(self.p > 1.0, last, first))
        return np.maximum(ends, np.where(self.p > 2.0, middle, first))[()]


def even(p: Num, forward: Num, backward: Num, weight: Num | None = None) -> Stages:
    """A pipeline of p equal stages."""
    work = Work(forward, backward, weight)
    return Stages(p, work, work, work, 0.0, Work(0.0, 0.0, 0.0))
