"""What a table of options names, and what it does not."""

from __future__ import annotations

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
        ("optimizer.type", "Muon"),
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
        ("zero_optimization.overlap_comm", "true"),
        ("zero_optimization.zero_quantized_weights", "false"),
        ("zero_optimization.sub_group_size", "1e9"),
        ("zero_optimization.stage3_prefetch_bucket_size", "auto"),
        ("optimizer.type", "AdamW"),
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
