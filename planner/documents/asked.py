"""Inputs of every answer: the model, the cluster and the job; and the rule of thumb that decided."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Lt
from typing_extensions import TypedDict

from planner.documents.values import Amount, As, Positive
from planner.schema.workload import Workload


class Model(TypedDict):
    """What is trained or served.

    Attributes:
        profile: its shape, as a profile in YAML has it.
    """

    name: str
    parameters: Positive
    active_parameters: Positive
    source: str
    profile: dict[str, Any]


class Cluster(TypedDict):
    """On what.

    Attributes:
        spec: as --gpus takes it.
        scaleup_bytes_per_s, network_bytes_per_s: per accelerator and direction.
    """

    spec: str
    accelerator: str
    node: str
    nodes: Positive
    gpus_per_node: Positive
    gpus: Positive
    memory_bytes: Amount
    scaleup_domain: Positive
    scaleup_bytes_per_s: float | None
    network_bytes_per_s: float | None


class Machine(TypedDict):
    """A model on a cluster."""

    model: Model
    cluster: Cluster


class Inputs(Machine):
    """What was asked, with every default filled in.

    Attributes:
        memory_margin: share of the usable memory that is to stay free; usable_memory_bytes is without it.
    """

    workload: Annotated[dict[str, Any], As(Workload)]
    framework: str
    memory_margin: Annotated[float, Ge(0), Lt(1)]


class Rule(TypedDict):
    """The rule of thumb that decided the first, and what breaking it costs; null: none did.

    Attributes:
        name: of docs/rules-of-thumb.md.
        without: the change that breaks it.
        costs_share: more time per step or token; null: it does not fit.
    """

    name: str
    says: str
    without: str
    costs_share: float | None
