"""Vision towers: patches, layers of attention that sees both ways (Dosovitskiy 2020, arXiv:2010.11929), projectors.

A tower's layer is a block like any other, of other tokens: those of `Share.images`. Every rank of cp has all images,
without sequence parallelism; over tp it is split where a framework does so (NVIDIA-NeMo/Megatron-Bridge
models/qwen_vl/modelling_qwen3_vl/transformer_config.py, get_vision_model_config).
"""

from __future__ import annotations

from dataclasses import replace

from planner.blocks.operator import NORM_PASSES, Operator, Product, Share, Stream, Traffic, norm
from planner.blocks.record import Attention, Dense, Encoder, Kind, Seeing
from planner.blocks.seeing import Joint, Patches, Projection
from planner.schema.tower import Projector, Tower
from planner.schema.workload import TowerPart


def tower(of: Tower, part: TowerPart) -> dict[Seeing, int]:
    """Its kinds, each with how many of it there are. Qwen2.5-VL: 28 windowed layers and 4 that see all."""
    every, found = of.window_every or of.layers + 1, dict[Seeing, int]()
    for index in range(of.layers):
        kind = _layer(of, of.window if (index + 1) % every else None, part == "trained")
        found[kind] = found.get(kind, 0) + 1
    found[_patches(of, part == "trained")] = 1
    for one in of.projectors:
        end = _projection(of, one, part in ("trained", "projector"))
        found[end] = found.get(end, 0) + one.copies
    return found


def _layer(of: Tower, window: int | None, trained: bool) -> Encoder:
    """A learned scale of each part is a vector beside those of its norm. Products stay in 16 bit."""
    inputs, outputs = of.bias in ("qkv", "all"), of.bias in ("outputs", "all")
    mixer = Attention(
        *(of.heads, of.heads, of.hidden // of.heads, window, inputs, outputs),
        qk_norm=of.qk_norm,
        wide=of.qk_norm,
        causal=False,
    )
    feed = Dense(of.ffn, of.mlp == "glu", outputs)
    vectors = _vectors(of) + int(of.layer_scale)
    return Encoder(of.hidden, vectors, mixer, feed, wide=True, class_tokens=of.class_tokens, trained=trained)


def _vectors(of: Tower) -> int:
    return 2 if of.norm == "layernorm" else 1


def _patches(of: Tower, trained: bool) -> Patches:
    inputs, norms = of.channels * of.frames * of.patch**2, (of.norms_outside, _vectors(of))
    return Patches(of.hidden, inputs, of.patch_bias, of.positions, of.class_tokens, *norms, trained)


def _projection(of: Tower, one: Projector, trained: bool) -> Projection:
    products = tuple(Joint(p.inputs, p.outputs, p.count, p.bias) for p in one.products)
    return Projection(of.hidden, of.merge, products, one.norm, trained)


def seen(kind: Kind, share: Share) -> Share:
    """What a kind sees of a rank's share: of a tower its images, a patch or what is merged of them a token."""
    if not isinstance(kind, Seeing):
        return share
    of = share.images
    tokens = of.patches / kind.merge**2 if isinstance(kind, Projection) else of.patches + kind.class_tokens
    return replace(share, b=share.b * of.count, seq=tokens, tp=of.ranks(share.tp), cp=1.0, ep=1.0, etp=1.0, sp=0.0)


def idle(kind: Kind, share: Share) -> bool:
    """Whether a kind has nothing to do, having no image to see."""
    return isinstance(kind, Seeing) and not share.images.count


def patches(kind: Patches, share: Share) -> tuple[Operator, ...]:
    """A product over each patch's numbers, as whole on every tp rank; positions added; norms.

    Weights: (inputs + bias)*h + positions*h + class tokens*h. It keeps its input.
    """
    t, h = share.tokens, kind.hidden
    held = kind.inputs + int(kind.bias) + kind.positions + kind.class_tokens
    return (
        Operator(
            "patch product",
            "embedding",
            Product(t, h, kind.inputs, fused=0, wide=True, leaf=True),
            weights=float(held * h),
            saved=share.activation * t * kind.inputs,
        ),
        *([Operator("positions", "embedding", Stream(3.0 * share.activation * t * h, 1.0))] if kind.positions else []),
        *(norm(share, h, kind.norm_vectors) for _ in range(kind.norms)),
    )


def projection(kind: Projection, share: Share) -> tuple[Operator, ...]:
    """A norm, and products whose columns and rows are split over tp in turns, an activation function between each two.

    Behind rows stands an all-reduce, behind columns that come last half of one.
    """
    found = [_projector_norm(kind, share)] if kind.norm else []
    for place, one in enumerate(kind.products):
        by_rows, last = place % 2 == 1, place + 1 == len(kind.products)
        found += [_product(one, share, by_rows, last), *([] if last else [_activation(one, share, by_rows)])]
    return tuple(found)


def _projector_norm(kind: Projection, share: Share) -> Operator:
    elements = share.activation * share.tokens * kind.products[0].inputs
    return Operator("projector norm", "norms", Stream(NORM_PASSES * elements, 1.0), float(kind.norm), saved=elements)


def _product(one: Joint, share: Share, by_rows: bool, last: bool) -> Operator:
    """One product of a projector; what is not split over tp has its bias on every rank."""
    t, n, bias = share.tokens, one.outputs * one.count, one.outputs * one.count * int(one.bias)
    columns, rows = (n, one.inputs / share.tp) if by_rows else (n / share.tp, float(one.inputs))
    calls = 1.0 if by_rows else 0.5 if last else 0.0
    sends = Traffic("tp", "all_reduce", share.activation * t * n, calls)
    return Operator(
        "projector product",
        "mlp",
        Product(t, columns, rows, fused=one.count, wide=True),
        weights=columns * rows + (bias if by_rows else bias / share.tp),
        saved=0.0 if last else share.activation * t * columns,
        traffic=(sends,) if calls else (),
    )


def _activation(one: Joint, share: Share, by_rows: bool) -> Operator:
    width = share.activation * share.tokens * one.outputs / (1.0 if by_rows else share.tp)
    return Operator("projector activation", "mlp", Stream((1.0 + one.count) * width, 1.0), saved=width)
