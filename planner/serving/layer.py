"""What one rank does in one step of inference: its blocks' operators, priced (seconds)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import ClassVar

import numpy as np

from planner.blocks.operator import Cache, Core, Logits, Operator, Product, Scan, Stream, Traffic
from planner.blocks.record import Experts, Head, Kind, Seeing
from planner.cost import collectives, dispatch
from planner.cost import operators as kernels
from planner.cost.collectives import Group
from planner.formula import formula
from planner.frozen import frozen
from planner.parts import Sum
from planner.plan import Num, Plan
from planner.schema.formats import NARROW
from planner.serving.job import ServeJob, copies, fullest
from planner.serving.pieces import groups, images, pieces, span, stages
from planner.stages import present, total


@frozen
class Work(Sum):
    """Seconds of a piece of a step.

    Attributes:
        weights: reading them, at the memory's rate; kv: reading keys, values and states.
        compute: what products, prompts' attention and element-wise work add to that.
        all_reduce: collectives over tp and ep; kernels: the fixed cost of all launches.
    """

    weights: Num = 0.0
    kv: Num = 0.0
    compute: Num = 0.0
    all_reduce: Num = 0.0
    kernels: Num = 0.0

    __array_ufunc__: ClassVar[None] = None

    def __add__(self, other: Work) -> Work:
        return Work(*map(_plus, self.parts.values(), other.parts.values()))

    def __rmul__(self, factor: Num) -> Work:
        return Work(*(factor * part if present(part) else 0.0 for part in self.parts.values()))


def _plus(x: Num, y: Num) -> Num:
    return x + y if present(x) and present(y) else x if present(x) else y


@frozen
class Tokens:
    """What one step carries through a stage.

    Attributes:
        decode: sequences that grow by one token; context: tokens that each has behind it.
        prefill: prompt tokens, if all copies of the attention had as many as the fullest; held: share of them that
            there are.
    """

    decode: Num = 0.0
    context: Num = 0.0
    prefill: Num = 0.0
    held: Num = 1.0

    @property
    def all(self) -> Num:
        """Rows of the matrix products, in as many copies of the attention as there are."""
        return self.decode + self.prefill

    @property
    def routed(self) -> Num:
        """Rows that are sent to experts."""
        return self.decode + self.prefill * self.held


@frozen
class Step:
    """One step of a job under a plan.

    Attributes:
        scale: rows in the fullest copy of the attention over those that `pieces` are for; routed: as many of experts
            as all copies have on average; prompt: share of them that prompts have.
        tp, wide: groups that tensor parallelism and experts cross; core: precision of prompts' attention.
    """

    job: ServeJob
    plan: Plan
    tokens: Tokens
    scale: Num
    routed: Num
    prompt: Num
    tp: Group
    wide: Group
    core: str

    def rows(self, op: Operator) -> Num:
        """The scale of an operator."""
        return self.routed if op.part == "experts" else self.scale


def stage(job: ServeJob, plan: Plan, tokens: Tokens) -> Work:
    """The slowest stage of a replica: the blocks and ends that it holds. The head sees one row of a sequence."""
    scale, prompt = _scale(job, plan, tokens.all), tokens.prefill / tokens.all
    routed = scale if np.all(tokens.held == 1.0) else _scale(job, plan, tokens.routed)
    step = Step(job, plan, tokens, scale, routed, prompt, *groups(job, plan), job.prompted)
    last = replace(step, scale=_scale(job, plan, tokens.decode + tokens.prefill / job.workload.fresh))
    kinds = zip(job.structure.kinds, pieces(job, plan), strict=True)
    works = [
        Work() if isinstance(kind, Seeing) else _kind(last if isinstance(kind, Head) else step, kind, ops)
        for kind, ops in kinds
    ]
    held = [row.sum(works, Work()) for row in stages(job, plan)]
    return reduce(_slower, held)


@formula("image encoder", unit="s", scope=True)
def encoder(job: ServeJob, plan: Plan) -> Work:
    """A vision tower's work on all images of a prompt, in 16 bit, by the ranks of one copy of the attention."""
    of, (_, wide) = job.structure, groups(job, plan)
    split = collectives.group(job.cluster, images(job).ranks(plan.tp), 1.0)
    step = Step(job, plan, Tokens(prefill=1.0), 1.0, 1.0, 1.0, split, wide, job.wide)
    both = zip(of.kinds[of.ends :], pieces(job, plan)[of.ends :], of.tower, strict=True)
    return summed([float(count) * _kind(step, kind, ops) for kind, ops, count in both])


