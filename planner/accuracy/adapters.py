"""Published sets of measurements in layouts of their own, brought into the common format row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from planner.accuracy.mapping import published, renamed
from planner.schedules import MEGATRON, run_by

Row = dict[str, str]


def playbook(row: Row) -> Iterator[Row]:
    """Ultra-Scale Playbook grid (nanotron on AWS p5): a time and a peak of rank 0 per run that went through.

    What every run shares is stated by the playbook: bf16, tied as listed, sequence parallelism wherever tp > 1, 1F1B,
    no recomputation. A crashed run is not known to be one out of memory: in half of the repeated layouts one try
    crashed and another ran. Two versions of nanotron ran: one kept gathered inputs of column-parallel products, the
    other gathers them again (tp_recompute_allgather); peaks of tp > 1 are of two kinds, and no column says which.
    """
    status, flag = row.get("status", ""), row.get("flag", "")
    common = renamed("playbook", row) | {
        "id": _number("pb", row),
        "sequence_parallel": "yes" if row.get("tp") not in ("", "1") else "no",
        "schedule": run_by(MEGATRON),
    }
    if flag == "inconsistent_batch" or status != "ok":
        yield common | {"metric": f"unusable: {flag if flag == 'inconsistent_batch' else status}", "value": ""}
        return
    yield common | {"metric": "tokens_per_sec_per_gpu", "value": row["tokens_per_sec_per_gpu"]}
    yield common | {
        "metric": "peak_mem_gb",
        "value": row.get("peak_mem_gb", ""),
        "notes": "torch peak allocated, rank 0" + ("" if row.get("tp") == "1" else "; gathered inputs kept or not"),
    }


def simumax(row: Row) -> Iterator[Row]:
    """SimuMax validation tables: cut-down models on one node, communication overlap switched off.

    Rows whose measured value was never published, only an error, are passed on as derived; models other than the dense
    Llamas are passed on by name alone.
    """
    told = published("simumax")
    metric, scale, note = told["metrics"].get(row["metric"], (f"unusable: {row['metric']}", 1.0, ""))
    derived = "derived" if "derived" in row.get("measured_how", "") else ""
    common = renamed("simumax", row) | told["shapes"].get(row["model"], {"model": row["model"]})
    yield common | {
        "id": _number("simumax-pcie" if "PCIe" in row["gpu"] else "simumax", row),
        "gpu": told["gpus"].get(row["gpu"], row["gpu"]),
        "sequence_parallel": "yes" if row["tp"] != "1" else "no",
        "schedule": run_by(MEGATRON, int(row["vp"] or 1)),
        "metric": metric,
        "value": f"{float(row['measured']) * scale:.6g}" if row["measured"] else "",
        "notes": "; ".join(filter(None, (note, derived, row.get("note", "")))),
    }


MEGATRON_OPTIONS: dict[str, str] = published("golden")["options"]
"""Columns by the options of Megatron-LM that fill them."""


def golden(row: Row) -> Iterator[Row]:
    """Golden values of Megatron-LM's functional tests: one node of 8, deterministic kernels, mostly toy models.

    Only the suite "gpt" holds dense decoders. The number of GPUs is that of the machine (8; 4 on GB200), which the
    tests do not state: every row is marked as deterministic and scored apart.
    """
    gpu, count = published("golden")["hardware"].get(row["hw"].rpartition("_")[2], ("", ""))
    given = {ours: row.get(theirs, "") or _golden_default(ours, row) for ours, theirs in MEGATRON_OPTIONS.items()}
    common = (
        renamed("golden", row)
        | given
        | {
            "id": _number("golden", row),
            "source": f"Megatron-LM functional test {row['case']}, golden values {row['hw']}",
            "vocab": row.get("vocab-size", "") or "50257 (GPT-2 tokenizer)",
            "gated_mlp": "yes" if row.get("swiglu") == "true" else "no",
            "tied_embeddings": "no" if row.get("untie-embeddings-and-output-weights") == "true" else "yes",
            "gpu": gpu,
            "n_gpus": count,
            "gpus_per_node": count,
            "sequence_parallel": "yes" if row.get("sequence-parallel") == "true" else "no",
            "zero_stage": "1" if row.get("use-distributed-optimizer") == "true" else "0",
            "recompute": row.get("recompute-granularity", "") or "none",
            "flash_attention": "yes" if row.get("attention-backend") in ("flash", "") else "no",
            "precision": "bf16" if row.get("bf16") == "true" else "",
        }
    )
    if per_chunk := row.get("num-layers-per-virtual-pipeline-stage", ""):
        stages = int(common["pp"] or 1) * int(per_chunk)
        common["vp"] = str(int(common["n_layers"] or 0) // stages)
    if row["suite"] != "gpt" or not row["iter_s"]:
        yield common | {"metric": f"unusable: suite {row['suite']}", "value": ""}
        return
    yield common | {"metric": "iter_seconds", "value": row["iter_s"]}
    yield common | {"metric": "peak_mem_gb", "value": row["mem_max_gib"]}


def _golden_default(name: str, row: Row) -> str:
    """What Megatron-LM takes when an option is not given."""
    if name == "ffn_hidden" and row.get("hidden-size"):
        return str(4 * int(row["hidden-size"]))
    return "1" if name in ("tp", "pp", "cp") else row.get("num-attention-heads", "") if name == "n_kv_heads" else ""


def _number(family: str, row: Row) -> str:
    """An id that the row's own cells make, the same wherever the row stands."""
    from zlib import crc32

    cells = "|".join(value for name, value in sorted(row.items()) if re.fullmatch(r"[\w-]+", name))
    return f"{family}-{crc32(cells.encode()):08x}"


