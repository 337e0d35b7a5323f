"""What engines print when they start: exact facts about caches and weights.

Bytes of a token's cache are the printed size over the printed tokens: vLLM "Available KV cache memory" over "GPU KV
cache size" (vllm-project/vllm issue 21348: Qwen3 235B; vllm-project/recipes PR 12: Qwen3 Coder; Qwen3 14B, 27.52 GiB of
weights), SGLang "KV Cache is allocated" (GLM-4.7 Flash 19.36 GB for 383,872 tokens; DeepSeek-V3 in fp8 17.16 GB for
524,288), or the shape's own count where layers keep windows and states.
"""

from __future__ import annotations

import pytest

from planner.plan import Plan
from planner.questions.serve import ask_serve
from planner.serving.memory import activation_bytes, kv_tokens, ranks, token_bytes, weight_bytes
from tests.serving.jobs import early

GIB = 2**30


@pytest.mark.parametrize(
    ("model", "tp", "ep", "kv", "each"),
    [
        ("qwen3-235b-a22b", 4, 1, "bf16", 2 * 8.23 * GIB / 367_404),
        ("qwen3-235b-a22b", 8, 8, "bf16", 10.65 * GIB / 238_208),
        ("qwen3-coder-480b-a35b", 1, 8, "bf16", 48.66 * GIB / 205_728),
        ("qwen3-14b", 1, 1, "bf16", 11.57 * GIB / 75_824),
        ("glm-4.7-flash", 2, 1, "bf16", 19.36 * GIB / 383_872),
        ("deepseek-v3", 8, 1, "fp8", 17.16 * GIB / 524_288),
        ("llama3.1-405b-fp8", 8, 1, "bf16", 126 * 2 * 128 * 2),
        ("gpt-oss-20b", 1, 1, "fp8", 24 * 2 * 8 * 64),
        ("gemma-4-31b", 1, 1, "fp8", 10 * 2 * 4 * 512 + 50 * 2 * 16 * 256),
        ("kimi-linear-48b-a3b", 2, 1, "bf16", 7 * 576 * 2),
        ("qwen3-next-80b-a3b", 4, 1, "bf16", 12 * 2 * 256 * 2),
        ("nemotron-h-8b", 1, 1, "bf16", 4 * 2 * 8 * 128 * 2),
        ("llama2-70b", 16, 1, "bf16", 80 * 2 * 128 * 2),
    ],
)
def test_bytes_of_a_token(model: str, tp: int, ep: int, kv: str, each: float) -> None:
    """As printed, to the digits that are."""
    job = ask_serve(model, "2x8xH200", kv=kv).job
    assert float(token_bytes(job, Plan(tp=tp, ep=ep))) == pytest.approx(each, rel=0.004)


@pytest.mark.parametrize(
    ("model", "tp", "ep", "weights", "gib"),
    [("qwen3-235b-a22b", 8, 8, "fp8", 27.72), ("qwen3-14b", 1, 1, "bf16", 27.52)],
)
def test_weights_of_a_rank(model: str, tp: int, ep: int, weights: str, gib: float) -> None:
    """As printed behind "Model loading took"."""
    job = ask_serve(model, "8xL40S", weights=weights).job
    assert float(weight_bytes(job, Plan(tp=tp, ep=ep))) / GIB == pytest.approx(gib, rel=0.004)


@pytest.mark.parametrize(
    ("gpus", "tokens"), [("1xA100-40GB", 163_168), ("1xRTXA6000", 221_824), ("1xH100-NVL", 545_456)]
)
def test_cache_of_a_part_with_vllms_defaults(gpus: str, tokens: int) -> None:
    """Llama 3.1 8B under `vllm serve` of 2026 with a max-model-len of 32,768, "GPU KV cache size": 256 or 1,024 logits
    are tried out, and one rank has no collectives (a note on three clusters' runs of one study, 2026-05-03).
    """
    job = early(ask_serve("llama3.1-8b", gpus).job)
    assert float(kv_tokens(job, Plan().floats())) == pytest.approx(tokens, rel=0.006)


