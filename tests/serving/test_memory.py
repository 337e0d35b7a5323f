"""Weights and KV cache per rank, held to numbers worked out by hand and to measured brackets."""

from __future__ import annotations

import pytest

from planner.blocks.counts import parameters
from planner.plan import Plan
from planner.questions.serve import answer, ask_serve
from planner.schema.model import Model, StateSpace
from planner.serving.job import at_batch, linear
from planner.serving.layer import met
from planner.serving.memory import (
    activation_bytes,
    kv_tokens,
    memory,
    most_running,
    ranks,
    spare,
    token_bytes,
    weight_bytes,
)
from planner.serving.options import evaluate
from planner.serving.pieces import pieces, stages
from tests.jobs import model
from tests.serving.jobs import early, engine, serve_job

ONE = {"input": 1920, "output": 128}


def test_all_ranks_together_hold_the_model() -> None:
    """LLaMA-2 70B in 16 bit, 137.95e9 bytes on four: norms are copied over tp, the fullest stage has an end, too."""
    job = serve_job("llama2-70b", "4xA100-40GB", weights="fp16", **ONE)
    for plan, fullest in ((Plan(tp=4), 34.49e9), (Plan(tp=2, pp=2), 34.49e9), (Plan(pp=4), 34.75e9)):
        whole = sum(plan.tp * row.ranks * r.weights for row, r in zip(stages(job, plan), ranks(job, plan), strict=True))
        assert whole == pytest.approx(2 * parameters(job.model).total, rel=1e-4)
        assert float(weight_bytes(job, plan)) == pytest.approx(fullest, rel=1e-3)


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
    assert need > float(spare(job, Plan(tp=4), 0.0, 1.0)) > 0
    assert need - float(spare(job, Plan(tp=4), 0.0, 1.0)) == pytest.approx(-float(spare(job, Plan(tp=4), 32.0, 2048.0)))


def test_eight_bit_weights_leave_two_hundred_thousand_tokens() -> None:
    """Half the weights free 17 GB: about 220 thousand tokens."""
    job = serve_job("llama2-70b", "4xA100-40GB", "vllm-2024", weights="int8", kv="fp16", **ONE)
    assert 200e3 < float(kv_tokens(job, Plan(tp=4))) < 240e3


@pytest.mark.parametrize(("tp", "elements"), [(1, 2048), (4, 512), (8, 256), (16, 256), (64, 256)])
def test_key_and_value_heads_are_copied_beyond_their_number(tp: int, elements: int) -> None:
    """8 heads of 128, key and value, of 2 bytes in 80 layers: never less than one head per rank."""
    job = serve_job("llama2-70b", "8x8xA100", kv="fp16", input=8, output=8)
    assert float(token_bytes(job, Plan(tp=tp))) == elements * 2 * 80


def kept(of: str | Model, length: float, kv: str = "bf16", tp: int = 1) -> float:
    """Bytes that one sequence of a length keeps on the fullest rank."""
    (rank,) = ranks(serve_job(of, f"{tp}xH200", kv=kv, input=8, output=8), Plan(tp=tp))
    return float(rank.sequence(length))


@pytest.mark.parametrize(
    ("name", "each"),
    [
        # arXiv:2505.09343 (Insights into DeepSeek-V3), table 1: KV cache per token in 16 bit
        ("deepseek-v3", 70_272),
        ("qwen2.5-72b", 327_680),
        ("llama3.1-405b", 516_096),
        # arXiv:2405.04434 (DeepSeek-V2), table 1: 9/2 * d_h * l elements, d_h = 128, l = 60
        ("deepseek-v2", 4.5 * 128 * 60 * 2),
        # 2 * key/value heads * head size * layers * 2 bytes of their config.json
        ("qwen3-235b-a22b", 2 * 4 * 128 * 94 * 2),
        ("qwen3-30b-a3b", 2 * 4 * 128 * 48 * 2),
        ("kimi-k2", 576 * 61 * 2),
        ("mixtral-8x7b", 2 * 8 * 128 * 32 * 2),
        # hybrids: the layers that attend alone; Nemotron-H (arXiv:2504.03624), table 1: 4 of 52 and 10 of 118
        ("nemotron-h-8b", 2 * 8 * 128 * 4 * 2),
        ("nemotron-h-56b", 2 * 8 * 128 * 10 * 2),
        ("qwen3-next-80b-a3b", 2 * 2 * 256 * 12 * 2),
        ("minimax-text-01", 2 * 8 * 128 * 10 * 2),
        ("kimi-linear-48b-a3b", 576 * 7 * 2),
        # DeepSeek-V3.2 keeps a key of 128 in fp8 with its scale beside the latent: 132 bytes
        ("deepseek-v3.2", (576 * 2 + 132) * 61),
    ],
)
def test_cache_of_a_token_as_published(name: str, each: float) -> None:
    """Of one more token of context, on a rank that is not split."""
    assert kept(name, 4001.0) - kept(name, 4000.0) == pytest.approx(each, rel=1e-9)


