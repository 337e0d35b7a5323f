"""How far a step time may be off: the 80 % band that measured runs give to predictions of a kind.

Half-widths are of |log(predicted/measured)|, so that the measured time lies between predicted*exp(-w) and
predicted*exp(w) in four cases of five; for small w that is predicted ± w. `benchmarks/bands.py` makes the numbers
(`profiles/accuracy/bands.yaml`) out of the corpus and says how. A kind of plan that was never held against enough runs
gets no band.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from math import exp, log
from typing import Annotated

from pydantic import Field

from planner.blocks.structure import beyond_attention
from planner.catalog.library import packaged
from planner.catalog.yamlfile import read_profile
from planner.frozen import frozen
from planner.plan import Plan
from planner.schema.base import Record, Text
from planner.training.job import Job

Width = Annotated[float, Field(gt=0, lt=3)]

RACK = 64
"""Accelerators up to which a cluster counts as small: the network is rarely the limit."""


class Widths(Record):
    """Half-widths by scale: one node, several with at most RACK accelerators, more."""

    node: Width
    few: Width
    many: Width


class PeakWidths(Record):
    """Half-widths of peaks.

    Attributes:
        presets: of dense models, by preset with measured peaks; other: of presets without any.
        moe: of mixtures of experts; narrow: of recipes with products in fp8; lora, qlora: of adapters, by their base.
    """

    presets: dict[str, Width]
    other: Width
    moe: Width
    narrow: Width
    lora: Width
    qlora: Width


class KindWidth(Record):
    """Half-width of step times of one kind of plans, any scale, and the accelerators that its runs are of.

    Attributes:
        presets: of presets with enough runs of the kind, their own.
    """

    width: Width
    parts: tuple[Text, ...]
    presets: dict[str, Width]

    def of(self, preset: str) -> float:
        """The preset's own width, else that of all."""
        return self.presets.get(preset, self.width)


class KindWidths(Record):
    """Kinds of plans apart from dense full training in 16 bit, as packaged.

    Attributes:
        moe: mixtures of experts; narrow: products below 16 bit; context: cp > 1; lora: adapters on weights in 16 bit.
        narrow_context, narrow_lora: both.
    """

    moe: KindWidth
    narrow: KindWidth
    context: KindWidth
    lora: KindWidth
    narrow_context: KindWidth
    narrow_lora: KindWidth


class Bands(Record):
    """The content of bands.yaml.

    Attributes:
        coverage: share of held-out runs inside.
        kinds: of times, no narrower ones than accelerator and preset give where none of a kind's runs is of that
            accelerator, or the preset is not measured.
        measured: accelerator and preset were both fitted to runs, the source at hand not among them.
        presets: the same of presets with enough runs of their own.
        held: accelerators whose runs no constant was fitted to, as packaged.
        new_preset: the accelerator was, the preset was not. new_accelerator: the accelerator was not, or the network.
        peaks: the same of memory.
    """

    source: Text
    coverage: Annotated[float, Field(gt=0, lt=1)]
    measured: Widths
    presets: dict[str, Widths]
    held: KindWidth
    new_preset: Widths
    new_accelerator: Widths
    kinds: KindWidths
    peaks: PeakWidths


@frozen
class Band:
    """Relative half-width of the 80 % band, None where nothing like the plan was measured; and why."""

    width: float | None
    reason: str


@cache
def bands() -> Bands:
    """The packaged numbers."""
    return read_profile(packaged() / "accuracy" / "bands.yaml", Bands)


def band(job: Job, plan: Plan) -> Band:
    """The band of one plan's step time.

    The farther a plan is from what was measured, the wider: by accelerator, preset and scale; none for what was not.
    """
    untested = list(unmeasured(job, plan))
    if untested:
        return Band(None, f"untested: {', '.join(untested)}")
    kind, near = _kind(job)
    where, width = scale(job)[1], _plain(job, kind)
    apart = dict(_apart(job, plan))
    if not apart:
        return Band(width, f"{bands().coverage:.0%} of held-out runs: {near}, {where}")
    kinds = [getattr(bands().kinds, name) for name in _counted(apart)]
    known = job.framework.trust == "measured" and all(job.cluster.accelerator.name in one.parts for one in kinds)
    wide = max(0.0 if known else width, sum(one.of(job.framework.name) ** 2 for one in kinds) ** 0.5)
    return Band(wide, f"{bands().coverage:.0%} of measured runs: {', '.join(apart.values())}; {near}, {where}")


def _counted(apart: Iterable[str]) -> tuple[str, ...]:
    """Fields of KindWidths that give the width of a plan of several kinds.

    That of experts, whose runs are of the other kinds as well; that of both, where there is one; else each, whose
    squares add.
    """
    names = tuple(apart)
    if "moe" in names:
        return ("moe",)
    both = "_".join(names)
    return (both,) if both in KindWidths.model_fields else names


