"""What is emitted for Megatron-LM, held against its own parser, its checks and its model."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from shlex import split

import numpy as np
import pytest

from planner.launch.megatron import TARGET
from planner.launch.program import Setup
from planner.plan import Plan
from planner.read.megatron_rules import PAIRS, PARALLEL, SWITCHES, Check
from planner.schema.model import Model
from planner.stages import layers_per_chunk
from planner.training.job import Job
from planner.training.rules import legal
from planner.training.space import Bounds, Range, plans
from tests.frameworks.megatron import MegatronValidator, Refused
from tests.jobs import job, model, rank_parameters
from tests.launch.test_megatron_checks import BREAKS, flags

CASES = [
    ("llama3-8b", "2x8xA100", 64, {}),
    ("llama3.1-405b", "16x8xH100", 128, {}),
    ("gpt3-175b", "8x8xA100", 64, {"attention": "unfused", "precision": "fp16"}),
    ("mixtral-8x7b", "4x8xH100", 64, {}),
    ("deepseek-v3", "16x8xH100", 256, {}),
    ("llama4-maverick", "8x8xH100", 64, {}),
    ("qwen2.5-7b", "8xA100", 32, {"offload": "optimizer"}),
    ("gemma2-9b", "2x8xH100", 64, {}),
]
EACH = 30
"""Plans per case: 240 in all."""


def drawn(asked: Job, count: int, obey: bool = True) -> Iterator[Plan]:
    """Plans that Megatron-LM runs, or that the rules refuse; always the same."""
    pool: list[Plan] = []
    for batch in plans(asked, Bounds({"cp": Range(1, 4)})):
        rules = [np.broadcast_to(rule.holds(asked, batch), batch.shape) for rule in TARGET.rules]
        mask = np.logical_and.reduce([legal(asked, batch)[0], *rules])
        rows = np.flatnonzero(mask == obey)
        pool += [batch[int(row)].scalar() for row in np.random.default_rng(0).permutation(rows)[:60]]
    yield from Random(2).sample(pool, min(count, len(pool)))


def words(asked: Job, plan: Plan) -> tuple[list[str], dict[str, str]]:
    """Flags and environment as emitted."""
    program = TARGET.program(Setup(asked, plan))
    return [word for flag in program.flags for word in flag], dict(program.environment)


@pytest.mark.parametrize(("name", "cluster", "batch", "workload"), CASES, ids=[case[0] for case in CASES])
def test_emitted_flags_are_accepted(
    megatron: MegatronValidator, name: str, cluster: str, batch: int, workload: dict[str, str]
) -> None:
    """Parsed, validated, made into a TransformerConfig; degrees, batch and shape are those of the plan."""
    asked = job(name, cluster, seq=4096, batch=batch, **workload)
    for plan in drawn(asked, EACH):
        said, environment = words(asked, plan)
        verdict = megatron.check(said, asked.cluster.gpus, environment)
        assert verdict.ok, f"{verdict.error}: {' '.join(said)}"
        found = verdict.args
        degrees = {
            "tensor_model_parallel_size": plan.tp,
            "pipeline_model_parallel_size": plan.pp,
            "context_parallel_size": plan.cp,
            "data_parallel_size": plan.dp,
            "virtual_pipeline_model_parallel_size": plan.v if plan.v > 1 else None,
            "micro_batch_size": plan.b,
            "global_batch_size": asked.workload.global_batch,
            "num_layers": asked.model.layers,
            "hidden_size": asked.model.hidden,
            "sequence_parallel": bool(plan.sp),
        }
        assert {key: found[key] for key in degrees} == degrees, " ".join(said)


def test_refused_plans_are_refused(megatron: MegatronValidator) -> None:
    """Degrees that our rules refuse, written all the same, are refused by Megatron where it looks at all.

    More chunks than layers are not among them: written as a layout, they are empty stages, which it takes.
    """
    asked = job("llama3-8b", "2x8xA100", seq=4096, batch=64)
    bad = [
        Plan(tp=3, pp=1, dp=5, b=1, m=12),
        Plan(tp=1, pp=2, dp=8, b=3, m=2),
        Plan(tp=1, pp=3, dp=5, b=1, m=12),
        Plan(tp=64, pp=1, dp=1, b=1, m=64),
    ]
    for plan in bad:
        assert not legal(asked, plan)[0].all()
        said, environment = words(asked, plan)
        refused = not megatron.check(said, 16, environment).ok
        if not refused:
            with pytest.raises(Refused):
                megatron.layers_per_stage(said, 16, environment)


ALL: dict[str, Check] = {check.name: check for check in (*PARALLEL, *SWITCHES, *PAIRS)}


@pytest.mark.parametrize(("name", "changes"), BREAKS, ids=[name for name, _ in BREAKS])
def test_our_checks_are_megatrons(megatron: MegatronValidator, name: str, changes: dict[str, str | None]) -> None:
    """What we call illegal is refused where we say that Megatron looks; the rest passes its parser."""
    fsdp = bool({"use_torch_fsdp2", "use_megatron_fsdp"} & changes.keys())
    said = [*split(flags(**changes)), "--mock-data", "--tokenizer-type", "NullTokenizer", "--lr", "1e-4"]
    environment = {"CUDA_DEVICE_MAX_CONNECTIONS": "8" if fsdp else "1"}
    verdict = megatron.check([*said, "--train-iters", "1"], 32, environment)
    at = ALL[name].at
    if at in ("arguments", "config"):
        assert not verdict.ok, name
    elif at == "build" and name not in ("precision_aware", "main_gradients", "aware_of_adam"):  # these need a GPU
        with pytest.raises(Refused):
            megatron.rank_parameters([*said, "--train-iters", "1"], 32, 31, environment)


LAYOUTS = [
    {"tp": 1, "pp": 1},
    {"tp": 2, "pp": 2},
    {"tp": 8, "pp": 4},
    {"tp": 4, "pp": 4, "v": 2},
    {"tp": 2, "pp": 4, "head": 2},
    {"tp": 2, "pp": 8, "v": 2},
]
MODELS = ["llama3-8b", "gpt3-13b", "qwen2.5-7b", "llama3.2-1b", "mixtral-8x7b", "gpt2-xl", "llama2-13b"]


def placed(shape: Model, degrees: dict[str, int]) -> Plan | None:
    """The layout, if the model's heads and layers admit it."""
    plan = Plan(**degrees, schedule="interleaved" if degrees.get("v", 1) > 1 else "1f1b")
    slots = plan.pp * plan.v
    missing = -(-shape.layers // slots) * slots - shape.layers
    sizes = (shape.heads, shape.ffn, shape.moe.ffn if shape.moe else shape.ffn)
    fits = all(size % plan.tp == 0 for size in sizes) and (plan.v == 1 or missing <= 2)
    split_kv = shape.kv_heads % plan.tp == 0 or plan.tp % shape.kv_heads == 0
    whole = min(map(min, layers_per_chunk(shape.layers, plan))) >= 0
    return plan if fits and split_kv and whole else None


def buildable(asked: Job, plan: Plan) -> tuple[list[str], dict[str, str]]:
    """As emitted, but for what only runs on a device.

    A kernel's environment variables are for one run of a process, and alltoall wants a CUDA stream.
    """
    said, environment = words(asked, plan)
    kernel = said.index("--attention-backend")
    return ["allgather" if word == "alltoall" else word for word in said[:kernel] + said[kernel + 2 :]], environment


@pytest.mark.parametrize("name", MODELS)
def test_parameters_per_rank(megatron: MegatronValidator, name: str) -> None:
    """Every rank's count is that of GPTModel, to the unit: uneven ends, chunks, padded vocabulary, experts."""
    shape, seen = model(name), 0
    for degrees in LAYOUTS:
        plan = placed(shape, degrees)
        if plan is None:
            continue
        ep = 2 if shape.moe else 1
        world = plan.tp * plan.pp * ep
        cluster = f"{max(world // 8, 1)}x{min(world, 8)}xA100"
        plan = Plan(**{**plan.degrees, "ep": ep, "dp": ep, "b": 1, "m": 8, "sp": int(plan.tp > 1)})
        asked = job(shape, cluster, seq=512, batch=8 * ep)
        said, environment = buildable(asked, plan)
        for stage in range(plan.pp):
            found = megatron.rank_parameters(said, world, stage * plan.tp * ep, environment)
            assert found == rank_parameters(shape, plan, stage), (degrees, stage)
        seen += 1
    assert seen >= 1


def test_thirty_layouts_are_counted() -> None:
    """Five models times six layouts at least, one of them a mixture of experts."""
    counted = [name for name in MODELS for degrees in LAYOUTS if placed(model(name), degrees)]
    assert len(counted) >= 30 and "mixtral-8x7b" in counted
