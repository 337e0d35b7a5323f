"""Serving jobs for tests, made of the packaged profiles."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from planner.schema.engine import Engine
from planner.schema.model import Model
from planner.schema.serving import ServeWorkload
from planner.serving.job import ServeJob
from tests.jobs import cluster, library, model


@cache
def engine(name: str) -> Engine:
    """A packaged preset."""
    return library().engine(name).value


def serve_job(of: str | Model, on: str, preset: str = "vllm", **workload: Any) -> ServeJob:
    """A job out of names; further options are fields of `ServeWorkload`."""
    shape = model(of) if isinstance(of, str) else of
    of_part = engine(preset).on(cluster(on).accelerator)
    return ServeJob(shape, cluster(on), ServeWorkload(**workload), of_part)


def early(job: ServeJob) -> ServeJob:
    """Under vLLM before 0.20: 0.9 of the memory, and no room left for CUDA graphs."""
    return replace(job, engine=job.engine.model_copy(update={"utilisation": 0.9, "reserve": 0.27 * 2**30}))
