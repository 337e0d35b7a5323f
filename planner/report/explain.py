"""Every number of one plan: symbol = formula = result, with its variables, its source and how far to trust it.

Nothing here knows a formula: the estimate is evaluated once more with numbers that write down what is done to them
(`planner.formula`), and every named result that the answer rests on is a line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, field
from functools import partial
from itertools import chain, count
from textwrap import wrap
from typing import TYPE_CHECKING, Any, cast

from planner.bands import band
from planner.blocks.counts import parameters
from planner.blocks.record import Structure
from planner.formula import NAMED, ZERO, Origin, Trace, Traced, fact, named_in, tracing, written
from planner.frozen import frozen
from planner.plan import OnePlan, largest_of
from planner.questions.train import Ranked, usable_memory
from planner.report.advice import schedule_lines, sensitivity_lines
from planner.report.facts import UNIT, traced_job, traced_plan
from planner.report.grid import READABLE
from planner.report.profiles import SAYS
from planner.report.words import PART_NAMES, degrees, relaxation
from planner.schema.model import Model
from planner.stages import total
from planner.training.estimate import step_time
from planner.training.job import Job
from planner.training.moments import MOMENTS, allocated_bytes, rank_moments
from planner.training.space import recompute_words
from planner.training.throughput import throughput
from planner.units import format_bytes, format_count, format_flops

if TYPE_CHECKING:
    from planner.documents.values import Line as LineData

SHOWN: dict[str, Callable[[float], str]] = {unit: SAYS[dimension] for dimension, unit in UNIT.items()} | {
    "parameters": format_count,
    "FLOP": lambda value: format_flops(value).removesuffix("/s"),
}


@frozen
class Variable:
    """One number in a formula, in SI units."""

    value: float
    unit: str


@frozen
class Line:
    """One number.

    Attributes:
        group: parameters, memory, operators, time or throughput.
        symbol: in words; name: as other lines' formulas have it.
        formula: of `variables`, and of max, min, floor, ceil, sqrt and log2: Python gives `value` for it.
        numbers: the variables as shown; value: SI; unit: of value; text: the value as shown.
        trust: measured, datasheet, assumed or exact (arithmetic).
    """

    group: str
    symbol: str
    formula: str
    numbers: str
    value: float
    unit: str
    text: str
    source: str
    trust: str
    name: str = ""
    variables: dict[str, Variable] = field(default_factory=dict)


def explanation(ranked: Ranked) -> list[Line]:
    """All lines of one plan: the results that its memory, its time and its throughput rest on."""
    with tracing() as trace:
        roots = _roots(trace, ranked)
    return [*lines_of(trace, roots, ranked.job.structure), *_band(ranked.job, ranked.plan)]


def lines_of(trace: Trace, roots: dict[str, list[Traced]], of: Structure) -> list[Line]:
    """A line for each result that the roots of every group rest on; those of the model's blocks are operators."""
    group = _groups(roots, tuple(kind.title for kind in of.kinds))
    results = [one for one in trace.results if id(one) in group]
    names = Names(results)
    lines = [_line(one, group[id(one)], names) for one in results if names.first(one)]
    return sorted(lines, key=lambda line: GROUPS.index(line.group))


GROUPS = ("parameters", "memory", "operators", "time", "throughput")


def _roots(trace: Trace, ranked: Ranked) -> dict[str, list[Traced]]:
    """What is explained, by the group in which it lies; all that it rests on is in the trace."""
    job, plan, rank = traced_job(ranked.job), traced_plan(ranked.plan), int(ranked.estimate.rank)

    result = partial(root, trace)
    found = next(found for found, at in rank_moments(job, plan) if int(at) == rank)
    usable = usable_memory(job)
    held = [one for name, memory in found.items() for one in result(memory.total, name, "bytes", "sum of the parts")]
    held += result(largest_of(held), f"peak, rank {rank}", "bytes", "the largest of the moments")
    fullest = found[MOMENTS[int(ranked.estimate.moment)]]
    held += result(allocated_bytes(fullest), f"allocated, rank {rank}", "bytes", "torch.cuda.max_memory_allocated")
    held += result(usable, "usable memory", "bytes", job.framework.source)
    time = step_time(job, plan)
    step = result(time.total, "step", "s", "sum of the parts")
    speeds = [one for one in throughput(job, step[0]) if isinstance(one, Traced)]
    speeds += result(time.bubble_fraction, "bubble fraction", "1", "GPipe, arXiv:1811.06965, 2.3")
    speeds += result(time.bubble_overhead, "bubble overhead", "1", "Narayanan 2021, arXiv:2104.04473, 2.2.1")
    return {"parameters": whole(trace, job.model), "memory": held, "time": step, "throughput": speeds}


