"""Error bands out of the corpus: `python benchmarks/bands.py [--write] [PATH ...]`, PATH with further measured runs.

What a band promises is that four of five runs *that the constants have not seen* lie inside. Refitting every constant
without each source in turn is not done here; three stand-ins for it are:

- measured: sources that share a preset (Megatron-Core's, BigScience's, Megatron-DeepSpeed's). The element-wise, host,
  step and accumulation constants of the preset are fitted anew, from those of another preset, to the other sources
  only; then the source is predicted. A preset of a single source cannot be left out this way: its runs count with the
  constants as packaged. Accelerator and link constants stay as packaged throughout, although the source is among the
  dozen that they were fitted to. Both make this band somewhat too good.
- new preset: the source predicted with another framework's preset, one that was not fitted on it.
- new accelerator: the source predicted with the efficiencies of another generation; parts that no source ever measured
  (A100 PCIe, H200) as they are.

Accelerators that no constant was fitted on are predicted as packaged where runs of them were published (`held`).

Kinds apart from dense full training in 16 bit (experts, products below 16 bit, context parallelism, LoRA) are predicted
as packaged: no constant was fitted to steps of the narrow ones; the host's wait for experts was set on some of theirs.
Of peaks nothing is fitted but a preset's reserve, so that runs are predicted as packaged: by preset those with ENOUGH
peaks, all presets together, mixtures of experts, recipes with fp8, adapters over 16-bit and over narrower weights.
What of them lies inside the band of the other sources of their class is printed, too.

Widths follow the law of `band_law.py`; they are never smaller for a larger scale or a class farther from what was
measured.
Without --write the numbers are printed alone.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from accuracy import MEASURED, PAGE, ROOT, markdown, read, replaced
from band_law import (
    COVERAGE,
    MANY,
    Residual,
    alone,
    earned,
    inside,
    left_out,
    no_smaller,
    presets_of,
    quantile,
    rounded,
    upward,
)

from planner.accuracy.calibrate import CONSTANTS, residuals, with_factors
from planner.accuracy.corpus import Case
from planner.accuracy.fitting import fit
from planner.accuracy.predict import predict
from planner.bands import KindWidths, scale
from planner.catalog.library import open_library
from planner.training.job import Job

TARGET = ROOT / "profiles" / "accuracy" / "bands.yaml"
SCALES = ("node", "few", "many")
CLASSES = ("measured", "new_preset", "new_accelerator")

OTHER_PRESET = {
    "aa-scaling": "torchtitan-eager",
    "aa-scaling-fused": "torchtitan-eager",
    "bigscience": "megatron-deepspeed",
    "megatron-core": "megatron-deepspeed",
    "megatron-core-te": "megatron-deepspeed",
    "megatron-core-tuned": "megatron-core",
    "megatron-2020": "megatron-core",
    "megatron-deepspeed": "megatron-core",
    "deepspeed-zero3-2021": "torchtitan",
    "internevo": "megatron-core",
    "llm-foundry": "torchtitan",
    "nanotron": "torchtitan-eager",
    "nemo-automodel": "torchtitan",
    "nemo-25.05": "megatron-core",
    "torchtitan": "llm-foundry",
    "torchtitan-eager": "llm-foundry",
}
"""The nearest preset not fitted to the sources of this one: plain PyTorch for plain PyTorch, fused for fused."""

FACTS = ("zero", "zero_with_pipeline", "uneven_layers", "gathers", "host_member", "gathers_block", "regathers")
"""What a preset says that is read off the framework's code, not fitted: a stand-in keeps it."""

OTHER_ACCELERATOR = {
    "a100": "h100-sxm5-80gb",
    "h100": "a100-sxm4-80gb",
    "v100": "a100-sxm4-80gb",
    "b200": "h100-sxm5-80gb",
}
"""Whose efficiencies a user would have assumed for this generation."""

REFITTED = ("elementwise", "host", "step", "accumulate")
WIDE = 1.0
"""Prior width, in logarithms, of a preset's constants when they are fitted anew."""

ENOUGH = 5
"""Runs of other sources without which a preset is not fitted anew; peaks without which it has no band of its own."""

FEW = 3
"""Sources without which a kind is held out model by model."""

MOST = 60
"""Runs of a source that are looked at, evenly taken: more say no more about a source."""


