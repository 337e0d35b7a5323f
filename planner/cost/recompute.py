"""Recomputation: what a layer keeps, what its backward pass runs again, and what that frees.

| policy    | kept per layer                        | run again                  |
|-----------|---------------------------------------|----------------------------|
| none      | everything                            | nothing                    |
| selective | everything but the attention scores   | the attention core         |
| full      | its input, 2*s*b*h bytes              | the whole forward          |
| block k   | full for k layers of each chunk, the policy above for the others                   |

Korthikanti et al. 2022 (arXiv:2205.05198), sections 4.1 and 5. Flash attention never stores scores, so that selective
recomputation of the core frees nothing beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.formula import formula
from planner.plan import Num


@dataclass(frozen=True, slots=True)
class Kept:
    """Activation bytes of one layer and micro-batch.

    Attributes:
        whole: of a layer that recomputes nothing, or its attention core only.
        boundary: of a recomputed layer: its input.
        working: what comes back to life while one layer is recomputed in full; scores: by selective recomputation.
    """

    whole: Num = 0.0
    boundary: Num = 0.0
    working: Num = 0.0
    scores: Num = 0.0


def kept(everything: Num, scores: Num, boundary: Num, selective: bool) -> Kept:
    """Split a layer's activations by what the policy keeps."""
    freed = scores if selective else 0.0
    return Kept(everything - freed, boundary, everything, freed)


def recomputed_layers(k: Num, v: Num, layers: Num) -> Num:
    """Layers of one rank that are recomputed in full: k of each of its v chunks, at most all of them."""
    return np.minimum(k * v, layers)


@formula("recomputed share", "Korthikanti 2022, arXiv:2205.05198, 5", "1")
def recomputed_share(k: Num, v: Num, layers: Num) -> Num:
    """Share of a rank's layers that are recomputed in full; of kinds that lie mixed, the same share of each."""
    return np.where(layers > 0.0, recomputed_layers(k, v, layers) / np.maximum(layers, 1.0), 0.0)[()]
