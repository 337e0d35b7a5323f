"""torchtitan and ColossalAI accept what is good and refuse what is bad; skipped where no environment is named."""

from __future__ import annotations

from typing import Any

import pytest

from tests.frameworks.heavy.colossalai import colossalai_accepts, colossalai_module_accepts
from tests.frameworks.heavy.torchtitan import torchtitan_accepts

TITAN = """
[model]
name = "llama3"
flavor = "8B"

[training]
local_batch_size = 8
global_batch_size = 128
seq_len = 8192

[parallelism]
data_parallel_replicate_degree = 1
data_parallel_shard_degree = 8
tensor_parallel_degree = 2
pipeline_parallel_degree = 4
pipeline_parallel_schedule = "Interleaved1F1B"
pipeline_parallel_microbatch_size = 1
pipeline_parallel_layers_per_stage = 4
pipeline_parallel_first_stage_less_layers = 0
pipeline_parallel_last_stage_less_layers = 0

[activation_checkpoint]
mode = "selective"
selective_ac_option = "op"
"""
COLOSSAL: dict[str, Any] = {"tp_size": 2, "pp_size": 4, "zero_stage": 1, "precision": "bf16", "num_microbatches": 8}


def test_a_good_file_for_torchtitan() -> None:
    """Even stages, and every parameter of the model in shards: each is held once per pipeline, TP and DP rank."""
    verdict = torchtitan_accepts(TITAN, 64)
    assert verdict.ok, verdict.error
    assert verdict.config["layers"] == [[4, 4]] * 4
    assert verdict.config["gradient_accumulation_steps"] == 2
    norms, shared = 4096 * (2 * 32 + 1), 2 * 8
    held = sum(map(sum, verdict.config["parameters"]))
    assert (held - norms // 8) * shared + norms == 8030261248


def test_torchtitan_without_a_pipeline() -> None:
    """All layers in one part."""
    text = TITAN.replace("pipeline_parallel_degree = 4", "pipeline_parallel_degree = 1")
    assert torchtitan_accepts(text, 16).config["layers"] == [[32]]


@pytest.mark.parametrize(
    ("old", "new", "stage", "said"),
    [
        ("seq_len", "sequence", "parse", "Invalid field names"),
        ("shard_degree = 8", "shard_degree = 4", "dims", "WORLD_SIZE(64)"),
        ("global_batch_size = 128", "global_batch_size = 100", "batch", "no multiple of 64"),
        ('"8B"', '"9B"', "model", "9B"),
        ("Interleaved1F1B", "ScheduleInterleaved1F1B", "pipeline", "Unknown schedule"),
        ("Interleaved1F1B", "1F1B", "pipeline", "exactly 1 stage per rank"),
        ("less_layers = 0", "less_layers = 1", "pipeline", "must be divisible by pipeline parallel size"),
        ("microbatch_size = 1", "microbatch_size = 3", "pipeline", "must be divisible by microbatch_size 3"),
        ("seq_len = 8192", "seq_len = 8191", "pipeline", "must be divisible by the product of TP degree"),
        ('mode = "selective"', 'mode = "none-such"', "pipeline", "Invalid AC mode"),
    ],
)
def test_a_bad_file_for_torchtitan(old: str, new: str, stage: str, said: str) -> None:
    """Refused where torchtitan refuses it."""
    verdict = torchtitan_accepts(TITAN.replace(old, new), 64)
    assert verdict.refused(said, stage), verdict


def test_good_arguments_for_colossalai() -> None:
    """Degrees, schedule and layers per stage."""
    verdict = colossalai_accepts(COLOSSAL, 16, 30)
    assert verdict.ok, verdict.error
    assert (verdict.args["dp_size"], verdict.args["num_microbatches"]) == (2, 8)
    assert verdict.config["layers"] == [7, 8, 8, 7]
    interleaved = COLOSSAL | {"pp_style": "interleaved", "num_model_chunks": 2}
    assert colossalai_accepts(interleaved, 16, 32).config["layers"] == [4] * 8
    text = (
        f"from colossalai.booster.plugin import HybridParallelPlugin as Plugin\nplugin = lambda: Plugin(**{COLOSSAL})\n"
    )
    assert colossalai_module_accepts(text, 16).args == verdict.args


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tp_size": 3}, "not divisible"),
        ({"zero_stage": 2}, "zero stage must be 0 or 1"),
        ({"no_such_argument": 1}, "unexpected keyword"),
        ({"num_microbatches": None}, "must be specified"),
        ({"pp_style": "interleaved"}, "must be > 1"),
        ({"num_layers_per_stage": [8, 8, 8, 7]}, "num_layers"),
    ],
)
def test_bad_arguments_for_colossalai(changes: dict[str, Any], said: str) -> None:
    """Refused by the plugin or by its stage manager."""
    verdict = colossalai_accepts(COLOSSAL | changes, 16, 32)
    assert verdict.refused(said), verdict
