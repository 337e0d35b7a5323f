"""Adapters on frozen weights (LoRA, Hu 2021, arXiv:2106.09685; QLoRA, Dettmers 2023, arXiv:2305.14314).

A frozen linear layer keeps no input, for it has no weight gradient; an adapter keeps its own, once more for every
matrix where the framework casts it (PEFT tuners/lora/layer.py). Weights of the base below 16 bit are made
16-bit ones matrix by matrix before every product (bitsandbytes autograd/_functions.py, MatMul4Bit).

Experts that lie in one tensor (`Framework.fused_experts`) are no linear layers: bitsandbytes replaces modules and
passes over them (bitsandbytes#1849), unless another loader makes them narrow (Axolotl's quantize_moe_experts, Unsloth).
PEFT adapts the tensor: in every pass it multiplies its two factors out and adds them to the weights
(tuners/lora/layer.py, ParamWrapper), and autograd keeps the sum for the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from planner.blocks import operators
from planner.blocks.operator import Operator, Product, Share
from planner.blocks.record import still
from planner.plan import Num, Plan
from planner.schema.formats import STORED
from planner.schema.framework import Framework
from planner.schema.hardware import Accelerator
from planner.schema.model import Model
from planner.schema.recipe import size
from planner.schema.workload import Base
from planner.training.job import Job


def linear(op: Operator) -> bool:
    """A linear layer of a block: neither router nor head."""
    return isinstance(op.work, Product) and op.work.fused > 0


def fused(model: Model, framework: Framework) -> int:
    """`Framework.fused_experts`; 0 of families whose experts are modules all the same."""
    return 0 if model.family in framework.module_experts else framework.fused_experts


def reached(model: Model, framework: Framework) -> bool:
    """Whether adapters on linear layers are on experts: modules, tensors that are told, or some that had other names.

    PEFT looks the `model_type` of the whole model up (utils/transformers_weight_conversion.py,
    _convert_peft_config_moe), which is another one where a tower stands in front.
    """
    known = framework.renamed_seeing if model.tower or model.text_only else framework.renamed_experts
    return fused(model, framework) < 2 or model.family in known


def adapted(job: Job, op: Operator) -> bool:
    """Whether a linear layer is among those that have adapters."""
    targets = job.workload.lora_targets
    if not linear(op) or (op.expert and (targets == "no-experts" or not reached(job.model, job.framework))):
        return False
    return targets in ("all-linear", "no-experts") or (op.part == "attention") == (targets == "attention")


def _adapted_products(job: Job, ops: Iterable[Operator]) -> list[Product]:
    return [op.work for op in ops if adapted(job, op) and isinstance(op.work, Product)]


def adapter_inputs(job: Job, ops: Iterable[Operator]) -> Num:
    """Elements that adapters read in one pass, those of q, k and v one by one; those of fused experts read weights."""
    works = (w for w in _adapted_products(job, ops) if not (w.grouped and fused(job.model, job.framework)))
    return sum((w.fused * w.count * w.m * w.k for w in works), start=0.0)


def adapter_parameters(job: Job, ops: Sequence[Operator]) -> Num:
    """LoRA parameters on one rank: rank * (inputs + outputs) of every linear part, router and head aside.

    Of column-parallel parts (q, k, v, up, gate) the outputs are split over tp, of row-parallel ones (projection, down)
    the inputs; the other factor is copied. Llama 2 7B at rank 16: 39,976,960 (Hu et al. 2021, arXiv:2106.09685). Gate
    and up of fused experts are one part with as many ranks as the framework gives them.
    """
    return job.workload.lora_rank * sum((_per_rank(job, w) for w in _adapted_products(job, ops)), start=0.0)


def _per_rank(job: Job, work: Product) -> Num:
    together = fused(job.model, job.framework) if work.grouped else 0
    if together and work.fused > 1:
        return work.count * together * (work.k + work.n)
    return work.count * (work.fused * work.k + work.n)


def all_adapters(job: Job) -> float:
    """LoRA parameters of the whole model."""
    of, share = job.structure, Share(1.0, 1.0)
    each = [adapter_parameters(job, operators(kind, share)) for kind in of.kinds]
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

    Llama 3 8B in NF4: 6.98e9 * 0.516 + 1.05e9 * 2 = 5.7e9. Experts in one tensor stay wide unless asked otherwise.
    """
    wide, narrow = size(job.recipe.base), size(job.base)
    experts = wide_experts(job)

    def held(expert: bool) -> Num:
        small = not (expert and experts)
        each = ((narrow if small and linear(op) else wide) * op.weights for op in ops if op.expert == expert)
        return sum(each, start=0.0)

    return held(False), held(True)


def wide_experts(job: Job) -> bool:
    """Whether experts of a narrow base stay in 16 bit."""
    return fused(job.model, job.framework) > 0 and not job.workload.quantize_experts


def copied_experts(job: Job, ops: Iterable[Operator]) -> tuple[Num, Num]:
    """Bytes of 16-bit copies that a pass makes of experts in one tensor: kept for the backward pass, and in all.

    One copy widens them, one is the product of the adapter's factors, one is the sum; the last one made is kept.
    """
    if not (job.lora and fused(job.model, job.framework)):
        return 0.0, 0.0
    wide, narrow = size(job.recipe.base), narrowed(job) and not wide_experts(job)
    each = [(1.0 if narrow else 0.0) + (2.0 if adapted(job, op) else 0.0) for op in _experts(ops)]
    made = [(wide * op.weights, count) for op, count in zip(_experts(ops), each, strict=True) if count]
    return sum((one for one, _ in made), start=0.0), sum((one * count for one, count in made), start=0.0)


def _experts(ops: Iterable[Operator]) -> list[Operator]:
    return [op for op in ops if op.expert and linear(op)]


