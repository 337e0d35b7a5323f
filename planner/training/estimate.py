"""The time of one optimizer step, for one plan or a million."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.architecture import Sum, model_flops, padded_vocabulary
from planner.cost import collectives
from planner.cost.memory import Memory, StateBytes
from planner.cost.recompute import recomputed_layers
from planner.cost.runs import on_runs
from planner.plan import Num, Plan
from planner.schedules import SCHEDULES, Stages, Work
from planner.schema.hardware import Cluster
from planner.training.job import Job
from planner.training.layer import Pass, Piece, embedding, head, layer, layer_parameters
from planner.training.memory import adapter_parameters, peak_memory, state_bytes
from planner.training.split import Split, layers_per_rank, split_layers


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
class Pieces:
    """Both passes of a layer, the embedding and the head, for one micro-batch."""

    layer: Piece
    embedding: Piece
    head: Piece


@dataclass(frozen=True, slots=True)
class StagePass:
    """One rank's work for one micro-batch."""

    forward: Pass
    backward: Pass
    recompute: Pass
    weight: Num

    @property
    def work(self) -> Work:
        """Forward and backward time as schedules see them; recomputation runs in the backward."""
        return Work(self.forward.total, self.backward.total + self.recompute.total, self.weight)


def estimate(job: Job, plan: Plan) -> Estimate:
    """Memory and time of a plan (numbers) or of many (arrays), by the same operations in the same order."""
    plan = plan.floats()
    memory, rank = peak_memory(job, plan)
    return Estimate(memory, rank, step_time(job, plan))


def step_time(job: Job, plan: Plan) -> StepTime:
    """T = T_pipeline(stages, m, v) + p2p + exposed DP traffic + optimizer + overhead.

    T_pipeline is the schedule's closed form over uneven stages; what exceeds m micro-batches on the slowest rank is
    bubble.
    """
    piped = np.where(plan.pp > 1.0, 1.0, 0.0)[()]
    parts = on_runs(lambda *row: _pieces(job, *row), plan.tp, plan.cp, plan.ep, plan.sp, plan.b, piped)
    split = split_layers(job.model.layers, plan.pp, plan.head)
    slowest, stages = _stages(job, plan, parts, split)
    schedule = SCHEDULES[plan.schedule]
    pipeline = schedule.pipeline_time(stages, plan.m, plan.v)
    busy = plan.m * slowest.work.total
    p2p = schedule.exposed_p2p(
        plan.pp, plan.m, plan.v, hop_time(job, plan), job.framework.p2p_blocking, job.framework.p2p_exposed
    )
    total = slowest.forward + slowest.backward + slowest.recompute
    trained = trained_parameters(job, plan)
    return StepTime(
        forward=plan.m * slowest.forward.compute,
        backward=plan.m * slowest.backward.compute,
        recompute=plan.m * slowest.recompute.compute,
        tp_comm=plan.m * total.tp_comm,
        cp_comm=plan.m * total.cp_comm,
        ep_comm=plan.m * total.ep_comm,
        pp_comm=p2p,
        bubble=np.maximum(pipeline - busy, 0.0),
        dp_comm_exposed=_data_traffic(job, plan, slowest, trained),
        optimizer=_optimizer_time(job, plan, trained),
        overhead=job.framework.step + np.where(plan.pp > 1.0, job.framework.jitter * pipeline, 0.0),
    )


def _pieces(job: Job, tp: Num, cp: Num, ep: Num, sp: Num, b: Num, piped: Num) -> Pieces:
    return Pieces(layer(job, tp, cp, ep, sp, b, piped), embedding(job, tp, cp, sp, b), head(job, tp, cp, b))


def _stage(plan: Plan, parts: Pieces, layers: Num, has_embedding: Num, has_head: Num) -> StagePass:
    """Work of a rank with `layers` layers and, where the flags are 1, the embedding or the head."""
    again = recomputed_layers(plan.recompute_layers, plan.v, layers)
    forward = layers * parts.layer.forward
    recompute = again * parts.layer.forward
    if plan.selective:
        recompute = recompute + Pass((layers - again) * parts.layer.core)
    ends_forward = has_embedding * parts.embedding.forward + has_head * parts.head.forward
    ends_backward = has_embedding * parts.embedding.backward + has_head * parts.head.backward
    weight = layers * parts.layer.weight + has_head * parts.head.weight
    return StagePass(forward + ends_forward, layers * parts.layer.backward + ends_backward, recompute, weight)


