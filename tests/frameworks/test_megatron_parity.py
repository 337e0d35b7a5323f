"""Parameters of every rank and chunk are those of Megatron-Core's own model: experts, MLA, layouts, MTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from planner.launch.megatron_layout import read_layout
from planner.plan import Plan
from tests.frameworks.megatron import MegatronValidator
from tests.frameworks.test_emitted_megatron import buildable
from tests.jobs import job, model, rank_parameters


@dataclass(frozen=True)
class Case:
    """A model under a plan; a layout as Megatron writes it; `every`: all ranks are built, not one of each kind."""

    model: str
    tp: int = 1
    pp: int = 1
    v: int = 1
    ep: int = 1
    etp: int = 1
    head: int = 0
    layout: str = ""
    predictions: int = 0
    every: bool = False

    def __str__(self) -> str:
        return (
            f"{self.model} tp{self.tp} pp{self.pp} v{self.v} ep{self.ep} etp{self.etp} {self.layout} {self.predictions}"
        )

    @property
    def plan(self) -> Plan:
        """As few data parallel ranks as the experts need."""
        dp = max(self.ep * self.etp // self.tp, 1)
        schedule = "interleaved" if self.v > 1 else "1f1b"
        degrees = {name: getattr(self, name) for name in ("tp", "pp", "v", "ep", "etp", "head")}
        layout = read_layout(self.layout) if self.layout else None
        more: dict[str, Any] = {"dp": dp, "b": 1, "m": 2 * self.pp, "sp": int(self.tp > 1)}
        return Plan(**degrees, **more, schedule=schedule, layout=layout)


CASES = [
    Case("deepseek-v3", pp=16, ep=8),
    Case("deepseek-v3", pp=16, ep=8, predictions=1),
    Case("deepseek-v3", tp=2, pp=8, v=4, ep=64, layout="Et|(tt|)*30mL", predictions=1),
    Case("deepseek-v3", tp=2, pp=8, v=4, ep=64),
    Case("deepseek-v3", pp=8, v=2, ep=8, layout="Et*5|(t*4|)*13t*4,m|L", predictions=1),
    Case("kimi-k2", pp=8, ep=16, head=2),
    Case("glm-4.5", tp=2, pp=8, ep=8),
    Case("glm-4.5", pp=4, v=2, ep=8, predictions=1, layout="Et*11|(t*12|)*6t*9mL"),
    Case("qwen3-235b-a22b", tp=4, pp=8, ep=16),
    Case("qwen3-235b-a22b", tp=4, pp=8, v=4, ep=4, etp=4),
    Case("gpt-oss-120b", tp=4, pp=8, ep=8, head=1),
    Case("mixtral-8x7b", tp=4, pp=4, ep=4, etp=2, every=True),
    Case("mixtral-8x22b", tp=2, pp=4, v=7, ep=8, etp=1),
    Case("llama3.1-405b", tp=8, pp=16, every=True),
    Case("llama3-8b", tp=2, pp=4, layout="Et*7|t*9|t*10|t*6,L", every=True),
    Case("llama3.2-1b", pp=4, v=2, layout="Et|tt|tt|tt|(tt|)*2ttt|ttL", every=True),
    Case("llama3.2-1b", pp=4, predictions=2, every=True),
    Case("llama3.2-1b", tp=2, predictions=1),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_rank(megatron: MegatronValidator, case: Case) -> None:
    """To the unit, on every rank whose counts differ from its neighbour's."""
    shape, plan = model(case.model).model_copy(update={"mtp_layers": case.predictions}), case.plan
    inner = plan.tp * plan.dp
    world = inner * plan.pp
    asked = job(shape, f"{max(world // 8, 1)}x{min(world, 8)}xH100", seq=512, batch=plan.b * plan.m * plan.dp)
    said, environment = buildable(asked, plan)
    known: list[int] = []
    for rank in range(plan.pp):
        counted = rank_parameters(shape, plan, rank)
        if case.every or counted != known or rank == plan.pp - 2:
            assert megatron.rank_parameters(said, world, rank * inner, environment) == counted, rank
        known = counted
