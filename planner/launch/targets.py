"""Everything that plans can be written for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import get_args

from planner.blocks.structure import beyond_attention
from planner.errors import PlannerError, suggest
from planner.launch.program import ANYTHING, GUARDED, Setup, Target
from planner.masks import first_of
from planner.plan import OnePlan
from planner.schema.framework import TargetName
from planner.schema.workload import Workload
from planner.training.job import Job
from planner.training.rule import Rule

NAMES: tuple[TargetName, ...] = get_args(TargetName)


class _Targets(Mapping[str, Target]):
    """Targets by name. A file is imported when its target is asked for: a ranking needs one of them at most."""

    def __getitem__(self, name: str) -> Target:
        if name not in NAMES:
            raise KeyError(name)
        target: Target = import_module(f"planner.launch.{name.replace('-', '_')}").TARGET
        return target

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


TARGETS: Mapping[str, Target] = _Targets()
"""By name. A new one is a file with a TARGET, its table in planner/launch/tables, and its name in the schema."""


FROM_LIBRARY = (
    *("deepspeed", "pytorch", "accelerate", "transformers", "verl", "automodel", "llamafactory"),
    *("axolotl", "trl", "swift"),
)
"""Targets whose programs take the model from a library of classes instead of writing its shape."""

MIXERS_WRITTEN = Rule(
    "mixers",
    lambda job, plan: beyond_attention(job.model) is None,
    "{model} has {beyond}, which this target cannot write yet",
    "planner/launch writes attention with a feed-forward part behind it",
)


def _written(target: Target, name: str) -> Rule:
    """What a job asks for is written, or refused: an offload, a loss, graphs."""
    known, usual = target.expresses.get(name, ()), Workload.model_fields[name].default
    return Rule(
        f"{name}_written",
        lambda job, plan: known == ANYTHING or getattr(job.workload, name) in (usual, *known),
        f"{target.title} has no words for {name} {{{name}}}{(known and '; it has: ' + ', '.join(known)) or ''}",
        f"planner/launch, {target.versions}",
    )


def _copied(target: Target) -> Rule:
    """Copies of sharded states are written, or refused."""
    known = "dp_replicate" in target.expresses
    return Rule(
        "copies_written",
        lambda job, plan: known | (plan.dp_replicate == 1),
        f"{target.title} has no words for copies of sharded states: dp_replicate={{dp_replicate}} has to be 1",
        f"planner/launch, {target.versions}",
    )


def _seen(target: Target) -> Rule:
    """What is trained of a vision tower is written, or refused; who writes decoders alone sees no image."""
    if not target.towers:
        return Rule(
            "tower",
            lambda job, plan: job.model.tower is None or not job.workload.images,
            f"{target.title} is written without the vision tower of {{model}}, which --images is for",
            "planner/launch writes decoders for it",
        )
    return Rule(
        "tower",
        lambda job, plan: job.workload.tower in target.towers or (job.model.tower is None and not cut(job)),
        f"{target.title} loads {{model}} with its vision tower: --tower {', '.join(target.towers)}, not {{tower}}",
        f"planner/launch, {target.versions}",
    )


def cut(job: Job) -> bool:
    """Whether a model has lost its tower by --tower absent."""
    return job.model.text_only and job.workload.tower == "absent"


def _spelled(target: Target) -> Rule:
    """Recipes below 16 bit are written for frameworks that have a name for them."""
    framework = target.expresses.get("recipe", (target.name,))[0]
    return Rule(
        "recipe",
        lambda job, plan: job.recipe.wide or getattr(job.recipe.spelled, framework, None) is not None,
        f"{target.title} has no name for the recipe {{precision}} that could be written",
        "spelled in profiles/recipes",
    )


def recipes_of(target: Target) -> tuple[str, ...]:
    """Recipes that a target can write: bf16, and those below 16 bit that it has a name for."""
    from planner.catalog.library import Library, packaged

    framework, packed = target.expresses.get("recipe", (target.name,))[0], Library((packaged(),))
    found = (packed.recipe(name).value for name in packed.names("recipe"))
    return ("bf16", *(one.name for one in found if getattr(one.spelled, framework, None) is not None))


def find_target(name: str | None, setup: Setup) -> Target:
    """The target called `name`, or the one that the framework's preset is for.

    Raises:
        PlannerError: no such target, or a preset that none is for; names those that run the plan.
    """
    preset = setup.job.framework
    if name is None and preset.target is None:
        runs = [other for other in TARGETS if refusal(TARGETS[other], setup) is None]
        hint = f"this plan runs under --target {', '.join(runs)}" if runs else f"--target {', '.join(TARGETS)}"
        raise PlannerError(f"nothing is written for the preset {preset.name}", hint)
    return TARGETS[known_name("--target", name or preset.target or "", TARGETS)]


def known_name(option: str, name: str, known: Iterable[str]) -> str:
    """The name, if it is one of those known.

    Raises:
        PlannerError: it is not; with those that are near.
    """
    names = list(known)
    if name not in names:
        near = names if name == "all" else suggest(name, names) or names
        raise PlannerError(f"{option} {name!r:.40} is unknown", f"did you mean: {', '.join(near)} ?")
    return name


def writes(job: Job, plan: OnePlan) -> bool:
    """Whether the target of the job's own preset can express a plan."""
    name = job.framework.target
    return name is not None and refusal(TARGETS[name], Setup(job, plan)) is None


def refusal(target: Target, setup: Setup) -> Rule | None:
    """The first thing of a plan that a target cannot express, or None."""
    return first_of(rules_of(target), setup.job, setup.plan)


def rules_of(target: Target) -> tuple[Rule, ...]:
    """What a plan has to obey for a target to write it."""
    mixers = () if target.name in FROM_LIBRARY else (MIXERS_WRITTEN,)
    own = (_copied(target), *mixers, _seen(target), _spelled(target))
    return (*(_written(target, name) for name in GUARDED), *own, *target.rules)
