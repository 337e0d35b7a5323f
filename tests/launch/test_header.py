"""The line `planner-options:` holds the whole request, and fills in what part of a job does not say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planner.launch.check import setup_of
from planner.launch.header import header, options, read_header, stated
from planner.launch.program import Setup
from planner.launch.targets import TARGETS
from planner.plan import Plan
from planner.questions.ask import ask
from planner.read.script import Context, read_any
from planner.training.rules import legal
from planner.training.space import plans
from tests.jobs import job
from tests.launch.test_round_trip import CASES, drawn

COUNTS = ("seq", "global_batch", "lora_rank")


def asked(words: list[str]) -> dict[str, Any]:
    """The words as arguments of `planner.ask`."""
    pairs = {name[2:].replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    return {name: int(value) if name in COUNTS else value for name, value in pairs.items()}


@pytest.mark.parametrize(("target", "model", "cluster", "preset", "batch"), CASES)
def test_options_ask_for_the_plan(target: str, model: str, cluster: str, preset: str, batch: int) -> None:
    """`planner explain` with them means the same job, and its bounds hold the plan."""
    one = job(model, cluster, preset, seq=4096, batch=batch)
    for plan in drawn(one, target, 3):
        question = ask(**asked(options(Setup(one, plan))))
        assert question.job.workload == one.workload
        found = [
            batch[int(row)].scalar()
            for batch in plans(question.job, question.bounds)
            for row in np.flatnonzero(np.broadcast_to(legal(question.job, batch)[0], batch.shape))
        ]
        assert any(replace(other, layout=None) == plan for other in found)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "qlora", "lora_rank": 64, "lora_targets": "mlp", "base": "int8"},
        {"optimizer": "adam-8bit", "loss": "linear", "attention": "eager"},
        {"offload": "optimizer", "precision": "fp16", "imbalance": 1.5},
    ],
)
def test_every_field_of_the_workload_comes_back(fields: dict[str, Any]) -> None:
    """As text in a comment, and as fields of Workload and Plan."""
    one = job("llama3-8b", "8xA100", "hf", seq=2048, batch=64, **fields)
    plan = Plan(dp=8, b=2, m=4, zero=2, recompute_layers=32)
    text = "".join(f"# {line}\n" for line in header(TARGETS["transformers"], Setup(one, plan), ""))
    said = stated(read_header(text))
    workload = {name: value for name, value in said.items() if name in type(one.workload).model_fields}
    assert type(one.workload).model_validate(workload) == one.workload
    assert {name: said[name] for name in ("b", "zero", "recompute_layers", "tp")} == {
        "b": 2,
        "zero": 2,
        "recompute_layers": 32,
        "tp": 1,
    }


AUTO = '{"zero_optimization": {"stage": 2}, "bf16": {"enabled": "auto"}, "train_micro_batch_size_per_gpu": "auto"}'


def test_what_auto_leaves_to_the_trainer_is_its_default_and_named() -> None:
    """Eight sequences on each of eight devices, not the batch of a pre-training run."""
    one = job("llama3-8b", "8xA100", "hf", seq=2048, batch=64)
    setup, notes = setup_of(read_any(AUTO, Context(8)), one.cluster, one.framework, one.model)
    assert (setup.plan.b, setup.plan.m, setup.job.workload.global_batch) == (8, 1, 64)
    assert any("micro-batch 8" in note for note in notes) and any("global batch 64" in note for note in notes)


def test_the_header_goes_before_such_defaults() -> None:
    """A JSON of DeepSpeed, or Accelerate's YAML, is part of a job; the rest stands in the line."""
    one = job("llama3-8b", "8xA100", "hf", seq=2048, batch=64, method="lora", loss="linear")
    given = stated(read_header("# " + header(TARGETS["deepspeed"], Setup(one, Plan(dp=8, b=2, m=4)), "")[-1]))
    reading = read_any(AUTO, Context(8))
    assert reading.open is not None
    setup, _ = setup_of(reading, one.cluster, one.framework, one.model, **given)
    assert setup.job.workload == one.workload and setup.plan.m == 4
    launched, _ = setup_of(
        read_any("distributed_type: FSDP\nmixed_precision: bf16\nfsdp_config:\n  fsdp_version: 2\n", Context(8)),
        one.cluster,
        one.framework,
        one.model,
        **given,
    )
    assert launched.job.workload == one.workload and (launched.plan.zero, launched.plan.b) == (3, 2)


def test_a_file_without_a_batch_is_taken_as_its_kind_of_training() -> None:
    """torchtune has no default: sixty-four sequences, as fine-tuning has it."""
    text = "model:\n  _component_: torchtune.models.llama3.lora_llama3_8b\ntokenizer:\n  max_seq_len: 2048\n"
    one = job("llama3-8b", "8xA100", "any", seq=2048, batch=64)
    setup, notes = setup_of(read_any(text, Context(8)), one.cluster, one.framework, one.model)
    assert setup.job.workload.global_batch == 64
    assert any("as fine-tuning has it" in note for note in notes)


DEFAULTS = [
    ("data.max_length: 2048\nmodel.partial_pretrain: a\n", "verl", 256),
    ("actor_rollout_ref.model.path: a\nactor_rollout_ref.rollout.n: 4\n", "verl", 1024),
    ("actor_rollout_ref.model.path: a\ndata.train_batch_size: 128\n", "verl", 128),
    ("finetuning_type: lora\ncutoff_len: 2048\nmodel_name_or_path: a\n", "llamafactory", 64),
    ("base_model: a\nsequence_len: 2048\n", "axolotl", 8),
]
"""Files that say nothing of the batch, and what their framework takes on eight devices."""


@pytest.mark.parametrize(("text", "form", "batch"), DEFAULTS)
def test_a_framework_with_a_default_batch_has_it(text: str, form: str, batch: int) -> None:
    """As its sources have it; named, unless part of it is said."""
    one = job("llama3-8b", "8xA100", "any", seq=2048, batch=64)
    reading = read_any(text, Context(8))
    setup, notes = setup_of(reading, one.cluster, one.framework, one.model)
    assert (reading.form, setup.job.workload.global_batch) == (form, batch)
    assert ("train_batch_size" in text) != any("the default of" in note for note in (*reading.notes, *notes))
