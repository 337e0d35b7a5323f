"""Peak memory of a training plan: over its pipeline ranks and over the moments of a step, the largest.

What one moment needs another has freed: the logits are gone before the last block is computed again, the activations
before the optimizer's temporaries come. So the peak is a maximum over moments, not a sum of all that ever exists.

| moment         | what is live beside weights and optimizer states                                       |
|----------------|----------------------------------------------------------------------------------------|
| load           | nothing, or the whole model where a checkpoint is read beside the shard                |
| loss           | activations of all micro-batches in flight, the logits                                 |
| backward       | the same activations, what the last block computes again, buffers of traffic; or, where |
|                | the backward is split, what waits for its weight gradient when a block is through       |
| reduction      | all gradients, what the first block computes again, buffers of traffic                 |
| optimizer step | all gradients, temporaries of the update                                               |

Weights that ZeRO-3 gathers are live in the passes, not in the step. Gradients that are freed after each update come to
life with the first backward pass: with one micro-batch they never meet all of its activations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import reduce
from itertools import chain

import numpy as np

from planner.blocks.counts import parameters
from planner.cost.memory import Memory
from planner.cost.recompute import recomputed_share
from planner.formula import formula
from planner.frozen import frozen
from planner.plan import Num, Plan, Truth, largest_of
from planner.schedules.fullest import State
from planner.schema.formats import STORED
from planner.schema.recipe import size
from planner.stages import present
from planner.training.job import Job
from planner.training.memory import HeldRow, Shards, States, divided, held_rows, lone, shards_of, state_bytes, states

MOMENTS = ("load", "loss", "backward", "reduction", "optimizer step")
"""In the order in which they come."""

FP32 = 4.0
"""Bytes."""


@frozen
class Peak:
    """The fullest moment of the fullest rank.

    Attributes:
        memory: what is live; moment: its place in MOMENTS; totals: bytes on this rank at each of them.
    """

    memory: Memory
    rank: Num
    moment: Num
    totals: tuple[Num, ...]


def peak_memory(job: Job, plan: Plan, held: tuple[HeldRow, ...] = ()) -> Peak:
    """The maximum over all ranks and moments; of equal ones the first. `held`: `held_rows`, where they are known."""
    return reduce(_fuller, rank_peaks(job, plan, held))


def rank_peaks(job: Job, plan: Plan, held: tuple[HeldRow, ...] = ()) -> list[Peak]:
    """The fullest moment of each row of equal ranks, on the fullest of them, from the first rank on."""
    return [reduce(_fuller, _peaks(found, rank)) for found, rank in rank_moments(job, plan, held)]


def _peaks(found: dict[str, Memory], rank: Num) -> Iterator[Peak]:
    totals = tuple(memory.total for memory in found.values())
    for place, memory in enumerate(found.values()):
        yield Peak(memory, rank, float(place), totals)


def rank_moments(job: Job, plan: Plan, held: tuple[HeldRow, ...] = ()) -> list[tuple[dict[str, Memory], Num]]:
    """What is live on the fullest of each row of equal ranks, by moment, and which rank it is."""
    shards = shards_of(plan)
    return [(moments(job, plan, row, shards), row.rank) for row in held or held_rows(job, plan)]


def peak_bytes(job: Job, plan: Plan, held: tuple[HeldRow, ...] = ()) -> Num:
    """The total of `peak_memory` alone, the same bits: what a search asks of every plan.

    Two moments are never the fullest: loading, where nothing is loaded whole, and the reduction of gradients that stay.
    """
    framework, shards = job.framework, shards_of(plan)
    never = {*(() if framework.load_bytes else ("load",)), *(() if framework.frees_gradients else ("reduction",))}
    found = [moments(job, plan, row, shards, never) for row in held or held_rows(job, plan)]
    return largest_of(one.total for each in found for one in each.values())


def reserved_bytes(job: Job, found: dict[str, Memory]) -> Num:
    """What the allocator of one rank holds at most.

    Blocks of gradients that another stream allocated and freed count on: CUDA's caching allocator keeps a pool for each
    stream (c10/cuda/CUDACachingAllocator.cpp).
    """
    gradients, context = found["optimizer step"].gradients, job.framework.reserve
    return largest_of(one.total - context + (gradients - one.gradients) for one in found.values())


def allocated_bytes(memory: Memory) -> Num:
    """What tensors take: all but the reserve."""
    return replace(memory, reserve=0.0).total


def _fuller(one: Peak, other: Peak) -> Peak:
    """Plan by plan the one of two that takes more."""
    more = other.memory.total > one.memory.total
    pairs = zip(one.memory.parts.values(), other.memory.parts.values(), strict=True)
    return Peak(
        Memory(*(_either(more, y, x) for x, y in pairs)),
        _either(more, other.rank, one.rank),
        _either(more, other.moment, one.moment),
        tuple(_either(more, y, x) for x, y in zip(one.totals, other.totals, strict=True)),
    )


def moments(job: Job, plan: Plan, row: HeldRow, shards: Shards, without: Collection[str] = ()) -> dict[str, Memory]:
    """What one rank holds at each moment, in order."""
    held = states(job, plan, row, shards)
    live = _live(job, plan, row, held)
    each: dict[str, Callable[[], Memory]] = {
        "load": lambda: _load(job, plan, held),
        "loss": lambda: _loss(job, row, held, live),
        "backward": lambda: _backward(job, held, live),
        "reduction": lambda: _reduction(job, held, live),
        "optimizer step": lambda: _step(job, held, _temporaries(job, plan, row, shards)),
    }
    return {name: of() for name, of in each.items() if name not in without}


@frozen
class Live:
    """Bytes that come and go.

    Attributes:
        activations: of the micro-batches in flight and of those that wait for their weight gradient, when a backward
            pass begins; where any wait, also in the loss, in other forward passes, and behind an input gradient.
        before: gradients that are there when a backward pass begins.
        working: of one block's backward pass, with what it computes again.
        traffic: buffers of the pipeline's sends and of the reduction of gradients.
    """

    activations: Num
    before: Num
    working: Num
    traffic: Num
    at_loss: Num = 0.0
    at_forward: Num = 0.0
    behind: Num = 0.0


@formula("", "Korthikanti 2022, arXiv:2205.05198, 5", "bytes")
def _live(job: Job, plan: Plan, row: HeldRow, held: States) -> Live:
    framework, reduced = job.framework, job.framework.reduced_bytes
    kept, again = row.held.kept, recomputed_share(plan.recompute_layers, plan.v, row.layers)
    boundary = np.where(plan.pp > 1.0, 4.0, 0.0) * row.held.working
    alone = np.where(plan.m > 1.0, held.gradients, 0.0)[()] if framework.frees_gradients else held.gradients
    reducing: Num = np.where(plan.zero >= 2, reduced, 0.0)[()] * row.largest if reduced else 0.0
    bucket: Num = 0.0
    if framework.ends_stay:
        reducing = reducing + np.where(plan.zero >= 3, state_bytes(job).gathered * row.ends, 0.0)[()]
    if framework.bucket:
        copied = np.where(plan.zero >= 3, np.minimum(framework.bucket, row.held.dense + row.held.expert), 0.0)[()]
        bucket = np.where(plan.zero >= 2, (framework.bucket + copied) * state_bytes(job).gradient, 0.0)[()]
    working = np.where(again > 0.0, kept.working, kept.freed)
    more: Num = 0.0
    if job.lora and framework.adapter_sharded:
        more = np.where(plan.zero >= 2, framework.adapter_sharded, 0.0)[()] * row.held.read
        working = working + np.where(again > 0.0, 1.0, 0.0)[()] * more / np.maximum(row.layers, 1.0)
    traffic = boundary if job.lora else boundary + reducing + bucket
    if row.fullest is None:
        return Live(_most(job, row, again, more, ((row.flight, row.waiting),)), alone, working, traffic)
    loss, forward, backward, behind = (_most(job, row, again, more, states) for states in row.fullest)
    return Live(backward, alone, working, traffic, loss, forward, behind)


def _most(job: Job, row: HeldRow, again: Num, more: Num, states: tuple[State, ...]) -> Num:
    """Bytes of activations in the state with most, with `more` of every micro-batch that is not computed again."""
    each = [on_device(job, row, again, state) for state in states]
    if present(more):
        each = [held + whole * (1.0 - again) * more for held, (whole, _) in zip(each, states, strict=True)]
    most: Num = 0.0
    return reduce(_larger, each, most)


def _larger(one: Num, other: Num) -> Num:
    """As `np.maximum`; an explanation has the larger one only."""
    return _either(other > one, other, one) if present(one) else other


def _either(first: Truth, one: Num, other: Num) -> Num:
    """Plan by plan one of two."""
    chosen: Num = one if one is other else np.where(first, one, other)[()]
    return chosen


def offloaded_activations(job: Job, plan: Plan) -> Num:
    """Bytes of activations of the rank with most, which lie in host memory where they are offloaded."""
    plan = plan.floats()
    rows = held_rows(job, plan)
    shares = [(row, recomputed_share(plan.recompute_layers, plan.v, row.layers)) for row in rows]
    return largest_of(_gone(job, row, again, at) for row, again in shares for at in _states(row))


def _states(row: HeldRow) -> tuple[State, ...]:
    return ((row.flight, row.waiting),) if row.fullest is None else tuple(chain(*row.fullest))


def activations_away(job: Job, plan: Plan) -> Num:
    """Bytes of one micro-batch that the rank with most sends to the host."""
    shares = [(row, recomputed_share(plan.recompute_layers, plan.v, row.layers)) for row in held_rows(job, plan)]
    return largest_of(_sent(job, row, again) for row, again in shares)


def _sent(job: Job, row: HeldRow, again: Num) -> Num:
    """Bytes of one micro-batch that a rank sends: the inputs of modules, or all that some of its layers keep."""
    return (1.0 - again) * row.held.away if job.workload.offload_modules else _away(job, row) * _each(row, again)


def _gone(job: Job, row: HeldRow, again: Num, state: State) -> Num:
    """Bytes of all micro-batches in flight that have been sent."""
    modules = job.workload.offload_modules
    return state[0] * _sent(job, row, again) if modules else _away(job, row) * stored(row, again, state)


def _away(job: Job, row: HeldRow) -> Num:
    """Share of a rank's layers whose activations are offloaded."""
    return np.minimum(job.offloaded_layers / np.maximum(row.layers, 1.0), 1.0)


