"""The search finds what brute force finds, and enumerates what the rules allow: no more, no less."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from planner.plan import INTEGERS, Plan
from planner.questions.train import problem as recommend_problem
from planner.schedules import SCHEDULES, offered
from planner.search import Candidate, Problem, layout, search
from planner.stages import short_chunks
from planner.training.job import Job
from planner.training.policies import policies
from planner.training.rules import RULES, first_broken, legal
from planner.training.space import ANY, BLOCK, Bounds, Range, plans
from tests.jobs import cluster, framework, job, small_model

SMALL = job(small_model(), "8xA100", "any", seq=256, batch=16)
NOT_HYBRID = job(small_model(), "8xA100", "nanotron", seq=256, batch=16)
SMALL_UNFUSED = job(small_model(), "8xA100", "any", seq=256, batch=16, attention="unfused")
EXPERTS = {"experts": 4, "top_k": 2, "ffn": 256}
ODD_MOE = job(small_model(moe=EXPERTS | {"ffn": 250}), "8xA100", "any", seq=256, batch=16)
SMALL_MOE = job(small_model(moe=EXPERTS), "8xA100", "any", seq=256, batch=16)


def noise(plan: Plan, salt: int) -> Any:
    """A number in 0..1 for every plan, different for each, the same every time."""
    mixed = np.full(np.shape(plan.tp), float(salt))
    for i, name in enumerate(INTEGERS):
        mixed = np.sin(mixed * 12.9898 + np.asarray(getattr(plan, name)) * (78.233 + i)) * 43758.5453 % 1.0
    return mixed + (plan.schedule == "interleaved") * 1e-3


def toy(of: Job, capacity: float) -> Problem:
    """Costs and needs without rhyme or reason; a layout's degrees decide a part of its need."""
    return Problem(
        legal=lambda plan: legal(of, plan),
        need=lambda plan: noise(plan, 1) + plan.tp / 8.0,
        capacity=capacity,
        cost=lambda plan: noise(plan, 2),
    )


def rows(batches: Iterator[Plan]) -> list[Plan]:
    """Plans one by one, as Python numbers."""
    return [batch[i].scalar() for batch in batches for i in range(len(batch))]


@cache
def candidates(of: Job) -> tuple[Candidate, ...]:
    """Every legal plan by brute force, with its toy cost and need, which no capacity changes."""
    problem = toy(of, 0.0)
    everything = [plan for plan in rows(plans(of, Bounds())) if first_broken(of, plan) is None]
    return tuple(Candidate(p, float(problem.cost(p)), float(problem.need(p))) for p in everything)


def scored(of: Job, problem: Problem) -> tuple[list[Candidate], list[Candidate]]:
    """All that fit and all that miss, cheapest (leanest) first."""
    all_ = candidates(of)
    fit = sorted((c for c in all_ if c.need <= problem.capacity), key=lambda c: c.order)
    miss = sorted((c for c in all_ if c.need > problem.capacity), key=lambda c: c.need)
    return fit, miss


