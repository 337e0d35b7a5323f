"""The plan ranked first, held against its framework's own parser."""

from __future__ import annotations

import json

import pytest

from planner.launch.program import Setup
from planner.launch.targets import TARGETS
from planner.plan import Range
from planner.questions.train import Ranked, best
from planner.training.space import Bounds
from tests.frameworks.deepspeed import deepspeed_accepts
from tests.frameworks.megatron import MegatronValidator
from tests.frameworks.test_emitted_megatron import words
from tests.jobs import job

LIMITS = {
    "free": Bounds(),
    "one sequence": Bounds({"b": Range(1, 1)}),
    "piped": Bounds({"pp": Range(2, 8)}),
    "full": Bounds(recompute=frozenset({"full"})),
}
CASES = [("llama3-8b", "2x8xA100"), ("llama3-70b", "8x8xH100"), ("gpt3-13b", "4x8xA100")]


def first(name: str, cluster: str, preset: str, limits: str) -> Ranked:
    """The plan ranked first; there is one in all these cases."""
    found = best(job(name, cluster, preset, seq=2048, batch=64), LIMITS[limits])
    assert found is not None
    return found


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize(("name", "cluster"), [*CASES, ("mixtral-8x7b", "4x8xH100")])
def test_megatron_runs_the_first(megatron: MegatronValidator, name: str, cluster: str, limits: str) -> None:
    """Parsed and validated."""
    found = first(name, cluster, "megatron-core", limits)
    said, environment = words(found.job, found.plan)
    verdict = megatron.check(said, found.job.cluster.gpus, environment)
    assert verdict.ok, f"{verdict.error}: {' '.join(said)}"


@pytest.mark.parametrize("limits", ["free", "one sequence", "full"])
@pytest.mark.parametrize(("name", "cluster"), CASES)
def test_deepspeed_runs_the_first(name: str, cluster: str, limits: str) -> None:
    """DeepSpeedConfig takes it and reads all of it."""
    found = first(name, cluster, "deepspeed-zero3", limits)
    setup = Setup(found.job, found.plan)
    config = json.loads(TARGETS["deepspeed"].program(setup).files[0].text)
    ranks = found.plan.dp * (found.plan.tp if found.plan.pp == 1 else 1)
    verdict = deepspeed_accepts(config, ranks)
    assert verdict.ok, f"{verdict.error}: {config}"
