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
from planner.serving.memory import kv_tokens, token_bytes, weight_bytes

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
    job = ask_serve("llama3.1-8b", gpus).job
    assert float(kv_tokens(job, Plan().floats())) == pytest.approx(tokens, rel=0.006)


@pytest.mark.parametrize(
    ("gpus", "chunk", "tried"),
    [
        ("1xL4", 2048, 256),
        ("1xL40S", 2048, 256),
        ("1xA100-80GB", 2048, 256),
        ("1xA800", 8192, 1024),
        ("1xH100", 8192, 1024),
        ("1xMI300X", 8192, 1024),
    ],
)
def test_defaults_of_a_part(gpus: str, chunk: int, tried: int) -> None:
    """vLLM's get_batch_defaults: by 70 GiB, A100s as the small ones; SGLang and others have one for all parts."""
    of = ask_serve("llama3.1-8b", gpus, weights="bf16").job.engine
    assert (of.chunk, of.tried) == (chunk, tried)
    other = ask_serve("llama3.1-8b", gpus, engine="sglang").job.engine
    assert (other.chunk, other.sampled) == (8192, 0.0)
