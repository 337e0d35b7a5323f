"""Feed-forward parts: dense, or mixtures of experts (Shazeer 2017, arXiv:1701.06538; Dai 2024, arXiv:2401.06066)."""

from __future__ import annotations

from dataclasses import replace

from planner.blocks.operator import Operator, Product, Share, Stream, Traffic
from planner.blocks.record import Dense, Experts
from planner.plan import Num
from planner.schema.formats import STORED

SHARED = ("moe", "shared_experts")
"""Recompute modules that run the shared part again."""


ROUTED = 2.0 * STORED["fp32"] + 1.0
"""Bytes per token and expert that a router keeps: its scores and those of the balancing loss in fp32, a mask of who got
the token (Megatron-LM core/transformer/moe/moe_utils.py)."""


def dense(
    feed: Dense, hidden: int, share: Share, part: str = "mlp", modules: tuple[str, ...] = ("mlp",)
) -> tuple[Operator, ...]:
    """Up (and gate), activation function, down with an all-reduce of b*s*h over tp behind it."""
    t, width = share.tokens, feed.width / share.tp
    return (
        *_matrices(feed, hidden, share, Product(t, (feed.matrices - 1) * width, hidden), part, modules),
        Operator(
            f"{part} down",
            part,
            Product(t, hidden, width),
            weights=width * hidden + (hidden if feed.bias else 0.0),
            traffic=(Traffic("tp", "all_reduce", share.joined * t * hidden),),
            modules=modules,
        ),
    )


def _matrices(
    feed: Dense, hidden: int, share: Share, up: Product, part: str, modules: tuple[str, ...]
) -> tuple[Operator, ...]:
    """The first matrices, whose output is kept, and the activation function, whose output the last one keeps.

    The backward pass holds the gradient of the former and of the part's input while it runs.
    """
    rows, width = up.m * up.count, up.n / (feed.matrices - 1)
    moved = (3.0 if feed.gated else 2.0) * share.activation * rows * width
    bias, at_once = up.n if feed.bias else 0.0, up.m if share.apart else rows
    return (
        Operator(
            f"{part} up",
            part,
            replace(up, fused=feed.matrices - 1),
            weights=(up.n * up.k + bias) * up.count,
            saved=share.activation * rows * up.n,
            working=share.activation * (at_once * up.n + share.tokens * 2.0 * hidden),
            modules=modules,
        ),
        Operator(f"{part} activation", part, Stream(moved, 2.0), saved=share.operand * rows * width, modules=modules),
    )


def experts(feed: Experts, hidden: int, share: Share) -> tuple[Operator, ...]:
    """Router, dispatch, this rank's experts, combine, shared experts: of the rank that gets `skew` times its share.

    The tp ranks send a part each of b*s/cp tokens to their experts and back over ep; where experts are split over etp
    ranks, these gather what each of them got and scatter the results (Megatron-LM
    core/transformer/moe/token_dispatcher.py). So E/ep experts on a rank meet `routed` = tokens*k*etp/tp rows together.
    """
    t, one = share.tokens, feed.expert
    routed = share.skew * t * feed.top_k * share.etp / share.tp
    local, width = feed.count / share.ep, one.width / share.etp
    routing = (feed.top_k, feed.groups, feed.top_groups)
    ways, sent = (share.dispatched, share.activation), share.skew * t * (feed.latent or hidden) / share.tp
    wide, hidden = hidden, feed.latent or hidden
    gathered = Traffic("etp", "all_reduce", share.activation * routed * hidden)
    held = feed.count * (wide + 1 if feed.bias else wide)
    router = Product(t, feed.count, wide, fused=0, wide=True)
    scored = ROUTED * t / share.shard * feed.count if share.plain else 0.0
    return (
        Operator("router", "router", router, float(held), saved=scored, modules=("moe",)),
        *(_between(wide, hidden, share) if feed.latent else ()),
        Operator(
            "dispatch",
            "experts",
            saved=share.operand * routed * hidden,
            traffic=tuple(Traffic("ep", "dispatch", each * sent, 1.0, *routing) for each in ways),
            modules=("moe",),
            feeds="expert_fc1",
        ),
        Operator("permutation", "experts", _permutation(share, routed * hidden), modules=("moe",)),
        *_routed(feed, hidden, share, Product(routed / local, (one.matrices - 1) * width, hidden, local, grouped=True)),
        Operator(
            "experts down",
            "experts",
            Product(routed / local, hidden, width, local, grouped=True),
            weights=(width * hidden + (hidden if one.bias else 0.0)) * local,
            expert=True,
            traffic=(gathered,),
            modules=("moe",),
        ),
        *(_biased(routed, local, (one.matrices - 1) * width, hidden, share) if one.bias and share.plain else ()),
        *_shared(feed, wide, share),
    )


def _biased(rows: Num, local: Num, width: Num, hidden: int, share: Share) -> tuple[Operator, ...]:
    """What experts with biases (gpt-oss) do in plain operations: clamp both halves, and add bias times probability.

    Clamped, joined again: 4 passes over what `up` gives, of which one stays. b*p and its sum in fp32, expert by expert,
    joined, cast: 28 bytes an element (Megatron-LM fusions/fused_bias_geglu.py, transformer/moe/experts.py).
    """
    clamp = Stream(4.0 * share.activation * rows * width, 3.0)
    add = Stream(14.0 * share.activation * rows * hidden, 2.0 * local + 2.0)
    saved = share.activation * rows * width
    return (
        Operator("experts clamp", "experts", clamp, saved=saved, modules=("moe", "moe_act")),
        Operator("experts bias", "experts", add, modules=("moe",)),
    )


def _permutation(share: Share, elements: Num) -> Stream:
    """Rows sorted by expert on their way there and back again: read and written each time, backward alike."""
    return Stream(4.0 * share.activation * elements, 4.0, mirrored=True)


def _between(hidden: int, latent: int, share: Share) -> tuple[Operator, ...]:
    """Down to the width in which experts work and up again, on every rank (Nemotron-3, arXiv:2512.20856)."""
    t = share.tokens / share.shard
    sides = (("down", latent, hidden), ("up", hidden, latent))
    return tuple(
        Operator(f"latent {name}", "shared", Product(t, n, k), float(n * k), saved=share.activation * t * latent)
        for name, n, k in sides
    )


def _routed(feed: Experts, hidden: int, share: Share, up: Product) -> tuple[Operator, ...]:
    first, activation = _matrices(feed.expert, hidden, share, up, "experts", ("moe",))
    return replace(first, expert=True, feeds="moe_act"), replace(activation, modules=("moe", "moe_act"))


def _shared(feed: Experts, hidden: int, share: Share) -> tuple[Operator, ...]:
    """One dense part as wide as all shared experts together."""
    if not feed.shared:
        return ()
    wide = replace(feed.expert, width=feed.shared)
    gate = Product(share.tokens, 1, hidden, fused=0, wide=True)
    one = Operator("shared gate", "shared", gate, float(hidden), modules=SHARED)
    part = dense(wide, hidden, share, "shared", SHARED)
    return (*part, one) if feed.shared_gate else part