@pytest.mark.parametrize("capacity", [0.13, 0.3, 0.9, 3.0])
class TestSearch:
    """A problem whose every plan can be scored one by one."""

    def test_finds_the_best_of_every_layout(self, capacity: float) -> None:
        """The first is the best of all; each layout is represented by its own best, in order."""
        problem = toy(SMALL_MOE, capacity)
        fit, _ = scored(SMALL_MOE, problem)
        best: dict[Any, Candidate] = {}
        for candidate in fit:
            best.setdefault(layout(candidate.plan), candidate)
        outcome = search(plans(SMALL_MOE, Bounds()), problem, 6)
        assert outcome.best == list(best.values())[:6] if len(best) >= 6 else outcome.best[:1] == fit[:1]
        assert {layout(c.plan) for c in outcome.best} == {layout(c.plan) for c in list(best.values())[:6]}

    def test_counts(self, capacity: float) -> None:
        """Every plan is legal or broke a rule; as many fit as brute force says."""
        problem = toy(SMALL_MOE, capacity)
        fit, miss = scored(SMALL_MOE, problem)
        told: list[int] = []
        outcome = search(plans(SMALL_MOE, Bounds()), problem, 3, tick=told.append)
        assert outcome.plans == len(rows(plans(SMALL_MOE, Bounds()))) == told[-1]
        assert outcome.plans == outcome.legal + sum(outcome.broken.values())
        assert (outcome.legal, outcome.feasible) == (len(fit) + len(miss), len(fit))

    def test_near_misses(self, capacity: float) -> None:
        """The leanest plan of each layout none of whose plans fits, leanest first."""
        problem = toy(SMALL_MOE, capacity)
        fit, miss = scored(SMALL_MOE, problem)
        fitting = {layout(c.plan) for c in fit}
        leanest: dict[Any, float] = {}
        for candidate in miss:
            if (where := layout(candidate.plan)) not in fitting:
                leanest.setdefault(where, candidate.need)
        near = search(plans(SMALL_MOE, Bounds()), problem, 100).near
        found: dict[Any, float] = {}
        for candidate in near:
            found.setdefault(layout(candidate.plan), candidate.need)
        assert found == leanest
        assert [c.need for c in near] == sorted(c.need for c in near)

    def test_misses_that_nobody_asks_for(self, capacity: float) -> None:
        """The same ranking without a list of them; how lean the leanest is, is known all the same."""
        problem = toy(SMALL_MOE, capacity)
        _, miss = scored(SMALL_MOE, problem)
        listed, bare = (search(plans(SMALL_MOE, Bounds()), problem, 6, misses=asked) for asked in (True, False))
        assert (bare.best, bare.near, bare.least) == (listed.best, [], min((c.need for c in miss), default=math.inf))
        none = search(plans(SMALL_MOE, Bounds()), problem, 0)
        assert (none.best, none.near, none.feasible, none.least) == ([], [], listed.feasible, listed.least)

    def test_order_of_batches_does_not_matter(self, capacity: float) -> None:
        """The same ranking, whichever batch comes first."""
        problem = toy(SMALL, capacity)
        batches = list(plans(SMALL, Bounds()))
        forth, back = (search(order, problem, 10) for order in (batches, batches[::-1]))
        assert (forth.best, forth.near) == (back.best, back.near)


def test_variants_fill_a_short_list() -> None:
    """With fewer layouts than places, further micro-batches and chunks of the same layout are shown, best first."""
    bounds = Bounds(ranges={"tp": Range(2, 2), "pp": Range(2, 2)})
    best = search(plans(SMALL, bounds), toy(SMALL, 9.0), 5).best
    assert len(best) == 5 and len({layout(c.plan) for c in best}) == 1
    assert len({(c.plan.b, c.plan.sp, c.plan.v, c.plan.schedule) for c in best}) == 5
    assert [c.cost for c in best] == sorted(c.cost for c in best)


def test_first_fit_stops_early() -> None:
    """One batch is enough to know that something fits."""
    seen: list[int] = []
    outcome = search(plans(SMALL, Bounds()), toy(SMALL, 9.0), 1, first_fit=True, tick=seen.append)
    assert outcome.feasible and len(seen) == 1
    assert outcome.plans < sum(len(batch) for batch in plans(SMALL, Bounds()))


def batches_of(monkeypatch: pytest.MonkeyPatch, of: Job, least: int) -> list[Plan]:
    """All plans of a job; batches of `least` plans and more are grids."""
    monkeypatch.setattr("planner.training.space.LEAST", least)
    return list(plans(of, Bounds(ranges={"cp": ANY})))