def finetune(row: Row) -> Iterator[Row]:
    """Fine-tuning runs of the Transformers Trainer: a time and a peak, or that memory ran out.

    foundation-model-stack/fms-acceleration scripts/benchmarks: one GPU or FSDP, every layer recomputed. Weights are
    loaded in bf16; on one GPU, and where mixed precision is off, the optimizer has no fp32 copy of them.
    """
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
    autocast alone, and never turns its cache off; its Mixtral runs experts one by one. Experts are modules of their own
    in all of them. The kernel that works in place (fms-acceleration fused_ops) has no log-softmax. TRL 0.11 to 0.13
    prepares a bitsandbytes base unless it is sharded or fms-acceleration loads it (trainer/sft_trainer.py, utils.py
    peft_module_casting_to_bf16).
    """
    later, kernels = "refs/a100_80gb.csv" in row["source"], row.get("kernels", "")
    coder, narrow = row["model"].startswith("santacoder"), row["method"] == "qlora"
    each = 2.0 if coder and not narrow else 4.0
    logits = (2.0 if "foak" in kernels else 3.0) * each + (2.0 if later and not coder else 0.0)
    flags = {"keeps_cache": coder, "experts_apart": later, "fp32_stream": "baseline-peft-bnb" in kernels}
    found = {"logits_bytes": f"{logits:g}", "fused_experts": "0", "linear_gates": "0"}
    return found | {name: "1" for name, here in flags.items() if here}


def _targets(names: str) -> str:
    """Adapters on attention alone, or on all linear layers."""
    wide = any(name.startswith(("up", "gate", "down", "w1", "w2", "w3", "c_fc")) for name in names.split())
    return "all-linear" if wide or not names else "attention"


_TRAINERS = ("HF Trainer", "litgpt", "Transformers + DeepSpeed")
_UNGATED = ("gpt", "falcon", "phi")


def threads(row: Row) -> Iterator[Row]:
    """Verdicts that people report in issue threads: what ran, what ran out of memory; BLOOM's log is in other files.

    Which repository's thread, shape, layout, `outcome` (fits, oom), whether the text was read (`verified`: text) and
    states enough (`scorable`: y). Where a thread does not say, nothing is recomputed (in LLaMA-Factory all is, its
    default), and a step has as many micro-batches as the pipeline stages.
    """
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
        found |= {"loss": "linear", "linear_gates": "0"}
    return found | ({"tied_embeddings": "no"} if stack == "litgpt" else {})


ADAPTERS: dict[str, Callable[[Row], Iterator[Row]]] = {
    adapt.__name__: adapt for adapt in (playbook, simumax, finetune, threads, golden)
}
"""Published layouts, and what turns their rows into rows of the common format."""
