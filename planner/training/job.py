"""What is to be planned: a model, a cluster, a workload and the framework that runs it."""

from __future__ import annotations

from dataclasses import dataclass

from planner.schema.framework import Framework
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.workload import Workload


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a plan's cost depends on beside the plan itself."""

    model: Model
    cluster: Cluster
    workload: Workload
    framework: Framework

    @property
    def flash(self) -> bool:
        """True when attention scores are never stored."""
        return self.workload.attention.startswith("flash")

    @property
    def lora(self) -> bool:
        """True when only adapters are trained."""
        return self.workload.method == "lora"
