"""What optimizers, losses and offload keep where: against counts made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from planner.cost.losses import LOSSES
from planner.cost.memory import OPTIMIZERS
from planner.plan import Plan
from planner.schema.workload import LossKernel, Optimizer
from planner.training.estimate import estimate, step_time
from planner.training.job import Job
from planner.training.memory import state_bytes
from planner.training.moments import peak_memory, rank_moments
from planner.training.rule import host_bytes
from planner.training.rules import first_broken
from tests.jobs import job

LLAMA3, ENDS = 8_030_261_248, 2 * 128_256 * 4096
TOKENS = 4096


def llama(cluster: str = "1xH200", preset: str = "megatron-core", **changed: Any) -> Job:
    """Llama 3.1 8B, sequences of 4,096 tokens; `changed` are fields of the workload."""
    plain = job("llama3.1-8b", cluster, preset, seq=TOKENS, batch=64)
    return replace(plain, workload=plain.workload.model_copy(update=changed))


def at(of: Job, moment: str, **plan: Any) -> Any:
    """What the one rank of a plan without a pipeline holds."""
    ((found, _),) = rank_moments(of, Plan(**plan).floats())
    return found[moment]


def test_every_optimizer_has_its_record() -> None:
    """The workload's names are the table's; likewise losses."""
    assert set(OPTIMIZERS) == set(get_args(Optimizer)) and set(LOSSES) == set(get_args(LossKernel))


@pytest.mark.parametrize(
    ("optimizer", "each"),
    [
        ("adam", (2, 4, 12)),
        ("adam-bf16", (2, 2, 4)),
        ("adam-bf16-sr", (2, 2, 4)),
        ("adam-bf16-moments", (2, 4, 8)),
        ("adam-fp8-moments", (2, 4, 6)),
        ("adam-8bit", (2, 2, 2.03125)),
        ("adam-paged", (2, 2, 0)),
        ("adam-8bit-paged", (2, 2, 0)),
        ("adafactor", (2, 2, 0)),
        ("sgd", (2, 2, 0)),
        ("muon", (2, 4, 8 + 4 * ENDS / LLAMA3)),
    ],
)
def test_states(optimizer: str, each: tuple[float, float, float]) -> None:
    """Bytes per parameter on the device: weight, gradient, states. Muon: one moment of matrices, two of both ends."""
    found = at(llama(optimizer=optimizer), "backward")
    assert [part / LLAMA3 for part in (found.weights, found.gradients, found.optimizer)] == pytest.approx(
        each, rel=1e-5
    )


def test_paged_moments_lie_in_the_host_and_cross_its_link() -> None:
    """8 bytes per parameter there; both ways for every update."""
    of, plain = llama("8xA100", optimizer="adam-paged"), llama("8xA100", optimizer="adam-bf16")
    plan = Plan(dp=8, zero=1).floats()
    assert float(host_bytes(of, plan)) == pytest.approx(8 * 8 * LLAMA3 / 8)
    assert float(host_bytes(plain, plan)) == 0
    more = float(step_time(of, plan).optimizer - step_time(plain, plan).optimizer)
    assert more > 2 * 8 * LLAMA3 / 8 / of.cluster.accelerator.host_rate


def test_offloaded_parameters() -> None:
    """Under ZeRO-3 nothing of the shard stays; 18 bytes in the host; gathers take longer; other stages may not."""
    of, plain = llama("8xA100", "any", offload="parameters"), llama("8xA100", "any")
    plan = Plan(dp=8, zero=3, m=8, b=1)
    assert at(of, "optimizer step", dp=8, zero=3).weights == at(of, "optimizer step", dp=8, zero=3).optimizer == 0
    assert float(host_bytes(of, plan)) == pytest.approx(18 * LLAMA3)
    assert step_time(of, plan.floats()).dp_comm_exposed > step_time(plain, plan.floats()).dp_comm_exposed
    assert first_broken(of, plan) is None
    broken = first_broken(of, replace(plan, zero=1))
    assert broken is not None and broken.name == "offload_parameters"


def test_offloaded_activations() -> None:
    """The last block's input and two on their way stay, 31 of 32 are in the host, as Megatron-LM has it.

    The trip takes time where no pass hides it.
    """
    of, plain = llama("8xA100", offload="activations"), llama("8xA100")
    boundary = 2 * TOKENS * 4096
    plan = Plan(dp=8, zero=1, m=8, recompute_layers=32)
    assert float(at(of, "loss", dp=8, recompute_layers=32).activations) == pytest.approx(3 * boundary)
    assert float(host_bytes(of, plan)) == pytest.approx(8 * 31 * boundary)
    slow, quick = (
        replace(one, cluster=one.cluster.model_copy(update={"accelerator": part}))
        for one in (of, plain)
        for part in [one.cluster.accelerator.model_copy(update={"host_rate": 1e8})]
    )
    time, base = estimate(slow, plan).time, estimate(quick, plan).time
    passes = float(base.forward + base.recompute + base.backward) / 8
    assert float(time.overhead - base.overhead) == pytest.approx(8 * (2 * 31 * boundary / 1e8 - passes), rel=0.3)


def test_overlap_ends_at_the_host() -> None:
    """Four GB200 of one tray hide two thirds of what tp sends, eight of two trays nothing."""
    for tp, exposed in ((4, 0.33), (8, 1.0)):
        tuned = job("llama3-70b", "2x4xGB200", "megatron-core-tuned", seq=4096, batch=64)
        bare = replace(tuned, framework=tuned.framework.model_copy(update={"tp_exposed": 1.0}))
        plan = Plan(tp=tp, sp=1, dp=8 // tp, m=8 * tp, zero=1)
        sent = [float(estimate(one, plan).time.tp_comm) for one in (tuned, bare)]
        assert sent[0] == pytest.approx(exposed * sent[1])


def test_offloaded_layers() -> None:
    """Of 32 layers that keep their inputs 20 give theirs away: 12 stay, and two are on their way."""
    of = llama("8xA100", offload="activations", offload_layers=20)
    boundary = 2 * TOKENS * 4096
    assert float(at(of, "loss", dp=8, recompute_layers=32).activations) == pytest.approx(14 * boundary)
    assert float(host_bytes(of, Plan(dp=8, zero=1, m=8, recompute_layers=32))) == pytest.approx(8 * 20 * boundary)


def test_inputs_of_modules() -> None:
    """Of every layer q, k and v go, 2 * s * b * (4096 + 2*1024) bytes; two layers hold theirs, the host has all."""
    away = 2 * TOKENS * (4096 + 2 * 1024)
    of = llama("8xA100", offload="activations", offload_modules=("core_attn",))
    kept, left = (float(at(one, "loss", dp=8).activations) for one in (llama("8xA100"), of))
    assert kept - left == pytest.approx(30 * away)
    assert float(host_bytes(of, Plan(dp=8, zero=1, m=8))) == pytest.approx(8 * 32 * away)


def test_inputs_that_are_recomputed_are_not_kept_anywhere() -> None:
    """What the experts' first matrices give goes to the host, unless the whole part is run again."""
    of = job("mixtral-8x7b", "8xH200", seq=TOKENS, batch=64, offload="activations", offload_modules=("moe_act",))
    rows = 2 * TOKENS  # two experts each
    plan = Plan(ep=8, dp=8, zero=1, m=8)
    assert float(host_bytes(of, plan)) == pytest.approx(8 * 32 * 2 * rows * 2 * 14336)
    assert float(host_bytes(of, replace(plan, modules=("moe",)))) == 0.0


