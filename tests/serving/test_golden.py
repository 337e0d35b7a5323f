"""Anchors from papers and documentation, each with the tolerance that the model is held to."""

from __future__ import annotations

import pytest

from planner.blocks import operators
from planner.blocks.operator import Share, Stream
from planner.plan import Plan
from planner.serving.estimate import batch_latency, decode_step
from planner.serving.job import at_batch
from planner.serving.pieces import pieces
from planner.serving.queueing import closed_loop, offline
from tests.serving.jobs import serve_job


def latency(model: str, on: str, plan: Plan, batch: float, prompt: int, output: int, engine: str) -> float:
    """Seconds of a static batch."""
    job = serve_job(model, on, engine, weights="fp16", kv="fp16", input=prompt, output=output)
    return float(batch_latency(job, at_batch(plan, batch)))


@pytest.mark.parametrize(
    ("batch", "prompt", "output", "milliseconds"),
    [(1, 128, 8, 489), (8, 128, 8, 750), (32, 128, 8, 1547), (1, 512, 32, 1720), (16, 512, 32, 3706)],
)
def test_gpt3_on_eight_a100(batch: int, prompt: int, output: int, milliseconds: float) -> None:
    """FasterTransformer's GPT guide: TP8, fp16."""
    found = latency("gpt3-175b", "8xA100", Plan(tp=8), batch, prompt, output, "fastertransformer")
    assert 1e3 * found == pytest.approx(milliseconds, rel=0.20)


LAYOUTS = {"TP16": Plan(tp=16), "TP32": Plan(tp=32), "TP8PP3": Plan(tp=8, pp=3)}
CLUSTERS = {"TP16": "2x8xA100", "TP32": "4x8xA100", "TP8PP3": "3x8xA100"}
MT_NLG = {
    (1, 60, 20): {"TP16": 1.379, "TP32": 1.037, "TP8PP3": 2.085},
    (64, 128, 8): {"TP16": 4.002, "TP32": 3.114, "TP8PP3": 3.578},
    (128, 128, 8): {"TP32": 5.784, "TP8PP3": 5.512},
    (256, 128, 8): {"TP32": 11.232, "TP8PP3": 9.614},
}
"""(batch, prompt, output): seconds of 530B in FasterTransformer's GPT guide."""


def mt_nlg(name: str, batch: int, prompt: int, output: int) -> float:
    """Seconds as predicted."""
    return latency("mt-nlg-530b", CLUSTERS[name], LAYOUTS[name], batch, prompt, output, "fastertransformer")


@pytest.mark.parametrize(("shape", "measured"), MT_NLG.items(), ids=str)
def test_mt_nlg_530b(shape: tuple[int, int, int], measured: dict[str, float]) -> None:
    """Across nodes and in a pipeline."""
    for name, seconds in measured.items():
        assert mt_nlg(name, *shape) == pytest.approx(seconds, rel=0.25), name


def test_the_pipeline_overtakes_for_large_batches() -> None:
    """530B, 128/8: TP8PP3 passes TP16 within one doubling of the measured batch 64, and TP32 by 256."""
    assert mt_nlg("TP8PP3", 1, 128, 8) > mt_nlg("TP16", 1, 128, 8) > mt_nlg("TP32", 1, 128, 8)
    assert mt_nlg("TP8PP3", 16, 128, 8) > mt_nlg("TP16", 16, 128, 8)
    assert mt_nlg("TP8PP3", 128, 128, 8) < mt_nlg("TP16", 128, 128, 8)
    assert mt_nlg("TP8PP3", 256, 128, 8) < mt_nlg("TP32", 256, 128, 8)


@pytest.mark.parametrize(("batch", "milliseconds"), [(1, 33.1), (16, 38.9), (32, 42.5)])
def test_llama2_70b_on_four_a100_40gb(batch: int, milliseconds: float) -> None:
    """Argonne's LLM-Inference-Bench, TensorRT-LLM, TP4, 128/128: latency of the batch over 128."""
    found = latency("llama2-70b", "4xA100-40GB", Plan(tp=4), batch, 128, 128, "tensorrt-llm-2024")
    assert 1e3 * found / 128 == pytest.approx(milliseconds, rel=0.15)


@pytest.mark.parametrize(("tp", "tokens"), [(2, 4391), (4, 7431), (8, 11451)])
def test_llama_70b_offline_on_h100(tp: int, tokens: float) -> None:
    """TensorRT-LLM perf-overview.md 0.17, fp8, 1000/1000, 3,000 requests."""
    shape = {"input": 1000, "output": 1000, "weights": "fp8", "kv": "fp8"}
    job = serve_job("llama3.1-70b", f"{tp}xH100", "tensorrt-llm-2024", **shape)
    found = float(offline(job, Plan(tp=tp), 3000.0).requests) * 1000
    assert found == pytest.approx(tokens, rel=0.15)


@pytest.mark.parametrize(("pp", "tokens"), [(1, 1787), (2, 3707), (4, 5961), (8, 8166)])
def test_pipeline_over_pcie(pp: int, tokens: float) -> None:
    """TensorRT-LLM perf-overview.md 1.0: Llama 3.3 70B in NVFP4 on RTX PRO 6000, 1000/1000."""
    shape = {"input": 1000, "output": 1000, "weights": "nvfp4", "kv": "fp8"}
    job = serve_job("llama3.3-70b", f"{pp}xrtx-pro-6000-server", "tensorrt-llm", **shape)
    found = float(offline(job, Plan(pp=pp), 3000.0).requests) * 1000
    assert found == pytest.approx(tokens, rel=0.20)