@pytest.mark.parametrize(
    ("gpus", "chunk", "tried", "sglang"),
    [
        ("1xT4", 2048, 256, 2048),
        ("1xL4", 2048, 256, 4096),
        ("1xL40S", 2048, 256, 4096),
        ("1xA100-80GB", 2048, 256, 8192),
        ("1xA800", 8192, 1024, 8192),
        ("1xH100", 8192, 1024, 8192),
        ("1xH200", 8192, 1024, 8192),
        ("1xMI300X", 8192, 1024, 16384),
    ],
)
def test_defaults_of_a_part(gpus: str, chunk: int, tried: int, sglang: int) -> None:
    """vLLM's get_batch_defaults: by 70 GiB, A100s as the small ones; SGLang's memory_hook.py: by 20, 60 and 160."""
    of = ask_serve("llama3.1-8b", gpus, weights="bf16").job.engine
    assert (of.chunk, of.tried) == (chunk, tried)
    other = ask_serve("llama3.1-8b", gpus, engine="sglang").job.engine
    assert (other.chunk, other.sampled) == (sglang, 0.0)


@pytest.mark.parametrize(
    ("model", "gpus", "weights", "gib"),
    [
        ("llama3.3-70b", "4xH200", "bf16", 90.66),
        ("llama3.3-70b", "4xH200", "fp8", 106.62),
        ("ministral-3-14b", "1xH200", "fp8", 111.09),
        ("nemotron-3-nano-30b-a3b", "1xH200", "fp8", 94.45),
        ("nemotron-3-super-120b-a12b", "2xH200", "fp8", 64.07),
        ("qwen3-vl-30b-a3b", "1xH200", "bf16", 66.76),
        ("qwen3-vl-235b-a22b", "4xH200", "fp8", 65.48),
        ("deepseek-r1", "8xH200", "fp8", 41.24),
        ("kimi-k2.5", "8xH200", "int4", 51.63),
        ("qwen3.5-35b-a3b", "1xH200", "fp8", 89.92),
        ("qwen3.5-122b-a10b", "2xH200", "fp8", 62.77),
        ("qwen3.5-397b-a17b", "4xH200", "fp8", 26.76),
        ("minimax-m2.5", "8xH200", "fp8", 96.57),
        ("deepseek-r1", "8xB200", "fp8", 79.81),
        ("llama3.3-70b", "4xB200", "fp8", 142.95),
        ("qwen3-vl-30b-a3b", "1xB200", "bf16", 102.51),
        ("llama3.3-70b", "1xMI300X", "bf16", 41.88),
    ],
)
def test_room_of_vllm(model: str, gpus: str, weights: str, gib: float) -> None:
    """ "Available KV cache memory" of `vllm serve` 0.18 to 0.20 with 0.92 of the memory, experts split like the rest
    but for MiniMax's (ashishkamra/vllm-memory-estimator 8b0e21d, test_data/validation_db.json), within 5 %.
    """
    ranked, wide = ask_serve(model, gpus, weights=weights, input=1000, output=1000).job, int(gpus.split("x")[0])
    plan = Plan(tp=wide, ep=wide if model.startswith("minimax") else 1).floats()
    assert min(float(rank.room) for rank in ranks(ranked, plan)) / GIB == pytest.approx(gib, rel=0.05)


def test_room_of_sglang() -> None:
    """Llama 3.1 8B on an L40S: 183,133 tokens, 22.36 GiB, beside 15.09 of weights (sgl-project/sglang pull request
    13023, before graphs of prompts: 0.4 GiB more); Qwen3 30B on an MI355X: a share of 0.911 (pull request 18263).
    """
    (rank,) = ranks(ask_serve("llama3.1-8b", "1xL40S", engine="sglang").job, Plan().floats())
    assert float(rank.room) / GIB == pytest.approx(22.36 - 0.45, rel=0.01)
    job = ask_serve("qwen3-30b-a3b", "1xMI355X", engine="sglang").job
    aside = float(activation_bytes(job, Plan().floats())) / job.cluster.accelerator.memory
    assert 1.0 - aside == pytest.approx(0.911, abs=0.003)
