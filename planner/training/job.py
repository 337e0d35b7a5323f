"""What is to be planned: a model, a cluster, a workload and the framework that runs it."""

from __future__ import annotations

from dataclasses import dataclass

from planner.catalog.recipes import packaged_recipe
from planner.errors import PlannerError
from planner.schema.formats import COMPUTED
from planner.schema.framework import Framework
from planner.schema.hardware import Accelerator, Cluster
from planner.schema.model import Model
from planner.schema.recipe import Recipe
from planner.schema.workload import Workload


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a plan's cost depends on beside the plan itself.

    Attributes:
        own: the record that `workload.precision` names where it is none of the packaged ones.

    Raises:
        PlannerError: the accelerator does not compute in the formats of the recipe.
        UnknownName: no recipe is called so.
    """

    model: Model
    cluster: Cluster
    workload: Workload
    framework: Framework
    own: Recipe | None = None

    def __post_init__(self) -> None:
        check_formats(self.cluster.accelerator, self.recipe)

    @property
    def recipe(self) -> Recipe:
        """The format of every class of tensor."""
        name = self.workload.precision
        return self.own if self.own is not None and self.own.name == name else packaged_recipe(name)

    @property
    def flash(self) -> bool:
        """True when attention scores are never stored."""
        return self.workload.attention.startswith("flash")

    @property
    def lora(self) -> bool:
        """True when only adapters are trained."""
        return self.workload.method == "lora"


def check_formats(accelerator: Accelerator, recipe: Recipe) -> None:
    """Refuse a recipe whose products an accelerator cannot compute.

    Raises:
        PlannerError: names the format, and what the accelerator has.
    """
    for wanted in (*recipe.formats(True), *recipe.formats(False), recipe.attention):
        if getattr(accelerator.peak, COMPUTED[wanted]) is None:
            have = ", ".join(k for k, v in accelerator.peak.model_dump().items() if v)
            raise PlannerError(
                f"{accelerator.name} has no {wanted}", f"it has {have}: --precision, or the script's own option"
            )
