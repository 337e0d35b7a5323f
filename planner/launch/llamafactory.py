"""LLaMA-Factory: the YAML of `llamafactory-cli train` for one plan, DeepSpeed's JSON beside it.

Options: hiyouga/LLaMA-Factory src/llamafactory/hparams/*.py; variables of its launcher: launcher.py.
"""

from __future__ import annotations

from typing import Any

from planner.launch import tuner
from planner.launch.program import Program, Setup, Target, only_file
from planner.plan import Plan, Truth
from planner.training.job import Job
from planner.training.rule import Rule

SOURCE = "LLaMA-Factory hparams/parser.py"


def program(setup: Setup) -> Program:
    """Its own launcher starts torchrun, also for one GPU, which DeepSpeed wants."""
    main = tuner.yaml_file("llamafactory", config(setup))
    return Program(
        f"llamafactory-cli train {main.name}",
        (),
        {"FORCE_TORCHRUN": "1"},
        files=(main, *tuner.engine_files(setup)),
        notes=tuner.notes(setup, "dataset and template"),
    )


def config(setup: Setup) -> dict[str, Any]:
    """The whole file."""
    pure = {"pure": "true"} if setup.job.workload.optimizer == "adam-bf16" else {}
    found = tuner.fields(setup) | pure | tuner.shared(setup)
    return tuner.written("llamafactory", found | ({"precision": None} if pure else {})) | tuner.trainer_fsdp(setup)


def _pure(job: Job, plan: Plan) -> Truth:
    full = job.workload.method == "full" and job.workload.precision == "bf16"
    return job.workload.optimizer != "adam-bf16" or (full & ((plan.zero == 0) | job.framework.shard_is_master))


TARGET = Target(
    "llamafactory",
    "LLaMA-Factory",
    "llamafactory 0.9.5",
    tuner.rules(
        tuner.TRAINER,
        "llamafactory",
        "LLaMA-Factory",
        SOURCE,
        Rule(
            "llamafactory_pure",
            _pure,
            "pure_bf16 is for whole models without DeepSpeed: not {optimizer}, {method}, {precision}, zero={zero}",
            SOURCE,
        ),
    ),
    program,
    only_file,
    "llamafactory.yaml for `llamafactory-cli train`, ds_config.json beside it",
    {"loss": ("eager", "linear"), "offload": ("optimizer", "parameters")},
    "hf",
)
