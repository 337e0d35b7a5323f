"""Where the bytes of one serving rank go, and how many tokens its KV cache holds."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np

from planner.blocks.operator import Cache, Operator
from planner.formula import formula
from planner.frozen import frozen
from planner.parts import Sum
from planner.plan import Num, Plan, largest_of, least_of
from planner.schema.formats import COMPUTED, NARROW, STORED
from planner.serving.job import ServeJob, copies, fullest, running, width
from planner.serving.pieces import images, once, pieces, span, stages
from planner.stages import Row, present, total


@frozen
class ServeMemory(Sum):
    """Bytes on one rank; the parts sum to `total`.

    Attributes:
        weights: of its layers, and its share of embedding and LM head; kv: of the requests that it runs.
        activations: of one step, its sampling included; reserve: context, graphs, communication buffers.
    """

    weights: Num
    kv: Num
    activations: Num
    reserve: Num


@frozen
class Rank:
    """What neighbouring pipeline ranks keep each.

    Attributes:
        weights: bytes; caches: of its mixers, with how many it has of each; element: bytes of one in the KV cache.
        shared: bytes of a cached prefix; room: what is left for the caches of requests and the prefix.
    """

    weights: Num
    caches: tuple[tuple[Num, Cache], ...]
    element: float
    shared: Num = 0.0
    room: Num = 0.0

    @formula("cache of a sequence", unit="bytes")
    def sequence(self, length: Num) -> Num:
        """Bytes that a sequence of so many tokens keeps."""
        return total([count * cache.held(length, self.element) for count, cache in self.caches], 0.0)


@once
def ranks(job: ServeJob, plan: Plan) -> tuple[Rank, ...]:
    """Every pipeline rank that differs from its neighbour; all ranks of its stage hold as much."""
    ops, working, reserve = pieces(job, plan), activation_bytes(job, plan), reserve_bytes(job, plan)
    weights = [sum(op.weights * job.stored(op) for op in each) for each in ops]
    found = [Rank(_weights(row, weights), tuple(_caches(row.counts, ops)), job.cached) for row in stages(job, plan)]
    prefix = job.workload.prefix
    shared = [one.sequence(1.0 * prefix) if prefix else 0.0 for one in found]
    rooms = [room(job, one.weights + working + reserve) for one in found]
    return tuple(replace(one, shared=s, room=r) for one, s, r in zip(found, shared, rooms, strict=True))


@formula("weights", unit="bytes")
def _weights(row: Row, each: list[Num]) -> Num:
    return row.sum(each)


def _caches(counts: tuple[Num, ...], ops: tuple[tuple[Operator, ...], ...]) -> list[tuple[Num, Cache]]:
    both = zip(counts, ops, strict=True)
    return [(n, op.cache) for n, each in both if present(n) for op in each if op.cache is not None]


def weight_bytes(job: ServeJob, plan: Plan) -> Num:
    """Weights of the fullest rank: linear layers as stored, the rest in 16 bit.

    LLaMA-2 70B in fp16 over 4 ranks: 138 GB / 4 = 34.5 GB for TP4; PP4 has the embedding or the head on its ends.
    """
    return largest_of(rank.weights for rank in ranks(job, plan))


def token_bytes(job: ServeJob, plan: Plan) -> Num:
    """KV bytes that one token of context leaves on one rank, where no window has passed it.

    LLaMA-2 70B in fp16, tp = 4: 512 * 2 * 80 = 81,920 bytes.
    """
    return largest_of(rank.sequence(1.0) - rank.sequence(0.0) for rank in ranks(job, plan))


def prompt_bytes(job: ServeJob, plan: Plan) -> Num:
    """KV bytes of a whole prompt, without its cached prefix, on the rank that has most of it."""
    return largest_of(rank.sequence(1.0 * job.workload.fresh) for rank in ranks(job, plan))


@once
def activation_bytes(job: ServeJob, plan: Plan) -> Num:
    """Working space of one step: as start-up tries it out, or what the engine sets aside."""
    return _tried(job, plan) if job.engine.aside is None else _aside(job, plan)


@formula("set aside", "sgl-project/sglang srt/arg_groups/memory_hook.py", "bytes")
def _aside(job: ServeJob, plan: Plan) -> Num:
    """fixed + token * chunk + graph * graphs + rank * ranks + prefill, `least` at least; more for copied attention.

    Check: one L40S: 512 + 1.5 * 4096 + 2 * 32 + 128 = 6,848 MiB beside graphs of prompts, as SGLang 0.5.5 logs it.
    """
    engine, many = job.engine, copies(plan)
    of, (narrow, wide) = engine.aside, engine.graphs
    assert of is not None
    graphs = np.where(width(plan) < 4.0, narrow, wide)
    copied = of.copy_graph * graphs * many * np.where(graphs > of.many, 1.5, 1.0)
    prompts = of.prefill if job.model.mla is None else of.latent
    each = of.fixed + of.token * max(engine.chunk, of.tokens) + of.graph * graphs + of.rank * width(plan) * plan.pp
    taken = each + prompts + np.where(many > 1.0, copied, 0.0)
    return np.maximum(taken, of.least if job.cluster.accelerator.memory >= of.above else 0.0)


@formula("activations", unit="bytes")
def _tried(job: ServeJob, plan: Plan) -> Num:
    """Working space of one prefill step of `chunk` tokens: residual, norm and output, and what the fullest part hands
    on inside. Before it the tower has that of the images in a chunk, one at least; after it the logits of the
    requests that start-up tries are sampled. The most of the three, and beside it what experts' kernels keep.
    """
    tokens: Num = np.minimum(1.0 * job.engine.chunk, job.model.context)
    kept = _buffers(job, tokens) + _gathered(job, plan, tokens)
    of, each = job.structure, pieces(job, plan)
    layers = tokens * (3.0 * job.element * job.model.hidden + _largest(each[: of.blocks]) / span(job))
    text = np.maximum(layers, job.engine.sampled * job.engine.tried * job.model.vocab)
    if not job.workload.images or job.model.tower is None:
        return kept + text
    seen = images(job)
    together = np.minimum(
        seen.count, np.maximum(np.floor(tokens / job.model.tower.tokens(job.workload.image_size)), 1.0)
    )
    one = 3.0 * job.element * job.model.tower.hidden * seen.patches + _largest(each[of.ends :]) / seen.count
    return kept + np.maximum(text, together * one)


@formula("experts' buffers", "vllm-project/vllm v1/worker/workspace.py, layers/fused_moe/fused_moe.py", "bytes")
def _buffers(job: ServeJob, tokens: Num) -> Num:
    """2 * top_k * tokens * width of an expert's input; none where weights are widened."""
    moe, of = job.model.moe, COMPUTED[job.format("experts")]
    widened = STORED[job.format("experts")] < STORED[of] if of not in NARROW else not job.multiplies(of)
    if moe is None or widened or job.cluster.accelerator.generation not in job.engine.buffers:
        return 0.0
    return 2.0 * job.element * moe.top_k * tokens * (moe.latent or job.model.hidden)


