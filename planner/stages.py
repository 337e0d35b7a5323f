"""Which pipeline rank holds how many blocks of which kind: `counts[rank, kind]`, for one plan or many.

A rank's bytes and seconds are its row of counts times what each kind costs. Neighbouring ranks with equal rows are one
`Row`, so a pipeline of any length is a handful of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from itertools import accumulate, groupby
from operator import add
from typing import Any, TypeVar, overload

import numpy as np

from planner.blocks.record import Structure
from planner.frozen import frozen
from planner.plan import Ints, Num, OnePlan, Plan, largest_of
from planner.schedules import SCHEDULES
from planner.schedules.ops import LOOP, Placement

Part = TypeVar("Part")
"""A number, or a record of numbers that is added and multiplied as one."""


@frozen
class Row:
    """Neighbouring ranks that hold the same.

    Attributes:
        first: the lowest of them; ranks: how many (0 where a plan of a batch has fewer rows).
        counts: per kind of the model's structure, on each rank; 0.0 where no plan of the batch holds any.
    """

    first: Num
    ranks: Num
    counts: tuple[Num, ...]

    def layers(self, blocks: int) -> Num:
        """Layers on each rank: the first `blocks` kinds, without ends."""
        return total(self.counts[:blocks], 0.0)

    @overload
    def sum(self, values: Sequence[Num]) -> Num: ...
    @overload
    def sum(self, values: Sequence[Part | float], zero: Part) -> Part: ...
    def sum(self, values: Sequence[Any], zero: Any = 0.0) -> Any:
        """sum over kinds of count * value; over the first ones where fewer values are given."""
        both = zip(self.counts, values, strict=False)
        return total([count * value for count, value in both if present(count) and present(value)], zero)

    def largest(self, values: Sequence[Num]) -> Num:
        """Largest value of a kind that is there, of the first ones where fewer values are given."""
        both = zip(self.counts, values, strict=False)
        held = [np.where(count > 0.0, value, 0.0)[()] for count, value in both if present(count) and present(value)]
        return largest_of(held) if held else 0.0


def present(value: object) -> bool:
    """Whether a quantity may differ from zero in some plan of the batch: a plain 0.0 says that it does not."""
    return not (isinstance(value, float) and value == 0.0)


def total(values: Sequence[Part], zero: Part) -> Part:
    """Sum in order, without adding to a zero first."""
    return reduce(add, values) if values else zero


def rows(of: Structure, plan: Plan) -> tuple[Row, ...]:
    """The rows of a plan (numbers), or of many (arrays), from the first rank on."""
    if np.ndim(plan.pp) == 0:
        found = compressed(of, *_split(plan))
        return tuple(Row(float(first), float(ranks), tuple(map(float, counts))) for first, ranks, counts in found)
    distinct, where = _layouts(plan)
    placement = SCHEDULES[plan.schedule].placement
    tables = [compressed(of, int(p), int(v), int(head), placement, plan.layout) for p, v, head in distinct]
    return tuple(_gathered(tables, index, where, len(of.kinds)) for index in range(max(map(len, tables))))


Layout = tuple[str, ...] | None
"""`Plan.layout`."""


def _split(plan: Plan) -> tuple[int, int, int, Placement, Layout]:
    """What decides where one plan's layers are."""
    return int(plan.pp), int(plan.v), int(plan.head), SCHEDULES[plan.schedule].placement, plan.layout


def _layouts(plan: Plan) -> tuple[Ints, Ints]:
    """The distinct (pp, v, head), and which of them every plan has; of a grid, every column of it."""
    columns = [column.astype(int) for column in np.broadcast_arrays(plan.pp, plan.v, plan.head)]
    sizes = [int(column.max()) + 1 for column in columns]
    numbers, where = np.unique(np.ravel_multi_index(columns, sizes), return_inverse=True)
    return np.stack(np.unravel_index(numbers, sizes), axis=1), where.reshape(columns[0].shape)


