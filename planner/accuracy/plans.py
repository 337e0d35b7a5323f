"""The plan of a row, or the few plans that it may mean."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from math import floor
from typing import Any

from planner.accuracy.rows import Row, Unusable, says, whole
from planner.cost.dispatch import DISPATCHERS
from planner.cost.recompute import MODULES
from planner.launch.megatron_layout import read_layout
from planner.plan import OnePlan, Plan
from planner.read.placement import placed
from planner.schedules import MEGATRON, SCHEDULES, run_by, runs
from planner.stages import chunk_layers, lettered
from planner.training.job import Job
from planner.training.rule import head_layers

SCHEDULE_NAMES = {alias: name for name, schedule in SCHEDULES.items() for alias in (name, *schedule.aliases)}
"""Names of schedules as rows spell them. ZB-1p and ZB-2p are searched under the memory limits of ZB-H1 and ZB-H2."""

MOST_CHUNKS = 64
"""Virtual stages that are tried where the row does not state them."""

EMPTY_ENDS = 2
"""Chunks that may hold no layer: the first with the embedding alone, the last with the head (Zero Bubble)."""


NODE = 8
"""Accelerators above which a scale-up domain is a rack: HybridEP's, of the one-copy dispatchers."""


def find_plans(row: Row, job: Job, source: str = "") -> tuple[tuple[OnePlan, ...], tuple[str, ...]]:
    """The plans that a row may mean, one unless it leaves the recomputation open, and labels for what was assumed.

    Raises:
        Unusable: degrees are missing or do not multiply to the GPUs or the batch; a schedule that is not modelled.
    """
    labels: list[str] = []
    tp, pp, cp, ep = (whole(row, name, least=0) or 1 for name in ("tp", "pp", "cp", "ep"))
    if job.model.moe is not None and job.cluster.gpus > 1 and whole(row, "ep", least=0) is None:
        raise Unusable("no expert parallel degree")
    dp, b = _ranks(row, job, tp * pp * cp), whole(row, "micro_batch")
    if b is None:
        raise Unusable("no micro-batch size")
    if job.workload.global_batch % (b * dp):
        raise Unusable(f"micro-batch {b} x {dp} replicas does not divide the batch of {job.workload.global_batch}")
    m = job.workload.global_batch // (b * dp)
    v, schedule = _schedule(row, job, pp, m, labels)
    if pp * v > job.model.layers + EMPTY_ENDS:
        raise Unusable(f"{pp} x {v} stages for {job.model.layers} layers")
    zero, sp = _zero(row, job, dp * cp, labels), _sequence_parallel(row, job, tp, labels)
    split = (
        job.model.moe is not None and job.framework.target != "torchtitan"
    )  # as Megatron-LM does where nothing is said
    etp = whole(row, "etp") or (tp if split else 1)
    degrees: dict[str, Any] = {"tp": tp, "cp": cp, "ep": ep, "etp": etp, "pp": pp, "v": v, "dp": dp, "b": b, "m": m}
    settings, assumed = experts(row, job, source)
    labels += assumed
    where = placed(stages(row, job, pp * v, source) or _by_cost(job, pp, v), job.model, pp, v)
    plan = Plan(**degrees, sp=sp, zero=zero, **settings, **where, schedule=schedule)
    return _recomputed(row, job, plan, labels), tuple(labels)


