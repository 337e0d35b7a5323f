"""Prefill and decode on pools of their own: the smallest that carry a load, or as many as match where none is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.cost import collectives
from planner.frozen import frozen
from planner.plan import ANY, Floats, Num, OnePlan, Plan, Range
from planner.schema.serving import ServeWorkload
from planner.serving.estimate import decode_step, encoding, prefill
from planner.serving.job import ServeJob, copies, replica_gpus, width
from planner.serving.memory import most_running, prompt_bytes, spare
from planner.serving.options import P99
from planner.serving.rules import legal
from planner.serving.space import ServeBounds, layouts, loads, with_loads

BUSY = 0.8
"""Share of its capacity at which a prefill pool is run, so that prompts need not queue for long (M/D/1: waiting twice a
service time)."""

TIE = 1e-7
"""Accelerators that a second of a request's time is worth: of pools as small as each other the fastest."""


@frozen
class Pools:
    """x prefill and y decode instances.

    Attributes:
        prefill, decode: one instance of each; its dp is the number of instances.
        running: requests that decode in each instance, as Little's law has it.
        ttft, tpot: seconds; transfer: of ttft, moving a prompt's cache; requests: per second, of both pools together.
    """

    prefill: OnePlan
    decode: OnePlan
    running: float
    ttft: float
    tpot: float
    transfer: float
    requests: float

    @property
    def gpus(self) -> float:
        """Accelerators of both pools."""
        return float(replica_gpus(self.prefill) * self.prefill.dp + replica_gpus(self.decode) * self.decode.dp)


def mean_bound(workload: ServeWorkload, name: str) -> float:
    """The bound on a mean that keeps the workload's level on its statistic; infinite where there is none."""
    level = getattr(workload, name)
    return np.inf if level is None else float(level) / (P99[name] if workload.statistic == "p99" else 1.0)


def prefill_rate(job: ServeJob, plan: Plan) -> Num:
    """Prompts per second of one prefill instance: prompts in all copies of the attention hold their slowest stage for
    chunks * cycle, the first for their images' encoder as well.
    """
    many = copies(plan)
    chunks: Num = np.ceil(job.workload.fresh / job.engine.chunk)
    seeing = encoding(job, plan)
    text = many * (chunks + plan.pp - 1.0) / chunks / (prefill(job, plan, many) - seeing)
    return 1.0 / (1.0 / text + seeing / many) if job.workload.images else text


def transfer_time(job: ServeJob, source: Plan, target: Plan) -> Num:
    """Seconds to move a prompt's keys and values: each rank of the narrower instance sends or receives its share.

    bytes of a prompt per rank / rate of one port, between neighbours of one scale-up domain where both fit one.
    """
    return _moved(job, source, target, prompt_bytes(job, source), prompt_bytes(job, target))


def _moved(job: ServeJob, source: Plan, target: Plan, sent: Num, got: Num) -> Num:
    both = width(source) * source.pp + width(target) * target.pp
    return collectives.hop(job.cluster, np.maximum(sent, got), both / 2.0, 2.0)


def pools(job: ServeJob, first: ServeBounds, second: ServeBounds) -> Pools | None:
    """The best pools under the workload's bounds, with what prefill and decode instances are pinned to, or None.

    Under a rate R: the fewest accelerators, then the fastest request, of x prefill instances with R <= BUSY * x * r_p
    and y decode instances with R <= y * B / (OSL * step). Without one, the most tokens per second and accelerator of
    those that match: requests/s = min(BUSY * x * r_p, y * B / (OSL * step)). x*gp + y*gd <= GPUs.
    """
    sources, targets = _instances(job, first), _instances(job, second)
    if not len(sources) or not len(targets):
        return None
    w, decode = job.workload, with_loads(targets, loads())
    step = np.asarray(decode_step(job, decode, w.input + 0.5 * w.output).total)
    good = np.asarray(decode.b * decode.m <= most_running(job, decode)) & (step <= mean_bound(w, "tpot"))
    if not good.any():
        return None
    targets = decode[good]
    side = _Decode(targets, step[good], replica_gpus(targets), second["dp"], prompt_bytes(job, targets))
    each = np.stack((prefill(job, sources, 1.0), prefill_rate(job, sources), prompt_bytes(job, sources)), axis=1)
    found = [_match(job, sources[i], first["dp"], side, *one) for i, one in enumerate(each.tolist())]
    best = max((f for f in found if f is not None), key=lambda f: f[0], default=None)
    return None if best is None else best[1]


