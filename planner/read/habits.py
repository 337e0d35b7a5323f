"""What a framework does with its keys beyond a table: sums of lengths, names of builders, one engine or another."""

from __future__ import annotations

import re
from collections.abc import Callable

from planner.catalog.recipes import recipe_spelled
from planner.read.job import BOTH, Job, truth
from planner.read.megatron_facts import SETTINGS
from planner.read.tree import Tree
from planner.units import whole_number

CALLED = {"phi4_14b": "phi-4", "llama4_scout_17b_16e": "llama4-scout", "llama4_maverick_17b_128e": "llama4-maverick"}
"""Builders of torchtune whose models the catalogue calls otherwise."""


LOSSES = (
    (r"linearcrossentropy|fusedlinear|fused_linear|cut_", "linear"),
    (r"chunked", "chunked"),
    (r"maskedcrossentropy", "eager"),
)
"""Kernels of the loss by the names of torchtune's and Automodel's classes."""


def torchtune(job: Job, tree: Tree) -> None:
    """Model and method are in the builder's name: lora_llama3_1_8b; qlora is a 4-bit base."""
    name = str(job.get("component", "")).rpartition(".")[2]
    found = re.fullmatch(r"(?:(q?lora|dora)_)?(\w+?)(?:_(?:instruct|base))?", name)
    if found is None or "component" not in job.said:
        return
    leaf = job.said["component"]
    if found[1]:
        job.values |= {"method": "lora", **({"bits": 4} if found[1] == "qlora" else {})}
        job.said |= {"method": leaf} | ({"bits": leaf} if found[1] == "qlora" else {})
    job.values["model"], job.said["model"] = CALLED.get(found[2], found[2]), leaf
    if "rank" not in job.said and found[1]:
        job.values["rank"] = 8
    if found[1]:
        adapted(job, tree)
    chunked(job, tree)
    trainer(job, tree)


def adapted(job: Job, tree: Tree) -> None:
    """Layers with adapters: torchtune names those of the attention, and the feed-forward's by a switch."""
    places, mlp = (tree.leaves.get(f"model.{name}") for name in ("lora_attn_modules", "apply_lora_to_mlp"))
    if places is None or mlp is None:
        return
    names = frozenset(map(str, places.value)) if isinstance(places.value, list) else frozenset()
    attention = names in (ATTENTION_HERE, frozenset())
    known = {(True, True): "all-linear", (True, False): "attention", (False, True): "mlp"}
    job.values["targets"] = known.get((bool(names), truth(mlp))) if attention else None
    if job.values["targets"] is None:
        job.name(places, BOTH, "adapters are weighed and timed on every linear layer")


ATTENTION_HERE = frozenset({"q_proj", "k_proj", "v_proj", "output_proj"})


def chunked(job: Job, tree: Tree) -> None:
    """Losses that never hold all logits."""
    name = str(job.get("loss_component", "")).lower()
    found = next((kind for pattern, kind in LOSSES if re.search(pattern, name)), None)
    if found:
        job.values["loss"], job.said["loss"] = found, job.said["loss_component"]


MEGATRON_KEYS = (
    *("actor_rollout_ref.actor.megatron.", "engine.use_distributed_optimizer"),
    "engine.override_transformer_config.",
)
MEGATRON_ALONE = ("tp", "pp", "v", "ep", "etp", "sp")
"""Fields that verl's FSDP engine has no key for."""

GRANULARITY = "override_transformer_config.recompute_granularity"


def reinforcement(job: Job, tree: Tree) -> None:
    """Sequences are prompt and response; a step takes a mini-batch of prompts, each sampled n times."""
    if job.get("prompt") and job.get("response"):
        job.values["seq"] = job.get("prompt") + job.get("response")
    mini = tree.leaves.get("actor_rollout_ref.actor.ppo_mini_batch_size")
    if mini is not None and (prompts := whole_number(str(mini.value))) is not None:
        job.values["batch"], job.said["batch"] = prompts * (job.get("rollouts") or 1), mini
    elif usual := job.format.defaults.get("batch") if "actor_rollout_ref.model.path" in tree else None:
        job.values["batch"] = min(job.get("batch"), usual) * (job.get("rollouts") or 1)
    if tree.get("engine") == "megatron" or any(key.startswith(MEGATRON_KEYS) for key in tree.leaves):
        again = str(next((leaf.value for key, leaf in tree.leaves.items() if key.endswith(GRANULARITY)), "none"))
        sharded = job.get("dist", True) in (True, "true", "True")
        job.values |= {"zero": int(sharded), "recompute": again, "sp": job.get("sp", True)}
        if job.get("narrow"):
            said = {"fp8-recipe": str(job.get("narrow_recipe", "delayed"))}
            job.values["precision"] = recipe_spelled("megatron", said) or "bf16"
    elif job.format.name == "verl":
        job.values["closed"] = MEGATRON_ALONE


