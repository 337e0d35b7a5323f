"""Both passes of every kind of block on one rank, priced on the job's hardware: sums over its operators (seconds)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from planner.blocks import operators
from planner.blocks.operator import TEXT, Axis, Core, Images, Logits, Operator, Product, Scan, Share, Stream, Traffic
from planner.blocks.record import Block, Experts, Kind, still
from planner.blocks.tower import idle, seen
from planner.cost import collectives, context
from planner.cost import operators as kernels
from planner.cost.dispatch import dispatch
from planner.cost.losses import LOSSES
from planner.cost.quantize import copies, quantize_time
from planner.formula import formula
from planner.frozen import frozen
from planner.mesh import Mesh
from planner.parts import Sum
from planner.plan import Num, Plan
from planner.schema.recipe import size
from planner.stages import present
from planner.training.adapters import added, widening_time
from planner.training.expert_time import beside, expert_wait
from planner.training.job import Job

ELEMENTWISE_BACKWARD = 1.7
"""Backward traffic of element-wise work over its forward traffic: reads the gradient and the saved input."""

LOOKUP_BACKWARD = 2.0
"""The same of a look-up, whose backward reads rows, adds and writes them."""

DIRECTIONS: tuple[kernels.Direction, ...] = ("forward", "backward")

LOSS_KERNELS = 4.0


@frozen
class Pass(Sum):
    """One pass over a piece of the model, per micro-batch: time on the accelerator's units and exposed traffic."""

    compute: Num
    tp_comm: Num = 0.0
    cp_comm: Num = 0.0
    ep_comm: Num = 0.0

    __array_ufunc__: ClassVar[None] = None
    # so that array * Pass comes to __rmul__ instead of an array of objects

    def __add__(self, other: Pass) -> Pass:
        return Pass(
            self.compute + other.compute,
            self.tp_comm + other.tp_comm,
            self.cp_comm + other.cp_comm,
            self.ep_comm + other.ep_comm,
        )

    def __rmul__(self, factor: Num) -> Pass:
        return Pass(*(factor * part if present(part) else 0.0 for part in self.parts.values()))


@frozen
class Piece:
    """Both passes of a block or an end.

    Attributes:
        again: what recomputation of modules runs again of it.
        weight: the part of the backward that computes weight gradients, which zero-bubble schedules run apart.
    """

    forward: Pass
    backward: Pass
    again: Pass
    weight: Num = 0.0


@frozen
class Times:
    """Seconds of one operator: forward, the backward for its input, the backward for its weights.

    sent, sent_back: what it sends over cp in each pass that it does not hide itself.
    """

    forward: Num = 0.0
    input_gradient: Num = 0.0
    weight_gradient: Num = 0.0
    sent: Num = 0.0
    sent_back: Num = 0.0


STAGE = ("tp", "cp", "ep", "etp", "sp", "b", "pp", "v", "head", "m")
"""Fields of a plan that say what a stage holds and does for one micro-batch; ZeRO and recomputation come on top."""


def share_of(job: Job, plan: Plan) -> Share:
    """One rank's share of a micro-batch of the job."""
    recipe, degrees = job.recipe, (plan.tp, plan.cp, plan.ep, plan.etp, plan.sp)
    sizes = (size(recipe.activations), size(recipe.operands), size(recipe.dispatched))
    whole = Share(plan.b, 1.0 * job.workload.seq, *degrees, job.flash, *sizes, plain=True, images=images(job))
    paired = np.where(plan.overlap, np.maximum(1.0 - plan.pp / plan.m, 0.0), 0.0)[()]
    return replace(whole, skew=job.workload.skew, dispatcher=plan.dispatcher, paired=paired)


def images(job: Job) -> Images:
    """What the job's vision tower sees."""
    of, work = job.model.tower, job.workload
    if of is None:
        return TEXT
    heads = of.heads if job.framework.splits_tower else 0
    return Images(1.0 * work.images, 1.0 * of.patches(int(work.image_size)), heads)


def pieces(job: Job, plan: Plan) -> tuple[Piece, ...]:
    """Every kind of the model's structure, priced."""
    share, piped = share_of(job, plan), np.where(plan.pp > 1.0, 1.0, 0.0)[()]
    return tuple(piece(job, kind, share, piped, plan.modules) for kind in job.structure.kinds)


