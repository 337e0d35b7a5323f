"""A job in the frameworks' shared fields as a reading: the plan and workload that `planner check` weighs."""

from __future__ import annotations

import re
from dataclasses import replace
from math import isqrt
from typing import Any

from planner.cost.dispatch import ONE_COPY
from planner.plan import INTEGERS
from planner.read.deepspeed import TRAINER
from planner.read.job import WHY, Job, modelled, truth
from planner.read.reading import Problem, Reading
from planner.read.sharding import engine, fully_sharded
from planner.read.table import text_of
from planner.read.tree import Beside, Tree
from planner.schedules import MEGATRON, run_by
from planner.training.frameworks.transformers import OPTIMIZERS

DROPOUTS = {"trl": 0.05, "swift": 0.05}
"""Of adapters' inputs (TRL trainer/model_config.py, ms-swift arguments/tuner_args.py); none elsewhere."""

TRAINERS = ("transformers", "trl", "llamafactory", "axolotl", "swift")
"""Formats that the Trainer of Transformers runs: the rules of its preset are theirs, for what it does itself."""

PART = "accelerate"
"""The format that only says how processes start and what they share: the rest of the job is in its script."""

BASES = {4: "nf4", 8: "int8"}
"""Formats of a base by its bits, as bitsandbytes has them."""

FREE: dict[str, Any] = {"target": None, "zero": (0, 1, 2, 3), "zero_with_pipeline": 3}
"""A preset that lends another framework its speed, without its rules."""


def reading_of(job: Job, tree: Tree, beside: Beside, world: int, nodes: int = 1) -> Reading:
    """The plan and workload of a job.

    Raises:
        PlannerError: a file that it names is missing, or cannot be read.
    """
    deepspeed = engine(job, tree, beside, world)
    shared = fully_sharded(job, tree, beside, nodes)
    base = deepspeed or Reading("deepspeed" if run_by_deepspeed(job) else job.format.target, None)
    if deepspeed is not None and "fsdp" in job.said and truth(job.said["fsdp"]):
        job.name(job.said["fsdp"], ("memory", "time", "legality"), "DeepSpeed shares the states")
    if deepspeed is not None:
        shared = {"zero": deepspeed.plan["zero"]}
    elif shared is None:
        shared = {"zero": job.get("zero", 0)}
    plan = degrees(job) | shared | {k: v for k, v in base.plan.items() if k in ("tp", "pp") and v > 1}
    if (replicas := _replicas(job, plan, world)) and plan["zero"]:
        plan["dp_replicate"] = replicas
    plan, batch = batched(job, plan, base, world)
    workload = work(job, base, plan["zero"]) | ({"global_batch": batch} if batch else {})
    part = job.format.name == PART
    if part:
        workload = {name: value for name, value in workload.items() if name in (*job.said, "global_batch")}
    problems = (*base.problems, *quantised_without_adapters(job))
    notes = tuple(note for note in base.notes if "fp32" not in note and "accumulation" not in note)
    return replace(
        base,
        form=job.format.name,
        workload=workload,
        plan=plan,
        problems=problems,
        notes=(*started(job, world), *job.notes, *notes, *usual(job, base)),
        model_name=job.get("model"),
        recomputed=float(job.get("recompute", "none") == "full") or base.recomputed,
        not_modelled=(*job.not_modelled, *base.not_modelled),
        keys=written(job),
        timed_as=job.get("timed_as", ""),
        preset=base.preset | lent(job, plan, workload),
        recipe=base.recipe
        | ({"base": "fp32"} if loaded_wide(job) and workload.get("method", "full") != "full" else {}),
        dropout=dropout(job, tree) if workload.get("method", "full") != "full" else 0.0,
        open=TRAINER | {"m": job.get("m", 1)} if part else None,
    )


def lent(job: Job, plan: dict[str, Any], workload: dict[str, Any]) -> dict[str, Any]:
    """Fields of a preset whose rules a job is not held to: what goes beyond the Trainer, and copies of shards."""
    own = job.format.name in TRAINERS and all(plan.get(name, 1) == 1 for name in ("tp", "cp", "pp", "ep"))
    own = own and workload.get("offload", "none") in ("none", "optimizer")
    own = own and workload.get("optimizer", "adam") in OPTIMIZERS
    one = {"fused_experts": 1} if job.get("parameters") and job.format.name in TRAINERS else {}
    one |= {} if gates(job) else {"linear_gates": False}
    copies = {"hybrid_shard": True} if plan.get("dp_replicate", 1) > 1 else {}
    return (copies if own else FREE | copies) | one


