"""How Megatron is told which layers go where: even, uneven ends, or a layout string."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from planner.errors import PlannerError
from planner.plan import OnePlan
from planner.schema.model import Model
from planner.stages import lettered, letters_of
from planner.training.layouts import layout_string

if TYPE_CHECKING:
    from planner.launch.program import Flag


def placement_flags(model: Model, plan: OnePlan) -> list[Flag]:
    """The plainest of three ways that says where the plan puts its layers.

    Even stages need nothing but their number; ends that differ have flags of their own; anything else, chunks without a
    layer, and predictions that are not on the last stage take --pipeline-model-parallel-layout.
    """
    stages = letters_of(model.layers, model.mtp_layers, plan)
    sizes = [stage.count("t") for stage in stages]
    if stages == lettered(sizes, model.mtp_layers):
        if len(set(sizes)) == 1:
            return [("--num-virtual-stages-per-pipeline-rank", f"{plan.v}")] if plan.v > 1 else []
        if plan.v == 1 and len(set(sizes[1:-1])) <= 1 and min(sizes) > 0:
            return [
                ("--decoder-first-pipeline-num-layers", f"{sizes[0]}"),
                ("--decoder-last-pipeline-num-layers", f"{sizes[-1]}"),
            ]
    return [("--pipeline-model-parallel-layout", layout_string(stages))]


def read_layout(text: str) -> tuple[str, ...]:
    """What every stage of a layout string holds, in its order: ("Et", "tt", "mL").

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
    return tuple(text.split("|"))


MOST_CHARACTERS = 100_000
"""Length that a layout may grow to."""
