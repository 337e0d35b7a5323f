"""Plans of training, and the answers that rank or explain them."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, MinLen
from typing_extensions import NotRequired, TypedDict

from planner.cost.memory import Memory
from planner.cost.recompute import MODULES
from planner.documents.asked import Inputs, Rule
from planner.documents.values import Above, Among, Amount, As, Line, Parts, Positive, Price, Whole
from planner.parts import names
from planner.schema.framework import DispatcherName
from planner.schema.workload import Method, Offload, OffloadModule, Optimizer
from planner.training.estimate import StepTime
from planner.training.moments import MOMENTS


class MemoryBand(TypedDict):
    """Four of five measured peaks of this kind lie inside; null: none was measured."""

    low_bytes: Amount
    high_bytes: Amount


class Layout(TypedDict):
    """What a plan is and what comes of it.

    Attributes:
        v: virtual stages per pipeline rank.
        micro_batch: sequences per micro-batch; micro_batches: micro-batches per pipeline and step.
        recompute_layers: layers recomputed in full per model chunk.
        recompute_modules: what selective recomputation runs again, by Megatron-LM's names.
        dispatcher: how tokens reach experts; expert_overlap: expert traffic runs beside another micro-batch.
        offload_modules: modules whose inputs lie in host memory, by Megatron-LM's names.
        head_layers: layers that the LM head counts for in the split; layers_per_rank: layers on each pipeline rank.
        layout: what every stage holds, as Megatron-LM's --pipeline-model-parallel-layout; null: an even split.
        step_time_band: relative half-width of the 80 % band of step_time_s: the measured time lies between step_time_s
            * exp(-w) and step_time_s * exp(w); null: nothing like the plan was measured.
        step_time_parts_s: sums to step_time_s.
        pipeline_replayed_s: seconds of the pipeline replayed operation by operation; null: not replayed.
        pipeline_closed_form_s: seconds of the pipeline by the closed form, sends included; null: not replayed.
        bubble_fraction: idle / (busy + idle); bubble_overhead: idle / busy.
        memory_bytes: fullest rank; the parts sum to total.
        allocated_bytes: what tensors take at the peak, as torch.cuda.max_memory_allocated counts it.
        reserved_bytes: with what the allocator holds and cannot use; the rest of total is context and communicators.
        fullest_moment: of a step, on the fullest rank; moments_bytes: of the fullest rank.
        verdict: tight: the limit lies inside the band.
    """

    tp: Positive
    cp: Positive
    ep: Positive
    etp: Positive
    pp: Positive
    v: Positive
    dp: Positive
    dp_replicate: Positive
    micro_batch: Positive
    micro_batches: Positive
    sequence_parallel: bool
    zero: Annotated[int, Among((0, 1, 2, 3))]
    schedule: str
    recompute: Annotated[str, Among(("none", "selective", "full", "block"))]
    recompute_layers: Whole
    recompute_modules: list[Annotated[str, Among(MODULES)]]
    dispatcher: Annotated[str, As(DispatcherName)]
    expert_overlap: bool
    head_layers: Whole
    layout: str | None
    layers_per_rank: list[Whole]
    optimizer: Optimizer
    method: Method
    offload: Offload
    offload_layers: Whole
    offload_modules: list[Annotated[str, As(OffloadModule)]]
    step_time_s: Amount
    step_time_band: Above | None
    band_reason: str
    step_time_parts_s: Annotated[dict[str, float], Parts(names(StepTime))]
    pipeline_replayed_s: float | None
    pipeline_closed_form_s: float | None
    tokens_per_second: Amount
    mfu: Amount
    bubble_fraction: Amount
    bubble_overhead: Amount
    memory_bytes: Annotated[dict[str, float], Parts((*names(Memory), "total"))]
    allocated_bytes: Amount
    reserved_bytes: Amount
    headroom_bytes: float
    fullest_rank: Whole
    fullest_moment: Annotated[str, Among(MOMENTS)]
    memory_band: MemoryBand | None
    memory_band_reason: str
    verdict: Annotated[str, Among(("fits", "tight", "does not fit"))]
    moments_bytes: Annotated[dict[str, float], Parts(MOMENTS)]


class Plan(Layout):
    """A plan of a ranking.

    Attributes:
        rank: 1 is best.
        relaxations: what was given up to fit; empty: as asked.
        framework: preset that the numbers are for: another than asked for where a relaxation needs an option of its.
    """

    rank: Positive
    relaxations: list[str]
    framework: str


class Miss(Plan):
    """A plan that does not fit."""

    short_by_bytes: float
    binding_constraint: str


class Loosened(TypedDict):
    """The best plan that fits as asked but for some pins; null where nothing helps or nothing has to.

    Attributes:
        without: pins that had to go, as options.
    """

    without: Annotated[list[str], MinLen(1)]
    plan: Plan


class NotTried(TypedDict):
    """What the search left out for speed, and the option that opens it."""

    what: str
    option: str


class Search(TypedDict):
    """What the search did, all relaxations together."""

    plans: Whole
    feasible: Whole
    seconds: Amount
    broken_rules: dict[str, Whole]


class RunOf(TypedDict):
    """A whole run with one plan."""

    rank: Positive
    time_s: Amount
    time_low_s: Amount | None
    time_high_s: Amount | None
    gpu_hours: Amount
    cost_usd: Amount | None


class Run(TypedDict):
    """With --tokens: a whole run with every plan, without failures; null money where no price is known."""

    tokens: Annotated[float, Ge(1)]
    usd_per_hour: Amount | None
    price: Price | None
    plans: list[RunOf]


class Outcome(TypedDict):
    """What was asked, and whether it fits.

    Attributes:
        smallest_cluster_gpus: fewest accelerators of this kind that run the job as asked; searched only when it does
            not fit.
        smallest_cluster_reason: why no such cluster is named; null where one is, or none was searched.
    """

    inputs: Inputs
    assumptions: list[str]
    fits_as_requested: bool
    smallest_cluster_gpus: Positive | None
    smallest_cluster_reason: str | None
    loosened: Loosened | None
    usable_memory_bytes: Above


class Ranking(Outcome):
    """Plans, best first."""

    schema: Literal["planner.recommendation/1"]
    planner_version: str
    not_tried: list[NotTried]
    search: Search
    plans: list[Plan]
    rule: Rule | None
    nearest_misses: list[Miss]
    relaxations_not_tried: dict[str, str]
    cures: list[str]
    """Options, each of which lets a job of fine-tuning fit that does not as asked; empty of other jobs."""


class Recommendation(Ranking):
    """planner recommend --json."""

    run: NotRequired[Run]


class Explanation(TypedDict):
    """planner explain --json."""

    schema: Literal["planner.explanation/1"]
    planner_version: str
    inputs: Inputs
    assumptions: list[str]
    plan: Plan
    lines: list[Line]


class Column(Outcome):
    """The best plan on one of the clusters."""

    name: str
    plan: Plan | None
    tokens_per_second_per_gpu: Above | None
    usd_per_hour: Above | None
    tokens_per_usd: Above | None
    price: Price | None


class Comparison(TypedDict):
    """planner compare --json."""

    schema: Literal["planner.comparison/1"]
    planner_version: str
    fits_as_requested: bool
    clusters: list[Column]
