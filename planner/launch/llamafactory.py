"""LLaMA-Factory: the YAML of `llamafactory-cli train` for one plan, DeepSpeed's JSON beside it.

Options: hiyouga/LLaMA-Factory src/llamafactory/hparams/*.py; variables of its launcher: launcher.py.
"""

from __future__ import annotations

from typing import Any

from planner.launch import seeing, tuner
from planner.launch.described import table
from planner.launch.program import Program, Setup
from planner.training.frameworks import tuners


def program(setup: Setup) -> Program:
    """Its own launcher starts torchrun, also for one GPU, which DeepSpeed wants."""
    main = tuner.yaml_file("llamafactory", config(setup))
    return Program(
        f"llamafactory-cli train {main.name}",
        (),
        {"FORCE_TORCHRUN": "1"},
        files=(main, *tuner.engine_files(setup)),
        notes=(*tuner.notes(setup, "dataset" if images(setup) else "dataset and template"), *seeing.notes(setup)),
    )


def config(setup: Setup) -> dict[str, Any]:
    """The whole file."""
    pure = {"pure": "true"} if setup.job.workload.optimizer == "adam-bf16" else {}
    found = tuner.fields(setup) | pure | tuner.shared(setup) | seeing.parts(setup)
    written = tuner.written("llamafactory", found | ({"precision": None} if pure else {}))
    return written | images(setup) | tuner.trainer_fsdp(setup)


def images(setup: Setup) -> dict[str, Any]:
    """What a model with a tower has beside: its template, and its own demonstration with an image."""
    if setup.job.model.tower is None:
        return {}
    template = {"template": seeing.called(setup.job.model, table("llamafactory")["templates"])}
    return template | ({"dataset": "mllm_demo"} if setup.job.workload.images else {})


TARGET = tuner.target("llamafactory", program, tuners.LLAMAFACTORY_PURE)
