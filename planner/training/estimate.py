"""The time of one optimizer step, for one plan or a million."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from planner.blocks.record import Structure
from planner.cost import collectives
from planner.cost.memory import Memory
from planner.cost.recompute import recomputed_share
from planner.cost.runs import at, distinct
from planner.formula import formula
from planner.frozen import frozen
from planner.parts import Sum
from planner.plan import Index, Num, Plan
from planner.schedules import SCHEDULES, Stage, Stages, Work
from planner.schema.recipe import size
from planner.stages import Row, chunk_table, rows
from planner.training.job import Job
from planner.training.layer import Pass, Piece, pieces
from planner.training.memory import HeldRow, all_held, stage_fields
from planner.training.moments import activations_away, peak_memory
from planner.training.update import Carried, carried, data_traffic, optimizer_time


@frozen
class StepTime(Sum):
    """Seconds of one optimizer step along the slowest pipeline rank; the parts sum to `total`.

    Attributes:
        forward, backward, recompute: computation of all micro-batches on the slowest rank.
        tp_comm, cp_comm, ep_comm: exposed traffic inside those passes.
        pp_comm: what point-to-point sends add; bubble: idle time of that rank in the pipeline.
        dp_comm_exposed: gradient and parameter traffic that no computation hides.
        optimizer: the update; overhead: fixed time per step and waiting for the slowest rank.
    """

    forward: Num
    backward: Num
    recompute: Num
    tp_comm: Num
    cp_comm: Num
    ep_comm: Num
    pp_comm: Num
    bubble: Num
    dp_comm_exposed: Num
    optimizer: Num
    overhead: Num

    @property
    def bubble_fraction(self) -> Num:
        """Idle over pipeline time: (p-1)/(m+p-1) for even 1F1B."""
        busy = self.forward + self.backward + self.recompute + self.tp_comm + self.cp_comm + self.ep_comm
        return self.bubble / (busy + self.bubble)

    @property
    def bubble_overhead(self) -> Num:
        """Idle over busy: (p-1)/m for even 1F1B."""
        busy = self.forward + self.backward + self.recompute + self.tp_comm + self.cp_comm + self.ep_comm
        return self.bubble / busy


@frozen
class Estimate:
    """What a plan costs: peak memory, on which pipeline rank, the time of a step, and the moment of that peak.

    Attributes:
        moment: place in `MOMENTS`; moments: bytes of that rank at each of them.
    """

    memory: Memory
    rank: Num
    time: StepTime
    moment: Num = 0.0
    moments: tuple[Num, ...] = ()


@frozen
class PricedRow:
    """What neighbouring ranks with equal rows do each for one micro-batch, without recomputation.

    Attributes:
        first, ranks, layers: which ranks, and their blocks.
        blocks: forward passes of the blocks alone, which full recomputation runs again; again: of recomputed modules.
        weight: the part of the backward that computes weight gradients.
    """

    first: Num
    ranks: Num
    layers: Num
    forward: Pass
    backward: Pass
    blocks: Pass
    again: Pass
    weight: Num


@frozen
class StagePass:
    """One rank's work for one micro-batch."""

    forward: Pass
    backward: Pass
    recompute: Pass
    weight: Num

    @property
    @formula("work", unit="s")
    def work(self) -> Work:
        """Forward and backward time as schedules see them; recomputation runs in the backward."""
        return Work(self.forward.total, self.backward.total + self.recompute.total, self.weight)


