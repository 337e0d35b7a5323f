"""What a configuration says of a job, in fields that all frameworks share, before a cluster is known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import isfinite, isqrt, prod
from typing import Any, get_args

from planner.errors import PlannerError
from planner.read.format import Format
from planner.read.table import Given, NotModelled, text_of
from planner.read.tree import Leaf, Tree
from planner.schema.workload import Workload

WHOLE = (
    *("seq", "b", "m", "batch", "tp", "cp", "pp", "ep", "etp", "v", "dp", "dp_replicate", "dp_shard", "zero", "rank"),
    *("bits", "nodes", "per_node", "processes", "fsdp_version", "lora_dim", "prompt", "response", "rollouts"),
    *("per_rank", "images", "pixels", "image_size"),
)
"""Fields that are whole numbers: those of Plan and Workload under their names; m micro-batches a step, batch sequences
a step, per_rank those of each rank, images of a sequence, pixels of an image at most or image_size a side, dp_shard
ranks that share the states, bits of a quantised base, nodes, processes on each and in all."""

MAY_BE_ZERO = ("images", "rank", "lora_dim", "bits", "fsdp_version", "prompt", "response")

FLAGS = ("sp", "reshard", "tied", "in_backward", "quantize_experts", "gates")

BOTH = ("memory", "time")
WORDS: dict[str, tuple[tuple[str, Any], ...]] = {
    "method": (
        (r"q-?lora", "qlora"),
        (r"lora|dora|rslora|lora_.*|sft-lora|peft", "lora"),
        (r"full|none|null|ft|sft|pretrain|all", "full"),
    ),
    "optimizer": (
        (r"(.*[._])?(paged_?adamw?_?8bit|adamw?_8bit_paged)", "adam-8bit-paged"),
        (r".*adam.*(8bit|8_bit|int8).*|.*(8bit|8_bit)adamw?", "adam-8bit"),
        (r"(.*[._])?paged_?adamw?(_?32bit)?", "adam-paged"),
        (r"(.*[._])?adafactor", "adafactor"),
        (r"(.*[._])?(dist_?)?muon", "muon"),
        (r"(.*[._])?sgd", "sgd"),
        (r"(.*[._])?lomo", "sgd-in-backward"),
        (
            r"(.*[._])?(fused_?|decoupled_?|cpu|deepspeedcpu|distributed_fused_)?adamw?"
            r"(_(hf|torch|torch_fused|torch_xla|apex_fused|torch_npu_fused))?",
            "adam",
        ),
    ),
    "attention": (
        (
            r"(.*[/_.-])?(flash|fa|fa2|fa3|fa4|sdpa|sdp|flex|auto|xformers|kernels|te|varlen|cudnn|fused).*|true",
            "flash",
        ),
        (r"eager|torch|local|unfused|disabled|naive|global|standard|false", "eager"),
    ),
    "precision": (
        (r"(amp_)?(bf16|bfloat16|torch\.bfloat16)([_-].*)?|auto|true", "bf16"),
        (r"no|false|none|null", None),
        (r"(amp_)?(fp16|float16|half|16|torch\.float16)([_-].*)?", "fp16"),
    ),
    "pure16": ((r"(torch\.)?(b?float16|bf16|fp16)", True), (r".*", False)),
    "recompute": (
        (r"true|full|unsloth|always|uniform|block|hf|1|everything|all|offload", "full"),
        (r"selective|op|memory_budget", "selective"),
        (r"false|none|no|0|null", "none"),
    ),
    "sharding": (
        (r"1|full_shard.*|.*\bfull_shard\b.*|fsdp2?|optim_grads_params", 3),
        (r"2|shard_grad_op.*|.*\bshard_grad_op\b.*|optim_grads", 2),
        (r"3|no_shard|ddp|none|false", 0),
        (r"[45]|hybrid_shard.*|.*\bhybrid_shard\b.*|_hybrid.*|hsdp.*", "hybrid"),
        (r"optim|zero1", 1),
    ),
    "offload": ((r"cpu|nvme", "optimizer"), (r"none|false|null", "none")),
    "engine": (
        (r"fsdp.*|_?megatron_fsdp.*", "fsdp"),
        (r"deepspeed.*", "deepspeed"),
        (r"multi_.*|no|ddp|none|single.*", "ddp"),
    ),
    **dict.fromkeys(("tower", "projector"), ((r"true|1|yes|on", "frozen"), (r"false|0|no|off", "trained"))),
    "left": ((r"model\.language_model lm_head model\.visual\.merger .*", "projector"),),
    "stage": ((r"sft|pt|pretrain.*|finetune.*|cpt|causal_lm|train|sft_loss|none|null|ft", "sft"),),
}
"""Values by what they mean; whatever matches none is named as not modelled."""

ONE = ("seq", "b", "m", "zero", "precision", "method", "offload")
"""Fields of which a second key with another value is named: the first is taken."""

WIDER = {"offload": "parameters", "targets": "modules"}
"""Values that take in what a key before said."""

PROJECTED = r"q?_?(galore|apollo|badam|lisa|frugal|grass)"
"""Optimizers of projected gradients or of some blocks at a time, whatever updates those."""

STAND_IN = {"optimizer": "adam", "precision": "bf16", "attention": "flash", "stage": "sft", "method": "full"}
"""What is weighed and timed instead of a value that nobody models."""

ADAPTERS = r"q?oft|boft|adalora|lo(ha|kr|ra_ga)|vera|fourierft|reft|bone|ia3|longlora|adapter|llamapro|prompt.*"
"""Methods that freeze the model and train little beside it: LoRA's weight and time come nearest."""

