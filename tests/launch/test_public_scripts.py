"""Launch scripts as people have them: what a person reads off each is what `check` reads.

The scripts in tests/launch/scripts are written for these tests with the facts and the shell of public ones, named on
their first lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planner.launch.check import setup_of
from planner.launch.program import Setup
from planner.read.reading import Reading
from planner.read.script import Context, read_any
from tests.jobs import cluster, framework, model

SCRIPTS = Path(__file__).parent / "scripts"

PRESETS = {"megatron": "megatron-core", "deepspeed": "megatron-deepspeed"}


def read(name: str, gpus: str, **variables: str) -> Reading:
    """One script on a cluster, with the files beside it."""

    def beside(path: str) -> str | None:
        file = SCRIPTS / Path(path).name
        return file.read_text(encoding="utf-8") if file.exists() else None

    text = (SCRIPTS / name).read_text(encoding="utf-8")
    return read_any(text, Context(cluster(gpus).gpus, None, variables, beside))


def understood(reading: Reading, gpus: str) -> Setup:
    """Its job and plan."""
    known = model({"llama3-70b": "llama3-70b"}.get(reading.model_name or "", "llama2-7b"))
    preset = framework(PRESETS.get(reading.target, reading.target))
    return setup_of(reading, cluster(gpus), preset, None if reading.model else known)[0]


FACTS: list[tuple[str, str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    (
        "gpt3_175b.sh",
        "16x8xA100",
        "megatron",
        {"tp": 8, "pp": 16, "dp": 1, "b": 1, "m": 1536, "v": 1, "zero": 0},
        {"seq": 2048, "global_batch": 1536, "precision": "fp16"},
        {"layers": 96, "hidden": 12288, "heads": 96, "mlp": "gelu", "position": "learned", "tied_embeddings": True},
    ),
    (
        "llama3_8b_fp8.sh",
        "8xH100",
        "megatron",
        {"tp": 1, "pp": 1, "dp": 8, "b": 1, "m": 16, "zero": 1},
        {"seq": 8192, "global_batch": 128, "precision": "fp8", "attention": "flash"},
        {"layers": 32, "hidden": 4096, "ffn": 14336, "kv_heads": 8, "mlp": "glu", "bias": "none"},
    ),
    (
        "mixtral_8x7b.sh",
        "4x8xH100",
        "megatron",
        {"tp": 1, "pp": 4, "ep": 8, "dp": 8, "b": 1, "m": 32, "zero": 1},
        {"seq": 4096, "global_batch": 256, "precision": "bf16"},
        {"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8},
    ),
    (
        "pai_llama3_8b.sh",
        "8xA100",
        "megatron",
        {"tp": 4, "pp": 2, "dp": 1, "b": 1, "m": 256, "sp": 1, "recompute_layers": 0},
        {"seq": 4096, "global_batch": 256, "precision": "bf16"},
        {"layers": 32, "hidden": 4096, "ffn": 14336, "kv_heads": 8},
    ),
    (
        "sc21_srun.sh",
        "12x8xA100",
        "megatron",
        {"tp": 8, "pp": 12, "dp": 1, "b": 1, "m": 1536},
        {"seq": 2048, "global_batch": 1536},
        {"layers": 96, "hidden": 12288},
    ),
    (
        "llama2_deepspeed.sh",
        "8xA100",
        "megatron-deepspeed",
        {"tp": 2, "pp": 2, "dp": 2, "b": 4, "m": 4, "zero": 0},
        {"seq": 2048, "global_batch": 32},
        {"layers": 24, "hidden": 2048, "heads": 16, "mlp": "glu", "norm": "rmsnorm"},
    ),
    (
        "bloom_176b.slurm.sh",
        "48x8xA100",
        "megatron-deepspeed",
        {"tp": 4, "pp": 12, "dp": 8, "b": 2, "m": 128, "zero": 0},
        {"seq": 2048, "global_batch": 2048, "precision": "bf16"},
        {"layers": 70, "hidden": 14336, "heads": 112},
    ),
    (
        "gpt_6b7_deepspeed.sh",
        "8xA100",
        "megatron-deepspeed",
        {"tp": 1, "pp": 1, "dp": 8, "b": 16, "m": 8, "recompute_layers": 32},
        {"seq": 2048, "global_batch": 1024},
        {"layers": 32, "hidden": 4096, "heads": 32},
    ),
    (
        "azure_175b_zero3.sh",
        "1x8xA100",
        "megatron-deepspeed",
        {"tp": 1, "pp": 1, "dp": 8, "b": 4, "m": 1, "zero": 3},
        {"seq": 1024, "global_batch": 32},
        {"layers": 96, "hidden": 12288, "heads": 96},
    ),
    (
        "torchtitan_run.sh",
        "8x8xA100",
        "torchtitan",
        {"tp": 8, "pp": 1, "dp": 8, "b": 8, "zero": 3, "recompute_layers": 80},
        {"seq": 8192, "global_batch": 64},
        {"layers": 80, "hidden": 8192},
    ),
    (
        "deepspeed_chat_7b.sh",
        "4xA100",
        "deepspeed",
        {"tp": 1, "pp": 1, "dp": 4, "b": 4, "m": 1, "zero": 3, "recompute_layers": 32},
        {"seq": 512, "global_batch": 16},
        {"layers": 32, "hidden": 4096},
    ),
]
"""Script, cluster, framework, plan, workload, shape."""


@pytest.mark.parametrize(("name", "gpus", "target", "plan", "workload", "shape"), FACTS, ids=[f[0] for f in FACTS])
def test_facts(
    name: str, gpus: str, target: str, plan: dict[str, Any], workload: dict[str, Any], shape: dict[str, Any]
) -> None:
    """Framework, degrees, batch, precision, shape."""
    reading = read(name, gpus)
    setup = understood(reading, gpus)
    assert reading.target == target
    assert {key: getattr(setup.plan, key) for key in plan} == plan
    assert {key: getattr(setup.job.workload, key) for key in workload} == workload
    assert {key: getattr(setup.job.model, key) for key in shape} == shape


def test_forks_have_options_of_their_own() -> None:
    """BigScience's fork has options that Megatron-DeepSpeed refuses: its own, and named."""
    reading = read("bloom_176b.slurm.sh", "48x8xA100")
    assert not [p for p in reading.problems if p.rule == "unknown_option"]
    assert any("BigScience's own" in note for note in reading.notes)
    assert "--pad-vocab-size-to" in {one.option for one in reading.not_modelled}


def test_wrong_number_of_gpus_is_said() -> None:
    """The script starts 128 processes; the plan is counted with the cluster."""
    assert any("starts 128 processes" in note for note in read("gpt3_175b.sh", "32x8xA100").notes)


def test_what_holds_the_plan_is_elsewhere() -> None:
    """Missing JSON: which line names it, and what to do."""
    from planner.errors import PlannerError

    with pytest.raises(PlannerError, match=r"ds_z3_config.json: this file is not beside the script"):
        read("llama_factory_zero3.sh", "8xA100")
