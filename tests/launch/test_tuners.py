"""Files of the fine-tuners: read back to the plan that they were written for, in every framework's own words."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from planner.cli.launch import _files
from planner.errors import PlannerError
from planner.launch.header import headed, header
from planner.launch.program import File, Setup
from planner.launch.shell import read_script
from planner.launch.targets import TARGETS, refusal, rules_of
from planner.plan import Plan
from planner.training.job import Job
from planner.training.rules import legal
from planner.training.space import Bounds, Range, plans
from tests.jobs import job
from tests.launch.test_round_trip import differences, read

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


def texts(target: str, setup: Setup) -> Iterator[tuple[File, ...]]:
    """Launch scripts with their files in them, and what --launcher none gives, the main file first."""
    one = TARGETS[target]
    program = one.program(setup)
    for launcher in ("torchrun", "slurm", "none"):
        yield _files(one, setup, program, launcher, None, "", True)
    if program.files[0:1] and program.files[0].name == "accelerate.yaml":
        yield (headed(program.files[0], header(one, setup, "")),)


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
    for _, preset, cluster, n in (case for case in CASES if case[0] == target):
        one = job("llama3.1-8b", cluster, preset, **({"seq": 4096, "batch": 64} | WORK[n]))
        for plan in drawn(target, one, 2, n):
            setup, count = Setup(one, plan), count + 1
            for files in texts(target, setup):
                back, reading = read(files)
                assert not reading.problems and not reading.ignored and not reading.not_modelled, files[0].text
                assert not differences(setup, back), files[0].text
                assert back.job.model.name == one.model.name
    assert count >= 40


SHARED = {"model": "deepseek-v2-lite"}
"""Its experts have dense parts beside them."""

REFUSED = [
    ("llamafactory", "hf", {}, {"tp": 2, "dp": 4}, "hf_parallelism"),
    ("llamafactory", "hf", {"optimizer": "adam-bf16"}, {"zero": 2}, "llamafactory_pure"),
    ("llamafactory", "hf", {"attention": "unfused"}, {}, "attention_written"),
    ("llamafactory", "hf", {"method": "qlora", "base": "int4"}, {}, "llamafactory_base"),
    ("trl", "hf", {"method": "qlora", "base": "int8"}, {"zero": 3}, "trl_base"),
    ("llamafactory", "hf", {"method": "lora", "lora_targets": "no-experts"} | SHARED, {}, "llamafactory_experts"),
    ("trl", "hf", {"method": "lora", "lora_targets": "no-experts", "model": "qwen3-30b-a3b"}, {}, "trl_experts"),
    ("trl", "hf", {"method": "lora", "lora_targets": "mlp", "model": "gpt-oss-20b"}, {}, "trl_experts"),
    ("swift", "hf", {"method": "qlora", "quantize_experts": True}, {}, "msswift_experts"),
    ("axolotl", "hf-fsdp", {"optimizer": "adam-paged"}, {"zero": 3}, "fsdp_paged"),
    ("axolotl", "hf", {}, {"zero": 0}, "axolotl_masters"),
    ("axolotl", "hf", {}, {"tp": 2, "dp": 4, "zero": 2}, "axolotl_parallelism"),
    ("axolotl", "llm-foundry", {}, {"zero": 3, "cp": 2, "dp": 4}, "axolotl_context"),
    ("trl", "hf-fsdp", {}, {"pp": 2, "dp": 4}, "hf_parallelism"),
    ("trl", "hf", {"loss": "eager"}, {"zero": 2}, "loss_written"),
    ("trl", "hf-fsdp", {"optimizer": "adam-bf16"}, {"zero": 3}, "trl_pure"),
    ("torchtune", "hf-fsdp", {}, {"zero": 3}, "torchtune_states"),
    ("torchtune", "hf-fsdp", {"optimizer": "adam-bf16"}, {"zero": 0}, "torchtune_zero"),
    ("torchtune", "hf-fsdp", {"optimizer": "adam-bf16"}, {"zero": 3, "cp": 2, "dp": 4}, "torchtune_parallelism"),
    ("torchtune", "hf-fsdp", {"optimizer": "adam-bf16"}, {"zero": 3, "recompute_layers": 3}, "torchtune_recompute"),
    ("torchtune", "hf-fsdp", {"optimizer": "adam-bf16", "offload": "activations"}, {"zero": 3}, "torchtune_offload"),
    ("torchtune", "hf-fsdp", {"method": "qlora", "base": "int8"}, {"zero": 3}, "torchtune_base"),
    ("torchtune", "hf-fsdp", {"model": "qwen3-8b", "optimizer": "adam-bf16"}, {"zero": 3}, "torchtune_model"),
    ("swift", "hf-fsdp", {"method": "lora"}, {"zero": 2}, "swift_fsdp"),
    ("swift", "hf", {"precision": "fp8"}, {"zero": 2}, "recipe"),
]


@pytest.mark.parametrize(("target", "preset", "work", "plan", "rule"), REFUSED, ids=[f"{r[0]}-{r[4]}" for r in REFUSED])
def test_what_cannot_be_run_is_refused_by_name(
    target: str, preset: str, work: dict[str, Any], plan: dict[str, int], rule: str
) -> None:
    """The first rule broken, with a number for every name in its sentence."""
    rest = {name: value for name, value in work.items() if name != "model"}
    one = job(work.get("model", "llama3.1-8b"), "8xH100", preset, seq=4096, batch=64, **rest)
    setup = Setup(one, Plan(**({"dp": 8, "b": 1, "m": 8} | plan)))
    broken = refusal(TARGETS[target], setup)
    assert broken is not None and broken.name == rule
    assert "{" not in broken.message(one, setup.plan)


NODE = {"NPROC_PER_NODE": "8", "NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "first", "MASTER_PORT": "29500"}
STARTS: dict[str, tuple[dict[str, str], str]] = {
    "llamafactory": (NODE | {"FORCE_TORCHRUN": "1"}, "llamafactory-cli train llamafactory.yaml"),
    "axolotl": ({}, "--node-rank 1 --master-addr first --master-port 29500 -m axolotl.cli.train axolotl.yaml"),
    "trl": ({}, "--machine_rank 1 --main_process_ip first --main_process_port 29500"),
    "torchtune": ({}, "tune run --nnodes 2 --nproc-per-node 8 --rdzv-id 1 --rdzv-backend c10d --rdzv-endpoint first:"),
    "swift": (NODE, "swift sft --model"),
}
"""What a second node runs, and with which variables."""


@pytest.mark.parametrize("target", TUNERS)
def test_each_is_started_as_its_users_start_it(target: str) -> None:
    """Read as bash would, with the node's number and the first node's name."""
    work = {"optimizer": "adam-bf16"} if target == "torchtune" else {}
    one = job("llama3.1-8b", "2x8xH100", "hf-fsdp", seq=4096, batch=64, **work)
    setup = Setup(one, Plan(dp=16, b=1, m=4, zero=3, recompute_layers=32))
    assert refusal(TARGETS[target], setup) is None
    text = _files(TARGETS[target], setup, TARGETS[target].program(setup), "torchrun", None, "", True)[0].text
    command = read_script(text, {"NODE_RANK": "1", "MASTER_ADDR": "first"}).commands[-1]
    variables, words = STARTS[target]
    assert words in " ".join(word.text for word in command.words)
    assert {name: command.environment.get(name) for name in variables} == variables


def test_one_gpu_needs_no_torchrun_words() -> None:
    """torchtune's recipe of one device takes none."""
    one = job("llama3.1-8b", "1xH200", "hf-fsdp", seq=4096, batch=64, method="lora")
    setup = Setup(one, Plan(b=1, m=64))
    program = TARGETS["torchtune"].program(setup)
    text = _files(TARGETS["torchtune"], setup, program, "torchrun", None, "", True)[0].text
    assert "tune run \\\n  lora_finetune_single_device \\\n  --config torchtune.yaml" in text


