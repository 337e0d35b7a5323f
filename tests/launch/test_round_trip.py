"""What is written is read back: every target, over plans drawn from the search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from planner.launch.header import headed, header
from planner.launch.launchers import LAUNCHERS
from planner.launch.launchers.launcher import Options
from planner.launch.program import ANYTHING, GUARDED, File, Program, Setup
from planner.launch.targets import TARGETS, refusal, rules_of
from planner.plan import Plan
from planner.read.question import GIVEN, NAMES, understood
from planner.read.reading import Reading
from planner.stages import layers_per_chunk
from planner.training.job import Job
from planner.training.rules import legal
from planner.training.space import Bounds, Range, plans
from planner.training.trade import trade
from tests.jobs import job, library

CASES = [
    ("megatron", "llama3-8b", "2x8xA100", "megatron-core", 64),
    ("megatron", "llama3.1-405b", "16x8xH100", "megatron-core", 128),
    ("megatron", "gpt3-175b", "8x8xA100", "megatron-core", 64),
    ("megatron", "mixtral-8x7b", "4x8xH100", "megatron-core", 64),
    ("megatron", "deepseek-v3", "16x8xH100", "megatron-core", 256),
    ("megatron", "llama4-maverick", "8x8xH100", "megatron-core", 64),
    ("megatron", "qwen2.5-7b", "8xA100", "megatron-core", 32),
    ("megatron", "gpt-oss-120b", "4x8xH100", "megatron-core", 64),
    ("megatron-core", "mixtral-8x7b", "4x8xH100", "megatron-core", 64),
    *(
        (target, *case)
        for target in ("megatron-bridge", "primus")
        for case in (
            ("llama3-8b", "2x8xA100", "megatron-core", 64),
            ("gpt3-175b", "8x8xA100", "megatron-core", 64),
            ("mixtral-8x7b", "4x8xH100", "megatron-core", 64),
            ("llama4-maverick", "8x8xH100", "megatron-core", 64),
            ("gpt-oss-20b", "2x8xH100", "megatron-core", 64),
            ("llama3.1-405b", "16x8xH100", "megatron-core", 128),
        )
    ),
    ("primus", "deepseek-v3", "16x8xH100", "megatron-core", 256),
    ("megatron-deepspeed", "llama3-8b", "2x8xA100", "megatron-deepspeed", 64),
    ("megatron-deepspeed", "gpt3-13b", "4x8xA100", "megatron-deepspeed", 64),
    ("deepspeed", "llama3-8b", "2x8xA100", "megatron-deepspeed", 64),
    ("deepspeed", "llama3-70b", "8x8xA100", "deepspeed-zero3", 64),
    ("torchtitan", "llama3-8b", "2x8xA100", "torchtitan", 64),
    ("torchtitan", "llama3.1-405b", "16x8xH100", "torchtitan", 128),
    ("torchtitan", "qwen3-30b-a3b", "2x8xH100", "torchtitan", 64),
    ("torchtitan-registry", "llama3-8b", "2x8xA100", "torchtitan", 64),
    ("torchtitan-registry", "qwen3-30b-a3b", "2x8xA100", "torchtitan", 64),
    ("verl", "llama3-8b", "2x8xA100", "any", 64),
    ("verl", "mixtral-8x7b", "4x8xA100", "megatron-core", 64),
    ("automodel", "llama3-8b", "2x8xA100", "hf-fsdp", 64),
    ("pytorch", "llama3-8b", "2x8xA100", "any", 64),
    ("colossalai", "llama3-8b", "2x8xA100", "colossalai", 64),
    ("accelerate", "llama3-8b", "2x8xA100", "llm-foundry", 64),
    ("transformers", "llama3-8b", "2x8xA100", "hf-fsdp", 64),
    ("transformers", "llama3-8b", "2x8xA100", "hf", 64),
]
"""Target, model, cluster, preset, batch."""

WORK: list[dict[str, Any]] = [
    {},
    {"attention": "unfused"},
    {"offload": "optimizer"},
    {"offload": "parameters"},
    {"offload": "activations"},
    {"loss": "fused"},
    {"loss": "chunked"},
    {"context": "allgather"},
    {"loss": "linear"},
    {"method": "lora", "lora_rank": 64, "optimizer": "adam"},
    {"optimizer": "adam-bf16"},
]
"""Fields of the job; a target that has no words for them refuses all plans."""

NEEDED: dict[str, dict[str, Any]] = {"automodel": {"optimizer": "adam-bf16", "loss": "eager"}}
"""What a target cannot do without."""

SHAPE = [
    *("layers", "hidden", "ffn", "heads", "kv_heads", "head_dim", "vocab", "tied_embeddings", "mlp", "bias", "norm"),
    *("position", "dropout", "window", "window_every", "sinks", "qk_norm", "moe", "mla"),
]


def drawn(job: Job, target: str, count: int) -> list[Plan]:
    """Plans of all kinds that a target can express, always the same."""
    pool: list[Plan] = []
    for batch in plans(job, Bounds({"cp": Range(1, 4)})):
        rules = [np.broadcast_to(rule.holds(job, batch), batch.shape) for rule in rules_of(TARGETS[target])]
        rows = np.flatnonzero(np.logical_and.reduce([legal(job, batch)[0], *rules]))
        pool += [batch[int(row)].scalar() for row in np.random.default_rng(0).permutation(rows)[:40]]
    return Random(1).sample(pool, min(count, len(pool)))


def written(target: str, setup: Setup, program: Program) -> Iterator[tuple[File, ...]]:
    """Launch scripts with all in them; and what --launcher none gives, with the files beside it."""
    lines = header(TARGETS[target], setup, "")
    for name in ("torchrun", "slurm"):
        yield LAUNCHERS[name].files(setup, program, Options(lines, True))
    if target not in ("megatron-deepspeed", "transformers", "deepspeed"):
        own = tuple(headed(file, lines) for file in program.files)
        yield own or (headed(File("flags.txt", TARGETS[target].bare(program)), lines),)


def read(files: tuple[File, ...]) -> tuple[Setup, Reading]:
    """As `planner check` does, without an option of its own."""
    beside = {file.name: file.text for file in files[1:]}
    said = dict.fromkeys(NAMES), dict.fromkeys(GIVEN)
    return understood(files[0].text, library(), beside.get, *said, {})[:2]


def same_split(job: Job, one: Plan, other: Plan) -> Plan:
    """The second plan with the head of the first, where both lay the layers alike."""
    chunks = [layers_per_chunk(job.model.layers, p) for p in (one, other)]
    return replace(other, head=one.head) if chunks[0] == chunks[1] else other


def differences(asked: Setup, back: Setup) -> dict[str, tuple[Any, Any]]:
    """Fields of plan, job and model that are not those that were asked for."""
    traded = trade(asked.job, asked.plan)
    plan = same_split(asked.job, asked.plan, back.plan)
    pairs = [(asked.plan.degrees, plan.degrees)]
    pairs += [(dict(asked.job.workload), dict(back.job.workload))]
    pairs += [tuple({name: getattr(one.job.model, name) for name in SHAPE} for one in (asked, back))]
    one, other = ({k: v for part in side for k, v in part.items()} for side in zip(*pairs, strict=True))
    if other["offload_layers"] == asked.job.offloaded_layers:  # all, as Megatron-LM has it
        other |= {"offload_layers": one["offload_layers"]}
    one |= {"context": traded.kind if traded else other["context"]}
    return {name: (value, other[name]) for name, value in one.items() if other[name] != value}


@pytest.mark.parametrize("work", WORK, ids=lambda work: "-".join(map(str, work.values())) or "plain")
@pytest.mark.parametrize(("target", "model", "cluster", "preset", "batch"), CASES)
def test_plan_survives(target: str, model: str, cluster: str, preset: str, batch: int, work: dict[str, Any]) -> None:
    """Model, workload and plan come back, and no check of the framework fails."""
    asked = job(model, cluster, preset, seq=4096, batch=batch, **(NEEDED.get(target, {}) | work))
    known = TARGETS[target].expresses
    refused = [name for name, value in work.items() if name in GUARDED and known.get(name) != ANYTHING]
    if any(work[name] not in known.get(name, ()) for name in refused):
        return
    found = drawn(asked, target, 2 if work else 15)
    assert found or work
    for plan in found:
        setup = Setup(asked, plan)
        assert refusal(TARGETS[target], setup) is None
        for files in written(target, setup, TARGETS[target].program(setup)):
            back, reading = read(files)
            assert not reading.problems and not reading.ignored, files[0].text
            assert not differences(setup, back), files[0].text
