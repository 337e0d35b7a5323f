"""torchtitan 0.3: a base of its registry of configurations, with every option of a plan set over it.

Bases and options: pytorch/torchtitan 0.3.0, models/*/config_registry.py, config/configs.py, config/manager.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.launch import torchtitan
from planner.launch.program import ANYTHING, Flag, Program, Setup, Target, flag_lines
from planner.masks import divides
from planner.plan import Plan, Truth
from planner.read.titan_registry import REGISTRY, SUBCOMMAND, Base
from planner.schema.model import Model
from planner.stages import chunk_layers
from planner.training.job import Job
from planner.training.rule import Rule

GONE = ("expert_tensor_parallel_degree", "context_parallel_rotate_method")
"""Options of [parallelism] in 0.2 that there are no more."""

REPLACED = ("torchtitan_pipeline", "torchtitan_recompute")
"""Rules of 0.2 that hold no more, or otherwise."""

REGISTER = "torchtitan models/*/config_registry.py"


NOTES = (
    "the base's tokenizer lies under assets/hf (scripts/download_hf_assets.py); its data are C4: yours take a base of"
    " your own",
    "learning rate and warm-up are the base's",
    "torchtitan after 0.3.0 counts batches in tokens (pytorch/torchtitan #4121): install the release, or say"
    " --training.num_tokens_per_microbatch_per_dp_rank, --training.num_tokens_per_train_step,"
    " --training.max_context_length and --parallelism.num_pp_microbatches instead of batch sizes",
)


def program(setup: Setup) -> Program:
    """torchtitan's trainer with one option per line; recomputation is a subcommand, and stands last."""
    name, base = based(setup.job.model) or ("", Base("", "", 0, 0))
    options = [(f"--{part}.{key}", *_words(value)) for part, keys in sections(setup).items() for key, value in keys]
    flags: tuple[Flag, ...] = (("--module", base.name), ("--config", name), *map(_switch, options))
    own = torchtitan.program(setup)
    policy = "full" if setup.plan.recompute_layers else "none"
    return replace(own, flags=(*flags, (f"{SUBCOMMAND}{policy}",)), files=(), notes=NOTES)


def based(model: Model) -> tuple[str, Base] | None:
    """The plain base of a model's shape, and its function's name."""
    shape = torchtitan.registered(model)
    return next(((name, one) for name, one in REGISTRY.items() if (one.name, one.flavor) == shape and one.plain), None)


def sections(setup: Setup) -> dict[str, Any]:
    """Pairs of option and value by section."""
    own = torchtitan.config(setup)
    degrees = {name: value for name, value in own["parallelism"].items() if name not in GONE}
    loss = {} if setup.job.workload.loss == "chunked" else {"num_chunks": 1}
    parts = {name: own[name] for name in ("metrics", "training", "compile")} | {"parallelism": degrees, "loss": loss}
    return {name: keys.items() for name, keys in parts.items()}


def _words(value: Any) -> list[str]:
    """A value as the parser takes it; a list is several words."""
    return [f"{one}" for one in value] if isinstance(value, list) else [f"{value}"]


def _switch(flag: Flag) -> Flag:
    """ "--compile.no-enable" for false, the option alone for true."""
    option, *values = flag
    section, _, key = option.rpartition(".")
    if values in (["True"], ["False"]):
        return (option if values == ["True"] else f"{section}.no-{key}",)
    return flag


def _whole_recompute(job: Job, plan: Plan) -> Truth:
    every = plan.recompute_layers >= chunk_layers(job.model.layers, plan)
    return (not plan.modules) & ((plan.recompute_layers == 0) | every)


def _stages(job: Job, plan: Plan) -> Truth:
    """Uneven stages are a list of lists, which no option can say; even ones are three numbers."""
    even = divides(plan.pp * plan.v, job.model.layers)
    return (plan.pp == 1) | (even & (plan.head == 0))


RULES: tuple[Rule, ...] = (
    Rule("titan_base", lambda j, p: based(j.model) is not None, "torchtitan has no base of {model}'s shape", REGISTER),
    Rule(
        "titan_recompute",
        _whole_recompute,
        "torchtitan recomputes every layer or none, not k={recompute_layers} of {layers} over pp*v = {pp}*{v}",
        "torchtitan distributed/activation_checkpoint.py",
    ),
    Rule(
        "titan_stages",
        _stages,
        "stages that no three numbers describe cannot be said on a command line: pp*v = {pp}*{v} has to divide the"
        " {layers} layers, head={head} be 0",
        "torchtitan config/configs.py",
    ),
    Rule(
        "titan_experts",
        lambda j, p: (p.etp == 1) & (p.dispatcher == "alltoall"),
        "torchtitan splits no expert, and how tokens are sent stands in its bases: etp={etp} has to be 1, {dispatcher}"
        " alltoall",
        REGISTER,
    ),
    Rule(
        "titan_context",
        lambda j, p: (p.cp == 1) | (j.workload.context == "allgather"),
        "torchtitan gathers keys and values over cp={cp} ranks: --cp-comm allgather",
        "torchtitan config/configs.py",
    ),
)

OWN = tuple(rule for rule in torchtitan.TARGET.rules if rule.name not in REPLACED)

TARGET = Target(
    "torchtitan-registry",
    "torchtitan (registry)",
    "torchtitan 0.3.0",
    (*OWN, *RULES),
    program,
    flag_lines,
    "--module, --config and options over that base",
    {"offload": ("parameters",), "loss": ("chunked",), "dp_replicate": ANYTHING},
    preset="torchtitan",
)
