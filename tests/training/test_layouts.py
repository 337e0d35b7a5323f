"""Layouts that are solved: no split of the blocks has a faster slowest rank."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plan import Plan
from planner.training.estimate import step_time
from planner.training.layouts import Pipeline, partition, solved
from tests.jobs import job

seconds = st.integers(1, 9).map(float)


@given(st.lists(seconds, min_size=3, max_size=9), seconds, seconds, st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_one_stage_a_rank_is_split_as_well_as_any_way_of_cutting(
    items: list[float], first: float, last: float, p: int
) -> None:
    """Against every way of cutting the row of blocks into p parts, empty ones among them."""
    ends = (first, *[0.0] * (p - 2), last)
    pipeline = Pipeline(tuple(items), ends, tuple(range(p)), 1)
    even = [len(items) // p] * (p - 1)
    found = partition(pipeline, [*even, len(items) - sum(even)])
    cuts = combinations(range(len(items) + p - 1), p - 1)
    every = [[b - a - 1 for a, b in zip((-1, *cut), (*cut, len(items) + p - 1), strict=True)] for cut in cuts]
    assert sum(found) == len(items) and pipeline.slowest(found) == min(map(pipeline.slowest, every))


@given(st.lists(seconds, min_size=8, max_size=20), seconds, seconds, st.integers(2, 4), st.integers(2, 3))
@settings(max_examples=60, deadline=None)
def test_several_stages_a_rank_never_get_slower(items: list[float], first: float, last: float, p: int, v: int) -> None:
    """Whatever the split was before, all blocks stay and the slowest rank is no slower."""
    ends = (first, *[0.0] * (p * v - 2), last)
    pipeline = Pipeline(tuple(items), ends, tuple(range(p)) * v, v)
    before = [len(items), *[0] * (p * v - 1)]
    found = partition(pipeline, before)
    assert sum(found) == len(items) and pipeline.slowest(found) <= pipeline.slowest(before)


def test_deepseek_spares_its_ends() -> None:
    """Its three dense layers are light: the first chunk takes one of experts more, the last ones take fewer."""
    of = job("deepseek-v3", "128x8xH100", "megatron-core", seq=4096, batch=1024, precision="bf16")
    plan = Plan(tp=1, pp=4, dp=256, ep=64, b=1, m=4, v=8, zero=1, schedule="interleaved", recompute_layers=2)
    found = solved(of, plan)
    assert found.layout is not None and found.layout[0] in ("Ettt", "Etttt") and found.layout[-1] == "tL"
    assert step_time(of, found.floats()).total < step_time(of, plan.floats()).total


def test_what_is_even_already_stays() -> None:
    """80 layers and a head worth less than one are 20 on each of 4 ranks: any other split has a rank of 21."""
    of = job("llama3.1-70b", "8x8xA100", "megatron-core", seq=8192, batch=64, precision="bf16")
    plan = Plan(tp=8, pp=4, dp=2, b=1, m=32, sp=1, zero=1, recompute_layers=10)
    assert solved(of, plan) is plan
