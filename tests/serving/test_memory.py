"""Weights and KV cache per rank, held to numbers worked out by hand and to measured brackets."""

from __future__ import annotations

import pytest

from planner.architecture import kv_elements, touched_experts
from planner.blocks.counts import parameters
from planner.plan import Plan
from planner.serving.job import at_batch
from planner.serving.memory import (
    activation_bytes,
    cache_bytes,
    kv_tokens,
    memory,
    most_running,
    token_bytes,
    weight_bytes,
)
from tests.jobs import model
from tests.serving.jobs import engine, serve_job

ONE = {"input": 1920, "output": 128}


def test_weights_are_the_same_for_every_split_of_four() -> None:
    """LLaMA-2 70B in 16 bit: 137.95e9 bytes / 4, whatever is split by tensors and what by stages."""
    job = serve_job("llama2-70b", "4xA100-40GB", weights="fp16", **ONE)
    splits = [Plan(tp=4), Plan(tp=2, pp=2), Plan(pp=4)]
    found = {float(weight_bytes(job, plan)) for plan in splits}
    assert len(found) == 1
    assert found.pop() == pytest.approx(2 * parameters(job.model).total / 4, rel=1e-4)
    assert 34.4e9 < float(weight_bytes(job, Plan(tp=4))) < 34.6e9


def test_cache_of_llama_70b_on_four_a100_40gb() -> None:
    """(0.9 * memory - 34.49 GB - 2.6 GB) / 81,920 bytes is 14.2 thousand tokens with 42.5 GB, measured 8 to 16."""
    job = serve_job("llama2-70b", "4xA100-40GB", "vllm-2024", weights="fp16", kv="fp16", **ONE)
    assert float(token_bytes(job, Plan(tp=4))) == 2 * 8 * 128 * 2 * 80 / 4
    assert float(kv_tokens(job, Plan(tp=4))) == pytest.approx(14200, rel=0.08)
    by_hand = (0.9 * 39.49 * 2**30 - 34.488e9 - 2.6e9) / 81920
    assert float(kv_tokens(job, Plan(tp=4))) == pytest.approx(by_hand, rel=0.03)


def test_batch_of_the_notes_needs_65_thousand_tokens() -> None:
    """32 x 2,048 tokens of 81,920 bytes are 5.4 GB on each of four ranks; they do not fit."""
    job = serve_job("llama2-70b", "4xA100-40GB", "vllm-2024", weights="fp16", kv="fp16", **ONE)
    need = 32 * 2048 * 81920
    assert need == pytest.approx(5.37e9, rel=0.01)
    assert need > float(cache_bytes(job, Plan(tp=4))) > 0


def test_eight_bit_weights_leave_two_hundred_thousand_tokens() -> None:
    """Half the weights free 17 GB: about 220 thousand tokens."""
    job = serve_job("llama2-70b", "4xA100-40GB", "vllm-2024", weights="int8", kv="fp16", **ONE)
    assert 200e3 < float(kv_tokens(job, Plan(tp=4))) < 240e3


@pytest.mark.parametrize(("tp", "elements"), [(1, 2048), (4, 512), (8, 256), (16, 256), (64, 256)])
def test_key_and_value_heads_are_copied_beyond_their_number(tp: int, elements: int) -> None:
    """8 heads of 128, key and value: never less than one head per rank."""
    assert float(kv_elements(model("llama2-70b"), float(tp))) == elements


def test_latent_attention_keeps_576_elements_on_every_rank() -> None:
    """DeepSeek: 512 + 64, not divided by tp."""
    shape = model("deepseek-r1")
    assert float(kv_elements(shape, 1.0)) == float(kv_elements(shape, 8.0)) == 576


def test_only_linear_layers_are_quantised() -> None:
    """fp8 halves all but the embedding, the head and the norms."""
    wide, narrow = (serve_job("llama3.1-8b", "1xH100", weights=w, input=8, output=8) for w in ("bf16", "fp8"))
    whole = parameters(wide.model)
    ends = whole.embedding + whole.head
    saved = float(weight_bytes(wide, Plan()) - weight_bytes(narrow, Plan()))
    assert saved == pytest.approx(whole.total - ends, rel=1e-3)


def test_experts_are_spread_over_ep() -> None:
    """Twice as many ranks for experts halve what each holds of them; attention stays."""
    job = serve_job("mixtral-8x7b", "8xH100", input=8, output=8)
    one, two, eight = (float(weight_bytes(job, Plan(ep=ep))) for ep in (1, 2, 8))
    assert one - two == pytest.approx(2 * parameters(job.model).experts / 2, rel=1e-6)
    assert one - eight == pytest.approx(2 * parameters(job.model).experts * 7 / 8, rel=1e-6)