def gates(job: Job) -> bool:
    """Whether what asks for the linear loss is Liger's one switch, or has a word for its gates beside it (Axolotl)."""
    key = job.said["loss"].key if "loss" in job.said else ""
    own = job.get("gates") or re.search(r"(use|enable)_liger(_kernel)?$", key)
    return bool(own) or job.get("loss") != "linear"


def dropout(job: Job, tree: Tree) -> float:
    """Of adapters' inputs: as written, else the command's own; a LoraConfig made in Python has none."""
    written = tree.get("lora_dropout")
    try:
        return float(str(written))
    except ValueError:
        return 0.0 if "trl_trainer" in tree or written is not None else DROPOUTS.get(job.format.name, 0.0)


def loaded_wide(job: Job) -> bool:
    """Whether a Trainer's weights are loaded in fp32: where the file says so, or leaves it to one that does."""
    said = job.said.get("pure16")
    asked = said is None or text_of(said.value).lower().endswith(("float32", "fp32"))
    return job.format.name in TRAINERS and job.values.get("pure16") is False and asked


def run_by_deepspeed(job: Job) -> bool:
    """Whether DeepSpeed shares the states although no JSON says how: by a switch, or by Accelerate."""
    switch = job.said.get("deepspeed")
    return (switch is not None and truth(switch)) or job.get("engine") == "deepspeed"


