"""Replays one schedule's operations on a clock: who works when, who waits, what is held in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from planner.cost.collectives import members_per_domain
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.plan import OnePlan
from planner.schedules import SCHEDULES, Schedule, Work
from planner.schedules.clock import Clock, Hop, Span, cells
from planner.schedules.ops import Op
from planner.schedules.rendezvous import Rendezvous
from planner.training.estimate import chunk_works, hop_time, pipeline_stages
from planner.training.job import Job


class Task(NamedTuple):
    """One operation as it ran.

    Attributes:
        kind: "F" forward, "B" full backward, "I" input gradient, "W" weight gradient.
        chunk: model chunk on its rank, 0..v-1; micro_batch: 0..m-1.
        start, end: seconds since the first operation of the step.
    """

    rank: int
    kind: str
    micro_batch: int
    chunk: int
    start: float
    end: float


@frozen
class Timeline:
    """A replayed step: the tasks of every rank in the order they ran.

    Attributes:
        schedule: name; p, m, v: ranks, micro-batches, chunks per rank.
        tasks: per rank; the two halves of an overlapped pair have the same start and end.
        held: per rank, (time, micro-batches' worth of activations held from then on) in time order.
    """

    schedule: str
    p: int
    m: int
    v: int
    tasks: tuple[tuple[Task, ...], ...]
    held: tuple[tuple[tuple[float, float], ...], ...]

    @property
    def makespan(self) -> float:
        """First start to last end over all ranks: the step time if all wait for the last before the update."""
        return max(row[-1].end for row in self.tasks) - min(row[0].start for row in self.tasks)

    @property
    def longest_stage(self) -> float:
        """Largest (own end - own start) of a rank: the step time if steps overlap like parallelograms."""
        return max(row[-1].end - row[0].start for row in self.tasks)

    def busy(self, rank: int) -> float:
        """Seconds that a rank works; an overlapped pair counts once."""
        row = self.tasks[rank]
        twice = sum(a.end - a.start for a, b in pairwise(row) if a.start == b.start and a.end == b.end)
        return sum(task.end - task.start for task in row) - twice

    def idle(self, rank: int) -> float:
        """Makespan less the rank's own work."""
        return self.makespan - self.busy(rank)

    def peak(self, rank: int) -> float:
        """Largest number of micro-batches whose activations a rank holds at once."""
        return max(held for _, held in self.held[rank])


def replay(
    name: str,
    p: int,
    m: int,
    v: int = 0,
    *,
    forward: float = 1.0,
    backward: float = 1.0,
    weight: float | None = None,
    hop: float | Hop = 0.0,
    blocking: bool = False,
    hidden: float | None = None,
    weight_share: float = 1.0,
) -> Timeline:
    """Replay a schedule of the catalogue on p equal ranks.

    `forward` and `backward` are the times of one micro-batch on one rank, over all its chunks; `weight` is the part of
    the backward that zero-bubble schedules run apart. v = 0 takes the schedule's own number of chunks. See
    `replay_works` for the rest. 1F1B, p = 4, m = 8, t_f = t_b = 1: makespan 22.

    Raises:
        PlannerError: no such schedule, counts that it cannot run, or sends that block for ever.
    """
    works = [Work(forward, backward, weight)] * p
    return replay_works(name, m, v, works, hop=hop, blocking=blocking, hidden=hidden, weight_share=weight_share)


def replay_works(
    name: str,
    m: int,
    v: int,
    works: Sequence[Work] | Sequence[Sequence[Work]],
    *,
    hop: float | Hop = 0.0,
    blocking: bool = False,
    hidden: float | None = None,
    weight_share: float = 1.0,
) -> Timeline:
    """Replay a schedule with every rank's own times.

    Attributes:
        works: per rank, over all its chunks, or per rank and chunk.
        hop: seconds of a send between ranks, or a function of both, see `hops`.
        blocking: sender and receiver meet and wait for the tensor, as Megatron-LM does in 1F1B; else sends take their
            time and block nobody.
        hidden: pairs of DualPipe start and end as one, and this share of the shorter half is hidden behind the longer
            one; None runs them one after the other.
        weight_share: M_W / M_B, the part of a micro-batch's activations that stays until its weight gradient.

    Raises:
        PlannerError: as `replay`.
    """
    schedule, p = _known(name), len(works)
    v = v or schedule.chunks or 1
    _check(schedule, p, m, v)
    orders = [schedule.ops(rank, p, m, v) for rank in range(p)]
    try:
        grid = cells(schedule.placement, p, v, _lengths(schedule, works, v), _hop(hop))
        spans = Rendezvous(orders, grid, v).run() if blocking else Clock(orders, grid, m, v).run(hidden)
    except PlannerError as error:
        raise PlannerError(f"{name}: {error}") from None
    unit = 1.0 if schedule.placement.whole else 1.0 / v
    tasks = tuple(tuple(_tasks(rank, *row)) for rank, row in enumerate(zip(orders, spans, strict=True)))
    held = tuple(tuple(_held(row, unit, weight_share, schedule.trains)) for row in tasks)
    return Timeline(name, p, m, v, tasks, held)


def _known(name: str) -> Schedule:
    schedule = SCHEDULES.get(name)
    if schedule is None:
        raise PlannerError(f"no schedule is called {name!r}", f"known: {', '.join(SCHEDULES)}")
    return schedule


def _check(schedule: Schedule, p: int, m: int, v: int) -> None:
    if p < 1 or m < 1 or v < 1:
        raise PlannerError(f"{schedule.name}: ranks, micro-batches and chunks are positive, not {p}, {m}, {v}")
    broken = schedule.broken(p, m, v)
    if broken is not None:
        raise PlannerError(f"{schedule.name}: {broken.message.format(p=p, m=m, v=v)}", f"rule: {broken.name}")


def _hop(hop: float | Hop) -> Hop:
    if callable(hop):
        return hop
    seconds = float(hop)
    return lambda source, target: seconds


def _lengths(
    schedule: Schedule, works: Sequence[Work] | Sequence[Sequence[Work]], v: int
) -> Callable[[int, int], dict[str, float]]:
    """Seconds by kind of operation of a (rank, chunk); I and W only where the weight gradient's time is known."""
    parts = 1 if schedule.placement.whole else v

    def lengths(rank: int, chunk: int) -> dict[str, float]:
        own = works[rank]
        work, n = (own, parts) if isinstance(own, Work) else (own[chunk], 1)
        known = {"F": work.forward, "B": work.backward}
        if schedule.splits:
            known |= {"I": work.input_gradient, "W": work.weight_gradient}
        return {kind: float(seconds) / n for kind, seconds in known.items()}

    return lengths


def _tasks(rank: int, order: Sequence[Op], spans: Sequence[Span]) -> Iterator[Task]:
    for (kind, i, chunk, _), (start, end) in zip(order, spans, strict=True):
        yield Task(rank, kind, i, chunk, start, end)


def _held(row: Sequence[Task], unit: float, weight_share: float, trains: bool) -> Iterator[tuple[float, float]]:
    """What a rank holds from when on: taken when a forward starts, given back at the end of B, or of I and W.

    Without training a forward gives back what it took when it ends.
    """
    whole = part = 0
    for _, kind, _, _, start, end in row:
        if kind == "F":
            whole += 1
            yield start, (whole + weight_share * part) * unit
        if kind in "BI" or not trains:
            whole -= 1
        part += (kind == "I") - (kind == "W")
        if kind != "F" or not trains:
            yield end, (whole + weight_share * part) * unit


def hops(inside: float, across: float, per_node: int) -> Hop:
    """Seconds of a send by where its ends are: ranks 0..per_node-1 share a node, the next ones another, and so on."""
    return lambda source, target: inside if source // per_node == target // per_node else across


@frozen
class Replayed:
    """A plan's pipeline twice: replayed with every rank's own times and hops, and as the search computes it.

    Attributes:
        timeline: the replay; closed_form: seconds of the same by the schedule's formulas.
    """

    timeline: Timeline
    closed_form: float

    @property
    def difference(self) -> float:
        """Closed form over replay, less one: +0.02 is 2 % too pessimistic."""
        return self.closed_form / self.timeline.makespan - 1.0


def replay_plan(job: Job, plan: OnePlan) -> Timeline:
    """Replay one plan with its real stage times, hop by hop.

    Sends block where the framework's do and the schedule can run with it. What a framework fails to hide of
    interleaved sends (`p2p_exposed`) is no part of a replay.

    Raises:
        PlannerError: counts that the plan's schedule cannot run.
    """
    return replay_works(
        plan.schedule,
        int(plan.m),
        int(plan.v),
        chunk_works(job, plan),
        hop=plan_hops(job, plan),
        blocking=_blocks(job, plan),
    )


def compare(job: Job, plan: OnePlan) -> Replayed:
    """A plan's replay beside the closed form, both with sends that hide where they can."""
    floats = plan.floats()
    stages, schedule = pipeline_stages(job, plan), SCHEDULES[plan.schedule]
    sends = schedule.exposed_p2p(floats.pp, floats.m, floats.v, hop_time(job, floats), _blocks(job, plan), 0.0)
    closed = float(schedule.pipeline_time(stages, floats.m, floats.v) + sends)
    return Replayed(replay_plan(job, plan), closed)


def plan_hops(job: Job, plan: OnePlan) -> Hop:
    """Seconds of a plan's sends: inside a scale-up domain where both ranks share one, else over the network."""
    floats = plan.floats()
    near = float(hop_time(job, replace(floats, pp=1.0)))
    far = float(hop_time(job, replace(floats, pp=math.inf)))
    per_domain = members_per_domain(job.cluster, floats.pp, floats.tp * floats.cp * floats.dp)
    return hops(near, far, int(per_domain))


def _blocks(job: Job, plan: OnePlan) -> bool:
    return job.framework.p2p_blocking and SCHEDULES[plan.schedule].may_block