def main_cases(paths: Sequence[Path]) -> list[Case]:
    """Timed runs of the main score, at most MOST of each source."""
    by_source: dict[str, list[Case]] = defaultdict(list)
    for case in read([MEASURED, *paths]).cases:
        if case.main and case.step is not None and not case.alternatives:
            by_source[case.source].append(case)
    return [case for cases in by_source.values() for case in cases[:: -(-len(cases) // MOST)]]


def sizes(kind: str, cases: Sequence[Case], change: Callable[[Job], Job]) -> list[Residual]:
    """Residuals of runs whose jobs are changed before they are predicted; of a kind with FEW sources by model."""
    found = predict(cases, preset=change)
    few = not kind and len({case.source for case in cases}) < FEW
    return [
        Residual(
            kind,
            p.case.job.model.name if few else p.case.source,
            scale(p.case.job)[0],
            float(abs(np.log(p.step / (p.case.step or 0.0)))),
            p.case.job.framework.name,
        )
        for p in found
    ]


def another_preset(job: Job) -> Job:
    """The job with the constants of the preset that stands in for its own."""
    other = open_library().framework(OTHER_PRESET[job.framework.name]).value
    facts = {name: getattr(job.framework, name) for name in FACTS}
    return replace(job, framework=other.model_copy(update=facts))


def another_accelerator(job: Job) -> Job:
    """The job with another generation's efficiencies; parts that were never measured stay as they are."""
    accelerator = job.cluster.accelerator
    if not accelerator.tested:
        return job
    other = open_library().accelerator(OTHER_ACCELERATOR[accelerator.name[:4]]).value
    changed = accelerator.model_copy(update={"efficiency": other.efficiency})
    return replace(job, cluster=job.cluster.model_copy(update={"accelerator": changed}))


def shared_presets(cases: Sequence[Case]) -> list[Residual]:
    """The measured class: each source predicted with its preset fitted to the preset's other sources."""
    constants = [c for c in CONSTANTS if c.name in REFITTED]
    tested = [c for c in cases if c.job.cluster.accelerator.tested]
    groups: dict[str, dict[str, list[Case]]] = defaultdict(lambda: defaultdict(list))
    for case in tested:
        groups[case.job.framework.name][case.source].append(case)
    found: list[Residual] = []
    for sources in groups.values():
        for name, ours in sources.items():
            rest = [c for other, members in sources.items() if other != name for c in members]
            if len(rest) < ENOUGH:
                found += sizes("measured", ours, lambda job: job)
                continue
            swapped = swap(rest, another_preset)
            x = fit(residuals(swapped, constants), np.full(len(constants), WIDE)).x
            factors = {c.name: float(np.exp(value)) for c, value in zip(constants, x, strict=True)}
            found += sizes("measured", ours, lambda job, f=factors: with_factors(another_preset(job), f))
    return found


def swap(cases: Iterable[Case], change: Callable[[Job], Job]) -> list[Case]:
    """Cases with changed jobs, still shared."""
    jobs: dict[int, Job] = {}
    return [replace(c, job=jobs.setdefault(id(c.job), change(c.job))) for c in cases]


APART = {"doubtful", "offload", "deterministic", "unknown-recompute", "derived"}
"""Labels of runs whose times say nothing of a prediction."""


def kind_widths(paths: Sequence[Path]) -> dict[str, Any]:
    """Half-widths of times of kinds apart, as packaged: each of the runs that are of that kind and no other.

    Of two kinds together they are never smaller than of either.
    """
    found = {name: kind_width(ones) for name, ones in of_kinds(paths).items()}
    return {name: no_smaller(record, [found[one] for one in name.split("_")]) for name, record in found.items()}


def kind_width(cases: Sequence[Case]) -> dict[str, Any]:
    """The record of one kind: its width, the accelerators that its runs are of, widths of its presets."""
    parts = sorted({case.job.cluster.accelerator.name for case in cases})
    return earned(sizes("", cases, lambda job: job)) | {"parts": parts}


def held_cases(cases: Sequence[Case]) -> list[Case]:
    """Runs on accelerators that no constant was fitted on."""
    return [case for case in cases if not case.job.cluster.accelerator.tested]


def of_kinds(paths: Sequence[Path]) -> dict[str, list[Case]]:
    """The runs of each kind apart: of experts all, of others those that are of no further kind."""
    cases = [c for c in read([MEASURED, *paths]).cases if c.step is not None and not c.alternatives]
    kinds: dict[str, list[Case]] = {name: [] for name in KindWidths.model_fields}
    for case in cases:
        job = case.job
        held = {"narrow": not job.recipe.wide, "context": case.plan.cp > 1, "lora": job.lora}
        name = "moe" if job.model.moe else "_".join(name for name, here in held.items() if here)
        if name in kinds and not APART & set(case.labels):
            kinds[name].append(case)
    return kinds


def kinds_table(paths: Sequence[Path], held: Sequence[Residual]) -> str:
    """Per class: its width and those of its presets, how many of its runs are inside, and so held out by source."""
    rows, records = [], kind_widths(paths)
    of = {name: sizes("", ones, lambda job: job) for name, ones in of_kinds(paths).items()}
    for name, found in (of | {"held": list(held)}).items():
        record, kept = records.get(name) or earned(found), left_out(found)
        own = ", ".join(f"{preset} {width:.1%}" for preset, width in record["presets"].items())
        rest = f"{np.mean(kept):.0%} of {len(kept)}" if kept else "too few sources"
        rows.append(
            (name, str(len(found)), f"{record['width']:.1%}", own, f"{np.mean(inside(found, record)):.0%}", rest)
        )
    return markdown(["class", "runs", "width", "of presets", "inside", "held out"], rows)


def peak_cases(paths: Sequence[Path]) -> dict[str, list[Case]]:
    """Runs with a peak by class: recipes with fp8, adapters, mixtures of experts, dense ones by preset."""
    found: dict[str, list[Case]] = defaultdict(list)
    for case in read([MEASURED, *paths]).cases:
        job, tuned = case.job, "finetune" in case.labels
        if case.peak is None or case.alternatives or APART & set(case.labels):
            continue
        if not job.recipe.wide:
            found["narrow"].append(case)
        elif job.lora:
            found[job.workload.method].append(case)
        elif job.model.moe is not None:
            found["moe"].append(case)
        elif case.main or tuned:
            found[f"preset {job.framework.name}"].append(case)
    return {name: ones for name, ones in found.items() if len(ones) >= ENOUGH or not name.startswith("preset")}


def peak_residuals(cases: Sequence[Case]) -> list[Residual]:
    """|log(predicted/measured)| of some peaks, by source; by model where one source has them all."""
    single = len({case.source for case in cases}) == 1
    return [
        Residual(
            "peak",
            p.case.job.model.name if single else p.case.source,
            "",
            float(abs(np.log(p.peak / (p.case.peak or 0.0)))),
        )
        for p in predict(cases)
    ]


def peak_widths(paths: Sequence[Path]) -> dict[str, Any]:
    """Half-widths of peaks, rounded up to tenths of a per cent; the same law as for times.

    A class of one source is taken for no better known than the best known preset of several.
    """
    classes = peak_cases(paths)
    widths = {name: rounded(peak_residuals(cases)) for name, cases in classes.items()}
    several = {name for name, cases in classes.items() if len({case.source for case in cases}) > 1}
    least = min(width for name, width in widths.items() if name in several and name.startswith("preset"))
    widths = {name: width if name in several else max(width, least) for name, width in widths.items()}
    presets = {name.partition(" ")[2]: w for name, w in sorted(widths.items()) if name.startswith("preset")}
    dense = [case for name, cases in classes.items() if name.startswith("preset") for case in cases]
    kinds = {name: widths[name] for name in ("moe", "narrow", "lora", "qlora")}
    return {"presets": presets, "other": rounded(peak_residuals(dense))} | kinds


def held_out_peaks(paths: Sequence[Path]) -> str:
    """Share of peaks inside the band that the other sources of their class give (models, where it is one source's)."""
    rows, inside = [], []
    for name, cases in sorted(peak_cases(paths).items()):
        found, here = peak_residuals(cases), []
        for source in sorted({r.source for r in found}):
            rest = [r for r in found if r.source != source]
            if len(rest) >= ENOUGH:
                here += [r.size <= rounded(rest) for r in found if r.source == source]
        inside += here
        rows.append((name, str(len(here)), f"{np.mean(here):.0%}" if here else "-"))
    return markdown(["class", "peaks", "inside"], [*rows, ("**all**", str(len(inside)), f"{np.mean(inside):.0%}")])


def widths(found: Sequence[Residual]) -> dict[str, dict[str, float]]:
    """By class and scale, never smaller for a farther class or a larger scale; rounded up to tenths of a per cent."""
    table: dict[str, dict[str, float]] = {}
    nearer = dict.fromkeys(SCALES, 0.0)
    for kind in CLASSES:
        of_kind, last = [r for r in found if r.kind == kind], 0.0
        table[kind] = {}
        for name in SCALES:
            here = [r for r in of_kind if r.scale == name]
            last = max(last, nearer[name], quantile(here if len({r.source for r in here}) > 1 else of_kind))
            table[kind][name] = upward(last)
        nearer = table[kind]
    return table


def preset_widths(found: Sequence[Residual], table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Of the measured class, by preset with MANY runs and scale: of a scale with fewer runs, of all of the preset's."""
    wide: dict[str, dict[str, float]] = {}
    for name, ones in presets_of([r for r in found if r.kind == "measured"]).items():
        last, wide[name] = 0.0, {}
        for size in SCALES:
            here = [r for r in ones if r.scale == size]
            last = max(last, quantile(here if len(here) >= MANY else ones))
            wide[name][size] = max(upward(last), table["measured"][size] if alone(ones) else 0.0)
    return wide


def coverage(
    found: Sequence[Residual], table: dict[str, dict[str, float]], presets: dict[str, dict[str, float]]
) -> str:
    """Share of runs inside the band, by class and source."""
    rows = []
    for kind in CLASSES:
        of_kind = [r for r in found if r.kind == kind]
        names = sorted({r.source for r in of_kind})
        kept = {name: [] for name in names}  # type: dict[str, list[bool]]
        for r in of_kind:
            own = presets.get(r.preset, table[kind]) if kind == "measured" else table[kind]
            kept[r.source].append(r.size <= own[r.scale])
        rows += [(kind, name, str(len(kept[name])), f"{np.mean(kept[name]):.0%}") for name in names]
        shares = [float(np.mean(each)) for each in kept.values()]
        rows.append((kind, "**sources**", str(len(names)), f"{np.mean(shares):.0%}"))
        whole = [one for each in kept.values() for one in each]
        rows.append((kind, "**runs**", str(len(whole)), f"{np.mean(whole):.0%}"))
    return markdown(["class", "source", "runs", "inside"], rows)


def run(arguments: Sequence[str]) -> None:
    """Print widths and coverages; write the packaged numbers when asked to."""
    paths = [Path(a) for a in arguments if a != "--write"]
    cases = main_cases(paths)
    known = [c for c in cases if c.job.cluster.accelerator.tested]
    found = [
        *shared_presets(cases),
        *sizes("new_preset", known, another_preset),
        *sizes("new_accelerator", cases, another_accelerator),
    ]
    table = widths(found)
    own = preset_widths(found, table)
    rows = [*table.items(), *((f"measured, {name}", wide) for name, wide in own.items())]
    widest = markdown(["class", *SCALES], [(k, *(f"{w:.1%}" for w in t.values())) for k, t in rows])
    covered, held = coverage(found, table, own), held_cases(cases)
    apart, peaks = kinds_table(paths, sizes("", held, lambda job: job)), held_out_peaks(paths)
    sys.stdout.write(f"{widest}\n{covered}\n{apart}\n{peaks}")
    if "--write" in arguments:
        sources = ", ".join(sorted({c.source for c in cases}))
        said = f"benchmarks/bands.py over {len(cases)} runs of {sources}; what is held out how: there"
        numbers: dict[str, Any] = {"source": said, "coverage": COVERAGE, "presets": own, "held": kind_width(held)}
        numbers |= table | {"kinds": kind_widths(paths), "peaks": peak_widths(paths)}
        TARGET.write_text(yaml.safe_dump(numbers, sort_keys=False, width=118), encoding="utf-8")
        page = PAGE.read_text(encoding="utf-8")
        for part, text in (("widths", widest), ("coverage", covered), ("kinds", apart), ("peaks", peaks)):
            page = replaced(page, part, text)
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(sys.argv[1:])
