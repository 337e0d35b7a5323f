"""The peak as a maximum over moments: each against counts made elsewhere."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest

from planner.blocks.counts import parameters
from planner.cost.memory import Memory
from planner.plan import Plan
from planner.training.job import Job
from planner.training.moments import MOMENTS, allocated_bytes, peak_bytes, peak_memory, rank_moments, reserved_bytes
from tests.jobs import framework, job, model

LLAMA3 = 8_030_261_248


def tuned(preset: str, cluster: str, of: str = "llama3.1-8b", seq: int = 4096, **changed: Any) -> Job:
    """A job of a preset with other facts, whose allocator loses nothing and that reserves nothing."""
    names = {n: changed.pop(n) for n in ("optimizer", "offload", "method", "loss") if n in changed}
    facts = {"reserve": 0.0, "fragmentation": 0.0} | changed
    plain = job(of, cluster, preset, seq=seq, batch=64, **names)
    return replace(plain, framework=framework(preset).model_copy(update=facts))


def at(of: Job, plan: Plan) -> dict[str, Memory]:
    """What the one rank of a plan without a pipeline holds at each moment."""
    ((found, _),) = rank_moments(of, plan.floats())
    return found


def test_the_update_of_a_16_bit_model() -> None:
    """2 weights + 2 gradients + 4 moments + 2 of foreach: 74.80 GiB of Llama 3 8B (fms-acceleration, 23 runs)."""
    of = tuned("torchtitan", "1xH200", optimizer="adam-bf16", foreach=True)
    total = float(at(of, Plan(recompute_layers=32))["optimizer step"].total)
    assert total / 2**30 == pytest.approx(74.80, abs=0.02)
    assert total == pytest.approx(10 * LLAMA3)


def test_liger_writes_gradients_over_the_inputs_of_a_gate() -> None:
    """Of Llama 3 8B 2 * 14336 columns less a token: the activation's output; one gradient, of the product, for two."""
    of = tuned("hf", "8xA100", loss="linear")
    plain = replace(of, framework=of.framework.model_copy(update={"linear_gates": False}))
    less, more = (at(one, Plan(dp=8, zero=3, recompute_layers=32))["backward"].total for one in (of, plain))
    assert float(more - less) == pytest.approx(2 * 4096 * 2 * 14336)


def test_liger_as_measured() -> None:
    """Llama 3 8B, 8,192 tokens, nothing recomputed: 99 GiB without, 80 with (stas00/ml-engineering, H200 and B200)."""
    each = [tuned("hf", "8xH200", seq=8192, loss=one) for one in ("eager", "linear")]
    more, less = (float(peak_memory(one, Plan(dp=8, zero=2).floats()).memory.total) / 2**30 for one in each)
    assert more - less == pytest.approx(19, rel=0.15)


def test_zero_3_copies_its_bucket_into_the_order_of_ranks() -> None:
    """5e8 gradients of 2 bytes once more, or all of a smaller model's; ZeRO-2 reduces the buffer itself."""
    for name, most in (("llama3.1-8b", 5e8), ("qwen3-0.6b", float(count("qwen3-0.6b")))):
        of = tuned("hf", "8xA100", name, offload="optimizer")
        none = replace(of, framework=of.framework.model_copy(update={"bucket": 0.0}))
        for zero, copied in ((2, 0.0), (3, min(most, 5e8))):
            plan = Plan(dp=8, zero=zero, recompute_layers=28)
            both = [float(at(one, plan)["backward"].total) for one in (of, none)]
            assert both[0] - both[1] == pytest.approx(2 * (5e8 + copied))


def count(name: str) -> float:
    """Parameters of a model."""
    return float(parameters(model(name)).total)


def test_the_update_of_sharded_masters() -> None:
    """4 + 4 + 8 + 4 of foreach over 4 ranks: 37.4 GiB, the peak of the same model with a fused loss (as measured)."""
    of = tuned("torchtitan", "4xA100", foreach=True, logits_bytes=0.1)
    plan = Plan(dp=4, b=4, zero=3, recompute_layers=32).floats()
    assert float(at(of, plan)["optimizer step"].total) == pytest.approx(20 * LLAMA3 / 4)
    assert MOMENTS[int(peak_memory(of, plan).moment)] == "optimizer step"


@pytest.mark.parametrize(("recipe", "copy"), [("fp8-current", 2), ("mxfp8", 0), ("bf16", 0)])
def test_the_update_of_8_bit_weights(recipe: str, copy: int) -> None:
    """4 of fp32 gradients, and 2 of a copy in 16 bit of what is kept in 8 bit alone: the matrices of 32 layers."""
    matrices = 32 * 4096 * (4096 + 2 * 1024 + 4096 + 3 * 14336)
    plain = tuned("megatron-core-tuned", "8xB200")
    work = plain.workload.model_copy(update={"precision": recipe, "fp8_param_gather": recipe != "bf16"})
    found = at(replace(plain, workload=work), Plan(dp=8, zero=1))["optimizer step"]
    assert float(found.buffers) == pytest.approx((4 * LLAMA3 + copy * matrices) / 8)


