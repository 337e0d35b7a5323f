"""What each pipeline rank of a training plan holds: states after ZeRO, activations by policy, bytes of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.blocks import operators
from planner.blocks.operator import Operator, Share
from planner.blocks.record import Block, Kind, Structure, still
from planner.blocks.tower import seen
from planner.cost.memory import StateBytes, optimizer_states
from planner.cost.quantize import resident_bytes
from planner.cost.recompute import Kept, away_bytes
from planner.cost.runs import on_equal
from planner.formula import formula
from planner.frozen import frozen
from planner.mesh import mesh
from planner.plan import Num, Plan
from planner.schedules import SCHEDULES
from planner.schedules.front import in_front
from planner.schedules.fullest import Fullest
from planner.schema.formats import STORED
from planner.schema.recipe import size
from planner.stages import Row, present, rows
from planner.training.activations import kept_beside, kept_block, late_bytes, loss_bytes, working_bytes
from planner.training.adapters import (
    adapted,
    adapter_inputs,
    adapter_parameters,
    copied_experts,
    frozen_bytes,
    fused,
    gates_in_place,
    narrowed,
    wide_experts,
    widened,
    widened_bytes,
)
from planner.training.job import Job
from planner.training.layer import STAGE, narrow_of, parameters_of, share_of


@frozen
class Held:
    """What memory needs to know of one block or end on one rank.

    Attributes:
        dense, expert: parameters; adapters: LoRA's; frozen, frozen_expert: bytes of the base under them, or of what of
            a tower is not trained; read: elements of a block that adapters read.
        kept: activation bytes by policy; late: those that the weight gradient needs, inputs and gradients of outputs.
        logits: bytes of the loss; working: of its backward pass. narrow: parameters of products below 16 bit.
        away: activation bytes that modules hand to the host.
    """

    dense: Num
    expert: Num
    adapters: Num
    kept: Kept
    logits: Num
    working: Num
    late: Num
    narrow: Num
    frozen: Num = 0.0
    frozen_expert: Num = 0.0
    read: Num = 0.0
    away: Num = 0.0


@frozen
class HeldRow:
    """What neighbouring ranks with equal rows hold each: sums over their blocks and ends.

    Attributes:
        rank: the one of them that keeps most micro-batches in flight; flight: how many; waiting: further ones, whose
            weight gradient is all that is missing; fullest: where there are such ones, all states instead of these.
        layers: blocks; largest: parameters of the largest of them; ends: of embedding, head and final norm; widest: of
            the largest of these.
        kept: sums of whole and boundary, the largest working and freed.
        front: what of these the tower of the first chunk keeps; ahead: micro-batches that it has in flight, where they
            are more than the rank has.
    """

    rank: Num
    flight: Num
    waiting: Num
    layers: Num
    largest: Num
    ends: Num
    widest: Num
    held: Held
    fullest: Fullest | None = None
    front: Kept = Kept()
    ahead: Num = 0.0


def held_kinds(job: Job, plan: Plan) -> tuple[Held, ...]:
    """Every kind of the model's structure."""
    softmax = STORED["fp32"] if job.workload.attention == "eager" else 0.0
    share = replace(widened(job, plan, share_of(job, plan)), apart=job.framework.experts_apart, softmax=softmax)
    return tuple(held(job, plan, kind, share) for kind in job.structure.kinds)


def held_rows(job: Job, plan: Plan) -> tuple[HeldRow, ...]:
    """The rows of a plan, evaluated once per run of plans that differ in ZeRO stage and recomputed layers only."""
    return on_equal(lambda plan: all_held(job, plan, rows(job.structure, plan)), plan, stage_fields(job))


def stage_fields(job: Job) -> tuple[str, ...]:
    """Fields of a plan that say what a stage holds and does for one micro-batch."""
    return (*STAGE, "zero") if job.framework.fp32_stream else STAGE


