"""Every plan that a job admits, as batches of arrays.

All of tp x cp x ep x pp x dp x b x sp x v x k x ZeRO x head x schedule, degrees over divisors. The choices of
(v, k, ZeRO, head) depend on pp and on whether dp*cp > 1 only, so that they and the rest span a grid each: what depends
on one side of it is computed once per row or column. In rows, those that differ in (v, k, ZeRO, head) only are
neighbours (`planner.cost.runs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from itertools import accumulate, groupby, product
from typing import Any

import numpy as np

from planner.frozen import frozen
from planner.plan import ANY, Ints, Plan, Range, divisors
from planner.schedules import SCHEDULES, Schedule, offered
from planner.stages import chunk_layers, most_stages, short_chunks
from planner.training.job import Job
from planner.training.policies import RECOMPUTE, Policy, policies, untried_policies
from planner.training.rule import head_worth

BLOCK = 32768
"""Plans per batch: their temporaries stay in a core's cache."""

LONG = 16384
"""Tokens per sequence from which on context parallelism is searched unasked; below it gains a percent or nothing."""

LEAST = 8192
"""Plans of which a batch of their own is worth its fixed cost: the thousand array operations that score it."""


@frozen
class Bounds:
    """What the options pin or bound; a dimension that is not named is free.

    Attributes:
        ranges: by field name of `Plan` (tp, cp, ep, pp, v, dp, b, m, sp, zero, recompute_layers, head).
        schedules: admitted names, or None for the framework's.
        recompute: admitted policies among none, selective, full, block; None for all.
        modules: what "selective" recomputes; dispatchers: admitted names; None: those of `planner.training.policies`.
    """

    ranges: dict[str, Range] = field(default_factory=dict)
    schedules: frozenset[str] | None = None
    recompute: frozenset[str] | None = None
    modules: tuple[str, ...] | None = None
    dispatchers: frozenset[str] | None = None

    def __getitem__(self, name: str) -> Range:
        return self.ranges.get(name, ANY)


def plans(job: Job, bounds: Bounds) -> Iterator[Plan]:
    """All plans inside the bounds, in batches of one schedule and policy: large grids, the rest as rows."""
    if "zero" in bounds.ranges and not shards(job, bounds):
        bounds = replace(bounds, ranges={name: kept for name, kept in bounds.ranges.items() if name != "zero"})
    for schedule, policy in product(_schedules(job, bounds), policies(job, bounds)):
        small: list[Grid] = []
        for grid in _grids(job, bounds, schedule, policy):
            if grid.size < LEAST:
                small.append(grid)
            else:
                yield from (replace(part.plan, schedule=schedule, **policy) for part in grid.parts())
        yield from (replace(plan, schedule=schedule, **policy) for plan in _rows(small))


def _schedules(job: Job, bounds: Bounds) -> list[str]:
    names = offered(job.framework.schedules, bounds.schedules or ())
    return [n for n in names if bounds.schedules is None or n in bounds.schedules] or sorted(bounds.schedules or ())


def _unpiped(job: Job, bounds: Bounds) -> str:
    """The schedule under which plans without a pipeline are listed, once: they are the same under all that run them."""
    return min(_schedules(job, bounds), key=lambda name: _awkward(SCHEDULES[name]))


def _awkward(schedule: Schedule) -> tuple[bool, bool, bool]:
    """Orders schedules by how well they stand for no pipeline: one chunk, many micro-batches, the usual optimizer."""
    return schedule.chunks != 1, schedule.undivided, schedule.asynchronous


FIXED = ("tp", "cp", "ep", "etp", "pp", "dp", "dp_replicate", "b", "m", "sp")
INNER = ("v", "recompute_layers", "zero", "head")


