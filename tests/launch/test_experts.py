"""Modules, dispatchers, overlap, graphs and capacity in Megatron-LM's options: written, and read back the same."""

from __future__ import annotations

from dataclasses import replace
from shlex import join
from typing import Any

import pytest

from planner.launch.megatron import program
from planner.launch.megatron_core import dispatching, graphs
from planner.launch.program import Setup
from planner.plan import Plan
from planner.read.script import Context, read_any
from tests.jobs import job

MOE = job("deepseek-v3", "16x8xH100", seq=4096, batch=1024)
PLAN = Plan(tp=2, pp=4, v=4, ep=32, dp=16, b=1, m=64, sp=1, zero=1, schedule="interleaved")


def written(plan: dict[str, Any], workload: dict[str, Any]) -> tuple[str, Setup]:
    """A script's command line, and what it was made of."""
    of = replace(MOE, workload=MOE.workload.model_copy(update=workload))
    setup = Setup(of, replace(PLAN, **plan))
    made = program(setup)
    return join([made.script, *(word for flag in made.flags for word in flag)]), setup


@pytest.mark.parametrize(
    ("plan", "workload", "words"),
    [
        ({"dispatcher": "alltoall"}, {}, "--moe-token-dispatcher-type alltoall"),
        ({"dispatcher": "allgather"}, {}, "--moe-token-dispatcher-type allgather"),
        ({"dispatcher": "deepep"}, {}, "--moe-token-dispatcher-type flex --moe-flex-dispatcher-backend deepep"),
        ({"dispatcher": "hybridep", "overlap": True}, {}, "--overlap-moe-expert-parallel-comm"),
        ({"modules": ("mla_up_proj", "moe_act")}, {}, "--recompute-modules mla_up_proj moe_act"),
        ({}, {"graphs": "partial"}, "--cuda-graph-impl transformer_engine --cuda-graph-scope attn moe_router"),
        ({}, {"graphs": "full"}, "--cuda-graph-impl local --cuda-graph-scope full_iteration"),
        ({}, {"capacity": 1.25}, "--moe-expert-capacity-factor 1.25 --moe-pad-expert-input-to-capacity"),
        ({}, {}, "--moe-router-num-groups 8 --moe-router-group-topk 4"),
    ],
)
def test_there_and_back(plan: dict[str, Any], workload: dict[str, Any], words: str) -> None:
    line, setup = written(plan, workload)
    assert words in line
    reading = read_any(f"torchrun {line}\n", Context(128, None, {}, lambda name: None))
    for name in ("modules", "dispatcher", "overlap"):
        assert reading.plan[name] == getattr(setup.plan, name)
    for name in ("graphs", "capacity"):
        assert reading.workload.get(name, None) == getattr(setup.job.workload, name)
    assert reading.model is not None and reading.model.moe is not None
    assert (reading.model.moe.groups, reading.model.moe.top_groups) == (8, 4)


@pytest.mark.parametrize(
    ("options", "graph"),
    [
        ("", "none"),
        ("--cuda-graph-impl full_iteration", "full"),
        ("--cuda-graph-impl local", "partial"),
        ("--external-cuda-graph", "partial"),
    ],
)
def test_spellings_of_graphs(options: str, graph: str) -> None:
    line, _ = written({}, {})
    assert (
        read_any(f"torchrun {line} {options}\n", Context(128, None, {}, lambda name: None)).workload["graphs"] == graph
    )


def test_what_is_not_set_is_megatrons_default() -> None:
    """Tokens are gathered, nothing is padded; a capacity without padding is told."""
    line, _ = written({}, {})
    plain = line.replace("--moe-token-dispatcher-type alltoall", "--moe-expert-capacity-factor 2.0")
    reading = read_any(f"torchrun {plain}\n", Context(128, None, {}, lambda name: None))
    assert reading.plan["dispatcher"] == "allgather" and "capacity" not in reading.workload
    assert any("--moe-expert-capacity-factor 2.0" in note for note in reading.notes)


def test_fields_of_megatron_core() -> None:
    of = replace(MOE, workload=MOE.workload.model_copy(update={"graphs": "partial"}))
    setup = Setup(of, replace(PLAN, dispatcher="hybridep", overlap=True))
    fields = dispatching(setup)
    assert fields["moe_token_dispatcher_type"] == "flex" and fields["moe_flex_dispatcher_backend"] == "hybridep"
    assert fields["overlap_moe_expert_parallel_comm"] and "delay_wgrad_compute" not in fields
    assert graphs(setup)["cuda_graph_scope"] == ["attn", "moe_router", "moe_preprocess"]