def _stages(job: Job, plan: Plan, parts: Pieces, split: Split) -> tuple[StagePass, Stages]:
    """The slowest rank's passes, and all ranks as the schedule's closed form wants them."""
    alone = np.where(plan.pp > 1.0, 0.0, 1.0)[()]
    first = _stage(plan, parts, split.first, 1.0, alone)
    middle = _stage(plan, parts, split.middle, 0.0, 0.0)
    last = _stage(plan, parts, split.last, alone, 1.0)
    shorter = _stage(plan, parts, split.middle - 1.0, 0.0, 0.0)
    less = Work(
        middle.work.forward - shorter.work.forward,
        middle.work.backward - shorter.work.backward,
        middle.weight - shorter.weight,
    )
    stages = Stages(plan.pp, first.work, middle.work, last.work, split.short, less)
    slowest = _slower(plan.pp > 1.0, last, first)
    return _slower(plan.pp > 2.0, middle, slowest), stages


def _slower(exists: Any, one: StagePass, other: StagePass) -> StagePass:
    """Row by row the slower of two ranks; `one` only where it exists."""
    mask = exists & (one.work.total > other.work.total)

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


def held_parameters(job: Job, plan: Plan) -> tuple[Num, Num]:
    """Parameters of the rank with most layers, dense and of routed experts. One rank alone holds both ends."""
    layers = split_layers(job.model.layers, plan.pp, plan.head).middle
    dense, expert = layer_parameters(job, plan.tp, plan.ep)
    end = padded_vocabulary(job.model, plan.tp) * job.model.hidden / plan.tp
    ends = np.where(plan.pp > 1.0, 1.0, 1.0 if job.model.tied_embeddings else 2.0) * end
    return layers * dense + ends, layers * expert


def trained_parameters(job: Job, plan: Plan) -> tuple[Num, Num]:
    """Those of them that gradients are reduced for: all, or adapters."""
    if not job.lora:
        return held_parameters(job, plan)
    layers = split_layers(job.model.layers, plan.pp, plan.head).middle
    return layers * adapter_parameters(job, plan.tp, plan.ep), 0.0


def _data_traffic(job: Job, plan: Plan, slowest: StagePass, trained: tuple[Num, Num]) -> Num:
    """Exposed part of gradient reduction and parameter gathering, over dp*cp ranks (experts: dp*cp/ep).

    ZeRO 0: all-reduce of the gradient buffer; 1: reduce-scatter of it and all-gather of 16-bit weights, hidden behind a
    share of the last micro-batch's backward pass. ZeRO 2 reduces, and ZeRO 3 also gathers twice (frozen weights too),
    for every micro-batch, hidden behind its passes, which it slows down by a share of the traffic hidden. Frameworks
    whose gathers block hide none; some gather a third time to recompute; where the pieces of a collective are a list,
    the host spends `host_member` on each rank's (DeepSpeed before 0.5.5, runtime/zero/partition_parameters.py).
    """
    framework, each, ranks = job.framework, state_bytes(job), plan.dp * plan.cp
    layers = split_layers(job.model.layers, plan.pp, plan.head).middle
    calls = np.where(plan.zero >= 3, framework.gathers * layers, 1.0)[()]
    reduce: Num = 0.0
    gather: Num = 0.0
    all_reduce: Num = 0.0
    held = held_parameters(job, plan) if job.lora else trained
    shares = [(trained[0], held[0], ranks, plan.tp)]
    if job.model.moe is not None:
        shares.append((trained[1], held[1], ranks / plan.ep, plan.tp * plan.ep))
    for count, frozen, size, stride in shares:
        members = collectives.group(job.cluster, size, stride)
        weights: Num = np.where(plan.zero >= 3, frozen, count)
        listed = np.where(plan.zero >= 3, calls * size * framework.host_member, 0.0)[()]
        reduce = reduce + collectives.reduce_scatter(members, each.gradient * count, calls) + listed
        gather = gather + collectives.all_gather(members, each.weight * weights, calls) + listed
        all_reduce = all_reduce + collectives.all_reduce(members, each.gradient * count)
    last_backward = slowest.work.backward
    once = np.where(plan.zero >= 1, reduce + gather, all_reduce)
    at_end = np.maximum(once - framework.dp_hidden * last_backward, 0.0)
    forward = np.where(plan.zero >= 3, gather, 0.0)
    slowdown = 1.0 if framework.gathers_block else framework.fsdp_slowdown
    each_pass = _behind(forward, slowest.work.forward, slowdown)
    again = recomputed_layers(plan.recompute_layers, plan.v, layers) / layers if framework.regathers else 0.0
    each_pass = each_pass + _behind(reduce + (1.0 + again) * forward, last_backward, slowdown)
    gathered_once = np.where(plan.zero >= 3, 0.0, gather)
    return np.where(plan.zero >= 2, plan.m * each_pass + gathered_once, at_end)[()]


