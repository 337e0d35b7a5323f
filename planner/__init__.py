"""Ranks parallel plans, of training and of inference, for a real model on a real cluster.

>>> import planner
>>> question = planner.ask("llama3.1-70b", "8x8xA100-80GB", tp="4")
>>> answer = planner.recommend(question.job, question.bounds, top=3)
>>> answer.ranked[0].plan.tp
4
>>> served = planner.answer(planner.ask_serve("llama3.1-70b", "8xH100-80GB", input=4000, output=500, tpot="30ms"))
>>> int(served.choice.ranked[0].plan.tp)
8
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Bounds",
    "Cluster",
    "Job",
    "Model",
    "Plan",
    "PlannerError",
    "Workload",
    "answer",
    "ask",
    "ask_serve",
    "estimate",
    "recommend",
]

if TYPE_CHECKING:
    from planner.errors import PlannerError
    from planner.plan import Plan
    from planner.question import ask
    from planner.recommend import recommend
    from planner.schema.hardware import Cluster
    from planner.schema.model import Model
    from planner.schema.workload import Workload
    from planner.serve import answer, ask_serve
    from planner.training.estimate import estimate
    from planner.training.job import Job
    from planner.training.space import Bounds

_HOME = {
    "Bounds": "planner.training.space",
    "Cluster": "planner.schema.hardware",
    "Job": "planner.training.job",
    "Model": "planner.schema.model",
    "Plan": "planner.plan",
    "PlannerError": "planner.errors",
    "Workload": "planner.schema.workload",
    "answer": "planner.serve",
    "ask": "planner.question",
    "ask_serve": "planner.serve",
    "estimate": "planner.training.estimate",
    "recommend": "planner.recommend",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `planner --help` must not load NumPy."""
    if name not in _HOME:
        raise AttributeError(f"module 'planner' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
