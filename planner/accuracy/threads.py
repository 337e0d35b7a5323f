"""Verdicts that people report in issue threads, as rows of the common format: what ran, and what ran out of memory.

A table of its own (oom_cases.csv): which repository's thread, shape, layout, `outcome` (fits, oom), whether the text
was read (`verified`: text) and states enough (`scorable`: y). Where a thread does not say, nothing is recomputed (in
LLaMA-Factory all is, its default), and a step has as many micro-batches as the pipeline stages.
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.accuracy.mapping import published, renamed

Row = dict[str, str]

_TRAINERS = ("HF Trainer", "litgpt", "Transformers + DeepSpeed")
_UNGATED = ("gpt", "falcon", "phi")


def threads(row: Row) -> Iterator[Row]:
    """The verdict of one thread; BLOOM's log is in other files."""
    repository, kind, told = row["source(repo#n)"], row["precision"], published("threads")
    common = renamed("threads", row) | {"id": f"thread-{row['id']}"}
    if row["verified"] != "text" or row["scorable"] != "y" or "tr11" in repository:
        yield common | {"metric": "unusable: not read, says too little, or BLOOM's", "value": ""}
        return
    stack = next(name for begins, name in told["stacks"] if repository.startswith(begins))
    recompute, _, modules = row["recompute"].partition(":")
    away, batch = recompute.endswith("+offload"), row["mbs"] or "1"
    kept = "full" if "LlamaFactory" in repository else "none"
    shared = int(row["n_gpus"]) // (int(row["tp"]) * int(row["cp"] or 1))
    yield (
        common
        | _tuned(kind, stack, repository)
        | {
            "source": repository,
            "model": told["models"].get(row["model"], row["model"]),
            "gated_mlp": "no" if row["model"].startswith(_UNGATED) else "yes",
            "gpu": told["gpus"].get(row["gpu"], row["gpu"]).format(row["gpu_mem_gb"]),
            "gpus_per_node": "4" if row["gpu"] == "V100" and stack == "Megatron-DeepSpeed" else "",
            "micro_batch": batch,
            "global_batch": row["gbs"] or str(int(batch) * shared),
            "recompute": recompute.removesuffix("+offload").removesuffix("-op") or kept,
            "recompute_modules": modules,
            "offload": "activations" if away else "",
            "flash_attention": "no" if row["flash"] == "0" else "yes",
            "precision": told["formats"].get(kind, "bf16"),
            "framework": stack,
            "value": row["outcome"],
        }
    )


def _tuned(kind: str, stack: str, repository: str) -> Row:
    """Optimizer, method and loss of a trainer: states in 16 bit unless they are said to be mixed, LoRA of rank 8."""
    if stack not in _TRAINERS:
        return {}
    found = {"optimizer": "adam" if "mixed" in kind else "adam-bf16"}
    if "8bit" in kind:
        found["optimizer"] = "adam-8bit"
    if "LoRA" in kind:
        found |= {"method": "qlora" if "nf4" in kind else "lora", "lora_rank": "8", "lora_targets": "attention"}
    if repository.startswith("huggingface/trl"):
        found["loss"] = "linear"
    return found | ({"tied_embeddings": "no"} if stack == "litgpt" else {})
