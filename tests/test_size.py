"""Sizes of clusters: the arithmetic, what limits may change and what they may not, and published runs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import log, sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.bands import band, bands
from planner.blocks.counts import model_flops
from planner.questions.ask import ask
from planner.questions.size import SizeAnswer, ask_size, size
from planner.questions.train import Ranked, best
from planner.sizing import answers
from planner.sizing.failures import DAY, Failures
from planner.sizing.ladder import between, rungs, sized
from planner.sizing.limits import Limits, read_budget, read_deadline, read_failures, read_price, read_tokens
from planner.sizing.money import bill
from planner.sizing.point import Point
from tests.jobs import cluster

TOKENS = 1e11
MOST = 64


@cache
def asked() -> SizeAnswer:
    """A 7B on two kinds of GPU, priced: small, so that every limit below is quick."""
    price = ["H100=2.5/h", "A100=1.5/h"]
    return size(ask_size("llama2-7b", "H100,A100", tokens="1e11", price=price, max_gpus=MOST))


def fewest(limits: Limits) -> Point | None:
    """The fewest GPUs of the two kinds."""
    one = asked()
    climbs = [[p for p in one.points if p.kind is kind] for kind in one.question.kinds]
    return answers.fewest(answers.fewest_of_each(climbs, limits, one.question.run, MOST))


@pytest.mark.parametrize("name", ["fewest", "cheapest", "fastest"])
def test_time_is_tokens_times_flops_over_achieved_flops(name: str) -> None:
    """tokens x FLOPs per token / (GPUs x peak x MFU) = time; cost = GPUs x hours x price."""
    p = asked().best[name]
    assert p is not None
    job = p.ranked.job
    achieved = p.gpus * getattr(job.cluster.accelerator.peak, job.workload.precision) * p.ranked.mfu
    seconds = TOKENS * model_flops(job.model, float(job.workload.seq)) / achieved
    assert p.seconds == pytest.approx(seconds)
    assert p.cost == pytest.approx(p.gpus * seconds / 3600 * (p.kind.price or 0))
    assert p.gpu_hours == pytest.approx(p.gpus * seconds / 3600)


days = st.floats(0.5, 200.0)
dollars = st.floats(1e3, 1e6)


@settings(max_examples=40, deadline=None)
@given(first=days, second=days)
def test_a_tighter_deadline_never_takes_fewer_gpus(first: float, second: float) -> None:
    """Refinement between the rungs included."""
    tight, loose = (fewest(Limits(deadline=d * DAY)) for d in sorted((first, second)))
    assert tight is None or (loose is not None and loose.gpus <= tight.gpus)
    if tight is not None:
        assert (tight.seconds or 0) <= min(first, second) * DAY


@settings(max_examples=200, deadline=None)
@given(first=dollars, second=dollars, deadline=days)
def test_a_larger_budget_is_never_slower_nor_a_looser_deadline_dearer(
    first: float, second: float, deadline: float
) -> None:
    """Every answer comes from one set of points."""
    points, (low, high) = asked().points, sorted((first, second))
    quick = [answers.fastest(points, Limits(budget=b)) for b in (low, high)]
    assert quick[0] is None or (quick[1] is not None and (quick[1].seconds or 0) <= (quick[0].seconds or 0))
    cheap = [answers.cheapest(points, Limits(deadline=d * DAY)) for d in (deadline, 2 * deadline)]
    assert cheap[0] is None or (cheap[1] is not None and (cheap[1].cost or 0) <= (cheap[0].cost or 0))


def test_the_front_is_what_nothing_beats() -> None:
    """In time, GPUs and money."""
    one = asked()
    aims = {id(p): (p.seconds or 0.0, p.gpus, p.cost or 0.0) for p in one.points}

    def beaten(p: Point) -> bool:
        mine = aims[id(p)]
        return any(o != mine and all(a <= b for a, b in zip(o, mine, strict=True)) for o in aims.values())

    assert {id(p) for p in one.front} == {id(p) for p in one.points if not beaten(p)}


def test_scaling_stops_to_pay() -> None:
    """Where the gain per doubling falls below 1.6, not before."""
    points = asked().points[:4]
    speeds = (1.0, 2.0, 3.0, 6.0)
    made = [replace(p, ranked=replace(p.ranked, tokens_per_second=s)) for p, s in zip(points, speeds, strict=True)]
    assert [p.gpus for p in made] == [1, 2, 4, 8] or made[0].gpus >= 1
    curve = answers.scaling(made)
    stop = answers.pays_until(curve)
    assert stop is made[1]
    assert answers.pays_until(curve[:2]) is None


def test_the_ladder() -> None:
    """Powers of two inside a node, half octaves of whole nodes beyond; instance types whole; no network, no second."""
    h100 = cluster("8xH100")
    assert rungs(h100, False, 128) == (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128)
    assert rungs(h100, True, 64) == (8, 16, 24, 32, 48, 64)
    assert rungs(cluster("1xp5.4xlarge").model_copy(update={"network": None}), False, 64) == (1,)
    assert between(h100, False, 4, 8) == (5, 6, 7) and between(h100, True, 8, 16) == ()
    assert between(h100, False, 64, 96) == (72, 80, 88)
    many = between(h100, False, 768, 1024)
    assert len(many) <= 7 and all(768 < n < 1024 and n % 8 == 0 for n in many)
    assert (sized(h100, 3).nodes, sized(h100, 3).used, sized(h100, 24).nodes) == (1, 3, 3)


@pytest.mark.parametrize(("pins", "gpus"), [({"dp": "3"}, 3), ({"dp": "5", "tp": "8"}, 40), ({"pp": "3"}, 3)])
def test_pinned_degrees_have_sizes(pins: dict[str, str], gpus: int) -> None:
    """Multiples of what is pinned are tried, on the ladder or not."""
    found = size(ask_size("llama2-7b", "H100", max_gpus=64, **pins)).best["fewest"]
    assert found is not None and found.gpus == gpus


def test_failures_cost_what_young_says() -> None:
    """The best interval loses least; the share against the paper's figures for 16,384 GPUs (arXiv:2410.21680)."""
    hard = Failures(rate=6.5 / 1000 / DAY, checkpoint=60.0, restart=300.0)
    mttf, tau = hard.mttf(2048), hard.interval(2048)
    assert mttf / 3600 == pytest.approx(1.8, abs=0.05)
    assert tau == pytest.approx(sqrt(2 * 60 * mttf))

    def lost(interval: float) -> float:
        return 60 / interval + (300 + interval / 2) / mttf

    assert lost(tau) <= min(lost(0.9 * tau), lost(1.1 * tau))
    assert hard.effective(2048) == pytest.approx(1 / (1 + lost(tau)))
    assert hard.effective(1) > hard.effective(64) > hard.effective(2048)
    assert Failures(4 / 1000 / DAY, 40.0, 300.0).spares(48) == 3
    assert 0.04 < Failures(4 / 1000 / DAY, 60.0, 300.0).spares(132) / 132 < 0.06


