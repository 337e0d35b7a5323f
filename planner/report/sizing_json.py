"""Sizes as versioned JSON: SI numbers with the unit in the key, inputs and assumptions echoed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from planner import __version__
from planner.bands import band
from planner.catalog.clusters import cluster_spec
from planner.frozen import picked
from planner.questions.size import SizeAnswer, SizeQuestion
from planner.report.jsonout import inputs_of, layout
from planner.report.sizing_words import nearest_words, time_range
from planner.report.words import largest_part, miss
from planner.schema.hardware import Node
from planner.sizing.answers import OBJECTIVES, Rung
from planner.sizing.money import Bill, instances
from planner.sizing.point import Kind, Point

if TYPE_CHECKING:
    from planner.documents import sizing as form
    from planner.documents import values as money


def size(answer: SizeAnswer) -> form.Size:
    """The whole answer."""
    q = answer.question
    return {
        "schema": "planner.size/1",
        "planner_version": __version__,
        "inputs": inputs(q),
        "assumptions": list(q.assumptions),
        "fits_as_requested": answer.answer is not None,
        "answer": optional(answer.answer),
        "binding_constraint": _binding(answer),
        **cast("form.Best", {name: optional(answer.best.get(name)) for name in OBJECTIVES}),
        "fewest_of_each_gpu": [point(p) for p in answer.each],
        "nearest": {
            "quickest_within_budget": optional(answer.nearest.quickest),
            "cheapest_within_deadline": optional(answer.nearest.cheapest),
            "cheapest_of_all": optional(answer.nearest.least),
            "says": nearest_words(answer) if answer.answer is None else [],
        },
        "pareto_front": [brief(p) for p in answer.front],
        "curve": [rung(r) for r in answer.curve],
        "scaling_pays_until_gpus": None if answer.pays is None else answer.pays.gpus,
        "points": [brief(p) for p in answer.points],
        "does_not_fit": [
            {
                "gpu": m.job.cluster.accelerator.name,
                "gpus": m.job.cluster.gpus,
                "binding_constraint": f"memory.{largest_part(m)}",
                "says": miss(m),
            }
            for m in answer.misses
        ],
        "search": {"sizes": len(answer.points), "seconds": answer.seconds},
    }


def inputs(q: SizeQuestion) -> form.SizeInputs:
    """What was asked, with every default filled in."""
    first, failures = q.kinds[0].job, q.run.failures
    times = "per_node_day checkpoint_s=checkpoint restart_s=restart repair_s=repair"
    own = {
        "model": inputs_of(first.model, first.cluster)["model"],
        "workload": workload(q.kinds[0]),
        "framework": first.framework.name,
        "gpus": [gpu(k) for k in q.kinds],
        "failures": failures and picked(failures, times, per_node_day=failures.rate * 86400.0),
    }
    names = "model workload framework gpus tokens=run.tokens deadline_s=limits.deadline budget_usd=limits.budget"
    return cast("form.SizeInputs", picked(q, f"{names} objective prices_rank=money max_gpus=most failures", **own))


def workload(k: Kind) -> dict[str, Any]:
    """The step, without a batch where each size has its own."""
    found = k.job.workload.model_dump(mode="json")
    return found if k.batch else found | {"global_batch": None}


def gpu(k: Kind) -> form.GpuOfNodes:
    """One acceptable sort of GPU."""
    names = "name accelerator=job.cluster.accelerator.name node=job.cluster.node.name usd_per_gpu_hour=price"
    return cast("form.GpuOfNodes", picked(k, names))


def optional(p: Point | None) -> form.Sized | None:
    """A point, or null."""
    return None if p is None else point(p)


def point(p: Point) -> form.Sized:
    """One size with its best plan."""
    return {**brief(p), "plan": layout(p.ranked), "usable_memory_bytes": p.ranked.capacity}


def on_cluster(p: Point) -> form.OnCluster:
    """A size, and what its best plan comes to."""
    names = "accelerator=ranked.job.cluster.accelerator.name gpus nodes gpus_per_node=ranked.job.cluster.used spec"
    names += (
        " global_batch=ranked.job.workload.global_batch step_time_s=ranked.step_time tokens_per_second mfu=ranked.mfu"
    )
    return cast("form.OnCluster", picked(p, names, spec=cluster_spec(p.ranked.job.cluster)))


def brief(p: Point) -> form.Brief:
    """One size without its plan's parts."""
    low, high = time_range(p) or (None, None)
    own = {
        "instance": _instance(p),
        "instances": held(instances(p.gpus, p.nodes, p.kind.types)),
        "time_low_s": low,
        "time_high_s": high,
        "time_band": band(p.ranked.job, p.ranked.plan).width,
        "price": p.bill and price(p.bill),
    }
    names = (
        "instance instances time_s=seconds time_low_s time_high_s time_band gpu_hours usd_per_hour=bill.usd_per_hour"
    )
    found = picked(p, f"{names} cost_usd=cost price effective_share=share spare_nodes=spares", **own)
    return cast("form.Brief", {"gpu": p.kind.name, **on_cluster(p), **found})


def held(counts: Iterable[tuple[Node, int]]) -> list[money.Instance]:
    """So many nodes of each type."""
    return [{"type": node.name, "provider": node.provider, "count": count} for node, count in counts]


def _instance(p: Point) -> str | None:
    """The node type that the cost is made of, or that the user named."""
    if p.bill is not None and p.bill.node is not None:
        return p.bill.node.name
    return p.ranked.job.cluster.node.name if p.kind.whole else None


def price(paid: Bill) -> money.Price:
    """Where a price comes from."""
    if paid.node is None or paid.node.price is None:
        return {"source": "given"}
    names = "instance=node.name instances provider=node.provider usd_per_hour_each=node.price.usd_per_hour"
    found = picked(paid, f"{names} region=node.price.region date=node.price.date source=node.price.source")
    return cast("money.Listed", found)


def rung(r: Rung) -> form.Rung:
    """A point of a strong-scaling curve."""
    return {**brief(r.point), "speedup_per_doubling": r.gain}


def _binding(answer: SizeAnswer) -> str:
    """What no smaller size keeps, or what nothing keeps."""
    if answer.binding is not None:
        miss_ = answer.binding.miss
        return f"memory.{largest_part(miss_)}" if miss_ is not None else answer.binding.what
    if not answer.points:
        return f"memory.{largest_part(answer.misses[0])}" if answer.misses else "rules"
    return "deadline" if answer.nearest.cheapest is None else "budget" if answer.nearest.quickest is None else "limits"
