"""Jobs for tests, made of the packaged profiles."""

from __future__ import annotations

from functools import cache
from typing import Any

from planner.catalog.clusters import find_cluster
from planner.catalog.library import Library, open_library
from planner.schema.framework import Framework
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.workload import Workload
from planner.training.job import Job


@cache
def library() -> Library:
    """The packaged profiles."""
    return open_library()


@cache
def model(name: str) -> Model:
    """A packaged model."""
    return library().model(name).value


@cache
def cluster(text: str) -> Cluster:
    """A cluster as users write it: "8xA100", "4x8xH100"."""
    return find_cluster(text, library()).value


@cache
def framework(name: str) -> Framework:
    """A packaged preset."""
    return library().framework(name).value


def job(
    of: str | Model,
    on: str | Cluster,
    preset: str | Framework = "megatron-core",
    *,
    seq: int,
    batch: int,
    **workload: Any,
) -> Job:
    """A job out of names or records; further options are fields of `Workload`."""
    return Job(
        model=model(of) if isinstance(of, str) else of,
        cluster=cluster(on) if isinstance(on, str) else on,
        workload=Workload(seq=seq, global_batch=batch, **workload),
        framework=framework(preset) if isinstance(preset, str) else preset,
    )


def small_model(**changes: Any) -> Model:
    """A dense model of 8 layers, small enough for nested loops."""
    shape: dict[str, Any] = {"name": "toy", "source": "made up for tests", "family": "llama", "mlp": "glu"}
    shape |= {"layers": 8, "hidden": 512, "ffn": 1024, "heads": 8, "kv_heads": 4, "head_dim": 64}
    shape |= {"vocab": 1000, "tied_embeddings": False, "context": 256}
    return Model.model_validate(shape | changes)