def test_a_price_is_for_what_can_be_rented() -> None:
    """The user's price per GPU; a provider's per whole machine that can be joined."""
    types = next(k.types for k in asked().question.kinds)
    assert bill(5, 1, 2.0, ()) is not None and bill(5, 1, None, ()) is None
    one, some, joined = bill(1, 1, None, types), bill(5, 1, None, types), bill(16, 2, None, types)
    assert one and one.node and one.node.name == "p5.4xlarge"
    assert some and some.node and (some.instances, some.node.count) == (1, 8)
    assert joined and joined.node and joined.instances == 2 and joined.node.network is not None


def test_reading_limits() -> None:
    """As people write them."""
    from datetime import date

    today = date(2030, 1, 1)
    assert (read_tokens("2e12"), read_tokens("15.6T"), read_tokens("300B")) == (2e12, 15.6e12, 300e9)
    assert (read_deadline("30d", today), read_deadline("2030-01-31", today)) == (30 * DAY, 30 * DAY)
    assert [read_budget(t) for t in ("3M", "$310k", "250000", "3 M$", "1e6 USD")] == [3e6, 310e3, 250e3, 3e6, 1e6]
    assert read_price("H100=2.5/h") == read_price("H100 = $2.5 / h") == ("H100", 2.5)
    found = read_failures("4/1000node-days", "60s", "5m", None)
    assert found is not None and (found.rate * DAY, found.checkpoint, found.restart) == (0.004, 60.0, 300.0)


def published(model: str, gpus: str, tokens: float, **options: Any) -> tuple[Ranked, float]:
    """The best plan and millions of GPU-hours."""
    question = ask(model, gpus, **options)
    found = best(question.job, question.bounds)
    assert found is not None
    return found, question.job.cluster.gpus * tokens / found.tokens_per_second / 3.6e9


def test_llama_31_405b() -> None:
    """30.84 M H100-hours (model card of Llama 3.1), 15.6 T tokens, up to 16,384 GPUs (arXiv:2407.21783, 3.3, 3.4)."""
    found, hours = published("llama3.1-405b", "2048x8xH100", 15.6e12, seq=8192, global_batch=2048)
    width = band(found.job, found.plan).width
    assert width is not None and abs(log(hours / 30.84)) <= width


def test_gpt3_175b() -> None:
    """34 days for 300 B tokens on 1,024 A100 (Narayanan et al. 2021, arXiv:2104.04473, 5.1.1), with their methods.

    Full recomputation, attention before flash, no sequence parallelism, no ZeRO, tp = 8; they print no layout for this
    figure, which follows from 140 TFLOP/s per GPU. With pp = 16 and 8 it is 9 and 10 % less, both outside the band.
    """
    methods = {"recompute": "full", "attention": "unfused", "sp": "0", "zero": "0", "tp": "8"}
    theirs = 1024 * 34 * 24 / 1e6
    for pp, most in (("16", 0.1), ("8", 0.12)):
        found, hours = published("gpt3-175b", "128x8xA100-80GB", 300e9, seq=2048, global_batch=1536, pp=pp, **methods)
        assert band(found.job, found.plan).width == bands().presets["megatron-core"].many
        assert abs(log(hours / theirs)) <= most


def test_llama_2_70b() -> None:
    """1.72 M A100-hours for 2 T tokens (arXiv:2307.09288, table 2), 4 M tokens per step, up to 2,000 GPUs (2.2.1).

    Meta's own framework is no preset of ours, and its hours are all of the run's: 23 % more than `any` has for steps,
    just outside of what it prints.
    """
    found, hours = published("llama2-70b", "250x8xA100-80GB", 2e12, seq=4096, global_batch=1000, framework="any")
    own = band(found.job, found.plan).width
    assert own is not None and own < abs(log(hours / 1.72)) <= 0.29 and hours < 1.72