def on_device(job: Job, row: HeldRow, again: Num, state: State) -> Num:
    """Bytes of activations on the device: all, or those of layers that stay and two blocks' worth of the others."""
    held = stored(row, again, state)
    if job.workload.offload != "activations":
        return held
    gone = _gone(job, row, again, state)
    near = 2.0 * (_sent(job, row, again) if job.workload.offload_modules else _each(row, again))
    return held - gone + np.minimum(gone, near / np.maximum(row.layers, 1.0))


def stored(row: HeldRow, again: Num, state: State) -> Num:
    """Bytes of the micro-batches in flight, and of those that wait for their weight gradient."""
    whole, waiting = state
    held = whole * _each(row, again)
    if present(row.ahead):
        more = np.clip(row.ahead - whole - waiting, 0.0, whole + waiting)
        held = held + more * (row.front.whole + again * (row.front.boundary - row.front.whole))
    return held + waiting * row.held.late if present(waiting) else held


def _each(row: HeldRow, again: Num) -> Num:
    """Bytes that a rank keeps of one micro-batch."""
    kept = row.held.kept
    return kept.whole + again * (kept.boundary - kept.whole)


@formula("load", unit="bytes", scope=True)
def _load(job: Job, plan: Plan, held: States) -> Memory:
    whole = job.framework.load_bytes * float(parameters(job.model).total) if job.framework.load_bytes else 0.0
    return _filled(job, held.weights + np.where(plan.zero >= 3, whole, 0.0)[()], 0.0, 0.0)


