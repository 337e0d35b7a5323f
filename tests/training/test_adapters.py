"""Adapters on frozen weights: what the base takes, what a frozen block keeps, what making it 16 bit costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner import PlannerError, ask
from planner.blocks import operators
from planner.blocks.operator import Share
from planner.catalog.library import open_library
from planner.cost.memory import Memory
from planner.launch.check import setup_of
from planner.plan import Plan
from planner.read.context import Context
from planner.read.script import read_any
from planner.training.adapters import all_adapters, copied_experts
from planner.training.estimate import estimate
from planner.training.job import Job
from planner.units import GIB
from tests.jobs import cluster, framework

ONE = Plan(tp=1, pp=1, dp=1, b=4, m=1, recompute_layers=32)


def job(method: str, framework: str = "any", **options: str) -> Job:
    """Llama 3 8B on one A100."""
    return ask("llama3-8b", "1xA100", method=method, framework=framework, seq=4096, global_batch=4, **options).job


def test_a_base_of_four_bits() -> None:
    """6,979,321,856 weights of linear layers at 0.516 bytes, the rest at 2; 41.9 M of adapters in 16 bit.

    Measured 5.48 GiB in all with 13.6 M of them (fms-acceleration, Llama 3 8B, bitsandbytes).
    """
    memory = estimate(job("qlora"), ONE.floats()).memory
    linear, others, adapters = 6_979_321_856, 8_030_261_248 - 6_979_321_856, 41_943_040
    assert memory.weights == pytest.approx(linear * (0.5 + 1 / 64 + 4 / 16384) + 2 * others + 2 * adapters)
    assert memory.weights / GIB == pytest.approx(5.4, abs=0.1)


def test_bytes_by_format() -> None:
    """Eight bits take more than four, and less than sixteen; adapters of attention alone are fewer."""
    weights = {base: estimate(job("qlora", base=base), ONE.floats()).memory.weights for base in ("nf4", "int4", "int8")}
    lora = estimate(job("lora"), ONE.floats()).memory.weights
    assert weights["nf4"] < weights["int8"] < lora
    assert weights["int4"] == pytest.approx(weights["nf4"], rel=0.01)
    few = estimate(job("lora", lora_targets="attention"), ONE.floats()).memory
    assert few.optimizer < estimate(job("lora"), ONE.floats()).memory.optimizer


def test_a_frozen_layer_keeps_no_input() -> None:
    """Without adapters on the feed-forward its inputs are not kept: h of the norm, f of the activation."""
    plain = Plan(tp=1, pp=1, dp=1, b=1, m=1)
    every, some = (
        estimate(job("lora", lora_targets=targets), plain.floats()).memory.activations
        for targets in ("all-linear", "attention")
    )
    assert every - some == pytest.approx(32 * 4096 * 2 * (4096 + 14336))


def test_wide_copies_take_time() -> None:
    """Three passes over 6.98e9 weights read 0.516 bytes and write 2 of each: 52.7 GB at 2.04 TB/s at most."""
    narrow, wide = (estimate(job(method), ONE.floats()).time.total for method in ("qlora", "lora"))
    assert 1.0 < (narrow - wide) / (3 * 6_979_321_856 * 2.516 / 2.039e12) < 1.6


QWEN3 = 48 * 128 * 3 * 2048 * 768
"""Weights of the experts of Qwen3-30B-A3B."""


def experts(method: str, framework: str = "hf", **options: object) -> Job:
    """Qwen3-30B-A3B on one H200, a sequence of 2,048 tokens at a time."""
    more = {"seq": 2048, "global_batch": 1, "lora_targets": "no-experts"} | options
    return ask("qwen3-30b-a3b", "1xH200", method=method, framework=framework, **more).job  # type: ignore[arg-type]


def held(of: Job, recompute: int = 48) -> Memory:
    """At the fullest moment of a step of one sequence."""
    return estimate(of, Plan(b=1, recompute_layers=recompute).floats()).memory


def test_experts_in_one_tensor_stay_wide() -> None:
    """bitsandbytes passes over them in Transformers 5; Axolotl and Unsloth make them narrow, others have modules.

    98.7 GiB for Kimi-Linear-48B with load_in_8bit, 63.4 for GLM-4.5-Air with quantize_moe_experts (Axolotl examples).
    """
    wide, narrow = (held(experts("qlora", quantize_experts=one)).weights for one in (False, True))
    assert wide - narrow == pytest.approx(QWEN3 * (2 - (0.5 + 1 / 64 + 4 / 16384)), rel=1e-3)
    assert held(experts("qlora", "any")).weights == pytest.approx(narrow, rel=1e-3)


def test_adapters_of_experts_in_one_tensor() -> None:
    """Gate and up have one adapter of twice the rank where PEFT is told their names, of the rank for the tensor's."""
    few, named = (all_adapters(experts("lora", lora_targets=one)) for one in ("no-experts", "all-linear"))
    down, both = 128 * 48 * 16 * (768 + 2048), 128 * 48 * 16 * (2048 + 2 * 768)
    assert named - few == down + 2 * both
    of = experts("lora", lora_targets="all-linear")
    told = replace(of, framework=of.framework.model_copy(update={"fused_experts": 1}))
    assert all_adapters(told) - few == down + both


