"""From names and numbers as users write them to a job and its bounds: command line and API both ask here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from planner.bands import upper
from planner.catalog.clusters import find_cluster
from planner.catalog.fabric import on_network
from planner.catalog.library import Library, open_library
from planner.cost.dispatch import DISPATCHERS
from planner.cost.recompute import MODULES
from planner.errors import PlannerError, meant, suggest
from planner.frozen import frozen
from planner.plan import Range
from planner.questions.batch import sequences
from planner.questions.given import ADAPTED, AWAY, EXPERTS, MORE, SEEING, pythons
from planner.questions.idle import idle
from planner.schedules import ALL, SCHEDULES, offered
from planner.schema.framework import Framework
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.workload import OFFLOADED, Workload
from planner.training.adapters import experts_said, stored_base
from planner.training.defaults import default_precision, default_sequence, usual_batch
from planner.training.job import Job
from planner.training.policies import RECOMPUTE
from planner.training.space import Bounds
from planner.wording import nearest_literal, schema_problem

_LIMITS = {"zero": (0, 3), "sp": (0, 1), "expert_overlap": (0, 1), "recompute_layers": (0, 10**6), "head": (0, 10**6)}
SPELLED = {"graphs": "cuda-graphs", "capacity": "capacity-factor", "context": "cp-comm"}
"""Fields of Workload whose option has another name."""

_LATER = "reinforcement and preference learning (several models on one cluster) are not supported yet"
METHODS = dict.fromkeys(("grpo", "ppo", "dpo", "rlhf", "rloo", "kto", "orpo"), _LATER) | {
    **dict.fromkeys(("sft", "sft-full", "pretrain", "pretraining"), "--method full trains every weight, on any data")
}
"""What to say of methods that are asked for by other names, or that are not there."""

_RANGE = re.compile(r"(\d{0,11})\.\.(\d{0,11})")


@frozen
class Question:
    """A problem with its names resolved.

    Attributes:
        assumptions: every default that was used, one sentence each.
    """

    job: Job
    bounds: Bounds
    assumptions: tuple[str, ...]


@pythons(**MORE)
def ask(
    model: str,
    gpus: str,
    *,
    network: str | None = None,
    seq: int | None = None,
    global_batch: int | None = None,
    batch_tokens: int | None = None,
    gradient_accumulation_steps: int | None = None,
    precision: str | None = None,
    attention: str = "flash",
    method: str = "full",
    lora_rank: int | None = None,
    optimizer: str = "adam",
    offload: str = "none",
    loss: str | None = None,
    cp_comm: str | None = None,
    fp8_param_gather: bool = False,
    bf16_first: int = 0,
    bf16_last: int = 0,
    margin: str = "0%",
    strict_fit: bool = False,
    framework: str | None = None,
    micro_batch: str | None = None,
    recompute: str | None = None,
    schedule: str | None = None,
    profiles: str | Path | None = None,
    strict: bool = False,
    library: Library | None = None,
    **options: Any,
) -> Question:
    """Look up the names, fill in the defaults and check the counts.

    `options` are the other ones of `planner recommend`, with underscores: tp, cp and their like are 4, "2..8" or
    [1, 2, 4]. `network` precedes the node's own, `library` `profiles`.

    Raises:
        PlannerError: whatever is wrong with the question.
    """
    library = library or open_library(profiles, strict)
    shape, cluster = library.model(model), find_cluster(on_network(gpus, network), library)
    preset = library.framework(framework or _trainer(method, options))
    narrow = {"fp8_param_gather": fp8_param_gather, "bf16_first": bf16_first, "bf16_last": bf16_last}
    chosen: dict[str, Any] = narrow | {"attention": attention, "method": method, "optimizer": optimizer}
    modules, dispatcher, experts = _experts(options)
    beside = _offloaded(offload, *(options.pop(name, None) for name in AWAY)) | seeing(shape.value, options)
    trained = adapters(method, lora_rank, *(options.pop(name, None) for name in ADAPTED))
    recipe = library.recipe(precision or default_precision(cluster.value)).value
    ranges = {n: parse_range(n, text) for n, text in (options | {"b": micro_batch}).items() if text is not None}
    said = (global_batch, batch_tokens, gradient_accumulation_steps, seq or default_sequence(shape.value))
    batch, reckoned = sequences(*said, cluster.value.gpus, ranges)
    chosen |= beside | {"loss": loss, "context": cp_comm, "precision": recipe.name} | trained | experts
    workload, defaults = _workload(shape.value, cluster.value, seq, batch, chosen, preset.value.tunes)
    check_schedules(preset.value)
    job = Job(shape.value, cluster.value, workload, preset.value, recipe, instead=_stand_in(library, preset.value))
    job = kept_free(job, margin, strict_fit)
    limits = _bounds(ranges, schedule, recompute, modules, dispatcher)
    named = (*shape.assumptions, *cluster.assumptions, *preset.assumptions)
    named += () if framework or not preset.value.tunes else (f"preset {preset.value.name}; --framework names another",)
    return Question(job, limits, (*named, *reckoned, *defaults, *_remarks(job), *idle(job, limits)))


def _stand_in(library: Library, preset: Framework) -> Framework | None:
    return library.framework(preset.instead).value if preset.instead else None


def _trainer(method: str, options: dict[str, Any]) -> str:
    """The preset where none is named: of adapters the Trainer's, unless degrees that it does not have are asked for."""
    split = any(options.get(name) not in (None, "1") for name in ("tp", "pp", "cp", "ep", "etp", "v", "sp"))
    return "megatron-core" if method not in ("lora", "qlora") or split else "hf"