@formula("scale")
def _scale(job: ServeJob, plan: Plan, rows: Num) -> Num:
    return rows / copies(plan) / span(job)


def _slower(one: Work, other: Work) -> Work:
    """Plan by plan the slower of two stages."""
    mask = one.total >= other.total
    return Work(*(np.where(mask, x, y)[()] for x, y in zip(one.parts.values(), other.parts.values(), strict=True)))


@formula(lambda step, kind, ops: kind.title, unit="s", scope=True)
def _kind(step: Step, kind: Kind, ops: tuple[Operator, ...]) -> Work:
    """A block or an end: its operators, and the kernels that go with each of its parts beside them.

    It takes no less than the host needs to launch it, where it does so layer by layer (rounded maximum).
    """
    engine = step.job.engine
    small = engine.small_kernels * getattr(kind, "parts", 0) / 2
    if isinstance(getattr(kind, "feed", None), Experts):
        small = small + engine.routing
    work = summed([*(_operator(step, op) for op in ops), Work(kernels=small * engine.kernel)])
    if not (engine.host_layer and step.job.launched(kind)):
        return work
    return replace(work, kernels=work.kernels + kernels.smooth_max(work.total, engine.host_layer) - work.total)


def summed(works: Sequence[Work]) -> Work:
    """Part by part."""
    columns = zip(*(work.parts.values() for work in works), strict=True)
    return Work(*(total([part for part in column if present(part)], 0.0) for column in columns))


@formula(lambda step, op: op.name, unit="s")
def _operator(step: Step, op: Operator) -> Work:
    """One operator's work, what it sends, and what it reads of the sequences that decode."""
    work, sent = _computed(step, op), [_traffic(step, op, one) for one in op.traffic]
    if sent:
        work = replace(work, all_reduce=total(sent, 0.0))
    return work if op.cache is None else work + _cached(step, op.cache)


def _computed(step: Step, op: Operator) -> Work:
    acc, kernel, scale = step.job.cluster.accelerator, step.job.engine.kernel, step.rows(op)
    match op.work:
        case Product():
            return _product(step, op, op.work)
        case Core():
            return Work(compute=_prompt(step, op.work), kernels=kernel)
        case Scan():
            mine = step.prompt * scale
            work = replace(op.work, flops=op.work.flops * mine, moved=op.work.moved * mine, kernels=0.0)
            return Work(compute=kernels.scan_time(acc, step.job.wide, work, 1.0, "forward"), kernels=kernel)
        case Stream():
            return Work(compute=kernels.streaming_time(acc, scale * op.work.moved, 0.0))
        case Logits():
            logits = step.job.element * scale * op.work.rows * op.work.columns * op.work.tp
            return Work(all_reduce=_all_reduce(step, logits / 2.0))
    return Work()


def _product(step: Step, op: Operator, gemm: Product) -> Work:
    """A linear layer in one kernel, and those that scale its input. Of experts only those that some token meets.

    Each of E/ep local ones is met with the probability 1 - (1 - k/E)^m, and then by m*k/(E that are met) tokens.
    """
    job, engine, of, tile = step.job, step.job.engine, step.job.computed(op), None
    gemm = replace(gemm, m=step.rows(op) * gemm.m)
    if gemm.grouped and (moe := job.model.moe):
        share, tile = met(moe.top_k / moe.experts, step.tokens.routed), engine.expert_tile
        gemm = replace(gemm, m=gemm.m / share, count=gemm.count * share)
    weights, compute = kernels.linear_time(job.cluster.accelerator, of, gemm, job.stored(op), tile)
    launches = 1.0 + (engine.quantise if of in NARROW else 0.0)
    return Work(weights=weights, compute=compute, kernels=engine.kernel * launches)


