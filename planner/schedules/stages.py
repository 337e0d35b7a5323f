"""The times of a pipeline's stages, as few numbers as a closed form needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.errors import PlannerError
from planner.formula import formula
from planner.frozen import frozen
from planner.plan import Num


@frozen
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
    @formula("work", unit="s")
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


@frozen
class Stage:
    """Neighbouring ranks with equal work.

    Attributes:
        first: the lowest of them; ranks: how many, 0 where a plan of a batch has fewer stages that differ.
    """

    first: Num
    ranks: Num
    work: Work


@frozen
class Stages:
    """One pipeline of p ranks as runs of equal ones, from the first rank on."""

    p: Num
    runs: tuple[Stage, ...]

    def sum(self, of: str) -> Num:
        """Sum over ranks of "forward", "backward", "total" ..."""
        result: Num = 0.0
        for run in self.runs:
            result = result + run.ranks * getattr(run.work, of)
        return result

    def mean(self, of: str) -> Num:
        """Mean over ranks."""
        return self.sum(of) / self.p

    def largest(self, of: str) -> Num:
        """Largest over ranks of "forward", "backward", "total", "weight_gradient" ..."""
        result: Num = getattr(self.runs[0].work, of)
        for run in self.runs[1:]:
            result = np.maximum(result, np.where(run.ranks > 0.0, getattr(run.work, of), 0.0))
        return result


def even(p: Num, forward: Num, backward: Num, weight: Num | None = None) -> Stages:
    """A pipeline of p equal stages."""
    return Stages(p, (Stage(0.0, p, Work(forward, backward, weight)),))


def uneven(works: Sequence[Work]) -> Stages:
    """A pipeline with every rank's own work, first to last."""
    return Stages(float(len(works)), tuple(Stage(float(i), 1.0, work) for i, work in enumerate(works)))