def test_experts_touched() -> None:
    """One token meets top_k, very many meet all, two meet less than twice as many."""
    shape = model("mixtral-8x7b")
    assert float(touched_experts(shape, 1.0)) == pytest.approx(2.0)
    assert float(touched_experts(shape, 2.0)) == pytest.approx(8 * (1 - 0.75**2))
    assert float(touched_experts(shape, 1e4)) == pytest.approx(8.0)


def test_parts_sum_to_the_total() -> None:
    """And the total of a full cache is what the engine takes."""
    job = serve_job("llama3.1-70b", "8xH100", input=1000, output=1000)
    plan = Plan(tp=8)
    full = memory(job, at_batch(plan, float(most_running(job, plan))))
    assert full.total == full.weights + full.kv + full.activations + full.reserve
    assert float(activation_bytes(job, plan)) == float(full.activations)
    if float(most_running(job, plan)) < engine("vllm").most:
        assert float(full.total) == pytest.approx(0.9 * job.cluster.accelerator.memory)


def test_engines_that_evict_start_more_requests() -> None:
    """Half of the output counts where running requests may be evicted, all of it elsewhere."""
    shape = {"input": 1000, "output": 1000}
    one, other = (serve_job("llama3.1-70b", "8xA100", e, **shape) for e in ("vllm", "tensorrt-llm"))
    ratios = [float(kv_tokens(j, Plan(tp=4)) / most_running(j, Plan(tp=4))) for j in (one, other)]
    assert ratios == pytest.approx([1500, 2000])


def test_prefix_is_kept_once() -> None:
    """A cached prefix of 27,000 of 30,000 tokens leaves room for many more requests."""
    plain = serve_job("llama3.1-70b", "8xA100", input=30000, output=2000)
    cached = serve_job("llama3.1-70b", "8xA100", input=30000, output=2000, prefix=27000)
    plan = Plan(tp=4)
    assert float(most_running(cached, plan)) == pytest.approx((float(kv_tokens(cached, plan)) - 27000) / 4000)
    assert float(most_running(cached, plan)) > 4 * float(most_running(plain, plan))


def test_a_checkpoint_keeps_classes_in_their_own_format() -> None:
    """405B-FP8 loads 57.75 GiB on each of 8 GPUs (vllm-project/vllm issue 6746): attention and two layers in 16 bit."""
    own, plain = (serve_job(name, "8xH100", weights="fp8", **ONE) for name in ("llama3.1-405b-fp8", "llama3.1-405b"))
    assert float(weight_bytes(own, Plan(tp=8))) / 2**30 == pytest.approx(57.75, rel=0.03)
    assert float(weight_bytes(plain, Plan(tp=8))) < 0.87 * float(weight_bytes(own, Plan(tp=8)))
    wide = serve_job("llama3.1-405b-fp8", "16xH100", weights="bf16", **ONE)
    assert float(weight_bytes(wide, Plan(tp=8))) * 8 == pytest.approx(2 * parameters(wide.model).total, rel=1e-2)


def test_only_the_experts_of_gpt_oss_are_narrow() -> None:
    """117 B parameters in 65 GB (model card arXiv:2508.10925, section 2: 60.8 GiB of checkpoint)."""
    job = serve_job("gpt-oss-120b", "1xH100", weights="mxfp4", **ONE)
    assert (job.format("attention"), job.format("experts"), job.format("router")) == ("bf16", "mxfp4", "bf16")
    assert float(weight_bytes(job, Plan())) / 2**30 == pytest.approx(60.8, rel=0.03)
    assert job.computed("experts") == job.computed("attention") == "bf16"


@pytest.mark.parametrize(
    ("gpus", "preset", "weights", "runs"),
    [
        ("8xA100", "vllm", "fp8", True),
        ("8xA100", "sglang", "fp8", True),
        ("8xA100", "tensorrt-llm", "fp8", False),
        ("8xA100", "tensorrt-llm", "mxfp4", True),
        ("8xH100", "vllm", "nvfp4", True),
        ("8xV100", "vllm", "fp8", False),
        ("8xV100", "vllm", "int4", True),
        ("8xH100", "tensorrt-llm", "fp8", True),
    ],
)
def test_where_narrow_weights_run(gpus: str, preset: str, weights: str, runs: bool) -> None:
    """On parts with such products everywhere, else where the engine widens them; then the products are 16-bit."""
    job = serve_job("llama3.1-70b", gpus, preset, weights=weights, input=8, output=8)
    assert job.runs(job.workload.weights) is runs
    if runs and gpus == "8xA100":
        assert job.computed("mlp") == "bf16" and job.stored("mlp") < 2