@formula("share of experts met")
def met(chosen: float, tokens: Num) -> Num:
    """Share of a layer's experts that at least one of `tokens` is sent to, each to the same share: 1 - (1 - k/E)^m."""
    return 1.0 - np.power(1.0 - chosen, tokens)


def _prompt(step: Step, core: Core) -> Num:
    """Prompts' part of the attention core: whole tiles of their causal square."""
    job, square = step.job, step.prompt * step.scale * core.square_flops * (core.computed / core.side)
    shape = (np.minimum(core.computed, core.span), (core.qk + core.value) / 2)
    return kernels.prefill_core_time(job.cluster.accelerator, step.core, square, *shape, job.kernel)


def _cached(step: Step, cache: Cache) -> Work:
    """Every decoding sequence reads what it meets of its cache once, and reads and writes its state."""
    job, sequences = step.job, fullest(step.plan, step.tokens.decode)
    keys = sequences * cache.met(step.tokens.context)
    moved = keys * cache.each * (cache.bytes or job.cached) + 2.0 * sequences * cache.state
    kv, compute = kernels.decode_core_time(job.cluster.accelerator, job.wide, moved, keys * cache.flops, job.kernel)
    return Work(kv=kv, compute=compute)


def _traffic(step: Step, op: Operator, one: Traffic) -> Num:
    """An all-reduce behind attention and one behind the feed-forward part, into which shared experts' and etp's go.

    What training counts as half a call in each pass is a whole one here; what only its backward sends is none.
    """
    copied, whole = copies(step.plan) > 1.0, step.rows(op) * one.bytes
    if op.part == "head" or one.axis == "etp":
        return 0.0
    if one.axis == "ep":
        joined = 0.5 * _all_reduce(step, whole * step.plan.tp)
        outward = step.job.dispatched / step.job.element if one is op.traffic[0] else 1.0
        return np.where(copied, _exchange(step, one, whole, outward), joined)[()] if np.any(copied) else joined
    once = np.ceil(one.calls) * _all_reduce(step, whole)
    return np.where(copied, once, 0.0)[()] if op.part == "shared" else once


def _exchange(step: Step, one: Traffic, tokens: Num, narrow: float) -> Num:
    """Tokens of copied attention on their way to their experts, or back.

    All ranks of a stage gather all tokens, and scatter what their experts give (vllm-project/vllm config/parallel.py,
    all2all_backend). Beyond a domain DeepEP sends a token once to each domain and rank; so do engines inside one of
    several nodes, where there are more ranks than experts of a token (NVIDIA/TensorRT-LLM
    _torch/modules/fused_moe/fused_moe_wide_ep.py, select_alltoall_method_type), with `narrow` of their 16-bit bytes.
    Ranks wait for the slowest throughout, so that `collective` lengthens the whole of it.
    """
    cluster, wide, routing = step.job.cluster, step.wide, (one.copies, one.groups, one.among)
    inside = dispatch.dispatch(cluster, wide, tokens, routing, "allgather")
    beyond = dispatch.dispatch(cluster, wide, narrow * tokens, routing, "deepep")
    sent = (wide.domains > 1.0) | ((wide.size > one.copies) & (cluster.domain > cluster.node.count))
    return step.job.engine.collective * np.where(sent, beyond, inside)[()]


def _all_reduce(step: Step, whole: Num) -> Num:
    """Over the ranks of tensor parallelism, as the engine runs it."""
    engine = step.job.engine
    return collectives.small_all_reduce(step.job.cluster, step.tp, whole, engine.peer, engine.collective)
