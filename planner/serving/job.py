"""What is to be served: a model, a cluster, requests and the engine that runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.plan import Num, Plan
from planner.schema.engine import Engine
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.serving import COMPUTED, STORED, ServeWorkload


@dataclass(frozen=True, slots=True)
class ServeJob:
    """Everything that a deployment's cost depends on beside the plan itself.

    A serving plan is a `Plan` with tp, ep, pp and dp replicas; m micro-batches of b requests are in flight in each, so
    that a replica serves b*m requests. A stage is max(tp, ep) accelerators wide: experts lie over ep of them, and where
    ep exceeds tp the attention is copied ep/tp times, each copy with requests of its own.
    """

    model: Model
    cluster: Cluster
    workload: ServeWorkload
    engine: Engine

    @property
    def stored(self) -> float:
        """Bytes per weight of the linear layers."""
        return STORED[self.workload.weights]

    @property
    def cached(self) -> float:
        """Bytes per element of the KV cache."""
        return STORED[self.workload.kv]

    @property
    def computed(self) -> str:
        """Precision of the linear layers' products."""
        wanted = COMPUTED[self.workload.weights]
        return self.wide if wanted == "bf16" else wanted

    @property
    def wide(self) -> str:
        """The 16-bit precision of attention and LM head: bf16 where the accelerator has it."""
        return "bf16" if self.cluster.accelerator.peak.bf16 is not None else "fp16"


def width(plan: Plan) -> Num:
    """Accelerators of one stage: max(tp, ep)."""
    return np.maximum(plan.tp, plan.ep)


def copies(plan: Plan) -> Num:
    """Copies of the attention in one stage, each with its own requests: max(ep/tp, 1)."""
    return width(plan) / plan.tp


def replica_gpus(plan: Plan) -> Num:
    """Accelerators of one replica."""
    return width(plan) * plan.pp


def running(plan: Plan) -> Num:
    """Requests in flight in one replica."""
    return plan.b * plan.m


def at_batch(plan: Plan, requests: Num) -> Plan:
    """The plan with so many requests running per replica: spread over as many micro-batches as stages, if they are."""
    slots = np.minimum(plan.pp, np.maximum(requests, 1.0))
    return replace(plan, b=requests / slots, m=slots)
