"""What is emitted for DeepSpeed, Accelerate and the launchers, held against their own readers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from planner.launch.header import header
from planner.launch.launchers import LAUNCHERS
from planner.launch.launchers.launcher import Options
from planner.launch.program import File, Setup
from planner.launch.shell import read_script, strip_launcher
from planner.launch.targets import TARGETS
from planner.plan import Plan
from planner.schedules import SCHEDULES
from tests.frameworks.deepspeed import deepspeed_accepts, deepspeed_initialize, deepspeed_launches, train_schedule
from tests.frameworks.launchers import (
    accelerate_accepts,
    bash_accepts,
    dstack_accepts,
    skypilot_accepts,
    torchrun_accepts,
    trainjob_accepts,
)
from tests.frameworks.verdict import Verdict
from tests.jobs import job
from tests.launch.test_round_trip import drawn

DEEPSPEED = [
    ("deepspeed", "llama3-8b", "2x8xA100", "megatron-deepspeed", {}),
    ("deepspeed", "llama3-70b", "8x8xA100", "deepspeed-zero3", {}),
    ("deepspeed", "llama3-8b", "8xA100", "megatron-deepspeed", {"offload": "optimizer"}),
    ("deepspeed", "llama3-8b", "8xA100", "megatron-deepspeed", {"optimizer": "adam-bf16"}),
    ("megatron-deepspeed", "llama3-8b", "2x8xA100", "megatron-deepspeed", {}),
    ("megatron-deepspeed", "gpt3-13b", "4x8xA100", "megatron-deepspeed", {"precision": "fp16"}),
]


@pytest.mark.parametrize(("target", "model", "cluster", "preset", "workload"), DEEPSPEED)
def test_deepspeed_reads_every_key(
    target: str, model: str, cluster: str, preset: str, workload: dict[str, str]
) -> None:
    """DeepSpeedConfig takes it, reads all of it, and finds the plan's batch and stage."""
    asked = job(model, cluster, preset, seq=4096, batch=64, **workload)
    for plan in drawn(asked, target, 20):
        config = json.loads(TARGETS[target].program(Setup(asked, plan)).files[0].text)
        ranks = plan.dp * (plan.tp if target == "deepspeed" and plan.pp == 1 else 1)
        verdict = deepspeed_accepts(config, ranks)
        assert verdict.ok, f"{verdict.error}: {config}"
        found = (verdict.args["train_micro_batch_size_per_gpu"], verdict.args["gradient_accumulation_steps"])
        assert found == (plan.b, plan.m) and verdict.args["zero_optimization_stage"] == plan.zero


def test_deepspeed_initialises_pipelines_with_zero_0_and_1_only() -> None:
    """The engine builds what is emitted, and refuses stages 2 and 3 beside a pipeline, as our rule says."""
    asked = job("llama3-8b", "2x8xA100", "megatron-deepspeed", seq=4096, batch=64)
    piped, plain = Plan(pp=2, dp=8, b=1, m=8, zero=1), Plan(dp=16, b=1, m=4, zero=3)
    for plan in (piped, plain):
        config = json.loads(TARGETS["deepspeed"].program(Setup(asked, plan)).files[0].text)
        verdict = deepspeed_initialize(config, plan.pp if plan.pp > 1 else 0, plan.dp)
        assert verdict.ok, verdict.error
    config = json.loads(TARGETS["deepspeed"].program(Setup(asked, piped)).files[0].text)
    for stage in (2, 3):
        wrong = config | {"zero_optimization": {"stage": stage}}
        assert deepspeed_initialize(wrong, piped.pp, piped.dp).refused("incompatible with pipeline parallelism")


@pytest.mark.parametrize(("m", "p"), [(4, 4), (8, 4), (8, 2)])
def test_deepspeed_schedule_is_our_1f1b(m: int, p: int) -> None:
    """Forward and backward passes of every stage come in the order of our list."""
    ops = SCHEDULES["1f1b"].ops
    for rank, row in enumerate(train_schedule(m, p).rows):
        ours = [(op.kind, op.micro_batch) for op in ops(rank, p, m, 1)]
        assert [step for step in row if step[0] in ("F", "B")] == ours


