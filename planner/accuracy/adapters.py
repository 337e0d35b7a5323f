"""Published sets of measurements in layouts of their own, brought into the common format row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from planner.accuracy.finetune import COLUMNS, finetune
from planner.accuracy.threads import COLUMNS as VERDICTS
from planner.accuracy.threads import threads
from planner.schedules import MEGATRON, run_by

Row = dict[str, str]


_PLAYBOOK = (
    *("model", "n_layers", "hidden", "ffn_hidden", "n_heads", "n_kv_heads", "vocab", "tied_embeddings", "seq_len"),
    *("gpu", "n_gpus", "gpus_per_node", "tp", "pp", "dp", "zero_stage", "micro_batch", "global_batch", "sweep_group"),
)
"""Columns that the playbook's table has in common with the format."""


def playbook(row: Row) -> Iterator[Row]:
    """Ultra-Scale Playbook grid (nanotron on AWS p5): a time and a peak of rank 0 per run that went through.

    What every run shares is stated by the playbook: bf16, tied as listed, sequence parallelism wherever tp > 1, 1F1B,
    no recomputation. A crashed run is not known to be one out of memory: in half of the repeated layouts one try
    crashed and another ran. Two versions of nanotron ran: one kept gathered inputs of column-parallel products, the
    other gathers them again (tp_recompute_allgather); peaks of tp > 1 are of two kinds, and no column says which.
    """
    status, flag = row.get("status", ""), row.get("flag", "")
    common = {name: row.get(name, "") for name in _PLAYBOOK} | {
        "id": _number("pb", row),
        "source": "Ultra-Scale Playbook benchmark grid",
        "gated_mlp": "yes",
        "interconnect": "AWS p5 EFA of the Ultra-Scale Playbook",
        "sequence_parallel": "yes" if row.get("tp") not in ("", "1") else "no",
        "schedule": run_by(MEGATRON),
        "recompute": "none",
        "flash_attention": "yes",
        "precision": "bf16",
        "framework": "nanotron",
        "notes": flag,
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


_SIMUMAX = {
    "llama3-8b": ("Llama3-8B", "4096", "14336", "32", "8", "128256"),
    "llama3-70b": ("Llama3-70B", "8192", "28672", "64", "8", "128256"),
    "llama3-405b": ("Llama3.1-405B", "16384", "53248", "128", "8", "128256"),
}
_SIMUMAX_METRICS = {
    "iter_ms": ("iter_seconds", 1e-3, ""),
    "tflops_per_gpu": ("tflops_per_gpu_model", 1.0, "full attention FLOPs"),
    "peak_alloc_gib_max_rank": ("peak_mem_gb", 1.0, "torch max_memory_allocated, max over ranks"),
    "peak_reserved_gib_max_rank": ("peak_mem_gb", 1.0, "torch max_memory_reserved, max over ranks"),
}


def simumax(row: Row) -> Iterator[Row]:
    """SimuMax validation tables: cut-down models on one node, communication overlap switched off.

    Rows whose measured value was never published, only an error, are passed on as derived; models other than the dense
    Llamas are passed on by name alone.
    """
    metric, scale, note = _SIMUMAX_METRICS.get(row["metric"], (f"unusable: {row['metric']}", 1.0, ""))
    shape = _SIMUMAX.get(row["model"], (row["model"], *[""] * 5))
    derived = "derived" if "derived" in row.get("measured_how", "") else ""
    yield {
        "id": _number("simumax-pcie" if "PCIe" in row["gpu"] else "simumax", row),
        **{name: row.get(name, "") for name in ("source", "n_layers")},
        **dict(zip(("model", "hidden", "ffn_hidden", "n_heads", "n_kv_heads", "vocab"), shape, strict=True)),
        "gated_mlp": "yes",
        "seq_len": row["seq"],
        "gpu": {"B200-SXM": "B200-180GB-SXM", "A100-PCIe-80GB": "A100-80GB-PCIe"}.get(row["gpu"], row["gpu"]),
        "gpus_per_node": "8",
        "interconnect": "single node",
        **{name: row[name] for name in ("n_gpus", "tp", "pp", "vp", "dp", "cp", "ep", "recompute", "precision")},
        "sequence_parallel": "yes" if row["tp"] != "1" else "no",
        "zero_stage": row["zero"],
        "schedule": run_by(MEGATRON, int(row["vp"] or 1)),
        "micro_batch": row["mbs"],
        "global_batch": row["gbs"],
        "flash_attention": "yes",
        "framework": "Megatron-LM 0.14 + TE",
        "metric": metric,
        "value": _scaled(row["measured"], scale),
        "notes": "; ".join(filter(None, (note, derived, row.get("note", "")))),
    }


MEGATRON_OPTIONS = {
    "n_layers": "num-layers",
    "hidden": "hidden-size",
    "ffn_hidden": "ffn-hidden-size",
    "n_heads": "num-attention-heads",
    "n_kv_heads": "num-query-groups",
    "n_experts": "num-experts",
    "seq_len": "seq-length",
    "tp": "tensor-model-parallel-size",
    "pp": "pipeline-model-parallel-size",
    "cp": "context-parallel-size",
    "micro_batch": "micro-batch-size",
    "global_batch": "global-batch-size",
}
"""Columns by the options of Megatron-LM that fill them."""


def golden(row: Row) -> Iterator[Row]:
    """Golden values of Megatron-LM's functional tests: one node of 8, deterministic kernels, mostly toy models.

    Only the suite "gpt" holds dense decoders. The number of GPUs is that of the machine (8; 4 on GB200), which the
    tests do not state: every row is marked as deterministic and scored apart.
    """
    hardware = {"a100": ("A100-80GB-SXM", "8"), "h100": ("H100-80GB-SXM", "8"), "gb200": ("GB200-NVL72", "4")}
    gpu, count = hardware.get(row["hw"].rpartition("_")[2], ("", ""))
    common = {ours: row.get(theirs, "") or _golden_default(ours, row) for ours, theirs in MEGATRON_OPTIONS.items()} | {
        "id": _number("golden", row),
        "source": f"Megatron-LM functional test {row['case']}, golden values {row['hw']}",
        "model": row["suite"],
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
        "framework": "Megatron-LM",
        "notes": "deterministic functional test; torch max_memory_allocated",
    }
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


def _scaled(text: str, scale: float) -> str:
    return f"{float(text) * scale:.6g}" if text else ""


def _number(family: str, row: Row) -> str:
    """An id that the row's own cells make, the same wherever the row stands."""
    from zlib import crc32

    cells = "|".join(value for name, value in sorted(row.items()) if re.fullmatch(r"[\w-]+", name))
    return f"{family}-{crc32(cells.encode()):08x}"


ADAPTERS: tuple[tuple[frozenset[str], Callable[[Row], Iterator[Row]]], ...] = (
    (frozenset({"grad_accum", "status", "tokens_per_sec_per_gpu", "peak_mem_gb"}), playbook),
    (frozenset({"metric", "measured", "mbs", "gbs", "zero", "predicted"}), simumax),
    (COLUMNS, finetune),
    (VERDICTS, threads),
    (frozenset({"suite", "case", "hw", "iter_s", "num-layers"}), golden),
)
"""Columns that tell a published layout, and what turns its rows into rows of the common format."""
