"""What is chosen, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import NoLegalPlan, PlannerError
from planner.plan import Plan, Range
from planner.questions.serve import answer, ask_serve
from planner.report.serving_words import capped, room
from planner.serving.choose import alike, choose, front, pareto
from planner.serving.disaggregate import BUSY, pools, prefill_rate
from planner.serving.estimate import decode_step
from planner.serving.job import replica_gpus
from planner.serving.options import per_gpu
from planner.serving.rules import RULES, first_broken, legal
from planner.serving.space import ServeBounds, layouts, loads
from tests.serving.jobs import serve_job

BUSY_JOB = serve_job("llama3.1-70b", "8xH100", input=4000, output=500, tpot=0.03, ttft=1.0)


def test_ranked_options_keep_their_levels_and_are_in_order() -> None:
    """TTFT, TPOT and memory of every ranked layout; each layout once."""
    found = choose(BUSY_JOB, ServeBounds(), "throughput")
    assert found.ranked and found.rejected
    yields = [float(per_gpu(o, 500)) for o in found.ranked]
    assert yields == sorted(yields, reverse=True)
    for option in found.ranked:
        assert option.ttft <= 1.0 and option.tpot <= 0.03 and option.short == 0.0
        assert float(option.memory.total) <= float(option.capacity) * (1 + 1e-12)
    each = [(o.plan.tp, o.plan.ep, o.plan.pp, o.plan.dp) for o in found.ranked]
    assert len(each) == len(set(each))


def test_no_other_load_does_better() -> None:
    """The search is exhaustive: a looser bound never yields less."""
    yields = []
    for bound in (0.02, 0.03, 0.05, 0.1, None):
        job = serve_job("llama3.1-70b", "8xH100", input=4000, output=500, tpot=bound)
        ranked = choose(job, ServeBounds(), "throughput").ranked
        yields.append(float(per_gpu(ranked[0], 500)))
    assert yields == sorted(yields)


def test_refusal_names_memory_first() -> None:
    """32 x 2,048 tokens on 4 A100 of 40 GB: every layout lacks memory, TP4 the least."""
    job = serve_job("llama2-70b", "4xA100-40GB", "vllm-2024", input=1920, output=128, users=32)
    found = choose(job, ServeBounds(), "throughput", together=True)
    assert not found.ranked and {r.breaks for r in found.rejected} == {"memory"}
    nearest = found.rejected[0].option
    assert (nearest.plan.tp, nearest.plan.pp) == (4, 1)
    assert 3.5 < float(nearest.short) / 2**30 < 4.5


def test_users_may_wait_where_a_batch_may_not() -> None:
    """The same 32 as users: the cache runs some, the others queue, and TTFT says so."""
    job = serve_job("llama2-70b", "4xA100-40GB", "vllm-2024", input=1920, output=128, users=32)
    best = choose(job, ServeBounds(), "throughput").ranked[0]
    assert best.served.running < best.served.offered == 32
    assert best.ttft > 5 * best.tpot


def test_fewest_gpus() -> None:
    """No deployment with fewer carries the load; more replicas are found for more load."""
    counts = []
    for rate in (1.0, 4.0, 8.0):
        job = serve_job("llama3.1-8b", "8xH100", input=1000, output=200, rate=rate, tpot=0.02)
        found = choose(job, ServeBounds(), "fewest")
        counts.append(float(found.ranked[0].gpus))
        assert counts[-1] == min(float(o.gpus) for o in found.ranked)
    assert counts == sorted(counts)


def test_at_a_given_rate_the_fastest_comes_first() -> None:
    """All layouts that carry it make the same tokens per second and GPU."""
    job = serve_job("llama3.1-70b", "8xH100", weights="fp8", input=1000, output=200, rate=4.0)
    ranked = choose(job, ServeBounds(), "throughput").ranked
    yields = {round(float(per_gpu(o, 200)), 6) for o in ranked}
    stays = [float(o.ttft + 199 * o.tpot) for o in ranked]
    assert len(yields) == 1 and len(ranked) > 3 and stays == sorted(stays)


def test_latency_prefers_tensor_parallelism() -> None:
    """GPT-3 175B on 8 A100: TP8 before any pipeline."""
    ranked = choose(serve_job("gpt3-175b", "8xA100", input=128, output=128), ServeBounds(), "latency").ranked
    assert (ranked[0].plan.tp, ranked[0].plan.pp) == (8, 1)
    assert [o.plan.pp for o in ranked] == sorted(o.plan.pp for o in ranked)


def test_front_is_a_front() -> None:
    """More per user is less per accelerator, and every ranked option lies under it."""
    found = front(BUSY_JOB, ServeBounds())
    assert list(found.per_user) == sorted(found.per_user)
    assert list(found.per_gpu) == sorted(found.per_gpu, reverse=True)
    for option in choose(BUSY_JOB, ServeBounds(), "throughput").ranked:
        user, gpu = float(option.per_user), float(per_gpu(option, 500))
        points = zip(found.per_user, found.per_gpu, strict=True)
        assert any(u >= user * (1 - 1e-9) and g >= gpu * (1 - 1e-9) for u, g in points)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_pareto_against_the_definition(points: list[tuple[int, int]]) -> None:
    """Exactly the points that no other beats in both."""
    x, y = (np.array(c, dtype=float) for c in zip(*points, strict=True))
    kept = {(x[i], y[i]) for i in pareto(x, y)}
    wanted = {(a, b) for a, b in points if not any(c >= a and d >= b and (c, d) != (a, b) for c, d in points)}
    assert kept == wanted


def test_pools_match_their_rates() -> None:
    """Both pools together use the GPUs there are, and neither waits for the other by more than one instance."""
    job = serve_job("llama3.1-8b", "8xH100", input=4000, output=200, tpot=0.02)
    found = pools(job, ServeBounds(), ServeBounds())
    assert found is not None and found.gpus <= 8 and found.tpot <= 0.02
    inflow = BUSY * found.prefill.dp * float(prefill_rate(job, found.prefill))
    each = found.decode.b * found.decode.m / (200 * float(decode_step(job, found.decode, 4100.0).total))
    assert found.requests == pytest.approx(min(inflow, found.decode.dp * each))
    assert found.gpus == replica_gpus(found.prefill) * found.prefill.dp + replica_gpus(found.decode) * found.decode.dp


def test_rules_mask_as_they_speak() -> None:
    """A batch mask agrees with the first broken rule of each plan."""
    job = serve_job("mixtral-8x7b", "8xH100", input=10, output=10)
    plans = [Plan(tp=t, ep=e, pp=p, dp=d) for t in (1, 3, 8) for e in (1, 3, 4) for p in (1, 40) for d in (1, 2)]
    for plan in plans:
        rule = first_broken(job, plan)
        assert bool(legal(job, plan)[0]) == (rule is None)
        if rule is not None:
            assert rule in RULES and rule.message(job, plan)


def test_heads_of_every_mixer_are_divided() -> None:
    """Qwen3-Next: 16 heads of attention, and 16 and 32 of the delta rule; half as many of keys leave tp = 8 at most."""
    job = serve_job("qwen3-next-80b-a3b", "2x8xH200", input=10, output=10)
    assert job.model.delta_rule is not None
    narrow = job.model.delta_rule.model_copy(update={"key_heads": 8})
    other = serve_job(job.model.model_copy(update={"delta_rule": narrow}), "2x8xH200", input=10, output=10)
    plans = [Plan(tp=tp) for tp in (8, 16)]
    assert [first_broken(job, plan) is None or first_broken(job, plan).name != "heads" for plan in plans] == [True] * 2  # type: ignore[union-attr]
    assert [getattr(first_broken(other, plan), "name", "") == "heads" for plan in plans] == [False, True]


def test_bounds_are_kept() -> None:
    """Pinned degrees are the only ones."""
    bounds = ServeBounds({"tp": Range(2, 4), "pp": Range(1, 1)})
    plans = layouts(BUSY_JOB, bounds)
    assert set(plans.tp) == {2.0, 4.0} and set(plans.pp) == {1.0}
    assert loads()[0] == 1 and loads() == sorted(set(loads()))


@pytest.mark.parametrize(("model", "gpus"), [("llama3.1-405b", "4x8xH200"), ("deepseek-r1", "16x8xH200")])
def test_a_full_search_tries_every_load(model: str, gpus: str) -> None:
    """All layouts, loads, pools and the front."""
    question = ask_serve(model, gpus, input=4000, output=1000, weights="fp8", tpot="50ms")
    assert answer(question).choice.options > 400


def test_cures_work() -> None:
    """Every change that is offered lets something fit."""
    asked = {"input": 1920, "output": 128, "batch": 32, "engine": "vllm-2024"}
    found = answer(ask_serve("llama2-70b", "4xA100-40GB", **asked))  # type: ignore[arg-type]
    assert found.cures
    for cure in found.cures:
        words = cure.split()
        changes = {w.removeprefix("--"): v for w, v in zip(words[::2], words[1::2], strict=True)}
        batch = {"batch": int(changes.pop("batch"))} if "batch" in changes else {}
        assert answer(ask_serve("llama2-70b", "4xA100-40GB", **asked | batch | changes)).choice.ranked  # type: ignore[arg-type]


def test_impossible_questions_are_refused() -> None:
    """Before anything is computed."""
    with pytest.raises(PlannerError, match="exceed"):
        ask_serve("gpt3-175b", "8xA100", input=4000)
    for engine, gpus in (("tensorrt-llm", "8xA100"), ("vllm", "8xV100"), ("vllm", "8xMI250X")):
        with pytest.raises(PlannerError, match="has no fp8"):
            ask_serve("llama3.1-70b", gpus, weights="fp8", engine=engine)
    with pytest.raises(NoLegalPlan, match="64 attention heads"):
        answer(ask_serve("llama3.1-70b", "8xH100", tp="3"))


@pytest.mark.parametrize("rate", [0.5, 2.0, 10.0])
def test_pools_carry_the_rate_that_is_asked(rate: float) -> None:
    """They deliver it, are able to, and one instance fewer of either would not be."""
    job = serve_job("llama3.1-70b", "2x8xH100", weights="fp8", kv="fp8", input=4000, output=500, rate=rate, ttft=2.0)
    found = pools(job, ServeBounds(), ServeBounds())
    assert found is not None and found.requests == rate and found.ttft <= 2.0
    able = float(prefill_rate(job, found.prefill))
    assert BUSY * able * found.prefill.dp >= rate > BUSY * able * (found.prefill.dp - 1)
    most = found.decode.b * found.decode.m
    assert most / (500 * found.tpot) * found.decode.dp >= rate * (1 - 1e-9)
    assert found.running * found.decode.dp == pytest.approx(rate * 500 * found.tpot)


def test_a_higher_rate_never_takes_fewer_gpus() -> None:
    """The smallest pools for more load are as large or larger; beyond the cluster there are none."""
    shape = {"weights": "fp8", "input": 2000, "output": 200}
    jobs = [serve_job("llama3.1-8b", "8xH100", rate=r, **shape) for r in (1.0, 20.0, 60.0)]
    found = [pools(job, ServeBounds(), ServeBounds()) for job in jobs]
    counts = [p.gpus for p in found if p is not None]
    assert len(counts) == 3 and counts == sorted(counts)
    assert pools(serve_job("llama3.1-8b", "8xH100", rate=1e5, **shape), ServeBounds(), ServeBounds()) is None


def test_pools_are_pinned() -> None:
    """Degrees of an instance, and how many there are."""
    job = serve_job("deepseek-v3", "4x8xH200", weights="fp8", input=4000, output=500, rate=2.0)
    first = ServeBounds({"tp": Range(8, 8), "ep": Range(8, 8), "dp": Range(1, 1)})
    found = pools(job, first, ServeBounds({"ep": Range(8, 8), "dp": Range(2, 2)}))
    assert found is not None
    assert (found.prefill.tp, found.prefill.ep, found.prefill.dp) == (8, 8, 1)
    assert (found.decode.ep, found.decode.dp) == (8, 2)
    assert pools(job, first, ServeBounds({"dp": Range(9, 9)})) is None


def test_layouts_that_differ_in_nothing_are_one_row() -> None:
    """Beside tp = 8, experts may lie over 8, 4, 2 ranks or be split: one row stands for those that are alike."""
    job = serve_job("deepseek-v3", "8xH200", weights="fp8", input=1000, output=1000, users=512)
    found = choose(job, ServeBounds(), "throughput")
    assert len(found.ranked) == len(found.alike) and any(found.alike)
    for i, one in enumerate(found.ranked):
        assert not any(alike(one, other) for other in found.ranked[:i])
        assert all(alike(one, other) for other in found.alike[i])
        assert all((o.plan.tp, o.plan.pp, o.plan.dp) == (one.plan.tp, one.plan.pp, one.plan.dp) for o in found.alike[i])


def test_what_bounds_the_running_requests_is_named() -> None:
    """The engine's limit where the cache holds more, the cache where it holds fewer."""
    small = serve_job("llama3.1-8b", "1xH200", input=100, output=100)
    large = serve_job("llama3.1-70b", "4xH100", input=8000, output=1000)
    for job, engine in ((small, True), (large, False)):
        best = choose(job, ServeBounds(), "offline").ranked[0]
        assert capped(job, best) is engine
        assert ("max_num_seqs" in room(job, best)) is engine
        assert ("cache" in room(job, best)) is not engine


