"""torchtune: the YAML of `tune run` for one plan, for its recipes of full and LoRA fine-tuning.

Keys: pytorch/torchtune recipes/*.py and recipes/configs/*; builders: torchtune/models/*/__init__.py. A recipe of one
device is another program than that of several, which share all states by FSDP.
"""

from __future__ import annotations

from typing import Any

from planner.catalog.expressions import rows
from planner.launch import tuner
from planner.launch.described import table
from planner.launch.program import Program, Setup
from planner.schema.model import Model
from planner.training.frameworks.deepspeed import whole_recompute

MAIN = "torchtune"


def has_builder(model: Model) -> bool:
    """Whether torchtune builds it."""
    family, _, size = model.name.partition("-")
    return size in table(MAIN)["families"].get(family, [""])[0].split()


def component(setup: Setup) -> str:
    """ "torchtune.models.llama3_1.lora_llama3_1_8b"."""
    family, _, size = setup.job.model.name.replace(".", "_").partition("-")
    method = setup.job.workload.method
    return f"torchtune.models.{family}.{'' if method == 'full' else f'{method}_'}{family}_{size}"


def recipe(setup: Setup) -> str:
    """The program."""
    kind = "lora" if setup.job.lora else "full"
    return f"{kind}_finetune_{'single_device' if setup.job.cluster.gpus == 1 else 'distributed'}"


def program(setup: Setup) -> Program:
    """`tune run` in the place of torchrun."""
    main = tuner.yaml_file(MAIN, config(setup))
    files = "the dataset, paths of tokenizer and checkpoint and the names of its files"
    return Program(
        f"tune run {recipe(setup)}", (("--config", main.name),), files=(main,), notes=tuner.notes(setup, files)
    )


def config(setup: Setup) -> dict[str, Any]:
    """The whole file."""
    work = setup.job.workload
    found = tuner.fields(setup) | {
        "component": component(setup),
        "loss_component": work.loss or "eager",
        "offload": None if work.offload == "none" else work.offload,
        "reshard": False if setup.plan.zero == 2 else None,
        **dict.fromkeys(("method", "attention", "loss", "targets", "bits")),
    }
    options = tuner.written(MAIN, found, places(setup) | checkpoint(setup.job.model))
    return {name: component_first(value) if isinstance(value, dict) else value for name, value in options.items()}


def component_first(section: dict[str, Any]) -> dict[str, Any]:
    """What a section makes, before how."""
    return dict(sorted(section.items(), key=lambda item: item[0] != "_component_"))


def places(setup: Setup) -> dict[str, Any]:
    """Layers with adapters."""
    targets = setup.job.workload.lora_targets
    attention = [] if targets == "mlp" else ["q_proj", "k_proj", "v_proj", "output_proj"]
    said = {"model.lora_attn_modules": attention, "model.apply_lora_to_mlp": targets != "attention"}
    return said if setup.job.lora else {}


def checkpoint(model: Model) -> dict[str, Any]:
    """What `tune download` fetches, and what reads it."""
    package, kind = table(MAIN)["families"][model.name.partition("-")[0]][1:]
    directory = f"/tmp/{(model.hf_id or model.name).rpartition('/')[2]}"
    return dict(rows(table(MAIN)["checkpoint"], {"package": package, "kind": kind, "directory": directory}))


TARGET = tuner.target(MAIN, program, has_builder=has_builder, whole_recompute=whole_recompute)
