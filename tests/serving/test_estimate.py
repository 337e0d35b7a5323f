"""Steps of inference: their parts, their order, and one plan against many."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plan import Plan
from planner.serving.estimate import cycle, decode_step, loaded_step, prefill, prefill_share
from planner.serving.job import at_batch
from planner.serving.layer import Tokens
from planner.serving.options import evaluate
from planner.serving.queueing import closed_loop, offline, open_loop
from planner.serving.space import ServeBounds, layouts, with_loads
from tests.serving.jobs import serve_job

SHAPE = {"input": 1000, "output": 500}
JOBS = [
    serve_job("llama3.1-70b", "8xH100", weights="fp8", **SHAPE),
    serve_job("mixtral-8x7b", "8xA100", "sglang", **SHAPE),
    serve_job("deepseek-r1", "2x8xH200", "tensorrt-llm", weights="fp8", kv="fp8", **SHAPE),
    serve_job("gpt3-175b", "8xA100", "fastertransformer", **SHAPE),
    serve_job("gemma3-27b", "8xL40S", prefix=500, **SHAPE),
]


def flat(record: Any) -> list[Any]:
    """Every number of nested records, in order."""
    if hasattr(record, "__dataclass_fields__") and not isinstance(record, Plan):
        return [x for f in fields(record) for x in flat(getattr(record, f.name))]
    return [] if isinstance(record, Plan) else [record]


@pytest.mark.parametrize("job", JOBS, ids=lambda j: f"{j.model.name}-{j.engine.name}")
def test_one_plan_and_many_give_the_same_bits(job: Any) -> None:
    """Every deployment by itself, and all as arrays."""
    batch = with_loads(layouts(job, ServeBounds()), [1, 3, 16, 200])
    together = evaluate(job, batch)
    for row in range(0, len(batch), 7):
        alone = evaluate(job, batch[row])
        for one, many in zip(flat(alone), flat(together[row]), strict=True):
            assert np.array_equal(np.float64(one), np.float64(many))


@pytest.mark.parametrize("job", JOBS, ids=lambda j: f"{j.model.name}-{j.engine.name}")
def test_parts_sum_and_are_not_negative(job: Any) -> None:
    """Of every step, for every deployment."""
    batch = with_loads(layouts(job, ServeBounds()), [1, 10, 100])
    step = loaded_step(job, batch)
    assert np.array_equal(step.total, sum(step.parts.values(), 0.0))
    assert all((np.asarray(part) >= 0.0).all() for part in step.parts.values())


@given(
    tp=st.sampled_from([1, 2, 4, 8]),
    users=st.integers(1, 400),
    more=st.integers(1, 100),
    pp=st.sampled_from([1, 2]),
)
@settings(max_examples=80, deadline=None)
def test_more_users_never_lower_throughput_nor_shorten_tokens(tp: int, users: int, more: int, pp: int) -> None:
    """As long as all of them fit the cache."""
    job = serve_job("llama3.1-8b", "2x8xH100", **SHAPE)
    plan = Plan(tp=tp, pp=pp)
    few, many = (closed_loop(job, at_batch(plan, float(pp * n))) for n in (users, users + more))
    if many.running == many.offered:
        assert many.requests >= few.requests * (1 - 1e-9)
        assert many.tpot >= few.tpot * (1 - 1e-9)


def test_longer_contexts_cost_more() -> None:
    """Of keys and values, and of nothing else."""
    job = JOBS[0]
    plan = at_batch(Plan(tp=4), 16.0)
    short, long = (decode_step(job, plan, c) for c in (1000.0, 2000.0))
    assert long.kv == pytest.approx(2 * short.kv)
    assert long.weights == short.weights and long.host == short.host


def test_a_pipeline_never_shortens_a_token() -> None:
    """Each of p micro-batches passes every stage by itself: at batch 1 a token takes p stages one behind the other."""
    job = JOBS[0]
    one = decode_step(job, at_batch(Plan(tp=2), 1.0), 1000.0)
    four = decode_step(job, at_batch(Plan(tp=2, pp=4), 1.0), 1000.0)
    assert four.total > one.total
    head = four.weights - one.weights
    assert 0 < head < 0.15 * one.weights  # the head on the slowest stage counts once per stage
    full = decode_step(job, at_batch(Plan(tp=2, pp=4), 64.0), 1000.0)
    assert full.weights == pytest.approx(four.weights, rel=0.1) and full.total > four.total


def test_prefill_fills_the_pipeline() -> None:
    """One prompt of one chunk passes p stages; many prompts pay the fill once."""
    job = serve_job("llama3.1-70b", "8xH100", weights="fp8", input=8192, output=100)
    plan = Plan(tp=2, pp=4)
    stage = cycle(job, plan, Tokens(prefill=8192.0)).total
    assert float(prefill(job, plan, 1.0)) == pytest.approx(4 * float(stage))
    assert float(prefill(job, plan, 16.0)) == pytest.approx(19 * float(stage))


def test_prefill_share_conserves_the_accelerators_time() -> None:
    """B - 1 prompts per OSL steps; in an engine that takes turns each costs a prefill of its own."""
    job = serve_job("qwen3-32b", "1xH100", "sglang", input=8192, output=500)
    plan = at_batch(Plan(), 33.0)
    alone = float(prefill(job, Plan(), 1.0))
    assert float(prefill_share(job, plan, 1000.0)) == pytest.approx(32 / 500 * alone)
    mixed = replace(job, engine=job.engine.model_copy(update={"mixed": True}))
    assert float(prefill_share(mixed, plan, 1000.0)) < 32 / 500 * alone
    assert float(prefill_share(job, at_batch(Plan(), 1.0), 1000.0)) == 0.0


def test_littles_law() -> None:
    """Requests in flight = requests per second * seconds in the system, closed and open."""
    job = JOBS[0]
    seen = closed_loop(job, at_batch(Plan(tp=2, dp=2), 5000.0))
    stay = seen.ttft + (job.workload.output - 1) * seen.tpot
    assert float(seen.offered) == pytest.approx(float(seen.requests) / 2 * float(stay))
    assert seen.running < seen.offered
    opened = open_loop(job, Plan(tp=4, dp=2), 4.0)
    stay = opened.ttft + (job.workload.output - 1) * opened.tpot
    assert float(opened.offered) == pytest.approx(2.0 * float(stay), rel=1e-6)


def test_open_load_beyond_capacity_is_unstable() -> None:
    """A rate that the offline throughput exceeds is served, ten times as much is not."""
    job = JOBS[0]
    most = float(offline(job, Plan(tp=4)).requests)
    assert bool(open_loop(job, Plan(tp=4), 0.5 * most).stable)
    assert not bool(open_loop(job, Plan(tp=4), 10.0 * most).stable)


def test_open_load_of_almost_nothing_is_a_single_request() -> None:
    """TPOT of one request alone."""
    job = JOBS[0]
    alone = decode_step(job, at_batch(Plan(tp=4), 1.0), 1250.0).total
    assert float(open_loop(job, Plan(tp=4), 1e-4).tpot) == pytest.approx(float(alone), rel=1e-3)


def test_a_list_that_ends_costs_its_drain() -> None:
    """Endless lists are served faster; the difference vanishes with length."""
    job, plan = JOBS[0], Plan(tp=2)
    endless, short, long = (float(offline(job, plan, n).requests) for n in (None, 500.0, 5e6))
    assert short < long <= endless and long == pytest.approx(endless, rel=1e-3)


def test_statistics_and_bounds() -> None:
    """p99 is the mean times MLPerf's factors."""
    mean = evaluate(JOBS[0], at_batch(Plan(tp=4), 8.0))
    job = serve_job("llama3.1-70b", "8xH100", weights="fp8", statistic="p99", **SHAPE)
    p99 = evaluate(job, at_batch(Plan(tp=4), 8.0))
    assert (p99.ttft, p99.tpot) == (1.67 * mean.ttft, 1.13 * mean.tpot)
    assert pytest.approx(1.67, abs=0.005) == 461 / 276 and pytest.approx(1.13, abs=0.005) == 175 / 155