@formula("gathered tokens", "NVIDIA/TensorRT-LLM _torch/modules/fused_moe/fused_moe_cutlass.py", "bytes")
def _gathered(job: ServeJob, plan: Plan, tokens: Num) -> Num:
    """Where the attention is copied: a chunk of every copy on its way to experts, and what they make of it in 16 bit.

    As many as max_num_tokens * dp_size, the default of moe_max_num_tokens; with more copies than a node has, only those
    sent to a rank, top_k chunks. DeepSeek-V3 in 16 bit, 8 copies, chunks of 8,192: 4 * 65,536 * 7,168 bytes = 1.75 GiB.
    """
    moe, many = job.model.moe, copies(plan)
    if moe is None:
        return 0.0
    chunks = np.minimum(many, max(moe.top_k, job.cluster.node.count))
    each = (job.dispatched + job.element) * tokens * (moe.latent or job.model.hidden)
    return np.where(many > 1.0, chunks * each, 0.0)[()]


def _largest(kinds: tuple[tuple[Operator, ...], ...]) -> Num:
    """The most that a mixer or feed-forward part of these kinds hands on inside (bytes)."""
    largest: Num = 0.0
    for ops in kinds:
        inside = [op for op in ops if op.part not in ("norms", "residual")]
        for mixer in (True, False):
            largest = np.maximum(largest, sum(op.saved for op in inside if (op.part == "attention") is mixer))
    return largest


