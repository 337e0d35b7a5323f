"""PipeDream-2BW (Narayanan et al. 2020, arXiv:2006.09503, section 3.1): 1F1B that never drains, with two buffers.

Gradients of m micro-batches make one update, computed on weights one update old; two versions of the weights suffice
because m >= p. A delay of one update is another algorithm than synchronous training.
"""

from __future__ import annotations

from dataclasses import replace

from planner.plan import Num
from planner.schedules import pipedream
from planner.schedules.record import Requirement


def weight_versions(p: Num, m: Num, v: Num, rank: Num) -> Num:
    """Two on every rank, whatever p."""
    return 2.0 + 0.0 * rank


SCHEDULE = replace(
    pipedream.SCHEDULE,
    name="2bw",
    title="PipeDream-2BW (double-buffered weights)",
    source="Narayanan 2020, arXiv:2006.09503, 3.1",
    weight_versions=weight_versions,
    requirements=(
        *pipedream.SCHEDULE.requirements,
        Requirement(
            "enough_batches",
            lambda p, m, v: m >= p,
            "m={m}: two buffers suffice for m >= p={p} only",
            "2006.09503, 3.1",
        ),
    ),
    frameworks={"msr-fiddle/pipedream": "branch pipedream_2bw"},
)
