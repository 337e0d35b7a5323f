"""Memory and time of plans: one plan and many, parts and totals, peaks over all ranks, monotony."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planner.blocks.counts import parameters
from planner.blocks.structure import structure
from planner.cost import collectives
from planner.cost.memory import Memory
from planner.plan import INTEGERS, Plan
from planner.schedules import SCHEDULES
from planner.training.estimate import Estimate, estimate, hop_time
from planner.training.job import Job
from planner.training.layer import pieces
from planner.training.memory import held_kinds
from planner.training.moments import peak_memory
from planner.training.rules import legal
from planner.training.space import ANY, Bounds, plans
from planner.training.throughput import throughput
from tests.jobs import framework, job, model

ROWS = 520
"""Plans drawn per job."""

JOBS = {
    "dense, GQA": job("llama3.1-8b", "4x8xA100", "any", seq=4096, batch=96),
    "GPT, dropout, unfused attention": job(
        "gpt3-13b", "2x8xA100", "any", seq=2048, batch=64, precision="fp16", attention="unfused"
    ),
    "MoE, MLA": job("deepseek-v2", "8x8xH100", "any", seq=4096, batch=128),
    "tower": job("qwen3-vl-8b", "4x8xA100", "any", seq=4096, batch=96, images=2, image_size=512, tower="projector"),
    "LoRA, offload": job("llama2-7b", "8xA100", "any", seq=2048, batch=32, method="lora", offload="optimizer"),
}


def draw(of: Job, rows: int) -> list[Plan]:
    """Random legal plans of every schedule and policy, context parallelism included, as shuffled batches."""
    rng = np.random.default_rng(7)
    pools: dict[tuple[str, bool], list[Plan]] = {}
    for batch in plans(of, Bounds(ranges={"cp": ANY, "dp_replicate": ANY})):
        mask = legal(of, batch)[0]
        pools.setdefault(batch.policy, []).append(batch[mask])
    drawn = []
    for (schedule, modules, dispatcher, overlap), batches in pools.items():
        columns = {n: np.concatenate([getattr(b, n) for b in batches]) for n in INTEGERS}
        pick = rng.permutation(len(columns["tp"]))[: -(-rows // len(pools)) * 2]
        whole = {"schedule": schedule, "modules": modules, "dispatcher": dispatcher, "overlap": overlap}
        drawn.append(Plan(**{n: c[pick] for n, c in columns.items()}, **whole))
    return drawn


@pytest.fixture(scope="module", params=JOBS)
def drawn(request: pytest.FixtureRequest) -> tuple[Job, list[tuple[Plan, Estimate]]]:
    """A job with its random plans and their estimates."""
    of = JOBS[request.param]
    return of, [(batch, estimate(of, batch)) for batch in draw(of, ROWS)]


class TestRandomPlans:
    """Whatever is legal."""

    def test_enough_of_everything(self, drawn: tuple[Job, list[tuple[Plan, Estimate]]]) -> None:
        """Hundreds of plans, in which every field varies that the job leaves free."""
        of, batches = drawn
        assert sum(len(plan) for plan, _ in batches) >= 500
        fixed = {"ep", "etp"} if of.model.moe is None else set()
        for name in set(INTEGERS) - fixed:
            assert len(np.unique(np.concatenate([getattr(plan, name) for plan, _ in batches]))) > 1, name
        synchronous = {name for name, schedule in SCHEDULES.items() if schedule.trains and not schedule.asynchronous}
        assert {plan.schedule for plan, _ in batches} == synchronous

    def test_one_plan_and_many_give_the_same_bits(self, drawn: tuple[Job, list[tuple[Plan, Estimate]]]) -> None:
        """Every part of memory and time, and the rank."""
        of, batches = drawn
        for plan, many in batches:
            for row in range(len(plan)):
                one = estimate(of, plan[row].scalar())
                assert one.rank == many.rank[row]
                for alone, together in ((one.memory, many.memory), (one.time, many.time)):
                    for name, value in alone.parts.items():
                        assert value == np.broadcast_to(together.parts[name], len(plan))[row], (name, plan[row])

    def test_parts_sum_to_the_total(self, drawn: tuple[Job, list[tuple[Plan, Estimate]]]) -> None:
        """Nothing is negative, nothing infinite, nothing forgotten."""
        for plan, result in drawn[1]:
            for record in (result.memory, result.time):
                parts = np.array([np.broadcast_to(part, len(plan)) for part in record.parts.values()])
                assert (parts >= 0).all() and np.isfinite(parts).all()
                assert record.total == pytest.approx(parts.sum(axis=0), rel=1e-12)

    def test_no_plan_beats_the_hardware(self, drawn: tuple[Job, list[tuple[Plan, Estimate]]]) -> None:
        """Model FLOPs utilisation stays below the best share of the peak that the profile grants matrix products."""
        of, batches = drawn
        for _, result in batches:
            assert (throughput(of, result.time.total)[1] < of.cluster.accelerator.efficiency.gemm).all()


def fields(of: Job, **plan: Any) -> Memory:
    """Memory of one plan."""
    return estimate(of, Plan(**plan)).memory


@pytest.mark.parametrize(
    ("name", "count", "tolerance"),
    [("llama3.1-8b", 8_030_261_248, 1e-5), ("gpt3-175b", 174.6e9, 1e-3), ("mixtral-8x7b", 46_702_792_704, 1e-4)],
)
def test_eighteen_bytes_per_parameter(name: str, count: float, tolerance: float) -> None:
    """Megatron-LM, ZeRO 0, tp = pp = 1: 2 for weights, 4 for fp32 gradients, 12 for master and both moments."""
    memory = fields(job(name, "8xA100", seq=2048, batch=8))
    each = [part / count for part in (memory.weights, memory.gradients, memory.optimizer)]
    assert each == pytest.approx([2, 4, 12], rel=tolerance)


@pytest.mark.parametrize("name", ["llama3.1-70b", "gpt3-175b", "mixtral-8x22b", "deepseek-v3", "llama4-maverick"])
def test_memory_counts_the_parameters_that_the_architecture_has(name: str) -> None:
    """16-bit weights of one rank that holds all, against the sum by component."""
    assert fields(job(name, "8xH100", seq=2048, batch=8)).weights / 2 == pytest.approx(
        parameters(model(name)).total, rel=1e-3
    )


@pytest.mark.parametrize(
    ("zero", "weights", "gradients", "optimizer"), [(0, 1, 1, 1), (1, 1, 1, 8), (2, 1, 8, 8), (3, 8, 8, 8)]
)
def test_what_zero_shards(zero: int, weights: int, gradients: int, optimizer: int) -> None:
    """Rajbhandari et al. 2020 (arXiv:1910.02054), figure 1, with 8 ranks; ZeRO 3 gathers a layer and the head."""
    of = job("llama3.1-8b", "8xA100", seq=2048, batch=8)
    whole, part = fields(of, dp=8), fields(of, dp=8, zero=zero)
    assert whole.optimizer / part.optimizer == pytest.approx(optimizer)
    assert whole.gradients / part.gradients == pytest.approx(gradients)
    one = 218_112_000  # 4096*(4096*2 + 1024*2) + 3*4096*14336 + 2*4096, in 16 bit; the head with its norm
    gathered = 2 * (one + 128_256 * 4096 + 4096) if zero == 3 else 0
    assert part.weights == pytest.approx(whole.weights / weights + gathered, rel=1e-9)


def test_zero_shards_experts_over_the_ranks_that_share_them() -> None:
    """Eight experts over eight ranks leave one each, which nobody else holds: as many bytes as shards of all eight."""
    of = job("mixtral-8x7b", "8xH100", seq=2048, batch=8)
    split, spread = (fields(of, dp=8, ep=ep, zero=2) for ep in (1, 8))
    assert split.optimizer == pytest.approx(12 * 46_702_792_704 / 8, rel=1e-4)
    assert spread.optimizer == pytest.approx(split.optimizer, rel=1e-12)
    assert spread.gradients == pytest.approx(split.gradients, rel=1e-12)


@pytest.mark.parametrize(("optimizer", "states"), [("adam", 12), ("adam-bf16", 4), ("adam-8bit", 2.03125)])
def test_bytes_of_optimizers(optimizer: str, states: float) -> None:
    """Per parameter; two 8-bit moments carry one fp32 scale per 256 elements each."""
    memory = fields(job("llama3.1-8b", "8xA100", seq=2048, batch=8, optimizer=optimizer))
    assert memory.optimizer / 8_030_261_248 == pytest.approx(states, rel=1e-5)


def test_lora_trains_adapters_only() -> None:
    """Llama 2 7B, rank 16 on every linear layer: 39,976,960 adapters, counted in peft; no gradient of the base."""
    memory = fields(job("llama2-7b", "8xA100", seq=2048, batch=8, method="lora", lora_rank=16))
    assert memory.gradients / 4 == pytest.approx(39_976_960)
    assert memory.optimizer / 12 == pytest.approx(39_976_960)
    assert memory.weights / 2 == pytest.approx(6_738_415_616 + 39_976_960, rel=1e-4)


def test_offloaded_states_leave_the_device() -> None:
    """All twelve bytes; the gradient stays."""
    memory = fields(job("llama2-7b", "8xA100", seq=2048, batch=8, offload="optimizer"))
    assert memory.optimizer == 0 and memory.gradients > 0


def test_more_tensor_parallelism_never_costs_weights() -> None:
    """Weights, gradients and states fall with tp, beyond the key/value heads too."""
    for name in ("llama3.1-70b", "gpt2-xl", "deepseek-v2", "mixtral-8x7b"):
        tp = np.array([1, 2, 4, 8, 16, 32])
        result = peak_memory(job(name, "32x8xH100", seq=4096, batch=256), Plan(tp=tp, sp=(tp > 1) * 1).floats()).memory
        for part in (result.weights, result.gradients, result.optimizer):
            assert (np.diff(part) < 0).all(), name


def test_a_higher_zero_stage_never_costs_states() -> None:
    """Gradients and optimizer, with and without pipeline and experts."""
    zero = np.arange(4)
    for name, ep in (("llama3.1-70b", 1), ("deepseek-v2", 8)):
        for pp in (1, 4):
            plan = Plan(dp=zero * 0 + 16, ep=zero * 0 + ep, pp=zero * 0 + pp, m=zero * 0 + 8, zero=zero)
            result = peak_memory(job(name, "8x8xH100", "any", seq=4096, batch=128), plan.floats()).memory
            assert (np.diff(result.gradients + result.optimizer) <= 0).all()


@pytest.mark.parametrize("modules", [(), ("core_attn",)])
@pytest.mark.parametrize(
    ("pp", "v", "schedule"), [(1, 1, "1f1b"), (4, 1, "1f1b"), (4, 2, "interleaved"), (4, 1, "gpipe")]
)
def test_more_recomputation_saves_memory_and_costs_time(
    modules: tuple[str, ...], pp: int, v: int, schedule: str
) -> None:
    """Stored bytes fall with every layer; the first one needs room to work in: one layer and an input at most."""
    of = JOBS["GPT, dropout, unfused attention"]
    k = np.arange(40 // (pp * v) + 1)
    same = {"pp": pp, "v": v, "tp": 2, "m": 16, "b": 2}
    plan = Plan(**{n: k * 0 + x for n, x in same.items()}, recompute_layers=k, schedule=schedule, modules=modules)
    result = estimate(of, plan)
    assert (np.diff(result.memory.activations) < 0).all()
    assert (np.diff(result.memory.total)[1:] < 0).all()
    room = held_kinds(of, plan[0].floats())[0].kept
    assert result.memory.total[1] <= result.memory.total[0] + room.working - room.whole + room.boundary + 1
    assert (np.diff(result.time.total) > 0).all() and (np.diff(result.time.recompute) > 0).all()


def layers_per_rank(layers: int, p: int, v: int) -> list[int]:
    """As even as can be; what is missing is spared on the last stage first, then from the first one on.

    The last of several chunks gives a second layer behind the first stage, as DeepSeek-V3's does (Et|(tt|)*30L).
    """
    stages = [-(-layers // (p * v))] * (p * v)
    twice = [p * v - 1] if v > 1 and stages[0] > 1 else []
    for stage in [p * v - 1, 0, *twice, *range(1, p * v - 1)][: sum(stages) - layers]:
        stages[stage] -= 1
    return [sum(stages[rank::p]) for rank in range(p)]


def held(schedule: str, p: int, m: int, v: int, rank: int) -> float:
    """Micro-batches in flight, counted in whole ones."""
    return {
        "gpipe": m,
        "1f1b": min(m, p - rank),
        "eager-1f1b": min(m, 2 * (p - 1 - rank) + 1),
        "interleaved": min(m * v, 2 * (p - 1 - rank) + (v - 1) * p + 1) / v,
    }[schedule]


@pytest.mark.parametrize("name", ["llama3.1-405b", "gpt2-xl", "gemma2-27b", "mistral-large-2"])
@pytest.mark.parametrize(("schedule", "v"), [("1f1b", 1), ("gpipe", 1), ("interleaved", 2)])
@pytest.mark.parametrize("k", [0, 1, 99])
def test_peak_is_the_fullest_of_all_ranks(name: str, schedule: str, v: int, k: int) -> None:
    """Rank by rank, layer counts that pp does not divide among them: 126, 48, 46 and 88 layers."""
    of = job(name, "16x8xH100", seq=4096, batch=512)
    kinds, count = held_kinds(of, Plan(tp=2, sp=1).floats()), structure(of.model).blocks
    (*blocks, start, end), tied = kinds[: count + 2], kinds[-1]
    parts = blocks[0]  # windows change no byte of a layer
    for p in (1, 2, 3, 5, 8, 10, 14, 16):
        for m in (p, 4 * p):
            totals = []
            for rank, layers in enumerate(layers_per_rank(of.model.layers, p, v)):
                head = tied if of.model.tied_embeddings and p == 1 else end
                count = layers * parts.dense + (rank == 0) * start.dense + (rank == p - 1) * head.dense
                again = min(k * v, layers)
                stored = (layers - again) * parts.kept.whole + again * parts.kept.boundary
                backward = parts.working + (again > 0) * parts.kept.working + (4 * parts.kept.boundary if p > 1 else 0)
                passing = held(schedule, p, m, v, rank) * stored + max((rank == p - 1) * head.logits, backward)
                totals.append(18 * count + 1.1 * passing + of.framework.reserve)
            plan = Plan(tp=2, sp=1, pp=p, v=v, m=m, recompute_layers=k, schedule=schedule)
            result = estimate(of, plan)
            assert result.memory.total == pytest.approx(max(totals), rel=1e-12), (p, m)
            assert totals[int(result.rank)] == pytest.approx(max(totals), rel=1e-12), (p, m)


def test_zero_three_with_sharded_masters_keeps_no_16_bit_shard() -> None:
    """PyTorch FSDP: 4 + 4 + 8 bytes over all ranks instead of 18, and the gathered layers."""
    of = job("llama3.1-8b", "8xA100", "torchtitan", seq=2048, batch=8)
    kept_shard = replace(of, framework=framework("torchtitan").model_copy(update={"shard_is_master": False}))
    saved = fields(kept_shard, dp=8, zero=3).weights - fields(of, dp=8, zero=3).weights
    assert saved == pytest.approx(2 * 8_030_261_248 / 8, rel=1e-5)


def test_data_parallel_traffic_vanishes_without_ranks() -> None:
    """dp = cp = 1 has nobody to talk to; with 8 it has, and a single pipeline stage has neither bubble nor hops."""
    of = job("llama3.1-8b", "8xA100", seq=2048, batch=8)
    alone, many = (estimate(of, Plan(tp=8 // dp, dp=dp, m=8 // dp)).time for dp in (1, 8))
    assert alone.dp_comm_exposed == 0 < many.dp_comm_exposed
    assert many.tp_comm == 0 < alone.tp_comm
    assert alone.bubble == alone.pp_comm == 0


@pytest.mark.parametrize(("k", "collectives"), [(0, 3), (32, 4), (16, 3.5)])
def test_list_based_collectives_cost_the_host(k: int, collectives: float) -> None:
    """ZeRO-3 as in DeepSpeed 0.3: each of 4 matrices, 32 layers, 8 ranks and 2 micro-batches, once per collective.

    Two gathers and a scatter, and a further gather of every layer that is recomputed.
    """
    of = job("llama3.1-8b", "8xA100", "deepspeed-zero3-2021", seq=2048, batch=16)
    plan = Plan(dp=8, m=2, zero=3, recompute_layers=k)
    free = replace(of, framework=of.framework.model_copy(update={"host_member": 0.0}))
    cost = estimate(of, plan).time.dp_comm_exposed - estimate(free, plan).time.dp_comm_exposed
    assert cost == pytest.approx(2 * collectives * 4 * 32 * 8 * of.framework.host_member, rel=1e-9)


def test_gathers_that_block_hide_nothing() -> None:
    """All of the traffic is exposed, where it otherwise slows computation down by a share at most."""
    of = job("llama3.1-8b", "8xA100", "deepspeed-zero3", seq=2048, batch=16)
    blocking = replace(of, framework=of.framework.model_copy(update={"gathers_block": True}))
    plan = Plan(dp=8, m=2, zero=3)
    hidden, exposed = (estimate(one, plan).time.dp_comm_exposed for one in (of, blocking))
    assert hidden == pytest.approx(of.framework.fsdp_slowdown * exposed, rel=1e-9)


@pytest.mark.parametrize(("p", "m"), [(2, 8), (4, 8), (8, 64)])
def test_bubble_of_an_even_pipeline(p: int, m: int) -> None:
    """(p-1)/(m+p-1) of the time and (p-1)/m of the work, the head's weight on the last rank aside: within a tenth."""
    time = estimate(job("gpt3-175b", "8x8xA100", "any", seq=2048, batch=m), Plan(tp=8, pp=p, m=m)).time
    assert time.bubble_fraction == pytest.approx((p - 1) / (m + p - 1), rel=0.1)
    assert time.bubble_overhead == pytest.approx((p - 1) / m, rel=0.1)


