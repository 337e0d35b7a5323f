"""Every modelled option of the Trainer's commands, toggled: the estimate moves, or the option is named."""

from __future__ import annotations

from typing import Any

import pytest

from planner.catalog.library import open_library
from planner.launch.check import setup_of
from planner.questions.train import rank
from planner.read.context import Context
from planner.read.script import read_any
from planner.read.table import table
from planner.search import Candidate
from tests.jobs import cluster, framework, model

COMMAND = (
    "torchrun --nproc_per_node 8 train.py --deepspeed ds.json --model_name_or_path Qwen/Qwen2.5-7B "
    "--per_device_train_batch_size 2 --gradient_accumulation_steps 2 --bf16 True --cutoff_len 4096 "
    "--gradient_checkpointing True"
)
JSON = '{"zero_optimization": {"stage": 2}, "train_micro_batch_size_per_gpu": "auto"}'

LORA, LENGTH = "--use_peft True", ("--cutoff_len 4096", "")
FSDP = ("--deepspeed ds.json", "--fsdp full_shard")

TOGGLES: dict[str, tuple[tuple[str, str], str]] = {
    "model_name_or_path": (("--model_name_or_path Qwen/Qwen2.5-7B", ""), "meta-llama/Llama-3.1-8B"),
    "max_length": (LENGTH, "2048"),
    "max_seq_length": (LENGTH, "2048"),
    "cutoff_len": (LENGTH, "2048"),
    "model_max_length": (LENGTH, "2048"),
    "per_device_train_batch_size": (("--per_device_train_batch_size 2", ""), "1"),
    "gradient_accumulation_steps": (("--gradient_accumulation_steps 2", ""), "4"),
    "bf16": (("--bf16 True", ""), "False"),
    "fp16": (("--bf16 True", "--bf16 False"), "True"),
    "gradient_checkpointing": (("--gradient_checkpointing True", ""), "True"),
    "finetuning_type": (("", ""), "lora"),
    "tuner_type": (("", ""), "lora"),
    "train_type": (("", ""), "lora"),
    "use_peft": (("", ""), "True"),
    "use_lora": (("", ""), "True"),
    "lora_r": (("--bf16", f"{LORA} --bf16"), "128"),
    "lora_rank": (("--bf16", f"{LORA} --bf16"), "128"),
    "lora_target_modules": (("--bf16", f"{LORA} --bf16"), "all-linear"),
    "lora_target": (("--bf16", f"{LORA} --bf16"), "q_proj,v_proj"),
    "target_modules": (("--bf16", f"{LORA} --bf16"), "gate_proj up_proj down_proj"),
    "load_in_4bit": (("--bf16", f"{LORA} --bf16"), "True"),
    "load_in_8bit": (("--bf16", f"{LORA} --bf16"), "True"),
    "quantization_bit": (("--bf16", f"{LORA} --bf16"), "4"),
    "optim": (("", ""), "adafactor"),
    "attn_implementation": (("", ""), "eager"),
    "attn_impl": (("", ""), "eager"),
    "flash_attn": (("", ""), "disabled"),
    "use_liger_kernel": (("", ""), "True"),
    "enable_liger_kernel": (("", ""), "True"),
    "zero_stage": (("--deepspeed ds.json", ""), "3"),
    "fsdp": (("--deepspeed ds.json", ""), "full_shard"),
    "stage": (("", ""), "dpo"),
    "rlhf_type": (("", ""), "dpo"),
    "dtype": (("", ""), "float32"),
    "torch_dtype": (("", ""), "float32"),
}


def answer(command: str) -> tuple[Any, ...]:
    """Seconds, bytes, and what is named."""
    known = open_library()
    reading = read_any(command, Context(8, None, {}, {"ds.json": JSON}.get, 1, lambda name: None))
    found = known.lookup("model", (reading.model_name or "").rpartition("/")[2].lower())
    shape = found.value if found else model("qwen2.5-7b")
    setup, _ = setup_of(reading, cluster("8xA100"), framework("deepspeed-zero3"), shape, seq=1024)
    estimate = rank(setup.job, Candidate(setup.plan, 0.0, 0.0))
    return estimate.step_time, estimate.need, {one.option for one in reading.not_modelled}


@pytest.mark.parametrize("option", TOGGLES)
def test_moves_or_is_named(option: str) -> None:
    """Each by the name that people write."""
    (old, new), value = TOGGLES[option]
    before = COMMAND.replace(old, new, 1) if old else COMMAND
    assert table("transformers").group(option) is not None
    assert answer(before) != answer(f"{before} --{option} {value}")