def nemo_rl(job: Job, tree: Tree) -> None:
    """policy.megatron_cfg instead of policy.dtensor_cfg where it is enabled."""
    part = tree.under("policy.megatron_cfg")
    if "enabled" not in part or not truth(part.leaves["enabled"]):
        return
    for name in ("tp", "pp", "cp", "ep", "etp"):
        key = SETTINGS[name].replace("-", "_")
        value = part.get(key)
        if isinstance(value, int):
            job.values[name], job.said[name] = value, part.leaves[key]
    on = part.get("activation_checkpointing") is True
    job.values |= {"zero": 1, "recompute": str(part.get("recompute_granularity", "full")) if on else "none"}
    job.values["sp"] = part.get("sequence_parallel") is True
    if part.get("optimizer.optimizer_cpu_offload") is True:
        job.values["offload"] = "optimizer"


def foundry(job: Job, tree: Tree) -> None:
    """FSDP is on where its section is there."""
    if any(key.startswith("fsdp_config.") for key in tree.leaves):
        job.values["engine"] = "fsdp"


def nanotron(job: Job, tree: Tree) -> None:
    """Reduce-scatter is sequence parallelism."""
    job.values["sp"] = str(job.get("tp_mode", "")).upper() == "REDUCE_SCATTER"


EVALUATION = ("per_device_eval_batch_size", "eval_batch_size", "batch_size_val")
SWITCHES = (
    *("eval_strategy", "evaluation_strategy", "do_eval", "evals_per_epoch", "run_val_every_n_steps"),
    *("eval_steps", "val_size", "val_set_size"),
)


def trainer(job: Job, tree: Tree) -> None:
    """Evaluation holds the logits of a batch of its own. Unsloth loads experts in four bits, too."""
    if "unsloth" in tree:
        job.values["quantize_experts"] = True
    again = job.said.get("recompute")
    if again is not None and str(again.value).lower().startswith(("unsloth", "offload")) and "offload" not in job.said:
        job.values["offload"] = "activations"
    leaves = {path.lstrip("-").rpartition(".")[2].replace("-", "_"): leaf for path, leaf in tree.leaves.items()}
    on = [leaf for name in SWITCHES if (leaf := leaves.get(name)) is not None and truth(leaf) and leaf.value != "no"]
    said = next((leaves[name] for name in EVALUATION if name in leaves), None)
    batch = whole_number(str(said.value)) or 0 if said is not None else 0
    if said is not None and (on or job.format.name == "axolotl") and batch > job.get("b", 1):
        job.name(said, ("memory",), "logits of evaluation, at a larger batch than training has, are not weighed")


TE_RECIPES = {"current": "fp8-current", "block": "fp8-blockwise", "mxfp8": "mxfp8"}
"""Recipes by `te_fp8.recipe` of Automodel's BackendConfig (components/models/common/utils.py)."""


def automodel(job: Job, tree: Tree) -> None:
    """Packed sequences are one row of several documents; torchao's float8 is scaled per tensor unless told.

    Models of its own, which take a BackendConfig, are timed as such. A pipeline cuts the local batch.
    """
    packed = tree.leaves.get("packed_sequence.packed_sequence_size")
    if packed is not None and truth(packed):
        job.name(packed, ("time",), "every sequence is timed as one document")
    if job.get("narrow"):
        narrow = recipe_spelled("torchtitan", ("quantize.linear.float8", job.get("narrow_recipe", "tensorwise")))
        job.values |= {"precision": narrow or "bf16", "fp8_param_gather": job.get("narrow_gathered") is True}
    if (found := TE_RECIPES.get(str(job.get("te_recipe")))) is not None:
        job.values["precision"] = found
    if tree.under("model.backend").leaves:
        job.values["timed_as"] = "nemo-automodel"
    if "pp" in job.said and job.get("pp") == 1:
        job.not_modelled = [one for one in job.not_modelled if not one.option.startswith("distributed.pipeline.")]
    elif "pipeline_b" in job.said and job.get("pp", 1) > 1:
        job.values["b"], job.said["b"] = whole_number(str(job.get("pipeline_b"))) or 1, job.said["pipeline_b"]
    chunked(job, tree)