def all_held(job: Job, plan: Plan, found: Sequence[Row]) -> tuple[HeldRow, ...]:
    """What the ranks of some rows hold."""
    kinds, of = held_kinds(job, plan), job.structure
    return tuple(one for row in found for one in rows_held(plan, kinds, of, row))


def rows_held(plan: Plan, kinds: tuple[Held, ...], of: Structure, row: Row) -> list[HeldRow]:
    """The ranks of a row that may be the fullest, with what a tower on them has ahead."""
    return [with_front(plan, kinds, of, row, one) for one in _fullest(plan, kinds, of, row)]


def _fullest(plan: Plan, kinds: tuple[Held, ...], of: Structure, row: Row) -> list[HeldRow]:
    """The fullest rank of a row, or, where the backward is split, those that may be."""
    schedule, ends = SCHEDULES[plan.schedule], (row.first, row.first + np.maximum(row.ranks - 1.0, 0.0))
    if schedule.fullest is not None:
        ranks = schedule.fullest(plan.pp, plan.m, plan.v, *ends)
        share = 1.0 / schedule.copies(plan.v)
        return [_held_row(kinds, of, row, rank, 0.0, states.times(share)) for rank, states in ranks]
    early, late = (schedule.in_flight(plan.pp, plan.m, plan.v, rank) for rank in ends)
    most = beside(plan, np.maximum(early, late), row.layers(of.blocks))
    return [_held_row(kinds, of, row, np.where(late > early, ends[1], ends[0])[()], most)]


def with_front(plan: Plan, kinds: tuple[Held, ...], of: Structure, row: Row, held: HeldRow) -> HeldRow:
    """A row with a tower, whose chunk has more micro-batches in flight than the mean of the rank's chunks."""
    if not (of.tower and present(row.counts[of.ends]) and np.any(plan.v > 1.0)):
        return held
    kept, others = [one.kept for one in kinds[of.ends :]], [0.0] * of.ends
    front = Kept(row.sum([*others, *(k.whole for k in kept)]), row.sum([*others, *(k.boundary for k in kept)]))
    if not np.any(front.whole > 0.0):
        return held
    ahead = np.where(plan.v > 1.0, in_front(plan.schedule, plan.pp, plan.m, plan.v), 0.0)[()]
    return replace(held, front=front, ahead=ahead)


def beside(plan: Plan, flight: Num, layers: Num) -> Num:
    """Micro-batches in flight where expert traffic runs beside another one's computation: no more than there are.

    Interleaved, the warm-up is a chunk longer; without a pipeline a layer of the next is kept while one of the last is
    freed (Megatron-LM core/pipeline_parallel/schedules.py, overlap_moe_expert_parallel_comm).
    """
    more = np.where(plan.pp > 1.0, 1.0 / plan.v, 1.0 / np.maximum(layers, 1.0))
    found: Num = np.minimum(flight + np.where(plan.overlap, more, 0.0), np.maximum(flight, plan.m))[()]
    return found


def resting(row: HeldRow) -> HeldRow:
    """A rank between its passes: no block is computed again, no loss is there."""
    kept = replace(row.held.kept, working=0.0, freed=0.0)
    return replace(row, held=replace(row.held, kept=kept, logits=0.0))


@formula(lambda kinds, of, row, *_: f"rank {row.first:g}", scope=True)
def _held_row(
    kinds: tuple[Held, ...], of: Structure, row: Row, rank: Num, flight: Num, fullest: Fullest | None = None
) -> HeldRow:
    ends = of.loose([one.dense for one in kinds])
    policy = Kept(
        row.sum([one.kept.whole for one in kinds]),
        row.sum([one.kept.boundary for one in kinds]),
        row.largest([one.kept.working + one.working for one in kinds]),
        row.largest([one.kept.freed + one.working for one in kinds]),
    )
    return HeldRow(
        rank,
        flight,
        0.0,
        row.layers(of.blocks),
        row.largest(of.layered([one.dense + one.expert for one in kinds])),
        row.sum(ends),
        row.largest(ends),
        Held(
            row.sum([one.dense for one in kinds]),
            row.sum([one.expert for one in kinds]),
            row.sum([one.adapters for one in kinds]),
            policy,
            row.sum([one.logits for one in kinds]),
            kinds[0].kept.boundary,
            row.sum(of.layered([one.late for one in kinds])) if fullest else 0.0,
            row.sum([one.narrow for one in kinds]),
            row.sum([one.frozen for one in kinds]),
            row.sum([one.frozen_expert for one in kinds]),
            row.sum([one.read for one in kinds]),
            row.sum([one.away for one in kinds]),
        ),
        fullest,
    )


