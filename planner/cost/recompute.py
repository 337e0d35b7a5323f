"""What a layer keeps: what its backward pass runs again, what goes to the host, and what that frees.

| policy    | kept per layer                        | run again                  |
|-----------|---------------------------------------|----------------------------|
| none      | everything                            | nothing                    |
| selective | everything but what modules store     | those modules              |
| full      | its input, 2*s*b*h bytes              | the whole forward          |
| block k   | full for k layers of each chunk, the policy above for the others                   |

Korthikanti et al. 2022 (arXiv:2205.05198), sections 4.1 and 5. Modules are Megatron-LM's (--recompute-modules,
core/transformer/transformer_config.py). Flash attention never stores scores: running its core again frees next to
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.blocks.operator import Operator
from planner.formula import formula
from planner.frozen import frozen
from planner.plan import Num

MODULES = ("core_attn", "mla_up_proj", "layernorm", "moe_act", "mlp", "moe", "shared_experts")
"""Parts of a layer that can be run again by themselves; `planner.blocks.operator.Operator.modules` says which is in."""

LIGHT = ("mla_up_proj", "layernorm", "moe_act")
"""Those that cost next to no time: element-wise passes and the products out of MLA's narrow latents."""


@frozen
class Kept:
    """Activation bytes of one layer and micro-batch.

    Attributes:
        whole: of a layer that recomputes nothing, or modules of it.
        boundary: of a recomputed layer: its input.
        working: what comes back to life while one layer is recomputed in full; freed: while its modules are.
    """

    whole: Num = 0.0
    boundary: Num = 0.0
    working: Num = 0.0
    freed: Num = 0.0


def kept(everything: Num, freed: Num, boundary: Num) -> Kept:
    """Split a layer's activations by what the policy keeps; `freed` bytes are those that its modules store."""
    return Kept(everything - freed, boundary, everything, freed)


def away_bytes(ops: Sequence[Operator], offloaded: tuple[str, ...], again: tuple[str, ...]) -> Num:
    """Inputs of the modules that are offloaded, but for those that recomputation does not keep.

    GPT-3 175B in 16 bit at s = 2048, b = 1, tp = 8, core_attn: 2 * 2048 * 3 * 12288/8 = 18.9e6 bytes a layer.
    """
    return sum((op.saved for op in ops if op.feeds in offloaded and not op.within(again)), start=0.0)


@formula("recomputed share", "Korthikanti 2022, arXiv:2205.05198, 5", "1")
def recomputed_share(k: Num, v: Num, layers: Num) -> Num:
    """Share of a rank's layers that are recomputed in full: k of each of its v chunks, at most all of them.

    Of kinds that lie mixed, the same share of each.
    """
    return np.where(layers > 0.0, np.minimum(k * v, layers) / np.maximum(layers, 1.0), 0.0)[()]