def test_the_host_has_its_limit() -> None:
    """What fits the device and kills the host is no plan: 16 bytes of 70.6 B parameters are more than a TiB."""
    of = job("llama3.1-70b", "8xA100", seq=TOKENS, batch=64, offload="optimizer")
    node = of.cluster.node.model_copy(update={"host_memory": 2.0**40})
    small = replace(of, cluster=of.cluster.model_copy(update={"node": node}))
    broken = first_broken(small, Plan(tp=4, dp=2, m=32, sp=1, zero=1))
    assert broken is not None and broken.name == "host_memory"


NORM = 2 * 2 * TOKENS * 4096
"""Bytes of the final norm's input and output, 16 bit, of one sequence of Llama 3.1 8B."""


@pytest.mark.parametrize(
    ("loss", "each"),
    [("eager", 12), ("fused", 2), ("chunked", 3.5), ("vocab-parallel", 8), ("linear", 6 * 4096 / 128_256)],
)
def test_bytes_of_the_loss(loss: str, each: float) -> None:
    """Per logit, beside input and output of the final norm; a linear loss has as many logits at a time as one layer has
    activations.
    """
    found = at(llama(loss=loss), "loss", b=2)
    assert float(found.logits) == pytest.approx(each * 2 * TOKENS * 128_256 + NORM * 2)


