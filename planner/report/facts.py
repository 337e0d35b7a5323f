"""A job and a plan whose numbers know what they are: the leaves of every formula."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel

from planner.formula import fact
from planner.plan import INTEGERS, Plan
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
            found[name] = fact(value, path, units(type(record))[name], source, own)
    return record.model_copy(update=found)


@cache
def units(kind: type[BaseModel]) -> dict[str, str]:
    """Unit of every field of a profile, as its annotation has it."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: _unit(hints[name]) if not name.endswith("_bytes") else "bytes" for name in kind.model_fields}


def _unit(hint: Any) -> str:
    for part in get_args(hint):
        if (found := UNIT.get(getattr(part, "dimension", "")) or _unit(part)) != "1":
            return found
    return "1"
