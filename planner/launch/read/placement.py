"""Which split of the cost model a placement of layers is."""

from __future__ import annotations

from dataclasses import dataclass

from planner.schema.model import Model
from planner.stages import layers_per_chunk
from planner.training.rule import MOST_HEAD


def find_head(stages: list[int], model: Model, pp: int, v: int) -> tuple[int, bool]:
    """(layers that the head counts for, whether the split is this very one).

    `stages` holds the layers of every stage, all ranks' first chunks first. Of splits that differ, the one whose
    fullest difference is least.
    """
    best, least = 0, None
    for head in range(MOST_HEAD if v == 1 and pp > 1 else 1):
        chunks = layers_per_chunk(model.layers, pp, v, head)
        split = [rank[chunk] for chunk in range(v) for rank in chunks]
        if len(split) != len(stages) or min(split) < 0:
            break
        difference = max(abs(x - y) for x, y in zip(split, stages, strict=True))
        if least is None or difference < least:
            best, least = head, difference
    return best, least == 0


@dataclass(frozen=True, slots=True)
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
