"""Configurations of fine-tuning frameworks, written by the tables in planner/read/tables that they are read by.

Each field of a job goes to the option from which `planner.read.job` takes it; what its table has in `writes` are the
words of its values and the rest of a short run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from planner.launch import deepspeed, described, seeing
from planner.launch.launchers.launcher import yaml_text
from planner.launch.program import File, Program, Setup, Target
from planner.launch.transformers import SHARDED, by_fsdp, deepspeed_file
from planner.launch.trees import nested
from planner.plan import Plan, Truth
from planner.read.asked import BASES
from planner.read.format import Format, find_format
from planner.read.job import FINDERS
from planner.read.table import Group
from planner.training.adapters import experts_said, fused, named_alike, reached
from planner.training.frameworks import FRAMEWORK_RULES, tuners
from planner.training.frameworks.transformers import OPTIMIZERS
from planner.training.job import Job
from planner.training.rule import Rule

TRAINER = {rule.name: rule for rule in FRAMEWORK_RULES["transformers"]}
"""Rules of the Trainer that these frameworks run."""

BITS = {base: bits for bits, base in BASES.items()}
"""Of a quantised base, as bitsandbytes loads it."""


def fields(setup: Setup) -> dict[str, Any]:
    """A job by the fields of `planner.read.job`."""
    more = {"BITS": BITS, "SHARDED": SHARDED, "places": places, "by_fsdp": by_fsdp(setup)}
    return described.part("tuner", "fields", setup, **more)


def places(job: Job) -> str:
    """Layers with adapters; all of a model whose experts are no layers of their own are all but those."""
    targets: str = job.workload.lora_targets
    plain = job.model.moe is None or not (fused(job.model, job.framework) and reached(job.model, job.framework))
    return "no-experts" if targets == "all-linear" and plain else targets


def written(name: str, found: dict[str, Any], more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Options of the format called `name` for fields of a job, `more`, and the constants of a short run behind them."""
    form = find_format(name)
    words = {"optimizer": OPTIMIZERS} | form.writes["words"]
    said: dict[str, Any] = {}
    for field, value in found.items():
        word = words.get(field, {}).get(value, value)
        if word is not None:
            said |= option(form, field, word)
    return nested(said | (more or {}) | form.writes["always"])


def option(form: Format, field: str, value: Any) -> dict[str, Any]:
    """The first option that sets a field, or switches this value on; else the first switch of another value, off."""
    for groups in (form.table.groups, (group for _, group in form.table.rows.values())):
        known = [group for group in groups if group.kind == "modelled" and group.to.partition("=")[0] == field]
        for group in known:
            if group.to in (field, f"{field}={value}"):
                return {_first(group): value if group.to == field else True}
        if known:
            return {_first(known[0]): False}
    raise LookupError(f"{form.title} has no option for {field}")


def _first(group: Group) -> str:
    return next(iter(group.options))


