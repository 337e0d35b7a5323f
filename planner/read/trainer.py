"""Options of Hugging Face's Trainer and of DeepSpeed-Chat, whose rest stands in a DeepSpeed JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.read.deepspeed import read_deepspeed
from planner.read.options import Options
from planner.read.reading import Reading

BATCH = ("per_device_train_batch_size", "per-device-train-batch-size")
ACCUMULATION = ("gradient_accumulation_steps", "gradient-accumulation-steps")
LENGTH = ("max_seq_len", "max_seq_length", "cutoff_len", "model_max_length", "block_size")
RANK = ("lora_dim", "lora_rank", "lora_r")
MODEL = ("model_name_or_path", "model-name-or-path")
"""Options by what they say: transformers TrainingArguments, DeepSpeed-Chat, LLaMA-Factory."""


def is_trainer(options: Options) -> bool:
    """Whether a command trains with Trainer's options."""
    return any(name in options for name in BATCH)


def read_trainer(options: Options, config: str | None, world: int) -> Reading:
    """Micro-batch, accumulation, checkpointing and LoRA from the options; ZeRO stage and offload from the JSON.

    Raises:
        PlannerError: as `read_deepspeed`, or an option that is no number.
    """
    said = read_deepspeed(config if config is not None else "{}", world)
    b, m = _first(options, BATCH) or 8, _first(options, ACCUMULATION) or 1
    plan: dict[str, Any] = said.plan | {"b": b}
    stage = _first(options, ("zero_stage",))
    plan |= {} if stage is None else {"zero": stage}
    workload = said.workload | {"global_batch": b * m * world // (plan["tp"] * plan["pp"])}
    workload |= _job(options)
    named = next((options.text(name) for name in MODEL if name in options), None)
    checkpointing = any(options.text(n, "true").lower() != "false" for n in CHECKPOINTING if n in options)
    return replace(
        said,
        plan=plan,
        workload=workload,
        model_name=named,
        recomputed=float(checkpointing) or said.recomputed,
        notes=tuple(note for note in said.notes if "fp32" not in note or config is not None),
    )


CHECKPOINTING = ("gradient_checkpointing", "gradient-checkpointing")


def _first(options: Options, names: tuple[str, ...]) -> int | None:
    return next((options.whole(name) for name in names if name in options), None)


def _job(options: Options) -> dict[str, Any]:
    """Sequence, precision and adapters."""
    length, rank = _first(options, LENGTH), _first(options, RANK)
    fields: dict[str, Any] = {"seq": length} if length else {}
    fields |= {"precision": "fp16"} if "fp16" in options else {"precision": "bf16"} if "bf16" in options else {}
    if rank or options.text("finetuning_type") == "lora" or "use_lora" in options:
        fields |= {"method": "lora"} | ({"lora_rank": rank} if rank else {})
    if "offload" in options:
        fields["offload"] = "optimizer"
    return fields
