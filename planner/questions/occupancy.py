"""Bytes on every pipeline rank while a step runs: the moments of `planner.training.moments`, one after another.

The replay says when a rank starts and ends each operation and so how many micro-batches it holds; the moments say what
that takes. A forward pass holds its own activations, the one that ends in the loss its logits, too; a backward pass
what it computes again; the reduction of gradients and the update come behind the last operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache

from planner.frozen import frozen
from planner.plan import OnePlan, Plan
from planner.schedules import SCHEDULES
from planner.simulate import Task, Timeline
from planner.stages import Row, chunk_table
from planner.training.job import Job
from planner.training.memory import beside, held_kinds, resting, rows_held, shards_of
from planner.training.moments import moments

Level = tuple[float, float]
"""From when on, and how many bytes."""


PASSING = ("loss", "forward", "backward")
"""While a pass runs, of another micro-batch beside it where expert traffic is overlapped."""

RESTING = {"forward": "loss", "between": "backward"}
"""Like which moments two others are, without logits and without a block that comes back."""


@frozen
class Occupancy:
    """One rank's bytes over the step.

    Attributes:
        levels: in time order; closed: the peak as the ranking has it.
    """

    levels: tuple[Level, ...]
    closed: float

    @property
    def peak(self) -> float:
        """The most at any time."""
        return max(level for _, level in self.levels)


def occupancy(job: Job, plan: OnePlan, timeline: Timeline) -> tuple[Occupancy, ...]:
    """Every rank of a replayed plan."""
    return tuple(_rank(job, plan.floats(), rank, row) for rank, row in enumerate(timeline.tasks))


def _rank(job: Job, plan: Plan, rank: int, tasks: Sequence[Task]) -> Occupancy:
    of, kinds, shards = job.structure, held_kinds(job, plan), shards_of(plan)
    chunks = chunk_table(of, plan)[rank]
    counts = tuple(float(sum(column)) for column in zip(*chunks, strict=True))
    rows = rows_held(plan, kinds, of, Row(float(rank), 1.0, counts))
    fullest = replace(rows[0], fullest=None)
    schedule = SCHEDULES[plan.schedule]
    unit = (1.0 if schedule.placement.whole else 1.0 / float(plan.v)) / float(schedule.copies(plan.v))
    ends = [any(count * one.logits for count, one in zip(chunk, kinds, strict=True)) for chunk in chunks]

    @cache
    def level(moment: str, whole: int, part: int) -> float:
        flight = whole * unit
        if moment in PASSING and not schedule.splits:
            flight = float(beside(plan, flight, fullest.layers))
        now = replace(fullest, flight=flight, waiting=part * unit)
        now = resting(now) if moment in RESTING else now
        return float(moments(job, plan, now, shards)[RESTING.get(moment, moment)].total)

    closed = max(float(one.total) for row in rows for one in moments(job, plan, row, shards).values())
    return Occupancy(tuple(_levels(tasks, ends, level)), closed)


def _levels(tasks: Sequence[Task], ends: Sequence[bool], level: Callable[[str, int, int], float]) -> Iterator[Level]:
    """A level from the start of every operation and one from its end on; the reduction and the update behind the last.

    While a weight gradient runs, and between operations, nothing comes back.
    """
    whole = part = 0
    yield 0.0, level("between", whole, part)
    for task in tasks:
        if task.kind == "F":
            whole += 1
            yield task.start, level("loss" if ends[task.chunk] else "forward", whole, part)
        else:
            yield task.start, level("between" if task.kind == "W" else "backward", whole, part)
            whole -= task.kind in "BI"
            part += (task.kind == "I") - (task.kind == "W")
        yield task.end, level("between", whole, part)
    for moment in ("reduction", "optimizer step"):
        yield tasks[-1].end, level(moment, whole, part)
