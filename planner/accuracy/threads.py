"""Verdicts that people report in issue threads, as rows of the common format: what ran, and what ran out of memory.

A table of its own (oom_cases.csv): which repository's thread, shape, layout, `outcome` (fits, oom), whether the text
was read (`verified`: text) and states enough (`scorable`: y). Where a thread does not say, nothing is recomputed (in
LLaMA-Factory all is, its default), and a step has as many micro-batches as the pipeline stages.
"""

from __future__ import annotations

from collections.abc import Iterator

Row = dict[str, str]

SOURCE = "source(repo#n)"

COLUMNS = frozenset({SOURCE, "outcome", "scorable", "gpu_mem_gb"})
"""Those that tell the layout."""

_SAME = {
    **{name: name for name in ("model", "n_layers", "hidden", "vocab", "n_gpus", "tp", "pp", "vp", "dp", "cp", "ep")},
    **{"ffn": "ffn_hidden", "heads": "n_heads", "kv_heads": "n_kv_heads", "seq": "seq_len", "zero": "zero_stage"},
    "notes": "notes",
}

_GPUS = {"A100": "A100-{}GB-SXM", "H100": "H100-80GB-SXM", "A800": "A800-80GB-SXM", "H800": "H800-80GB-SXM"}
_GPUS |= {"V100": "V100-{}GB-SXM", "H200": "H200-141GB-SXM", "B200": "B200-180GB-SXM", "A10G": "a10g-24gb"}
_GPUS |= {"A6000Ada": "rtx-6000-ada-48gb"}

_STACKS = (
    ("NVIDIA/Megatron-LM", "Megatron-LM"),
    ("NVIDIA-NeMo/Megatron-Bridge", "Megatron-Bridge"),
    ("NVIDIA-NeMo/Automodel", "NeMo Automodel"),
    ("pytorch/torchtitan", "torchtitan"),
    ("bigscience", "Megatron-DeepSpeed"),
    ("EleutherAI", "DeepSpeed"),
    ("huggingface", "HF Trainer"),
    ("tatsu-lab", "HF Trainer"),
    ("Lightning-AI", "litgpt"),
    ("", "Transformers + DeepSpeed"),
)
"""How a repository begins, and the framework of its threads."""

_CATALOGUE = {"moonlight-16b": "moonlight-16b-a3b", "deepseek-v3-16b": "deepseek-v2-lite"}
_UNGATED = ("gpt", "falcon", "phi")

_FORMATS = {"fp8-cs": "fp8-current", "fp8": "fp8", "fp16": "fp16", "fp16-mixed": "fp16"}


def threads(row: Row) -> Iterator[Row]:
    """The verdict of one thread; BLOOM's log is in other files."""
    repository, kind = row[SOURCE], row["precision"]
    common = {ours: row.get(theirs, "") for theirs, ours in _SAME.items()} | {"id": f"thread-{row['id']}"}
    if row["verified"] != "text" or row["scorable"] != "y" or "tr11" in repository:
        yield common | {"metric": "unusable: not read, says too little, or BLOOM's", "value": ""}
        return
    stack = next(name for begins, name in _STACKS if repository.startswith(begins))
    recompute, _, modules = row["recompute"].partition(":")
    away, batch = recompute.endswith("+offload"), row["mbs"] or "1"
    kept = "full" if "LlamaFactory" in repository else "none"
    shared = int(row["n_gpus"]) // (int(row["tp"]) * int(row["cp"] or 1))
    yield (
        common
        | _tuned(kind, stack, repository)
        | {
            "source": repository,
            "model": _CATALOGUE.get(row["model"], row["model"]),
            "gated_mlp": "no" if row["model"].startswith(_UNGATED) else "yes",
            "gpu": _GPUS.get(row["gpu"], row["gpu"]).format(row["gpu_mem_gb"]),
            "gpus_per_node": "4" if row["gpu"] == "V100" and stack == "Megatron-DeepSpeed" else "",
            "micro_batch": batch,
            "global_batch": row["gbs"] or str(int(batch) * shared),
            "recompute": recompute.removesuffix("+offload").removesuffix("-op") or kept,
            "recompute_modules": modules,
            "offload": "activations" if away else "",
            "flash_attention": "no" if row["flash"] == "0" else "yes",
            "precision": _FORMATS.get(kind, "bf16"),
            "framework": stack,
            "metric": "fit",
            "value": row["outcome"],
        }
    )


def _tuned(kind: str, stack: str, repository: str) -> Row:
    """Optimizer, method and loss of a trainer: states in 16 bit unless they are said to be mixed, LoRA of rank 8."""
    if stack not in ("HF Trainer", "litgpt", "Transformers + DeepSpeed"):
        return {}
    found = {"optimizer": "adam" if "mixed" in kind else "adam-bf16"}
    if "8bit" in kind:
        found["optimizer"] = "adam-8bit"
    if "LoRA" in kind:
        found |= {"method": "qlora" if "nf4" in kind else "lora", "lora_rank": "8", "lora_targets": "attention"}
    if repository.startswith("huggingface/trl"):
        found["loss"] = "linear"
    return found | ({"tied_embeddings": "no"} if stack == "litgpt" else {})
