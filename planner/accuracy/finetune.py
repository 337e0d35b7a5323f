"""Measured fine-tuning runs of the Transformers Trainer, as rows of the common format.

foundation-model-stack/fms-acceleration scripts/benchmarks: one GPU or FSDP, every layer recomputed. Weights are loaded
in bf16; on one GPU, and where mixed precision is off, the optimizer has no fp32 copy of them.
"""

from __future__ import annotations

from collections.abc import Iterator

Row = dict[str, str]

COLUMNS = frozenset({"base_weights", "lora_targets", "fused_cross_entropy", "peak_alloc_bytes", "tokens_per_s"})
"""Those that tell the layout."""

_SHAPE = ("n_layers", "hidden", "ffn_hidden", "n_heads", "n_kv_heads", "vocab", "gated_mlp", "tied_embeddings")
_SHAPES = {
    "powerlm-3b": ("40", "2304", "9216", "36", "36", "49152", "yes", "yes"),
    "santacoder-1.1b": ("24", "2048", "8192", "16", "1", "49280", "no", "yes"),
}
"""Models that the catalogue does not have: ibm/PowerLM-3b and bigcode/gpt_bigcode-santacoder, config.json."""

_LONGEST = {"santacoder-1.1b": 2048}
"""Positions of a model whose samples are cut there."""

_BASES = {"nf4": "nf4", "gptq-int4": "int4"}


def finetune(row: Row) -> Iterator[Row]:
    """A time and a peak of a run that went through; that it ran out of memory where it did."""
    method, run = row["method"], row["id"].removeprefix("fms-").replace("-", ".")
    seq, gpus = row.get("seq_len", ""), int(row["n_gpus"])
    common = {name: row.get(name, "") for name in ("source", "model", "gpu", "n_gpus", "micro_batch", "global_batch")}
    common |= dict(zip(_SHAPE, _SHAPES.get(row["model"], ()), strict=False)) | {
        "id": f"finetune-{run}",
        "gpus_per_node": "8",
        **{"tp": "1", "pp": "1", "cp": "1", "ep": "1"},
        "zero_stage": row.get("zero_stage", ""),
        "recompute": row.get("recompute", ""),
        "precision": "fp16" if row.get("torch_dtype") == "float16" else "bf16",
        "flash_attention": "yes",
        "framework": row["framework"],
        "method": method,
        "optimizer": _optimizer(row, gpus) if method == "full" else "adam",
        "loss": "linear" if row.get("fused_cross_entropy") == "yes" else "",
        **_version(row),
        "notes": row.get("notes", ""),
    }
    if method != "full":
        common |= {"lora_rank": f"{float(row['lora_rank']):.0f}", "lora_targets": _targets(row["lora_targets"])}
    if method == "qlora":
        common["base"] = _BASES.get(row["base_weights"], row["base_weights"])
    if not seq:
        yield common | {"metric": "unusable: the lengths of its samples vary", "value": ""}
        return
    seq = str(min(int(seq), _LONGEST.get(row["model"], int(seq))))
    common["seq_len"] = seq
    if row["outcome"] == "oom":
        yield common | {"metric": "fit", "value": "oom"}
        return
    step = int(row["global_batch"]) * int(seq) / (float(row["tokens_per_s"]) * gpus)
    yield common | {"metric": "iter_seconds", "value": f"{step:.6g}"}
    peak = float(row["peak_alloc_bytes"]) / 2**30
    notes = f"{common['notes']}; torch max_memory_allocated".lstrip("; ")
    yield common | {"metric": "peak_mem_gb", "value": f"{peak:.6g}", "notes": notes}


def _optimizer(row: Row, gpus: int) -> str:
    """Adam in 16 bit, unless FSDP's mixed precision keeps the shards in fp32."""
    return "adam" if gpus > 1 and row.get("mixed_precision") not in ("", "none") else "adam-bf16"


def _version(row: Row) -> Row:
    """What sets the versions that ran apart from the preset's, as fields of Framework.

    Transformers 4.48 (a100_80gb.csv) shifts an fp32 copy of the logits while its caller holds them in 16 bit: two bytes
    more than before it and today (loss/loss_utils.py). Its GPTBigCode takes the loss in the logits' format, fp32 under
    autocast alone, and never turns its cache off; its Mixtral runs experts one by one. The kernel that works in place
    (fms-acceleration fused_ops) has no log-softmax. TRL 0.11 to 0.13 prepares a bitsandbytes base unless it is sharded
    or fms-acceleration loads it (trainer/sft_trainer.py, utils.py peft_module_casting_to_bf16).
    """
    later, kernels = "refs/a100_80gb.csv" in row["source"], row.get("kernels", "")
    coder, narrow = row["model"].startswith("santacoder"), row["method"] == "qlora"
    each = 2.0 if coder and not narrow else 4.0
    logits = (2.0 if "foak" in kernels else 3.0) * each + (2.0 if later and not coder else 0.0)
    flags = {"keeps_cache": coder, "experts_apart": later, "fp32_stream": "baseline-peft-bnb" in kernels}
    return {"logits_bytes": f"{logits:g}"} | {name: "1" for name, here in flags.items() if here}


def _targets(names: str) -> str:
    """Adapters on attention alone, or on all linear layers."""
    wide = any(name.startswith(("up", "gate", "down", "w1", "w2", "w3", "c_fc")) for name in names.split())
    return "all-linear" if wide or not names else "attention"
