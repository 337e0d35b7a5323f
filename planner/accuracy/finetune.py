"""Measured fine-tuning runs of the Transformers Trainer, as rows of the common format.

foundation-model-stack/fms-acceleration scripts/benchmarks: one GPU or FSDP, every layer recomputed. Weights are loaded
in bf16; on one GPU, and where mixed precision is off, the optimizer has no fp32 copy of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.accuracy.mapping import published, renamed

Row = dict[str, str]


def finetune(row: Row) -> Iterator[Row]:
    """A time and a peak of a run that went through; that it ran out of memory where it did."""
    method, run = row["method"], row["id"].removeprefix("fms-").replace("-", ".")
    seq, gpus, told = row.get("seq_len", ""), int(row["n_gpus"]), published("finetune")
    common = renamed("finetune", row) | told["shapes"].get(row["model"], {}) | _version(row)
    common |= {
        "id": f"finetune-{run}",
        "precision": "fp16" if row.get("torch_dtype") == "float16" else "bf16",
        "optimizer": _optimizer(row, gpus) if method == "full" else "adam",
        "loss": "linear" if row.get("fused_cross_entropy") == "yes" else "",
    }
    if method != "full":
        common |= {"lora_rank": f"{float(row['lora_rank']):.0f}", "lora_targets": _targets(row["lora_targets"])}
    if method == "qlora":
        common["base"] = told["bases"].get(row["base_weights"], row["base_weights"])
    if not seq:
        yield common | {"metric": "unusable: the lengths of its samples vary", "value": ""}
        return
    seq = str(min(int(seq), told["longest"].get(row["model"], int(seq))))
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
