"""What failures cost a long run: checkpoints at the best interval, work that is lost, restarts, spare nodes."""

from __future__ import annotations

from math import exp, sqrt

from planner.frozen import frozen

DAY = 86400.0
REPAIR = 7 * DAY
"""Time that a failed node is taken to be away where the user does not say."""

ASSURANCE = 0.95
"""Probability with which spare nodes are to suffice."""


@frozen
class Failures:
    """How often nodes fail, and what a failure takes.

    Attributes:
        rate: failures per node and second; checkpoint: seconds to write one, training stopped.
        restart: seconds from a failure to the next step; repair: seconds until the node is back.
    """

    rate: float
    checkpoint: float
    restart: float
    repair: float = REPAIR

    def mttf(self, nodes: int) -> float:
        """Seconds between failures of a job: 1 / (nodes * rate)."""
        return 1.0 / (nodes * self.rate)

    def interval(self, nodes: int) -> float:
        """Seconds of work between checkpoints that lose least: sqrt(2 * checkpoint * MTTF).

        Young 1974, "A first order approximation to the optimum checkpoint interval"; Daly 2006 refines it.
        """
        return sqrt(2.0 * self.checkpoint * self.mttf(nodes))

    def effective(self, nodes: int) -> float:
        """Share of the time in which training goes ahead: 1 / (1 + C/tau + (R + tau/2) / MTTF).

        C/tau is spent on checkpoints; every failure costs the restart R and half an interval tau on average. At the
        best tau both shares of tau are equal: 1 / (1 + 2 * sqrt(C / (2 * MTTF)) + R / MTTF).
        """
        tau, mttf = self.interval(nodes), self.mttf(nodes)
        return 1.0 / (1.0 + self.checkpoint / tau + (self.restart + tau / 2.0) / mttf)

    def spares(self, nodes: int) -> int:
        """Fewest spare nodes that suffice ASSURANCE of the time: nodes away are Poisson, mean nodes * rate * repair."""
        mean = nodes * self.rate * self.repair
        if mean > 500.0:
            return int(mean + 1.645 * sqrt(mean)) + 1
        count, term = 0, exp(-mean)
        reached = term
        while reached < ASSURANCE:
            count += 1
            term *= mean / count
            reached += term
        return count