@frozen
class Grid:
    """Every row of `outer` [g, 10], values of FIXED, with every row of `inner` [i, 4], values of INNER; one pp."""

    outer: Ints
    inner: Ints

    @property
    def size(self) -> int:
        """Plans in it."""
        return len(self.outer) * len(self.inner)

    @property
    def plan(self) -> Plan:
        """Columns [g, 1] and [1, i]; pp, which is one number, [1, 1]."""
        columns = dict(zip(FIXED, np.ascontiguousarray(self.outer.T)[:, :, None], strict=True))
        columns |= zip(INNER, np.ascontiguousarray(self.inner.T)[:, None, :], strict=True)
        return Plan(**columns | {"pp": columns["pp"][:1]})

    def parts(self) -> Iterator[Grid]:
        """Grids of at most BLOCK plans that make up this one."""
        rows = max(1, BLOCK // len(self.inner))
        rows = -(-len(self.outer) // -(-len(self.outer) // rows))
        for start in range(0, len(self.outer), rows):
            for first in range(0, len(self.inner), BLOCK):
                yield Grid(self.outer[start : start + rows], self.inner[first : first + BLOCK])


def _rows(grids: list[Grid]) -> Iterator[Plan]:
    """The plans of small grids one after the other, joined until there are about BLOCK of them."""
    ends = accumulate(grid.size for grid in grids)
    for _, some in groupby(zip(ends, grids, strict=True), key=lambda one: one[0] // BLOCK):
        yield _joined([grid for _, grid in some])


def _joined(grids: list[Grid]) -> Plan:
    """The plans of grids one by one, those of one row of `outer` neighbours."""
    columns: Any = np.empty((len(FIXED) + len(INNER), sum(grid.size for grid in grids)), dtype=int)
    end = 0
    for grid in grids:
        start, end = end, end + grid.size
        part = columns[:, start:end].reshape(-1, len(grid.outer), len(grid.inner))
        part[: len(FIXED)], part[len(FIXED) :] = grid.outer.T[:, :, None], grid.inner.T[:, None, :]
    return Plan(**dict(zip((*FIXED, *INNER), columns, strict=True)))


def _grids(job: Job, bounds: Bounds, schedule: str, policy: Policy) -> Iterator[Grid]:
    """Grids of every (tp, cp, ep, dp, b, sp) and every (v, k, ZeRO, head), one per pp and per set of the latter."""
    outer: dict[tuple[int, bool], list[tuple[int, ...]]] = {}
    for degrees in layouts(job, bounds):
        tp, cp, _, _, pp, dp, _ = degrees
        if pp == 1 and schedule != _unpiped(job, bounds):
            continue
        sps = bounds["sp"].keep((0, 1) if tp > 1 else (0,))
        rows = outer.setdefault((pp, dp * cp > 1), [])
        rows += [(*degrees, b, m, sp) for b, m in _batches(job, bounds, schedule, pp, dp) for sp in sps]
    for (pp, sharded), fixed in outer.items():
        inner = _inner(job, bounds, schedule, policy, pp, sharded)
        if fixed and len(inner):
            yield Grid(np.array(fixed), inner)


def _batches(job: Job, bounds: Bounds, schedule: str, pp: int, dp: int) -> list[tuple[int, int]]:
    """(b, m): sequences per micro-batch and micro-batches."""
    share, rest = divmod(job.workload.global_batch, dp)
    if rest:
        return []
    pairs = [(b, share // b) for b in bounds["b"].keep(divisors(share)) if share // b in bounds["m"]]
    record = SCHEDULES[schedule]
    return [(b, m) for b, m in pairs if record.meets(pp, m, record.usual_chunks)]


def layouts(job: Job, bounds: Bounds) -> Iterator[tuple[int, ...]]:
    """(tp, cp, ep, etp, pp, dp, dp_replicate): meshes of the cluster.

    Unless an option says otherwise, tp stays inside the scale-up domain (no published run gains by leaving it), cp is 1
    for short sequences, dp_replicate 1, and ep and etp are 1 for dense models.
    """
    model, gpus = job.model, job.cluster.gpus
    widest = gpus if "tp" in bounds.ranges else job.cluster.domain
    deepest = most_stages(model.layers, job.framework.layouts and "pp" in bounds.ranges)
    tps = [d for d in bounds["tp"].keep(divisors(gpus)) if d <= widest]
    for tp in [d for d in tps if model.heads % d == 0] or tps:
        for cp in bounds["cp"].keep(divisors(gpus // tp)) if searches_context(job, bounds) else [1]:
            for pp in bounds["pp"].keep(d for d in divisors(gpus // tp // cp) if d <= deepest):
                dp = gpus // tp // cp // pp
                if dp in bounds["dp"]:
                    for copies in bounds["dp_replicate"].keep(divisors(dp)) if "dp_replicate" in bounds.ranges else [1]:
                        for ep, etp in _experts(job, bounds, tp, dp // copies * cp * tp):
                            yield tp, cp, ep, etp, pp, dp, copies


def shards(job: Job, bounds: Bounds) -> bool:
    """Whether some layout has ranks to shard over; elsewhere every ZeRO stage is stage 0."""
    return any(dp * cp > 1 for _, cp, _, _, _, dp, _ in layouts(job, bounds))


def searches_context(job: Job, bounds: Bounds) -> bool:
    """Whether degrees of context parallelism are tried: where sequences are long, or when asked."""
    return "cp" in bounds.ranges or job.workload.seq >= LONG


def untried(job: Job, bounds: Bounds) -> tuple[tuple[str, str], ...]:
    """What the search leaves out for speed, and the option that opens it."""
    gpus, found = job.cluster.gpus, []
    if gpus > 1 and not searches_context(job, bounds):
        found.append(("context parallelism", "--cp 1..8"))
    if gpus > 1 and searches_context(job, bounds) and len(job.contexts) < len(set(job.framework.context)):
        left = [kind for kind in job.framework.context if kind not in job.contexts]
        found += [(f"{kind} over cp", f"--cp-comm {kind}") for kind in left if job.workload.context is None]
    if gpus > job.cluster.domain and "tp" not in bounds.ranges:
        found.append((f"tp beyond the {job.cluster.domain} GPUs of a scale-up domain", f"--tp 1..{gpus}"))
    if job.framework.hybrid_shard and gpus > 1 and "dp_replicate" not in bounds.ranges:
        found.append(("copies of sharded states", f"--dp-replicate 1..{gpus}"))
    return (*found, *untried_policies(job, bounds))


def _experts(job: Job, bounds: Bounds, tp: int, ranks: int) -> list[tuple[int, int]]:
    """(ep, etp): experts spread over divisors of their number, each whole or split over tp, or as asked, in `ranks`."""
    moe = job.model.moe
    eps = bounds["ep"].keep(divisors(moe.experts) if moe else [1])
    split = divisors(moe.ffn) if moe and "etp" in bounds.ranges else sorted({1, tp} if moe else {1})
    etps = bounds["etp"].keep(split)
    return [(ep, etp) for ep in eps for etp in etps if ranks % (ep * etp) == 0]


def _inner(job: Job, bounds: Bounds, schedule: str, policy: Policy, pp: int, sharded: bool) -> Ints:
    """Rows (v, k, ZeRO stage, head) for a pipeline depth."""
    layers = job.model.layers
    zeros = bounds["zero"].keep(_zero_stages(job, pp, sharded)) or bounds["zero"].keep(range(4))
    vs = bounds["v"].keep(_virtual_stages(job, bounds, schedule, pp))
    pairs = np.array([(v, head) for v in vs for head in bounds["head"].keep(_head_layers(job, pp, v))]).reshape(-1, 2)
    every = Plan(pp=pp, v=pairs[:, 0], head=pairs[:, 1], schedule=schedule)
    chunks = np.broadcast_to(chunk_layers(layers, every), len(pairs)).astype(int)
    rows = [np.empty((0, 4), dtype=int)]
    for (v, head), chunk in zip(pairs, chunks.tolist(), strict=True):
        ks = _recomputed(bounds, chunk, policy)
        table = np.empty((len(ks), len(zeros), 4), dtype=int)
        table[..., 0], table[..., 1], table[..., 2], table[..., 3] = v, np.reshape(ks, (-1, 1)), zeros, head
        rows.append(table.reshape(-1, 4))
    return np.concatenate(rows)


def _virtual_stages(job: Job, bounds: Bounds, schedule: str, pp: int) -> list[int]:
    """Chunks per rank that the schedule takes and the framework can place.

    What is searched spares no more than `short_chunks` layers: with more, fewer chunks are as long. Where somebody
    states chunks, recomputed layers or a schedule that nothing else suits, more may be spared; stated chunks may leave
    the embedding and the loss without a layer.
    """
    record, layers = SCHEDULES[schedule], job.model.layers
    if record.chunks == 1:
        return [1]
    if pp == 1:
        return []
    uneven = job.framework.uneven_layers
    slots = most_stages(layers, job.framework.layouts and "v" in bounds.ranges)
    most = record.chunks or slots // pp
    wanted = [v for v in range(2, most + 1) if record.takes(v) and pp * record.cuts(v) <= slots]
    if uneven and not {"v", "recompute_layers"}.isdisjoint(bounds.ranges):
        return wanted
    allowed = short_chunks(pp) if uneven else 0
    near = [v for v in wanted if record.cuts(v) == 1 or -layers % (pp * v) <= allowed]
    return near or (wanted if uneven and bounds.schedules else [])


def _head_layers(job: Job, pp: int, v: int) -> range:
    """Layers that the head may count for: up to its worth, where the framework can place layers unevenly."""
    movable = pp > 1 and v == 1 and job.framework.uneven_layers
    worth = head_worth(job) if movable else 0
    return range(worth if job.framework.counts_head else 0, worth + 1)


def _zero_stages(job: Job, pp: int, sharded: bool) -> list[int]:
    deepest = 0 if not sharded else job.framework.zero_with_pipeline if pp > 1 else 3
    return [z for z in job.framework.zero if z <= deepest]


def _recomputed(bounds: Bounds, chunk: int, policy: Policy) -> list[int]:
    """k, layers recomputed per chunk: 0, some (block) or all (full), as the policies admit.

    Beside modules other than the attention core, and beside overlapped expert traffic, there are none.
    """
    admitted, modules = RECOMPUTE if bounds.recompute is None else bounds.recompute, policy["modules"]
    ks = [0] if "none" in admitted or modules else []
    if modules not in ((), ("core_attn",)) or policy["overlap"]:
        return bounds["recompute_layers"].keep(ks)
    if "block" in admitted:
        ks += range(1, chunk)
    if "full" in admitted:
        ks.append(chunk)
    return bounds["recompute_layers"].keep(ks)


def recompute_name(job: Job, plan: Plan) -> str:
    """none, selective, full, or "3 of 10" layers of each chunk."""
    chunk = int(chunk_layers(job.model.layers, plan))
    if plan.recompute_layers == 0:
        return "selective" if plan.modules else "none"
    return "full" if plan.recompute_layers >= chunk else f"{plan.recompute_layers} of {chunk}"


def recompute_words(job: Job, plan: Plan) -> str:
    """The same with the names of recomputed modules: "layernorm, moe_act"."""
    name = recompute_name(job, plan)
    return ", ".join(plan.modules) if name == "selective" and plan.modules != ("core_attn",) else name