def test_users_do_not_multiply_with_replicas() -> None:
    """One user of eight GPUs is one user: eight replicas serve it no more tokens than one does.

    Twelve over eight replicas: four have two, the slowest; requests follow from all twelve (Little 1961).
    """
    one = answer(ask_serve("llama3.1-8b", "8xH100", users=1)).choice.ranked
    assert [float(option.users) for option in one] == [1.0] * len(one)
    assert int(one[0].plan.tp) == 8
    for option in answer(ask_serve("llama3.1-8b", "8xH100", users=12)).choice.ranked:
        stay = float(option.served.ttft + 255.0 * option.served.tpot)
        assert float(option.users) == 12.0
        assert float(option.served.requests) == pytest.approx(12.0 / stay)


def test_four_bits_on_amd() -> None:
    """CDNA 4 multiplies mxfp4 and no nvfp4; gpt-oss keeps its activations in 16 bit.

    Llama 2 70B in MXFP4 on 87 MI355X: 1.04 million tokens/s offline (MLPerf Inference v6.0, as AMD reports it), three
    times what MI325X gave in fp8. Widened to 16 bit it would be 3.8 thousand a GPU.
    """
    asked = {"input": 294, "output": 294, "objective": "offline", "kv": "fp8"}
    best = answer(ask_serve("llama2-70b", "8xMI355X", weights="mxfp4", **asked)).choice.ranked[0]
    assert 0.65 < 294 * float(best.served.requests) / 8 / (1_042_110 / 87) < 1.35
    with pytest.raises(PlannerError, match="no nvfp4 products"):
        ask_serve("llama2-70b", "8xMI355X", weights="nvfp4")
    job = ask_serve("gpt-oss-120b", "8xMI355X").job
    assert job.precision("mxfp4") == "bf16"


@pytest.mark.parametrize(
    ("model", "gpus", "fits"),
    [
        ("kimi-k2.5", "8xH200", True),  # int4 experts (vLLM's recipe)
        ("mistral-large-3", "8xH200", True),  # fp8 (its model card)
        ("mistral-large-3", "8xH100", False),
        ("minimax-m2.5", "4xH20-96GB", True),  # its model card: 220 GB of weights on four of 96 GB
    ],
)
def test_a_checkpoint_is_served_in_its_own_format(model: str, gpus: str, fits: bool) -> None:
    """Where their makers say that they run."""
    assert bool(answer(ask_serve(model, gpus, users=1)).choice.ranked) is fits
