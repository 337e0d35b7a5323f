"""How Megatron is told which layers go where: even, uneven ends, or a layout string."""

from __future__ import annotations

import re
from itertools import groupby

from planner.errors import PlannerError
from planner.launch.program import Flag
from planner.plan import Plan
from planner.stages import layers_per_chunk


def placement_flags(layers: int, plan: Plan) -> list[Flag]:
    """The plainest of three ways that says where the plan puts its layers.

    Even stages need nothing but their number; ends that differ have flags of their own; anything else, and chunks
    without a layer, take --pipeline-model-parallel-layout.
    """
    chunks = layers_per_chunk(layers, plan.pp, plan.v, plan.head)
    sizes = [sum(rank) for rank in chunks]
    if len({count for rank in chunks for count in rank}) == 1:
        return [("--num-virtual-stages-per-pipeline-rank", f"{plan.v}")] if plan.v > 1 else []
    if plan.v == 1 and len(set(sizes[1:-1])) <= 1 and min(sizes) > 0:
        return [
            ("--decoder-first-pipeline-num-layers", f"{sizes[0]}"),
            ("--decoder-last-pipeline-num-layers", f"{sizes[-1]}"),
        ]
    return [("--pipeline-model-parallel-layout", layout_string(chunks))]


def layout_string(chunks: list[list[int]]) -> str:
    """The stages in Megatron's order, all ranks' first chunks first: "Et|(tt|)*6tt|tL".

    E is the embedding, t a layer, L the loss; `(x|)*n` repeats (core/transformer/pipeline_parallel_layer_layout.py).
    """
    order = [rank[chunk] for chunk in range(len(chunks[0])) for rank in chunks]
    first, *middle, last = order
    runs = [(count, len(list(same))) for count, same in groupby(middle)]
    inner = "".join(f"({layers_string(count)}|)*{times}" for count, times in runs)
    return f"E{layers_string(first)}|{inner}{layers_string(last)}L"


def layers_string(count: int) -> str:
    """Layers of one stage: "", "ttt", "t*12"."""
    return "t" * count if count < 4 else f"t*{count}"


def read_layout(text: str) -> list[int]:
    """Layers of every stage of a layout string, in its order.

    Megatron writes `(..)*n` out first and then `x*n`, so groups do not nest; commas are ornaments.

    Raises:
        PlannerError: a character that the format does not have, or more than MOST_CHARACTERS.
    """
    text = text.replace(",", "")
    for repeated in (r"\(([^)]+)\)\*(\d{1,6})", r"(.)\*(\d{1,6})"):
        grown = len(text) + sum(len(x) * int(n) for x, n in re.findall(repeated, text))
        if grown > MOST_CHARACTERS:
            raise PlannerError("more stages than any pipeline has")
        text = re.sub(repeated, lambda found: found[1] * int(found[2]), text)
    if unknown := set(text) - set("EtmL|"):
        raise PlannerError(f"{min(unknown)!r} is none of E t m L | ( ) * and numbers")
    return [stage.count("t") for stage in text.split("|")]


MOST_CHARACTERS = 100_000
"""Length that a layout may grow to."""
