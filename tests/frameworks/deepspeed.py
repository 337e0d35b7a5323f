"""DeepSpeed's own word on configurations, engines and its pipeline schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.frameworks.verdict import Verdict, need
from tests.frameworks.worker import Worker, worker


def _worker() -> Worker:
    need("torch", "deepspeed")
    return worker("deepspeed_worker")


def deepspeed_accepts(config: Mapping[str, Any], dp_world: int) -> Verdict:
    """DeepSpeedConfig on so many data parallel ranks; a key that it would silently ignore counts as refused."""
    return _worker().judge(op="config", config=dict(config), dp_world=dp_world)


def deepspeed_keys() -> dict[str, str]:
    """Keys of the JSON's sections by their dotted names, and their defaults; "" where that is no plain value."""
    found: dict[str, str] = _worker().ask(op="keys")["keys"]
    return found


def deepspeed_initialize(config: Mapping[str, Any], stages: int, dp_world: int = 1, tp: int = 1) -> Verdict:
    """`deepspeed.initialize` on rank 0 of stages x dp_world x tp; stages 0 is a model without a pipeline."""
    return _worker().judge(op="initialize", config=dict(config), stages=stages, dp_world=dp_world, tp=tp)


def deepspeed_launches(arguments: Sequence[str], hostfile: str) -> Verdict:
    """A `deepspeed` command line (without its first word) and the text of its host file."""
    return _worker().judge(op="launcher", arguments=list(arguments), hostfile=hostfile)


@dataclass(frozen=True)
class PipelineSchedule:
    """What every stage does, and how many micro-batches it has room for."""

    rows: tuple[tuple[tuple[str, int], ...], ...]
    """("F" or "B", micro-batch) in order."""
    buffers: tuple[int, ...]


def train_schedule(micro_batches: int, stages: int) -> PipelineSchedule:
    """DeepSpeed's TrainSchedule."""
    answer = _worker().ask(op="schedule", micro_batches=micro_batches, stages=stages)
    rows = tuple(tuple((kind, number) for kind, number in row) for row in answer["rows"])
    return PipelineSchedule(rows, tuple(answer["buffers"]))