@pytest.mark.parametrize(
    ("method", "options", "kept", "made"),
    [
        ("lora", {}, 0, 0),
        ("lora", {"lora_targets": "all-linear"}, 1, 2),
        ("qlora", {"quantize_experts": True}, 1, 1),
        ("qlora", {"quantize_experts": True, "lora_targets": "all-linear"}, 1, 3),
        ("qlora", {"lora_targets": "all-linear"}, 1, 2),
    ],
)
def test_copies_of_experts(method: str, options: dict[str, object], kept: int, made: int) -> None:
    """The factors' product and the sum, and what widens narrow ones; the last copy waits for the backward pass."""
    of = experts(method, **options)
    ops = operators(next(kind for kind in of.structure.kinds if "experts" in kind.title), Share(1.0, 2048.0))
    copy = 2.0 * QWEN3 / 48
    assert copied_experts(of, ops) == (kept * copy, made * copy)
    assert copied_experts(replace(of, framework=ask("llama3-8b", "1xA100").job.framework), ops) == (0, 0)


def test_copies_stay_without_recomputation() -> None:
    """One of every layer."""
    every, none = (experts("lora", lora_targets=one) for one in ("all-linear", "no-experts"))
    more = held(every, 0).activations - held(none, 0).activations
    assert more == pytest.approx(2 * QWEN3, rel=0.05)


def test_adapters_on_experts_cost_the_gradient_of_their_weights() -> None:
    """Copies are written and read, and the sum has a gradient."""
    slow, quick = (
        estimate(experts("lora", lora_targets=one), Plan(b=1, recompute_layers=48).floats()).time
        for one in ("all-linear", "no-experts")
    )
    assert slow.forward > quick.forward and slow.backward - quick.backward > slow.forward - quick.forward


def test_experts_are_told_of() -> None:
    """Where they are wide under a narrow base, and where adapters are added to them; not of dense models."""
    of = ("qwen3-30b-a3b", "1xH200")
    said = ask(*of, method="qlora", framework="hf").assumptions
    assert sum("experts" in one and "tensors" in one for one in said) == 2
    assert not any("tensors" in one for one in ask("llama3-8b", "1xH200", method="qlora", framework="hf").assumptions)
    with pytest.raises(PlannerError, match="quantize-experts"):
        ask(*of, method="lora", framework="hf", quantize_experts=True)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("qwen3-30b-a3b", True),
        ("glm-4.5v", True),
        ("kimi-k2", True),
        ("gpt-oss-20b", False),
        ("qwen3.5-35b-a3b", False),
        ("llama4-scout", False),
        ("internvl3.5-30b-a3b", False),
        ("gemma-4-26b-a4b", False),
    ],
)
def test_names_of_old_reach_experts_of_some_families(name: str, more: bool) -> None:
    """PEFT converts them for those that Transformers maps to qwen2_moe or mixtral; some have modules of their own."""
    all_of, few = (ask(name, "8xH200", method="lora", framework="hf", lora_targets=one) for one in BOTH)
    assert (all_adapters(all_of.job) > all_adapters(few.job)) is more
    assert any("target_parameters" in one for one in all_of.assumptions) is not more
    told = all_of.job.framework.model_copy(update={"fused_experts": 1})
    assert all_adapters(replace(all_of.job, framework=told)) > all_adapters(few.job)


BOTH = ("all-linear", "no-experts")


@pytest.mark.parametrize(
    ("name", "method", "base"),
    [
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "lora", ("qlora", "int4")),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8", "lora", ("qlora", "int8")),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "full", ("full", "nf4")),
        ("openai/gpt-oss-20b", "lora", ("lora", "nf4")),
        ("Qwen/Qwen2.5-7B-Instruct", "lora", ("lora", "nf4")),
    ],
)
def test_a_checkpoint_of_integers_is_its_own_base(name: str, method: str, base: tuple[str, str]) -> None:
    """LoRA on AWQ or GPTQ freezes what is there: 10 GB for Qwen2.5-7B (ms-swift examples/train/qlora/awq/train.sh)."""
    work = ask(name, "1xA100", method=method, framework="hf", seq=2048, global_batch=1).job.workload
    assert (work.method, work.base) == base


def test_files_name_a_checkpoint_of_integers() -> None:
    """What a command trains is weighed likewise."""
    said = "swift sft --model Qwen/Qwen2.5-7B-Instruct-AWQ --tuner_type lora --torch_dtype bfloat16 --max_length 2048\n"
    reading = read_any(said, Context(1, None, {}, lambda name: None, 1, lambda name: None))
    shape = open_library().model(reading.model_name or "").value
    of = setup_of(reading, cluster("1xA100"), framework("hf"), shape)[0].job
    assert (of.workload.method, of.workload.base) == ("qlora", "int4")


def test_narrow_experts_in_one_tensor_are_not_sharded() -> None:
    """29 GiB each on two GPUs against 24 on one, for GLM-4.7-Flash (Axolotl examples/glm47-flash)."""
    each = QWEN3 * (0.5 + 1 / 64 + 4 / 16384)
    of = ask("qwen3-30b-a3b", "8xH200", method="qlora", framework="hf-fsdp", seq=2048, global_batch=8)
    narrow = replace(of.job, workload=of.job.workload.model_copy(update={"quantize_experts": True}))
    whole, part = (
        estimate(one, Plan(dp=8, b=1, recompute_layers=48, zero=3).floats()).memory.weights for one in (narrow, of.job)
    )
    assert each < whole and part > 2 * QWEN3 / 8
