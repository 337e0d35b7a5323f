"""How L layers are laid over p pipeline ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.plan import Num


@dataclass(frozen=True, slots=True)
class Split:
    """Layers per rank: `middle` on long interior ranks, one less on `short` interior ranks and, first, on the ends.

    Attributes:
        first, middle, last: layers of rank 0, of a long interior rank, of rank p-1.
        short: interior ranks, right behind rank 0, with middle - 1 layers.
    """

    first: Num
    middle: Num
    last: Num
    short: Num


def split_layers(layers: int, p: Num) -> Split:
    """ceil(L/p) layers each; the p*ceil(L/p) - L missing ones are spared on the last rank, the first, then 1, 2 ...

    The last rank has the LM head, the first ranks keep most micro-batches in flight. 126 layers on 16 ranks: 7 on
    both ends, 8 on the others, as Llama 3 405B was trained (arXiv:2407.21783, section 3.3.2).
    """
    most = np.ceil(layers / p)
    missing = p * most - layers
    less_last, less_first = np.minimum(missing, 1.0), np.minimum(np.maximum(missing - 1.0, 0.0), 1.0)
    return Split(most - less_first, most, most - less_last, np.maximum(missing - 2.0, 0.0))