def _experts(options: dict[str, Any]) -> tuple[str | None, str | None, dict[str, Any]]:
    """Modules and dispatcher as asked for, and fields of Workload: taken out of the options."""
    modules, dispatcher, graphs, imbalance, capacity = (options.pop(name, None) for name in EXPERTS)
    fields = {"graphs": graphs or "none", "imbalance": 1.0 if imbalance is None else imbalance, "capacity": capacity}
    return modules, dispatcher, fields


def _offloaded(offload: str, layers: int | None, modules: str | None) -> dict[str, Any]:
    """What lives in host memory, as fields of Workload; naming modules means their activations.

    Raises:
        PlannerError: unknown modules, or another offload or layers beside them.
    """
    named = _names("offload-modules", modules, OFFLOADED)
    if named is None:
        return {"offload": offload, "offload_layers": layers or 0}
    if offload not in ("none", "activations") or layers:
        beside = "--offload-layers" if layers else f"--offload {offload:.40}"
        raise PlannerError(f"--offload-modules is of --offload activations, not of {beside}", "leave out one")
    return {"offload": "activations", "offload_modules": tuple(name for name in OFFLOADED if name in named)}


def seeing(model: Model, options: dict[str, Any]) -> dict[str, Any]:
    """Fields of Workload, taken out of the options where they are given.

    Raises:
        PlannerError: they are of images that are not there, or of a tower that the model has not.
    """
    given = {name: value for name in SEEING if (value := options.pop(name, None)) is not None}
    if "image_size" in given and not given.get("images"):
        raise PlannerError(f"--image-size {given['image_size']} is of images: how many are there?", "--images 1")
    if model.tower is None and given.get("tower") in ("projector", "frozen"):
        raise PlannerError(f"--tower {given['tower']}: {model.name} has no vision tower here", "leave out --tower")
    return given


def _bounds(
    ranges: dict[str, Range], schedule: str | None, recompute: str | None, modules: str | None, dispatcher: str | None
) -> Bounds:
    """What the options pin: ranges of numbers, and names."""
    names = _names("schedule", schedule, offered((ALL,), SCHEDULES))
    chosen = _modules(recompute, modules)
    policies = _names("recompute", recompute, RECOMPUTE) if chosen is None else frozenset({"selective"})
    return Bounds(ranges, names, policies, chosen, _names("dispatcher", dispatcher, DISPATCHERS))


def check_schedules(preset: Framework) -> None:
    """Refuse a preset that lists what is no schedule.

    Raises:
        PlannerError: names it, and what is known.
    """
    known = (*offered((ALL,), SCHEDULES), ALL)
    for name in preset.schedules:
        if name not in known:
            hint = suggest(name, list(known)) or known
            raise PlannerError(f"the preset {preset.name} lists the schedule {name!r:.40}", f"known: {', '.join(hint)}")


def _workload(
    model: Model, cluster: Cluster, seq: int | None, batch: int | None, chosen: dict[str, Any], tunes: bool = False
) -> tuple[Workload, tuple[str, ...]]:
    """The workload, and a sentence for every default in it."""
    for name, value in (("seq", seq), ("global-batch", batch), ("lora-rank", chosen.get("lora_rank"))):
        if value is not None and not 1 <= value <= 10**9:
            raise PlannerError(f"--{name} must be between 1 and 10^9, not {value}")
    notes = []
    if seq is None:
        seq = default_sequence(model)
        notes.append(f"sequence {seq:,} tokens (the model's context, at most 8,192); --seq sets it")
    if batch is None:
        tuned = chosen["method"] != "full" or tunes
        batch = usual_batch(seq, cluster.gpus, tuned)
        why = "as fine-tuning has it" if tuned else "about 4 M tokens per step"
        notes.append(f"global batch {batch:,} sequences ({why}); --global-batch sets it")
    if seq > model.context:
        notes.append(f"{seq:,} tokens exceed the {model.context:,} that {model.name} was published with")
    chosen = chosen | {"seq": seq, "global_batch": batch} | stored_base(model, chosen["method"])
    try:
        return Workload(**chosen), tuple(notes)
    except ValidationError as error:
        problem = error.errors()[0]
        field = str(problem["loc"][0])
        option = f"--{SPELLED.get(field, field).replace('_', '-')}"
        near = nearest_literal(problem)
        hint = METHODS.get(str(problem["input"]).lower(), near) if option == "--method" else near
        raise PlannerError(f"{option} {problem['input']!r}: {schema_problem(problem)}", hint) from None


