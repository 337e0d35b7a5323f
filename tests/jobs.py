"""Jobs for tests, made of the packaged profiles."""

from __future__ import annotations

from functools import cache
from typing import Any

from planner.blocks import operators
from planner.blocks.operator import Share
from planner.blocks.structure import structure
from planner.catalog.clusters import find_cluster
from planner.catalog.library import Library, open_library
from planner.plan import OnePlan
from planner.schema.framework import Framework
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.workload import Workload
from planner.stages import chunk_table
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


def rank_parameters(model: Model, plan: OnePlan, rank: int) -> list[int]:
    """Parameters of each model chunk of a pipeline rank, on one of its tp*ep ranks (all hold as many).

    Llama 3 8B, tp = 8, pp = 4, v = 2, rank 0: four layers and 129,024/8 rows of the embedding are 175,144,960, four
    layers more 109,084,672, as `GPTModel` counts them (NVIDIA/Megatron-LM core/models/gpt/gpt_model.py).
    """
    of = structure(model)
    share = Share(1.0, 1.0, tp=plan.tp, ep=plan.ep, etp=plan.etp)
    each = [round(sum(float(op.weights) for op in operators(kind, share))) for kind in of.kinds]
    chunks = chunk_table(of, plan)[rank]
    if of.tied and plan.pp == 1:
        each[of.blocks + 1] = each[of.blocks + 2]
    return [sum(count * size for count, size in zip(counts, each, strict=True)) for counts in chunks]