def test_latent_attention_keeps_as_much_on_every_rank() -> None:
    """DeepSeek: 512 + 64 elements, not divided by tp; 8-bit elements take half."""
    assert kept("deepseek-r1", 1.0, tp=8) == kept("deepseek-r1", 1.0) == 576 * 61 * 2
    assert kept("deepseek-r1", 1.0, kv="fp8") == 576 * 61


@pytest.mark.parametrize(
    ("name", "length", "gib"),
    [
        # arXiv:2403.19887 (Jamba), table 1: 256K tokens in 16 bit take 128, 32, 32 and 4 GB
        ("llama2-7b", 2**18, 128.0),
        ("mistral-7b-v0.3", 2**18, 32.0),
        ("mixtral-8x7b", 2**18, 32.0),
        ("jamba", 2**18, 4.0),
    ],
)
def test_caches_of_jambas_table(name: str, length: int, gib: float) -> None:
    """One layer in eight attends; states take 16 MB and no more, whatever the length."""
    of: str | Model = name
    if name == "jamba":
        shape = StateSpace(heads=128, head_dim=64, state=16)
        of = model("mixtral-8x7b").model_copy(update={"pattern": "MMMM*MMM", "state_space": shape})
    assert (kept(of, length) - kept(of, 0.0)) / 2**30 == gib
    assert kept(of, 0.0) < 0.02 * 2**30


def test_windows_keep_their_last_tokens() -> None:
    """gpt-oss: 18 of 36 layers keep 128 tokens; Gemma 3 27B: 52 of 62 keep 1,024 (arXiv:2503.19786, section 2.1)."""
    for name, full, windowed, window, each in (
        ("gpt-oss-120b", 18, 18, 128, 2 * 8 * 64 * 2),
        ("gemma3-27b", 10, 52, 1024, 2 * 16 * 128 * 2),
    ):
        for length in (100, 32_768):
            assert kept(name, length) == each * (full * length + windowed * min(length, window))


@pytest.mark.parametrize(
    ("name", "state"),
    [
        # arXiv:2504.03624, table 1: 24 Mamba-2 layers, 128 heads of 64 by state 128; kernel 4 over 8,192 + 2*8*128
        ("nemotron-h-8b", 24 * (4 * 128 * 64 * 128 + 2 * 3 * (8192 + 2048))),
        # Qwen/Qwen3-Next config.json: 36 layers, 32 value heads of 128 by 128; kernel 4 over 2*16*128 + 32*128
        ("qwen3-next-80b-a3b", 36 * (4 * 32 * 128 * 128 + 2 * 3 * (4096 + 4096))),
        # MiniMaxAI/MiniMax-Text-01 config.json: 70 layers, 64 heads of 128 by 128
        ("minimax-text-01", 70 * 4 * 64 * 128 * 128),
    ],
)
def test_states_of_recurrences(name: str, state: int) -> None:
    """fp32 states and 16-bit inputs of the convolutions, whatever the length; shared by tp ranks."""
    assert kept(name, 0.0) == state
    assert kept(name, 0.0, tp=2) == pytest.approx(state / 2, rel=0.02)


