"""Keys that are written for frameworks on top of Megatron-LM, against its own parser and dataclasses."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.launch.program import Setup
from planner.launch.targets import TARGETS
from planner.launch.trees import NAMED, OFF
from planner.plan import Plan
from planner.read.options import known_options
from tests.frameworks.verdict import need
from tests.jobs import job

DENSE = Plan(tp=2, pp=2, v=2, dp=8, b=1, m=8, sp=1, zero=1, schedule="interleaved", recompute_layers=4)
EXPERTS = Plan(tp=2, pp=2, ep=8, dp=8, b=1, m=8, sp=1, zero=1, dispatcher="deepep", modules=("layernorm", "moe_act"))
AWAY = Plan(dp=32, b=1, m=2, zero=1)
JOBS: list[tuple[str, Plan, dict[str, Any]]] = [
    ("llama3-8b", DENSE, {"loss": "fused", "offload": "optimizer"}),
    ("llama3-8b", AWAY, {"offload": "activations"}),
    ("mixtral-8x7b", EXPERTS, {"capacity": 1.25, "graphs": "partial"}),
    ("gpt3-13b", DENSE, {}),
]
"""Model, plan, and fields of the job."""

BRIDGE = {
    "model": ("core/transformer/transformer_config.py", "core/model_parallel_config.py"),
    "ddp": ("core/distributed/distributed_data_parallel_config.py",),
    "optimizer": ("core/optimizer/optimizer_config.py",),
}
"""Files of Megatron-Core whose dataclasses Megatron-Bridge's sections extend."""

OWN = {"share_embeddings_and_output_weights", "position_embedding_type", "cuda_graph_scope"}
"""Fields of GPTModelProvider itself (Megatron-Bridge 067f987d, models/gpt_provider.py); cuda_graph_scope since 0.17."""


def setup(model: str, plan: Plan, work: dict[str, Any]) -> Setup:
    """One plan on 32 GPUs."""
    return Setup(job(model, "4x8xH100", "megatron-core", seq=4096, batch=64, **work), plan)


@pytest.mark.parametrize(("model", "plan", "work"), JOBS, ids=["dense", "away", "experts", "biased"])
def test_primus_keys_are_values_of_the_parser(model: str, plan: Plan, work: dict[str, Any]) -> None:
    """Each override is an option of Megatron-LM by the name that its parser gives the value."""
    text = TARGETS["primus"].program(setup(model, plan, work)).files[0].text
    keys = set(yaml.safe_load(text)["modules"]["pre_trainer"]["overrides"])
    known = {name[2:].replace("-", "_") for name in known_options("megatron")}
    known |= {name.removeprefix("no_") for name in known} | set(NAMED.values()) | set(OFF.values())
    assert keys <= known - set(NAMED) - set(OFF)


def fields_of(files: tuple[str, ...]) -> set[str]:
    """Annotated names of all classes of some files of the installed megatron-core."""
    need("megatron.core")
    found = find_spec("megatron.core")
    assert found is not None and found.origin is not None
    root = Path(found.origin).parents[1]
    trees = [ast.parse((root / name).read_text(encoding="utf-8")) for name in files]
    return {
        node.target.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


@pytest.mark.parametrize(("model", "plan", "work"), JOBS, ids=["dense", "away", "experts", "biased"])
def test_bridge_overrides_are_fields(model: str, plan: Plan, work: dict[str, Any]) -> None:
    """Each override of a section is a field of the dataclass behind it."""
    words = [flag[0] for flag in TARGETS["megatron-bridge"].program(setup(model, plan, work)).flags if "=" in flag[0]]
    for section, files in BRIDGE.items():
        keys = {w.partition("=")[0].removeprefix(f"{section}.") for w in words if w.startswith(f"{section}.")}
        assert keys <= fields_of(files) | (OWN if section == "model" else set())