WHY = {
    "optimizer": (BOTH, "its states and step are weighed and timed as Adam's"),
    "precision": (BOTH, "weighed and timed as bf16"),
    "attention": (BOTH, "weighed and timed as FlashAttention"),
    "stage": (BOTH, "one model on whole sequences is what is weighed and timed: no reference, reward or rollout"),
    **dict.fromkeys(("method", "left"), (BOTH, "weighed and timed as if every weight were trained")),
    "bits": (BOTH, "the frozen base is weighed in 16 bits"),
    "loss": (BOTH, "logits are weighed and timed as a separate loss makes them"),
}


@dataclass(slots=True)
class Job:
    """Fields with the leaf that says each.

    Attributes:
        values: by field, the format's defaults included. said: by field, what the file itself gives.
        not_modelled, notes: what the answer does not account for, what was assumed.
    """

    format: Format
    values: dict[str, Any]
    said: dict[str, Leaf] = field(default_factory=dict)
    not_modelled: list[NotModelled] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def get(self, name: str, default: Any = None) -> Any:
        """A field, or the default."""
        found = self.values.get(name)
        return default if found is None else found

    def name(self, option: Leaf, touches: Iterable[str], why: str) -> None:
        """Something that is left out of account, once."""
        one = NotModelled(option.key.lstrip("-"), text_of(option.value), tuple(touches), why, option.line)
        if all(old.option != one.option for old in self.not_modelled):
            self.not_modelled.append(one)


def read_job(tree: Tree, form: Format) -> Job:
    """Every key of a configuration by its format's table: into a field, aside, or by name.

    Raises:
        PlannerError: a value that a field cannot have, or a variable that nothing sets.
    """
    job, seen = Job(form, dict(form.defaults)), form.shaped(tree)
    spelled = []
    for path, leaf in seen.leaves.items():
        group = form.table.group(path)
        if group is not None and group.kind == "modelled":
            _take(job, group.to, leaf)
        spelled.append((path, leaf))
    named = form.table.not_modelled(
        Given(path, text_of(leaf.value), leaf.line)
        for path, leaf in spelled
        if form.table.group(path) is not None or truth(leaf)
    )
    if "precision" not in job.said and (plain := _switched_off(seen, form)):
        job.name(plain, BOTH, "a run in fp32 is weighed and timed as one in bf16")
    known = {one.option for one in job.not_modelled}
    job.not_modelled += [one for one in named if one.option not in known]
    return job


