"""Sentences about plans, out of their numbers."""

from __future__ import annotations

from dataclasses import replace

from planner.bands import band, fit_verdict, memory_band, memory_range, tied
from planner.catalog.yamlfile import table
from planner.plan import OnePlan
from planner.questions.relaxed import RELAXATIONS, lacks
from planner.questions.train import Loosened, Ranked, Recommendation
from planner.training.job import Job
from planner.training.layouts import layout_string
from planner.training.moments import MOMENTS
from planner.training.space import recompute_words
from planner.training.trade import trade
from planner.units import GIB, format_bytes, format_seconds

SAID: dict[str, dict[str, str]] = table("report", "words.yaml")
"""Names in words, by what they are of."""

PART_NAMES = SAID["step"]
"""Parts of a step in words."""

LEAN = ("adam-8bit", "adam-fp8-moments", "adam-bf16")
"""Optimizers with small states, each in the options of some framework."""


def cure(ranked: Ranked) -> str:
    """What would shrink the largest part of a plan's memory, with options that its framework has."""
    job = ranked.job
    tried = {n: replace(job, workload=job.workload.model_copy(update={"optimizer": n})) for n in LEAN}
    lean = next((name for name, of in tried.items() if not lacks(of)), LEAN[-1])
    if job.cluster.gpus == 1 and largest_part(ranked) in ("weights", "gradients"):
        return "more accelerators, or one with more memory"
    return SAID["cures"][largest_part(ranked)].format(lean=lean)


def degrees(plan: OnePlan) -> str:
    """The layout in a few words: "tp=4 pp=8 dp=4 v=5 b=1"; stages that are no even split in Megatron's letters."""
    shown = [f"tp={plan.tp}"]
    shown += [f"{name}={getattr(plan, name)}" for name in ("cp", "ep", "etp") if getattr(plan, name) > 1]
    shown += [f"pp={plan.pp}", f"dp={plan.dp}"] + ([f"v={plan.v}"] if plan.v > 1 else []) + [f"b={plan.b}"]
    shown += [f"dp_replicate={plan.dp_replicate}"] if plan.dp_replicate > 1 else []
    shown += [f"ZeRO-{plan.zero}"] if plan.zero else []
    shown += [plan.dispatcher + (", overlapped" if plan.overlap else "")] if plan.ep > 1 else []
    return " ".join(shown + ([layout_string(plan.layout)] if plan.layout is not None else []))


def summary(ranked: Ranked) -> str:
    """A plan in a line: degrees, recomputation, step time with its band, memory of the fullest rank."""
    return (
        f"{degrees(ranked.plan)} m={ranked.plan.m}, recompute {recompute_words(ranked.job, ranked.plan)}: step "
        f"{with_band(ranked)}, {ranked.mfu:.1%} MFU, {memory_words(ranked)} on rank "
        f"{float(ranked.estimate.rank):.0f}, {moment(ranked)}"
    )


def why(ranked: Ranked) -> str:
    """Why a plan is good, and what it pays most for."""
    job, plan, time = ranked.job, ranked.plan, ranked.estimate.time
    reasons = [_tensor(job, plan), _context(job, plan), _pipeline(ranked), _recompute(ranked)]
    waste = {k: float(v) for k, v in time.parts.items() if k not in ("forward", "backward")}
    worst = max(waste, key=lambda k: waste[k])
    reasons.append(
        f"largest cost beside forward and backward: {PART_NAMES[worst]}, {waste[worst] / ranked.step_time:.1%}"
    )
    return "; ".join(r for r in reasons if r) + "."


def _tensor(job: Job, plan: OnePlan) -> str:
    if plan.tp == 1:
        return "no tensor-parallel traffic"
    where = "inside" if plan.tp <= job.cluster.domain else "beyond"
    link = job.cluster.scaleup.name if job.cluster.scaleup else "link"
    return f"tp={plan.tp} stays {where} the {job.cluster.domain} GPUs that {link} joins"


