"""Axolotl: the YAML of `axolotl train` for one plan, DeepSpeed's JSON beside it.

Options: axolotl-ai-cloud/axolotl src/axolotl/utils/schemas/*.py; several axes of parallelism: docs/nd_parallelism.qmd.
"""

from __future__ import annotations

from typing import Any

from planner.launch import seeing, tuner
from planner.launch.program import ANYTHING, Program, Setup, Target, only_file
from planner.launch.transformers import by_fsdp
from planner.training.frameworks import axolotl

SOURCE = "Axolotl utils/schemas/config.py"
LIGER = {"plugins": ["axolotl.integrations.liger.LigerPlugin"]}
"""What Liger's losses come from."""

TEMPLATES = {
    "qwen2-vl": "qwen2_vl",
    "qwen2.5-vl": "qwen2_vl",
    "qwen3-vl": "qwen2_vl",
    "qwen3.5": "qwen3_5",
    "gemma3": "gemma3",
    "glm-4.5v": "tokenizer_default",
    "llama4": "llama4",
}
"""Chat templates whose strategy masks what is not the answer (processing_strategies.py), by names of the catalogue;
Qwen3-VL's roles and images are marked as Qwen2-VL's."""

IMAGES = {
    "processor_type": "AutoProcessor",
    "skip_prepare_dataset": True,
    "remove_unused_columns": False,
    "sample_packing": False,
    "pad_to_sequence_len": False,
    "datasets": [{"path": "HuggingFaceH4/llava-instruct-mix-vsft", "type": "chat_template", "split": "train[:1%]"}],
}
"""What images need (docs/multimodal.qmd)."""

PROJECTOR_LEFT = (
    *("model.language_model", "lm_head", "model.visual.merger", "model.visual.deepstack_merger_list"),
    "model.multi_modal_projector",
)
"""Beginnings of the names of what is trained where the tower is not and its projector is (utils/freeze.py)."""


def program(setup: Setup) -> Program:
    """torchrun starts its module."""
    main = tuner.yaml_file("axolotl", config(setup))
    return Program(
        "-m axolotl.cli.train",
        ((main.name,),),
        files=(main, *tuner.engine_files(setup)),
        notes=(*tuner.notes(setup, "datasets"), *seeing.notes(setup), *untruncated(setup)),
    )


def config(setup: Setup) -> dict[str, Any]:
    """The whole file."""
    plan, loss = setup.plan, setup.job.workload.loss
    sharded = {"dp_shard": plan.dp // plan.dp_replicate} if plan.tp * plan.cp * plan.dp_replicate > 1 else {}
    found = tuner.fields(setup) | tuner.shared(setup) | sharded
    found |= {"method": "lora"} if found["bits"] == 8 else {}
    options = tuner.written("axolotl", found) | (LIGER if loss in ("linear", "fused") else {})
    options |= {"ring_attn_func": "batch_ring"} if plan.cp > 1 else {}
    return options | images(setup) | (fsdp(setup) if by_fsdp(setup) else {})


def images(setup: Setup) -> dict[str, Any]:
    """What is trained of a tower, and, of images, how large they are and what they need."""
    work, model = setup.job.workload, setup.job.model
    if model.tower is None:
        return {}
    part: dict[str, dict[str, Any]] = {
        "frozen": {"freeze_mm_modules": True},
        "projector": {"unfrozen_parameters": list(PROJECTOR_LEFT)},
    }
    found = part.get(work.tower, {})
    if not work.images:
        return found
    size = {} if seeing.pixels(setup) is None else {"image_size": work.image_size}
    return found | {"chat_template": seeing.called(model, TEMPLATES)} | size | IMAGES


def untruncated(setup: Setup) -> tuple[str, ...]:
    """What becomes of sequences with images."""
    return ("samples with images are neither cut nor padded to sequence_len",) if setup.job.workload.images else ()


def fsdp(setup: Setup) -> dict[str, Any]:
    """FSDP 2: weights are given back behind the forward pass under ZeRO-3."""
    away = {"offload_params": True} if setup.job.workload.offload == "parameters" else {}
    policy = {"auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "state_dict_type": "FULL_STATE_DICT"}
    return {"fsdp_version": 2, "fsdp_config": {"reshard_after_forward": bool(setup.plan.zero == 3), **away, **policy}}


TARGET = Target(
    "axolotl",
    "Axolotl",
    "axolotl 0.19.0",
    tuner.rules(
        [name for name in tuner.TRAINER if name != "hf_parallelism"],
        "axolotl",
        "Axolotl",
        SOURCE,
        axolotl.MASTERS,
        *axolotl.PARALLELISM,
        seeing.named("axolotl", "Axolotl", TEMPLATES, "Axolotl processing_strategies.py"),
        seeing.adapted("axolotl", "Axolotl", "Axolotl train.py, utils/freeze.py", attention=True),
    ),
    program,
    only_file,
    "axolotl.yaml, ds_config.json beside it",
    {
        "loss": ("eager", "linear", "fused", "chunked"),
        "offload": ("optimizer", "parameters"),
        "dp_replicate": ANYTHING,
        "attention": ("eager",),
    },
    "hf",
    seeing.ALL,
)
