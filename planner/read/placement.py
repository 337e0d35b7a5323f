"""Where a script puts its layers, as a plan says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.frozen import frozen
from planner.plan import Plan
from planner.schema.model import Model
from planner.stages import letters_of
from planner.training.rule import MOST_HEAD

NO_PLACEMENT = "layers are placed as no pipeline of this model can hold them: they are split evenly instead"


def placed(stages: Sequence[str], model: Model, pp: int, v: int) -> dict[str, Any]:
    """The fields of Plan that put layers there: `head` where an even split does, else `layout`.

    `stages` are in the letters of `Plan.layout`. Nothing where they are not pp*v stages of the model's layers.
    """
    letters = "".join(stages)
    if len(stages) != pp * v or (letters.count("t"), letters.count("m")) != (model.layers, model.mtp_layers):
        return {}
    for head in range(MOST_HEAD if v == 1 and pp > 1 else 1):
        split = letters_of(model.layers, model.mtp_layers, Plan(pp=pp, v=v, head=head))
        if split == tuple(stages):
            return {"head": head}
    return {"layout": tuple(stages)}


@frozen
class Stages:
    """How torchtitan deals layers over stages.

    Attributes:
        listed: layers of every stage, where modules are written out.
        first_less, last_less: layers that embedding and head count for. each: layers per stage, 0: as few stages as go.
        single: the schedule has one stage per rank, else two or more.
    """

    listed: tuple[int, ...]
    first_less: int
    last_less: int
    each: int
    single: bool

    def layers(self, layers: int, pp: int) -> list[int]:
        """Layers of every stage: (L + first + last) dealt out evenly, the first stages one more.

        pytorch/torchtitan distributed/pipeline_parallel.py, generate_llm_fqn_per_model_part.
        """
        if self.listed:
            return list(self.listed)
        total = layers + self.first_less + self.last_less
        count = -(-total // self.each) if self.each else pp * (1 if self.single else 2)
        stages = [total // count + (i < total % count) for i in range(count)]
        stages[0] -= self.first_less
        stages[-1] -= self.last_less
        return stages
