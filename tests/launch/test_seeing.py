"""Models with a vision tower: what is trained of it, images and their size, in every fine-tuner's words and back."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from planner.launch.program import Setup
from planner.launch.targets import TARGETS, refusal
from planner.plan import Plan
from tests.jobs import job
from tests.launch.test_round_trip import differences, read
from tests.launch.test_tuners import texts

SEEN = {"images": 2, "image_size": 448}
FULL = {"llamafactory": "frozen projector trained", "swift": "frozen projector trained", "trl": "trained"}
FULL |= {"axolotl": "frozen projector trained", "automodel": "frozen trained", "verl": "trained"}
FULL |= dict.fromkeys(("transformers", "accelerate", "deepspeed"), "frozen projector trained absent")
FULL |= {"megatron-bridge": "frozen projector trained absent"}
LORA = {"llamafactory": "frozen trained", "swift": "frozen projector trained", "trl": "trained"}
LORA |= {"axolotl": "frozen trained", "automodel": "frozen trained", "verl": "trained"}
PRESETS = {"automodel": ("hf-fsdp", 3), "verl": ("hf-fsdp", 3), "accelerate": ("hf-fsdp", 3)}
PRESETS |= {"megatron-bridge": ("megatron-core", 1)}
CASES = [
    (target, method, part)
    for method, known in (("full", FULL), ("lora", LORA))
    for target, parts in known.items()
    for part in parts.split()
]


def asked(target: str, model: str = "qwen2.5-vl-7b", method: str = "full", **work: Any) -> Setup:
    """A job of eight GPUs that the target has words for."""
    preset, zero = PRESETS.get(target, ("hf", 2))
    needed = {"automodel": {"loss": "eager", "optimizer": "adam" if method == "lora" else "adam-bf16"}}
    more = {"seq": 4096, "batch": 64, "method": method} | needed.get(target, {}) | work
    return Setup(job(model, "8xH100", preset, **more), Plan(dp=8, b=1, m=8, zero=zero))


@pytest.mark.parametrize(("target", "method", "part"), CASES)
def test_images_and_what_is_trained_survive(target: str, method: str, part: str) -> None:
    """Of scripts, and of what stands without a launcher; nothing is left out of account."""
    seen = {} if part == "absent" else SEEN
    setup = asked(target, method=method, tower=part, **seen)
    assert refusal(TARGETS[target], setup) is None
    for files in texts(target, setup):
        if (files[0].name == "accelerate.yaml" and target == "trl") or files[0].name.endswith(".json"):
            continue  # which hold no options
        back, reading = read(files)
        assert not reading.problems and not reading.ignored, files[0].text
        assert not reading.not_modelled or target == "deepspeed", files[0].text  # whose buckets are named
        left = {} if part != "absent" else {"tower": (part, back.job.workload.tower)}
        assert differences(setup, back) == {k: v for k, v in left.items() if v[0] != v[1]}, files[0].text


MODELS = (
    "qwen2-vl-7b",
    "qwen3-vl-8b",
    "qwen3-vl-30b-a3b",
    "gemma3-4b",
    "llama4-scout",
    "kimi-vl-a3b",
    "ministral-3-8b",
)


@pytest.mark.parametrize("model", MODELS)
def test_llamafactory_has_a_template_that_sees(model: str) -> None:
    """Named as in data/template.py; a tower of one size takes no number of pixels."""
    setup = asked("llamafactory", model, tower="frozen", images=1, image_size=448)
    said = yaml.safe_load(TARGETS["llamafactory"].program(setup).files[0].text)
    assert said["template"] and said["dataset"] == "mllm_demo"
    assert said.get("image_max_pixels") == (None if setup.job.model.tower.image else 448 * 448)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("llamafactory", {"tower": "absent"}, "tower"),
    ("llamafactory", {"model": "pixtral-12b"}, "llamafactory_tower_model"),
    ("llamafactory", {"method": "lora", "tower": "projector"}, "llamafactory_tower_adapters"),
    ("llamafactory", {"method": "lora", "lora_targets": "mlp"}, "llamafactory_tower_adapters"),
    ("swift", {"method": "lora", "lora_targets": "mlp"}, "swift_tower_adapters"),
    ("axolotl", {"model": "kimi-vl-a3b"}, "axolotl_tower_model"),
    ("axolotl", {"method": "lora", "tower": "projector"}, "axolotl_tower_adapters"),
    ("trl", {"tower": "frozen"}, "tower"),
    ("automodel", {"tower": "projector"}, "tower"),
    ("automodel", {"model": "gemma3-4b", "tower": "frozen"}, "automodel_tower"),
    ("verl", {"tower": "frozen"}, "tower"),
    ("torchtune", {"images": 1}, "tower"),
    ("megatron", {"images": 1}, "tower"),
    ("megatron-bridge", {"model": "gemma3-4b", "images": 1}, "bridge_tower"),
]


@pytest.mark.parametrize(("target", "work", "rule"), REFUSED, ids=[f"{r[0]}-{r[2]}" for r in REFUSED])
def test_what_cannot_be_said_is_refused_by_name(target: str, work: dict[str, Any], rule: str) -> None:
    """With a value for every name in its sentence."""
    setup = asked(target, **work)
    broken = refusal(TARGETS[target], setup)
    assert broken is not None and broken.name == rule
    assert "{" not in broken.message(setup.job, setup.plan)


@pytest.mark.parametrize("part", ["trained", "frozen"])
def test_bridge_splits_no_sequence_of_qwen25(part: str) -> None:
    """Its module knows no context parallelism; that of Qwen3-VL does."""
    for model, known in (("qwen2.5-vl-7b", False), ("qwen3-vl-8b", True)):
        one = asked("megatron-bridge", model, tower=part, **SEEN)
        broken = refusal(TARGETS["megatron-bridge"], Setup(one.job, Plan(cp=2, dp=4, b=1, m=16, zero=1)))
        assert (broken is None) == known and (broken is None or broken.name == "bridge_tower_context")


@pytest.mark.parametrize("part", ["trained", "frozen"])
def test_automodel_draws_images_at_random(part: str) -> None:
    """Its mock data hold the images and the sequence of the plan; adapters leave out the head, and a frozen tower."""
    setup = asked("automodel", method="lora", tower=part, **SEEN)
    said = yaml.safe_load(TARGETS["automodel"].program(setup).files[0].text)
    data = said["dataset"]
    assert (data["num_images_per_sample"], data["image_size"], data["max_length"]) == (2, [448, 448], 4096)
    assert said["recipe"] == "FinetuneRecipeForVLM" and said["freeze_config"] == {
        "freeze_vision_tower": part == "frozen"
    }
    assert ("*visual*" in said["peft"]["exclude_modules"]) == (part == "frozen")
    assert "*lm_head*" in said["peft"]["exclude_modules"]
