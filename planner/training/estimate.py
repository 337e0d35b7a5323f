"""The time of one optimizer step, for one plan or a million."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from planner.blocks import operators
from planner.blocks.operator import Share
from planner.blocks.record import Kind
from planner.blocks.structure import structure
from planner.cost import collectives
from planner.cost.memory import Memory, StateBytes
from planner.cost.recompute import recomputed_share
from planner.cost.runs import on_equal
from planner.formula import formula
from planner.mesh import mesh
from planner.parts import Sum
from planner.plan import Num, Plan
from planner.schedules import SCHEDULES, Stage, Stages, Work
from planner.schema.hardware import Cluster
from planner.stages import Row, chunk_table, rows
from planner.training.job import Job
from planner.training.layer import STAGE, Pass, Piece, parameters_of, pieces, share_of
from planner.training.memory import adapter_parameters, peak_memory, state_bytes


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan costs: peak memory, on which pipeline rank, and the time of a step."""

    memory: Memory
    rank: Any
    time: StepTime


@dataclass(frozen=True, slots=True)
class PricedRow:
    """What neighbouring ranks with equal rows do each for one micro-batch, without recomputation.

    Attributes:
        first, ranks, layers: which ranks, and their blocks.
        blocks: forward passes of the blocks alone, which full recomputation runs again; core: of attention cores.
        weight: the part of the backward that computes weight gradients.
    """

    first: Num
    ranks: Num
    layers: Num
    forward: Pass
    backward: Pass
    blocks: Pass
    core: Num
    weight: Num


@dataclass(frozen=True, slots=True)
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


def estimate(job: Job, plan: Plan) -> Estimate:
    """Memory and time of a plan (numbers) or of many (arrays), by the same operations in the same order."""
    plan = plan.floats()
    memory, rank = peak_memory(job, plan)
    return Estimate(memory, rank, step_time(job, plan))


@formula("", unit="s")
def step_time(job: Job, plan: Plan) -> StepTime:
    """T = T_pipeline(stages, m, v) + p2p + exposed DP traffic + optimizer + overhead.

    T_pipeline is the schedule's closed form over uneven stages; what exceeds m micro-batches on the slowest rank is
    bubble.
    """
    slowest, stages = _stages(plan, priced_rows(job, plan))
    schedule = SCHEDULES[plan.schedule]
    pipeline = _pipeline(plan, stages)
    busy = plan.m * slowest.work.total
    p2p = schedule.exposed_p2p(
        plan.pp, plan.m, plan.v, hop_time(job, plan), job.framework.p2p_blocking, job.framework.p2p_exposed
    )
    total = slowest.forward + slowest.backward + slowest.recompute
    held = carried(job, plan)
    return StepTime(
        forward=plan.m * slowest.forward.compute,
        backward=plan.m * slowest.backward.compute,
        recompute=plan.m * slowest.recompute.compute,
        tp_comm=plan.m * total.tp_comm,
        cp_comm=plan.m * total.cp_comm,
        ep_comm=plan.m * total.ep_comm,
        pp_comm=p2p,
        bubble=np.maximum(pipeline - busy, 0.0),
        dp_comm_exposed=_data_traffic(job, plan, slowest, held),
        optimizer=_optimizer_time(job, plan, held),
        overhead=job.framework.step + np.where(plan.pp > 1.0, job.framework.jitter * pipeline, 0.0),
    )


@formula("pipeline", lambda plan, stages: SCHEDULES[plan.schedule].source, "s")
def _pipeline(plan: Plan, stages: Stages) -> Num:
    return SCHEDULES[plan.schedule].pipeline_time(stages, plan.m, plan.v)


def priced_rows(job: Job, plan: Plan) -> tuple[PricedRow, ...]:
    """The rows of a plan, evaluated once per run of plans that differ in ZeRO stage and recomputed layers only."""

    def each(plan: Plan) -> tuple[PricedRow, ...]:
        of, kinds = structure(job.model), pieces(job, plan)
        return tuple(_priced_row(kinds, of.blocks, row) for row in rows(of, plan))

    return on_equal(each, plan, STAGE)