def test_update_by_hand() -> None:
    """34 bytes per parameter: gradient for its norm and again, three states both ways, 16-bit weight; over 8 ranks."""
    of = job("llama3.1-8b", "8xA100", seq=2048, batch=8)
    whole = 8_030_261_248 * 34 / (2039e9 * of.cluster.accelerator.efficiency.memory)
    assert estimate(of, Plan()).time.optimizer == pytest.approx(whole, rel=1e-4)
    assert estimate(of, Plan(dp=8, zero=1)).time.optimizer == pytest.approx(whole / 8, rel=1e-4)


def test_tensor_parallel_traffic_by_hand() -> None:
    """Two all-reduces of 2*b*s*h bytes per layer and pass (Shoeybi et al. 2019, arXiv:1909.08053, section 3)."""
    of = job("llama3.1-8b", "8xA100", seq=2048, batch=8)
    link = of.cluster.scaleup
    assert link is not None
    once = 2 * 7 / 8 * (2 * 2 * 2048 * 4096) / (link.rate * link.efficiency) + link.latency + 14 * link.hop_latency
    piece = pieces(of, Plan(tp=8, b=2).floats())[0]
    expected = pytest.approx(2 * of.framework.tp_exposed * once)
    assert (piece.forward.tp_comm, piece.backward.tp_comm) == (expected, expected)