class Ranks:
    """What the pipeline ranks of a plan or of many hold and do in their passes, evaluated when it is asked for, once.

    It is of one plan of each run of neighbours that agree in what it depends on. Jobs that differ in how the weights
    are updated share it, and so do rows and those `places` of them that a part is.
    """

    def __init__(self, job: Job, plan: Plan, whole: Ranks | None = None, places: Index = 0) -> None:
        self.job, self.plan = job, plan.floats()
        self._once, self._run = whole, places
        if whole is None or len(whole.plan.shape) != 1:
            once, run = distinct(self.plan, stage_fields(job))
            self._once, self._run = (None, 0) if run is None else (Ranks(job, once), run)
        elif whole._once is not None:
            self._once, self._run = whole._once, np.asarray(whole._run)[places]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """How many blocks of which kind they have."""
        return rows(self.job.structure, self.plan)

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Every kind of block and end, priced."""
        return at(self._once.pieces, self._run) if self._once else pieces(self.job, self.plan)

    @cached_property
    def held(self) -> tuple[HeldRow, ...]:
        """What they hold."""
        return at(self._once.held, self._run) if self._once else all_held(self.job, self.plan, self.rows)

    @cached_property
    def priced(self) -> tuple[PricedRow, ...]:
        """What they do for a micro-batch."""
        if self._once:
            return at(self._once.priced, self._run)
        return tuple(_priced_row(self.pieces, self.job.structure, row) for row in self.rows)

    @cached_property
    def carried(self) -> Carried:
        """The most parameters on any of them."""
        return at(self._once.carried, self._run) if self._once else carried(self.job, self.plan, self.rows)


def estimate(job: Job, plan: Plan, ranks: Ranks | None = None) -> Estimate:
    """Memory and time of a plan (numbers) or of many (arrays), by the same operations in the same order."""
    ranks = ranks or Ranks(job, plan)
    peak = peak_memory(job, ranks.plan, ranks.held)
    return Estimate(peak.memory, peak.rank, step_time(job, ranks.plan, ranks), peak.moment, peak.totals)


@formula("", unit="s")
def step_time(job: Job, plan: Plan, ranks: Ranks | None = None) -> StepTime:
    """T = T_pipeline(stages, m, v) + p2p + exposed DP traffic + optimizer + overhead.

    T_pipeline is the schedule's closed form over uneven stages; what exceeds m micro-batches on the slowest rank is
    bubble.
    """
    ranks = ranks or Ranks(job, plan)
    slowest, stages = _stages(plan, ranks.priced)
    schedule = SCHEDULES[plan.schedule]
    pipeline = _pipeline(plan, stages)
    busy = plan.m * slowest.work.total
    p2p = schedule.exposed_p2p(
        plan.pp, plan.m, plan.v, hop_time(job, plan), job.framework.p2p_blocking, job.framework.p2p_exposed
    )
    total = slowest.forward + slowest.backward + slowest.recompute
    held = ranks.carried
    return StepTime(
        forward=plan.m * slowest.forward.compute,
        backward=plan.m * slowest.backward.compute,
        recompute=plan.m * slowest.recompute.compute,
        tp_comm=plan.m * total.tp_comm,
        cp_comm=plan.m * total.cp_comm,
        ep_comm=plan.m * total.ep_comm,
        pp_comm=p2p,
        bubble=np.maximum(pipeline - busy, 0.0),
        dp_comm_exposed=data_traffic(job, plan, slowest.work, held),
        optimizer=optimizer_time(job, plan, held),
        overhead=_offloading(job, plan, slowest)
        + job.framework.step
        + np.where(plan.pp > 1.0, job.framework.jitter * pipeline, 0.0),
    )


def _offloading(job: Job, plan: Plan, slowest: StagePass) -> Num:
    """What activations cost that go to the host behind the forward pass and come back behind the backward."""
    if job.workload.offload != "activations":
        return 0.0
    trip = activations_away(job, plan) / job.cluster.accelerator.host_rate
    passes = (slowest.forward.total, slowest.backward.total)
    return plan.m * sum(np.maximum(trip - one, 0.0) for one in passes)


@formula("pipeline", lambda plan, stages: SCHEDULES[plan.schedule].source, "s")
def _pipeline(plan: Plan, stages: Stages) -> Num:
    return SCHEDULES[plan.schedule].pipeline_time(stages, plan.m, plan.v)


@formula(lambda kinds, of, row: f"rank {row.first:g}", unit="s", scope=True)
def _priced_row(kinds: tuple[Piece, ...], of: Structure, row: Row) -> PricedRow:
    zero = Pass(0.0)
    return PricedRow(
        row.first,
        row.ranks,
        row.layers(of.blocks),
        row.sum([one.forward for one in kinds], zero),
        row.sum([one.backward for one in kinds], zero),
        row.sum(of.repeated([one.forward for one in kinds]), zero),
        row.sum(of.repeated([one.again for one in kinds]), zero),
        row.sum([one.weight for one in kinds]),
    )


@formula(lambda plan, row: f"rank {row.first:g}", unit="s", scope=True)
def _stage(plan: Plan, row: PricedRow) -> StagePass:
    """Work of a rank for one micro-batch, and what it runs again.

    Of pipelines that share the ranks a micro-batch takes one: the mean of their chunks.
    """
    again = recomputed_share(plan.recompute_layers, plan.v, row.layers)
    recompute = again * row.blocks
    if plan.modules:
        recompute = recompute + (1.0 - again) * row.again
    pipelines = SCHEDULES[plan.schedule].copies(plan.v)
    if not np.any(np.asarray(pipelines) != 1):
        return StagePass(row.forward, row.backward, recompute, row.weight)
    one = 1.0 / pipelines
    return StagePass(one * row.forward, one * row.backward, one * recompute, one * row.weight)


def _stages(plan: Plan, priced: tuple[PricedRow, ...]) -> tuple[StagePass, Stages]:
    """The slowest rank's passes, and all ranks as the schedule's closed form wants them."""
    passes = [_stage(plan, row) for row in priced]
    stages = Stages(plan.pp, tuple(Stage(r.first, r.ranks, p.work) for r, p in zip(priced, passes, strict=True)))
    slowest = passes[0]
    for one in passes[1:]:
        slowest = _slower(one, slowest)
    return slowest, stages


def _slower(one: StagePass, other: StagePass) -> StagePass:
    """Plan by plan the slower of two ranks."""
    mask = one.work.total > other.work.total

    def choose(x: Pass, y: Pass) -> Pass:
        pairs = zip(x.parts.values(), y.parts.values(), strict=True)
        return Pass(*(np.where(mask, a, b)[()] for a, b in pairs))

    weight: Num = np.where(mask, one.weight, other.weight)
    return StagePass(
        choose(one.forward, other.forward),
        choose(one.backward, other.backward),
        choose(one.recompute, other.recompute),
        weight,
    )


def hop_time(job: Job, plan: Plan) -> Num:
    """Time of one boundary tensor's send: b*s*h/(cp*tp) activations.

    Each tensor-parallel rank sends its 1/tp, by sequence parallelism or by scatter/gather (Narayanan 2021, section
    4.1); the gather inside the node that the latter needs is left out (0.1 ms against 50 s for 530B).
    """
    return collectives.hop(job.cluster, boundary_bytes(job, plan), plan.tp * plan.cp * plan.dp, plan.pp)


def boundary_bytes(job: Job, plan: Plan) -> Num:
    """What one rank hands on of a micro-batch: b*s*h/(cp*tp) activations."""
    return size(job.recipe.activations) * plan.b * job.workload.seq / plan.cp * job.model.hidden / plan.tp


def pipeline_stages(job: Job, plan: Plan) -> Stages:
    """The pipeline's stages as a schedule's closed form sees them."""
    plan = plan.floats()
    return _stages(plan, Ranks(job, plan).priced)[1]


def kind_seconds(job: Job, plan: Plan, ranks: Ranks | None = None) -> list[float]:
    """Seconds of both passes over each kind of block and end of one plan, what full recomputation repeats included."""
    again, found = 1.0 if plan.recompute_layers > 0 else 0.0, (ranks or Ranks(job, plan)).pieces
    repeated = job.structure.repeated([one.forward.total for one in found])
    return [
        float(one.forward.total + one.backward.total + again * more) for one, more in zip(found, repeated, strict=True)
    ]


def chunk_works(job: Job, plan: Plan) -> list[list[Work]]:
    """Times of every (rank, chunk) of one plan: of the blocks and ends that it holds."""
    floats, of = plan.floats(), job.structure
    kinds, one = pieces(job, floats), replace(floats, v=1.0)

    def work(counts: tuple[int, ...]) -> Work:
        row = Row(0.0, 1.0, tuple(map(float, counts)))
        found = _stage(one, _priced_row(kinds, of, row)).work
        return Work(float(found.forward), float(found.backward), float(found.weight_gradient))

    return [[work(counts) for counts in chunks] for chunks in chunk_table(of, plan)]