SERVED = ("gpt-oss-20b", "gpt-oss-120b", "qwen3-30b-a3b", "deepseek-v3", "deepseek-v3.2", "nemotron-h-8b")
SERVED += ("nemotron-3-nano-30b-a3b", "granite-4.0-h-small", "gemma3-27b", "deepseek-v2-lite", "qwen3-next-80b-a3b")
SERVED += ("kimi-linear-48b-a3b", "minimax-text-01", "glm-4.5", "llama4-scout")


@pytest.mark.parametrize("name", SERVED)
def test_every_family_is_served(name: str) -> None:
    """Hybrids, windows, latents, sparse and plain mixtures: something runs on 16 H200, at a pipeline's depth, too."""
    found = answer(ask_serve(name, "2x8xH200", input=2000, output=200))
    assert found.choice.ranked and found.latency is not None
    for option in found.choice.ranked:
        assert 0 < float(option.memory.total) <= float(option.capacity) * (1 + 1e-9)
        assert 0 < float(option.tpot) < 1


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
    """One token meets top_k of 8, very many meet all, two meet less than twice as many."""
    assert [8 * float(met(2 / 8, m)) for m in (1.0, 2.0, 1e4)] == pytest.approx([2.0, 8 * (1 - 0.75**2), 8.0])


def test_parts_sum_to_the_total() -> None:
    """And the total of a full cache is what the engine takes."""
    job = serve_job("llama3.1-70b", "8xH100", input=1000, output=1000)
    plan = Plan(tp=8)
    full = memory(job, at_batch(plan, float(most_running(job, plan))))
    assert full.total == full.weights + full.kv + full.activations + full.reserve
    assert float(activation_bytes(job, plan)) == float(full.activations)
    if float(most_running(job, plan)) < engine("vllm").most:
        assert float(full.total) == pytest.approx(job.engine.utilisation * job.cluster.accelerator.memory)


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
    assert {job.computed(op) for ops in pieces(job, Plan()) for op in ops if linear(op)} == {"bf16"}


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
        (up,) = {op for ops in pieces(job, Plan()) for op in ops if op.name == "mlp up"}
        assert job.computed(up) == "bf16" and job.stored(up) < 2


def test_a_request_lies_in_one_copy_of_the_attention() -> None:
    """Qwen3-Coder 480B in fp8 over eight 141 GB parts, attention copied eight times: vLLM has 205,728 tokens for each,
    and refuses sequences of 262,144 (vllm-project/recipes pull request 12), whatever the eight hold together.
    """
    asked = {"weights": "fp8", "output": 1000}
    short, long = (serve_job("qwen3-coder-480b-a35b", "8xH200", input=n, **asked) for n in (180_000, 261_000))
    copied = Plan(tp=1, ep=8).floats()
    assert 0.85 * 205_728 < kv_tokens(short, copied) / 8.0 < 1.15 * 205_728
    assert evaluate(short, copied).short == 0.0 < evaluate(long, copied).short
    assert evaluate(long, Plan(tp=8, ep=8).floats()).short == 0.0


def test_a_request_has_room_to_its_last_token() -> None:
    """vLLM evicts one request for another, and starts with no longer sequences than its cache holds (37,696 tokens
    before V1, with 22.07 GiB).
    """
    job = early(serve_job("llama3.1-8b", "1xL4", input=100, output=40_000))
    assert 33_000 < kv_tokens(job, Plan().floats()) < 37_696 and evaluate(job, Plan().floats()).short > 0.0


def test_copied_attention_gathers_a_chunk_of_every_copy() -> None:
    """Eight copies that send 8,192 tokens of 2,880 in 16 bit, and get as much back: TensorRT-LLM's default of
    moe_max_num_tokens, max_num_tokens * dp_size.
    """
    job = serve_job("gpt-oss-120b", "8xA100", preset="tensorrt-llm", input=1024, output=1024)
    copied, split = (activation_bytes(job, Plan(tp=tp, ep=8, b=64)) for tp in (1, 8))
    whole = 8 * 8192 * 2880 * (2 + 2)
    assert float(copied) > whole
    assert float(split) < whole
