"""What is emitted for torchtitan and ColossalAI, held against them; skipped where no environment is named."""

from __future__ import annotations

import pytest

from planner.launch.program import Setup
from planner.launch.targets import TARGETS
from planner.stages import layers_per_chunk
from tests.frameworks.heavy.colossalai import colossalai_module_accepts
from tests.frameworks.heavy.torchtitan import torchtitan_accepts
from tests.jobs import job
from tests.launch.test_round_trip import drawn


@pytest.mark.parametrize(
    ("model", "cluster", "batch"), [("llama3-8b", "2x8xA100", 64), ("llama3.1-405b", "16x8xH100", 128)]
)
def test_torchtitan_runs_the_plan(model: str, cluster: str, batch: int) -> None:
    """Its reader, degrees, batch, pipeline and recomputation; every stage has the plan's layers."""
    asked = job(model, cluster, "torchtitan", seq=4096, batch=batch)
    for plan in drawn(asked, "torchtitan", 12):
        text = TARGETS["torchtitan"].program(Setup(asked, plan)).files[0].text
        verdict = torchtitan_accepts(text, asked.cluster.gpus)
        assert verdict.ok, f"{verdict.error}\n{text}"
        assert verdict.config["layers"] == layers_per_chunk(asked.model.layers, plan)


@pytest.mark.parametrize(("model", "cluster"), [("llama3-8b", "2x8xA100"), ("llama2-13b", "4x8xA100")])
def test_colossalai_runs_the_plan(model: str, cluster: str) -> None:
    """HybridParallelPlugin is made, with the plan's micro-batches."""
    asked = job(model, cluster, "colossalai", seq=4096, batch=64)
    for plan in drawn(asked, "colossalai", 25):
        text = TARGETS["colossalai"].program(Setup(asked, plan)).files[0].text
        verdict = colossalai_module_accepts(text, asked.cluster.gpus, asked.model.layers)
        if "ring_attn is not in the supported list" in verdict.error:
            continue  # 0.3.8, the version that installs beside today's torch, has no ring attention
        assert verdict.ok, f"{verdict.error}\n{text}"
