"""The comment on top of everything that is written, and the line in it that `planner check` reads back."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import field, replace
from shlex import join, split
from typing import Any

from planner import __version__
from planner.catalog.clusters import cluster_spec
from planner.frozen import frozen
from planner.launch.program import File, Setup, Target
from planner.plan import INTEGERS, WHOLE, Plan
from planner.read.format import find_format
from planner.read.reading import Reading
from planner.read.table import text_of
from planner.schema.workload import Workload
from planner.training.trade import trade
from planner.units import whole_number

MARK = "planner-options:"
"""Begins the line with the whole job and plan, of which flags and configuration hold a part."""

NAMES = ("model", "gpus", "framework", "target")
DERIVED = ("dp", "m")
ALWAYS = ("seq", "global_batch", "attention")

PARTLY = ("transformers",)
"""Targets whose files have words for some values of a field: what they say goes first."""

UNREAD = ("pytorch", "colossalai", "megatron-core")
"""Targets that are written in Python: nothing but this line is read back."""

SILENT = {
    "megatron": ("imbalance",),
    "megatron-deepspeed": ("attention", "imbalance", "loss"),
    "torchtitan": ("attention", "imbalance"),
    "torchtitan-registry": ("attention", "imbalance"),
    "transformers": ("seq", "attention", "method", "lora_rank", "lora_targets", "base", "loss", "optimizer"),
    "deepspeed": (
        *("seq", "attention", "imbalance", "loss", "method", "lora_rank", "lora_targets", "base", "graphs"),
        *("ep", "etp", "cp", "schedule", "dispatcher", "dp_replicate"),
    ),
}
"""Fields of job and plan that files of a target have no words for, or leave to the program of the user."""

CALLED = {
    "lora_rank": "rank",
    "lora_targets": "targets",
    "base": "bits",
    "global_batch": "batch",
    "recompute_layers": "recompute",
    "modules": "recompute",
    "zero": "sharding",
}
"""Fields of job and plan that formats call otherwise (`planner.read.job`)."""


@frozen
class Said:
    """What stands behind MARK: options of NAMES, fields of Workload as text, fields of Plan."""

    names: dict[str, str] = field(default_factory=dict)
    workload: dict[str, str] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)


def header(target: Target, setup: Setup, facts: str) -> tuple[str, ...]:
    """What the file is, for which plan, checked against what; then the options behind MARK."""
    job = setup.job
    said = f"{job.model.name} on {job.cluster.gpus} x {job.cluster.accelerator.name}"
    lines = [f"planner {__version__}, {said}", f"{target.title}: checked against {target.versions}"]
    lines += [facts] if facts else []
    names = (job.model.name, cluster_spec(job.cluster), job.framework.name, target.name)
    options = dict(zip(NAMES, names, strict=True)) | _fields(setup)
    words = [word for name, text in options.items() for word in (f"--{name.replace('_', '-')}", text)]
    return (*lines, f"{MARK} {join(words)}")


def _fields(setup: Setup) -> dict[str, str]:
    """Fields of job and plan that are not what they are by default; lists with commas."""
    traded = trade(setup.job, setup.plan)
    work = dict(setup.job.workload) | {"context": traded.kind if traded else None}
    plan, usual = setup.plan.degrees, Plan().degrees
    found = {k: v for k, v in work.items() if k in ALWAYS or v != Workload.model_fields[k].default}
    found |= {k: v for k, v in plan.items() if k not in DERIVED and v != usual[k]}
    return {name: ",".join(value) if isinstance(value, tuple) else text_of(value) for name, value in found.items()}


def headed(file: File, lines: tuple[str, ...]) -> File:
    """A file under these lines as comments, where its format has any."""
    comments = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    return file if file.name.endswith(".json") else File(file.name, comments + file.text)


def read_header(text: str) -> Said:
    """The options behind MARK; nothing where there is no such line."""
    found = re.search(rf"^[^\w\n]*{MARK} (.*)$", text, re.MULTILINE)
    try:
        words = split(found[1]) if found else []
    except ValueError:
        words = []
    pairs = {name.lstrip("-").replace("-", "_"): text for name, text in zip(words[::2], words[1::2], strict=False)}
    return Said(
        {name: pairs[name] for name in NAMES if name in pairs},
        {name: text for name, text in pairs.items() if name in Workload.model_fields},
        {name: value for name, text in pairs.items() if (value := _of_plan(name, text)) is not None},
    )


def _of_plan(name: str, text: str) -> Any:
    """A field of Plan; None where it is none, or cannot have this value."""
    if name in INTEGERS and name not in DERIVED:
        return whole_number(text)
    if name not in WHOLE:
        return None
    return text == "true" if name == "overlap" else tuple(text.split(",")) if name in ("modules", "layout") else text


def unread(said: Said) -> Reading | None:
    """The plan of a file that holds it in code; None where its target has a format that is read."""
    target = said.names.get("target", "")
    if target not in UNREAD:
        return None
    note = f"the plan is that of the line {MARK} above the code, which is not read itself"
    timed = said.names.get("framework", "any")
    return Reading(target, None, dict(said.workload), dict(said.plan), notes=(note,), timed_as=timed)


def completed(reading: Reading, said: Said, given: Collection[str]) -> Reading:
    """The reading with what its format has no words for as the line says it, unless the user does."""
    target = said.names.get("target", reading.target)
    usual = {name: one.default for name, one in Workload.model_fields.items()} | Plan().degrees

    def kept(fields: dict[str, Any], read: dict[str, Any]) -> dict[str, Any]:
        silent = {k: v for k, v in fields.items() if k not in given and not _sayable(target, reading, k)}
        return read | {k: v for k, v in silent.items() if target not in PARTLY or read.get(k, usual[k]) == usual[k]}

    return replace(reading, workload=kept(said.workload, reading.workload), plan=kept(said.plan, reading.plan))


def _sayable(target: str, reading: Reading, name: str) -> bool:
    """Whether the format of a file has a key for a field, so that what it leaves out is left out."""
    form = find_format(reading.form) if reading.form else None
    if form is None or form.megatron or target in SILENT:
        return name not in SILENT.get(target, ())
    known = {group.to.partition("=")[0] for group in form.table.groups if group.kind == "modelled"}
    shards = {"sharding", "zero", "engine", "reshard", "deepspeed", "fsdp"} & known
    return CALLED.get(name, name) in known or (name == "zero" and bool(shards))