def _behind(traffic: Num, compute: Num, slowdown: float) -> Num:
    """What traffic adds to a pass that hides it: the excess, and the compute that it slows down."""
    return np.maximum(traffic - compute, 0.0) + slowdown * np.minimum(traffic, compute)


def _optimizer_time(job: Job, plan: Plan, trained: tuple[Num, Num]) -> Num:
    """Clip and update this rank's share at memory speed; offloaded, at the host's.

    Reads every gradient once more for its norm. Offloaded: gradients go down and 16-bit weights come up over the host
    link, and the CPU moves the update's bytes for all the node's accelerators through its own memory (Ren et al. 2021,
    arXiv:2101.06840, section 4).
    """
    acc, each = job.cluster.accelerator, state_bytes(job)
    ranks = np.where(plan.zero >= 1, plan.dp * plan.cp, 1.0)[()]
    expert_ranks = np.where(plan.zero >= 1, plan.dp * plan.cp / plan.ep, 1.0)[()]
    mine = trained[0] / ranks + trained[1] / expert_ranks
    if job.workload.offload == "none":
        return (each.traffic + each.gradient) * mine / (acc.bandwidth * acc.efficiency.memory)
    return mine * offload_seconds_per_parameter(job.cluster, each)


def offload_seconds_per_parameter(cluster: Cluster, each: StateBytes) -> float:
    """Transfer of one parameter's gradient and weight, and its update on the CPU that `used` accelerators share."""
    transfer = (each.gradient + each.weight) / cluster.accelerator.host_rate
    return transfer + each.traffic * cluster.used / cluster.node.host_bandwidth


def throughput(job: Job, seconds: Num) -> tuple[Num, Num]:
    """Tokens per second of the whole cluster, and MFU: model FLOPs per token * tokens/s over the peak of all.

    Model FLOPs are those of `architecture.model_flops`: no recomputation, attention over the whole square.
    """
    tokens = job.workload.global_batch * job.workload.seq / seconds
    peak = getattr(job.cluster.accelerator.peak, job.workload.precision) * job.cluster.gpus
    return tokens, tokens * model_flops(job.model, float(job.workload.seq), job.lora) / peak


def pipeline_stages(job: Job, plan: Plan) -> Stages:
    """The pipeline's stages as a schedule's closed form sees them."""
    plan = plan.floats()
    piped = np.where(plan.pp > 1.0, 1.0, 0.0)[()]
    parts = _pieces(job, plan.tp, plan.cp, plan.ep, plan.sp, plan.b, piped)
    return _stages(job, plan, parts, split_layers(job.model.layers, plan.pp, plan.head))[1]


def chunk_works(job: Job, plan: Plan) -> list[list[Work]]:
    """Times of every (rank, chunk) of one plan, the embedding in the first stage and the head in the last.

    A rank's layers are spread evenly over its chunks; where chunks are copies of stages, each has the stage's.
    """
    p, v, floats = int(plan.pp), int(plan.v), plan.floats()
    parts = _pieces(job, floats.tp, floats.cp, floats.ep, floats.sp, floats.b, float(p > 1))
    placement, split = SCHEDULES[plan.schedule].placement, layers_per_rank(job.model.layers, p, int(plan.head))
    last, share = placement.stages(p, v) - 1, 1.0 if placement.whole else float(v)

    def work(rank: int, chunk: int) -> Work:
        stage = placement.stage(rank, chunk, p)
        layers = float(split[stage if placement.copies else rank])
        return _chunk(floats, parts, layers, share, float(stage == 0), float(stage == last))

    return [[work(rank, chunk) for chunk in range(v)] for rank in range(p)]


def _chunk(plan: Plan, parts: Pieces, layers: float, share: float, has_embedding: float, has_head: float) -> Work:
    """A part of a rank's layers, and whole ends."""
    inner = _stage(plan, parts, layers, 0.0, 0.0).work
    whole = _stage(plan, parts, layers, has_embedding, has_head).work
    return Work(
        float(inner.forward / share + whole.forward - inner.forward),
        float(inner.backward / share + whole.backward - inner.backward),
        float(inner.weight_gradient / share + whole.weight_gradient - inner.weight_gradient),
    )