@pytest.mark.parametrize("of", [SMALL, SMALL_UNFUSED, SMALL_MOE], ids=["dense", "unfused", "moe"])
class TestGrids:
    """Large batches are grids, whose columns broadcast."""

    def test_same_bits_as_rows(self, monkeypatch: pytest.MonkeyPatch, of: Job) -> None:
        """Rules, bytes and seconds of a grid are those of its plans in rows."""
        asked = recommend_problem(of)
        for grid in batches_of(monkeypatch, of, 1):
            flat = grid[:]
            assert len(grid.shape) == 2 and flat.shape == (len(grid),)
            (mask, broken), (flat_mask, flat_broken) = asked.legal(grid), asked.legal(flat)
            assert broken == flat_broken and np.array_equal(mask.ravel(), flat_mask)
            for score in (asked.need, asked.cost):
                assert np.array_equal(np.broadcast_to(score(grid), grid.shape).ravel(), score(flat))

    def test_same_plans_and_ranking(self, monkeypatch: pytest.MonkeyPatch, of: Job) -> None:
        """Whatever is a grid: the same plans, each once, and the same answer."""
        grids, flat = batches_of(monkeypatch, of, 1), batches_of(monkeypatch, of, 10**9)
        assert sorted(map(repr, rows(iter(grids)))) == sorted(map(repr, rows(iter(flat))))
        for capacity in (0.3, 0.9):
            one, other = (search(batches, toy(of, capacity), 8) for batches in (grids, flat))
            assert (one.best, one.near, one.broken) == (other.best, other.near, other.broken)
            assert (one.plans, one.legal, one.feasible) == (other.plans, other.legal, other.feasible)

    def test_masks(self, monkeypatch: pytest.MonkeyPatch, of: Job) -> None:
        """Plans under a mask are those of the rows under it; the grid around them has them all, in order."""
        grid = batches_of(monkeypatch, of, 1)[-1]
        mask = noise(grid, 3) < 0.2
        part, at = grid.around(mask)
        assert len(part.shape) == 2
        wanted = rows(iter([grid[:][mask.ravel()]]))
        assert rows(iter([grid[mask]])) == rows(iter([part[mask[at]]])) == wanted


def nested_loops(of: Job, cps: tuple[int, ...]) -> Iterator[Plan]:
    """Everything that the rules allow, by trying everything; a schedule's order is moot on one rank.

    Stages without a layer, and more chunks that are a layer short than `short_chunks` admits, are legal where somebody
    states them, and not searched.
    """
    gpus, layers = of.cluster.gpus, of.model.layers
    powers = (1, 2, 4, 8)
    experts = powers if of.model.moe else (1,)
    for tp, cp, pp, dp, ep, etp in product(powers, cps, powers, powers, experts, experts):
        if tp * cp * pp * dp != gpus or etp not in (1, tp):
            continue
        inner = product(
            range(1, layers + 1), (1, 2, 4, 8, 16), (1, 2, 4, 8, 16), (0, 1), range(4), range(layers + 1), range(3)
        )
        v, b, m, sp, zero, k, head = np.array(
            [row for row in inner if row[1] * row[2] * dp == of.workload.global_batch]
        ).T
        degrees = {"tp": tp, "cp": cp, "ep": ep, "etp": etp, "pp": pp, "dp": dp, "dp_replicate": 1}
        fixed = {name: np.full(len(v), x) for name, x in degrees.items()}
        for schedule, policy in product(offered(of.framework.schedules), policies(of, Bounds())):
            if pp > 1 or schedule == of.framework.schedules[0]:
                plan = Plan(**fixed, v=v, b=b, m=m, sp=sp, zero=zero, recompute_layers=k, head=head)
                plan = Plan(**{n: getattr(plan, n) for n in INTEGERS}, schedule=schedule, **policy)
                slots = pp * np.asarray(SCHEDULES[schedule].cuts(v))
                searched = (slots <= layers) & ((slots == pp) | (-layers % slots <= short_chunks(pp)))
                yield plan[np.flatnonzero(legal(of, plan)[0] & searched)]


