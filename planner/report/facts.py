"""A job and a plan whose numbers know what they are: the leaves of every formula."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel

from planner.formula import fact
from planner.plan import INTEGERS, Plan
from planner.schema.quantities import dimensions
from planner.training.job import Job

R = TypeVar("R", bound=BaseModel)

UNIT = {"byte": "bytes", "byte/s": "bytes/s", "second": "s", "flop/s": "FLOP/s"}


def traced_job(job: Job) -> Job:
    """The job with facts for the numbers of its cluster, framework and batch; the model's shape stays plain."""
    batch = {
        "seq": fact(job.workload.seq, "s", "tokens"),
        "global_batch": fact(job.workload.global_batch, "B", "sequences"),
        "images": fact(job.workload.images, "images"),
    }
    return replace(
        job,
        cluster=traced_record(job.cluster, "", "", "datasheet"),
        framework=traced_record(job.framework, "framework_", "", "assumed"),
        workload=job.workload.model_copy(update=batch),
    )


def traced_plan(plan: Plan) -> Plan:
    """The plan with facts for its degrees."""
    degrees: dict[str, Any] = {name: fact(getattr(plan, name), name) for name in INTEGERS}
    return replace(plan, **degrees)


def traced_record(record: R, prefix: str, source: str, trust: str) -> R:
    """A profile with facts for its numbers, named by their path, with the source and trust that stand nearest.

    Bytes per item are what code does, whatever is measured beside them; a default that no profile states is assumed.
    """
    source, trust = getattr(record, "source", source), getattr(record, "trust", trust)
    found: dict[str, Any] = {}
    for name in type(record).model_fields:
        value, path = getattr(record, name), f"{prefix}{name}"
        if isinstance(value, BaseModel):
            below = "" if name in ("accelerator", "node") else f"{path}_"
            found[name] = traced_record(value, below, source, trust)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            own = "exact" if name.endswith("_bytes") else trust if name in record.model_fields_set else "assumed"
            unit = "bytes" if name.endswith("_bytes") else UNIT.get(dimensions(type(record))[name], "1")
            found[name] = fact(value, path, unit, source, own)
    return record.model_copy(update=found)