@formula(lambda job, plan, kind, share: kind.title, "Korthikanti 2022, arXiv:2205.05198, 4.1", scope=True)
def held(job: Job, plan: Plan, kind: Kind, share: Share) -> Held:
    """Sums over the operators of one kind. Activations are those of blocks, times the framework's factor."""
    ops, share = operators(kind, share), seen(kind, share)
    dense, expert = parameters_of(ops)
    if still(kind):
        return _still(job, ops, dense)
    policy = kept_block(job, kind, ops, share, plan.modules) if isinstance(kind, Block) else kept_beside(job, kind, ops)
    logits = 0.0 if isinstance(kind, Block) else loss_bytes(job, plan, ops)
    adapters = adapter_parameters(job, ops) if job.lora else 0.0
    narrow = sum(narrow_of(ops)) if job.recipe.quantize else 0.0
    trained = [op for op in ops if adapted(job, op)] if job.lora else ops
    scattered = kind.hidden if isinstance(kind, Block) and not job.framework.gathered_inputs else None
    late = late_bytes(trained, share, scattered)
    kept, made = copied_experts(job, ops)
    working = working_bytes(ops, gates_in_place(job)) + (widened_bytes(job, ops) + made - kept if job.lora else 0.0)
    away = job.framework.activation_factor * away_bytes(ops, job.workload.offload_modules, plan.modules)
    base: tuple[Num, Num] = frozen_bytes(job, ops) if job.lora else (0.0, 0.0)
    read = adapter_inputs(job, ops) if job.lora else 0.0
    return Held(dense, expert, adapters, policy, logits, working, late, narrow, *base, read, away)


def _still(job: Job, ops: Sequence[Operator], dense: Num) -> Held:
    """Weights alone: in the format of a frozen base."""
    bytes = frozen_bytes(job, ops)[0] if job.lora else size(job.recipe.base) * dense
    return Held(dense if job.lora else 0.0, 0.0, 0.0, Kept(), 0.0, 0.0, 0.0, 0.0, bytes)


def state_bytes(job: Job) -> StateBytes:
    """Bytes per trained parameter in this job."""
    return optimizer_states(job.workload.optimizer, job.framework.gradient_bytes, job.recipe)


@frozen
class Shards:
    """Over how many ranks ZeRO divides what a plan holds, by the first stage that does: (all but experts, experts)."""

    optimizer: tuple[Num, Num]
    gradients: tuple[Num, Num]
    weights: tuple[Num, Num]


def shards_of(plan: Plan) -> Shards:
    """dp_shard*cp ranks share states, edp ranks those of experts."""
    view = mesh(plan)
    ranks = (view.group("shard").size, view.edp)

    def over(stage: int) -> tuple[Num, Num]:
        dense, expert = (np.where(plan.zero >= stage, size, 1.0)[()] for size in ranks)
        return dense, expert

    return Shards(over(1), over(2), over(3))


def divided(bytes: float, dense: Num, expert: Num, over: tuple[Num, Num]) -> Num:
    """Bytes per parameter times each rank's shard."""
    own = bytes * dense / over[0]
    return own + bytes * expert / over[1] if present(expert) else own


@frozen
class States:
    """Bytes of one rank after ZeRO that outlive a micro-batch.

    Attributes:
        weights: that it keeps; gathered: of two blocks, one in use and one prefetched, and of the ends where they stay
            gathered; gathered_ends: of one block and of the end that is in use. Where nothing is given back, of all.
        gradients, optimizer: of its shard.
    """

    weights: Num
    gathered: Num
    gathered_ends: Num
    gradients: Num
    optimizer: Num


