"""torchtune: the YAML of `tune run` for one plan, for its recipes of full and LoRA fine-tuning.

Keys: pytorch/torchtune recipes/*.py and recipes/configs/*; builders: torchtune/models/*/__init__.py. A recipe of one
device is another program than that of several, which share all states by FSDP.
"""

from __future__ import annotations

from typing import Any

from planner.launch import tuner
from planner.launch.program import Program, Setup, Target, only_file
from planner.plan import Plan, Truth
from planner.schema.model import Model
from planner.training.frameworks.deepspeed import whole_recompute
from planner.training.job import Job
from planner.training.rule import Rule

SOURCE = "torchtune recipes/full_finetune_distributed.py"
MODELS = "torchtune models/*/__init__.py"
MAIN = "torchtune"

FAMILIES = {
    "llama2": ("7b 13b 70b", "llama2", "LLAMA2"),
    "llama3": ("8b 70b", "llama3", "LLAMA3"),
    "llama3.1": ("8b 70b 405b", "llama3", "LLAMA3"),
    "llama3.2": ("1b 3b", "llama3", "LLAMA3"),
    "llama3.3": ("70b", "llama3", "LLAMA3"),
    "gemma": ("2b 7b", "gemma", "GEMMA"),
    "gemma2": ("2b 9b 27b", "gemma", "GEMMA2"),
    "mistral": ("7b", "mistral", "MISTRAL"),
}
"""Models that torchtune builds, by the catalogue's name: sizes, package of the tokenizer, type of the checkpoint."""


def has_builder(model: Model) -> bool:
    """Whether torchtune builds it."""
    family, _, size = model.name.partition("-")
    return family in FAMILIES and size in FAMILIES[family][0].split()


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
    _, package, kind = FAMILIES[model.name.partition("-")[0]]
    directory = f"/tmp/{(model.hf_id or model.name).rpartition('/')[2]}"
    return {
        "tokenizer._component_": f"torchtune.models.{package}.{package}_tokenizer",
        "tokenizer.path": f"{directory}/tokenizer.model",
        "checkpointer._component_": "torchtune.training.FullModelHFCheckpointer",
        "checkpointer.checkpoint_dir": directory,
        "checkpointer.checkpoint_files": ["model.safetensors"],
        "checkpointer.output_dir": "/tmp/torchtune",
        "checkpointer.model_type": kind,
    }


def _states(job: Job, plan: Plan) -> Truth:
    name = job.workload.optimizer
    own = name != ("adam-bf16" if job.lora else "adam")
    return own and (job.cluster.gpus == 1 or not name.startswith(("adam-8bit", "adam-paged")))


def _offload(job: Job, plan: Plan) -> Truth:
    kept = {"none": True, "parameters": job.cluster.gpus > 1, "activations": plan.recompute_layers > 0}
    return kept.get(job.workload.offload, False)


TARGET = Target(
    "torchtune",
    "torchtune",
    "torchtune 0.6.1",
    tuner.rules(
        (),
        MAIN,
        "torchtune",
        SOURCE,
        Rule("torchtune_model", lambda j, p: has_builder(j.model), "torchtune has no builder for {model}", MODELS),
        Rule(
            "torchtune_parallelism",
            lambda j, p: (p.tp == 1) & (p.cp == 1) & (p.pp == 1) & (p.ep == 1) & (p.dp_replicate == 1),
            "its recipes are written with FSDP alone: tp={tp}, cp={cp}, pp={pp}, ep={ep} copies={dp_replicate} have to "
            "be 1",
            SOURCE,
        ),
        Rule(
            "torchtune_zero",
            lambda j, p: (p.zero >= 2) | (j.cluster.gpus == 1),
            "its recipes shard states with FSDP: zero is 2 or 3, not {zero}",
            SOURCE,
        ),
        Rule(
            "torchtune_recompute",
            whole_recompute,
            "enable_activation_checkpointing recomputes every layer or none, not k={recompute_layers} nor some modules",
            SOURCE,
        ),
        Rule(
            "torchtune_states",
            _states,
            "weights and states are in bf16 (--optimizer adam-bf16), adapters have adam, and 8-bit or paged states are "
            "for one GPU: not {optimizer} with {method} on {gpus}",
            SOURCE,
        ),
        Rule(
            "torchtune_offload",
            _offload,
            "torchtune offloads activations that are recomputed, or under FSDP all states and weights: not {offload}",
            SOURCE,
        ),
        Rule(
            "torchtune_base",
            lambda j, p: j.workload.method != "qlora" or j.workload.base == "nf4",
            "its QLoRA keeps the base in nf4, not {base}",
            MODELS,
        ),
    ),
    program,
    only_file,
    "torchtune.yaml for `tune run`",
    {"loss": ("eager", "chunked"), "offload": ("parameters", "activations")},
    "hf-fsdp",
)