def flags(options: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Options as words of a command; of a list one word each."""
    return tuple(
        (f"--{name}", *map(str, value if isinstance(value, list) else [value])) for name, value in options.items()
    )


def by_deepspeed(setup: Setup) -> bool:
    """Whether DeepSpeed shares the states; else FSDP, or nobody."""
    return bool(setup.plan.zero >= 1 and not setup.job.framework.shard_is_master)


def engine_files(setup: Setup) -> tuple[File, ...]:
    """DeepSpeed's JSON, where it shares the states: the rest is left to the Trainer ("auto")."""
    return (deepspeed_file(setup),) if by_deepspeed(setup) else ()


def shared(setup: Setup) -> dict[str, Any]:
    """The field that names DeepSpeed's JSON."""
    return {"deepspeed": deepspeed.CONFIG} if by_deepspeed(setup) else {}


def yaml_file(name: str, options: dict[str, Any]) -> File:
    """A configuration; its header is put on where it is delivered."""
    return File(f"{name}.yaml", yaml_text((), options))


def trainer_fsdp(setup: Setup) -> dict[str, Any]:
    """FSDP 2 among the Trainer's own options: weights are given back behind the forward pass under ZeRO-3."""
    if not by_fsdp(setup):
        return {}
    away = " offload" if setup.job.workload.offload == "parameters" else ""
    return {
        "fsdp": f"full_shard auto_wrap{away}",
        "fsdp_config": {"version": 2, "reshard_after_forward": bool(setup.plan.zero == 3)},
    }


def notes(setup: Setup, data: str) -> tuple[str, ...]:
    """What stays with the user."""
    said = f"a run of 20 steps: {data} are examples, and learning rate and schedule are yours"
    return (said, *experts_said(setup.job))


def target(name: str, program: Callable[[Setup], Program], *own: Rule, **more: Any) -> Target:
    """A target by its table: the Trainer's rules that it keeps, a word for every value that its format spells, what it
    sees with, and its `own`."""
    said = described.table(name)
    form, title, source = said["form"], said["title"], said["source"]
    kept, _, without = said.get("trainer", "").partition(" but ")
    spelled = find_format(form).writes["words"]
    trainer = [rule for key, rule in TRAINER.items() if kept and key != without]
    worded = [_worded(title, source, field, spelled[field]) for field in WORDED if field in spelled]
    sees = [seeing.named(name, title, said["templates"], said["templates_source"])] if "templates" in said else []
    sees += [seeing.adapted(name, title, said["adapted_source"], said["adapted"])] if "adapted" in said else []
    first = (*trainer, *worded, _base(title), _experts(form, title), tuners.PAGED, *own, *sees)
    return described.target(name, program, first, **more)


def _experts(form: str, title: str) -> Rule:
    def holds(job: Job, plan: Plan) -> Truth:
        work, model, alike = job.workload, job.model, named_alike(job.model)
        if job.lora and not reached(model, job.framework) and work.lora_targets == "mlp" and not alike:
            return False
        named = model.moe is None or not fused(model, job.framework) or not reached(model, job.framework)
        named = named or (form in FINDERS and not alike)
        quantized = "quantize_experts" in {group.to for group in find_format(form).table.groups}
        return (quantized or not work.quantize_experts) and (named or not job.lora or work.lora_targets != "no-experts")

    return Rule(
        f"{title.lower().replace('-', '')}_experts",
        holds,
        f"{title} has no word for adapters on {{lora_targets}} of {{model}}, or none for a narrow base of experts",
        "PEFT utils/transformers_weight_conversion.py",
    )


WORDED = ("precision", "optimizer")
"""Fields of Workload whose values need a word."""


def _worded(title: str, source: str, field: str, known: dict[str, Any]) -> Rule:
    words = ", ".join(known)
    return Rule(
        f"{title.lower().replace('-', '')}_{field}",
        lambda job, plan: getattr(job.workload, field) in (*known, None),
        f"{title} has --{field} {words}, not {{{field}}}",
        source,
    )


def split(job: Job, plan: Plan) -> Truth:
    """Whether ranks hold parts of the frozen weights: under ZeRO-3, and FSDP that keeps what it has gathered."""
    return (plan.zero == 3) | ((plan.zero > 0) & job.framework.shard_is_master)


def stored(setup: Setup) -> dict[str, Any]:
    """Four bits are packed in the format of the other weights where they are sharded with them."""
    work = setup.job.workload
    packed = work.method == "qlora" and work.base == "nf4" and split(setup.job, setup.plan)
    return {"bnb_4bit_quant_storage": "bfloat16" if work.precision == "bf16" else "float16"} if packed else {}


def _base(title: str) -> Rule:
    def holds(job: Job, plan: Plan) -> Truth:
        work = job.workload
        whole = ~np.asarray(split(job, plan), dtype=bool) if work.base == "int8" else True
        return (whole if work.base in BITS else False) if work.method == "qlora" else True

    return Rule(
        f"{title.lower().replace('-', '')}_base",
        holds,
        f"{title} loads a base of {', '.join(BITS)}, and shards four bits only: not {{base}} with zero={{zero}}",
        "LLaMA-Factory model/model_utils/quantization.py, bitsandbytes",
    )
