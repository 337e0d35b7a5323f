"""Ways to trade keys and values over context-parallel ranks, against hand computation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.blocks.attention import attended, computed
from planner.blocks.operator import Core, Share
from planner.cost import context
from planner.cost.collectives import all_to_all, group, ring_pass
from planner.cost.operators import core_time
from planner.plan import Plan
from planner.schema.workload import ContextKind
from planner.training.estimate import step_time
from planner.training.trade import trade
from tests.jobs import job


def ranks(cp: float, tokens: float = 131072.0, kv_heads: float = 8.0, gpus: str = "8x8xH100") -> context.Ranks:
    """Llama-3.1-8B's attention over cp ranks: 32 heads of 128, one sequence."""
    cluster = job("llama3.1-8b", gpus, seq=8192, batch=64).cluster
    core = Core(1.0, 32.0, tokens / cp, tokens, tokens, 128, 128, kv_heads, tokens)
    return context.Ranks(cluster, "bf16", "cudnn", Share(1.0, tokens, cp=cp), core)


def test_a_ring_hides_behind_all_steps_but_the_first() -> None:
    """cp = 4 inside a node: 3 blocks of 2 bytes * 32,768 tokens * 256 * 8 heads, behind 3/4 of the core."""
    of = ranks(4.0)
    assert of.keys == 2.0 * 32768 * 256 * 8
    around = ring_pass(of.cluster, group(of.cluster, 4.0, 1.0), of.keys)
    found = context.shared("p2p", of, "forward")
    assert found.exposed == 0.0 and around < 0.75 * found.core
    short = ranks(32.0, tokens=16384.0)
    around = ring_pass(short.cluster, group(short.cluster, 32.0, 1.0), short.keys)
    found = context.shared("p2p", short, "forward")
    assert found.exposed == pytest.approx(around - 31 / 32 * found.core) and found.exposed > 0.0


def test_an_all_to_all_runs_one_kernel_and_shows_its_traffic() -> None:
    """q, k, v out and the output back: 2 bytes * 32,768 tokens * (128*32 + 256*8) and 128*32 columns."""
    of = ranks(4.0)
    found, members = context.shared("a2a", of, "forward"), group(of.cluster, 4.0, 1.0)
    tokens = 2.0 * 32768
    sent = all_to_all(of.cluster, members, tokens * (128 * 32 + 256 * 8)) + all_to_all(
        of.cluster, members, tokens * 128 * 32
    )
    assert found.exposed == pytest.approx(sent)
    assert found.core == core_time(of.cluster.accelerator, "bf16", of.core, "forward", "cudnn")


@pytest.mark.parametrize(("kv_heads", "cp", "runs"), [(8.0, 8.0, True), (8.0, 16.0, False), (2.0, 4.0, False)])
def test_heads_bound_an_all_to_all(kv_heads: float, cp: float, runs: bool) -> None:
    """Each of its members takes whole key/value heads."""
    assert bool(context.runs("a2a", ranks(cp, kv_heads=kv_heads))) == runs


def test_both_kinds_split_at_the_domain() -> None:
    """cp = 32 over nodes of 8, 8 key/value heads: 8 inside, a ring of 4; 4 heads: 4 and 8; 3: a ring alone."""
    assert [float(context.inner(ranks(32.0, kv_heads=heads))) for heads in (8.0, 4.0, 3.0)] == [8.0, 4.0, 1.0]


@pytest.mark.parametrize("kind", list(context.KINDS))
def test_one_rank_trades_nothing(kind: ContextKind) -> None:
    """cp = 1 is the plain kernel, to the bit."""
    of = ranks(1.0)
    for direction in ("forward", "backward"):
        found = context.shared(kind, of, direction)  # type: ignore[arg-type]
        assert found.exposed == 0.0
        assert found.core == core_time(of.cluster.accelerator, "bf16", of.core, direction, "cudnn")  # type: ignore[arg-type]


def test_the_fastest_kind_counts() -> None:
    """No kind that is asked for by name is faster than what the framework is left to choose."""
    of = job("llama3.1-8b", "8x8xH100", seq=32768, batch=8)
    for plan in (Plan(cp=8, dp=8, m=1), Plan(cp=64, dp=1, m=8), Plan(tp=2, cp=4, dp=8, m=1, sp=1)):
        free = step_time(of, plan.floats()).total
        for kind in context.KINDS:
            named = replace(of, workload=of.workload.model_copy(update={"context": kind}))
            if kind != "allgather" and (kind != "a2a" or plan.cp * plan.tp <= of.model.kv_heads):
                assert free <= step_time(named, plan.floats()).total
        chosen = trade(of, plan)
        assert chosen is not None and chosen.kind in of.contexts


def test_windows_cost_whole_tiles() -> None:
    """GPT-OSS, w = 128 at s = 4096: tiles of 128 queries see 256 keys, 2*256 - 16 = 496 for 252 that count."""
    assert attended(128, 4096.0) == 252.0
    assert computed(128, 4096.0) == 496.0
    assert computed(None, 4096.0) == 4096.0
    assert computed(4096, np.float64(2048.0)) == 2048.0