@formula("loss", unit="bytes", scope=True)
def _loss(job: Job, row: HeldRow, held: States, live: Live) -> Memory:
    weights, activations, logits = held.weights + held.gathered_ends, live.activations, row.held.logits
    if row.fullest is not None:
        plain = live.at_forward > live.at_loss + logits
        activations, logits = _either(plain, live.at_forward, live.at_loss), _either(plain, 0.0, logits)
    return _filled(job, weights, live.before, held.optimizer, activations, logits)


@formula("backward", unit="bytes", scope=True)
def _backward(job: Job, held: States, live: Live) -> Memory:
    weights, activations, working = held.weights + held.gathered, live.activations, live.working
    if present(live.behind):
        through = live.behind > activations + working
        activations, working = _either(through, live.behind, activations), _either(through, 0.0, working)
    return _filled(job, weights, live.before, held.optimizer, activations, 0.0, working + live.traffic)


@formula("reduction", unit="bytes", scope=True)
def _reduction(job: Job, held: States, live: Live) -> Memory:
    weights, buffers = held.weights + held.gathered, live.working + live.traffic
    return _filled(job, weights, held.gradients, held.optimizer, 0.0, 0.0, buffers)


@formula("optimizer step", unit="bytes", scope=True)
def _step(job: Job, held: States, temporaries: Num) -> Memory:
    return _filled(job, held.weights, held.gradients, held.optimizer, 0.0, 0.0, temporaries)