def _ranks(row: Row, job: Job, others: int) -> int:
    """Data-parallel ranks: the column, else GPUs / (tp*pp*cp)."""
    gpus = job.cluster.gpus
    dp = whole(row, "dp")
    if dp is None and any(row.get(name, "") in ("", "unknown") for name in ("tp", "pp")):
        raise Unusable("no layout")
    dp = dp or max(gpus // others, 1)
    if dp * others != gpus:
        raise Unusable(f"tp x pp x cp x dp = {dp * others} on {gpus} GPUs")
    return dp


def _schedule(row: Row, job: Job, pp: int, m: int, labels: list[str]) -> tuple[int, str]:
    """Virtual stages and schedule.

    "interleaved" without the number of virtual stages: the smallest above 1 that divides the layers of a stage, the
    least memory and traffic for which interleaving exists; without a pipeline, or if there is none, plain 1F1B.
    """
    said = row.get("schedule", "")
    name, v = SCHEDULE_NAMES.get(said, said), whole(row, "vp", least=0)
    if not _scored(name):
        raise Unusable(f"schedule {name[:40]!r} is not modelled")
    if not SCHEDULES[name].chunks and v is None and pp > 1:
        per_stage = job.model.layers // pp
        v = next((k for k in range(2, min(per_stage, MOST_CHUNKS) + 1) if per_stage % k == 0 and m % pp == 0), 1)
        labels.append("assumed-v")
    v = (v or 1) if pp > 1 else 1
    if not SCHEDULES[name].takes(v) and runs(MEGATRON, name):
        name = run_by(MEGATRON, v)
    return v, name


def _scored(name: str) -> bool:
    """Whether runs of a schedule are scored: not yet those that split the backward pass, or let the optimizer lag."""
    schedule = SCHEDULES.get(name)
    return schedule is not None and schedule.trains and not (schedule.splits or schedule.asynchronous)


def _by_cost(job: Job, pp: int, v: int) -> tuple[str, ...]:
    """Where the framework lays layers over ranks by their cost: each ends with the layer that passes its share.

    nanotron models/base.py build_model: 16 layers and a head of 4 over 8 ranks are 3, 3, 2, 3, 2, 3, 0, 0.
    """
    if not job.framework.counts_head or pp == 1 or v > 1:
        return ()
    layers, share = job.model.layers, (job.model.layers + head_layers(job)) / pp
    ends = [min(floor(share * rank) + 1, layers) for rank in range(1, pp)]
    return lettered([end - start for start, end in pairwise([0, *ends, layers])])


def _zero(row: Row, job: Job, ranks: int, labels: list[str]) -> int:
    """ZeRO stage; unsaid: 3 where the framework has no other, else the distributed optimizer that they all run."""
    stage = whole(row, "zero_stage", least=0)
    if stage is None:
        labels.append("assumed-zero")
        stage = 3 if job.framework.zero == (3,) else 1
    if stage > 3:
        raise Unusable("zero_stage is none of 0 to 3")
    return stage if ranks > 1 else 0


def _sequence_parallel(row: Row, job: Job, tp: int, labels: list[str]) -> int:
    """Sequence parallelism; unsaid: on wherever tp > 1, as in every recipe of Megatron-Core and torchtitan."""
    said = row.get("sequence_parallel", "")
    if tp == 1:
        return 0
    if said not in ("yes", "no"):
        labels.append("assumed-sp")
    return int(said != "no")


def _recomputed(row: Row, job: Job, plan: OnePlan, labels: list[str]) -> tuple[OnePlan, ...]:
    """The plan under the row's recomputation; under each that is plausible when the row does not say.

    "selective" is of the modules that the row names. Where it names none, it is of the attention core with stored
    scores (Korthikanti 2022). Under flash attention there are no scores; there it is PyTorch's selective checkpointing
    as torchtitan runs it, every second layer or every second matrix product, for which half of the layers in full stand
    in, and of Megatron's nothing is left to do.
    """
    said = row.get("recompute", "")
    chunk = int(chunk_layers(job.model.layers, plan))
    choices: dict[str, dict[str, Any]] = {
        "none": {"recompute_layers": 0},
        "full": {"recompute_layers": chunk},
        "selective": {"modules": ("core_attn",)} if not job.flash else {"recompute_layers": 0},
    }
    if named := modules(row):
        return (replace(plan, modules=named),)
    if job.flash and job.framework.shard_is_master:
        choices["selective"] = {"recompute_layers": -(-chunk // 2)}
    if said in choices:
        if said == "selective" and job.flash:
            labels.append("selective-ac" if job.framework.shard_is_master else "selective-flash")
        return (replace(plan, **choices[said]),)
    if said not in ("", "unknown"):
        raise Unusable(f"recomputation {said[:40]!r} is not understood")
    labels.append("unknown-recompute")
    return tuple(dict.fromkeys(replace(plan, **choices[name]) for name in ("none", "selective", "full")))


def modules(row: Row) -> tuple[str, ...]:
    """Recompute modules that the row names, in the order of `MODULES`."""
    named = set(re.findall(r"[a-z_]+", row.get("recompute_modules", "")))
    return tuple(name for name in MODULES if name in named)


def stages(row: Row, job: Job, count: int, source: str) -> tuple[str, ...]:
    """What every pipeline stage holds: the layout string of the notes, or that of Megatron-Bridge for such a model.

    Megatron-Bridge recipes/deepseek/deepseek_v3.py lays 61 layers over 4, 8 or 16 stages with prediction and loss in
    the place of the layers that the last lacks, over 32 as Et|(tt|)*30mL.
    """
    said = re.search(r"pp layout ([EtmL|()*\d]+)", row.get("notes", ""))
    if said:
        return read_layout(said[1])
    if source not in BRIDGE or job.model.layers != BRIDGE_LAYERS or count not in (4, 8, 16, 32):
        return ()
    most = -(-(BRIDGE_LAYERS + 1) // count)
    sizes = [most] * (count - 1) + [BRIDGE_LAYERS - most * (count - 1)]
    return lettered([1, *[2] * (count - 2), 0] if count == 32 else sizes, job.model.mtp_layers)


BRIDGE, BRIDGE_LAYERS = ("mbx", "mbridge", "mbcard", "mbpr"), 61


def experts(row: Row, job: Job, source: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Dispatcher and overlap as fields of a plan, and a label where the dispatcher is assumed.

    Where nothing is named: HybridEP in Megatron-Bridge's recipes (moe_flex_dispatcher_backend; without it they are
    all-to-all, scripts/performance/utils/overrides.py), elsewhere the framework's plainest.
    """
    if job.model.moe is None:
        return {}, ()
    said = row.get("dispatcher", "")
    chosen = {"overlap": says(row, "overlap", ("a2a-overlap",))}
    if said in DISPATCHERS:
        return chosen | {"dispatcher": said}, ()
    usual = "deepep" if "deepep" in said else job.framework.dispatchers[0]
    one_copy = source in BRIDGE or (usual == "deepep" and job.cluster.domain > NODE)
    return chosen | {"dispatcher": "hybridep" if one_copy else usual}, ("assumed-dispatcher",)
