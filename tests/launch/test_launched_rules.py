"""A plan is ranked by the rules of what launches it, not of what its preset's speed was read from."""

from __future__ import annotations

import json

import pytest

from tests.cli.run import run

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