@formula(lambda kinds, blocks, row: f"rank {row.first:g}", unit="s", scope=True)
def _priced_row(kinds: tuple[Piece, ...], blocks: int, row: Row) -> PricedRow:
    zero = Pass(0.0)
    return PricedRow(
        row.first,
        row.ranks,
        row.layers(blocks),
        row.sum([one.forward for one in kinds], zero),
        row.sum([one.backward for one in kinds], zero),
        row.sum([one.forward for one in kinds[:blocks]], zero),
        row.sum([one.core for one in kinds]),
        row.sum([one.weight for one in kinds]),
    )


@formula(lambda plan, row: f"rank {row.first:g}", unit="s", scope=True)
def _stage(plan: Plan, row: PricedRow) -> StagePass:
    """Work of a rank for one micro-batch, and what it runs again.

    Of pipelines that share the ranks a micro-batch takes one: the mean of their chunks.
    """
    again = recomputed_share(plan.recompute_layers, plan.v, row.layers)
    recompute = again * row.blocks
    if plan.selective:
        recompute = recompute + Pass((1.0 - again) * row.core)
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
    """Time of one boundary tensor's send: 2*b*s*h/(cp*tp) bytes.

    Each tensor-parallel rank sends its 1/tp, by sequence parallelism or by scatter/gather (Narayanan 2021, section
    4.1); the gather inside the node that the latter needs is left out (0.1 ms against 50 s for 530B).
    """
    moved = 2.0 * plan.b * job.workload.seq / plan.cp * job.model.hidden / plan.tp
    return collectives.hop(job.cluster, moved, plan.tp * plan.cp * plan.dp, plan.pp)


@dataclass(frozen=True, slots=True)
class Carried:
    """What the pipeline rank with most of each holds: parameters that are there, and those that are trained.

    Attributes:
        dense, expert: all of them; trained, trained_expert: those that gradients are reduced for; layers: blocks.
    """

    dense: Num
    expert: Num
    trained: Num
    trained_expert: Num
    layers: Num


@formula("most")
def carried(job: Job, plan: Plan) -> Carried:
    """The largest over pipeline ranks of each."""
    return on_equal(lambda plan: _carried(job, plan), plan, STAGE)


def _carried(job: Job, plan: Plan) -> Carried:
    of, share = structure(job.model), share_of(job, plan)
    kinds, found = [_counted(job, kind, share) for kind in of.kinds], rows(of, plan)

    def most(values: Sequence[Num]) -> Num:
        return reduce(np.maximum, [row.sum(values) for row in found])

    dense, expert = most([one.dense for one in kinds]), most([one.expert for one in kinds])
    layers = reduce(np.maximum, [row.layers(of.blocks) for row in found])
    if job.lora:
        return Carried(dense, expert, most([one.adapters for one in kinds]), 0.0, layers)
    return Carried(dense, expert, dense, expert, layers)


@dataclass(frozen=True, slots=True)
class Counted:
    """Parameters of one block or end on one rank: all but routed experts, these, and LoRA's adapters."""

    dense: Num
    expert: Num
    adapters: Num


@formula(lambda job, kind, *_: kind.title, scope=True)
def _counted(job: Job, kind: Kind, share: Share) -> Counted:
    ops = operators(kind, share)
    return Counted(*parameters_of(ops), adapter_parameters(ops, job.workload.lora_rank) if job.lora else 0.0)


