"""What a step time comes to."""

from __future__ import annotations

from typing import TypeVar

from planner.blocks.counts import model_flops, tower_flops
from planner.blocks.operator import Share
from planner.cost.operators import peak
from planner.formula import formula
from planner.plan import Floats
from planner.training.job import Job
from planner.training.layer import images

Seconds = TypeVar("Seconds", float, Floats)


@formula("tokens/s, MFU", "Korthikanti 2022, arXiv:2205.05198, A")
def throughput(job: Job, seconds: Seconds) -> tuple[Seconds, Seconds]:
    """Tokens per second of the whole cluster, and MFU: model FLOPs per token * tokens/s over the peak of all, in the
    format of forward products.

    Model FLOPs are those of `planner.blocks.counts.model_flops`: no recomputation, attention over the whole square.
    """
    tokens = job.workload.global_batch * job.workload.seq / seconds
    most = peak(job.cluster.accelerator, job.recipe.products.forward) * job.cluster.gpus
    return tokens, tokens * _model_flops(job) / most


@formula("flops_per_token", "Korthikanti 2022, arXiv:2205.05198, A", "FLOP")
def _model_flops(job: Job) -> float:
    text = model_flops(job.model, float(job.workload.seq), job.lora)
    if not job.workload.images or job.model.tower is None:
        return text
    share = Share(1.0, float(job.workload.seq), images=images(job))
    return text + tower_flops(job.structure, share, job.lora) / job.workload.seq