@pytest.mark.parametrize(("tp", "cp", "share"), [(1, 1, 1), (8, 1, 8), (4, 2, 8), (1, 4, 4)])
def test_hop_by_hand(tp: int, cp: int, share: int) -> None:
    """2*b*s*h bytes over HDR InfiniBand, divided among the ranks that send at once (Narayanan 2021, section 4.1)."""
    of = job("llama3.1-8b", "2x8xA100", seq=4096, batch=8)
    link = of.cluster.network
    assert link is not None
    seconds = hop_time(of, Plan(tp=tp, cp=cp, pp=2, dp=16 // (2 * tp * cp), b=2))
    assert seconds - link.latency / 2 == pytest.approx(2 * 2 * 4096 * 4096 / share / (25e9 * link.efficiency))


def test_the_host_waits_for_no_graph() -> None:
    """A layer takes at least its host's launches, longer where operands are cast, and nothing in a graph."""
    narrow = job("llama3.1-8b", "8xH100", "megatron-core-tuned", seq=128, batch=64, precision="fp8")
    wide, plan = job("llama3.1-8b", "8xH100", "megatron-core-tuned", seq=128, batch=64), Plan(dp=8, m=8, zero=1)
    host = narrow.framework
    for of, times in ((wide, 1.0), (narrow, host.host_narrow)):
        found = estimate(of, plan).time
        assert found.forward > plan.m * of.model.layers * times * host.host_layer
        assert found.backward > plan.m * of.model.layers * times * host.host_layer_backward
        graphed = replace(of, workload=of.workload.model_copy(update={"graphs": "partial"}))
        assert estimate(graphed, plan).time.forward < 0.5 * found.forward


def test_hidden_traffic_slows_computation_down() -> None:
    """By 19 % of its time: gradients and weights of an eighth each over NVLink, beside a long backward pass."""
    of = job("llama3.1-8b", "8xH100", "megatron-core-tuned", seq=8192, batch=64)
    plan, free = Plan(dp=8, m=8, zero=1), of.framework.model_copy(update={"dp_slowdown": 0.0})
    found = estimate(of, plan).time.dp_comm_exposed
    assert estimate(replace(of, framework=free), plan).time.dp_comm_exposed == 0.0
    once = 0.0
    for size in (of.framework.gradient_bytes, 2.0):
        once += collectives.all_gather(collectives.group(of.cluster, 8.0, 1.0), size * parameters(of.model).total)
    assert found == pytest.approx(0.19 * once, rel=1e-9)


def test_adapters_gather_no_frozen_weights() -> None:
    """Weights below 16 bit are no less traffic where adapters alone are gathered."""
    base = {"seq": 4096, "batch": 64, "precision": "fp8", "method": "lora"}
    kept, plain = (job("llama3.1-8b", "8xH100", "megatron-core-tuned", **base, fp8_param_gather=one) for one in (1, 0))
    plan = Plan(dp=8, m=8, zero=1)
    times = [estimate(one, plan).time.dp_comm_exposed for one in (kept, plain)]
    assert times[0] == times[1] > 0.0