def _instances(job: ServeJob, bounds: ServeBounds) -> Plan:
    """Legal layouts of one instance with room for at least one request; the bound on dp counts instances."""
    layout = ServeBounds({name: kept for name, kept in bounds.ranges.items() if name != "dp"})
    plans = layouts(job, layout)
    plans = plans[legal(job, plans)[0]] if len(plans) else plans
    if not len(plans):
        return plans
    return plans[np.asarray(spare(job, plans, 1.0, 1.0 * job.workload.length) > 0.0)]


@frozen
class _Decode:
    """Decode layouts times loads, with seconds per step, accelerators, how many instances are admitted, and bytes of a
    prompt on a rank.
    """

    plans: Plan
    step: Floats
    gpus: Num
    count: Range
    kept: Num

    def instances(self, wanted: Floats, room: Floats) -> Floats:
        """The least number of instances from `wanted` on that is admitted; 0 where it exceeds the room."""
        if self.count is ANY:
            return np.where(wanted <= room, wanted, 0.0)
        admitted = np.array([*self.count.keep(range(1, int(np.max(room, initial=0)) + 1)), np.inf])
        found = admitted[np.searchsorted(admitted, wanted)]
        return np.where(found <= room, found, 0.0)


def _match(
    job: ServeJob, first: Plan, count: Range, side: _Decode, alone: float, each: float, kept: float
) -> tuple[float, Pools] | None:
    """The best decode instances and counts for one prefill layout, and how good they are.

    `alone`: seconds of a prompt; `each`: prompts per second; `kept`: bytes of a prompt on a rank.
    """
    gp, gpus = float(replica_gpus(first)), job.cluster.gpus
    moved = np.broadcast_to(_moved(job, first, side.plans, kept, side.kept), side.step.shape)
    best: tuple[float, Pools] | None = None
    for x in count.keep(range(1, int((gpus - 1) // gp) + 1)):
        inflow = BUSY * x * each
        if job.workload.rate is not None and job.workload.rate > inflow:
            continue
        found = _beside(job, replace(first, dp=x), alone, inflow, side, moved)
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    return best


def _beside(
    job: ServeJob, first: Plan, alone: float, inflow: float, side: _Decode, moved: Floats
) -> tuple[float, Pools] | None:
    """The best decode instances beside x prefill instances that take at most `inflow` prompts per second."""
    w, taken = job.workload, float(replica_gpus(first)) * first.dp
    rate = side.plans.b * side.plans.m / (w.output * side.step)
    room = np.floor((job.cluster.gpus - taken) / side.gpus)
    wanted = np.ceil((inflow if w.rate is None else w.rate) / rate)
    y = side.instances(np.minimum(wanted, np.maximum(room, 1.0)) if w.rate is None else wanted, room)
    total = np.minimum(inflow, y * rate) if w.rate is None else w.rate + 0.0 * rate
    busy = BUSY if w.rate is None else BUSY * w.rate / inflow
    ttft = job.engine.front + alone * (1.0 + busy / (2.0 * (1.0 - busy))) + moved + 0.5 * side.step
    used = taken + np.maximum(y, 1.0) * side.gpus
    stay = ttft + (w.output - 1.0) * side.step
    value = total * w.output / used if w.rate is None else -used - TIE * stay
    value = np.where((y >= 1) & (ttft <= mean_bound(w, "ttft")), value, -np.inf)
    row = int(np.argmax(value))
    if not np.isfinite(value[row]):
        return None
    running = float(total[row] / y[row]) * w.output * float(side.step[row])
    found = Pools(
        prefill=first.scalar(),
        decode=replace(side.plans[row], dp=int(y[row])).scalar(),
        running=running,
        ttft=float(ttft[row]),
        tpot=float(side.step[row]),
        transfer=float(moved[row]),
        requests=float(total[row]),
    )
    return float(value[row]), found
