"""What a step adds behind its pipeline: gradient and parameter traffic that nothing hides, and the update."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from planner.blocks import operators
from planner.blocks.operator import Product, Share
from planner.blocks.record import Kind, still
from planner.cost import collectives
from planner.cost.memory import OPTIMIZERS, StateBytes
from planner.cost.operators import orthogonal_time
from planner.cost.quantize import gathered_bytes, weights_time
from planner.cost.recompute import recomputed_share
from planner.formula import formula
from planner.frozen import frozen
from planner.mesh import mesh
from planner.plan import Num, Plan, largest_of
from planner.schedules import Work
from planner.schema.hardware import Cluster
from planner.stages import Row, rows
from planner.training.adapters import adapter_parameters, narrowed, narrower_bytes, wide_experts
from planner.training.job import Job
from planner.training.layer import narrow_of, parameters_of, share_of
from planner.training.memory import state_bytes


@frozen
class Carried:
    """What the pipeline rank with most of each holds: parameters that are there, and those that are trained.

    Attributes:
        dense, expert: all of them; trained, trained_expert: those that gradients are reduced for; layers: blocks.
        units: these, and layers of a tower.
        narrow, narrow_expert: those of products below 16 bit.
        matrices, expert_matrices: seconds that a matrix optimizer takes for all of them.
    """

    dense: Num
    expert: Num
    trained: Num
    trained_expert: Num
    layers: Num
    narrow: Num
    narrow_expert: Num
    matrices: Num = 0.0
    expert_matrices: Num = 0.0
    units: Num = 0.0


@formula("most")
def carried(job: Job, plan: Plan, found: Sequence[Row] | None = None) -> Carried:
    """The largest over pipeline ranks of each; `found`: `planner.stages.rows`, where they are known."""
    of, share, found = job.structure, share_of(job, plan), found or rows(job.structure, plan)
    kinds = [_counted(job, kind, share) for kind in of.kinds]

    def most(values: Sequence[Num]) -> Num:
        return largest_of(row.sum(values) for row in found)

    dense, expert = most([one.dense for one in kinds]), most([one.expert for one in kinds])
    layers = largest_of(row.layers(of.blocks) for row in found)
    towers = [0.0] * of.ends + of.layered([1.0] * len(of.kinds))[of.ends :]
    units = largest_of(row.layers(of.blocks) + row.sum(towers) for row in found) if of.tower else layers
    narrow: tuple[Num, Num] = (0.0, 0.0)
    if job.recipe.quantize is not None or narrowed(job):
        experts = 0.0 if job.lora and wide_experts(job) else most([one.narrow_expert for one in kinds])
        narrow = most([one.narrow for one in kinds]), experts
    if job.lora:
        return Carried(dense, expert, most([one.adapters for one in kinds]), 0.0, layers, *narrow, units=units)
    trained = most([one.trained for one in kinds]) if any(map(still, of.kinds)) else dense
    return Carried(dense, expert, trained, expert, layers, *narrow, *_matrices(job, share, most), units)


def _matrices(job: Job, share: Share, most: Callable[[Sequence[Num]], Num]) -> tuple[Num, Num]:
    """Seconds to orthogonalise a rank's matrices, dense ones and experts'; embedding, head and vectors have Adam."""
    if not OPTIMIZERS[job.workload.optimizer].ends:
        return 0.0, 0.0
    dense, expert = ([_orthogonal(job, kind, share, of) for kind in job.structure.kinds] for of in (False, True))
    return most(dense), most(expert) if job.model.moe else 0.0


@formula(lambda job, kind, share, expert: f"{kind.title}{', experts' if expert else ''}", unit="s", scope=True)
def _orthogonal(job: Job, kind: Kind, share: Share, expert: bool) -> Num:
    acc, ops = job.cluster.accelerator, [op for op in operators(kind, share) if op.expert == expert]
    matrices = [op.work for op in ops if isinstance(op.work, Product) and op.part not in ("head", "embedding")]
    if still(kind):
        return 0.0
    return sum((orthogonal_time(acc, matrix) for matrix in matrices), start=0.0)


@frozen
class Counted:
    """Parameters of one block or end on one rank: all but routed experts, these, LoRA's adapters; of narrow ones.

    Attributes:
        trained: of `dense`, those with gradients.
    """

    dense: Num
    expert: Num
    adapters: Num
    narrow: Num
    narrow_expert: Num
    trained: Num = 0.0


@formula(lambda job, kind, *_: kind.title, scope=True)
def _counted(job: Job, kind: Kind, share: Share) -> Counted:
    ops = operators(kind, share)
    adapted = job.lora and not still(kind)
    adapters = adapter_parameters(job, ops) if adapted else 0.0
    dense, expert = parameters_of(ops)
    return Counted(dense, expert, adapters, *narrow_of(ops), 0.0 if still(kind) else dense)


@formula("dp_comm_exposed", "ZeRO 2020, arXiv:1910.02054, 7", "s")
def data_traffic(job: Job, plan: Plan, slowest: Work, held: Carried) -> Num:
    """Exposed part of gradient reduction and parameter gathering, over dp_shard*cp ranks (experts: edp).

    ZeRO 0: all-reduce of the gradient buffer; 1: reduce-scatter of it and all-gather of weights, hidden behind a
    share of the last micro-batch's backward pass. ZeRO 2 reduces, and ZeRO 3 also gathers twice (frozen weights too),
    for every micro-batch, hidden behind its passes. A share of the traffic hidden slows computation down (`dp_slowdown`
    at the end of a step, else `fsdp_slowdown`). Frameworks whose gathers block hide none; some gather a third time to
    recompute; where the pieces of a collective are a list, the host spends `host_member` on each rank's (DeepSpeed
    before 0.5.5, runtime/zero/partition_parameters.py).
    """
    framework, each, view = job.framework, state_bytes(job), mesh(plan)
    calls = np.where(plan.zero >= 3, framework.gathers * held.units, 1.0)[()]
    reduce: Num = 0.0
    gather: Num = 0.0
    all_reduce: Num = 0.0
    less = gathered_bytes(job.recipe, job.workload.fp8_param_gather) + narrower_bytes(job)
    shares = [(held.trained, held.dense, held.narrow, view.group("shard"))]
    if job.model.moe is not None:
        shares.append((held.trained_expert, held.expert, held.narrow_expert, view.group("edp")))
    copies = collectives.group(job.cluster, *view.group("replicate"))
    for count, whole, narrow, (size, stride) in shares:
        members = collectives.group(job.cluster, size, stride)
        weights: Num = np.where(plan.zero >= 3, whole, count)
        listed = np.where(plan.zero >= 3, calls * size * framework.host_member, 0.0)[()]
        reduce = reduce + collectives.reduce_scatter(members, each.gradient * count, calls) + listed
        reduce = reduce + collectives.all_reduce(copies, each.gradient * count / size)
        frozen = np.where(plan.zero >= 3, narrow, 0.0) if job.lora else narrow
        gather = gather + collectives.all_gather(members, each.gathered * weights - less * frozen, calls) + listed
        if job.workload.offload == "parameters":
            gather = gather + each.gathered * weights / size / job.cluster.accelerator.host_rate
        all_reduce = all_reduce + collectives.all_reduce(members, each.gradient * count)
        all_reduce = all_reduce + collectives.all_reduce(copies, each.gradient * count / size)
    last_backward = slowest.backward
    once = np.where(plan.zero >= 1, reduce + gather, all_reduce)
    at_end = _behind(once, framework.dp_hidden * last_backward, framework.dp_slowdown)
    forward = np.where(plan.zero >= 3, gather, 0.0)
    slowdown = 1.0 if framework.gathers_block else framework.fsdp_slowdown
    each_pass = _behind(forward, slowest.forward, slowdown)
    again = recomputed_share(plan.recompute_layers, plan.v, held.layers) if framework.regathers else 0.0
    gathers = 1.0 + again if framework.reshards else 0.0
    each_pass = each_pass + _behind(reduce + gathers * forward, last_backward, slowdown)
    gathered_once = np.where(plan.zero >= 3, 0.0, gather)
    return np.where(plan.zero >= 2, plan.m * each_pass + gathered_once, at_end)[()]


def _behind(traffic: Num, compute: Num, slowdown: float) -> Num:
    """What traffic adds to a pass that hides it: the excess, and the compute that it slows down."""
    return np.maximum(traffic - compute, 0.0) + slowdown * np.minimum(traffic, compute)


@formula("optimizer", unit="s")
def optimizer_time(job: Job, plan: Plan, held: Carried) -> Num:
    """Clip and update this rank's share at memory speed; offloaded, at the host's. Cast narrow weights.

    Reads every gradient once more for its norm. Matrix optimizers deal whole matrices out to the ranks. Paged moments
    come up and go down over the host link. Offloaded: gradients go down and 16-bit weights come up over the host link,
    and the CPU moves the update's bytes, and those of the framework's passes around it (`host_moved`), for all the
    node's accelerators through its own memory (Ren et al. 2021, arXiv:2101.06840, section 4).
    """
    acc, each = job.cluster.accelerator, state_bytes(job)
    view = mesh(plan)
    ranks = np.where(plan.zero >= 1, view.group("shard").size, 1.0)[()]
    expert_ranks = np.where(plan.zero >= 1, view.edp, 1.0)[()]
    mine = held.trained / ranks + held.trained_expert / expert_ranks
    whole = held.matrices / ranks + held.expert_matrices / expert_ranks
    if job.workload.offload in ("none", "activations"):
        paged = 2.0 * each.moments * mine / acc.host_rate if each.paged else 0.0
        moved = (each.traffic + each.gradient) * mine / (acc.bandwidth * acc.efficiency.memory)
        return moved + paged + whole + _cast(job, plan, held)
    away = offload_seconds_per_parameter(job.cluster, each, job.framework.host_moved)
    return mine * away + _cast(job, plan, held)


def _cast(job: Job, plan: Plan, held: Carried) -> Num:
    """Weights cast for products below 16 bit: once per step, or behind both gathers of every micro-batch of ZeRO-3."""
    if job.recipe.quantize is None or job.lora:
        return 0.0
    weights, primary = held.narrow + held.narrow_expert, job.workload.fp8_param_gather
    once = weights_time(job.cluster.accelerator, job.recipe, weights, primary)
    return np.where(plan.zero >= 3, 2.0 * plan.m, 1.0)[()] * once


def offload_seconds_per_parameter(cluster: Cluster, each: StateBytes, moved: float) -> float:
    """Transfer of one parameter's gradient and weight, and its update on the CPU that `used` accelerators share."""
    transfer = (each.gradient + each.gathered) / cluster.accelerator.host_rate
    return transfer + (each.traffic + moved) * cluster.used / cluster.node.host_bandwidth
