"""What is to be planned: a model, a cluster, a workload and the framework that runs it."""

from __future__ import annotations

from dataclasses import field

from planner.blocks.record import Structure
from planner.blocks.structure import structure
from planner.catalog.recipes import packaged_recipe
from planner.cost.memory import OPTIMIZERS
from planner.cost.quantize import SIXTEEN, computes
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.schema.formats import COMPUTED, Format
from planner.schema.framework import Framework
from planner.schema.hardware import Accelerator, Cluster
from planner.schema.model import Model
from planner.schema.recipe import Recipe
from planner.schema.workload import STORING, ContextKind, Workload


@frozen
class Job:
    """Everything that a plan's cost depends on beside the plan itself.

    Attributes:
        own: the record that `workload.precision` names where it is none of the packaged ones.
        margin: share of the usable memory that is to stay free.
        instead: the preset that stands in where the job is relaxed and the framework has no option for that.
        recipe: the format of every class of tensor.

    Raises:
        PlannerError: the accelerator does not compute in the formats of the recipe, the recipe has nothing to do for an
            option, or images for nothing that sees them.
        UnknownName: no recipe is called so.
    """

    model: Model
    cluster: Cluster
    workload: Workload
    framework: Framework
    own: Recipe | None = None
    margin: float = 0.0
    instead: Framework | None = None
    recipe: Recipe = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name = self.workload.precision
        recipe = self.own if self.own is not None and self.own.name == name else packaged_recipe(name)
        check_formats(self.cluster.accelerator, recipe)
        _check_options(recipe, self.workload)
        object.__setattr__(self, "recipe", recipe)
        if self.workload.tower == "absent" and self.model.tower is not None:
            object.__setattr__(self, "model", self.model.model_copy(update={"tower": None, "text_only": True}))
        _check_images(self.model, self.workload)

    @property
    def structure(self) -> Structure:
        """The model as the sequence of what its stages hold, with the layers that stay in 16 bit."""
        return structure(self.model, (self.workload.bf16_first, self.workload.bf16_last), self.workload.tower)

    @property
    def offloaded_layers(self) -> int:
        """Layers whose activations go to the host: those asked for, else all, but Megatron-LM's last (its own rule)."""
        return self.workload.offload_layers or self.model.layers - (self.framework.target == "megatron")

    @property
    def flash(self) -> bool:
        """True when attention scores are never stored."""
        return self.workload.attention not in STORING

    @property
    def kernel(self) -> str:
        """The attention kernel: the one asked for by name, else what the framework picks on the part ("flash": the
        usual one)."""
        asked: str = self.workload.attention
        picked = self.framework.attention.on(self.cluster.accelerator.generation)
        return picked or asked if asked == "flash" else asked

    @property
    def contexts(self) -> tuple[ContextKind, ...]:
        """Ways in which context-parallel ranks may trade keys and values: the one asked for, else the framework's.

        All-gather is tried where a framework has no other: it takes the memory of all keys, and rarely gains.
        """
        if self.workload.context is not None:
            return (self.workload.context,)
        tried = tuple(kind for kind in self.framework.context if kind != "allgather")
        return tried or self.framework.context

    @property
    def in_backward(self) -> bool:
        """Whether gradients go one by one, as the backward pass updates their parameters."""
        return OPTIMIZERS[self.workload.optimizer].in_backward and not self.lora

    @property
    def lora(self) -> bool:
        """True when only adapters are trained."""
        return self.workload.method != "full"

    @property
    def tuned(self) -> bool:
        """True for fine-tuning, whose batches count sequences: by its method, or by the trainer."""
        return self.lora or self.framework.tunes

    @property
    def base(self) -> Format:
        """The format of the frozen weights of linear layers; embeddings, head, router and norms keep the recipe's."""
        return self.workload.base if self.workload.method == "qlora" else self.recipe.base


def _check_images(model: Model, workload: Workload) -> None:
    """Refuse images that no tower sees, and those that take more tokens than a sequence has."""
    if not workload.images:
        return
    if model.tower is None:
        raise PlannerError(f"--images {workload.images}: {model.name} has no vision tower here", "leave out --images")
    tokens = workload.images * model.tower.tokens(workload.image_size)
    if tokens > workload.seq:
        said = f"{workload.images} image{'s' * (workload.images > 1)} take {tokens:,} tokens"
        raise PlannerError(f"{said} of the {workload.seq:,} of a sequence", f"--seq {tokens}, or fewer --images")


def check_formats(accelerator: Accelerator, recipe: Recipe) -> None:
    """Refuse a recipe whose products an accelerator cannot compute.

    Raises:
        PlannerError: names the format, and what the accelerator has.
    """
    for wanted in (*recipe.formats(True), *recipe.formats(False), recipe.attention):
        if not computes(accelerator, wanted):
            known = (*SIXTEEN, *(one for one in type(accelerator.formats).model_fields if one in COMPUTED))
            have = ", ".join(one for one in known if computes(accelerator, one))
            of = "" if wanted in recipe.name else f", which {recipe.name} needs"
            cure = f"it has {have}: --precision, or the script's own option"
            raise PlannerError(f"{accelerator.name} has no {wanted}{of}", cure)


def _check_options(recipe: Recipe, workload: Workload) -> None:
    """Refuse options that a recipe has no use for."""
    if recipe.wide and (workload.bf16_first or workload.bf16_last):
        raise PlannerError(f"the recipe {recipe.name} has every layer in 16 bit", "leave out --bf16-first, --bf16-last")
    if workload.fp8_param_gather and recipe.primary is None:
        raise PlannerError(f"the recipe {recipe.name} keeps its weights in {recipe.weights}", "no --fp8-param-gather")
