"""Pipeline schedules: how long m micro-batches take on p stages, and how many of them a rank holds at once.

Adding one is a file with the three functions below and a line in SCHEDULES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from planner.plan import Num
from planner.schedules import gpipe, interleaved, naive, one_f_one_b
from planner.schedules.stages import Stages, Work, even

__all__ = ["SCHEDULES", "Schedule", "Stages", "Work", "even"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """One pipeline schedule as closed forms.

    Attributes:
        name: as users write it; title: as papers do; source: the paper.
        pipeline_time: (stages, m, v) -> seconds without point-to-point time.
        exposed_p2p: (p, m, v, hop, blocking, exposed) -> seconds that point-to-point traffic adds.
        in_flight: (p, m, v, rank) -> micro-batches whose activations the rank holds at its peak.
        formula: bubble time for even stages, for explanations.
    """

    name: str
    title: str
    source: str
    formula: str
    pipeline_time: Callable[[Stages, Num, Num], Num]
    exposed_p2p: Callable[[Num, Num, Num, Num, bool, float], Num]
    in_flight: Callable[[Num, Num, Num, Num], Num]


def _schedule(module: object, name: str, title: str, formula: str, source: str) -> Schedule:
    functions = (getattr(module, f) for f in ("pipeline_time", "exposed_p2p", "in_flight"))
    return Schedule(name, title, source, formula, *functions)


SCHEDULES: dict[str, Schedule] = {
    s.name: s
    for s in (
        _schedule(naive, "naive", "naive model parallelism", "m(p-1)(t_f + t_b)", "GPipe, arXiv:1811.06965, 2.3"),
        _schedule(gpipe, "gpipe", "GPipe", "(p-1)(t_f + t_b)", "GPipe, arXiv:1811.06965, 2.3"),
        _schedule(one_f_one_b, "1f1b", "1F1B", "(p-1)(t_f + t_b)", "Narayanan 2021, arXiv:2104.04473, 2.2.1"),
        _schedule(
            interleaved,
            "interleaved",
            "interleaved 1F1B",
            "(p-1)(t_f + t_b)/v",
            "Narayanan 2021, arXiv:2104.04473, 2.2.2",
        ),
    )
}