def widened_bytes(job: Job, ops: Sequence[Operator]) -> Num:
    """Bytes of the 16-bit copy of one matrix of the base: of the largest, which lives while its product runs."""
    if not narrowed(job):
        return 0.0
    largest: Num = 0.0
    for op in ops:
        if linear(op) and isinstance(op.work, Product) and not (op.expert and fused(job.model, job.framework)):
            largest = np.maximum(largest, size(job.recipe.base) * op.weights / (op.work.fused * op.work.count))
    return largest


def widening_time(job: Job, accelerator: Accelerator, work: Product) -> Num:
    """Seconds to make 16-bit weights of one linear layer: the narrow ones read, the wide ones written.

    Adapters of experts in one tensor write their product, and read it and the weights to write the sum.
    """
    summed = 4.0 * size(job.recipe.base) if added(job, work) else 0.0
    narrow = narrowed(job) and work.fused and not (work.grouped and wide_experts(job))
    each = summed + (size(job.base) + size(job.recipe.base) if narrow else 0.0)
    if not each:
        return 0.0
    moved = each * work.k * work.n * work.count
    return accelerator.efficiency.kernel + moved / (accelerator.bandwidth * accelerator.efficiency.memory)


def saved_bytes(job: Job, ops: Sequence[Operator]) -> tuple[Num, Num]:
    """Bytes that a block of frozen weights keeps more than one that is trained: beyond its block, and inside it.

    Outputs of norms and activation functions are inputs of linear layers. They are kept where the layer has an adapter
    that takes them as they are; one that casts them keeps its own (`Framework.adapter_saved`). Inside the
    backward pass the gradient of an activation's output takes the place of what was not kept.
    """
    own = job.framework.adapter_saved
    more = own * adapter_inputs(job, ops) + copied_experts(job, ops)[0]
    norms: Num = 0.0
    outputs: Num = 0.0
    for place, op in enumerate(ops):
        reader = next((one for one in ops[place:] if linear(one)), None)
        if reader is None or (adapted(job, reader) and (not own or _reads(job, reader, op))):
            continue
        if op.name == "norm":
            norms = norms + op.saved
        elif op.name.endswith(" activation"):
            outputs = outputs + op.saved
    return more - norms - outputs, more - norms


def added(job: Job, work: Product) -> bool:
    """Whether adapters are added to these weights, experts in one tensor, so that the sum has a gradient."""
    return work.grouped and on_experts(job)


def on_experts(job: Job) -> bool:
    """Whether adapters are added to experts in one tensor."""
    fits = job.lora and job.model.moe is not None and job.workload.lora_targets in ("all-linear", "mlp")
    return fits and fused(job.model, job.framework) > 0 and reached(job.model, job.framework)


def _reads(job: Job, reader: Operator, op: Operator) -> bool:
    """Whether the gradient of an adapted tensor of experts needs what comes before it as it is."""
    return reader.expert and fused(job.model, job.framework) > 0 and op.name.endswith(" activation")


def named_alike(model: Model) -> bool:
    """Whether the names of a model's linear modules are those of its experts: it has none, or plain parts beside them.

    PEFT takes the names of Transformers 4 for the tensors that they became (utils/transformers_weight_conversion.py).
    """
    moe = model.moe
    return moe is None or moe.shared_width > 0 or moe.dense_layers > 0 or moe.every > 1


def stored_base(model: Model, method: str | None) -> dict[str, Any]:
    """Fields of Workload where LoRA freezes a checkpoint whose linear layers are all integers (AWQ, GPTQ): its own."""
    own = model.checkpoint
    if method != "lora" or own is None or own.weights not in get_args(Base):
        return {}
    whole = {own.attention, own.mlp, own.experts, own.shared} <= {None, own.weights}
    return {"method": "qlora", "base": own.weights, "quantize_experts": True} if whole else {}


def experts_said(job: Job) -> Iterator[str]:
    """Sentences on experts in one tensor, under adapters."""
    if not (job.lora and job.model.moe and fused(job.model, job.framework)):
        return
    if narrowed(job) and wide_experts(job):
        yield (
            "experts are weighed in 16 bit: Transformers 5 holds those of a layer in two tensors, which bitsandbytes"
            " passes over; --quantize-experts is for Axolotl's quantize_moe_experts and Unsloth"
        )
    if not reached(job.model, job.framework) and job.workload.lora_targets in ("all-linear", "mlp"):
        yield (
            "experts have no adapters: in Transformers 5 they are no linear modules, and PEFT 0.21 takes names for"
            f" their tensors in some families only, not in {job.model.family}: target_parameters reaches experts"
        )
    elif on_experts(job):
        yield (
            "adapters are on experts, too: PEFT 0.21 adds them to a layer's tensors, 16-bit copies in every pass, and"
            " wants lora_dropout 0; --lora-targets no-experts leaves experts without"
        )


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


def gates_in_place(job: Job) -> bool:
    """Whether gradients of a gate's inputs take these inputs' place (Liger-Kernel ops/swiglu.py, swiglu_backward)."""
    return job.framework.linear_gates and job.workload.loss == "linear" and job.model.mlp == "glu"


def unfused_bytes(job: Job, ops: Sequence[Operator]) -> Num:
    """Outputs of activation functions that gated feed-forwards keep where the gate's product is a kernel of its own."""
    if not job.framework.unfused_gate or gates_in_place(job):
        return 0.0
    gates = (op.work for op in ops if op.name.endswith(" up") and isinstance(op.work, Product) and op.work.fused == 2)
    each = STORED["bf16"] * job.framework.unfused_gate
    return each * sum((w.count * w.m * w.n / 2.0 for w in gates), start=0.0)