def neox(job: Job, tree: Tree) -> None:
    """Attention stores its scores unless every layer has flash (neox_arguments/arguments.py, attention_config)."""
    leaf = tree.leaves.get("attention_config")
    words = set(re.findall(r"[a-z_]+", str(leaf.value).lower())) - {"all"} if leaf is not None else {"global"}
    job.values["attention"] = "flash" if words == {"flash"} else "unfused"
    if leaf is not None and words <= {"flash", "global"} and len(words) == 1:
        job.not_modelled = [one for one in job.not_modelled if one.option != leaf.key]


ROLLOUTS = ("num_generations", "max_completion_length", "max_new_tokens", "response_length")

GROUPS, LENGTHS = ("num_generations", "max_completion_length"), ("max_prompt_length", "max_completion_length")
ROLLOUT, OWN_LENGTHS = 512, ("a prompt, as TRL cut them until 0.26", "an answer, TRL's default")
"""Where a file does not say (trainer/grpo_config.py): prompts are as long as they are since."""


def sampled(job: Job, tree: Tree) -> None:
    """Trainers that sample have lengths of prompt and answer, whose sum is a sequence.

    `trl` loads weights in fp32 where nothing says (trainer/model_config.py); a model made in Python has its own format.
    """
    if "seq" not in job.said and any(one in tree for one in ROLLOUTS):
        lengths = [whole_number(str(tree.get(name))) for name in LENGTHS] if any(one in tree for one in GROUPS) else []
        job.values["seq"] = sum(one or ROLLOUT for one in lengths) or None
        taken = [what for one, what in zip(lengths, OWN_LENGTHS, strict=False) if not one]
        job.notes += [f"{ROLLOUT} tokens of {what}: --seq sets prompt and answer" for what in taken]
    if "pure16" not in job.said and "trl_trainer" not in tree and "method" in job.said:
        job.values["pure16"] = False
        job.notes.append("weights are loaded in fp32, TRL's default: --dtype bfloat16 halves the frozen ones")
    trainer(job, tree)


MEGATRON = ("tp", "pp", "cp", "ep", "sp", "zero")


def factory(job: Job, tree: Tree) -> None:
    """With Megatron-Core behind it (USE_MCA=1) layers are recomputed by its own option only."""
    if job.said.keys() & set(MEGATRON) and "recompute" not in job.said:
        job.values["recompute"] = "none"
    trainer(job, tree)


def factory_v1(job: Job, tree: Tree) -> None:
    """Weights and moments stay as loaded, in 16 bit, but under DeepSpeed."""
    if job.get("engine") == "deepspeed":
        job.values["pure"] = False


def axolotl(job: Job, tree: Tree) -> None:
    """Cut Cross-Entropy is on where its plugin is named (integrations/cut_cross_entropy/args.py)."""
    plugins = tree.leaves.get("plugins")
    if plugins is not None and "CutCrossEntropy" in str(plugins.value) and tree.get("cut_cross_entropy") is not False:
        job.values["loss"], job.said["loss"] = "linear", plugins
    if "ep" in job.said and job.get("ep") > 1:
        job.name(job.said["ep"], ("memory",), "what is no expert is weighed as shared over these ranks too")
    trainer(job, tree)


HABITS: dict[str, Callable[[Job, Tree], None]] = {
    **dict.fromkeys(("transformers", "swift"), trainer),
    "trl": sampled,
    "llamafactory": factory,
    "llamafactory-v1": factory_v1,
    "axolotl": axolotl,
    "torchtune": torchtune,
    "automodel": automodel,
    "verl": reinforcement,
    "openrlhf": reinforcement,
    "nemo-rl": nemo_rl,
    "foundry": foundry,
    "neox": neox,
    "nanotron": nanotron,
}
"""By format."""
