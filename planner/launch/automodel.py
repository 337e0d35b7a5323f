"""NeMo Automodel: one YAML of its recipe for whole sequences, on FSDP 2.

Keys: NVIDIA-NeMo/Automodel examples/llm_finetune/*/*.yaml, nemo_automodel/recipes/llm/train_ft.py; of models that see
examples/vlm_finetune, recipes/vlm/finetune.py, recipes/_typed_config.py.
"""

from __future__ import annotations

from typing import Any

from planner.launch import seeing
from planner.launch.launchers.launcher import yaml_text
from planner.launch.program import ANYTHING, File, Program, Setup, Target, only_file
from planner.launch.trees import field_keys, nested
from planner.plan import Plan, Truth
from planner.read.format import find_format
from planner.training.frameworks import FRAMEWORK_RULES
from planner.training.job import Job
from planner.training.rule import Rule

CONFIG = "automodel.yaml"
SOURCE = "NeMo Automodel nemo_automodel/components/distributed"
SECTIONS = ("step_scheduler.", "model.", "distributed.", "packed_sequence.", "peft.", "loss_fn.")
PARTS = "nemo_automodel.components"

LOSSES = {
    "eager": f"{PARTS}.loss.masked_ce.MaskedCrossEntropy",
    "linear": f"{PARTS}.loss.linear_ce.FusedLinearCrossEntropy",
    "chunked": f"{PARTS}.loss.chunked_ce.ChunkedCrossEntropy",
}
"""Classes by our kernels of the loss."""

FIXED = {
    "recipe": "TrainFinetuneRecipeForNextTokenPrediction",
    "step_scheduler.max_steps": 20,
    "dist_env.backend": "nccl",
    "model._target_": "nemo_automodel.NeMoAutoModelForCausalLM.from_pretrained",
    "model.torch_dtype": "bf16",
    "distributed.strategy": "fsdp2",
    "dataset._target_": f"{PARTS}.datasets.llm.squad.make_squad_dataset",
    "dataset.dataset_name": "rajpurkar/squad",
    "dataset.split": "train",
    "dataloader._target_": "torchdata.stateful_dataloader.StatefulDataLoader",
    "dataloader.collate_fn": f"{PARTS}.datasets.utils.default_collater",
    "optimizer._target_": "torch.optim.AdamW",
    "optimizer.lr": 1.0e-5,
}
"""What no plan decides: the recipe, a short run, public data."""

UNSEEING = ("*lm_head*",)
VISION = ("*vision*", "*visual*", "*image_encoder*", "*multi_modal_projector*")
"""Modules without adapters: the head, and, where it is frozen, a tower with its projector."""


def program(setup: Setup) -> Program:
    """The recipe's module under torchrun with one file."""
    sees = setup.job.model.tower is not None
    settings = {name: value for name, value in FIXED.items() if not (sees and name.startswith("data"))}
    text = yaml_text((), nested(settings | keys(setup) | (images(setup) if sees else {})))
    data = "images and words drawn at random" if sees else "SQuAD, packed to whole sequences"
    note = f"the data are {data}: dataset and learning rate are yours"
    module = "vlm.finetune" if sees else "llm.train_ft"
    return Program(
        f"-m nemo_automodel.recipes.{module}", (("--config", CONFIG),), files=(File(CONFIG, text),), notes=(note,)
    )


def images(setup: Setup) -> dict[str, Any]:
    """The recipe of models that see, its mock data cut to the sequence, and a frozen tower."""
    work, tower = setup.job.workload, setup.job.model.tower
    side = (tower.image if tower else None) or work.image_size
    return {
        "recipe": "FinetuneRecipeForVLM",
        "model._target_": "nemo_automodel.NeMoAutoModelForImageTextToText.from_pretrained",
        "dataset._target_": f"{PARTS}.datasets.vlm.mock.build_mock_vlm_dataset",
        "dataset.num_samples": 20 * work.global_batch,
        "dataset.num_images_per_sample": work.images,
        "dataset.image_size": [side, side],
        "dataset.max_length": work.seq,
        "dataloader._target_": "torchdata.stateful_dataloader.StatefulDataLoader",
        "freeze_config.freeze_vision_tower": work.tower == "frozen",
    }


def keys(setup: Setup) -> dict[str, Any]:
    """What the plan sets, in the words of the format's table."""
    job, plan, work = setup.job, setup.plan, setup.job.workload
    fields = {"model": job.model.hf_id, "batch": work.global_batch, "b": plan.b, "seq": work.seq}
    fields |= {"tp": plan.tp, "sp": bool(plan.sp), "dp_replicate": plan.dp_replicate}
    fields |= {"loss_component": LOSSES[work.loss or "eager"]}
    fields |= {"recompute": "full"} if plan.recompute_layers else {}
    without = [*UNSEEING, *(VISION if job.model.tower and work.tower == "frozen" else ())]
    adapters = {"peft._target_": f"{PARTS}._peft.lora.PeftConfig", "peft.exclude_modules": without}
    fields, more = (fields | {"rank": work.lora_rank}, adapters) if job.lora else (fields, {})
    fields = {name: value for name, value in fields.items() if not (name == "seq" and job.model.tower)}
    return field_keys(find_format("automodel"), fields, SECTIONS) | more


def _tower(job: Job, plan: Plan) -> Truth:
    """Its freezing goes by names, of which a projector beside the tower has none."""
    frozen = job.model.tower is not None and job.workload.tower == "frozen"
    return not frozen or job.lora or seeing.whole_images(job.model)


RULES = (
    Rule(
        "automodel_states",
        lambda j, p: j.workload.optimizer == ("adam" if j.lora else "adam-bf16"),
        "Automodel's weights and moments are in bf16 (--optimizer adam-bf16; of adapters adam), not {optimizer}",
        "NeMo Automodel recipes/llm/train_ft.py",
    ),
    Rule(
        "automodel_method",
        lambda j, p: (j.workload.method in ("full", "lora")) & (j.workload.lora_targets == "all-linear"),
        "Automodel is written with whole weights or LoRA on all linear layers: not {method}",
        "NeMo Automodel components/_peft/lora.py",
    ),
    Rule(
        "automodel_precision",
        lambda j, p: (j.workload.precision == "bf16") & (j.model.hf_id is not None),
        "Automodel loads {model} from Hugging Face in bf16, not {precision}",
        SOURCE,
    ),
    *FRAMEWORK_RULES["automodel"],
    Rule(
        "automodel_tower",
        _tower,
        "freeze_vision_tower leaves the projector of {model} trained: --tower trained, or --method lora",
        "NeMo Automodel components/utils/model_utils.py (apply_parameter_freezing)",
    ),
)

TARGET = Target(
    "automodel",
    "NeMo Automodel",
    "Automodel 36044ad3 (2026-08-22) to 0.7.0",
    RULES,
    program,
    only_file,
    "a YAML of its fine-tuning recipe",
    {"loss": tuple(LOSSES), "dp_replicate": ANYTHING},
    preset="hf-fsdp",
    towers=("trained", "frozen"),
)