def whole(trace: Trace, model: Model) -> list[Traced]:
    """Parameters of the whole model, by component."""
    counts = parameters(model).parts.items()
    parts = [fact(value, name, "parameters", model.source) for name, value in counts if value]
    return root(trace, total(parts, ZERO), "N, parameters", "parameters", model.source)


def root(trace: Trace, value: Any, name: str, unit: str, source: str) -> list[Traced]:
    """A named result that is explained, unless it is a plain number."""
    if not isinstance(value, Traced):
        return []
    if value.origin.kind in NAMED:
        value = Traced(value, Origin("same", (value,)))
    return [trace.result(value, name, unit, source)]


def _groups(roots: dict[str, list[Traced]], kinds: tuple[str, ...]) -> dict[int, str]:
    """The group of every result that the roots rest on, by its id."""
    found: dict[int, str] = {}

    def walk(one: Traced, group: str) -> None:
        if id(one) in found or one.origin.kind != "result":
            return
        own = "operators" if group == "time" and one.origin.scope.endswith(kinds) else group
        found[id(one)] = "parameters" if one.origin.unit == "parameters" else own
        for part in named_in(one):
            walk(part, "time" if group == "throughput" else group)

    for group, ones in roots.items():
        for one in ones:
            walk(one, group)
    return found


class Names:
    """Names of results: their own, with the scope in front and a number behind where others have it, too."""

    def __init__(self, results: Iterable[Traced]) -> None:
        self._same: dict[int, Traced] = {}
        found: dict[tuple[str, str, str], Traced] = {}
        for one in results:
            scope = one.origin.scope if one.origin.scope.startswith("rank") else ""
            self._same[id(one)] = found.setdefault((worded(one), scope, written(one, self._told)), one)
        short = Counter(worded(one) for one in found.values())
        taken: Counter[str] = Counter()
        self._names: dict[int, str] = {}
        for one in found.values():
            name = worded(one) if short[worded(one)] == 1 else f"{one.origin.scope} {worded(one)}".strip()
            taken[name] += 1
            self._names[id(one)] = name if taken[name] == 1 else f"{name} {taken[name]}"

    def _told(self, one: Traced) -> str:
        kind = one.origin.kind
        return f"<{id(self._same[id(one)])}>" if kind == "result" else f"<{one.origin.name} {float(one)!r}>"

    def first(self, one: Traced) -> bool:
        """Whether no equal result came before."""
        return self._same[id(one)] is one

    def __getitem__(self, one: Traced) -> str:
        """In words."""
        return self._names[id(self._same[id(one)])] if one.origin.kind == "result" else one.origin.name

    def inside(self, one: Traced) -> dict[int, str]:
        """Names in the formula of a result, by id; different numbers have different names."""
        found: dict[int, str] = {}
        told: dict[str, str] = {}
        for part in named_in(one):
            key = self._told(part)
            if key not in told:
                base = identifier(self[part])
                names = chain([base], (f"{base}_{number}" for number in count(2)))
                told[key] = next(name for name in names if name not in told.values())
            found[id(part)] = told[key]
        return found


def worded(one: Traced) -> str:
    """A result's name in words."""
    *before, last = one.origin.name.split(" ")
    if one.origin.unit == "parameters" and "parameters" not in last:
        last = "parameters" if last == "dense" else f"{last} parameters"
    return " ".join([*before, PART_NAMES.get(last, last) if one.origin.unit == "s" else last]).replace("_", " ")