def test_the_loss_of_a_framework_that_gathers_logits() -> None:
    """All columns on every tensor-parallel rank, unless the kernel works on its own."""
    plain = job("llama3.1-8b", "8xA100", "aa-scaling", seq=TOKENS, batch=64)
    eager, split = (
        replace(plain, workload=plain.workload.model_copy(update={"loss": loss}))
        for loss in ("eager", "vocab-parallel")
    )
    columns = np.ceil(128_256 / 512) * 512
    assert float(at(eager, "loss", tp=4, sp=1).logits) == 12 * TOKENS * columns + NORM / 4
    assert float(at(split, "loss", tp=4, sp=1).logits) == 8 * TOKENS * columns / 4 + NORM / 4


def test_moments_of_the_recipe() -> None:
    """Of plain Adam only."""
    assert state_bytes(llama()).moments == 8 and state_bytes(llama(optimizer="adam-bf16-moments")).moments == 4


def test_updates_in_the_backward_pass_hold_one_gradient() -> None:
    """Lv 2023, arXiv:2306.09782: 8.03e9 gradients of 2 bytes become those of the largest tensor, 128,256 x 4,096."""
    plan = Plan(b=1, m=1, recompute_layers=32, schedule="1f1b").floats()
    behind, inside = (
        peak_memory(job("llama3-8b", "1xA100", "any", seq=4096, batch=1, optimizer=name), plan).memory
        for name in ("adam-bf16", "adam-bf16-in-backward")
    )
    assert behind.gradients == pytest.approx(2 * 8.03e9, rel=0.01)
    assert inside.gradients == pytest.approx(2 * 128256 * 4096, rel=0.01)
    assert inside.optimizer == behind.optimizer


def test_updates_in_the_backward_pass_accumulate_nothing() -> None:
    """torchtune refuses gradient_accumulation_steps beside optimizer_in_bwd."""
    of = job("llama3-8b", "1xA100", "any", seq=4096, batch=4, optimizer="sgd-in-backward")
    rule = first_broken(of, Plan(b=1, m=4, schedule="1f1b"))
    assert rule is not None and rule.name == "update_in_backward"


def test_the_loss_over_a_split_vocabulary() -> None:
    """torchtitan's tp ranks hold one more fp32 copy of their logits than a fused kernel has: 4 bytes of a half each."""
    of = job("llama3-8b", "8xH100", "torchtitan", seq=4096, batch=8)
    held = {tp: float(at(of, "loss", tp=tp, dp=8 // tp, sp=tp - 1).logits) for tp in (1, 2)}
    plain = of.framework.logits_bytes * 4096 * 128_256
    assert held[1] - held[2] == pytest.approx(plain - (plain + 4 * 4096 * 128_256) / 2 + 2 * 2 * 4096 * 4096 / 2)


@pytest.mark.parametrize(
    ("preset", "offload", "zero", "left"),
    [
        ("hf", "none", 3, 2.0),
        ("hf", "optimizer", 3, 0.0),
        ("hf", "optimizer", 2, 0.0),
        ("hf", "optimizer", 1, 2.0),
        ("hf-fsdp", "parameters", 3, 0.0),
        ("torchtitan", "parameters", 3, 0.0),
        ("megatron-core", "optimizer", 1, 4.0),
    ],
)
def test_gradients_follow_an_offloaded_optimizer(preset: str, offload: str, zero: int, left: float) -> None:
    """Of DeepSpeed from ZeRO-2 on, and of FSDP; Megatron-LM's buffer stays."""
    over = 8.0 if zero >= 2 else 1.0
    found = at(llama("8xA100", preset, offload=offload), "optimizer step", dp=8, zero=zero, m=2)
    assert found.gradients == pytest.approx(left * LLAMA3 / over, rel=1e-5)
