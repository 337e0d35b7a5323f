"""What a row says of recomputed modules, the dispatcher, the overlap of expert traffic and CUDA graphs."""

from __future__ import annotations

import re
from typing import Any

from planner.accuracy.mapping import SAID
from planner.accuracy.rows import Row, says
from planner.cost.dispatch import DISPATCHERS
from planner.cost.recompute import MODULES
from planner.launch.megatron_layout import read_layout
from planner.stages import lettered
from planner.training.job import Job

NODE = 8
"""Accelerators above which a scale-up domain is a rack: HybridEP's, of the one-copy dispatchers."""


def modules(row: Row) -> tuple[str, ...]:
    """Recompute modules that the row names, in the order of `MODULES`."""
    named = set(re.findall(r"[a-z_]+", row.get("recompute_modules", "")))
    return tuple(name for name in MODULES if name in named)


def graphs(row: Row) -> tuple[str, tuple[str, ...]]:
    """The mode of CUDA graphs: the column, else the notes, else none; and a label that says whether it is known."""
    said = row.get("cuda_graphs", "")
    if said in ("none", "partial", "full"):
        return said, ("known-graphs",)
    found = next((mode for words, mode in SAID["graphs"] if says(row, "notes", (words,))), None)
    return found or "none", ("known-graphs",) if found else ("unknown-graphs",)


def capacity(row: Row) -> float | None:
    """Tokens that every expert takes over their mean, where the notes say so; a rank's capacity is another thing."""
    found = re.search(r"MoE capacity factor (\d+(?:\.\d+)?)", row.get("notes", ""))
    return float(found[1]) if found else None


def stages(row: Row, job: Job, count: int, source: str) -> tuple[str, ...]:
    """What every pipeline stage holds: the layout string of the notes, or that of Megatron-Bridge for such a model.

    Megatron-Bridge recipes/deepseek/deepseek_v3.py lays 61 layers over 4, 8 or 16 stages with prediction and loss in
    the place of the layers that the last lacks, over 32 as Et|(tt|)*30mL.
    """
    said = re.search(r"pp layout ([EtmL|()*\d]+)", row.get("notes", ""))
    if said:
        return read_layout(said[1])
    if source not in BRIDGE or job.model.layers != BRIDGE_LAYERS or count not in (4, 8, 16, 32):
        return ()
    most = -(-(BRIDGE_LAYERS + 1) // count)
    sizes = [most] * (count - 1) + [BRIDGE_LAYERS - most * (count - 1)]
    return lettered([1, *[2] * (count - 2), 0] if count == 32 else sizes, job.model.mtp_layers)


BRIDGE, BRIDGE_LAYERS = ("mbx", "mbridge", "mbcard", "mbpr"), 61


def experts(row: Row, job: Job, source: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Dispatcher and overlap as fields of a plan, and a label where the dispatcher is assumed.

    Megatron-Bridge's performance recipes choose a one-copy dispatcher by the machine where their table has the
    configuration's default; for what names none, its framework's plainest is taken.
    """
    if job.model.moe is None:
        return {}, ()
    said = row.get("dispatcher", "")
    chosen = {"overlap": says(row, "overlap", ("a2a-overlap",))}
    if said in DISPATCHERS and not (source in DEFAULTED and said == "alltoall"):
        return chosen | {"dispatcher": said}, ()
    one_copy = "hybridep" if job.cluster.domain > NODE else "deepep"
    usual = one_copy if source in DEFAULTED or "deepep" in said else job.framework.dispatchers[0]
    return chosen | {"dispatcher": usual}, ("assumed-dispatcher",)


DEFAULTED = ("mbx",)
"""Sources whose column holds the configuration's default where the recipe names no dispatcher."""
