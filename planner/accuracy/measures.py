"""Measures of error over arrays: no I/O, no planner types."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import astuple
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from planner.frozen import frozen
from planner.plan import Floats

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

MOST_REGRET = 1.0
"""Regret of one group counts no more than this, or two groups out of forty decide the mean."""

LEAST_SPREAD = 1.1
"""Worst over best measured time below which a group ranks noise."""


@frozen
class Errors:
    """Relative errors of n predictions, e = predicted/measured - 1.

    Attributes:
        median, p90: of |e|. bias: median of e.
    """

    n: int
    median: float
    p90: float
    bias: float


@frozen
class GroupRank:
    """One sweep group: what following the planner's first choice costs, and how well the order agrees.

    Attributes:
        regret: measured time of the predicted best over the best measured, minus 1, at most MOST_REGRET.
        spearman: rank correlation, None for groups of two.
    """

    name: str
    source: str
    layouts: int
    spread: float
    regret: float
    spearman: float | None


@frozen
class Confusion:
    """Verdicts on runs whose outcome is known; "positive" is out of memory."""

    fits_fits: int = 0
    fits_oom: int = 0
    oom_oom: int = 0
    oom_fits: int = 0

    @property
    def recall(self) -> float | None:
        """Of the runs that ran out of memory, the share foreseen."""
        return _share(self.oom_oom, self.oom_fits)

    @property
    def precision(self) -> float | None:
        """Of the runs foreseen to run out of memory, the share that did."""
        return _share(self.oom_oom, self.fits_oom)

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of the shares judged rightly of both outcomes."""
        fits = _share(self.fits_fits, self.fits_oom)
        return None if self.recall is None or fits is None else (self.recall + fits) / 2

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None


def errors(predicted: ArrayLike, measured: ArrayLike) -> Errors:
    """Median and 90th percentile of |predicted/measured - 1|, and the median with its sign."""
    e = np.asarray(predicted, dtype=np.float64) / np.asarray(measured, dtype=np.float64) - 1.0
    size = np.abs(e)
    return Errors(e.size, float(np.median(size)), float(np.quantile(size, 0.9)), float(np.median(e)))


def mean_errors(each: list[Errors]) -> Errors | None:
    """Equal weight for every source: the mean of their medians, 90th percentiles and biases."""
    if not each:
        return None
    mean = np.mean([[e.median, e.p90, e.bias] for e in each], axis=0)
    return Errors(sum(e.n for e in each), *map(float, mean))


def rank_group(name: str, source: str, predicted: Floats, measured: Floats) -> GroupRank | None:
    """How a sweep is ranked; None when it has fewer than two layouts or spreads by less than LEAST_SPREAD.

    Layouts that the planner cannot tell apart (1e-9) share its first place: their measured times are averaged.
    """
    if measured.size < 2:
        return None
    spread = float(measured.max() / measured.min())
    if spread < LEAST_SPREAD:
        return None
    picked = measured[predicted <= predicted.min() * (1.0 + 1e-9)]
    regret = min(float(picked.mean() / measured.min()) - 1.0, MOST_REGRET)
    agreement = spearman(predicted, measured) if measured.size >= 3 else None
    return GroupRank(name, source, int(measured.size), spread, regret, agreement)


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson correlation of the ranks, equal values sharing their mean rank; 0 where one side is constant."""
    a, b = ranks(np.asarray(x, dtype=np.float64)), ranks(np.asarray(y, dtype=np.float64))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / scale) if scale > 0 else 0.0


def split(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by key, both in order of appearance."""
    found: dict[K, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def ranks(x: Floats) -> Floats:
    """1 for the smallest; the mean of their places for equal values."""
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2.0)[place.reshape(-1)], dtype=np.float64)
