"""Recipes below 16 bit as Megatron-LM and torchtitan are asked for them."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from planner.catalog.recipes import packaged_recipe
from planner.launch import megatron, megatron_core, torchtitan
from planner.launch.program import Setup
from planner.launch.targets import TARGETS, refusal
from planner.plan import Plan
from planner.read.torchtitan import read_torchtitan
from planner.schema.workload import Workload
from tests.jobs import job, library
from tests.launch.test_megatron_checks import flags, read

NARROW = [name for name in library().names("recipe") if not packaged_recipe(name).wide]
OPTIONS: list[dict[str, Any]] = [{}, {"fp8_param_gather": True}, {"bf16_first": 2, "bf16_last": 1}]
PLAN = Plan(tp=2, pp=2, dp=2, m=4, sp=1, zero=1)


def setup(name: str, framework: str = "megatron-core", plan: Plan = PLAN, **workload: Any) -> Setup:
    """Llama 3 8B on a node that has every format."""
    return Setup(job("llama3-8b", "8xB200", framework, seq=8192, batch=8, precision=name, **workload), plan)


@pytest.mark.parametrize(("name", "options"), list(product(NARROW, OPTIONS)))
def test_megatron_round_trip(name: str, options: dict[str, Any]) -> None:
    """What is written reads back as the same workload, and Megatron's own checks pass."""
    wanted = setup(name, **options)
    if packaged_recipe(name).spelled.megatron is None:
        assert refusal(TARGETS["megatron"], wanted) is not None
        return
    if name == "fp8" and "bf16_first" in options:
        assert [r.name for r in megatron.TARGET.rules if not r.holds(wanted.job, wanted.plan)] == [
            "megatron_wide_layers"
        ]
        return
    found = read(megatron.TARGET.bare(megatron.program(wanted)), world=8)
    assert not found.problems
    assert Workload(**found.workload) == wanted.job.workload


def test_megatrons_defaults() -> None:
    """--fp8-format alone is delayed scaling; of --first-last-layers-bf16 one layer stays at each end."""
    assert read(flags(fp8_format="e4m3")).workload["precision"] == "fp8"
    said = read(flags(fp8_format="e4m3", fp8_recipe="blockwise", first_last_layers_bf16="")).workload
    assert {k: said[k] for k in ("precision", "bf16_first", "bf16_last")} == {
        "precision": "fp8-blockwise",
        "bf16_first": 1,
        "bf16_last": 1,
    }
    custom = read(flags(fp8_format="e4m3", fp8_recipe="custom"))
    assert custom.workload["precision"] == "bf16"
    assert [one.said for one in custom.not_modelled if "16 bit" in one.why] == ["--fp8-recipe custom"]


def test_weights_need_the_distributed_optimizer() -> None:
    """Megatron-LM training/arguments.py."""
    wanted = setup("mxfp8", plan=Plan(tp=2, pp=2, dp=2, m=4, sp=1), fp8_param_gather=True)
    assert [r.name for r in megatron.TARGET.rules if not r.holds(wanted.job, wanted.plan)] == ["megatron_param_gather"]


def test_fields_of_megatron_core() -> None:
    """Names of TransformerConfig."""
    fields = megatron_core.transformer(setup("nvfp4", fp8_param_gather=True, bf16_last=4))
    assert {k: fields[k] for k in ("bf16", "fp4", "fp4_recipe", "fp4_param", "num_layers_at_end_in_bf16")} == {
        "bf16": True,
        "fp4": "e2m1",
        "fp4_recipe": "nvfp4",
        "fp4_param": True,
        "num_layers_at_end_in_bf16": 4,
    }


@pytest.mark.parametrize("name", NARROW)
def test_torchtitan_round_trip(name: str) -> None:
    """Written where torchtitan has a converter for it, refused by name elsewhere."""
    wanted = setup(name, "torchtitan", Plan(dp=8, zero=3))
    if packaged_recipe(name).spelled.torchtitan is None:
        refused = refusal(TARGETS["torchtitan"], wanted)
        assert refused is not None
        assert name in refused.message(wanted.job, wanted.plan)
        return
    (file,) = torchtitan.program(wanted).files
    assert read_torchtitan(file.text, 8).workload["precision"] == name


@pytest.mark.parametrize("target", ["deepspeed", "accelerate", "colossalai", "megatron-deepspeed", "pytorch"])
def test_others_have_no_name_for_them(target: str) -> None:
    """Nothing is written in 16 bit instead."""
    refused = refusal(TARGETS[target], setup("fp8", "any", Plan(dp=8, zero=1)))
    assert refused is not None
    assert refused.name == "recipe"