def _replicas(job: Job, plan: dict[str, Any], world: int) -> int | None:
    """Copies of the sharded states: as said, or as many as the ranks that share them leave."""
    shared, replicas = job.values.get("dp_shard"), job.values.get("dp_replicate")
    if replicas or not shared:
        return int(replicas) if replicas else None
    spread = plan["tp"] * plan["pp"] * plan.get("cp", 1) * (job.get("ep", 1) if job.format.name == "axolotl" else 1)
    return int(max(world // (spread * shared), 1))


def started(job: Job, world: int) -> tuple[str, ...]:
    """A note where the file starts another number of processes than the cluster has accelerators."""
    count = job.get("processes") or (job.get("per_node") or 0) * (job.get("nodes") or 1)
    return processes(count, world) if count else ()


def processes(count: int, world: int) -> tuple[str, ...]:
    """A note where so many are not one on each accelerator."""
    said = f"the launcher starts {count} processes, --gpus says {world}: counted with {world}"
    return () if count == world else (said,)


def usual(job: Job, base: Reading) -> tuple[str, ...]:
    """A note where the micro-batch, or the batch, is the framework's own default."""
    batch, b = (job.format.defaults.get(name) for name in ("batch", "b"))
    if not (batch or b) or {"b" if b else "", "batch"} & job.said.keys() or "b" in base.plan:
        return ()
    said = f"global batch {job.get('batch')}" if batch else f"micro-batch {b}"
    return (f"{said}, the default of {job.format.title}: the file does not say",)


def degrees(job: Job) -> dict[str, Any]:
    """Fields of Plan that stand in the file, and selective recomputation."""
    found = {name: job.get(name) for name in ("tp", "cp", "pp", "ep", "etp", "v", "dp") if job.get(name)}
    found = {"tp": 1, "pp": 1} | {name: value for name, value in found.items() if name in INTEGERS}
    found |= {"schedule": run_by(MEGATRON, found["v"])} if "v" in found else {}
    found |= {"dispatcher": job.get("dispatcher")} if job.get("dispatcher") in ONE_COPY else {}
    found["sp"] = int(bool(job.get("sp")) and found["tp"] > 1)
    if job.get("recompute") == "selective":
        found["selective"] = job.get("attention") == "eager"
        if "recompute" in job.said:
            job.name(job.said["recompute"], ("memory", "time"), "only the attention core is recomputed in the estimate")
    return found


def batched(job: Job, plan: dict[str, Any], base: Reading, world: int) -> tuple[dict[str, Any], int | None]:
    """b, and sequences a step: micro-batch x accumulation x dp, or as stated."""
    dp = max(world // (plan["tp"] * plan["pp"] * plan.get("cp", 1)), 1)
    b, m, batch = job.get("b"), accumulated(job, dp), job.get("batch") or base.workload.get("global_batch")
    if "b" not in job.said:
        b = base.plan.get("b") or (max(batch // (m * dp), 1) if batch and m and "m" in job.said else b)
    if b is None:
        return plan, batch
    if batch is None or ("b" in job.said and "batch" not in job.said and "m" in job.said):
        batch = b * (m or 1) * dp
    return plan | {"b": b}, batch


def accumulated(job: Job, dp: int) -> int | None:
    """Micro-batches a step: as said, or what a batch for each rank (Axolotl), or for all (ms-swift), leaves open."""
    m: int | None = job.get("m")
    if "m" in job.said or not (b := job.get("b")):
        return m
    per_rank, least = job.get("per_rank", 0), job.get("least", 0) if job.get("stage", "sft") == "sft" else 0
    return max(int(per_rank // b or -(-least // (b * dp))), 1) if per_rank or least else m


def work(job: Job, base: Reading, zero: int) -> dict[str, Any]:
    """Fields of Workload; what it has no words for yet is named."""
    shared = ("seq", "precision", "attention", "fp8_param_gather")
    fields: dict[str, Any] = {name: job.get(name) for name in shared if job.get(name)}
    fields |= adapters(job) | seen(job)
    optimizer = base.workload.get("optimizer") or job.get("optimizer", "adam")
    pure = job.get("pure") or (job.get("pure16") and not zero)
    if optimizer == "adam" and pure and fields.get("method", "full") == "full":
        optimizer = "adam-bf16"
    optimizer += "-in-backward" if job.get("in_backward") else ""
    fields |= expressed(job, "optimizer", optimizer, {"optimizer": "adam"})
    fields |= expressed(job, "offload", base.workload.get("offload") or job.get("offload", "none"), {})
    if base.target == "deepspeed" and "precision" not in job.said and "precision" in base.workload:
        fields["precision"] = base.workload["precision"]
    if job.get("loss"):
        fields |= expressed(job, "loss", job.get("loss"), {})
    return fields


def seen(job: Job) -> dict[str, Any]:
    """What is trained of a vision tower, and what images it gets: of so many pixels at most, or of a side."""
    tower, projector, pixels = job.get("left") or job.get("tower"), job.get("projector"), job.get("pixels")
    if projector == "trained" and tower != "trained":
        tower = "projector"
    if projector == "frozen" and tower == "trained":
        job.notes.append("the projector behind the vision tower is weighed and timed as trained: it is frozen")
    side = job.get("image_size") or (isqrt(pixels) if pixels else None)
    found = {"tower": tower, "images": job.get("images"), "image_size": side}
    return {name: value for name, value in found.items() if value}


def adapters(job: Job) -> dict[str, Any]:
    """The method: LoRA where it is named or has a rank, on a base of 4 or 8 bits QLoRA."""
    method, rank, bits = job.get("method", "full"), job.get("rank") or job.get("lora_dim"), job.get("bits")
    if "method" not in job.said and "rank" in job.said and job.get("ranked", True):
        method = "lora" if rank else "full"
    if method == "lora" and bits in BASES:
        method = "qlora"
    found = {"lora_rank": rank} if method != "full" and rank else {}
    targets = "all-linear" if job.get("parameters") and job.get("targets") != "mlp" else job.get("targets")
    found |= {"lora_targets": targets} if method != "full" and targets else {}
    found |= {"quantize_experts": True} if method == "qlora" and job.get("quantize_experts") else {}
    if method == "qlora" and bits in BASES:
        found["base"] = BASES[bits]
    if method == "lora" and bits and "bits" in job.said:
        job.name(job.said["bits"], *WHY["bits"])
    return found | {"method": method}


def expressed(job: Job, name: str, value: str, instead: dict[str, Any]) -> dict[str, Any]:
    """A field of Workload; what stands in for it, and its name in the answer, where Workload does not have it."""
    if modelled(name, value):
        return {name: value}
    leaf = job.said.get(name) or job.said.get("bits")
    touches, why = WHY.get(value, WHY.get(name, (("memory", "time"), "")))
    if leaf is not None:
        job.name(leaf, touches, f"{value}: {why}")
    return instead


def written(job: Job) -> dict[str, tuple[str, str]]:
    """Key and value of each field as the file has them, or the key that would set it, with no value."""
    known: dict[str, tuple[str, str]] = {"zero": ("deepspeed", "")} if job.format.name in TRAINERS else {}
    for group in job.format.table.groups:
        name, _, fixed = group.to.partition("=")
        if group.kind == "modelled" and name not in (*known, *job.get("closed", ())):
            known[name] = (("!" if fixed == "none" else "") + next(iter(group.options)), "")
    for name, leaf in job.said.items():
        inverted = "!" if known.get(name, ("", ""))[0] == f"!{leaf.key}" else ""
        known[name] = (f"{inverted}{leaf.key}", text_of(leaf.value))
    if "deepspeed" in job.said and known.get("zero", ("", ""))[0] == "deepspeed":
        known["zero"] = known["deepspeed"]
    return known


def quantised_without_adapters(job: Job) -> tuple[Problem, ...]:
    """A base of few bits trains with adapters only: every framework here refuses it otherwise."""
    leaf = job.said.get("bits")
    if leaf is None or not job.get("bits") or job.get("bits") > 8 or adapters(job).get("method", "full") != "full":
        return ()
    said = f"{leaf.key}: a quantised base is trained through adapters only, and none are asked for"
    return (Problem("quantised_base", said, leaf.line, job.format.table.source.split()[0]),)
