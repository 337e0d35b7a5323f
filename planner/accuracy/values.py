"""What was measured, in seconds per step or bytes."""

from __future__ import annotations

from typing import Any

from planner.accuracy.rows import Row, Unusable, number, says
from planner.blocks.counts import active_parameters, model_flops
from planner.training.job import Job
from planner.units import GIB

LARGEST = 1e12
"""Above any time, speed or memory in the units of the format; below any is its inverse."""


def measured(row: Row, job: Job) -> dict[str, Any]:
    """The fields of a case that the row's metric fills: step, peak (with tool and rank) or fit.

    Raises:
        Unusable: no value, or a metric that says nothing about a step or about memory.
    """
    metric, text = row["metric"], row["value"]
    if metric == "fit":
        if text not in ("oom", "fits", "ok"):
            raise Unusable(f"fit: {text[:20]!r} is neither oom nor fits")
        return {"fit": "oom" if text == "oom" else "fits"}
    value = number(text)
    if value is None or not 1.0 / LARGEST < value < LARGEST:
        raise Unusable(f"{metric[:40]}: no value")
    if metric == "peak_mem_gb":
        return {"peak": value * _unit(row), "tool": _tool(row), "rank": _rank(row)}
    return {"step": _seconds(row, job, metric, value)}


def _seconds(row: Row, job: Job, metric: str, value: float) -> float:
    """Seconds per step: the value itself, tokens over tokens/s, or FLOPs over FLOP/s by the source's convention."""
    gpus, tokens = job.cluster.gpus, job.workload.global_batch * job.workload.seq
    if metric == "iter_seconds":
        return value
    if metric in ("tokens_per_sec_per_gpu", "tokens_per_s_per_gpu"):
        return tokens / (value * gpus)
    if metric == "tflops_per_gpu_hardware":
        return narayanan_flops(job) / (value * 1e12 * gpus)
    if metric == "tflops_per_gpu_model":
        half = says(row, "notes", ("causal",)) or row.get("framework", "").startswith("Megatron-Bridge")
        causal = half and not says(row, "notes", ("non-causal",))
        return tokens * token_flops(job, causal) / (value * 1e12 * gpus)
    if metric == "tflops_per_gpu" and row.get("framework", "").startswith("Megatron"):
        return tokens * megatron_flops(job) / (value * 1e12 * gpus)
    raise Unusable(f"{metric[:40]} is not a time, a speed or a memory")


def narayanan_flops(job: Job) -> float:
    """F = 96*B*s*L*h^2 * (1 + s/(6h) + V/(16*L*h)): hardware FLOPs of a step with full recomputation.

    Narayanan et al. 2021 (arXiv:2104.04473), section 5.1, equation 3; BLOOM's logs use it too.
    """
    model, s, B = job.model, job.workload.seq, job.workload.global_batch
    L, h, V = model.layers, model.hidden, model.vocab
    return 96.0 * B * s * L * h * h * (1.0 + s / (6.0 * h) + V / (16.0 * L * h))


def token_flops(job: Job, causal: bool) -> float:
    """Model FLOPs per token, 6*P + 12*L*s*h; P are the weights of matrix products that it meets, and the output layer.

    Korthikanti 2022, NeMo and MosaicML count the whole attention square; Megatron-Bridge and ml-engineering half of
    it, 6*L*s*h.
    """
    model = job.model
    table = model.vocab * model.hidden
    weights = active_parameters(model) - (0.0 if model.tied_embeddings else table)
    attention = (6.0 if causal else 12.0) * model.layers * job.workload.seq * model.hidden
    return float(6.0 * weights + attention)


def megatron_flops(job: Job) -> float:
    """FLOPs per token as Megatron-Core prints them: 6*P of the weights a token meets, and half of the attention square.

    Qwen3-235B-A22B at 4k: 148.0e9 (Megatron-LM training/training.py, num_floating_point_operations).
    """
    linear, square = model_flops(job.model, 1.0), model_flops(job.model, float(job.workload.seq))
    return (linear + square) / 2.0


UNITS = {"": GIB, "GiB": GIB, "GB": 1e9, "1000 MiB": 1000.0 * GIB / 1024.0}
"""Bytes of `memory_unit`."""

TOOLS = ("nvidia-smi", "reserved", "allocated")
"""What `memory_tool` may say: all of the device in use, what PyTorch's allocator holds, what tensors take."""


def _unit(row: Row) -> float:
    """Bytes that a value of 1 means."""
    said = row.get("memory_unit", "")
    if said not in UNITS:
        raise Unusable(f"memory_unit {said[:20]!r} is none of {', '.join(filter(None, UNITS))}")
    return UNITS[said]


def _tool(row: Row) -> str:
    """What read the memory: the column, else the notes; torchtitan prints the allocator's reserved peak."""
    if said := row.get("memory_tool", ""):
        if said not in TOOLS:
            raise Unusable(f"memory_tool {said[:20]!r} is none of {', '.join(TOOLS)}")
        return said
    noted = next((tool for tool in TOOLS if tool in row.get("notes", "")), "")
    usual = "reserved" if row.get("framework", "").startswith("torchtitan") else ""
    return noted or usual


def _rank(row: Row) -> str:
    """The pipeline rank that was read, where it is one."""
    return row.get("rank") or ("first" if says(row, "notes", ("rank 0", "first stage")) else "")
