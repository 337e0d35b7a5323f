"""What is written is read back: every emitter that `check` can read, over plans drawn from the search."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from planner.launch.check import setup_of
from planner.launch.header import header
from planner.launch.launchers import LAUNCHERS
from planner.launch.launchers.launcher import Options
from planner.launch.program import Program, Setup
from planner.launch.targets import TARGETS, refusal
from planner.plan import Plan
from planner.read.reading import Reading
from planner.read.script import Context, read_any
from planner.stages import layers_per_chunk
from planner.training.job import Job
from planner.training.rules import legal
from planner.training.space import Bounds, Range, plans
from planner.training.trade import trade
from tests.jobs import job

CASES = [
    ("megatron", "llama3-8b", "2x8xA100", "megatron-core", 64),
    ("megatron", "llama3.1-405b", "16x8xH100", "megatron-core", 128),
    ("megatron", "gpt3-175b", "8x8xA100", "megatron-core", 64),
    ("megatron", "mixtral-8x7b", "4x8xH100", "megatron-core", 64),
    ("megatron", "deepseek-v3", "16x8xH100", "megatron-core", 256),
    ("megatron", "llama4-maverick", "8x8xH100", "megatron-core", 64),
    ("megatron", "qwen2.5-7b", "8xA100", "megatron-core", 32),
    ("megatron-deepspeed", "llama3-8b", "2x8xA100", "megatron-deepspeed", 64),
    ("megatron-deepspeed", "gpt3-13b", "4x8xA100", "megatron-deepspeed", 64),
    ("deepspeed", "llama3-8b", "2x8xA100", "megatron-deepspeed", 64),
    ("deepspeed", "llama3-70b", "8x8xA100", "deepspeed-zero3", 64),
    ("torchtitan", "llama3-8b", "2x8xA100", "torchtitan", 64),
    ("torchtitan", "llama3.1-405b", "16x8xH100", "torchtitan", 128),
]
"""Target, model, cluster, preset, batch."""

SHAPE = [
    "layers",
    "hidden",
    "ffn",
    "heads",
    "kv_heads",
    "head_dim",
    "vocab",
    "tied_embeddings",
    "mlp",
    "bias",
    "norm",
    "position",
    "dropout",
    "window",
    "window_every",
    "moe",
    "mla",
]


def drawn(job: Job, target: str, count: int) -> list[Plan]:
    """Plans of all kinds that a target can express, always the same."""
    pool: list[Plan] = []
    for batch in plans(job, Bounds({"cp": Range(1, 4)})):
        rules = [np.broadcast_to(rule.holds(job, batch), batch.shape) for rule in TARGETS[target].rules]
        rows = np.flatnonzero(np.logical_and.reduce([legal(job, batch)[0], *rules]))
        pool += [batch[int(row)].scalar() for row in np.random.default_rng(0).permutation(rows)[:40]]
    return Random(1).sample(pool, min(count, len(pool)))


def written(target: str, setup: Setup, program: Program) -> list[str]:
    """A launch script, and what --launcher none gives where that is all."""
    options = Options(header(TARGETS[target], setup, ""), True)
    texts = [LAUNCHERS[name].files(setup, program, options)[0].text for name in ("torchrun", "slurm")]
    return texts + ([] if target == "megatron-deepspeed" else [TARGETS[target].bare(program)])


def read(text: str, job: Job) -> tuple[Setup, Reading]:
    """As `planner check` does."""
    reading = read_any(text, Context(job.cluster.gpus, job.model.vocab))
    said = {"seq": job.workload.seq, "attention": job.workload.attention}
    return setup_of(reading, job.cluster, job.framework, job.model, **said)[0], reading


def same_split(job: Job, one: Plan, other: Plan) -> Plan:
    """The second plan with the head of the first, where both lay the layers alike."""
    chunks = [layers_per_chunk(job.model.layers, p) for p in (one, other)]
    return replace(other, head=one.head) if chunks[0] == chunks[1] else other


@pytest.mark.parametrize("attention", ["flash", "unfused"])
@pytest.mark.parametrize(("target", "model", "cluster", "preset", "batch"), CASES)
def test_plan_survives(target: str, model: str, cluster: str, preset: str, batch: int, attention: str) -> None:
    """Model, workload and plan come back, and no check of the framework fails."""
    asked = job(model, cluster, preset, seq=4096, batch=batch, attention=attention)
    found = drawn(asked, target, 25)
    assert len(found) >= 3 or attention != "flash"
    for plan in found:
        setup = Setup(asked, plan)
        assert refusal(TARGETS[target], setup) is None
        for text in written(target, setup, TARGETS[target].program(setup)):
            back, reading = read(text, asked)
            assert not reading.problems and not reading.ignored, text
            assert same_split(asked, plan, back.plan) == plan, text
            traded = trade(asked, plan)
            asked_so = asked.workload.model_copy(update={"context": traded.kind if traded else None})
            assert back.job.workload == asked_so, text
            assert [getattr(back.job.model, x) for x in SHAPE] == [getattr(asked.model, x) for x in SHAPE], text