@pytest.mark.parametrize(
    ("of", "cps"),
    [(SMALL, (1,)), (SMALL, (1, 2, 4, 8)), (SMALL_UNFUSED, (1,)), (SMALL_MOE, (1,)), (SMALL_MOE, (1, 2, 4, 8))],
    ids=["dense", "dense-cp", "unfused", "moe", "moe-cp"],
)
def test_enumeration_is_what_the_rules_allow(of: Job, cps: tuple[int, ...]) -> None:
    """No plan is missing, none twice, on 8 layers, 8 GPUs, 16 sequences."""
    bounds = Bounds(ranges={"cp": ANY} if len(cps) > 1 else {})
    kept = [batch[np.flatnonzero(legal(of, batch)[0])] for batch in plans(of, bounds)]
    found = [key for batch in kept for key in keys(batch)]
    assert len(found) == len(set(found)) > 1000
    assert set(found) == {key for batch in nested_loops(of, cps) for key in keys(batch)}


def keys(plan: Plan) -> list[tuple[Any, ...]]:
    """Hashable rows."""
    columns = zip(*(getattr(plan, n).tolist() for n in INTEGERS), strict=True)
    return [(*row, *plan.policy) for row in columns]


@pytest.mark.parametrize(
    ("layers", "pp", "v", "among"),
    # DeepSeek-V3 in 8 stages, Llama 3.1 405B in 128: NVIDIA-NeMo/Megatron-Bridge
    [(13, 2, 4, {4, 5}), (14, 8, 2, {2})],
)
def test_stated_chunks_are_searched_however_they_divide(layers: int, pp: int, v: int, among: set[int]) -> None:
    """Three chunks a layer short, or embedding and loss by themselves: where asked for, and only there."""
    of = job(small_model(layers=layers), "8xA100", "megatron-core", seq=256, batch=16)
    stage = {"pp": Range(pp, pp)}
    for asked, found in ((Range(v, v), {v}), (Range(v, v + 1), among)):
        assert set().union(*(set(batch[:].v) for batch in plans(of, Bounds(stage | {"v": asked})))) == found
    assert all(v not in batch[:].v for batch in plans(of, Bounds(stage)))
    plan = Plan(pp=pp, v=v, dp=8 // pp, m=2 * pp, schedule="interleaved")
    assert first_broken(of, plan) is None


@pytest.mark.parametrize(
    ("of", "thrown_away"),
    [
        (job("llama3.1-70b", "8x8xA100", seq=4096, batch=96), set()),
        # tp = 3 and 6 divide 96 heads, but not 2,048 tokens; Megatron recomputes some layers or the attention core
        (
            job("gpt3-175b", "12x8xA100", seq=2048, batch=96, attention="unfused"),
            {"sequence_length", "megatron_recompute"},
        ),
        # FSDP needs ranks to shard over; torchtitan's own rules
        (
            job("llama3.1-405b", "16x8xH100", "torchtitan", seq=8192, batch=256),
            {
                "framework_zero",
                "zero_ranks",
                "torchtitan_mixed_precision",
                "torchtitan_sequence_parallel",
                "torchtitan_batches",
                "torchtitan_recompute",
            },
        ),
        # what hides expert traffic depends on ep, v and recomputed layers together
        (job("deepseek-v3", "16x8xH100", seq=4096, batch=256), {"experts_need_sp", "expert_overlap"}),
    ],
    ids=lambda x: x.model.name if isinstance(x, Job) else "",
)
def test_enumerated_plans_are_legal(of: Job, thrown_away: set[str]) -> None:
    """But for the rules named, nothing is enumerated only to be thrown away; batches stay in a core's cache."""
    broken: set[str] = set()
    for batch in plans(of, Bounds()):
        broken |= legal(of, batch)[1].keys()
        assert len(batch) <= BLOCK
    assert broken == thrown_away


BATCH_16 = {"dp": 8, "m": 2}
ODD = job(small_model(heads=6, kv_heads=6), "8xA100", "any", seq=256, batch=16)
WIDE_KV = job(small_model(heads=12, kv_heads=3), "8xA100", "any", seq=256, batch=16)
ODD_HIDDEN = job(small_model(hidden=500), "8xA100", "any", seq=256, batch=16)
ODD_FFN = job(small_model(ffn=1022), "8xA100", "any", seq=256, batch=16)
SHORT = job(small_model(), "8xA100", "any", seq=250, batch=16)
EVEN_ONLY = job(
    small_model(layers=10), "8xA100", framework("any").model_copy(update={"uneven_layers": False}), seq=256, batch=16
)
MEGATRON = job(small_model(), "8xA100", seq=256, batch=16)
DEEPSPEED = job(small_model(), "8xA100", "megatron-deepspeed", seq=256, batch=16)
TITAN = job(small_model(), "8xA100", "torchtitan", seq=256, batch=16)
NANOTRON = job(small_model(), "8xA100", "nanotron", seq=256, batch=16)
TINY_HOST = cluster("8xA100").model_copy(
    update={"node": cluster("8xA100").node.model_copy(update={"host_memory": 2.0**20})}
)
OFFLOAD = job(small_model(), TINY_HOST, "any", seq=256, batch=16, offload="optimizer")

TITAN_A2A = job(small_model(), "8xA100", "torchtitan", seq=256, batch=16, context="a2a")
IN_BACKWARD = job(small_model(), "8xA100", "any", seq=256, batch=16, optimizer="sgd-in-backward")
ALL_TO_ALL = job(small_model(), "8xA100", "any", seq=256, batch=16, context="a2a")
MEGATRON_MOE = job(small_model(moe=EXPERTS), "8xA100", "megatron-core", seq=256, batch=16)
AWAY = job(small_model(), "8xA100", "any", seq=256, batch=16, offload="activations", offload_modules=("core_attn",))
OFFLOAD_ALL = job(small_model(), "8xA100", "any", seq=256, batch=16, offload="parameters")

BREAKS: dict[str, tuple[Job, Plan, str]] = {
    "heads": (ODD, Plan(tp=4, dp=2, m=8), "tp=4 .* 6 attention heads"),
    "kv_heads": (WIDE_KV, Plan(tp=2, dp=4, m=4), "tp=2 .* 3 key/value heads"),
    "hidden": (ODD_HIDDEN, Plan(tp=8, m=16), "tp=8 .* 500"),
    "ffn": (ODD_FFN, Plan(tp=8, m=16), "tp=8 .* 1022"),
    "gpus": (SMALL, Plan(tp=2, dp=2, m=8), "dp=2 .* 8 GPUs"),
    "sequence_parallel": (SMALL, Plan(sp=1, **BATCH_16), "tp > 1"),
    "sequence_length": (SHORT, Plan(tp=4, dp=2, m=8, sp=1), r"1\*4 .* 250"),
    "context_parallel": (SHORT, Plan(cp=2, dp=4, m=4), r"2\*2 .* 250"),
    "batch": (SMALL, Plan(dp=8, m=3), "16, not b=1 x m=3 x dp=8"),
    "layers": (SMALL, Plan(pp=8, v=2, m=16, schedule="interleaved"), r"8\*2 .* 8 layers"),
    "uneven_layers": (EVEN_ONLY, Plan(pp=4, dp=2, m=8), r"4\*1 .* 10 layers"),
    "head_layers": (SMALL, Plan(pp=2, dp=4, m=4, head=2), "head=2: .* 1 layers at most"),
    "counted_head": (NANOTRON, Plan(pp=2, dp=4, m=4), "head has to be 1, not 0"),
    "framework_schedule": (MEGATRON, Plan(pp=2, dp=4, m=4, schedule="gpipe"), "no schedule gpipe; .* 1f1b"),
    "schedule": (SMALL, Plan(pp=4, v=2, dp=2, b=4, m=2, schedule="interleaved"), "m=2 .* multiple of .* p=4"),
    "framework_zero": (TITAN, Plan(zero=1, **BATCH_16), "no ZeRO stage 1; it has 3"),
    "zero_ranks": (SMALL, Plan(tp=8, m=16, zero=1), "ZeRO 1"),
    "zero_pipeline": (DEEPSPEED, Plan(pp=2, dp=4, m=4, zero=2), "ZeRO 1 at most, not 2"),
    "update_in_backward": (IN_BACKWARD, Plan(**BATCH_16), "m=1, not m=2"),
    "recompute_layers": (SMALL, Plan(pp=2, dp=4, m=4, recompute_layers=5), "k=5"),
    "selective": (SMALL, Plan(modules=("core_attn",), **BATCH_16), "flash"),
    "context_kind": (TITAN_A2A, Plan(cp=2, dp=4, m=4, zero=3), "torchtitan .* by a2a over cp=2"),
    "context_heads": (ALL_TO_ALL, Plan(cp=8, m=16), "cp=8 .* key/value heads over tp=1"),
    "recompute_together": (SMALL, Plan(modules=("mlp",), recompute_layers=1, **BATCH_16), "k=1"),
    "recompute_modules": (SMALL_MOE, Plan(modules=("mla_up_proj",), **BATCH_16), "not mla_up_proj"),
    "dispatcher": (SMALL_MOE, Plan(dispatcher="hybridep", ep=2, **BATCH_16), "no dispatcher hybridep"),
    "dispatcher_links": (MEGATRON_MOE, Plan(dispatcher="deepep", ep=2, **BATCH_16), "deepep needs .* Hopper"),
    "framework_overlap": (SMALL_MOE, Plan(overlap=True, ep=2, **BATCH_16), "does not overlap"),
    "expert_overlap": (MEGATRON_MOE, Plan(overlap=True, **BATCH_16), "ep=1, pp=1"),
    "offload_parameters": (OFFLOAD_ALL, Plan(zero=1, **BATCH_16), "not zero=1"),
    "offload_modules": (AWAY, Plan(**BATCH_16), "any does not move"),
    "host_memory": (OFFLOAD, Plan(**BATCH_16), "host memory .* dgx-a100-80gb has 1.* MiB"),
    "dense": (SMALL, Plan(ep=2, **BATCH_16), "no experts: ep and etp must be 1, not 2 and 1"),
    "experts": (SMALL_MOE, Plan(ep=8, **BATCH_16), "ep=8 .* 4 experts"),
    "expert_ranks": (SMALL_MOE, Plan(ep=4, etp=4, tp=4, dp=2, m=8, sp=1), r"4\*4 .* 2\*1\*4/1"),
    "expert_split": (ODD_MOE, Plan(etp=4, dp=8, m=2), "etp=4 .* 250"),
    "replicas": (SMALL, Plan(dp=8, dp_replicate=2, m=2), "dp_replicate=2 .* dp=8"),
    "framework_replicas": (NOT_HYBRID, Plan(dp=8, dp_replicate=2, m=2, zero=1), "not 2"),
}
"""A plan that breaks the rule first, and what the sentence must name."""


def test_every_rule_has_an_example() -> None:
    """A new rule comes with a plan that breaks it."""
    assert BREAKS.keys() == {rule.name for rule in RULES}


@pytest.mark.parametrize("name", BREAKS)
def test_first_rule_broken(name: str) -> None:
    """The answer to "why not?" names the rule, and its sentence the numbers."""
    of, plan, says = BREAKS[name]
    rule = first_broken(of, plan)
    assert rule is not None and rule.name == name
    message = rule.message(of, plan)
    assert "{" not in message
    assert re.search(says, message), message
    assert legal(of, plan) == (False, {name: 1})


def test_a_legal_plan_breaks_nothing() -> None:
    """And the mask says so."""
    plan = Plan(tp=2, sp=1, pp=2, dp=2, m=8)
    assert first_broken(SMALL, plan) is None
    assert legal(SMALL, plan) == (True, {})
