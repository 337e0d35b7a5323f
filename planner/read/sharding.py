"""How a Hugging Face job shares its states: by DeepSpeed's JSON, FSDP 1 or 2, Accelerate's file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from planner.catalog.yamlfile import table
from planner.errors import PlannerError
from planner.read.deepspeed import read_deepspeed
from planner.read.job import WORDS, Job, truth
from planner.read.reading import Reading
from planner.read.tree import BESIDE, NOT_BESIDE, Beside, Leaf, Tree, read_tree, scalar

SHIPPED = re.compile(
    r"(?:(?:.*/)?examples/deepspeed/ds_z|(?:.*/)?deepspeed_configs/zero|(?!.*json)zero)(?P<stage>[0-3])(?P<off>_offload)?"
    r"(?:_autotp|_fp8)?(?:_bf16)?(?:_torch_compile)?(?P<cpu>_cpuoffload_(?:all|params))?(?:_config)?(?:\.json)?"
)
"""Names of the DeepSpeed configurations that LLaMA-Factory (examples/deepspeed), axolotl (deepspeed_configs) and
ms-swift (swift/config) ship, where the file itself is not at hand. All leave batch and precision to the trainer."""

SHIPS = table("read", "shipped.yaml")
EXAMPLES = re.compile(r"(?:.*/)?accelerate_configs/(?:deepspeed_)?(\w+)\.ya?ml")
"""Files that TRL (examples/accelerate_configs), the alignment handbook and Open R1 (recipes/...) keep."""

TAKEN = "taken as the framework ships it"


def accelerate_tree(name: str, beside: Beside) -> Tree:
    """A configuration of `accelerate launch`, by file or by TRL's name for one.

    Raises:
        PlannerError: it is neither beside the script nor one of TRL's.
    """
    kept = EXAMPLES.fullmatch(name) if beside(name) is None else None
    short = SHIPS["also"].get(kept[1], kept[1]) if kept else name
    if short in SHIPS["accelerate"]:
        where = f"{name:.80} is not beside the script: {TAKEN}" if kept else name
        return Tree({key: Leaf(value, 0, key) for key, value in SHIPS["accelerate"][short].items()}, where)
    return read_tree(found(name, beside, "--config_file"), name, beside).flat()


def found(name: str, beside: Beside, option: str) -> str:
    """The text of a file that a job is nothing without.

    Raises:
        PlannerError: it is not there.
    """
    text = beside(name)
    if text is None:
        raise PlannerError(f"{option} {name:.80}: {NOT_BESIDE}", BESIDE)
    return text


def engine(job: Job, tree: Tree, beside: Beside, world: int) -> Reading | None:
    """What a DeepSpeed configuration says, by file, by the name it is shipped under, or written into the job.

    Raises:
        PlannerError: it is named, not there, and no framework ships one of that name.
    """
    inner = tree.under("deepspeed")
    if inner.leaves:
        return read_deepspeed(json.dumps(nested(inner)), world)
    leaf = job.said.get("deepspeed")
    if leaf is None or not truth(leaf) or leaf.value is True:
        return None
    name = str(leaf.value)
    if name.lstrip().startswith("{"):
        return read_deepspeed(name, world)
    text = beside(name)
    if text is None and (shipped := SHIPPED.fullmatch(name)):
        text = _shipped(shipped)
        job.notes.append(f"{leaf.key} {name:.80} is not beside the file: {TAKEN}")
    return read_deepspeed(text if text is not None else found(name, beside, leaf.key), world)


def _shipped(name: re.Match[str]) -> str:
    zero: dict[str, Any] = {"stage": int(name["stage"])}
    if name["off"] or name["cpu"] == "_cpuoffload_all":
        zero["offload_optimizer"] = {"device": "cpu"}
    if name["cpu"] or (name["off"] and name["stage"] == "3"):
        zero["offload_param"] = {"device": "cpu"}
    return json.dumps({"zero_optimization": zero, "bf16": {"enabled": "auto"}, "fp16": {"enabled": "auto"}})


def nested(tree: Tree) -> dict[str, Any]:
    """A flat tree as the mapping that it was."""
    top: dict[str, Any] = {}
    for path, leaf in tree.leaves.items():
        *sections, name = path.split(".")
        here = top
        for section in sections:
            inner = here.setdefault(section, {})
            here = inner if isinstance(inner, dict) else {}
        here[name] = leaf.value
    return top


def fully_sharded(job: Job, tree: Tree, beside: Beside, nodes: int) -> dict[str, int] | None:
    """The ZeRO stage, and replicas, that FSDP amounts to; None where it is off.

    FSDP 1 names a strategy (full_shard where it is silent); FSDP 2 gives weights back after the forward pass or not
    (transformers TrainingArguments.fsdp, Accelerate FullyShardedDataParallelPlugin).
    """
    _from_file(job, tree, beside)
    word, on = job.said.get("fsdp"), "sharding" in job.said or "fsdp_version" in job.said
    if word is not None:
        if not truth(word) or word.value == []:
            return None
        _options(job, word)
        on = True
    if not on and job.get("engine") != "fsdp" and "reshard" not in job.said:
        return None
    if job.get("engine") in ("deepspeed", "ddp"):
        return None
    version = job.get("fsdp_version") or (2 if job.get("reshard") is not None and "sharding" not in job.values else 1)
    stage: Any = job.get("sharding", 3)
    if version == 2 and "sharding" not in job.said:
        stage = 2 if job.get("reshard") is False else 3
    return {"zero": 3, "dp_replicate": nodes} if stage == "hybrid" else {"zero": int(stage)}


def _options(job: Job, word: Leaf) -> None:
    """ "full_shard auto_wrap offload", as a text or a list."""
    text = " ".join(map(str, word.value)) if isinstance(word.value, list) else str(word.value)
    lowered = text.lower()
    if "offload" in lowered.split():
        job.values["offload"], job.said["offload"] = "parameters", word
    meaning = next((value for pattern, value in WORDS["sharding"] if re.fullmatch(pattern, lowered)), None)
    if meaning is not None and "sharding" not in job.said and job.get("fsdp_version") != 2 and lowered != "true":
        job.values["sharding"] = meaning


def _from_file(job: Job, tree: Tree, beside: Callable[[str], str | None]) -> None:
    """Values of an `fsdp_config` that is a file of its own, or JSON within the command."""
    leaf = tree.leaves.get("fsdp_config")
    if leaf is None or not isinstance(leaf.value, str):
        return
    text = leaf.value if leaf.value.lstrip().startswith("{") else found(leaf.value, beside, leaf.key)
    for path, inner in read_tree(text, leaf.value).leaves.items():
        name = path.removeprefix("fsdp_")
        if name in ("reshard_after_forward", "version", "activation_checkpointing"):
            target = {"reshard_after_forward": "reshard", "version": "fsdp_version"}.get(name, "recompute")
            value = scalar(str(inner.value)) if target != "recompute" else "full" if truth(inner) else "none"
            job.values[target], job.said[target] = value, inner