@formula("dp_comm_exposed", "ZeRO 2020, arXiv:1910.02054, 7", "s")
def _data_traffic(job: Job, plan: Plan, slowest: StagePass, held: Carried) -> Num:
    """Exposed part of gradient reduction and parameter gathering, over dp_shard*cp ranks (experts: edp).

    ZeRO 0: all-reduce of the gradient buffer; 1: reduce-scatter of it and all-gather of 16-bit weights, hidden behind a
    share of the last micro-batch's backward pass. ZeRO 2 reduces, and ZeRO 3 also gathers twice (frozen weights too),
    for every micro-batch, hidden behind its passes, which it slows down by a share of the traffic hidden. Frameworks
    whose gathers block hide none; some gather a third time to recompute; where the pieces of a collective are a list,
    the host spends `host_member` on each rank's (DeepSpeed before 0.5.5, runtime/zero/partition_parameters.py).
    """
    framework, each, view = job.framework, state_bytes(job), mesh(plan)
    calls = np.where(plan.zero >= 3, framework.gathers * held.layers, 1.0)[()]
    reduce: Num = 0.0
    gather: Num = 0.0
    all_reduce: Num = 0.0
    shares = [(held.trained, held.dense, view.group("shard"))]
    if job.model.moe is not None:
        shares.append((held.trained_expert, held.expert, view.group("edp")))
    copies = collectives.group(job.cluster, *view.group("replicate"))
    for count, frozen, (size, stride) in shares:
        members = collectives.group(job.cluster, size, stride)
        weights: Num = np.where(plan.zero >= 3, frozen, count)
        listed = np.where(plan.zero >= 3, calls * size * framework.host_member, 0.0)[()]
        reduce = reduce + collectives.reduce_scatter(members, each.gradient * count, calls) + listed
        reduce = reduce + collectives.all_reduce(copies, each.gradient * count / size)
        gather = gather + collectives.all_gather(members, each.weight * weights, calls) + listed
        all_reduce = all_reduce + collectives.all_reduce(members, each.gradient * count)
        all_reduce = all_reduce + collectives.all_reduce(copies, each.gradient * count / size)
    last_backward = slowest.work.backward
    once = np.where(plan.zero >= 1, reduce + gather, all_reduce)
    at_end = np.maximum(once - framework.dp_hidden * last_backward, 0.0)
    forward = np.where(plan.zero >= 3, gather, 0.0)
    slowdown = 1.0 if framework.gathers_block else framework.fsdp_slowdown
    each_pass = _behind(forward, slowest.work.forward, slowdown)
    again = recomputed_share(plan.recompute_layers, plan.v, held.layers) if framework.regathers else 0.0
    each_pass = each_pass + _behind(reduce + (1.0 + again) * forward, last_backward, slowdown)
    gathered_once = np.where(plan.zero >= 3, 0.0, gather)
    return np.where(plan.zero >= 2, plan.m * each_pass + gathered_once, at_end)[()]


def _behind(traffic: Num, compute: Num, slowdown: float) -> Num:
    """What traffic adds to a pass that hides it: the excess, and the compute that it slows down."""
    return np.maximum(traffic - compute, 0.0) + slowdown * np.minimum(traffic, compute)


@formula("optimizer", unit="s")
def _optimizer_time(job: Job, plan: Plan, held: Carried) -> Num:
    """Clip and update this rank's share at memory speed; offloaded, at the host's.

    Reads every gradient once more for its norm. Offloaded: gradients go down and 16-bit weights come up over the host
    link, and the CPU moves the update's bytes for all the node's accelerators through its own memory (Ren et al. 2021,
    arXiv:2101.06840, section 4).
    """
    acc, each = job.cluster.accelerator, state_bytes(job)
    view = mesh(plan)
    ranks = np.where(plan.zero >= 1, view.group("shard").size, 1.0)[()]
    expert_ranks = np.where(plan.zero >= 1, view.edp, 1.0)[()]
    mine = held.trained / ranks + held.trained_expert / expert_ranks
    if job.workload.offload == "none":
        return (each.traffic + each.gradient) * mine / (acc.bandwidth * acc.efficiency.memory)
    return mine * offload_seconds_per_parameter(job.cluster, each)


def offload_seconds_per_parameter(cluster: Cluster, each: StateBytes) -> float:
    """Transfer of one parameter's gradient and weight, and its update on the CPU that `used` accelerators share."""
    transfer = (each.gradient + each.weight) / cluster.accelerator.host_rate
    return transfer + each.traffic * cluster.used / cluster.node.host_bandwidth


def pipeline_stages(job: Job, plan: Plan) -> Stages:
    """The pipeline's stages as a schedule's closed form sees them."""
    plan = plan.floats()
    return _stages(plan, priced_rows(job, plan))[1]


def chunk_works(job: Job, plan: Plan) -> list[list[Work]]:
    """Times of every (rank, chunk) of one plan: of the blocks and ends that it holds."""
    floats, of = plan.floats(), structure(job.model)
    kinds, one = pieces(job, floats), replace(floats, v=1.0)

    def work(counts: tuple[int, ...]) -> Work:
        row = Row(0.0, 1.0, tuple(map(float, counts)))
        found = _stage(one, _priced_row(kinds, of.blocks, row)).work
        return Work(float(found.forward), float(found.backward), float(found.weight_gradient))

    return [[work(counts) for counts in chunks] for chunks in chunk_table(of, plan)]
