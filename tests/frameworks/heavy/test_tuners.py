"""What is written for the fine-tuners, held against their own parsers; skipped where one is not installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.launch.program import Program, Setup
from planner.launch.targets import TARGETS
from tests.frameworks.launchers import accelerate_accepts
from tests.jobs import job
from tests.launch.test_tuners import PRESETS, WORK, drawn


def programs(target: str) -> Iterator[tuple[Setup, Program]]:
    """One of every kind of training and preset, on one GPU and on eight."""
    for preset in PRESETS:
        for cluster in ("1xH200", "8xH100"):
            for n, work in enumerate(WORK):
                one = job("llama3.1-8b", cluster, preset, **({"seq": 4096, "batch": 64} | work))
                for plan in drawn(target, one, 1, n):
                    setup = Setup(one, plan)
                    yield setup, TARGETS[target].program(setup)


def beside(program: Program, place: Path) -> dict[str, Any]:
    """The main file's keys, with all files in the working directory."""
    for file in program.files:
        (place / file.name).write_text(file.text, encoding="utf-8")
    return dict(yaml.safe_load(program.files[0].text)) if program.files[0].name.endswith(".yaml") else {}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named without a directory; a CPU stands in for a GPU with bf16."""
    monkeypatch.chdir(tmp_path)
    for module in ("transformers.training_args", "transformers.utils", "transformers.utils.import_utils"):
        try:
            monkeypatch.setattr(f"{module}.is_torch_bf16_gpu_available", lambda: True)
        except (ImportError, AttributeError):
            continue


def test_llamafactory(tmp_path: Path) -> None:
    """Its dataclasses take every key, and mean the plan's batch and length."""
    pytest.importorskip("llamafactory")
    from llamafactory.hparams.parser import _TRAIN_ARGS
    from transformers import HfArgumentParser

    for setup, program in programs("llamafactory"):
        found = beside(program, tmp_path)
        model, data, training, tuning, _ = HfArgumentParser(_TRAIN_ARGS).parse_dict(found)
        assert data.cutoff_len == setup.job.workload.seq
        assert training.per_device_train_batch_size == setup.plan.b
        assert training.gradient_accumulation_steps == setup.plan.m
        assert tuning.finetuning_type == ("lora" if setup.job.lora else "full")
        assert model.disable_gradient_checkpointing == (setup.plan.recompute_layers == 0)
        assert bool(training.deepspeed) == (setup.plan.zero > 0 and not setup.job.framework.shard_is_master)


def test_trl(tmp_path: Path) -> None:
    """Its parser takes every option, and Accelerate its file."""
    pytest.importorskip("trl")
    from trl.scripts.sft import make_parser

    for setup, program in programs("trl"):
        beside(program, tmp_path)
        words = [word for flag in program.flags[1:] for word in flag]
        _, training, model, *_ = make_parser().parse_args_and_config(words)
        assert (training.per_device_train_batch_size, training.max_length) == (setup.plan.b, setup.job.workload.seq)
        fsdp = setup.plan.zero > 0 and setup.job.framework.shard_is_master
        assert training.gradient_checkpointing == (setup.plan.recompute_layers > 0 and not fsdp)
        assert model.use_peft == setup.job.lora and model.load_in_8bit == (setup.job.workload.base == "int8")
        verdict = accelerate_accepts(program.files[0].text)
        assert verdict.ok, f"{verdict.error}\n{program.files[0].text}"


def test_axolotl(tmp_path: Path) -> None:
    """Its pydantic models take the file as it is: no key is dropped, no check fails."""
    pytest.importorskip("axolotl")
    from axolotl.utils.config import prepare_plugins, validate_config
    from axolotl.utils.dict import DictDefault

    for setup, program in programs("axolotl"):
        found = beside(program, tmp_path)
        config = DictDefault(found)
        prepare_plugins(config)
        gpu = {"bf16": True, "fp8": False, "n_gpu": setup.job.cluster.gpus, "n_node": 1, "compute_capability": "sm_90"}
        read = validate_config(config, gpu, {"torch_version": "2.11.0"})
        assert not {key for key in found if key not in read}
        assert (read.micro_batch_size, read.gradient_accumulation_steps) == (setup.plan.b, setup.plan.m)


def test_torchtune() -> None:
    """Every component takes its keys, and every key that the recipe asks for is there."""
    pytest.importorskip("torchtune")
    import torchtune
    from omegaconf import OmegaConf
    from torchtune import config

    for setup, program in programs("torchtune"):
        found = OmegaConf.create(program.files[0].text)
        config.validate(found)
        recipe = program.script.removeprefix("tune run ")
        source = (Path(torchtune.__file__).parents[1] / "recipes" / f"{recipe}.py").read_text(encoding="utf-8")
        asked = set(re.findall(r"\bcfg\.(?!get\b|pop\b)(\w+)", source)) - {"profiler", "enable_activation_offloading"}
        assert not {key for key in asked if key not in found}, recipe
        assert (found.batch_size, found.gradient_accumulation_steps) == (setup.plan.b, setup.plan.m)


def test_swift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its dataclass takes every option; what comes after the parser would fetch the model."""
    pytest.importorskip("swift")
    from swift.arguments import SftArguments
    from transformers import HfArgumentParser

    monkeypatch.setattr(SftArguments, "__post_init__", lambda self: None)
    for setup, program in programs("swift"):
        if program.files:
            beside(program, tmp_path)
        (read,) = HfArgumentParser(SftArguments).parse_args_into_dataclasses(
            [word for flag in program.flags for word in flag]
        )
        assert (read.per_device_train_batch_size, read.max_length) == (setup.plan.b, setup.job.workload.seq)
        assert read.tuner_type == ("lora" if setup.job.lora else "full")
        assert read.gradient_accumulation_steps == setup.plan.m
