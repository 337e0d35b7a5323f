"""One plan of a ranking."""

from __future__ import annotations

from planner.frozen import frozen
from planner.plan import OnePlan
from planner.training.estimate import Estimate
from planner.training.job import Job


def usable_memory(job: Job) -> float:
    """Bytes that a plan may use: what the driver reports, times what the allocator fills of it, less the margin."""
    usable = job.cluster.accelerator.memory * job.framework.usable
    return usable * (1.0 - job.margin) if job.margin else usable


@frozen
class Ranked:
    """One recommended plan with all its numbers.

    Attributes:
        job: the job that the plan runs, relaxed if it had to be; relaxations: names of what was given up.
        replay: seconds of the pipeline replayed operation by operation, and by the closed form; None: not replayed.
    """

    job: Job
    plan: OnePlan
    relaxations: tuple[str, ...]
    estimate: Estimate
    tokens_per_second: float
    mfu: float
    replay: tuple[float, float] | None = None

    @property
    def disagreement(self) -> float:
        """Closed form over replay, less one; 0 without a replay."""
        return self.replay[1] / self.replay[0] - 1.0 if self.replay else 0.0

    @property
    def step_time(self) -> float:
        """Seconds per optimizer step."""
        return float(self.estimate.time.total)

    @property
    def need(self) -> float:
        """Bytes on the fullest rank."""
        return float(self.estimate.memory.total)

    @property
    def capacity(self) -> float:
        """Bytes that it may use."""
        return usable_memory(self.job)
