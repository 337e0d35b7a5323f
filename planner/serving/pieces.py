"""What follows from a layout alone, whatever its load: a rank's operators, and which stage holds how many blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TypeVar

from planner.blocks import operators
from planner.blocks.operator import TEXT, Images, Operator, Share, Stream
from planner.cost import collectives
from planner.cost.collectives import Group
from planner.plan import Num, Plan
from planner.serving.job import ServeJob, width
from planner.stages import Row, rows

T = TypeVar("T")


def once(function: Callable[[ServeJob, Plan], T]) -> Callable[[ServeJob, Plan], T]:
    """The function, which remembers its last result: a search asks for the same layouts under one load after another.

    It must look at the plan's degrees alone.
    """
    last: tuple[tuple[object, ...], T] | None = None

    @wraps(function)
    def remembered(job: ServeJob, plan: Plan) -> T:
        nonlocal last
        key, kept = (job, plan.tp, plan.ep, plan.pp), last
        if kept is None or any(one is not other for one, other in zip(key, kept[0], strict=True)):
            last = kept = key, function(job, plan)
        return kept[1]

    return remembered


def span(job: ServeJob) -> Num:
    """Side of the square whose causal half is as much as fresh tokens meet behind a prefix: fresh + 2*prefix."""
    return job.workload.fresh + 2.0 * job.workload.prefix


@once
def pieces(job: ServeJob, plan: Plan) -> tuple[tuple[Operator, ...], ...]:
    """Operators of every kind of the model's structure on one rank, for the rows of one prompt's square.

    Experts lie over ep and are split by the rest of the stage.
    """
    each = job.element
    one = Share(1.0, span(job), plan.tp, ep=plan.ep, etp=width(plan) / plan.ep, padded=False)
    one = replace(one, activation=each, operand=each, dispatched=each, images=images(job))
    return tuple(tuple(map(_fused, operators(kind, one))) for kind in job.structure.kinds)


def images(job: ServeJob) -> Images:
    """Those of a prompt; engines split a tower as they split what is behind it, and have all of it where its heads do
    not go up (vllm-project/vllm model_executor/models/qwen2_5_vl.py, config/multimodal.py: mm_encoder_tp_mode).
    """
    of, work = job.model.tower, job.workload
    if of is None:
        return TEXT
    return Images(1.0 * work.images, 1.0 * of.patches(int(work.image_size)), of.heads)


SUMMED = 0.25
"""Of the passes over experts' rows that training counts, those of an engine: rows are gathered while the product reads
them, and the sum of what experts give is a pass of its own (vllm-project/vllm layers/fused_moe/fused_moe.py)."""


def _fused(op: Operator) -> Operator:
    if op.name != "permutation" or not isinstance(op.work, Stream):
        return op
    return replace(op, work=replace(op.work, moved=SUMMED * op.work.moved))


@once
def stages(job: ServeJob, plan: Plan) -> tuple[Row, ...]:
    """What neighbouring pipeline ranks hold, as vLLM lays layers out: those that do not divide are spared at the ends.

    vllm-project/vllm distributed/utils.py, get_pp_indices. A vision tower is on every stage (the same,
    model_executor/models/qwen2_5_vl.py).
    """
    of = job.structure
    found = rows(of, plan)
    if not of.tower:
        return found
    everywhere = tuple(map(float, of.tower))
    return tuple(replace(row, counts=(*row.counts[: of.ends], *everywhere)) for row in found)


@once
def groups(job: ServeJob, plan: Plan) -> tuple[Group, Group]:
    """Ranks of tensor parallelism, and of a whole stage, over which experts lie."""
    tp, wide = (collectives.group(job.cluster, size, 1.0) for size in (plan.tp, width(plan)))
    return tp, wide