def _context(job: Job, plan: OnePlan) -> str:
    if (found := trade(job, plan)) is None:
        return ""
    return SAID["trades"][found.kind].format(cp=plan.cp, inner=found.inner, ring=plan.cp // found.inner)


def _pipeline(ranked: Ranked) -> str:
    plan, fraction = ranked.plan, float(ranked.estimate.time.bubble_fraction)
    if plan.pp == 1:
        return "no pipeline, no bubble"
    if plan.v == 1:
        return f"m={plan.m} micro-batches keep the bubble of {plan.pp} stages at {fraction:.1%}"
    plain = (plan.pp - 1) / (plan.m + plan.pp - 1)
    return f"v={plan.v} cuts the bubble of {plan.pp} stages from {plain:.1%} to {fraction:.1%}"


def _recompute(ranked: Ranked) -> str:
    name = recompute_words(ranked.job, ranked.plan)
    said = {
        "none": "no recomputation needed",
        "selective": "only the attention core is recomputed",
        "full": "full recomputation makes it fit",
    }
    other = (
        f"{name} are recomputed" if ranked.plan.modules else f"recomputation of {name} layers per chunk makes it fit"
    )
    return f"{said.get(name, other)} ({format_bytes(ranked.capacity - ranked.need)} to spare)"


def loses(other: Ranked, first: Ranked) -> str:
    """What a runner-up pays and what it saves against the first."""
    slower = other.step_time / first.step_time - 1
    deltas = {k: float(part) - float(first.estimate.time.parts[k]) for k, part in other.estimate.time.parts.items()}
    pays = max(deltas, key=lambda k: deltas[k])
    width = band(first.job, first.plan).width
    tie = width is not None and tied(first.step_time, other.step_time, width)
    text = f"{slower:+.1%}" + (f", a tie within ±{width:.0%}" if tie else "")
    if deltas[pays] > 0:
        text += f": {format_seconds(deltas[pays])} more {PART_NAMES[pays]}"
    gains = min(deltas, key=lambda k: deltas[k])
    if deltas[gains] < -0.005 * first.step_time:
        text += f", {format_seconds(-deltas[gains])} less {PART_NAMES[gains]}"
    freed = first.need - other.need
    if abs(freed) > GIB:
        text += f"; {'frees' if freed > 0 else 'needs'} {format_bytes(abs(freed))}{'' if freed > 0 else ' more'}"
    return text + "."


def with_band(ranked: Ranked) -> str:
    """A step time with its 80 % band: "13.9 s ±7%", "13.9 s ±?" where nothing like it was measured."""
    width = band(ranked.job, ranked.plan).width
    return f"{format_seconds(ranked.step_time)} {'±?' if width is None else f'±{width:.0%}'}"


def memory_words(ranked: Ranked) -> str:
    """A peak with its band and the limit: "71.2 ± 5.9 of 78.0 GiB", "71.2 ± ? of 78.0 GiB"."""
    ends = memory_range(ranked.job, ranked.need)
    wide = "?" if ends is None else f"{(ends[1] - ranked.need) / GIB:.1f}"
    return f"{ranked.need / GIB:.1f} ± {wide} of {ranked.capacity / GIB:.1f} GiB"


def fit_words(ranked: Ranked) -> str:
    """What the band says of a plan's fit, in a sentence."""
    found = memory_band(ranked.job)
    if found.width is None:
        return f"peak ± ?, {found.reason}"
    said = f"peak ±{found.width:.0%} holds {found.reason}"
    tight = fit_verdict(ranked.job, ranked.need, ranked.capacity) == "tight"
    return f"{said}; tight: the limit lies inside (--margin or --strict-fit keeps clear of it)" if tight else said


def band_words(ranked: Ranked) -> str:
    """What the ± behind a step time means."""
    found = band(ranked.job, ranked.plan)
    return f"±?, {found.reason}." if found.width is None else f"±{found.width:.0%} holds {found.reason}."


def moment(ranked: Ranked) -> str:
    """The moment of a step at which the fullest rank is fullest."""
    return MOMENTS[int(ranked.estimate.moment)]


def largest_part(ranked: Ranked) -> str:
    """The component that takes most memory on the fullest rank."""
    parts = {name: float(part) for name, part in ranked.estimate.memory.parts.items()}
    return max(parts, key=lambda name: parts[name])


def miss(ranked: Ranked) -> str:
    """How far a plan is from fitting, on which rank, and what takes most."""
    part = largest_part(ranked)
    size = float(ranked.estimate.memory.parts[part])
    return (
        f"{degrees(ranked.plan)}, recompute {recompute_words(ranked.job, ranked.plan)}: needs "
        f"{format_bytes(ranked.need)}, short by {format_bytes(ranked.need - ranked.capacity)} on rank "
        f"{float(ranked.estimate.rank):.0f}, {moment(ranked)} ({part} {format_bytes(size)})"
    )


def relaxation(names: tuple[str, ...]) -> str:
    """What was given up, as a sentence."""
    return ", ".join(RELAXATIONS[name][0] for name in names)


def wider(found: Loosened) -> str:
    """The pins that had to go, and the best plan without them."""
    return f"{' '.join(found.pins)}: {summary(found.ranked)}"


def where_it_fits(answer: Recommendation) -> str:
    """The smallest cluster that holds the job as asked, or why none is named."""
    device, found = answer.job.cluster.accelerator.name, answer.larger
    if found.gpus is not None:
        return f"{found.gpus} × {device}, as asked"
    left = [f"{what} was not tried ({option})" for what, option in answer.untried if what == "context parallelism"]
    return "; ".join([f"no number of {device}: {found.why}", *left])


def warning(fits: bool, runs: bool) -> tuple[str, ...]:
    """What a script has to know that takes exit code 0 for "fits"."""
    return ("exit 0 although nothing fits as asked; --exact makes that exit 1",) if runs and not fits else ()


def unfit(answer: Recommendation) -> tuple[str, ...]:
    """For those who see one plan only: that the job does not fit as asked, and what would."""
    if answer.fits:
        return ()
    near = [f"does not fit as asked; nearest: {miss(one)}" for one in answer.misses[:1]]
    without = [f"fits without {wider(answer.loosened)}"] if answer.loosened else []
    return (*near, f"fits on {where_it_fits(answer)}", *without)