def test_tensor_against_pipeline_for_405b() -> None:
    """8 H200, fp8, 2048/128: TP8 is 5.6 times as fast at batch 1, PP8 makes 1.5 times as many tokens at full load."""
    job = serve_job("llama3.1-405b", "8xH200", "tensorrt-llm-2024", weights="fp8", kv="fp8", input=2048, output=128)
    tensor, pipeline = (float(decode_step(job, at_batch(p, 1.0), 2112.0).total) for p in (Plan(tp=8), Plan(pp=8)))
    assert 3.9 < pipeline / tensor < 7.3
    most = [float(offline(job, plan, 3000.0).requests) for plan in (Plan(tp=8), Plan(pp=8))]
    assert 1.1 < most[1] / most[0] < 1.9


def test_bloom_over_eight_a100() -> None:
    """Hugging Face's BLOOM blog: 44 ms per token with TP8, 230 ms split layer by layer."""
    job = serve_job("bloom-176b", "8xA100", "static", input=100, output=100)
    tensor, layers = (float(decode_step(job, at_batch(p, 1.0), 150.0).total) for p in (Plan(tp=8), Plan(pp=8)))
    assert 1e3 * tensor == pytest.approx(44, rel=0.20)
    assert 1e3 * layers == pytest.approx(230, rel=0.25)


@pytest.mark.parametrize(("users", "milliseconds"), [(1, 18.58), (5, 21.83)])
def test_nim_on_two_h100(users: int, milliseconds: float) -> None:
    """NVIDIA NIM's benchmark page: Llama 3.3 70B, fp8, TP2, 5000/500."""
    shape = {"input": 5000, "output": 500, "weights": "fp8", "kv": "fp8"}
    job = serve_job("llama3.3-70b", "2xH100", "tensorrt-llm-2024", **shape)
    assert 1e3 * float(closed_loop(job, at_batch(Plan(tp=2), users)).tpot) == pytest.approx(milliseconds, rel=0.12)


@pytest.mark.parametrize(("tp", "tokens"), [(1, 90), (2, 77), (4, 78)])
def test_attention_outside_of_graphs_binds_a_token_to_the_host(tp: int, tokens: float) -> None:
    """vllm-project/vllm issue 22331: gpt-oss-120b on A100 80 GB, one stream, with Triton's attention for its sinks."""
    job = serve_job("gpt-oss-120b", f"{tp}xA100", weights="mxfp4", input=1000, output=500)
    assert 1 / float(closed_loop(job, at_batch(Plan(tp=tp), 1.0)).tpot) == pytest.approx(tokens, rel=0.2)


@pytest.mark.parametrize(("model", "gpus"), [("llama3.1-8b", "1xA100"), ("gpt-oss-20b", "1xH100")])
def test_other_layers_are_inside_of_graphs(model: str, gpus: str) -> None:
    """Plain attention anywhere, sinks on Hopper."""
    job = serve_job(model, gpus, input=1000, output=500)
    assert not any(job.launched(kind) for kind in job.structure.kinds)


def test_deepseek_r1_with_copied_attention() -> None:
    """TensorRT-LLM Best_perf_practice_on_DeepSeek-R1 at 01c4ece: 8 B200, nvfp4, 7,168 requests of 1,024/2,048."""
    shape = {"input": 1024, "output": 2048, "weights": "nvfp4", "kv": "fp8"}
    job = serve_job("deepseek-r1", "8xB200", "tensorrt-llm", **shape)
    found = closed_loop(job, at_batch(Plan(tp=1, ep=8), 7168.0))
    assert float(found.requests) * 2048 / 8 == pytest.approx(5393, rel=0.1)


def test_what_engines_fuse_is_not_counted() -> None:
    """Of experts' permutation a quarter of the bytes of training; biases and clamps are in their products' kernels."""
    job = serve_job("gpt-oss-20b", "1xH100", input=8, output=8)
    whole, mine = (
        {op.name: op.work.moved for ops in found for op in ops if isinstance(op.work, Stream)}
        for found in ([operators(kind, Share(1.0, 8.0)) for kind in job.structure.kinds], pieces(job, Plan()))
    )
    assert mine["permutation"] == whole["permutation"] / 4
    assert not {"experts clamp", "experts bias"} & set(mine)


def test_wide_experts_inside_one_domain() -> None:
    """DeepSeek in fp8 decodes 7,583 tokens/s a GPU on 48 GPUs of a GB200 NVL72, behind prompts of 2,000 tokens (LMSYS,
    2025-06-16, SGLang). 64 GPUs here, which divide the experts, and 768 requests each, which the page does not say. It
    was 2,590 when every rank gathered all tokens.
    """
    job = serve_job("deepseek-v3", "64xGB200", "sglang", input=2000, output=1000, weights="fp8")
    wide = at_batch(Plan(tp=1, ep=64).floats(), 768.0 * 64)
    assert 768.0 / float(decode_step(job, wide, 2500.0).total) == pytest.approx(7583, rel=0.25)
