"""Sentences about cluster sizes, out of their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from planner.bands import band
from planner.catalog.clusters import cluster_spec
from planner.launch.targets import writes
from planner.questions.size import SizeAnswer
from planner.report.words import degrees, largest_part
from planner.sizing.answers import WORTH, Binding, Rung
from planner.sizing.money import Bill, instances
from planner.sizing.point import Point
from planner.training.space import recompute_name
from planner.units import format_bytes, format_count, format_seconds


def usd(value: float) -> str:
    """ "310 k$"."""
    return f"{format_count(value)}$" if value >= 1000 else f"{value:,.2f} $"


def shape(p: Point) -> str:
    """ "16 × 8 h100-sxm5-80gb", "4 h100-sxm5-80gb"; the instance type where the user named one."""
    cluster = p.ranked.job.cluster
    if p.kind.whole:
        return f"{p.nodes:,} × {cluster.node.name}"
    nodes = f"{p.nodes:,} × " if p.nodes > 1 else ""
    return f"{nodes}{cluster.used} {cluster.accelerator.name}"


def time_range(p: Point) -> tuple[float, float] | None:
    """Seconds between which four runs of five end: t * exp(-w), t * exp(w); None without a time or a band."""
    width = band(p.ranked.job, p.ranked.plan).width
    return None if width is None or p.seconds is None else (p.seconds * exp(-width), p.seconds * exp(width))


def time_with_band(p: Point) -> str:
    """ "29.4 d ±10%", "29.4 d ±?" where nothing like it was measured."""
    width = band(p.ranked.job, p.ranked.plan).width
    return "" if p.seconds is None else f"{format_seconds(p.seconds)} {'±?' if width is None else f'±{width:.0%}'}"


def layout(p: Point) -> str:
    """Degrees and recomputation in a few words."""
    name = recompute_name(p.ranked.job, p.ranked.plan)
    return degrees(p.ranked.plan) + ("" if name == "none" else f", recompute {name}")


def rent(p: Point) -> list[str]:
    """Instance types that can stand in for the cluster, of every provider those with the fewest GPUs to spare:
    "128 × p5.48xlarge (aws)".
    """
    found, least = instances(p.gpus, p.nodes, p.kind.types), dict[str | None, int]()
    for node, n in found:
        least[node.provider] = min(n * node.count, least.get(node.provider, n * node.count))
    fitting = [(node, n) for node, n in found if n * node.count == least[node.provider]]
    return [f"{n:,} × {node.name} ({node.provider})" for node, n in fitting]


def price_words(paid: Bill) -> str:
    """Whose price it is, of what, where and when."""
    if paid.node is None or paid.node.price is None:
        return f"{usd(paid.usd_per_hour)} per hour, at the price given"
    node, price = paid.node, paid.node.price
    where = f"{node.provider}, {price.region}, on demand; {price.date}"
    each = f"{paid.instances:,} × {node.name} at {price.usd_per_hour:,.2f} $/h ({where})"
    return f"{usd(paid.usd_per_hour)} per hour: {each}"


def binding_words(found: Binding, answer: SizeAnswer) -> str:
    """Why no smaller size will do."""
    if found.miss is not None:
        over = found.miss.need - found.miss.capacity
        what = f"{largest_part(found.miss)} takes most" if over > 0 else "no plan fits"
        verb = "GPU is" if found.gpus == 1 else "GPUs are"
        return f"{found.gpus:,} {verb} short by {format_bytes(over)}: {what}"
    if found.point is not None and found.what == "deadline":
        return f"{found.gpus:,} GPUs take {format_seconds(found.point.seconds or 0.0)}"
    if found.point is not None and found.what == "budget":
        return f"{found.gpus:,} GPUs cost {usd(found.point.cost or 0.0)}"
    if found.what == "rules":
        return f"no plan for {found.gpus:,} GPUs obeys the rules"
    return "nothing smaller was asked for" if found.gpus == 0 else f"{found.gpus:,} GPUs would do as well"


def nearest_words(answer: SizeAnswer) -> list[str]:
    """ "needs 26 d or 310 k$": what comes nearest to limits that nothing keeps."""
    near, limits = answer.nearest, answer.question.limits
    within = "" if limits.deadline is None else f" within {format_seconds(limits.deadline)}"
    under = "" if limits.budget is None else f" for {usd(limits.budget)}"
    said = []
    if limits.deadline is not None and near.quickest is not None:
        said.append(f"needs {format_seconds(near.quickest.seconds or 0.0)}{under}: {_where(near.quickest)}")
    if limits.budget is not None and near.quickest is None and near.least is not None:
        said.append(f"needs {usd(near.least.cost or 0.0)} with time to spare: {_where(near.least)}")
    if limits.budget is not None and limits.deadline is not None and near.cheapest is not None:
        said.append(f"needs {usd(near.cheapest.cost or 0.0)}{within}: {_where(near.cheapest)}")
    largest = near.quickest is not None and 2 * near.quickest.gpus > answer.question.most
    if limits.deadline is not None and largest:
        said.append(f"up to {answer.question.most:,} GPUs were tried: --max-gpus allows more")
    if limits.deadline is not None and near.quickest is None and near.cheapest is None:
        said.append(f"nothing up to {answer.question.most:,} GPUs is ready{within}: --max-gpus allows more")
    return said


def _where(p: Point) -> str:
    money = "" if p.cost is None else f", {usd(p.cost)}"
    return f"{p.gpus:,} GPUs ({shape(p)}), {format_seconds(p.seconds or 0.0)}{money}"


def pays_words(rungs: Sequence[Rung], pays: Point | None) -> str:
    """Up to where scaling pays, on a curve of two points or more."""
    meaning = f"{WORTH:g}x per doubling of GPUs"
    if pays is None:
        return f"pays up to the {rungs[-1].point.gpus:,} GPUs that were tried: every step gains at least {meaning}"
    stopped = next(r for r in rungs if r.gain is not None and r.gain < WORTH)
    return f"pays up to {pays.gpus:,} GPUs: the next step gains {stopped.gain:.2f}x instead of {meaning}"


def failure_words(p: Point, answer: SizeAnswer) -> str:
    """What failures take of the time."""
    failures = answer.question.run.failures
    assert failures is not None
    return (
        f"one in {format_seconds(failures.mttf(p.nodes))} on {p.nodes:,} nodes; a checkpoint every "
        f"{format_seconds(failures.interval(p.nodes))} (Young/Daly) leaves {p.share:.1%} of the time; "
        f"{p.spares} spare nodes, not in the cost"
    )


def next_commands(p: Point, job: str) -> list[str]:
    """What to ask next of the size that answers."""
    ask = f"{job} --gpus {cluster_spec(p.ranked.job.cluster)}".strip()
    written = [f"planner launch {ask}"] if writes(p.ranked.job, p.ranked.plan) else []
    return [f"planner recommend {ask}", *written]