Compressed = tuple[tuple[int, int, tuple[int, ...]], ...]
"""Per row: first rank, ranks, counts."""


def _gathered(tables: Sequence[Compressed], index: int, where: Ints, kinds: int) -> Row:
    """Row `index` of every plan; nothing on no rank where a plan has fewer."""
    missing = (0, 0, (0,) * kinds)
    chosen = [table[index] if index < len(table) else missing for table in tables]

    def column(values: Sequence[int]) -> Num:
        return np.array(values, dtype=np.float64)[where] if any(values) else 0.0

    counts = tuple(column([counts[kind] for _, _, counts in chosen]) for kind in range(kinds))
    return Row(column([first for first, _, _ in chosen]), column([ranks for _, ranks, _ in chosen]), counts)


@lru_cache(maxsize=8192)
def compressed(of: Structure, p: int, v: int, head: int, placement: Placement, layout: Layout) -> Compressed:
    """The table with runs of equal rows as one."""
    found, first = [], 0
    for counts, run in groupby(table(of, p, v, head, placement, layout)):
        ranks = len(list(run))
        found.append((first, ranks, counts))
        first += ranks
    return tuple(found)


def table(of: Structure, p: int, v: int, head: int, placement: Placement, layout: Layout) -> list[tuple[int, ...]]:
    """counts[rank][kind] over all chunks of a rank.

    DeepSeek-V3 on 16 ranks, rank 0: three dense layers, one of experts and the embedding.
    """
    chunks = _chunk_table(of, p, v, head, placement, layout)
    return [_tied(of, tuple(map(sum, zip(*chunks[rank], strict=True)))) for rank in range(p)]


def _tied(of: Structure, counts: tuple[int, ...]) -> tuple[int, ...]:
    """A rank's counts, with the head that shares the embedding's matrix where both are on it."""
    if not (of.tied and counts[of.blocks] and counts[of.blocks + 1]):
        return counts
    own, tied = of.blocks + 1, of.blocks + 2
    return (*counts[:own], 0, counts[own], *counts[tied + 1 :])


def chunk_table(of: Structure, plan: Plan) -> list[list[tuple[int, ...]]]:
    """counts[rank][chunk][kind] of one plan."""
    return _chunk_table(of, *_split(plan))


def _chunk_table(
    of: Structure, p: int, v: int, head: int, placement: Placement, layout: Layout
) -> list[list[tuple[int, ...]]]:
    stages = stage_table(of, stage_letters(len(of.order) - of.predicted, of.predicted, p, v, head, placement, layout))
    return [[stages[placement.stage(rank, chunk, p)] for chunk in range(v)] for rank in range(p)]


def stage_table(of: Structure, letters: Sequence[str]) -> list[tuple[int, ...]]:
    """counts[stage][kind], from the first stage that a micro-batch meets to the last.

    A tower is on the first. Where predictions are not there, the first of them has a copy of the embedding; the final
    norm comes behind the last layer (NVIDIA/Megatron-LM core/transformer/transformer_block.py).
    """
    sizes = [stage.count("t") + stage.count("m") for stage in letters]
    behind = max((index for index, stage in enumerate(letters) if "t" in stage), default=0)
    counts = []
    for index, (size, end) in enumerate(zip(sizes, accumulate(sizes), strict=True)):
        row = [0] * len(of.kinds)
        for kind in of.order[end - size : end]:
            row[kind] += 1
        row[of.blocks] = int(index == 0)
        row[of.blocks + 1] = int(index == len(letters) - 1)
        row[of.ends :] = of.tower if index == 0 else [0] * len(of.tower)
        if of.predicted:
            row[of.ends - 1] = int(index == behind)
            copies = int(index > 0 and row[of.blocks - 2] > 0)
            row[of.blocks - 2 : of.blocks] = row[of.blocks - 2] - copies, copies
        counts.append(tuple(row))
    return counts