def test_the_launcher_of_deepspeed_starts_none_that_starts_itself() -> None:
    """Named, with another launcher."""
    one = job("llama3.1-8b", "8xH100", "hf", seq=4096, batch=64)
    setup = Setup(one, Plan(dp=8, b=1, m=8, zero=2))
    with pytest.raises(PlannerError, match="does not start `llamafactory-cli`"):
        _files(TARGETS["llamafactory"], setup, TARGETS["llamafactory"].program(setup), "deepspeed", None, "", True)


def test_trl_makes_no_logits_by_itself() -> None:
    """Its trainer fuses the head into the loss, and deprecates Liger's switch; a plan that counts them is told."""
    for loss, told in (("linear", False), (None, True)):
        setup = Setup(job("llama3.1-8b", "8xH100", "hf", seq=4096, batch=64, loss=loss), Plan(dp=8, b=1, m=8, zero=2))
        program = TARGETS["trl"].program(setup)
        assert not any("liger" in word for flag in program.flags for word in flag)
        assert any("--loss linear" in note for note in program.notes) == told


def test_axolotl_names_its_ring() -> None:
    """Its default by whether samples are packed."""
    one = job("llama3.1-8b", "8xH100", "hf-fsdp", seq=65536, batch=64)
    said = TARGETS["axolotl"].program(Setup(one, Plan(cp=4, dp=2, b=1, m=32, zero=3))).files[0].text
    assert "ring_attn_func: batch_ring" in said and "context_parallel_size: 4" in said


@pytest.mark.parametrize("target", ["llamafactory", "axolotl", "trl", "swift"])
def test_experts_in_one_tensor_are_told_of(target: str) -> None:
    """Adapters and few bits are for linear layers; of dense models nothing is said."""
    for model, told in (("mixtral-8x7b", True), ("llama3.1-8b", False)):
        one = job(model, "8xH100", "hf", seq=4096, batch=64, method="lora")
        notes = TARGETS[target].program(Setup(one, Plan(dp=8, b=1, m=8, zero=3))).notes
        assert any("PEFT" in note for note in notes) == told