@formula(lambda job, kind, *_: kind.title, unit="s", scope=True)
def piece(job: Job, kind: Kind, share: Share, piped: Num = 0.0, modules: tuple[str, ...] = ()) -> Piece:
    """The operators of one kind, both ways, and their exposed traffic.

    A block's pass takes no less than the host needs to launch it (rounded maximum with the framework's host time per
    layer).
    """
    if idle(kind, share):
        return Piece(Pass(0.0), Pass(0.0), Pass(0.0))
    ops, share = operators(kind, share), seen(kind, share)
    times = [operator_times(job, share, op) for op in ops]
    accumulated = _accumulate(job, ops) if isinstance(kind, Block) else 0.0
    weight = sum((t.weight_gradient for t in times), start=0.0) + accumulated
    sent, routed = _exposed(job, share, ops), isinstance(kind, Block) and isinstance(kind.feed, Experts)
    wait = expert_wait(job, share) if routed else 0.0
    if routed and np.any(share.paired > 0.0):
        passes = [(op.part, t.forward, t.input_gradient + t.weight_gradient) for op, t in zip(ops, times, strict=True)]
        sent = (*sent[:2], beside(job, share, sent[2], passes, wait))
    forward = _forward("forward work", times, sent)
    if still(kind):
        return Piece(_host(job, kind, share, piped, forward, forward)[0], Pass(0.0), Pass(0.0))
    again = _again(job, share, ops, times, modules)
    seconds, (tp, cp, ep) = sum(t.input_gradient for t in times) + weight, sent
    backward = _work("backward work", seconds, (tp, cp + sum(t.sent_back for t in times), ep))
    if isinstance(kind, Block):
        forward, backward = _host(job, kind, share, piped, forward, backward)
    if routed:
        forward, backward = forward + Pass(wait / 3.0), backward + Pass(wait / 1.5)
        again = again + Pass(wait / 3.0) if "moe" in modules else again
    return Piece(forward, backward, again, weight)


def _host(job: Job, kind: Kind, share: Share, piped: Num, forward: Pass, backward: Pass) -> tuple[Pass, Pass]:
    """Both passes, of a block no shorter than the host takes to launch them."""
    if not isinstance(kind, Block):
        return forward, backward
    parts, host = kind.parts / 2, job.framework
    return (
        _launched(forward, parts * _floor(job, share.tp, piped, host.host_layer, 1 / 3)),
        _launched(backward, parts * _floor(job, share.tp, piped, host.host_layer_backward, 2 / 3)),
    )


def _forward(name: str, times: Sequence[Times], sent: tuple[Num, Num, Num]) -> Pass:
    """Forward pass of some operators, with what they send."""
    tp, cp, ep = sent
    return _work(name, sum(t.forward for t in times), (tp, cp + sum(t.sent for t in times), ep))


def _again(job: Job, share: Share, ops: Sequence[Operator], times: Sequence[Times], modules: tuple[str, ...]) -> Pass:
    """The forward pass of these modules once more, with its traffic."""
    chosen = [(op, t) for op, t in zip(ops, times, strict=True) if op.within(modules)]
    if not chosen:
        return Pass(0.0)
    return _forward("modules again", [t for _, t in chosen], _exposed(job, share, [op for op, _ in chosen]))


@formula(lambda name, *_: name, unit="s")
def _work(name: str, compute: Num, traffic: tuple[Num, Num, Num]) -> Pass:
    """A pass as the accelerator alone would run it: the sum of its operators, and the traffic that nothing hides."""
    return Pass(compute, *traffic)


@formula("host", unit="s")
def _floor(job: Job, tp: Num, piped: Num, host: float, part: float) -> Num:
    """Least time of a layer's pass: the host's launches and collective calls, or its part of the pipelined floor.

    Casts are more kernels and calls of Python. CUDA graphs leave the host nothing: of parts of a layer, what is left
    stands in `expert_wait_graphs`.
    """
    framework = job.framework
    if job.workload.graphs != "none":
        return 0.0
    launches = host if job.recipe.wide else host * framework.host_narrow
    calls = np.where(tp > 1.0, 2.0 * framework.host_collective, 0.0)
    across = np.where((piped > 0.0) & (tp > 1.0), float(job.cluster.nodes > 1), 0.0)
    return (launches + calls + across * part * (framework.piped_floor + tp * framework.piped_floor_tp))[()]


def _launched(work: Pass, host: Num) -> Pass:
    """The pass, lengthened where the host is slower than the accelerator."""
    return work + Pass(kernels.smooth_max(work.total, host) - work.total)


@formula(lambda job, share, op: op.name, unit="s")
def operator_times(job: Job, share: Share, op: Operator) -> Times:
    """What one operator costs; frozen weights (LoRA) have no gradient, what computes nothing no time."""
    acc, precision = job.cluster.accelerator, job.recipe.attention
    work, fused = op.work, job.framework.elementwise
    match work:
        case Product():
            return _product_times(job, work)
        case Core():
            return _core_times(job, share, work)
        case Stream():
            moved = fused * work.moved
            back = LOOKUP_BACKWARD if op.part == "embedding" else 1.0 if work.mirrored else ELEMENTWISE_BACKWARD
            return Times(
                kernels.streaming_time(acc, moved, work.kernels),
                kernels.streaming_time(acc, back * moved, work.kernels),
            )
        case Scan():
            return Times(
                kernels.scan_time(acc, precision, work, fused, "forward"),
                kernels.scan_time(acc, precision, work, fused, "backward"),
            )
        case Logits():
            each = _moved_per_logit(job)
            once = kernels.streaming_time(acc, each * work.rows * work.columns, LOSS_KERNELS)
            return Times(once, once)
    return Times()


