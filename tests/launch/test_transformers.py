"""Options of the Trainer for what its presets recommend."""

from __future__ import annotations

import json

import pytest

from planner import ask
from planner.launch.program import Setup
from planner.launch.targets import TARGETS, refusal
from planner.questions.train import recommend

TRAINER = TARGETS["transformers"]


@pytest.mark.parametrize("framework", ["hf", "hf-fsdp"])
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize("gpus", ["1xH200", "8xH100"])
def test_what_is_recommended_is_written(framework: str, method: str, gpus: str) -> None:
    """No plan of a ranking is refused, and its flags hold the plan's batch."""
    question = ask("llama3.2-1b", gpus, method=method, framework=framework, seq=2048)
    ranked = recommend(question.job, question.bounds).ranked
    assert ranked
    for one in ranked:
        setup = Setup(one.job, one.plan)
        assert refusal(TRAINER, setup) is None
        flags = dict(flag for flag in TRAINER.program(setup).flags)
        assert flags["--per_device_train_batch_size"] == f"{one.plan.b}"
        assert flags["--gradient_checkpointing"] == f"{one.plan.recompute_layers > 0}"
        assert ("--fsdp" in flags) == (framework == "hf-fsdp" and one.plan.zero > 0)
        assert ("--deepspeed" in flags) == (framework == "hf" and one.plan.zero > 0)


def test_the_file_of_deepspeed() -> None:
    """The stage, and "auto" for what the Trainer's own options say."""
    question = ask("llama3-8b", "8xA100", framework="hf", zero="3", seq=4096)
    best = recommend(question.job, question.bounds).ranked[0]
    (file,) = TRAINER.program(Setup(best.job, best.plan)).files
    said = json.loads(file.text)
    assert said["zero_optimization"]["stage"] == 3
    assert {said[name] for name in ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps")} == {"auto"}
