"""What a job asks for beside its plan is written, or refused by a rule that names it."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from planner.launch.program import GUARDED, Setup, flag_lines
from planner.launch.targets import TARGETS, refusal
from planner.plan import Plan
from planner.schema.workload import AttentionKernel, Graphs, LossKernel, Offload
from tests.jobs import job
from tests.launch.test_tuners import TUNERS

VALUES: dict[str, tuple[Any, ...]] = {
    "offload": get_args(Offload),
    "loss": get_args(LossKernel),
    "graphs": get_args(Graphs),
    "capacity": (1.5,),
    "attention": get_args(AttentionKernel),
}
FULL = {"recompute_layers": 32, "zero": 3, "dp": 8, "m": 8}
OWN = {(target, "eager") for target in ("transformers", "automodel", *TUNERS)} | {("megatron-deepspeed", "flash2")}
"""What a framework does where nothing is said."""

PLANS = {"transformers": {"zero": 3, "dp": 8, "m": 8}, "deepspeed": FULL, "accelerate": FULL}


def asked(target: str, **work: Any) -> Setup:
    """A plan of eight ranks in which each target can run what it offloads."""
    preset = {"transformers": "hf", "accelerate": "any", "pytorch": "any"}.get(target, "megatron-core")
    zero = {"optimizer": 1, "parameters": 3}.get(work.get("offload", ""), 0)
    return Setup(
        job("mixtral-8x7b" if "capacity" in work else "llama3-8b", "8xA100", preset, seq=4096, batch=64, **work),
        Plan(**PLANS.get(target, {"dp": 8, "m": 8, "zero": zero})),
    )


def texts(setup: Setup, target: str) -> tuple[str, ...]:
    """All that is written, and said, of a job."""
    program = TARGETS[target].program(setup)
    return (flag_lines(program), *(file.text for file in program.files), *program.notes)


def test_every_field_has_values() -> None:
    """A new guarded field says here what it can be."""
    assert set(VALUES) == set(GUARDED)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", GUARDED)
def test_written_or_refused(target: str, name: str) -> None:
    """Another value gives another text, or is refused by name; the message has the value."""
    usual = texts(asked(target), target)
    for value in VALUES[name]:
        setup = asked(target, **{name: value})
        if value == asked(target).job.workload.model_dump()[name]:
            continue
        known = TARGETS[target].expresses.get(name, ())
        if value in known or known == ("*",):
            assert texts(setup, target) != usual or (target, value) in OWN
        else:
            rule = refusal(TARGETS[target], setup)
            assert rule is not None
            assert rule.name == f"{name}_written"
            assert str(value) in rule.message(setup.job, setup.plan)


def test_a_target_is_called_as_its_line() -> None:
    """The name under which a target is found is the one it has."""
    assert [target.name for target in TARGETS.values()] == list(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_copies_of_sharded_states_are_written_or_refused(target: str) -> None:
    """With the number of copies in the text; never dropped, and never a bug."""
    found = [Setup(asked(target).job, Plan(dp=8, m=8, zero=zero, dp_replicate=4)) for zero in (1, 3)]
    found += [Setup(job("llama3-8b", "8xA100", "hf-fsdp", seq=4096, batch=64), found[1].plan)]
    for setup in found:
        broken = refusal(TARGETS[target], setup)
        if broken is None:
            plain = Setup(setup.job, Plan(dp=8, m=8, zero=setup.plan.zero))
            assert texts(setup, target) != texts(plain, target)
        assert broken is not None or "dp_replicate" in TARGETS[target].expresses
    assert ("dp_replicate" in TARGETS[target].expresses) != (broken is not None and broken.name == "copies_written")
