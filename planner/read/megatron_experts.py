"""What Megatron-LM's options say of recomputed modules, token dispatch, its overlap, routing and CUDA graphs."""

from __future__ import annotations

import re
from typing import Any

from planner.cost.recompute import MODULES
from planner.read.megatron_facts import Facts


def dispatch(facts: Facts, notes: list[str]) -> dict[str, Any]:
    """Fields of Plan: core/transformer/transformer_config.py, moe_token_dispatcher_type and what belongs to it."""
    if not facts.experts:
        return {}
    return {"dispatcher": _dispatcher(facts, notes), "overlap": facts.has("overlap-moe-expert-parallel-comm")}


def capacity(facts: Facts, notes: list[str]) -> dict[str, Any]:
    """Fields of Workload: every expert's share of tokens where it is padded; one that only cuts cuts nothing."""
    factor = facts.text("moe-expert-capacity-factor")
    if not factor or not facts.experts:
        return {}
    if not facts.has("moe-pad-expert-input-to-capacity"):
        notes.append(f"--moe-expert-capacity-factor {factor:.20} drops nothing of balanced routing")
        return {}
    return {"capacity": float(factor)} if re.fullmatch(r"\d{1,3}(\.\d{1,9})?", factor) else {}


def groups(facts: Facts) -> dict[str, int]:
    """Groups that experts lie in, and of how many a token's are: fields of the model's experts."""
    count = facts.options.whole("moe-router-num-groups") or 1
    return {"groups": count, "top_groups": min(facts.options.whole("moe-router-group-topk") or count, count)}


def _dispatcher(facts: Facts, notes: list[str]) -> str:
    kind = facts.text("moe-token-dispatcher-type")
    if kind != "flex":
        return "allgather" if kind == "allgather" else "alltoall"
    backend = facts.text("moe-flex-dispatcher-backend")
    if backend not in ("deepep", "hybridep"):
        notes.append(f"the dispatcher backend {backend:.20} is timed as deepep")
        return "deepep"
    return backend


def modules(facts: Facts, notes: list[str]) -> tuple[str, ...]:
    """Recomputed modules, in the order of `MODULES`."""
    named = {
        *(facts.modules if facts.granularity == "selective" else ()),
        *(("moe",) * facts.has("moe-layer-recompute")),
    }
    if others := sorted(named - set(MODULES)):
        notes.append(f"recomputation of {', '.join(others)} is not modelled: memory comes out higher than it is")
    return tuple(name for name in MODULES if name in named)


def graphs(facts: Facts) -> str:
    """CUDA graphs: core/transformer/transformer_config.py, cuda_graph_impl; older options mean one of its values."""
    kind = facts.text("cuda-graph-impl")
    scopes = (*facts.options.texts("cuda-graph-scope"), *facts.options.texts("cuda-graph-modules"))
    if kind == "full_iteration" or (kind == "local" and "full_iteration" in scopes):
        return "full"
    return "partial" if kind != "none" or facts.has("enable-cuda-graph", "external-cuda-graph") else "none"
