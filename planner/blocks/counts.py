"""What a whole model holds and computes: sums over its operators, with nothing split and no vocabulary padded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from planner.blocks import operators
from planner.blocks.operator import Core, Operator, Product, Scan, Share
from planner.blocks.record import Structure, still
from planner.blocks.structure import structure
from planner.frozen import frozen
from planner.parts import Sum
from planner.schema.model import Model


@frozen
class Parameters(Sum[int]):
    """Parameters of a whole model by component (counts).

    Attributes:
        embedding: V*h and learned positions; head: V*h when untied; norms include the final one.
        mlp: dense feed-forward parts; experts: routed ones; shared: shared experts and routers.
        tower: all of a vision tower.
    """

    embedding: int
    attention: int
    mlp: int
    experts: int
    shared: int
    norms: int
    head: int
    tower: int = 0


PART = {"router": "shared"}
"""Operators whose parameters count under another component."""


def held(model: Model, share: Share) -> Iterator[tuple[int, Operator]]:
    """Every operator of the decoder with the number of blocks or ends that have it."""
    found = structure(model)
    blocks = found.blocks
    for kind, record in enumerate(found.kinds[: found.ends]):
        ends = int(kind == blocks or kind >= blocks + (2 if found.tied else 1))
        count = found.order.count(kind) if kind < blocks else ends
        yield from ((count, op) for op in operators(record, share) if count)


def seeing(of: Structure, share: Share) -> Iterator[tuple[int, bool, Operator]]:
    """Every operator of the tower, with how many there are, and whether it has gradients."""
    for record, count in zip(of.kinds[of.ends :], of.tower, strict=True):
        yield from ((count, not still(record), op) for op in operators(record, share))


@lru_cache(maxsize=256)
def parameters(model: Model) -> Parameters:
    """Parameters of the whole model, unpadded, as publications count them.

    GPT-3 175B: 96 * (12*h*h + 13*h) + 51200*h + 2048*h + 2*h with h = 12288 is 174.6e9.
    """
    total = dict.fromkeys(Parameters.__dataclass_fields__, 0)
    for count, op in held(model, Share(1.0, 1.0, padded=False)):
        if op.weights:
            total[PART.get(op.part, op.part)] += count * round(float(op.weights))
    for count, _, op in seeing(structure(model), Share(1.0, 1.0)):
        total["tower"] += count * round(float(op.weights))
    return Parameters(**total)


def active_parameters(model: Model) -> int:
    """Parameters that one token of text meets: all but a tower's and the experts that it is not routed to."""
    total = parameters(model)
    idle = total.experts * (1 - model.moe.top_k / model.moe.experts) if model.moe else 0
    return int(total.total - total.tower - idle)


@lru_cache(maxsize=256)
def model_flops(model: Model, seq: float, frozen: bool = False) -> float:
    """FLOPs of one token's forward and backward pass that training needs: 6*P + 3 * attention core over square.

    Scans count like cores. P counts the matrices a token meets, with the head and without the embedding. No
    recomputation, attention not halved for causality: the convention of Korthikanti 2022 (Appendix A) and NeMo. Frozen
    weights (LoRA) need no weight gradient: 4*P. GPT-3 175B at s = 2048: 6*174.6e9 + 12*96*2048*12288 = 1.076e12.
    """
    share = parameters(model)
    matmul = active_parameters(model) - share.embedding - share.norms
    matmul += (int(model.tied_embeddings) + model.mtp_layers) * model.vocab * model.hidden
    works = [(count, op.work) for count, op in held(model, Share(1.0, seq))]
    core = sum(count * float(work.square_flops) for count, work in works if isinstance(work, Core)) / seq
    core += sum(count * float(work.flops) for count, work in works if isinstance(work, Scan)) / seq
    return (4.0 if frozen else 6.0) * float(matmul) + 3.0 * core


def tower_flops(of: Structure, share: Share, frozen: bool = False) -> float:
    """FLOPs of a sequence's images in the tower, both passes, in the convention of `model_flops`.

    2*m*n*k of every product forward, as many again for each gradient; cores over whole squares. What is not trained
    has no backward pass. Qwen2.5-VL, an image of 1,024 pixels: 5,476 patches, 32 layers.
    """
    total = 0.0
    for count, trained, op in seeing(of, share):
        if isinstance(op.work, Product):
            gradients = (0.0 if op.work.leaf else 1.0) + (0.0 if frozen else 1.0)
            total += count * float(op.work.flops) * (1.0 + (gradients if trained else 0.0))
        elif isinstance(op.work, Core):
            total += count * float(op.work.square_flops) / 2.0 * (3.0 if trained else 1.0)
    return total