@formula("", "ZeRO 2020, arXiv:1910.02054, 5", "bytes")
def states(job: Job, plan: Plan, row: HeldRow, shards: Shards) -> States:
    """Weights, gradients and optimizer states of one rank after ZeRO."""
    each, framework = state_bytes(job), job.framework
    dense, expert = row.held.dense, row.held.expert
    if job.lora:
        alone = fused(job.model, job.framework) and job.workload.quantize_experts
        weights = divided(1.0, row.held.frozen, 0.0 if alone else row.held.frozen_expert, shards.weights)
        weights = weights + row.held.frozen_expert if alone else weights
    else:
        weights = divided(each.weight, dense, expert, shards.weights)
    if framework.shard_is_master and each.master and not job.lora:
        weights = np.where(plan.zero >= 3, 0.0, weights)[()]
    if present(row.held.frozen) and not job.lora:
        weights = weights + divided(1.0, row.held.frozen, 0.0, shards.weights)
    if job.lora:
        dense, expert = row.held.adapters, 0.0
        weights = weights + each.weight * dense
    if present(row.held.narrow):
        primary, both = job.workload.fp8_param_gather, framework.transposed_weights
        copies = resident_bytes(job.cluster.accelerator, job.recipe, primary, both)
        weights = weights + np.where(plan.zero >= 3, 0.0, copies * row.held.narrow)[()]
    if job.workload.offload == "parameters":
        weights = np.where(plan.zero >= 3, 0.0, weights)[()]
    stashed = SCHEDULES[plan.schedule].stashed(plan.pp, plan.m, plan.v, row.rank)
    away = job.workload.offload in ("optimizer", "parameters")
    on_device = 0.0 if away else each.resident
    optimizer = divided(on_device + framework.sharded_bytes, dense, expert, shards.optimizer)
    if each.ends and not away and not job.lora:
        optimizer = optimizer + divided(each.ends, row.ends, 0.0, shards.optimizer)
    if framework.fixed_bytes:
        optimizer = optimizer + divided(framework.fixed_bytes, dense, expert, shards.weights)
    gathers = np.where(plan.zero >= 3, each.gathered, 0.0)[()]
    small = narrowed(job) and not (job.model.moe and wide_experts(job))
    largest = row.largest * (size(job.base) / size(job.recipe.base)) if small else row.largest
    blocks, ends = 2.0 * largest, largest + row.widest
    if not framework.reshards:
        blocks = ends = row.held.dense + row.held.expert
    elif framework.ends_stay:
        blocks, ends = blocks + row.ends, largest + row.ends
    return States(
        weights * stashed,
        gathers * blocks,
        gathers * ends,
        _gradients(job, plan, row, divided(each.gradient, dense, expert, shards.gradients)),
        optimizer,
    )


def _gradients(job: Job, plan: Plan, row: HeldRow, shard: Num) -> Num:
    """Gradients on the device: of a shard, of one block where each goes as it comes, or none where they are offloaded.

    DeepSpeed from ZeRO-2 on and FSDP copy a shard's gradient to the host behind its reduction and add there
    (`copy_grads_in_partition` of runtime/zero/stage_1_and_2.py, `grad_partitions_flat_buffer` of stage3.py; PyTorch
    distributed/fsdp/_fully_shard/_fsdp_collectives.py).
    """
    if job.in_backward:
        return state_bytes(job).gradient * lone(row)
    if job.workload.offload in ("optimizer", "parameters") and job.framework.offloads_gradients:
        return np.where(plan.zero >= 2, 0.0, shard)[()]
    return shard


def lone(row: HeldRow) -> Num:
    """Parameters whose gradient is there at once where each goes as it comes: at most those of a block or of an end."""
    return np.maximum(row.largest, row.widest)