def _plain(job: Job, kind: str) -> float:
    """Half-width of dense full training in 16 bit by class, preset and scale."""
    found, name = bands(), job.framework.name
    own = found.presets.get(name, found.measured) if kind in ("measured", "held") else getattr(found, kind)
    width: float = getattr(own, scale(job)[0])
    return max(width, found.held.of(name)) if kind == "held" else width


def _apart(job: Job, plan: Plan) -> Iterator[tuple[str, str]]:
    """The fields of KindWidths that a plan falls under, in words."""
    if job.model.moe is not None:
        yield "moe", "mixtures of experts"
    if not job.recipe.wide:
        yield "narrow", "products below 16 bit"
    if plan.cp > 1:
        yield "context", "context parallelism"
    if job.lora:
        yield "lora", "LoRA"


def unmeasured(job: Job, plan: Plan) -> Iterator[str]:
    """What no run of the corpus stands for."""
    if beyond := beyond_attention(job.model):
        yield beyond
    if job.workload.method == "qlora":
        yield "QLoRA"
    if job.workload.images:
        yield "images"
    if job.workload.offload in ("optimizer", "parameters"):
        yield "offload"


def memory_band(job: Job) -> Band:
    """The band of the peak of a plan of a job: by preset; none for kinds whose peaks were never measured."""
    untested = list(_unweighed(job))
    if untested:
        return Band(None, f"untested: {', '.join(untested)}")
    widths, name = bands().peaks, job.framework.name
    inside = f"{bands().coverage:.0%} of measured peaks"
    if job.lora:
        return Band(getattr(widths, job.workload.method), f"{inside} of {job.workload.method}")
    if not job.recipe.wide:
        return Band(max(widths.narrow, widths.moe if job.model.moe else 0.0), f"{inside} of recipes with fp8")
    if job.model.moe is not None:
        return Band(widths.moe, f"{inside} of mixtures of experts")
    if name in widths.presets:
        return Band(widths.presets[name], f"{inside} of {name}")
    return Band(widths.other, f"{inside} of all presets; of {name} there is none")


def _unweighed(job: Job) -> Iterator[str]:
    if job.workload.offload != "none":
        yield "offload"
    if job.workload.images:
        yield "images"
    if not job.recipe.wide and "fp8" not in job.workload.precision:
        yield job.workload.precision


def upper(job: Job) -> float:
    """Upper end of a peak's band over its prediction; where there is no band, that of the widest."""
    width, widths = memory_band(job).width, bands().peaks
    return exp(max(widths.other, widths.moe, widths.narrow, *widths.presets.values()) if width is None else width)


def memory_range(job: Job, need: float) -> tuple[float, float] | None:
    """Both ends of the band of a peak in bytes; None where there is none."""
    width = memory_band(job).width
    return None if width is None else (need * exp(-width), need * exp(width))


def fit_verdict(job: Job, need: float, capacity: float) -> str:
    """ "fits", "tight" (the limit lies between the peak and the upper end of its band) or "does not fit"."""
    if need > capacity:
        return "does not fit"
    found = memory_range(job, need)
    return "tight" if found is not None and found[1] > capacity else "fits"


def _kind(job: Job) -> tuple[str, str]:
    accelerator, framework = job.cluster.accelerator, job.framework
    held = not accelerator.tested and accelerator.name in bands().held.parts
    if not (accelerator.tested or held):
        return "new_accelerator", f"an accelerator without measured runs ({accelerator.name})"
    network = job.cluster.crossed
    if network is not None and not network.tested:
        return "new_accelerator", f"{accelerator.name} over a network without measured runs ({network.name})"
    known = "measured" if network is None or network.trust == "measured" else f"known, {network.name} assumed"
    if framework.trust != "measured":
        return "new_preset", f"{accelerator.name} {known}, the preset {framework.name} not"
    if held:
        return "held", f"{accelerator.name} held against runs, none fitted; {framework.name} {known}"
    return "measured", f"{accelerator.name} and {framework.name} {known}"


def scale(job: Job) -> tuple[str, str]:
    """Name of the width in Widths, and the scale in words."""
    if job.cluster.nodes == 1:
        return "node", "one node"
    if job.cluster.gpus <= RACK:
        return "few", f"nodes of at most {RACK} accelerators together"
    return "many", f"more than {RACK} accelerators"


def tied(first: float, other: float, width: float | None) -> bool:
    """Whether a slower step is inside the band of the first: log(other/first) <= width."""
    return width is not None and log(other / first) <= width
