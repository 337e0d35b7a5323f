"""What rows of measured deployments are read as."""

from __future__ import annotations

import pytest

from planner.accuracy.machines import Shelf
from planner.accuracy.serving_corpus import ServeCase, case
from planner.plan import Plan
from planner.serving.queueing import closed_loop, delay
from tests.jobs import library
from tests.serving.jobs import serve_job

SAMPLE = "ai-dynamo/aiconfigurator silicon_sample.csv"
PERF = "NVIDIA/TensorRT-LLM docs/source/performance/perf-overview.md@00f3768 (v1.0)"


def read(**changes: str) -> ServeCase:
    """The case of one row."""
    row = {"id": "x", "source": SAMPLE, "verified": "yes", "model": "llama3.1-70b", "gpu": "H200-SXM", "n_gpus": "2"}
    row |= {"tp": "2", "pp": "1", "ep": "1", "precision_weights": "fp8", "precision_kv": "", "framework": "vllm"}
    row |= {"batch_or_concurrency": "8", "input_len": "1024", "output_len": "1024", "metric": "ttft_ms", "value": "90"}
    return case(Shelf(library()), row | {"notes": "attn_dp=1; measured 2025-10"} | changes)


@pytest.mark.parametrize(
    ("changes", "kv"),
    [
        ({}, "fp8"),
        ({"notes": "vllm 0.12.0"}, "bf16"),
        ({"precision_weights": "bf16"}, "bf16"),
        ({"precision_kv": "bf16"}, "bf16"),
        ({"framework": "trtllm", "notes": "trtllm 1.0.0rc3"}, "fp8"),
        ({"framework": "sglang", "notes": "sglang 0.5.9"}, "bf16"),
    ],
)
def test_kv_format_where_the_row_does_not_say(changes: dict[str, str], kv: str) -> None:
    """InferenceX serves fp8 checkpoints of vLLM with `kv-cache-dtype: fp8`; TensorRT-LLM's checkpoints hold it."""
    assert read(**changes).job.workload.kv == kv


def test_lengths_of_inferencex_vary() -> None:
    """`--random-range-ratio 0.8`; the sample's other runs are of one length."""
    assert not read().in_step
    assert read(notes="vllm 0.12.0").in_step
    assert not read(source=PERF, framework="TensorRT-LLM 1.0", notes="").in_step


def test_users_in_step_wait_longer() -> None:
    """Per user where prefills and decoding take turns, per square root where steps are mixed; never for one user."""
    for engine, four in (("vllm", 2.0), ("sglang", 4.0)):
        job = serve_job("llama3.1-8b", "1xH100", engine, input=1000, output=100)
        assert delay(job, 0.0, True) == 0.0
        assert delay(job, 4.0, True) == four * job.engine.in_step
        many = Plan(b=32)
        assert closed_loop(job, many, in_step=True).ttft > closed_loop(job, many).ttft


def test_copied_attention_is_read_as_such() -> None:
    """perf-overview.md 1.0 ran its mixtures of experts with enable_attention_dp: tp is the degree of the experts."""
    rows = {"source": PERF, "framework": "TensorRT-LLM 1.0", "batch_or_concurrency": "max", "notes": ""}
    rows |= {"metric": "output_tokens_per_sec", "n_gpus": "4", "tp": "4", "precision_weights": "nvfp4"}
    rows |= {"gpu": "RTX-PRO-6000-Server"}
    moe, dense = (read(**rows, model=name).plan for name in ("qwen3-30b-a3b", "llama3.3-70b"))
    assert (moe.tp, moe.ep, moe.dp) == (1, 4, 1)
    assert (dense.tp, dense.ep, dense.dp) == (4, 1, 1)


def test_a_layout_that_the_table_leaves_open_counts_nowhere() -> None:
    """235 GB on one H200: in the source 2 or 4 GPUs have the experts, and the table does not say which."""
    one = {"model": "qwen3-235b-a22b", "n_gpus": "1", "tp": "1", "notes": "vllm 0.12.0"}
    assert {"unclear layout"} <= read(**one).labels and "moe" not in read(**one).labels
    assert "moe" in read(**one | {"n_gpus": "4", "tp": "4"}).labels
    assert "moe" in read(**one | {"framework": "sglang", "n_gpus": "2", "tp": "2"}).labels
