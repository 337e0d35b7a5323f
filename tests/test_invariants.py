"""What holds for every job and every plan, whatever the constants are."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from planner.blocks.structure import structure
from planner.launch.program import Setup
from planner.launch.targets import TARGETS, refusal
from planner.plan import INTEGERS, Plan
from planner.questions.pins import lean
from planner.questions.train import Recommendation, best, problem, recommend
from planner.report.explain import explanation
from planner.report.jsonout import explained, recommendation, write
from planner.search import search
from planner.stages import chunk_layers, layers_per_chunk
from planner.training.estimate import estimate
from planner.training.job import Job
from planner.training.memory import held_kinds
from planner.training.moments import peak_memory
from planner.training.rules import first_broken, legal
from planner.training.space import Bounds, Range, plans
from tests.jobs import job
from tests.training.test_estimate import held

SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"


def some(share: int = 1) -> settings:
    """A share of the examples that the profile asks for."""
    count = settings.default.max_examples  # type: ignore[union-attr]
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(max_examples=max(1, count // share), deadline=None, suppress_health_check=checks)


def asked(of: str, on: str, preset: str, batch: int, **workload: str) -> Job:
    """A job, in the precision that its accelerator has."""
    return job(of, on, preset, seq=1024, batch=batch, precision="fp16" if "V100" in on else "bf16", **workload)


DENSE = (
    asked("llama3-8b", "8xA100", "any", 16),
    asked("gpt2-xl", "8xA100", "any", 48),
    asked("llama3-70b", "2x8xH100", "any", 8),
)
"""Plain jobs, whose memory is summed by hand."""

JOBS = (
    *DENSE,
    asked("llama3.2-1b", "1xA100", "megatron-core", 8),
    asked("llama3-8b", "8xV100", "megatron-core", 16),
    asked("llama3-8b", "8xA100", "nanotron", 16),
    asked("llama3-8b", "2x8xH100", "torchtitan", 16),
    asked("llama3-8b", "8xH100", "deepspeed-zero3", 16),
    asked("llama3-70b", "2x8xA100", "megatron-core", 8),
    asked("mixtral-8x7b", "8xA100", "any", 8),
    asked("mixtral-8x7b", "2x8xH100", "megatron-core", 16, optimizer="adam-8bit"),
    asked("gpt2-xl", "8xV100", "any", 16, attention="unfused"),
)

jobs = st.sampled_from(JOBS)


PINS: dict[str, tuple[int, ...]] = {"tp": (1, 2, 8), "pp": (1, 2, 4), "b": (1, 2, 8), "zero": (0, 1, 3), "v": (1, 2)}
PINS |= {"dp": (1, 4, 8), "cp": (1, 2), "sp": (0, 1), "recompute_layers": (0, 1, 5)}
POLICIES = (None, None, frozenset({"none"}), frozenset({"full"}), frozenset({"block"}), frozenset({"none", "block"}))
SCHEDULES = (None, None, None, frozenset({"gpipe"}), frozenset({"naive"}), frozenset({"interleaved"}))


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    """Some pins."""
    names = draw(st.lists(st.sampled_from(sorted(PINS)), max_size=3, unique=True))
    ranges = {n: Range(x, x) for n in names for x in [draw(st.sampled_from(PINS[n]))]}
    return Bounds(ranges, draw(st.sampled_from(SCHEDULES)), draw(st.sampled_from(POLICIES)))


@cache
def pool(number: int) -> tuple[Plan, ...]:
    """Batches of legal plans of one of JOBS, context parallelism among them."""
    of = JOBS[number]
    batches = (batch[legal(of, batch)[0]] for batch in plans(of, Bounds({"cp": Range(1, 2)})))
    return tuple(batch for batch in batches if len(batch))


@st.composite
def planned(draw: st.DrawFn, of: st.SearchStrategy[Job] = jobs) -> tuple[Job, Plan]:
    """A job and one of its legal plans."""
    chosen = draw(of)
    batches = pool(JOBS.index(chosen))
    assume(batches)
    batch = draw(st.sampled_from(batches))
    return chosen, batch[draw(st.integers(0, len(batch) - 1))].scalar()


def faster(of: Job, part: str, factor: float) -> Job:
    """The job with one bandwidth larger."""
    cluster = of.cluster
    if part in ("bandwidth", "host_rate"):
        changed = {part: getattr(cluster.accelerator, part) * factor}
        return replace(
            of, cluster=cluster.model_copy(update={"accelerator": cluster.accelerator.model_copy(update=changed)})
        )
    link = getattr(cluster, part)
    assume(link is not None)
    rates = {n: r * factor for n in ("rate", "pair_rate", "socket_rate") if (r := getattr(link, n)) is not None}
    return replace(of, cluster=cluster.model_copy(update={part: link.model_copy(update=rates)}))


@given(planned(), st.sampled_from(("bandwidth", "host_rate", "scaleup", "network")), st.floats(1.0, 8.0))
@some()
def test_more_bandwidth_is_never_slower(drawn: tuple[Job, Plan], part: str, factor: float) -> None:
    """Of memory, of the host, inside a node and between nodes."""
    of, plan = drawn
    before, after = (float(estimate(one, plan).time.total) for one in (of, faster(of, part, factor)))
    assert after <= before * (1 + 1e-12)


@given(planned())
@some()
def test_more_recomputation_never_takes_memory(drawn: tuple[Job, Plan]) -> None:
    """From the first layer on; that one needs room to work in, so that nothing at all may be leaner than it."""
    of, plan = drawn
    k = np.arange(int(chunk_layers(of.model.layers, plan)) + 1)
    many = replace(plan, **{n: np.full(len(k), getattr(plan, n)) for n in INTEGERS} | {"recompute_layers": k})
    need = np.asarray(peak_memory(of, many.floats()).memory.total)
    assert (np.diff(need[1:]) <= need[1:-1] * 1e-12).all()


@given(planned())
@some()
def test_parts_sum_to_totals(drawn: tuple[Job, Plan]) -> None:
    """Memory and time; none is negative, none infinite."""
    result = estimate(*drawn)
    for record in (result.memory, result.time):
        parts = [float(part) for part in record.parts.values()]
        assert np.isfinite(parts).all() and min(parts) >= 0
        assert float(record.total) == pytest.approx(sum(parts), rel=1e-12)


@given(planned(st.sampled_from(DENSE)))
@some()
def test_peak_is_the_fullest_rank(drawn: tuple[Job, Plan]) -> None:
    """Rank by rank: 2 + 4 + 12 bytes per parameter, sharded by stage, and what is in flight."""
    of, p = drawn
    assume(p.schedule in ("1f1b", "eager-1f1b", "gpipe", "interleaved") and p.zero < 3)
    kinds, blocks = held_kinds(of, p.floats()), structure(of.model).blocks
    parts, start, end = kinds[0], kinds[blocks], kinds[-1 if p.pp == 1 else blocks + 1]
    totals = []
    for rank, chunks in enumerate(layers_per_chunk(of.model.layers, p)):
        layers = sum(chunks)
        count = layers * parts.dense + (rank == 0) * start.dense + (rank == p.pp - 1) * end.dense
        shards = [p.dp * p.cp if p.zero >= stage else 1 for stage in (3, 2, 1)]
        again = min(p.recompute_layers * p.v, layers)
        total = sum(each * count / n for each, n in zip((2, 4, 12), shards, strict=True))
        stored = (layers - again) * parts.kept.whole + again * parts.kept.boundary
        backward = parts.working + (again > 0) * parts.kept.working + (p.pp > 1) * 4 * parts.kept.boundary
        passing = held(p.schedule, p.pp, p.m, p.v, rank) * stored + max((rank == p.pp - 1) * end.logits, backward)
        totals.append(total + 1.1 * passing + of.framework.reserve)
    assert float(peak_memory(of, p.floats()).memory.total) == pytest.approx(max(totals), rel=1e-9)


@given(jobs, bounds(), st.floats(1.0, 2.0), st.sampled_from(("schedules", "recompute", *sorted(set(PINS) - {"cp"}))))
@some(2)
def test_relaxed_limits_never_worsen_the_best(of: Job, limits: Bounds, factor: float, gone: str) -> None:
    """More usable memory, and one pin less."""
    found = best(of, limits)
    if found is None:
        return
    usable = min(1.0, of.framework.usable * factor)
    roomy = replace(of, framework=of.framework.model_copy(update={"usable": usable}))
    wider = replace(limits, ranges={n: r for n, r in limits.ranges.items() if n != gone})
    wider = replace(wider, **{gone: None}) if gone in ("schedules", "recompute") else wider
    for other in (best(roomy, limits), best(of, wider)):
        assert other is not None and other.step_time <= found.step_time * (1 + 1e-12)


@given(jobs, bounds())
@example(
    asked("llama3-70b", "2x8xH100", "any", 8),
    Bounds({"b": Range(1, 1), "zero": Range(0, 0), "recompute_layers": Range(1, 1)}),
)
@some(2)
def test_the_leanest_plans_decide_whether_any_fits(of: Job, limits: Bounds) -> None:
    """What the smallest cluster and the pins that stand in the way are found with."""
    some, all_ = (search(plans(of, one), problem(of), 1, first_fit=True) for one in (lean(limits), limits))
    assert bool(some.feasible) == bool(all_.feasible)


@given(jobs, bounds(), st.booleans())
@some(10)
def test_answers_are_whole_and_always_the_same(of: Job, limits: Bounds, exact: bool) -> None:
    """Twice the same bytes, finite numbers, as the schemas say; the first plan is one that its framework runs."""
    assume(search(plans(of, limits), problem(of), 1).legal)
    answer = recommend(of, limits, 3, exact)
    assert told(answer) == told(recommend(of, limits, 3, exact))
    if answer.fits:
        top = answer.ranked[0]
        assert first_broken(top.job, top.plan) is None
        target = of.framework.target
        if target is not None and of.workload.optimizer == "adam":
            assert refusal(TARGETS[target], Setup(top.job, top.plan)) is None


def told(answer: Recommendation) -> str:
    """The recommendation and the explanation of its first plan, checked, but for the seconds that it took."""
    shown = answer.ranked or answer.misses
    lines = explanation(shown[0])
    pages: dict[str, dict[str, Any]] = {
        "recommendation": recommendation(answer, ()),
        "explanation": explained(shown[0], 1, lines, ()),
    }
    for name, page in pages.items():
        schema = json.loads((SCHEMAS / f"{name}-1.json").read_text(encoding="utf-8"))
        jsonschema.validate(json.loads(write(page)), schema)
    pages["recommendation"]["search"]["seconds"] = 0
    return "".join(map(write, pages.values()))
