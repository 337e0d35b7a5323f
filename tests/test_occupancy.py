"""Memory over a replayed step against the closed form of its peak."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from planner.plan import Plan
from planner.questions.occupancy import Occupancy, occupancy
from planner.report.panels import Clock, Panel
from planner.report.timeline import drawing
from planner.report.timeline_svg import svg
from planner.report.trace import trace
from planner.schedules import SCHEDULES
from planner.simulate import replay_plan
from planner.training.job import Job
from planner.training.moments import peak_memory
from tests.jobs import job

TRAINED = [name for name, schedule in SCHEDULES.items() if schedule.trains]


def drawn(seed: int) -> tuple[Job, Plan]:
    """A random job and plan of one of the schedules, each in its turn."""
    dice = random.Random(seed)
    schedule = SCHEDULES[TRAINED[seed % len(TRAINED)]]
    v = schedule.chunks or dice.choice((2, 3))
    counts = [(p, n * k) for p in (1, 2, 3, 4, 5, 8) for n in (1, 2, 3, 4, 8) for k in (1, p)]
    p, m = dice.choice([(p, m) for p, m in counts if schedule.broken(p, m, v) is None])
    of = dice.choice(("llama3.1-8b", "llama2-13b", "mixtral-8x7b"))
    preset = dice.choice(("any", "torchtitan", "megatron-core", "deepspeed-zero3"))
    seq, offload = dice.choice((1024, 4096)), dice.choice(("none", "none", "none", "activations"))
    asked = job(of, "8x8xH100", preset, seq=seq, batch=64 * m, offload=offload)
    plan = Plan(tp=dice.choice((1, 2)), pp=p, v=v, dp=4, m=m, b=dice.choice((1, 2)), schedule=schedule.name)
    policy = dice.choice((0, 1, 2, 3)), dice.choice((0, 1, 99)), dice.choice(((), (), ("core_attn",), ("mlp",)))
    overlap = asked.model.moe is not None and dice.choice((True, False))
    return asked, replace(plan, zero=policy[0], recompute_layers=policy[1], modules=policy[2], overlap=overlap)


@pytest.mark.parametrize("seed", range(24 * len(TRAINED)))
def test_the_most_over_a_step_is_the_peak(seed: int) -> None:
    """Of random plans of every schedule on every rank, and the fullest rank's is the ranking's."""
    of, plan = drawn(seed)
    ranks = occupancy(of, plan, replay_plan(of, plan))
    for rank in ranks:
        assert rank.peak == pytest.approx(rank.closed, rel=1e-9)
        times = [time for time, _ in rank.levels]
        assert times == sorted(times)
    assert max(rank.closed for rank in ranks) == pytest.approx(float(peak_memory(of, plan.floats()).memory.total))


@pytest.fixture(scope="module")
def panel() -> Panel:
    """1F1B on four ranks."""
    of, plan = job("llama3.1-8b", "8xA100", seq=4096, batch=16), Plan(pp=4, dp=2, m=8)
    ran = replay_plan(of, plan)
    return Panel("plan", "as asked", ran, occupancy(of, plan, ran), 80 * 2.0**30)


def test_on_the_terminal(panel: Panel) -> None:
    """One row per rank, of as many eighths as its share of the limit; every peak beside them."""
    lines = drawing([panel], Clock(False), 100)
    rows = [line for line in lines if line.startswith("rank 0")]
    assert len(rows) == 2 and max(map(len, rows[1:])) <= 100
    eighths = -(-8 * panel.memory[0].peak // panel.limit)
    assert max("▁▂▃▄▅▆▇█".find(cell) + 1 for cell in rows[1]) == eighths
    assert any("peak GiB per rank" in line for line in lines)


def test_in_files(panel: Panel) -> None:
    """The strip says bytes; a counter of the trace has every level."""
    assert f"rank 0 takes at most {panel.amount(panel.memory[0].peak)}" in svg([panel], Clock(False))
    events = json.loads(trace([panel], Clock(False)))["traceEvents"]
    counted = [event["args"]["bytes"] for event in events if event["name"] == "memory"]
    assert max(counted) == max(rank.peak for rank in panel.memory)


def test_occupancy_is_a_step_function() -> None:
    """Its peak is its highest level."""
    assert Occupancy(((0.0, 1.0), (1.0, 3.0), (2.0, 2.0)), 3.0).peak == 3.0
