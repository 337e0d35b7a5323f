"""Primus: AMD's YAML for Megatron-LM, in whose overrides stand all of a plan's options.

Keys: AMD-AGI/Primus primus/configs/models/megatron/language_model.yaml, modules/megatron/pre_trainer.yaml, whose
defaults are not Megatron-LM's own; what is started: primus/cli/main.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.launch import megatron
from planner.launch.described import target
from planner.launch.launchers.launcher import yaml_text
from planner.launch.program import File, Program, Setup
from planner.launch.trees import megatron_keys
from planner.read.format import find_format

CONFIG = "primus.yaml"


def program(setup: Setup) -> Program:
    """The trainer of Primus with one file."""
    own = megatron.program(setup)
    text = yaml_text((), config(setup, own))
    flags = (("train", "pretrain"), ("--config", CONFIG))
    return replace(own, script="primus/cli/main.py", flags=flags, files=(File(CONFIG, text),))


def config(setup: Setup, own: Program) -> dict[str, Any]:
    """One module, whose base is the plainest language model."""
    trainer = {
        "framework": "megatron",
        "config": "pre_trainer.yaml",
        "model": "language_model.yaml",
        "overrides": megatron_keys(own.flags, find_format("primus")),
    }
    names = {"work_group": "planner", "user_name": "planner", "exp_name": setup.job.model.name}
    return {**names, "workspace": "./output", "modules": {"pre_trainer": trainer}}


TARGET = target("primus", program, megatron.TARGET.rules)
