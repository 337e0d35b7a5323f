"""Clusters of several sizes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from typing_extensions import TypedDict

from planner.documents.asked import Model
from planner.documents.serving import Load, Served
from planner.documents.training import Layout, Plan
from planner.documents.values import Above, Among, Amount, As, Instance, Positive, Price, Whole
from planner.schema.workload import Workload
from planner.sizing.answers import OBJECTIVES


class Batches(Workload):
    """One optimizer step of a training job.

    Attributes:
        global_batch: sequences per step (B); None: the default of each size.
    """

    global_batch: Annotated[int, Ge(1)] | None  # type: ignore[assignment]


class Gpu(TypedDict):
    """One acceptable sort of GPU."""

    name: str
    accelerator: str
    usd_per_gpu_hour: Above | None


class GpuOfNodes(Gpu):
    """One acceptable sort of GPU."""

    node: str


class Failures(TypedDict):
    """What fails, and what it takes to go on."""

    per_node_day: Above
    checkpoint_s: Above
    restart_s: float
    repair_s: float


class SizeInputs(TypedDict):
    """What was asked, with every default filled in."""

    model: Model
    workload: Annotated[dict[str, Any], As(Batches)]
    framework: str
    gpus: list[GpuOfNodes]
    tokens: Above | None
    deadline_s: Above | None
    budget_usd: Above | None
    objective: Annotated[str, Among(tuple(OBJECTIVES))]
    prices_rank: bool
    max_gpus: Positive
    failures: Failures | None


class OnCluster(TypedDict):
    """A size, and what its best plan comes to."""

    accelerator: str
    gpus: Positive
    nodes: Positive
    gpus_per_node: Positive
    spec: str
    global_batch: Positive
    step_time_s: Above
    tokens_per_second: Above
    mfu: Above


class Brief(OnCluster):
    """A size without its plan's parts."""

    gpu: str
    instance: str | None
    instances: list[Instance]
    time_s: Above | None
    time_low_s: Above | None
    time_high_s: Above | None
    time_band: Above | None
    gpu_hours: Above | None
    usd_per_hour: Above | None
    cost_usd: Above | None
    price: Price | None
    effective_share: Annotated[float, Gt(0), Le(1)]
    spare_nodes: Whole


class Sized(Brief):
    """A size with its best plan."""

    plan: Layout
    usable_memory_bytes: Above


class Rung(Brief):
    """A point of a strong-scaling curve."""

    speedup_per_doubling: Above | None


class Nearest(TypedDict):
    """What comes nearest where nothing keeps the limits."""

    quickest_within_budget: Sized | None
    cheapest_within_deadline: Sized | None
    cheapest_of_all: Sized | None
    says: list[str]


class Unfit(TypedDict):
    """A size on which nothing fits."""

    gpu: str
    gpus: Positive
    says: str


class UnfitFor(Unfit):
    """A size on which nothing fits."""

    binding_constraint: str


class Took(TypedDict):
    """What the search took."""

    seconds: Amount


class Tried(Took):
    """What the search took, over how many sizes."""

    sizes: Whole


class TriedSome(Took):
    """What the search took, over how many sizes."""

    sizes: Positive


class Best(TypedDict):
    """The size that each objective chooses; null: it was not asked for, or none keeps the limits."""

    fewest: Sized | None
    cheapest: Sized | None
    fastest: Sized | None


class Size(Best):
    """planner size --json.

    Attributes:
        binding_constraint: what no smaller size keeps, or nothing: memory.<largest part>, deadline, budget, limits
            (both), rules, size.
    """

    schema: Literal["planner.size/1"]
    planner_version: str
    inputs: SizeInputs
    assumptions: list[str]
    fits_as_requested: bool
    answer: Sized | None
    binding_constraint: str
    fewest_of_each_gpu: list[Sized]
    nearest: Nearest
    pareto_front: list[Brief]
    curve: list[Rung]
    scaling_pays_until_gpus: Positive | None
    points: list[Brief]
    does_not_fit: list[UnfitFor]
    search: Tried


class LoadInputs(TypedDict):
    """What was asked, with every default filled in."""

    model: Model
    workload: Load
    engine: str
    gpus: list[Gpu]
    prices_rank: bool
    max_gpus: Positive


class Carrier(TypedDict):
    """The smallest deployment on one sort of GPU."""

    gpu: str
    accelerator: str
    gpus: Positive
    nodes: Positive
    instance: str | None
    instances: list[Instance]
    tokens_per_second: Above
    ttft_s: Above
    tpot_s: Above
    usd_per_hour: Above | None
    usd_per_million_output_tokens: Above | None
    price: Price | None
    deployment: Served


class SizeServing(TypedDict):
    """planner size --serve --json."""

    schema: Literal["planner.size-serving/1"]
    planner_version: str
    inputs: LoadInputs
    assumptions: list[str]
    fits_as_requested: bool
    answer: Carrier | None
    fewest: Carrier | None
    cheapest: Carrier | None
    each_gpu: list[Carrier]
    does_not_fit: list[Unfit]
    search: Took


class CurveInputs(TypedDict):
    """What was asked, with every default filled in."""

    model: Model
    workload: Annotated[dict[str, Any], As(Batches)]
    framework: str
    accelerator: str
    node: str
    sizes: list[Positive]


class Step(OnCluster):
    """A size with its best plan."""

    step_time_band: Above | None
    speedup_per_doubling: Above | None
    plan: Plan


class Curve(TypedDict):
    """planner recommend --gpus 8xA100..128xA100 --json."""

    schema: Literal["planner.curve/1"]
    planner_version: str
    inputs: CurveInputs
    assumptions: list[str]
    fits_as_requested: bool
    curve: list[Step]
    does_not_fit_gpus: list[Positive]
    scaling_pays_until_gpus: Positive | None
    search: TriedSome