def files(launcher: str, target: str, preset: str, cluster: str) -> list[tuple[File, ...]]:
    """A launcher's files for some plans."""
    asked = job("llama3-8b", cluster, preset, seq=4096, batch=64)
    found = []
    for plan in drawn(asked, target, 4):
        setup = Setup(asked, plan)
        program = TARGETS[target].program(setup)
        found.append(LAUNCHERS[launcher].files(setup, program, Options(header(TARGETS[target], setup, ""), True)))
    return found


YAML: list[tuple[str, Callable[[str], Verdict]]] = [
    ("trainjob", trainjob_accepts),
    ("skypilot", skypilot_accepts),
    ("dstack", dstack_accepts),
]
TARGETS_OF = [
    ("megatron", "megatron-core", "2x8xA100"),
    ("megatron-deepspeed", "megatron-deepspeed", "2x8xH100"),
    ("torchtitan", "torchtitan", "8xH100"),
    ("accelerate", "llm-foundry", "4x8xA100"),
]


@pytest.mark.parametrize(("target", "preset", "cluster"), TARGETS_OF)
@pytest.mark.parametrize(("launcher", "accepts"), YAML)
def test_job_files_are_accepted(
    launcher: str, accepts: Callable[[str], Verdict], target: str, preset: str, cluster: str
) -> None:
    """By the models of Kubeflow, SkyPilot and dstack."""
    for main, *_ in files(launcher, target, preset, cluster):
        verdict = accepts(main.text)
        assert verdict.ok, f"{verdict.error}\n{main.text}"


NODE = {"NODE_RANK": "0", "SLURM_NODEID": "0", "MASTER_ADDR": "first"}
"""What a node's environment says."""


@pytest.mark.parametrize(("target", "preset", "cluster"), TARGETS_OF)
def test_shell_scripts_are_accepted(target: str, preset: str, cluster: str) -> None:
    """By bash, and torchrun's options by torchrun."""
    for launcher in ("torchrun", "slurm"):
        for main, *_ in files(launcher, target, preset, cluster):
            assert bash_accepts(main.text).ok
            if target != "accelerate":
                starts = [strip_launcher(command) for command in read_script(main.text, NODE).commands]
                start = next(s for s in starts if s.program and "torchrun" in [w.text for w in s.launcher])
                words = [w.text for w in start.launcher]
                verdict = torchrun_accepts([*words[words.index("torchrun") :], start.program])
                assert verdict.ok, verdict.error


def test_deepspeed_launcher_reads_its_hostfile() -> None:
    """The `deepspeed` command's own parser and hostfile reader."""
    for found in files("deepspeed", "megatron-deepspeed", "megatron-deepspeed", "2x8xA100"):
        hostfile = next((f.text for f in found if f.name == "hostfile"), None) or read_script(
            found[0].text
        ).documents.get("hostfile", "")
        assert hostfile.count("slots=8") == 2 and bash_accepts(found[0].text).ok
        start = next(s for s in map(strip_launcher, read_script(found[0].text).commands) if s.program)
        words = [w.text for w in start.launcher if w.text != "deepspeed"]
        verdict = deepspeed_launches([*words, start.program], hostfile)
        assert verdict.ok, verdict.error


def test_accelerate_accepts_its_yaml() -> None:
    """Loader, launch validator, and the plugins it makes."""
    asked = job("llama3-8b", "2x8xA100", "llm-foundry", seq=4096, batch=64)
    for plan in drawn(asked, "accelerate", 20):
        text = TARGETS["accelerate"].program(Setup(asked, plan)).files[0].text
        if plan.tp == 1:  # tensor parallelism makes it import transformers
            verdict = accelerate_accepts(text)
            assert verdict.ok, f"{verdict.error}\n{text}"