def stage_letters(
    layers: int, predicted: int, p: int, v: int, head: int, placement: Placement, layout: Layout = None
) -> tuple[str, ...]:
    """What every stage holds, in the letters of `Plan.layout`, which is followed where it has as many stages."""
    if layout is not None and len(layout) == p * v:
        return layout
    return lettered(stage_layers(layers, p, v, head, placement), predicted)


def lettered(sizes: Sequence[int], predicted: int = 0) -> tuple[str, ...]:
    """Stages of so many layers, predictions on the last: (1, 2, 0) and one are Et, tt, mL."""
    stages = ["t" * size for size in sizes]
    stages[0] = "E" + stages[0]
    stages[-1] += "m" * predicted + "L"
    return tuple(stages)


def stage_layers(layers: int, p: int, v: int, head: int, placement: Placement) -> list[int]:
    """Layers of every stage in the order in which a micro-batch meets them."""
    return layers_per_rank(layers, p, head) if placement.whole or v == 1 else even_stages(layers, p * v)


def even_stages(layers: int, stages: int) -> list[int]:
    """As even as can be; what is missing is spared at the last stage, the first, the last again, the second ...

    126 layers on 16 ranks of 8 chunks are one each, but for the first chunk of rank 0 and the last of rank 15. 61 on 8
    of 4 are 1, 30 times 2 and 0, as DeepSeek-V3 is laid out on H100 (Et|(tt|)*30L; NVIDIA-NeMo/Megatron-Bridge).
    """
    most = -(-layers // stages)
    sizes = [most] * stages
    spared = [stages - 1, 0, *([stages - 1] if most > 1 else []), *range(1, stages - 1)]
    for stage in spared[: stages * most - layers]:
        sizes[stage] -= 1
    return sizes


def most_stages(layers: int, told: bool) -> int:
    """Stages that so many layers make: one each, and embedding and loss by themselves where a framework is told so."""
    return layers + 2 * told


def short_chunks(p: Num) -> Num:
    """Layers that may be missing to equal chunks: the two ends', and fewer than a chunk's of every rank."""
    return np.maximum(p - 1, 2)


@frozen
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


def chunk_layers(layers: int, plan: Plan) -> Num:
    """Layers of the largest model chunk: what "full" recomputation recomputes of each. Of one plan, or of many."""
    even = np.ceil(split_layers(layers, plan.pp, plan.head).middle / SCHEDULES[plan.schedule].cuts(plan.v))
    if plan.layout is None:
        return even
    largest = max(stage.count("t") for stage in plan.layout)
    return np.where(plan.placed, largest, even)[()]


def layers_per_rank(layers: int, p: int, head: int = 0) -> list[int]:
    """The split, rank by rank."""
    split = split_layers(layers, float(p), float(head))
    if p == 1:
        return [layers]
    short, middle = int(split.short), int(split.middle)
    return [int(split.first)] + [middle - 1] * short + [middle] * (p - 2 - short) + [int(split.last)]


def letters_of(layers: int, predicted: int, plan: OnePlan) -> tuple[str, ...]:
    """What every stage of one plan holds, of a looped pipeline: all ranks' first chunks first."""
    return stage_letters(layers, predicted, int(plan.pp), int(plan.v), int(plan.head), LOOP, plan.layout)


def layers_per_stage(layers: int, plan: OnePlan) -> list[int]:
    """Layers of every stage, in the order that a micro-batch meets them."""
    return [stage.count("t") for stage in letters_of(layers, 0, plan)]


def layers_per_chunk(layers: int, plan: OnePlan) -> list[list[int]]:
    """Layers of every model chunk, [rank][chunk], of a looped pipeline."""
    stages = layers_per_stage(layers, plan)
    return [[stages[LOOP.stage(rank, chunk, plan.pp)] for chunk in range(plan.v)] for rank in range(plan.pp)]
