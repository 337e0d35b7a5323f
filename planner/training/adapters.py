"""Adapters on frozen weights (LoRA, Hu 2021, arXiv:2106.09685; QLoRA, Dettmers 2023, arXiv:2305.14314).

A frozen linear layer keeps no input, for it has no weight gradient; an adapter keeps its own, once more for every
matrix where the framework casts it (PEFT tuners/lora/layer.py). Weights of the base below 16 bit are made
16-bit ones matrix by matrix before every product (bitsandbytes autograd/_functions.py, MatMul4Bit).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from planner.blocks import operators
from planner.blocks.operator import Operator, Product, Share
from planner.blocks.record import still
from planner.plan import Num, Plan
from planner.schema.formats import STORED
from planner.schema.hardware import Accelerator
from planner.schema.recipe import size
from planner.schema.workload import Targets
from planner.training.job import Job


def linear(op: Operator) -> bool:
    """A linear layer of a block: neither router nor head."""
    return isinstance(op.work, Product) and op.work.fused > 0


def adapted(op: Operator, targets: Targets) -> bool:
    """Whether a linear layer is among those that have adapters."""
    attention = op.part == "attention"
    return linear(op) and (targets == "all-linear" or attention == (targets == "attention"))


def _adapted_products(ops: Iterable[Operator], targets: Targets) -> list[Product]:
    return [op.work for op in ops if adapted(op, targets) and isinstance(op.work, Product)]


def adapter_inputs(ops: Iterable[Operator], targets: Targets) -> Num:
    """Elements that adapters read in one pass, those of q, k and v one by one."""
    return sum((w.fused * w.count * w.m * w.k for w in _adapted_products(ops, targets)), start=0.0)


def adapter_parameters(ops: Sequence[Operator], rank: int, targets: Targets = "all-linear") -> Num:
    """LoRA parameters on one rank: rank * (inputs + outputs) of every linear part, router and head aside.

    Of column-parallel parts (q, k, v, up, gate) the outputs are split over tp, of row-parallel ones (projection, down)
    the inputs; the other factor is copied. Llama 2 7B at rank 16: 39,976,960 (Hu et al. 2021, arXiv:2106.09685).
    """
    works = _adapted_products(ops, targets)
    return rank * sum((w.count * (w.fused * w.k + w.n) for w in works), start=0.0)


def all_adapters(job: Job) -> float:
    """LoRA parameters of the whole model."""
    of, share, work = job.structure, Share(1.0, 1.0), job.workload
    each = [adapter_parameters(operators(kind, share), work.lora_rank, work.lora_targets) for kind in of.kinds]
    both = zip(of.kinds[of.ends :], of.tower, each[of.ends :], strict=True)
    return float(sum(each[kind] for kind in of.order) + sum(n * one for kind, n, one in both if not still(kind)))


def narrowed(job: Job) -> bool:
    """Whether the frozen base is kept below the format of the products."""
    return job.lora and size(job.base) < size(job.recipe.base)


def narrower_bytes(job: Job) -> float:
    """Bytes that a frozen weight of a linear layer takes less than one in the recipe's format."""
    return size(job.recipe.base) - size(job.base) if job.lora else 0.0


def frozen_bytes(job: Job, ops: Sequence[Operator]) -> tuple[Num, Num]:
    """Bytes of frozen weights on one rank, all but routed experts and these: linear layers in the format of the base.

    Llama 3 8B in NF4: 6.98e9 * 0.516 + 1.05e9 * 2 = 5.7e9.
    """
    wide, narrow = size(job.recipe.base), size(job.base)

    def held(expert: bool) -> Num:
        each = ((narrow if linear(op) else wide) * op.weights for op in ops if op.expert == expert)
        return sum(each, start=0.0)

    return held(False), held(True)


def widened_bytes(job: Job, ops: Sequence[Operator]) -> Num:
    """Bytes of the 16-bit copy of one matrix of the base: of the largest, which lives while its product runs."""
    if not narrowed(job):
        return 0.0
    largest: Num = 0.0
    for op in ops:
        if linear(op) and isinstance(op.work, Product):
            largest = np.maximum(largest, size(job.recipe.base) * op.weights / (op.work.fused * op.work.count))
    return largest


def widening_time(job: Job, accelerator: Accelerator, work: Product) -> Num:
    """Seconds to make 16-bit weights of one linear layer: the narrow ones read, the wide ones written."""
    if not narrowed(job) or not work.fused:
        return 0.0
    moved = (size(job.base) + size(job.recipe.base)) * work.k * work.n * work.count
    return accelerator.efficiency.kernel + moved / (accelerator.bandwidth * accelerator.efficiency.memory)


def saved_bytes(job: Job, ops: Sequence[Operator]) -> tuple[Num, Num]:
    """Bytes that a block of frozen weights keeps more than one that is trained: beyond its block, and inside it.

    Outputs of norms and activation functions are inputs of linear layers. They are kept where the layer has an adapter
    that takes them as they are; one that casts them keeps its own (`Framework.adapter_saved`). Inside the
    backward pass the gradient of an activation's output takes the place of what was not kept.
    """
    own, targets = job.framework.adapter_saved, job.workload.lora_targets
    more = own * adapter_inputs(ops, targets)
    norms: Num = 0.0
    outputs: Num = 0.0
    for place, op in enumerate(ops):
        reader = next((one for one in ops[place:] if linear(one)), None)
        if reader is None or (adapted(reader, targets) and not own):
            continue
        if op.name == "norm":
            norms = norms + op.saved
        elif op.name.endswith(" activation"):
            outputs = outputs + op.saved
    return more - norms - outputs, more - norms


def widened(job: Job, plan: Plan, share: Share) -> Share:
    """The share with fp32 between linear layers, where norms over a quantized base make it so, and inputs kept wide.

    Autocast runs layer norms in fp32 wherever they are; others are fp32 where a stack casts their weights.
    """
    if job.framework.saves_wide:
        share = replace(share, operand=share.activation)
    if job.workload.method != "qlora" or not narrowed(job):
        return share
    if job.model.norm == "layernorm":
        wide: Num = STORED["fp32"]
    elif job.framework.fp32_stream:
        wide = np.where(plan.zero < 3, STORED["fp32"], share.activation)[()]
    else:
        return share
    return replace(share, activation=wide, operand=wide)


def unfused_bytes(job: Job, ops: Sequence[Operator]) -> Num:
    """Outputs of activation functions that gated feed-forwards keep where the gate's product is a kernel of its own."""
    if not job.framework.unfused_gate:
        return 0.0
    gates = (op.work for op in ops if op.name.endswith(" up") and isinstance(op.work, Product) and op.work.fused == 2)
    each = STORED["bf16"] * job.framework.unfused_gate
    return each * sum((w.count * w.m * w.n / 2.0 for w in gates), start=0.0)
