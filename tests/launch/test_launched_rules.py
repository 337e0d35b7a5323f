"""A plan is ranked by the rules of what launches it, not of what its preset's speed was read from."""

from __future__ import annotations

import json
import re

import pytest

from planner.training.frameworks import launched_by
from tests.cli.run import run
from tests.jobs import job

JOB = ("launch", "-m", "llama3.1-8b", "-g", "8xH100", "--seq", "8192", "--global-batch", "64")


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (
            ("--target", "axolotl", "--framework", "hf-fsdp", "--cp", "4", "--cp-comm", "p2p", "--method", "lora"),
            "context_parallel_size: 4",
        ),
        (("--target", "accelerate", "--tp", "2"), "PARALLELISM_CONFIG_TP_SIZE"),
        (("--target", "automodel", "--tp", "2", "--optimizer", "adam-bf16"), "tp_size: 2"),
        (("--target", "verl", "--tp", "2"), "engine.tensor_model_parallel_size=2"),
    ],
)
def test_degrees_that_the_trainer_lacks_are_launched_where_others_have_them(
    words: tuple[str, ...], written: str
) -> None:
    """Each ended at hf_parallelism, the rule of the Trainer."""
    found = run((*JOB, *words))
    assert found.code == 0, found.err
    assert written.lower() in found.out.lower()


@pytest.mark.parametrize(
    "words",
    [
        ("--target", "swift", "--framework", "hf-fsdp"),
        ("--target", "swift", "--optimizer", "adam-bf16"),
        ("--target", "trl", "--optimizer", "adam-bf16"),
        ("--target", "llamafactory", "--optimizer", "adam-bf16"),
        ("--target", "axolotl", "--optimizer", "adam-bf16"),
    ],
)
def test_the_first_plan_is_one_that_its_target_writes(words: tuple[str, ...]) -> None:
    """The Trainer's fastest broke a rule of the tool itself, and nothing was written."""
    found = run((*JOB, *words))
    assert found.code == 0, found.err


def test_the_trainer_itself_has_none_of_them() -> None:
    """Its own rules hold for what it launches."""
    found = run((*JOB, "--target", "transformers", "--tp", "2"))
    assert "hf_parallelism" in found.err


def test_axolotl_says_which_preset_its_axes_need() -> None:
    """Context parallelism stands beside FSDP."""
    found = run((*JOB, "--target", "axolotl", "--cp", "4"))
    assert "axolotl_parallelism" in found.err
    assert "--framework hf-fsdp" in found.err


def test_what_is_refused_is_what_was_asked() -> None:
    """Selective recomputation was refused for a ZeRO stage that nobody had asked for."""
    found = run((*JOB, "--target", "torchtitan", "--recompute", "selective"))
    assert "framework_zero" not in found.err
    assert "selective" in found.err.partition("error:")[2].partition("\n")[0]


@pytest.mark.parametrize("framework", ["litgpt", "hf-fsdp"])
def test_what_only_shards_is_ranked_without_other_degrees(framework: str) -> None:
    """LitGPT's plans had pipelines and split experts, which neither it nor what was written for it runs."""
    asked = ("-m", "qwen3-30b-a3b", "-g", "2x8xH100", "--framework", framework)
    found = run(("recommend", *asked, "--json"))
    degrees = {(one["tp"], one["cp"], one["pp"], one["ep"]) for one in json.loads(found.out)["plans"]}
    assert degrees == {(1, 1, 1, 1)}
    assert run(("launch", *asked)).code == 0
    refused = run(("recommend", "-m", "llama3-8b", "-g", "8xA100", "--framework", framework, "--pp", "2"))
    assert f"{framework} shards states only" in refused.err


@pytest.mark.parametrize(
    ("framework", "target", "more"),
    [
        ("litgpt", "pytorch", ()),
        ("nemo-automodel", "automodel", ("--optimizer", "adam-bf16")),
        ("nanotron", "pytorch", ()),
        ("any", "torchtitan", ()),
    ],
)
def test_a_preset_without_a_target_ranks_what_the_named_one_runs(
    framework: str, target: str, more: tuple[str, ...]
) -> None:
    """The first plans had experts or a schedule that the target refused."""
    words = ("-m", "qwen3-30b-a3b", "-g", "2x8xH100", "--framework", framework, "--target", target, *more)
    found = run(("launch", *words, "--launcher", "none"))
    assert found.code == 0, found.err


@pytest.mark.parametrize(("model", "whole"), [("qwen2.5-vl-7b", True), ("qwen3-vl-8b", False)])
def test_towers_of_bridge_are_ranked_as_they_are_checked(model: str, whole: bool) -> None:
    """Hugging Face's module is whole on every tp rank: it was split over tp until its recipe was read back."""
    asked = job(model, "8xH100", seq=4096, batch=64, images=1)
    assert launched_by(asked, "megatron-bridge").framework.splits_tower is not whole
    assert launched_by(asked, "megatron").framework.splits_tower
    words = ("-m", model, "-g", "8xH100", "--seq", "4096", "--global-batch", "64", "--images", "1", "--tp", "2")
    written = run(("launch", *words, "--target", "megatron-bridge"))
    assert written.code == 0, written.err
    step, again = (
        re.search(r"\bstep +(\S+ m?s)", text) for text in (written.out, run(("check", "-"), written.out.encode()).out)
    )
    assert step and again and step[1] == again[1]
