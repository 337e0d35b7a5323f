"""Ranks parallel plans, of training and of inference, for a real model on a real cluster.

>>> import planner
>>> answer = planner.recommend("llama3.1-70b", "8x8xA100-80GB", tp="4", top=3)
>>> answer.plans[0].tp, answer.plans[0].dp
(4, 4)
>>> served = planner.serve("llama3.1-70b", "8xH100-80GB", input=4000, output=500, tpot="30ms")
>>> served.plans[0].tp
8
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Cluster",
    "Job",
    "Model",
    "Plan",
    "PlannerError",
    "Workload",
    "ask",
    "check",
    "estimate",
    "recommend",
    "serve",
]

if TYPE_CHECKING:
    from planner.api import Answer, check, recommend, serve
    from planner.errors import PlannerError
    from planner.plan import Plan
    from planner.questions.ask import ask
    from planner.schema.hardware import Cluster
    from planner.schema.model import Model
    from planner.schema.workload import Workload
    from planner.training.estimate import estimate
    from planner.training.job import Job

_HOME = {
    "Answer": "planner.api",
    "Cluster": "planner.schema.hardware",
    "Job": "planner.training.job",
    "Model": "planner.schema.model",
    "Plan": "planner.plan",
    "PlannerError": "planner.errors",
    "Workload": "planner.schema.workload",
    "ask": "planner.questions.ask",
    "check": "planner.api",
    "estimate": "planner.training.estimate",
    "recommend": "planner.api",
    "serve": "planner.api",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `planner --help` must not load NumPy."""
    if name not in _HOME:
        raise AttributeError(f"module 'planner' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