@pytest.mark.parametrize(("gpus", "taken"), [(8, 1e9), (64, LLAMA3 / 64)])
def test_deepspeed_updates_a_group_at_a_time(gpus: int, taken: float) -> None:
    """16 bytes over the ranks; 4 of fp32 gradients (and 4 of foreach) for at most 1e9 parameters."""
    for foreach, each in ((False, 4), (True, 8)):
        of = tuned("deepspeed-zero3", f"{gpus // 8}x8xA100", foreach=foreach)
        found = at(of, Plan(dp=gpus, zero=3, recompute_layers=32))["optimizer step"]
        assert float(found.total) == pytest.approx(16 * LLAMA3 / gpus + each * taken)


@pytest.mark.parametrize(("m", "share"), [(1, 0.0), (2, 1.0)])
def test_gradients_that_are_freed_meet_activations_from_the_second_micro_batch_on(m: int, share: float) -> None:
    """PyTorch sets them to None after the update; Megatron-LM's buffer stays."""
    found = at(tuned("torchtitan", "8xA100"), Plan(dp=8, m=m, zero=3))
    for name in ("loss", "backward"):
        assert float(found[name].gradients) == pytest.approx(share * 4 * LLAMA3 / 8)
    assert float(found["reduction"].gradients) == pytest.approx(4 * LLAMA3 / 8)
    kept = at(tuned("megatron-core", "8xA100"), Plan(dp=8, m=m))
    assert float(kept["loss"].gradients) == pytest.approx(4 * LLAMA3)


def test_the_logits_are_gone_before_the_last_block_comes_back() -> None:
    """8 bytes of 4096 * 128256 logits in the loss, and 16-bit input and output of the final norm; one whole block of
    activations in the backward.
    """
    found = at(tuned("megatron-core", "8xA100"), Plan(dp=8, recompute_layers=32))
    assert float(found["loss"].logits) == 8 * 4096 * 128_256 + 2 * 2 * 4096 * 4096 and float(found["loss"].buffers) == 0
    assert float(found["backward"].logits) == 0 and float(found["backward"].buffers) > 0
    assert float(found["backward"].activations) == float(found["loss"].activations) == 32 * 2 * 4096 * 4096


def test_root_units_stay_gathered() -> None:
    """FSDP 1: embedding and head in all passes, 2 * 2 * 128256 * 4096 bytes, and their gradients in the backward."""
    ends = 2 * (2 * 128_256 * 4096 + 4096)
    apart, whole = (at(tuned("torchtitan", "8xA100", ends_stay=stay), Plan(dp=8, zero=3)) for stay in (False, True))
    assert float(whole["backward"].weights - apart["backward"].weights) == pytest.approx(ends)
    assert float(whole["backward"].buffers - apart["backward"].buffers) == pytest.approx(ends)
    assert float(whole["optimizer step"].weights) == float(apart["optimizer step"].weights)


def test_what_the_allocator_holds() -> None:
    """A share of what comes and goes, and gradients freed in another stream's pool; neither in what tensors take."""
    of = tuned("torchtitan", "8xA100", fragmentation=0.1, reserve=2.0**30)
    found = at(of, Plan(dp=8, zero=3))
    loss = found["loss"]
    passing = float(loss.activations + loss.logits)
    assert float(loss.total) == pytest.approx(float(allocated_bytes(loss)) + 0.1 * passing + 2**30)
    assert float(reserved_bytes(of, found)) == pytest.approx(float(loss.total) - 2**30 + 4 * LLAMA3 / 8)


PLANS = [
    dict(tp=2, pp=4, dp=4, m=8, b=2, sp=1, recompute_layers=1),
    dict(pp=2, dp=16, m=4, zero=1),
    dict(dp=32, m=2, zero=3, recompute_layers=32),
    dict(dp=32, m=1, zero=2),
]


@pytest.mark.parametrize("preset", ["megatron-core", "torchtitan", "deepspeed-zero3", "llm-foundry"])
def test_one_plan_or_many(preset: str) -> None:
    """The same bits; the peak is the largest of all moments of all ranks, and the one that is named."""
    of = job("llama3.1-8b", "4x8xH100", preset, seq=8192, batch=128)
    columns = {n: np.array([plan.get(n, d) for plan in PLANS]) for n, d in Plan().degrees.items() if isinstance(d, int)}
    many = peak_memory(of, Plan(**columns).floats())
    bytes = peak_bytes(of, Plan(**columns).floats())
    for row, plan in enumerate(PLANS):
        one = Plan(**plan).floats()
        alone, ranks = peak_memory(of, one), rank_moments(of, one)
        assert float(alone.memory.total) == float(many.memory.total[row]) == float(bytes[row])
        assert float(alone.moment) == float(many.moment[row]) and float(alone.rank) == float(many.rank[row])
        assert float(alone.memory.total) == max(float(m.total) for found, _ in ranks for m in found.values())
        found = next(found for found, rank in ranks if float(rank) == float(alone.rank))
        assert float(alone.memory.total) == float(found[MOMENTS[int(alone.moment)]].total)
        assert [float(t) for t in alone.totals] == [float(m.total) for m in found.values()]


def test_moments_are_parts_of_one_record() -> None:
    """Every moment's parts sum to its total, and every one is among MOMENTS."""
    of = job(model("mixtral-8x7b").name, "4x8xH100", "torchtitan", seq=4096, batch=128)
    for found, _ in rank_moments(of, Plan(ep=4, dp=32, zero=3).floats()):
        assert tuple(found) == MOMENTS
        for memory in found.values():
            assert float(memory.total) == pytest.approx(reduce(float.__add__, map(float, memory.parts.values())))