def identifier(symbol: str) -> str:
    """A symbol as formulas have it: "attention + dense qkv forward" is attention_dense_qkv_forward."""
    return re.sub(r"\W+", "_", symbol).strip("_")


def _line(one: Traced, group: str, names: Names) -> Line:
    inside, origin = names.inside(one), one.origin
    parts = {inside[id(part)]: part for part in named_in(one)}
    variables = {name: Variable(float(part), part.origin.unit) for name, part in parts.items()}
    facts = [part.origin.source for part in parts.values() if part.origin.trust == origin.trust != "exact"]
    share = group == "throughput" and origin.unit == "1" and one < 2
    return Line(
        group,
        symbol=names[one],
        formula=written(one, lambda part: inside[id(part)]),
        numbers=", ".join(f"{name} = {shown(each.value, each.unit)}" for name, each in variables.items()),
        value=float(one),
        unit=origin.unit,
        text=f"{float(one):.2%}" if share else shown(one, origin.unit),
        source="; ".join(dict.fromkeys(one for one in (origin.source, *facts) if one)),
        trust=origin.trust,
        name=identifier(names[one]),
        variables=variables,
    )


def shown(value: float, unit: str) -> str:
    """A number in the unit that reads best."""
    if unit in SHOWN:
        return SHOWN[unit](value)
    return f"{value:,.0f}" if value == round(value) or value >= 1e4 else f"{value:.4g}"


def _band(job: Job, plan: OnePlan) -> list[Line]:
    """The band of the step time; no line where nothing like the plan was measured."""
    found = band(job, plan)
    if found.width is None:
        return []
    source = f"80% quantile of abs(log(predicted / measured)): {found.reason}; benchmarks/bands.py"
    value = {"band": Variable(found.width, "1")}
    shown = f"±{found.width:.0%}"
    return [Line("time", "band", "band", found.reason, found.width, "1", shown, source, "measured", "band", value)]


def as_data(lines: list[Line]) -> list[LineData]:
    """The lines for JSON."""
    return [cast("LineData", asdict(line)) for line in lines]


def text(ranked: Ranked, lines: list[Line], width: int | None = None) -> list[str]:
    """The lines for people: grouped, one number each, formula, variables and source below."""
    room = min(width or READABLE, READABLE)
    job, cluster = ranked.job, ranked.job.cluster
    out = [
        f"{job.model.name} on {cluster.gpus:,} × {cluster.accelerator.name}: {degrees(ranked.plan)} m={ranked.plan.m}, "
        f"{ranked.plan.schedule}, recompute {recompute_words(job, ranked.plan)}"
    ]
    if ranked.relaxations:
        out.append(f"relaxed: {relaxation(ranked.relaxations)}")
    if ranked.need > ranked.capacity:
        out.append(f"does not fit: short by {format_bytes(ranked.need - ranked.capacity)}")
    return [*out, *grouped(lines, room), *schedule_lines(ranked), *sensitivity_lines(ranked)]


def grouped(lines: list[Line], room: int) -> list[str]:
    """The lines by group, and the sources that they cite."""
    out = []
    sources = list(dict.fromkeys(source for line in lines for source in line.source.split("; ")))
    for group in GROUPS:
        out += ["", group.upper()]
        out += [row for line in lines if line.group == group for row in _rows(line, sources, room)]
    out += ["", "SOURCES"]
    for number, source in enumerate(sources, start=1):
        out += wrap(f"[{number}] {source}", room, initial_indent="  ", subsequent_indent="      ")
    return out


def _rows(line: Line, sources: list[str], room: int) -> Iterator[str]:
    """One number, and below it the formula, and the variables in it."""
    cited = ", ".join(str(sources.index(source) + 1) for source in line.source.split("; "))
    symbol = f"  {line.symbol:<{min(40, room - 40)}}"
    yield f"{symbol} {line.text:>12}   [{line.trust}: {cited}]"
    for one in (f"= {line.formula}", line.numbers):
        yield from wrap(one, room, initial_indent=" " * 6, subsequent_indent=" " * 8, break_on_hyphens=False)