OFF_AT_ZERO = ("packed_sequence_size", "pipe_parallel_size", "pipe-parallel-size", "data.train_batch_size")
"""Ends of keys that 0 switches off: Automodel's packing, GPT-NeoX's pipeline, verl's batch of a stream of rollouts."""


def _take(job: Job, to: str, leaf: Leaf) -> None:
    """One value into its field; what the file says first stays."""
    name, _, fixed = to.partition("=")
    if leaf.value is None or name == "set" or (leaf.key.endswith(OFF_AT_ZERO) and whole(leaf) == 0):
        return
    if name in WIDER and name in job.said and _meant(job, to, leaf) == WIDER[name]:
        del job.said[name]
    if name in job.said:
        if name in ONE and _meant(job, to, leaf) not in (None, job.values[name]):
            job.name(leaf, (*BOTH, "legality"), f"{job.said[name].key} is taken")
        return
    if name == "recompute" and fixed == "full" and not truth(leaf):
        job.values[name], job.said[name] = "none", leaf
        return
    found = _meant(job, to, leaf)
    if found is not None:
        job.values[name], job.said[name] = found, leaf


def _meant(job: Job, to: str, leaf: Leaf) -> Any:
    """What a key would make of a field; None where it is switched off or says nothing."""
    name, switch, fixed = to.partition("=")
    if switch:
        return (int(fixed) if fixed.isdigit() else fixed) if truth(leaf) else None
    return _value(job, name, leaf)


def _switched_off(seen: Tree, form: Format) -> Leaf | None:
    """A switch of a precision below fp32 that is off."""
    for path, leaf in seen.leaves.items():
        group = form.table.group(path)
        if group is not None and group.to.startswith("precision=") and leaf.value is not None and not truth(leaf):
            return leaf
    return None


def _value(job: Job, name: str, leaf: Leaf) -> Any:
    if name == "image_size" and isinstance(leaf.value, list):
        sides = [whole(replace(leaf, value=side)) or 0 for side in leaf.value]
        return _within(name, isqrt(prod(sides)), leaf)
    if name in WHOLE:
        return _within(name, whole(leaf), leaf)
    if name == "model" and not isinstance(leaf.value, str):
        raise PlannerError(f"{_where(leaf)}{leaf.key} wants the name of a model, not {text_of(leaf.value)!r:.40}")
    if name in FLAGS:
        return truth(leaf)
    if name == "targets":
        return _targets(job, leaf)
    if name not in WORDS:
        return leaf.value
    text = text_of(leaf.value).strip().lower()
    for pattern, meaning in () if name == "optimizer" and re.match(PROJECTED, text) else WORDS[name]:
        if re.fullmatch(pattern, text):
            return meaning
    if name == "method" and re.fullmatch(ADAPTERS, text):
        job.name(leaf, BOTH, "weighed and timed as LoRA on every linear layer")
        return "lora"
    if text not in ("auto", "default"):
        touches, why = WHY.get(name, (BOTH, "this value is not modelled"))
        job.name(leaf, touches, why)
    return STAND_IN.get(name)


def _within(name: str, number: int | None, leaf: Leaf) -> int | None:
    """The number, which is positive but for ranks, bits and stages.

    Raises:
        PlannerError: it is not.
    """
    low, high = (0, 3) if name == "zero" else (0 if name in MAY_BE_ZERO else 1, 10**12)
    if number is not None and not low <= number <= high:
        limits = f"from {low} to {high}" if high < 10 else "positive"
        raise PlannerError(f"{_where(leaf)}{leaf.key} must be {limits}, not {number}")
    return number


def _where(leaf: Leaf) -> str:
    return f"line {leaf.line}: " if leaf.line else ""


