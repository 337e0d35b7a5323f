"""Files of the fine-tuners: read back to the plan that they were written for, in every framework's own words."""

from __future__ import annotations

from functools import cache
from pathlib import PurePosixPath
from random import Random
from typing import Any

import numpy as np
import pytest

from planner.cli.check import _known
from planner.launch.check import setup_of
from planner.launch.header import ASSUMED, header, read_header, stated
from planner.launch.launchers import LAUNCHERS
from planner.launch.launchers.launcher import Options
from planner.launch.program import Setup
from planner.launch.targets import TARGETS, rules_of
from planner.plan import Plan
from planner.read.context import Context
from planner.read.reading import Reading
from planner.read.script import read_any
from planner.schema.model import Model
from planner.training.job import Job
from planner.training.rules import legal
from planner.training.space import Bounds, Range, plans
from tests.jobs import job, library

WORK: tuple[dict[str, Any], ...] = (
    {},
    {"optimizer": "adam-bf16"},
    {"method": "lora", "lora_rank": 64, "lora_targets": "attention"},
    {"method": "lora", "lora_targets": "mlp", "loss": "linear", "optimizer": "adam-8bit"},
    {"method": "qlora", "attention": "eager"},
    {"method": "qlora", "base": "int8", "optimizer": "adam-8bit-paged"},
    {"offload": "optimizer", "loss": "linear", "seq": 8192},
    {"offload": "parameters", "optimizer": "adam-paged"},
    {"offload": "activations", "optimizer": "adam-bf16", "loss": "chunked"},
    {"precision": "fp16", "optimizer": "sgd"},
)
"""What is trained, and how, beside the plan."""

TUNERS = ("llamafactory", "axolotl", "trl", "torchtune", "swift")
PRESETS = ("hf", "hf-fsdp", "any")
CLUSTERS = ("1xH200", "8xH100", "2x8xA100")


BOUNDS = Bounds({"tp": Range(1, 2), "cp": Range(1, 2), "pp": Range(1, 1)})
"""Where the plans are that any of them runs."""


def drawn(target: str, one: Job, count: int, seed: int) -> list[Plan]:
    """Plans of all kinds that a target can express, always the same."""
    pool: list[Plan] = []
    for batch in plans(one, BOUNDS):
        rules = [np.broadcast_to(rule.holds(one, batch), batch.shape) for rule in rules_of(TARGETS[target])]
        rows = np.flatnonzero(np.logical_and.reduce([legal(one, batch)[0], *rules]))
        pool += [batch[int(row)].scalar() for row in np.random.default_rng(seed).permutation(rows)[:8]]
    return Random(seed).sample(pool, min(count, len(pool)))


@cache
def named(name: str) -> Model | None:
    """A model by what a file calls it."""
    return _known(library(), name)


def read(text: str, one: Job, files: dict[str, str]) -> tuple[Setup, Reading]:
    """As `planner check` does, with what lies beside the file."""
    known = Context(
        one.cluster.gpus,
        None,
        {},
        lambda name: files.get(PurePosixPath(name).name),
        one.cluster.nodes,
        named,
    )
    reading = read_any(text, known)
    said = read_header(text)
    given = {k: v for k, v in stated(said).items() if reading.open is not None or k in ASSUMED}
    model = named(reading.model_name or said["model"])
    return setup_of(reading, one.cluster, one.framework, model, **given)[0], reading


def texts(target: str, setup: Setup) -> list[tuple[str, dict[str, str]]]:
    """A launch script with its files in it; the main file alone, its header on it, with the others beside it."""
    program = TARGETS[target].program(setup)
    head = header(TARGETS[target], setup, "")
    files = {file.name: file.text for file in program.files}
    scripts = [LAUNCHERS[name].files(setup, program, Options(head, True))[0].text for name in ("torchrun", "slurm")]
    main = [file.text for file in program.files if file.name.endswith(".yaml")]
    return [(text, {}) for text in scripts] + [("".join(f"# {x}\n" for x in head) + text, files) for text in main]


CASES = [
    (target, preset, cluster, n)
    for target in TUNERS
    for preset in PRESETS
    for cluster in CLUSTERS
    for n in range(len(WORK))
]


@pytest.mark.parametrize("target", TUNERS)
def test_plans_survive(target: str) -> None:
    """Over presets, clusters and kinds of training: every field of job and plan, nothing left out of account."""
    count = 0
    for of, preset, cluster, n in CASES:
        if of != target:
            continue
        one = job("llama3.1-8b", cluster, preset, **({"seq": 4096, "batch": 64} | WORK[n]))
        for plan in drawn(target, one, 3, n):
            setup, count = Setup(one, plan), count + 1
            for text, files in texts(target, setup):
                back, reading = read(text, one, files)
                assert not reading.problems and not reading.ignored and not reading.not_modelled, text
                assert back.plan == plan, text
                assert back.job.workload == one.workload, text
                assert back.job.model.name == one.model.name
    assert count >= 60
