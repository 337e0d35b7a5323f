"""Published sets of measurements in layouts of their own, brought into the common format row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from planner.accuracy.finetune import finetune
from planner.accuracy.mapping import published, renamed
from planner.accuracy.threads import threads
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


ADAPTERS: dict[str, Callable[[Row], Iterator[Row]]] = {
    "playbook": playbook,
    "simumax": simumax,
    "finetune": finetune,
    "threads": threads,
    "golden": golden,
}
"""Published layouts, and what turns their rows into rows of the common format."""