def _filled(
    job: Job,
    weights: Num,
    gradients: Num,
    optimizer: Num,
    activations: Num = 0.0,
    logits: Num = 0.0,
    buffers: Num = 0.0,
) -> Memory:
    """With the reserve: what is there whatever runs, and the blocks that the allocator cannot use again."""
    lost = job.framework.fragmentation * (activations + logits + buffers)
    return Memory(weights, gradients, optimizer, activations, logits, buffers, job.framework.reserve + lost)


@formula("temporaries", unit="bytes")
def _temporaries(job: Job, plan: Plan, row: HeldRow, shards: Shards) -> Num:
    """Bytes that live in the update only: of every parameter that a rank updates, or of as many as go at a time.

    PyTorch's Adam keeps one temporary of a moment's size for all parameters at once (foreach; torch/optim/adam.py);
    DeepSpeed turns 16-bit gradients into fp32: of a rank's whole shard (runtime/zero/stage_1_and_2.py), under ZeRO-3 of
    at most `sub_group_size` parameters (stage3.py). Weights kept in 8 bit alone are cast by way of 16 bit, all of a
    shard first (TransformerEngine pytorch/tensor/utils.py, cast_master_weights_to_fp8).
    """
    framework, each = job.framework, state_bytes(job)
    if job.workload.offload in ("optimizer", "parameters"):
        return 0.0
    more: Num = each.moments / 2.0 if framework.foreach else 0.0
    if framework.upcasts and each.master and each.gradient < FP32:
        more = more + FP32
    cast = _cast(job)
    if not (more or cast):
        return 0.0
    if cast:
        more = more + cast * row.held.narrow / np.maximum(row.held.dense + row.held.expert, 1.0)
    mine = updated(job, row, shards)
    most = np.where(plan.zero >= 3, framework.sub_group or np.inf, np.inf)[()]
    group: Num = np.minimum(mine, most)
    return more * group


def updated(job: Job, row: HeldRow, shards: Shards) -> Num:
    """Parameters that one rank updates at once."""
    if job.in_backward:
        return lone(row)
    if job.lora:
        return row.held.adapters / shards.optimizer[0]
    return divided(1.0, row.held.dense, row.held.expert, shards.optimizer)


def _cast(job: Job) -> float:
    """Bytes of the 16-bit copy through which an update casts a weight that is kept and sent in 8 bit alone."""
    primary = job.recipe.primary if job.workload.fp8_param_gather and not job.framework.shard_is_master else None
    return size(job.recipe.weights) if primary is not None and size(primary.gathered) < STORED["bf16"] else 0.0