@formula("reserve", unit="bytes")
def reserve_bytes(job: ServeJob, plan: Plan) -> Num:
    """Context and graphs, and buffers of collectives where a stage has several ranks."""
    return job.engine.reserve + np.where(width(plan) > 1.0, job.engine.reserve_group, 0.0)


@formula("room", unit="bytes")
def room(job: ServeJob, fixed: Num) -> Num:
    """Bytes left for keys and values beside what is fixed; negative where that alone does not fit.

    utilisation * memory - fixed, or utilisation * (memory - fixed), as the engine defines its share.
    """
    whole, used = job.cluster.accelerator.memory, job.engine.utilisation
    return used * (whole - fixed) if job.engine.utilisation_of == "free" else used * whole - fixed


def spare(job: ServeJob, plan: Plan, requests: Num, length: Num) -> Num:
    """Bytes that the fullest rank has left with so many requests of a length, and a cached prefix; may be negative."""
    each = fullest(plan, requests)
    return least_of(r.room - r.shared - each * r.sequence(length) for r in ranks(job, plan))


def _sequences(job: ServeJob, plan: Plan, length: Num, shared: bool) -> Num:
    """Sequences of a length that a replica's caches hold, beside the prefix or its tokens included; a rank without
    caches sets no limit.
    """
    held = []
    for rank in ranks(job, plan):
        left, each = rank.room - rank.shared if shared else rank.room, rank.sequence(length)
        limited = np.where((each > 0.0) | (left < 0.0), left, np.inf)
        held.append(limited / np.where(each > 0.0, each, 1.0))
    return np.maximum(least_of(held), 0.0) * copies(plan)


def kv_tokens(job: ServeJob, plan: Plan) -> Num:
    """Tokens of context that one replica's cache holds, in sequences of the workload's length.

    Check: LLaMA-2 70B in fp16 on 4 x A100-40GB holds about 14 thousand; measured between 8 and 16 thousand (vLLM).
    """
    return job.workload.length * _sequences(job, plan, 1.0 * job.workload.length, False)


def reached(job: ServeJob) -> Num:
    """Tokens that a running request keeps for itself: to its end, or half way there where engines evict."""
    return job.workload.fresh + (0.5 if job.engine.evicts else 1.0) * job.workload.output


@formula("most requests")
def most_running(job: ServeJob, plan: Plan) -> Num:
    """Requests that one replica can run together: by KV cache, at most the engine's limit; less than 1: none.

    A cached prefix is kept once. Every copy of the attention has a scheduler with a limit of its own (TensorRT-LLM:
    max_batch_size per rank).
    """
    by_cache = _sequences(job, plan, reached(job), True)
    return np.minimum(by_cache, job.engine.most * copies(plan))


def memory(job: ServeJob, plan: Plan) -> ServeMemory:
    """Bytes on the fullest rank with the plan's requests in flight."""
    each, beside = fullest(plan, running(plan)), (activation_bytes(job, plan), reserve_bytes(job, plan))
    held = [ServeMemory(r.weights, each * r.sequence(reached(job)) + r.shared, *beside) for r in ranks(job, plan)]
    return reduce(_fuller, held)


def _fuller(one: ServeMemory, other: ServeMemory) -> ServeMemory:
    """Plan by plan the fuller of two ranks."""
    mask = one.total >= other.total
    weights, kv = (np.where(mask, getattr(one, n), getattr(other, n))[()] for n in ("weights", "kv"))
    return replace(one, weights=weights, kv=kv)