def test_a_prompt_is_computed_by_one_copy_of_the_attention() -> None:
    """Eight copies take eight prompts as fast as each its own; one prompt is no faster for the seven that wait.

    DeepSeek-R1 on 8 H200 under TensorRT-LLM, 64 users: TTFT was seven times what an eighth of a prompt would take.
    """
    job = serve_job("deepseek-r1", "8xH200", "tensorrt-llm", weights="fp8", kv="fp8", input=1024, output=1024)
    copied = Plan(tp=1, ep=8).floats()
    one, eight = (float(prefill(job, copied, n)) for n in (1.0, 8.0))
    assert 0.5 * eight < one < eight
    assert float(prefill(job, copied, 16.0)) > 1.7 * eight
    assert float(prefill(job, Plan(tp=8, ep=8).floats(), 1.0)) < 0.6 * one


def test_a_sequence_is_read_by_one_copy_of_the_attention() -> None:
    """One request of 100,000 tokens reads all of its cache, not an eighth of it on every rank."""
    job = serve_job("qwen3-235b-a22b", "8xH200", weights="fp8", input=100_000, output=100)
    copied = Plan(tp=1, ep=8).floats()
    steps = [float(decode_step(job, at_batch(copied, n), 100_000.0).kv) for n in (1.0, 8.0, 16.0)]
    assert steps[0] == pytest.approx(steps[1]) and steps[2] == pytest.approx(2.0 * steps[1], rel=0.01)


def test_wide_expert_parallelism_on_h100() -> None:
    """DeepSeek-V3 in SGLang on H100 (lmsys.org, 2025-05-05): 52.3k prompt tokens a second and node at EP32, of which
    two half batches at once give 27 to 35 %; 22.3k output tokens with 256 requests a GPU behind 2,000, at EP72.
    """
    job = serve_job("deepseek-v3", "8x8xH100", "sglang", weights="fp8", input=2000, output=100)
    step = cycle(job, Plan(tp=1, ep=32), Tokens(prefill=32.0 * 16384))
    assert 52.3e3 / 1.35 * 0.97 < 32 * 16384 / float(step.total) / 4 < 52.3e3 / 1.27 * 1.03
    decode = decode_step(job, at_batch(Plan(tp=1, ep=64), 64.0 * 256), 2050.0)
    assert 8 * 256 / float(decode.total) == pytest.approx(22.3e3, rel=0.1)


def test_tokens_leave_for_fp8_experts_in_fp8() -> None:
    """Across nodes, and come back in 16 bit; inside a domain all ranks gather them in 16 bit."""
    for gpus, ep, share in (("4x8xH100", 32, (33 / 32 + 2.0) / 4.0), ("8xH100", 8, 1.0)):
        wide = Plan(tp=1, ep=ep, b=4e5)
        narrow, full = (
            float(decode_step(serve_job("deepseek-v3", gpus, weights=kept, **SHAPE), wide, 10.0).all_reduce)
            for kept in ("fp8", "bf16")
        )
        assert narrow / full == pytest.approx(share, rel=0.01)
