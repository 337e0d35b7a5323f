"""Bands: wider the farther from what was measured, none where nothing was."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.accuracy.corpus import Corpus
from planner.accuracy.predict import predict
from planner.accuracy.rows import read_folder
from planner.accuracy.score import main
from planner.bands import Widths, band, bands, fit_verdict, memory_band, memory_range, tied, upper
from planner.catalog.clusters import find_cluster
from planner.catalog.library import open_library
from planner.plan import Plan
from planner.schema.workload import Workload
from planner.training.job import Job

MEASURED = Path(__file__).parents[2] / "benchmarks" / "measured"


def job(gpus: str = "8xA100", framework: str = "megatron-core", model: str = "llama3-8b", **workload: Any) -> Job:
    """A job by names."""
    library = open_library()
    cluster = find_cluster(gpus, library).value
    asked = Workload(seq=2048, global_batch=1024, **workload)
    return Job(library.model(model).value, cluster, asked, library.framework(framework).value)


def width(**names: Any) -> float:
    """Of a plain plan."""
    found = band(job(**names), Plan()).width
    assert found is not None
    return found


def test_numbers_grow_with_distance() -> None:
    """By class and by scale."""
    numbers = bands()
    rows = [
        [getattr(widths, name) for name in Widths.model_fields]
        for widths in (numbers.measured, numbers.new_preset, numbers.new_accelerator, *numbers.presets.values())
    ]
    assert (np.diff(rows[:3], axis=0) >= 0).all() and (np.diff(rows, axis=1) >= 0).all()
    assert numbers.coverage == 0.8 and rows[0][0] > 0.02


def test_classes() -> None:
    """Accelerator and preset measured, the preset not, the accelerator not; and where the words say so."""
    assert width() == bands().presets["megatron-core"].node
    assert width(framework="colossalai") == bands().new_preset.node == width(framework="any")
    assert width(gpus="8xMI250X") == bands().new_accelerator.node
    assert "mi250x" in band(job("8xMI250X"), Plan()).reason


def test_presets_have_their_own() -> None:
    """A preset with enough runs is known as well as these say; others are as well known as all together."""
    numbers = bands()
    for name in ("nanotron", "megatron-core-tuned", "deepspeed-zero3-2021"):
        own = numbers.presets.get(name, numbers.measured)
        assert width(framework=name) == own.node and width(gpus="9x8xA100", framework=name) == own.many
    assert numbers.presets["nanotron"].many > numbers.measured.many and "deepspeed-zero3-2021" not in numbers.presets


def test_accelerators_held_against_runs() -> None:
    """MI300X: no constant was fitted on it, but runs were held against what its kernels reach."""
    found = band(job("8xMI300X"), Plan())
    plain = bands().presets["megatron-core"].node
    assert found.width == max(plain, bands().held.of("megatron-core")) < bands().new_accelerator.node
    assert "mi300x-192gb held against runs, none fitted" in found.reason
    assert width(gpus="8xMI300X", framework="any") == bands().new_preset.node


def test_kinds_together() -> None:
    """Two kinds have the width of their own runs where there are some, else squares add; that of experts covers all."""
    kinds, tuned = bands().kinds, "megatron-core-tuned"
    both = band(job("8xH100", tuned, precision="fp8"), Plan(cp=2)).width
    assert both == kinds.narrow_context.of(tuned) >= max(kinds.narrow.of(tuned), kinds.context.of(tuned))
    apart = band(job("8xH100", tuned, method="lora"), Plan(cp=2)).width
    assert apart is not None and apart >= np.hypot(kinds.context.of(tuned), kinds.lora.of(tuned))
    assert band(job("8xH100", tuned, "mixtral-8x7b", precision="fp8"), Plan(cp=2)).width == kinds.moe.of(tuned)


def test_what_any_preset_says() -> None:
    """The reason of a preset that was never measured."""
    assert "any" in band(job(framework="any"), Plan()).reason


def test_scales() -> None:
    """One node, up to 64 accelerators, more."""
    numbers = bands().new_preset
    found = [width(gpus=gpus, framework="any") for gpus in ("8xA100", "2x8xA100", "8x8xA100", "9x8xA100")]
    assert found == [numbers.node, numbers.few, numbers.few, numbers.many]


@pytest.mark.parametrize(
    ("changes", "plan", "says"),
    [
        ({"model": "nemotron-h-8b"}, Plan(), "Mamba-2 state-space layers"),
        ({"method": "qlora"}, Plan(), "QLoRA"),
        ({"offload": "optimizer"}, Plan(), "offload"),
    ],
)
def test_untested(changes: dict[str, Any], plan: Plan, says: str) -> None:
    """No band, and the reason."""
    found = band(job(**changes), plan)
    assert found.width is None and found.reason == f"untested: {says}"


@pytest.mark.parametrize(
    ("changes", "plan", "kind", "says"),
    [
        ({"model": "mixtral-8x7b"}, Plan(), "moe", "mixtures of experts"),
        ({"gpus": "8xH100", "precision": "fp8"}, Plan(), "narrow", "products below 16 bit"),
        ({"gpus": "8xMI300X"}, Plan(cp=2), "context", "context parallelism"),
        ({"method": "lora"}, Plan(), "lora", "LoRA"),
    ],
)
def test_kinds_apart(changes: dict[str, Any], plan: Plan, kind: str, says: str) -> None:
    """The band of their own runs, and no narrower one than accelerator and preset give where these are not theirs."""
    found, gpus = band(job(**changes), plan), changes.get("gpus", "8xA100")
    own, plain = getattr(bands().kinds, kind), band(job(gpus), Plan()).width or 0.0
    here, mine = job(gpus).cluster.accelerator.name in own.parts, own.of("megatron-core")
    assert found.width == pytest.approx(mine if here else max(mine, plain))
    assert says in found.reason


def test_ties() -> None:
    """Inside the band on the slow side."""
    assert tied(10.0, 10.6, 0.07) and not tied(10.0, 10.8, 0.07) and not tied(10.0, 10.0, None)


@cache
def shares() -> dict[str, list[bool]]:
    """By source of the committed runs: is the run inside its band?"""
    corpus = Corpus()
    for table in read_folder(MEASURED)[0]:
        corpus.add(table.rows)
    found: dict[str, list[bool]] = {}
    for p in main(predict([c for c in corpus.cases if c.step is not None])):
        half = band(p.case.job, p.plan).width
        if half is None:
            continue
        found.setdefault(p.case.source, []).append(
            tied(p.case.step or 0, p.step, half) and tied(p.step, p.case.step or 0, half)
        )
    return found


def test_coverage_of_the_committed_runs() -> None:
    """Four of five runs lie inside, over runs and over sources."""
    assert np.mean([inside for each in shares().values() for inside in each]) >= 0.8
    assert np.mean([np.mean(each) for each in shares().values()]) >= 0.8


def test_a_stranger_to_the_corpus_is_wider() -> None:
    """A preset that says its constants are assumed is not taken for a measured one."""
    plain = job()
    assumed = replace(plain, framework=plain.framework.model_copy(update={"trust": "assumed"}))
    assert (band(assumed, Plan()).width or 0) > (band(plain, Plan()).width or 0)


def test_bands_of_peaks() -> None:
    """By preset where its peaks were measured, wider where none were; mixtures of experts have one of their own."""
    peaks = bands().peaks
    own, other = memory_band(job()), memory_band(job(framework="torchtitan"))
    assert own.width == peaks.presets["megatron-core"] < peaks.other == other.width
    assert "megatron-core" in own.reason and "torchtitan there is none" in other.reason
    assert memory_band(job(model="mixtral-8x7b")).width == peaks.moe
    assert memory_band(job(method="lora")).width == peaks.lora
    assert memory_band(job(model="mixtral-8x7b", method="qlora")).width == peaks.qlora


@pytest.mark.parametrize("asked", [{"offload": "activations"}, {"offload": "optimizer"}])
def test_no_band_where_no_peak_was_measured(asked: dict[str, Any]) -> None:
    """And no verdict that needs one; strictly, the widest counts."""
    of = job(**asked)
    assert memory_band(of).width is None and memory_range(of, 1e9) is None
    assert fit_verdict(of, 0.999, 1.0) == "fits"
    assert upper(of) == np.exp(max(bands().peaks.other, *bands().peaks.presets.values()))


def test_verdicts() -> None:
    """Fits, tight where the limit lies inside the band, does not fit."""
    of = job()
    low, high = memory_range(of, 70.0) or (0.0, 0.0)
    assert low * high == pytest.approx(70.0**2) and high / 70.0 == pytest.approx(upper(of))
    assert [fit_verdict(of, 70.0, limit) for limit in (high, high - 0.1, 70.0, 69.9)] == [
        "fits",
        "tight",
        "tight",
        "does not fit",
    ]


def test_measured_peaks_lie_inside() -> None:
    """Of the committed peaks of each source, three of five at least; four of five of all."""
    corpus = Corpus()
    for table in read_folder(MEASURED)[0]:
        corpus.add(table.rows)
    cases = [case for case in main(predict(corpus.cases)) if case.case.peak is not None]
    inside = [bool(abs(np.log(p.peak / (p.case.peak or 0))) <= (memory_band(p.case.job).width or 0)) for p in cases]
    assert len(inside) > 60 and np.mean(inside) >= 0.75
