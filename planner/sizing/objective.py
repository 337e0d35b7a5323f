"""What a cluster is chosen for: a record each, and its line in OBJECTIVES; words, rows and JSON ask the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from planner.frozen import frozen
from planner.sizing.answers import cheapest, fastest, fewest
from planner.sizing.limits import Limits
from planner.sizing.point import Point


@frozen
class Sizes:
    """What is chosen from: every size that fits, and the fewest GPUs of each kind within the limits."""

    points: Sequence[Point]
    each: Sequence[Point]
    limits: Limits


@frozen
class Objective:
    """One way to choose.

    Attributes:
        words: what it asks for.
        best: the size that it chooses, None where none keeps the limits.
        priced: ranks by what the whole run costs.
        timed: the largest size unless there is an end to the run: without tokens no answer beside another.
    """

    words: str
    best: Callable[[Sizes], Point | None]
    priced: bool = False
    timed: bool = False

    def beside(self, money: bool, ends: bool) -> bool:
        """Whether it is answered where another was asked for: with prices, with tokens, where it needs them."""
        return (money or not self.priced) and (ends or not self.timed)


OBJECTIVES = {
    "fewest": Objective("fewest GPUs within the limits", lambda sizes: fewest(sizes.each)),
    "cheapest": Objective("least money within the limits", lambda s: cheapest(s.points, s.limits), priced=True),
    "fastest": Objective("least time within the limits", lambda s: fastest(s.points, s.limits), timed=True),
}
