"""What a table of options names, and what it does not."""

from __future__ import annotations

from importlib.resources import files

import pytest

from planner.read.table import TOUCHES, UNKNOWN, Given, flat, table

DEEPSPEED = table("deepspeed")


@pytest.mark.parametrize(
    "option, value",
    [
        ("zero_optimization.zero_hpz_partition_size", "8"),
        ("zero_optimization.overlap_comm", "false"),
        ("zero_optimization.zero_quantized_weights", "true"),
        ("zero_optimization.sub_group_size", "100000000"),
        ("optimizer.type", "Lamb"),
        ("curriculum_learning.enabled", "true"),
        ("data_efficiency.enabled", "true"),
        ("compile.deepcompile", "true"),
        ("zero_optimization.leaf_module.classes", "Experts"),
    ],
)
def test_not_modelled_is_named(option: str, value: str) -> None:
    """With what it touches, and why."""
    (found,) = DEEPSPEED.not_modelled([Given(option, value, 7)])
    assert (found.option, found.value, found.line) == (option, value, 7)
    assert found.touches and set(found.touches) <= set(TOUCHES) and found.why not in ("", UNKNOWN)


@pytest.mark.parametrize(
    "option, value",
    [
        ("zero_optimization.zero_hpz_partition_size", "1"),
        ("zero_optimization.zero_quantized_weights", "false"),
        ("zero_optimization.sub_group_size", "1e9"),
        ("zero_optimization.stage3_prefetch_bucket_size", "auto"),
        ("optimizer.type", "AdamW"),
        ("curriculum_learning.enabled", "false"),
        ("optimizer.params.lr", "0.1"),
        ("zero_optimization.stage", "2"),
        ("tensorboard.output_path", "runs"),
    ],
)
def test_defaults_and_the_modelled_are_not_named(option: str, value: str) -> None:
    """Numbers are equal as numbers, words in any case."""
    assert not DEEPSPEED.not_modelled([Given(option, value)])


def test_outside_the_table() -> None:
    """What nobody knows may touch anything."""
    (found,) = DEEPSPEED.not_modelled([Given("zero_optimisation.stage", "3")])
    assert (found.touches, found.why) == (TOUCHES, UNKNOWN)


def test_a_tree_as_options() -> None:
    """As a command line would spell them."""
    tree = {"a": {"b": True, "c": {"d": [1, 2]}}, "e": None}
    assert [(one.option, one.value) for one in flat(tree)] == [("a.b", "true"), ("a.c.d", "1 2"), ("e", "null")]


TABLES = sorted(path.name.removesuffix(".yaml") for path in (files("planner.read") / "tables").iterdir())


@pytest.mark.parametrize("name", TABLES)
def test_every_row_says_what_it_has_to(name: str) -> None:
    """One fate per option; a field, or what it touches and why; no condition on what has no effect."""
    groups = table(name).groups
    options = [option for group in groups for option in group.options]
    assert len(options) == len(set(options))
    for group in groups:
        assert set(group.touches) <= set(TOUCHES)
        if group.kind == "modelled":
            assert group.to and (bool(group.touches) == any(group.options.values()) == bool(group.why))
        elif group.kind == "not_modelled":
            assert group.touches and group.why
        else:
            assert group.why and not group.touches and not any(group.options.values())


TRAINER = table("transformers")


@pytest.mark.parametrize(
    "option, value",
    [
        ("modules_to_save", "lm_head"),
        ("bnb_4bit_quant_storage", "float32"),
        ("auto_find_batch_size", "true"),
        ("torch_dtype", "float32"),
        ("fsdp_config.limit_all_gathers", "false"),
        ("full_determinism", "true"),
        ("group_by_length", "true"),
        ("torch_compile", "true"),
        ("sequence_parallel_size", "4"),
        ("use_dora", "true"),
        ("ref_model", "x"),
    ],
)
def test_trainer_names(option: str, value: str) -> None:
    """Options of Transformers, PEFT, TRL and their neighbours that move memory or time."""
    assert TRAINER.not_modelled([Given(option, value)])


@pytest.mark.parametrize(
    "option, value",
    [
        ("lora_target_modules", "all-linear"),
        ("lora_alpha", "32"),
        ("bnb_4bit_quant_type", "nf4"),
        ("torch_dtype", "bfloat16"),
        ("max_steps", "10"),
        ("report_to", "wandb"),
        ("fsdp_config.state_dict_type", "FULL_STATE_DICT"),
        ("dataloader_num_workers", "4"),
    ],
)
def test_trainer_is_quiet(option: str, value: str) -> None:
    """What changes nothing."""
    assert not TRAINER.not_modelled([Given(option, value)])
