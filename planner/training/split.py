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


def split_layers(layers: int, p: Num, head: Num = 0.0) -> Split:
    """ceil((L + head)/p) layers each, the LM head counting as `head` of them; the last rank gets the rest.

    What p*ceil((L + head)/p) exceeds L + head by is spared on the last rank, the first, then 1, 2 ...: the last rank
    has the head, the first ranks keep most micro-batches in flight. 126 layers on 16 ranks: 7 on both ends, 8 on the
    others, as Llama 3 405B was trained (arXiv:2407.21783, section 3.3.2). 16 layers on 4 ranks, head = 4: 5, 5, 5, 1.
    """
    counted = np.where(p > 1.0, head, 0.0)[()]
    most = np.ceil((layers + counted) / p)
    missing = p * most - layers - counted
    last = np.maximum(most - counted - np.minimum(missing, 1.0), 0.0)
    others = np.maximum(p - 1.0, 1.0)
    rest = np.where(p > 1.0, layers - last, layers)[()]
    middle = np.ceil(rest / others)
    spared = others * middle - rest
    less_first = np.minimum(spared, 1.0)
    return Split(middle - less_first, middle, np.where(p > 1.0, last, middle)[()], spared - less_first)


def chunk_layers(layers: int, p: Num, v: Num, head: Num = 0.0) -> Num:
    """Layers of the largest model chunk: what "full" recomputation recomputes of each."""
    return np.ceil(split_layers(layers, p, head).middle / v)


def layers_per_rank(layers: int, p: int, head: int = 0) -> list[int]:
    """The split, rank by rank."""
    split = split_layers(layers, float(p), float(head))
    if p == 1:
        return [layers]
    short, middle = int(split.short), int(split.middle)
    return [int(split.first)] + [middle - 1] * short + [middle] * (p - 2 - short) + [int(split.last)]


def layers_per_chunk(layers: int, p: int, v: int, head: int = 0) -> list[list[int]]:
    """Layers of every model chunk, [rank][chunk]: with v > 1 the first and the last chunk may be one layer short.

    126 layers on 16 ranks of 8 chunks are one each, but for the first chunk of rank 0 and the last of rank 15.
    """
    if v == 1:
        return [[count] for count in layers_per_rank(layers, p, head)]
    most = -(-layers // (p * v))
    missing = p * v * most - layers
    chunks = [[most] * v for _ in range(p)]
    chunks[-1][-1] -= min(missing, 1)
    chunks[0][0] -= max(missing - 1, 0)
    return chunks
