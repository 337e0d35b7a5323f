"""Where the blocks of one plan go: the split over pp*v stages that makes the slowest rank fastest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, groupby

from planner.frozen import frozen
from planner.plan import OnePlan
from planner.schedules import SCHEDULES
from planner.stages import chunk_layers, stage_letters
from planner.training.estimate import Ranks, kind_seconds
from planner.training.job import Job

HALVINGS = 24
"""Of the range in which the slowest rank's time is looked for: a millionth of it remains."""


@frozen
class Pipeline:
    """What is to be split.

    Attributes:
        items: seconds of every block, in the order in which a micro-batch meets them.
        ends: seconds of what else each stage holds: embedding and tower on the first, head and loss on the last.
        ranks: the rank of each stage; v: stages per rank.
    """

    items: tuple[float, ...]
    ends: tuple[float, ...]
    ranks: tuple[int, ...]
    v: int

    def slowest(self, sizes: Sequence[int]) -> float:
        """Seconds of the slowest rank, where stages hold so many items each."""
        starts, total = [0, *accumulate(sizes)], [0.0] * (len(self.ranks) // self.v)
        for stage, size in enumerate(sizes):
            total[self.ranks[stage]] += sum(self.items[starts[stage] : starts[stage] + size]) + self.ends[stage]
        return max(total)

    def filled(self, limit: float) -> list[int] | None:
        """Items per stage if no rank may take longer than a limit; None where some are left over.

        A stage takes what fits into its share of what its rank has left. Stages are filled from the last one on: what
        is spared is spared on the first, which keep most micro-batches in flight.
        """
        room = [limit] * (len(self.ranks) // self.v)
        for rank, end in zip(self.ranks, self.ends, strict=True):
            room[rank] -= end
        stages, left, found = [self.v] * len(room), len(self.items), [0] * len(self.ranks)
        for stage in reversed(range(len(found))):
            rank, last = self.ranks[stage], left
            share = room[rank] / stages[rank]
            while left and sum(self.items[left - 1 : last]) <= share:
                left -= 1
            found[stage], stages[rank] = last - left, stages[rank] - 1
            room[rank] -= sum(self.items[left:last])
        return None if left else found


def partition(pipeline: Pipeline, sizes: list[int]) -> list[int]:
    """Items per stage, so that the slowest rank takes least; `sizes` where nothing is faster than they are.

    The least limit that all ranks keep, by halving. With one stage a rank that is exact; with several, each rank's are
    as even as can be, as interleaving wants them.
    """
    best = sizes
    low, high = sum(pipeline.items + pipeline.ends) * pipeline.v / len(sizes), pipeline.slowest(sizes)
    for _ in range(HALVINGS):
        limit = (low + high) / 2
        tried = pipeline.filled(limit)
        if tried is None:
            low = limit
        else:
            best, high = tried, limit
    return best


def solved(job: Job, plan: OnePlan, ranks: Ranks | None = None) -> OnePlan:
    """The plan with its blocks split by `partition`; the same plan where that changes nothing, or it has a layout.

    `ranks`: those of the plan, where they are known. Full recomputation stays full. DeepSeek-V3 in 4 ranks of 8 chunks:
    Ettt, then tt, and t before the prediction block and the loss.
    """
    of, placement = job.structure, SCHEDULES[plan.schedule].placement
    if plan.pp == 1 or plan.layout is not None or placement.whole:
        return plan
    layers, stages = len(of.order) - of.predicted, plan.pp * plan.v
    now = stage_letters(layers, of.predicted, plan.pp, plan.v, plan.head, placement)
    sizes = [stage.count("t") + stage.count("m") for stage in now]
    found = partition(_pipeline(job, plan, stages, ranks), sizes)
    if found == sizes:
        return plan
    ends = list(accumulate(found))
    letters = "t" * layers + "m" * of.predicted
    layout = [letters[end - size : end] for size, end in zip(found, ends, strict=True)]
    layout[0], layout[-1] = "E" + layout[0], layout[-1] + "L"
    placed = replace(plan, layout=tuple(layout), head=0)
    before, after = (int(chunk_layers(job.model.layers, one)) for one in (plan, placed))
    again = after if 0 < before <= plan.recompute_layers else min(plan.recompute_layers, after)
    return replace(placed, recompute_layers=again)


def _pipeline(job: Job, plan: OnePlan, stages: int, ranks: Ranks | None) -> Pipeline:
    of, placement = job.structure, SCHEDULES[plan.schedule].placement
    seconds = kind_seconds(job, plan, ranks)
    tower = sum(count * each for count, each in zip(of.tower, seconds[of.ends :], strict=True))
    rank = {placement.stage(r, chunk, plan.pp): r for r in range(plan.pp) for chunk in range(plan.v)}
    return Pipeline(
        tuple(seconds[kind] for kind in of.order),
        (seconds[of.blocks] + tower, *[0.0] * (stages - 2), seconds[of.blocks + 1]),
        tuple(rank[stage] for stage in range(stages)),
        plan.v,
    )


def layout_string(stages: tuple[str, ...]) -> str:
    """The stages in Megatron's order, all ranks' first chunks first: "Et|(tt|)*6tt|tL".

    E is the embedding, t a layer, m a prediction, L the loss; `(x|)*n` repeats (NVIDIA/Megatron-LM
    core/transformer/pipeline_parallel_layer_layout.py).
    """
    first, *middle, last = map(_shortened, stages)
    runs = [(stage, len(list(same))) for stage, same in groupby(middle)]
    return f"{first}|" + "".join(f"({stage}|)*{times}" for stage, times in runs) + last


def _shortened(stage: str) -> str:
    """One stage: "Ettt", "t*12"."""
    runs = [(letter, len(list(same))) for letter, same in groupby(stage)]
    return "".join(letter * count if count < 4 else f"{letter}*{count}" for letter, count in runs)