def _product_times(job: Job, work: Product) -> Times:
    """A linear layer's three products, each in the recipe's format for it, with the casts of input and gradient.

    Frozen weights need neither tensor along its rows, so that one copy is enough; they have no gradient unless adapters
    are added to them.
    """
    acc, recipe = job.cluster.accelerator, job.recipe
    forward, back, weights = recipe.formats(work.wide)
    once = kernels.gemm_time(acc, forward, work)
    again: Num = 0.0 if work.leaf else kernels.input_gradient_time(acc, back, work)
    if recipe.quantize is not None and not work.wide:
        written = 1 if job.lora else copies(acc, recipe)
        once = once + quantize_time(acc, recipe, work.count * work.m * work.k, written)
        again = again + quantize_time(acc, recipe, work.count * work.m * work.n, written)
    if job.lora:
        wider = widening_time(job, acc, work)
        once, again = once + wider, again + wider
    frozen = job.lora and not added(job, work)
    return Times(once, again, 0.0 if frozen else kernels.weight_gradient_time(acc, weights, work))


def _moved_per_logit(job: Job) -> float:
    """Bytes that one pass of the loss moves, of the kernel that is asked for or of the framework's."""
    asked = LOSSES.get(job.workload.loss or "")
    return asked.moved if asked else job.framework.logits_moved or job.framework.logits_bytes


def parameters_of(ops: tuple[Operator, ...]) -> tuple[Num, Num]:
    """Parameters on one rank: all but routed experts, and routed experts."""
    dense: Num = sum((op.weights for op in ops if not op.expert), start=0.0)
    expert: Num = sum((op.weights for op in ops if op.expert), start=0.0)
    return dense, expert


def narrow_of(ops: tuple[Operator, ...]) -> tuple[Num, Num]:
    """The same of weights whose products are below 16 bit where the recipe's are."""
    return parameters_of(tuple(op for op in ops if isinstance(op.work, Product) and not op.work.wide))


def _accumulate(job: Job, ops: tuple[Operator, ...]) -> Num:
    """Time to add one micro-batch's weight gradients of a layer into the gradient buffer, where it is not fused."""
    if job.lora:
        return 0.0
    moved = job.framework.accumulate * sum(parameters_of(ops))
    return kernels.streaming_time(job.cluster.accelerator, moved, 0.0)


def _core_times(job: Job, share: Share, work: Core) -> Times:
    """The attention core; over cp, as the fastest of the job's ways to trade keys and values runs it."""
    acc, precision, kernel = job.cluster.accelerator, job.recipe.attention, job.kernel
    alone = (kernels.core_time(acc, precision, work, one, kernel) for one in DIRECTIONS)
    if not np.any(share.cp > 1.0):
        return Times(*alone)
    ranks = context.Ranks(job.cluster, precision, kernel, share, work)
    there, back = context.fastest(job.contexts, ranks)
    return Times(there.core, back.core, sent=there.exposed, sent_back=back.exposed)


def _exposed(job: Job, share: Share, ops: Sequence[Operator]) -> tuple[Num, Num, Num]:
    """Traffic of one pass that nothing hides, over tp and etp, cp, and ep; the attention core's own stands apart.

    What hides tensor-parallel traffic beside products (Userbuffers) works between the accelerators of one host.
    """
    seconds: dict[str, Num] = {"tp": 0.0, "etp": 0.0, "cp": 0.0, "ep": 0.0}
    members: dict[str, collectives.Group] = {}
    for op in ops:
        for one in op.traffic:
            if one.axis not in members:
                members[one.axis] = _members(job, share, one.axis)
            seconds[one.axis] = seconds[one.axis] + traffic_time(job, share, one, members[one.axis])
    hidden = share.tp <= float(job.cluster.node.count)
    left = np.where(hidden, job.framework.tp_exposed, max(job.framework.tp_exposed, 1.0))[()]
    return left * (seconds["tp"] + seconds["etp"]), seconds["cp"], seconds["ep"]


def _members(job: Job, share: Share, axis: Axis) -> collectives.Group:
    """Who takes part in what a piece sends along an axis."""
    axes = Mesh(cp=share.cp, tp=share.tp, ep=share.ep, etp=share.etp)
    return collectives.group(job.cluster, *axes.group(axis))


@formula(lambda job, share, traffic, members: f"{traffic.axis} {traffic.kind}", unit="s")
def traffic_time(job: Job, share: Share, traffic: Traffic, members: collectives.Group) -> Num:
    """Seconds of one operator's sends in one pass, hidden or not.

    With sequence parallelism an all-reduce is an all-gather and a reduce-scatter of the same traffic (Korthikanti 2022,
    4.2.2).
    """
    match traffic.kind:
        case "all_reduce":
            return traffic.calls * collectives.all_reduce(members, traffic.bytes)
        case "all_to_all":
            return traffic.calls * collectives.all_to_all(job.cluster, members, traffic.bytes)
        case "dispatch":
            routing = (traffic.copies, traffic.groups, traffic.among)
            return traffic.calls * dispatch(job.cluster, members, traffic.bytes, routing, share.dispatcher)
