"""A training log and what it leaves unsaid -> cases, as a row of measurements would give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from planner.accuracy.corpus import Case
from planner.accuracy.logs import Log
from planner.accuracy.machines import Shelf
from planner.accuracy.mapping import Facts
from planner.accuracy.plans import find_plans
from planner.accuracy.rows import Row, Unusable, usable, whole
from planner.accuracy.shapes import find_model
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.plan import OnePlan
from planner.schema.framework import Framework
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.workload import Workload
from planner.training.defaults import default_precision
from planner.training.job import Job
from planner.units import GIB

PRESETS = {"megatron": "megatron-core", "torchtitan": "torchtitan", "deepspeed": "megatron-deepspeed"}
"""Preset of a log's framework, unless the user names another; DeepSpeed with ZeRO-3: deepspeed-zero3."""

NEEDED = {
    "seq_len": "--seq",
    "global_batch": "--global-batch",
    "micro_batch": "--micro-batch",
    "recompute": "--recompute none, selective or full",
}
"""Cells without which a run cannot be predicted, and the options that give them."""


@frozen
class Said:
    """What stands in no log.

    Attributes:
        model: None takes the shape from the log. cells: of the common format, they go before the log's.
        workload: further fields of Workload. layers: recomputed per stage, with recompute "block".
    """

    shelf: Shelf
    model: Model | None
    cluster: Cluster
    framework: Framework
    cells: Row
    workload: Mapping[str, Any]
    layers: int | None = None


def preset_of(log: Log, cells: Row) -> str:
    """The preset that a log is held against when the user names none."""
    sharded = log.kind == "deepspeed" and cells.get("zero_stage") == "3"
    return "deepspeed-zero3" if sharded else PRESETS[log.kind]


def log_cases(log: Log, said: Said) -> tuple[list[Case], tuple[str, ...]]:
    """The time and, where the log has it, the peak of its run; and a sentence for each assumption.

    Raises:
        PlannerError: what is missing, with the option that gives it, or what contradicts the log.
    """
    row, notes = _row(log, said)
    try:
        model = said.model or find_model(said.shelf, row | {"model": "", "source": str(log.path)}, Facts())[0]
        _check(log, row, said.cluster)
        job = Job(model, said.cluster, _workload(row, said), said.framework)
        plan = _plan(row, job, said.layers if said.layers is not None else log.layers)
        step = _seconds(log, job)
    except Unusable as reason:
        hint = "--model gives the shape" if str(reason).startswith("no ") and said.model is None else ""
        raise PlannerError(f"{log.path}: {reason}", hint or "planner calibrate --help") from None
    case = Case(log.path.name, "log", job, plan, step=step)
    peak = replace(case, step=None, peak=(log.peak or 0.0) * GIB, tool=log.tool)
    return [case, *([peak] if log.peak else [])], notes


def _row(log: Log, said: Said) -> tuple[Row, tuple[str, ...]]:
    """The cells of both, options first; degrees that neither gives are 1."""
    row = log.facts | {name: value for name, value in said.cells.items() if value}
    single = [name for name in ("tp", "pp") if not row.get(name)]
    notes = (f"{log.path.name}: {' = '.join(single)} = 1, which the log does not say",) if single else ()
    return row | {name: "1" for name in single} | {"gated_mlp": row.get("gated_mlp", "")}, notes


def _check(log: Log, row: Row, cluster: Cluster) -> None:
    """Refuse what lacks a needed cell, and a cluster of another size than the log's."""
    missing = [option for name, option in NEEDED.items() if not row.get(name)]
    if missing:
        raise PlannerError(f"{log.path}: the log does not say everything", [f"give {', '.join(missing)}"])
    ran = whole(log.facts, "n_gpus")
    if ran is not None and ran != cluster.gpus:
        raise PlannerError(f"{log.path}: a run on {ran} GPUs, but --gpus names {cluster.gpus}", "give the run's own")


def _workload(row: Row, said: Said) -> Workload:
    fields = {
        "seq": whole(row, "seq_len"),
        "global_batch": whole(row, "global_batch"),
        "precision": row.get("precision") or default_precision(said.cluster),
    }
    return usable(Workload, fields | dict(said.workload))


def _plan(row: Row, job: Job, layers: int | None) -> OnePlan:
    """The one plan of the run; `layers` of each stage recomputed, when not all."""
    block = row["recompute"] == "block" or (layers is not None and row["recompute"] == "full")
    plan = find_plans(row | ({"recompute": "full"} if block else {}), job)[0][0]
    if not block:
        return plan
    if layers is None:
        raise Unusable("recompute block needs --recompute-layers")
    return replace(plan, recompute_layers=min(layers, plan.recompute_layers))


def _seconds(log: Log, job: Job) -> float:
    """Seconds per step out of the log's figure."""
    if log.metric == "iter_seconds":
        return log.figure
    if log.metric == "samples":
        return job.workload.global_batch / log.figure
    return job.workload.global_batch * job.workload.seq / (log.figure * job.cluster.gpus)
