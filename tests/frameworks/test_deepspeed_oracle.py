"""DeepSpeed accepts what is good, refuses what is bad, and a key that it would ignore counts as bad."""

from __future__ import annotations

from typing import Any

import pytest

from tests.frameworks.deepspeed import (
    deepspeed_accepts,
    deepspeed_initialize,
    deepspeed_launches,
    train_schedule,
)

GOOD: dict[str, Any] = {
    "train_batch_size": 64,
    "train_micro_batch_size_per_gpu": 2,
    "gradient_accumulation_steps": 8,
    "gradient_clipping": 1.0,
    "bf16": {"enabled": True},
    "zero_optimization": {"stage": 1, "overlap_comm": True, "offload_optimizer": {"device": "cpu"}},
    "optimizer": {"type": "AdamW", "params": {"lr": 1e-4, "betas": [0.9, 0.95], "weight_decay": 0.1}},
    "scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": 10}},
    "activation_checkpointing": {"partition_activations": True},
    "pipeline": {"activation_checkpoint_interval": 1},
    "data_types": {"grad_accum_dtype": "fp32"},
    "steps_per_print": 10,
}
PLAIN: dict[str, Any] = {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 8}


def test_a_good_configuration() -> None:
    """With what DeepSpeed works out for itself."""
    verdict = deepspeed_accepts({key: value for key, value in GOOD.items() if key != "train_batch_size"}, 4)
    assert verdict.ok, verdict.error
    assert verdict.args["train_batch_size"] == 64
    assert verdict.config["zero_optimization"]["overlap_comm"] is True


@pytest.mark.parametrize(
    ("changes", "stage", "said"),
    [
        ({"train_batch_size": 63}, "config", "63 != 2 * 8 * 4"),
        ({"fp16": {"enabled": True}}, "config", "simultaneously"),
        ({"zero_optimization": {"stage": 4}}, "config", "stage"),
        ({"zero_optimization": {"stage": 1, "foo": 1}}, "config", "foo"),
        ({"bf16": {"enabled": True, "foo": 1}}, "config", "foo"),
        ({"elasticity": {}}, "config", "removed"),
        ({"foo": 1}, "unread", "foo"),
        ({"pipeline": {"foo": 1}}, "unread", "pipeline.foo"),
        ({"activation_checkpointing": {"foo": 1}}, "unread", "activation_checkpointing.foo"),
        ({"optimizer": {"type": "AdamW", "lr": 1}}, "unread", "optimizer.lr"),
        ({"optimizer": {"type": "AdamW", "params": {"foo": 1}}}, "optimizer", "foo"),
    ],
)
def test_a_bad_configuration(changes: dict[str, Any], stage: str, said: str) -> None:
    """Refused by DeepSpeed, or never read by it."""
    verdict = deepspeed_accepts(GOOD | changes, 4)
    assert verdict.refused(said, stage), verdict


@pytest.mark.parametrize("stages", [1, 4])
@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_pipelines_stop_at_stage_one(zero: int, stages: int) -> None:
    """A PipelineModule is refused from stage 2 on, whatever its number of stages; without one every stage is built."""
    config = PLAIN | {"bf16": {"enabled": True}, "zero_optimization": {"stage": zero}}
    verdict = deepspeed_initialize(config, stages, dp_world=2, tp=2)
    if zero < 2:
        assert verdict.ok, verdict.error
        assert dict(verdict.args) == {"zero": zero, "micro_batches": 8, "engine": "PipelineEngine", "dp_world": 2}
    else:
        assert verdict.refused("incompatible with pipeline parallelism", "initialize")
    assert deepspeed_initialize(config, 0, dp_world=2).ok


def test_gradients_in_fp32_need_zero() -> None:
    """Without ZeRO the accumulation must have the type of the weights."""
    config = PLAIN | {"bf16": {"enabled": True}, "data_types": {"grad_accum_dtype": "fp32"}}
    assert deepspeed_initialize(config | {"zero_optimization": {"stage": 0}}, 4).refused(
        "unsupported mix", "initialize"
    )
    assert deepspeed_initialize(config | {"zero_optimization": {"stage": 1}}, 4).ok


def test_its_schedule() -> None:
    """Two stages, four micro-batches: the first stage is one forward ahead."""
    schedule = train_schedule(4, 2)
    assert [f"{kind}{number}" for kind, number in schedule.rows[0]] == "F0 F1 B0 F2 B1 F3 B2 B3".split()  # noqa: SIM905
    assert train_schedule(8, 4).buffers == (4, 3, 2, 2)


def test_its_launcher() -> None:
    """Command line and host file."""
    words = ["--hostfile", "hosts", "--num_gpus", "8", "--master_port", "29500", "train.py", "--deepspeed"]
    verdict = deepspeed_launches(words, "a slots=8\nb slots=8\n")
    assert verdict.ok, verdict.error
    assert verdict.args["hosts"] == {"a": 8, "b": 8}
    assert verdict.args["user_args"] == ["--deepspeed"]
    assert deepspeed_launches(words, "a slot=8\n").refused("bad entry", "hosts")
    assert deepspeed_launches(["--no-such-option", *words], "a slots=8\n").refused("unrecognized", "parse")
