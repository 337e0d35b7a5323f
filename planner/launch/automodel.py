"""NeMo Automodel: one YAML of its recipe for whole sequences, on FSDP 2.

Keys: NVIDIA-NeMo/Automodel examples/llm_finetune/*/*.yaml, nemo_automodel/recipes/llm/train_ft.py; of models that see
examples/vlm_finetune, recipes/vlm/finetune.py, recipes/_typed_config.py.
"""

from __future__ import annotations

from typing import Any

from planner.launch import seeing
from planner.launch.described import part, table, target
from planner.launch.launchers.launcher import yaml_text
from planner.launch.program import File, Program, Setup
from planner.launch.trees import field_keys, nested
from planner.read.format import find_format

CONFIG = "automodel.yaml"
TABLE = table("automodel")
SECTIONS = ("step_scheduler.", "model.", "distributed.", "packed_sequence.", "peft.", "loss_fn.")


def program(setup: Setup) -> Program:
    """The recipe's module under torchrun with one file."""
    sees = setup.job.model.tower is not None
    settings = {name: value for name, value in TABLE["fixed"].items() if not (sees and name.startswith("data"))}
    text = yaml_text((), nested(settings | keys(setup) | (images(setup) if sees else {})))
    data = "images and words drawn at random" if sees else "SQuAD, packed to whole sequences"
    note = f"the data are {data}: dataset and learning rate are yours"
    module = "vlm.finetune" if sees else "llm.train_ft"
    return Program(
        f"-m nemo_automodel.recipes.{module}", (("--config", CONFIG),), files=(File(CONFIG, text),), notes=(note,)
    )


def images(setup: Setup) -> dict[str, Any]:
    """The recipe of models that see, its mock data cut to the sequence, and a frozen tower."""
    tower = setup.job.model.tower
    side = (tower.image if tower else None) or setup.job.workload.image_size
    return {**TABLE["seeing"], **part("automodel", "mock", setup, side=side)}


def keys(setup: Setup) -> dict[str, Any]:
    """What the plan sets, in the words of the format's table."""
    job = setup.job
    fields = part("automodel", "fields", setup, losses=TABLE["losses"])
    frozen = job.model.tower and job.workload.tower == "frozen"
    without = [*TABLE["unseeing"], *(TABLE["vision"] if frozen else ())]
    adapters = {"peft._target_": "nemo_automodel.components._peft.lora.PeftConfig", "peft.exclude_modules": without}
    return field_keys(find_format("automodel"), fields, SECTIONS) | (adapters if job.lora else {})


TARGET = target("automodel", program, whole_images=seeing.whole_images)
