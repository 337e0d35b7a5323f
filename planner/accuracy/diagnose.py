"""Why a run's time or memory is not as predicted: which one constant, or which setting, would explain it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import exp, log

from planner.accuracy.constants import CONSTANTS, with_factors
from planner.blocks.counts import parameters
from planner.cost.losses import LOSSES
from planner.frozen import frozen
from planner.plan import OnePlan
from planner.training.estimate import step_time
from planner.training.job import Job
from planner.training.moments import peak_memory
from planner.units import GIB

FARTHEST = 3.0
"""Largest change that is tried, in logarithms: a factor of 20."""

HALVINGS, OF_LENGTH = 50, 30
"""Of the range of a constant, and of that of a sample's length."""


@frozen
class Suspect:
    """One constant that would explain a measured time by itself.

    Attributes:
        factor: on the packaged value; spreads: log(factor) over how far this constant usually lies off.
    """

    name: str
    words: str
    factor: float
    spreads: float


def suspects(job: Job, plan: OnePlan, measured: float) -> list[Suspect]:
    """Every constant that alone turns the predicted step into the measured one, the likeliest first.

    Solves log(T(factor) / measured) = 0 for each of `planner.accuracy.constants.CONSTANTS`. Their spreads come from the
    measured corpus; a constant that cannot explain the time within a factor of 20 is left out.
    """
    found = []
    for constant in CONSTANTS:

        def gap(x: float, name: str = constant.name) -> float:
            return log(float(step_time(with_factors(job, {name: exp(x)}), plan.floats()).total) / measured)

        x = root(gap)
        if x is not None:
            found.append(Suspect(constant.name, constant.words, exp(x), abs(x) / constant.width))
    return sorted(found, key=lambda suspect: suspect.spreads)


def root(gap: Callable[[float], float]) -> float | None:
    """Where a monotonous function is zero between -FARTHEST and FARTHEST, by halving; None where it is not."""
    low, high = -FARTHEST, FARTHEST
    sign = gap(low)
    if sign * gap(high) > 0.0:
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if gap(middle) * sign > 0.0 else (low, middle)
    return (low + high) / 2.0


LONGEST = 16.0
"""How many times longer than said the longest sample may be."""

CLOSE = 0.15
"""Distance in logarithms within which an explanation counts."""

FRAGMENTED = 0.3
"""Share of what comes and goes that an allocator loses at worst; about three times what it does as a rule."""


@frozen
class Cause:
    """One explanation.

    Attributes:
        words: what would have to be so. need: the peak if it were, in bytes.
    """

    name: str
    words: str
    need: float


def causes(job: Job, plan: OnePlan, seen: float, ran_out: bool = False) -> list[Cause]:
    """What alone turns the predicted peak into the one seen, the nearest first.

    Of a run that ran out, `seen` is the limit: whatever takes more explains it, the likeliest first.
    """
    changed = (*_policies(job, plan), *_settings(job, plan))  # what people meet most often comes first
    every = [Cause(name, words, _need(other, of)) for name, words, other, of in changed]
    found = [one for one in (*every, *_longest(job, plan, seen), *_events(job, plan)) if one.need > 0.0]
    if ran_out:
        return [one for one in found if one.need > seen]
    plain = abs(log(_need(job, plan) / seen))
    near = [one for one in found if abs(log(one.need / seen)) < min(CLOSE, plain)]
    return sorted(near, key=lambda one: abs(log(one.need / seen)))


def _need(job: Job, plan: OnePlan) -> float:
    return float(peak_memory(job, plan.floats()).memory.total)


def _policies(job: Job, plan: OnePlan) -> Iterator[tuple[str, str, Job, OnePlan]]:
    """Of the plan: what may not be in effect, or be although nobody said so."""
    if plan.recompute_layers or plan.modules:
        bare = replace(plan, recompute_layers=0, modules=())
        why = "recomputation is not in effect (or off again under gradient checkpointing's flags)"
        yield "recompute", why, job, bare
    else:
        yield "recompute", "all blocks are recomputed", job, replace(plan, recompute_layers=job.model.layers)
    if plan.zero:
        yield "zero", f"ZeRO-{plan.zero} is not in effect: every rank holds all states", job, replace(plan, zero=0)
    if plan.sp:
        yield "sp", "sequence parallelism is not in effect", job, replace(plan, sp=0)
    yield "micro_batch", f"the micro-batch is {2 * plan.b}, not {plan.b}", job, replace(plan, b=2 * plan.b)


def _settings(job: Job, plan: OnePlan) -> Iterator[tuple[str, str, Job, OnePlan]]:
    """Of the job: kernels, formats, optimizer."""

    def workload(**changed: str) -> Job:
        return replace(job, workload=job.workload.model_copy(update=changed))

    for loss in LOSSES:
        if loss != job.workload.loss:
            yield f"loss-{loss}", f"the loss is the kernel {loss}: --loss {loss}", workload(loss=loss), plan
    if job.flash:
        why = "attention stores its scores (eager): no flash kernel runs"
        yield "attention", why, workload(attention="eager"), plan
    if job.workload.optimizer != "adam":
        yield "optimizer", "the optimizer is Adam with fp32 states", workload(optimizer="adam"), plan
    if job.workload.offload != "none":
        yield "offload", "nothing is offloaded", workload(offload="none"), plan
    facts = {
        "gradients": ("gradients are accumulated in fp32", {"gradient_bytes": 4.0}),
        "half_gradients": ("gradients are accumulated in 16 bit", {"gradient_bytes": 2.0}),
        "fragmentation": (
            "the allocator is fragmented: PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True mends it",
            {"fragmentation": FRAGMENTED},
        ),
    }
    for name, (words, changed) in facts.items():
        if any(getattr(job.framework, key) != value for key, value in changed.items()):
            yield name, words, replace(job, framework=job.framework.model_copy(update=changed)), plan


def _longest(job: Job, plan: OnePlan, seen: float) -> Iterator[Cause]:
    """A sample that is longer than said: as long as it takes to reach what was seen."""

    def need(factor: float) -> float:
        longer = job.workload.model_copy(update={"seq": round(job.workload.seq * factor)})
        return _need(replace(job, workload=longer), plan)

    low, high = 1.0, LONGEST
    if need(low) >= seen or need(high) < seen:
        return
    for _ in range(OF_LENGTH):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if need(middle) < seen else (low, middle)
    tokens = round(job.workload.seq * high)
    words = f"one sample (or a packed or padded batch) has {tokens:,} tokens, not {job.workload.seq:,}"
    yield Cause("longest_sample", words, max(need(high), seen * (1 + 1e-9)))


def _events(job: Job, plan: OnePlan) -> Iterator[Cause]:
    """What happens beside a step."""
    whole = float(parameters(job.model).total)
    if plan.zero >= 3:
        for name, each, kind in (("load", 2.0, "16"), ("load32", 4.0, "32")):
            words = f"every rank loads the whole model in {kind} bit before it is split"
            yield Cause(name, words, whole * each + job.framework.reserve)
    mask = 2.0 * plan.b * float(job.workload.seq) ** 2
    if mask > GIB / 4:
        words = f"an s × s attention mask is made in 16 bit: {mask / GIB:.1f} GiB"
        yield Cause("mask", words, _need(job, plan) + mask)
