"""What a deployment is chosen for: a record each, and its line in OBJECTIVES; words and rankings ask the record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from planner.frozen import frozen
from planner.plan import Num
from planner.serving.job import ServeJob
from planner.serving.options import Option, per_gpu


@frozen
class Objective:
    """One way to rank deployments.

    Attributes:
        words: as the answer says it. cost: what is minimised.
        load: where none is stated, "searched" tries many, "one" is a single request, "endless" a list without an end.
        counts: takes part as what a load needs (fewest): replicas are counted, and a load must be stated.
    """

    words: str
    cost: Callable[[ServeJob, Option], Num]
    load: Literal["searched", "one", "endless"] = "searched"
    counts: bool = False


def rate(job: ServeJob, options: Option) -> Num:
    """Tokens per second and accelerator."""
    return per_gpu(options, job.workload.output)


def _request(job: ServeJob, options: Option) -> Num:
    """Seconds from request to last token."""
    return options.ttft + (job.workload.output - 1.0) * options.tpot


def _accelerators(job: ServeJob, options: Option) -> Num:
    """Accelerators; of as many the faster ones first."""
    yield_ = rate(job, options)
    return options.gpus - yield_ / (yield_ + 1e6)


def _yield(job: ServeJob, options: Option) -> Num:
    return -rate(job, options)


OBJECTIVES = {
    "throughput": Objective("most tokens per second and GPU that keep the service levels", _yield),
    "latency": Objective("shortest time from request to last token", _request, "one"),
    "offline": Objective("most tokens per second from an endless list of requests", _yield, "endless"),
    "fewest": Objective("fewest GPUs that carry the load and keep the service levels", _accelerators, counts=True),
}
"""By the name that users type, the usual one first."""
