"""LLaMA-Factory: the YAML of `llamafactory-cli train` for one plan, DeepSpeed's JSON beside it.

Options: hiyouga/LLaMA-Factory src/llamafactory/hparams/*.py; variables of its launcher: launcher.py.
"""

from __future__ import annotations

from typing import Any

from planner.launch import seeing, tuner
from planner.launch.program import Program, Setup, Target, only_file
from planner.training.frameworks import tuners

SOURCE = "LLaMA-Factory hparams/parser.py"

TEMPLATES = {
    "qwen2-vl": "qwen2_vl",
    "qwen2.5-vl": "qwen2_vl",
    "qwen3-vl": "qwen3_vl_nothink",
    "qwen3.5": "qwen3_5",
    "gemma3": "gemma3",
    "glm-4.5v": "glm4_5v",
    "kimi-vl": "kimi_vl",
    "llama4": "llama4",
    "ministral-3": "ministral3",
    "mistral-small-3": "mistral_small",
}
"""Templates that put images into a conversation (data/template.py, extras/constants.py), by names of the catalogue."""


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
    template = {"template": seeing.called(setup.job.model, TEMPLATES)}
    return template | ({"dataset": "mllm_demo"} if setup.job.workload.images else {})


TARGET = Target(
    "llamafactory",
    "LLaMA-Factory",
    "llamafactory 0.9.5",
    tuner.rules(
        tuner.TRAINER,
        "llamafactory",
        "LLaMA-Factory",
        SOURCE,
        tuners.LLAMAFACTORY_PURE,
        seeing.named("llamafactory", "LLaMA-Factory", TEMPLATES, "LLaMA-Factory data/template.py"),
        seeing.adapted("llamafactory", "LLaMA-Factory", "LLaMA-Factory model/model_utils/visual.py", attention=True),
    ),
    program,
    only_file,
    "llamafactory.yaml for `llamafactory-cli train`, ds_config.json beside it",
    {"loss": ("eager", "linear"), "offload": ("optimizer", "parameters"), "attention": ("eager",)},
    "hf",
    seeing.ALL,
)
