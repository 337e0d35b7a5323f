"""What is to be planned: a model, a cluster, a workload and the framework that runs it."""

from __future__ import annotations

from dataclasses import dataclass

from planner.errors import PlannerError
from planner.schema.framework import Framework
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.workload import Workload


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a plan's cost depends on beside the plan itself.

    Raises:
        PlannerError: the accelerator does not compute in the precision of the workload.
    """

    model: Model
    cluster: Cluster
    workload: Workload
    framework: Framework

    def __post_init__(self) -> None:
        accelerator, precision = self.cluster.accelerator, self.workload.precision
        if getattr(accelerator.peak, precision) is None:
            have = ", ".join(k for k, v in accelerator.peak.model_dump().items() if v)
            raise PlannerError(
                f"{accelerator.name} has no {precision}", f"it has {have}: --precision, or the script's own option"
            )

    @property
    def flash(self) -> bool:
        """True when attention scores are never stored."""
        return self.workload.attention.startswith("flash")

    @property
    def lora(self) -> bool:
        """True when only adapters are trained."""
        return self.workload.method == "lora"