def kept_free(job: Job, margin: str, strict_fit: bool) -> Job:
    """The job with a margin of its memory; strictly, with the peak's band as well, so that nothing tight counts."""
    share = share_of_memory(margin)
    return replace(job, margin=1.0 - (1.0 - share) / upper(job) if strict_fit else share)


def share_of_memory(text: str) -> float:
    """ "8%" or "0.08" as a number below 1.

    Raises:
        PlannerError: neither.
    """
    number = text.strip().removesuffix("%")
    try:
        value = float(number) / (100.0 if text.strip().endswith("%") else 1.0)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1.0:
        raise PlannerError(f"--margin {text!r:.20} is no share of the memory", "--margin 8%")
    return value


def adapters(
    method: str, rank: int | None, targets: str | None = None, base: str | None = None, experts: bool | None = None
) -> dict[str, Any]:
    """What is said of adapters and of the weights under them, as fields of Workload.

    Raises:
        PlannerError: it is given, and the method has no adapters.
    """
    said = {"lora_rank": rank, "lora_targets": targets, "base": base, "quantize_experts": experts or None}
    given = {name: value for name, value in said.items() if value is not None}
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        if method == "full":
            raise PlannerError(f"{option}: the method {method!r:.20} has no adapters", "--method lora")
        if name in ("base", "quantize_experts") and method == "lora":
            raise PlannerError(f"{option}: LoRA freezes weights in the recipe's own format", "--method qlora")
    return given


def _remarks(job: Job) -> Iterator[str]:
    """Sentences on memory to stay free, and on what is weighed and not written."""
    if job.margin:
        yield f"{job.margin:.1%} of the usable memory is kept free"
    if job.workload.loss:
        yield f"the loss is the kernel {job.workload.loss}; scripts are written with the framework's own"
    yield from experts_said(job)


def _names(option: str, text: str | None, known: tuple[str, ...]) -> frozenset[str] | None:
    """Names with commas between them, all of them known."""
    if text is None:
        return None
    names = [n.strip() for n in text.split(",")]
    for name in names:
        if name not in known:
            raise PlannerError(
                f"--{option} {name!r:.40} is unknown", (*meant(name, [*known]), f"known: {', '.join(known)}")
            )
    return frozenset(names)


def parse_range(name: str, text: str) -> Range:
    """Read "4", "2..8", "..8", "2.." or "1,2,4".

    Raises:
        PlannerError: not whole numbers, or out of what the dimension can be.
    """
    low, high = _LIMITS.get(name, (1, 10**9))
    values, result = _between(text.strip(), low) or _listed(text)
    if not values or any(not low <= x <= high for x in values) or values != sorted(values):
        option = "--micro-batch" if name == "b" else "--" + name.replace("_", "-")
        limits = f"whole numbers from {low} to {high}" if high < 10 else f"whole numbers from {low} up"
        usage = f"{limits}: {option} {max(low, 1)}" + ("" if high < 10 else f", {option} 2..8 or {option} 1,2,4")
        raise PlannerError(f"{option} {text!r:.40} is not understood", usage)
    return result


def _modules(recompute: str | None, text: str | None) -> tuple[str, ...] | None:
    """The modules that are to be recomputed, in the order of `MODULES`.

    Raises:
        PlannerError: unknown ones, or another recomputation beside them.
    """
    named = _names("recompute-modules", text, MODULES)
    if named is not None and recompute not in (None, "selective"):
        raise PlannerError(f"--recompute-modules is of --recompute selective, not {recompute!r:.40}", "leave out one")
    return None if named is None else tuple(name for name in MODULES if name in named)


def _between(text: str, low: int) -> tuple[list[int], Range] | None:
    """The numbers of "2..8" in order, and the range; None for another form."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    values = [int(x) for x in match.groups() if x]
    return values, Range(int(match[1] or low), int(match[2]) if match[2] else None)


def _listed(text: str) -> tuple[list[int], Range]:
    """The numbers of "1,2,4" in order, and the range; no numbers when one of them is none."""
    parts = [x.strip() for x in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,11}", x) for x in parts):
        return [], Range()
    values = sorted(int(x) for x in parts)
    return values, Range(values[0], values[0]) if len(values) == 1 else Range(only=frozenset(values))