ATTENTION, MLP = frozenset({"q_proj", "k_proj", "v_proj", "o_proj"}), frozenset({"gate_proj", "up_proj", "down_proj"})
NARROW, WIDE = frozenset({"linear_qkv", "linear_proj"}), frozenset({"linear_fc1", "linear_fc2"})
TARGETS = {ATTENTION: "attention", MLP: "mlp", ATTENTION | MLP: "all-linear"}
TARGETS |= {NARROW: "attention", WIDE: "mlp", NARROW | WIDE: "all-linear"}
TARGETS |= {frozenset({name}): "all-linear" for name in ("all", "all-linear")}
"""Linear layers with adapters, by the names that Transformers gives to those of most decoders, and Megatron-Core."""

FINDERS = ("llamafactory", "llamafactory-v1", "axolotl", "swift")
"""Trainers that look for the linear modules of a model themselves, and hand their names to PEFT."""

IN_ATTENTION = re.compile(
    r"(.*\.)?((q|k|v|o|qkv|out|output|q_[ab]|kv_[ab])_proj\w*|in_proj_\w+|out_proj|w?qkv|c_attn|query_key_value)"
)
IN_EXPERTS = re.compile(r"(?!.*shared)(.*\.)?(gate_proj|up_proj|down_proj|gate_up_proj|w[123]|fc[12]|c_fc)")
"""Names of linear layers in attentions, and of those that experts have as well."""

WIDEST = {
    "attention": "adapters are weighed and timed on every linear layer of the attention",
    "no-experts": "adapters are weighed and timed on every linear layer outside of experts",
    "all-linear": "adapters are weighed and timed on every linear layer",
}


def _targets(job: Job, leaf: Leaf) -> str:
    """Layers with adapters; other sets than attentions and feed-forwards are named, and taken as what holds them."""
    words = frozenset(re.findall(r"[\w.-]+", text_of(leaf.value).lower()))
    if words in TARGETS:
        found = len(words) == 1 and words <= {"all", "all-linear"} and job.format.name in FINDERS
        return "modules" if found else TARGETS[words]
    plain = isinstance(leaf.value, list) or not re.search(r"[*|\\]", text_of(leaf.value))
    experts = any(map(IN_EXPERTS.fullmatch, words)) if plain else "expert" in text_of(leaf.value)
    wide = "attention" if all(map(IN_ATTENTION.fullmatch, words)) else "all-linear" if experts else "no-experts"
    job.name(leaf, BOTH, WIDEST[wide])
    return wide


def truth(leaf: Leaf) -> bool:
    """Whether a switch is on: true, 1, yes, or anything that is not off."""
    return text_of(leaf.value).strip().lower() not in ("false", "0", "no", "off", "none", "null", "")


def whole(leaf: Leaf) -> int | None:
    """A whole number; None for what is left open: auto, -1, null.

    Raises:
        PlannerError: no number, or a variable that nothing sets.
    """
    text = text_of(leaf.value).strip()
    if "$" in text:
        name = text.strip("${}")
        hint = f"give it a value: --set {name if name.isidentifier() else 'NAME'}=VALUE"
        raise PlannerError(f"{_where(leaf)}{leaf.key} needs {text:.60}, which nothing sets", hint)
    if re.fullmatch(r"auto|null|none|-1|default|true|false|", text.lower()):
        return None
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        number = -1.0
    if not isfinite(number) or number != int(min(max(number, -1.0), 1e15)) or number < 0:
        raise PlannerError(f"{_where(leaf)}{leaf.key} wants a whole number, not {text!r:.40}")
    return int(number)


def modelled(name: str, value: Any) -> bool:
    """Whether a field of Workload can have a value."""
    known = Workload.model_fields.get(name)
    if known is None:
        return False
    options = [one for part in (known.annotation, *get_args(known.annotation)) for one in get_args(part)]
    words = [one for one in options if isinstance(one, str)]
    return not words or value in words
