"""Deployments, and the answers that rank or explain them."""

from __future__ import annotations

from typing import Annotated, Literal

from typing_extensions import NotRequired, TypedDict

from planner.documents.asked import Machine, Rule
from planner.documents.values import Above, Among, Amount, As, Line, Parts, Positive, Whole
from planner.parts import names
from planner.schema.formats import KvType, WeightType
from planner.schema.serving import Statistic
from planner.serving.estimate import DecodeStep
from planner.serving.memory import ServeMemory
from planner.serving.objective import OBJECTIVES


class Degrees(TypedDict):
    """A layout."""

    tp: Positive
    ep: Positive
    pp: Positive
    dp: Positive


class Served(Degrees):
    """A deployment with its numbers.

    Attributes:
        encoder_s: of the mean ttft_s, the images of a lone prompt in the vision encoder; 0 without images.
        most_per_replica: requests that a replica can run together; most_is: what bounds them.
        memory_bytes: of the fullest rank; the parts sum to total.
    """

    gpus: Positive
    users: Amount
    running_per_replica: Amount
    most_per_replica: Amount
    most_is: Literal["engine", "cache"]
    ttft_s: Amount
    encoder_s: Amount
    tpot_s: Amount
    mean_tpot_parts_s: Annotated[dict[str, float], Parts(names(DecodeStep))]
    tokens_per_s_per_user: Amount
    tokens_per_s_per_gpu: Amount
    requests_per_s: Amount
    memory_bytes: Annotated[dict[str, float], Parts((*names(ServeMemory), "total"))]
    usable_memory_bytes: Amount
    kv_tokens_per_replica: Amount


class Deployment(Served):
    """A deployment of a ranking.

    Attributes:
        rank: 1 is best.
        same: layouts that the row stands for beside its own.
    """

    rank: Positive
    same: NotRequired[list[Degrees]]


class Load(TypedDict):
    """What is asked of a deployment.

    Attributes:
        input, output: prompt and generated tokens of a request; prefix: of the prompt, already cached.
        images: of a prompt; image_size: pixels of their sides.
        weights: format of the linear layers; kv: of the KV cache.
        users: requests in flight over the whole deployment; requests_per_s: a rate instead.
        ttft_s, tpot_s: bounds; statistic: of which they are bounds.
    """

    input: Positive
    output: Positive
    prefix: Whole
    images: Whole
    image_size: Positive
    weights: WeightType
    kv: KvType
    users: Positive | None
    statistic: Statistic
    ttft_s: Above | None
    tpot_s: Above | None
    requests_per_s: Above | None


class Requests(Load):
    """What is asked of a deployment.

    Attributes:
        image_tokens: of the prompt's, those that stand for its images.
        weights_by_class: stored format of each class of linear layer.
        weights_of_checkpoint: the published checkpoint's own formats.
    """

    image_tokens: Whole
    weights_by_class: dict[str, Annotated[str, As(WeightType)]]
    weights_of_checkpoint: bool
    batch: bool


class Inputs(Machine):
    """What was asked, with every default filled in."""

    workload: Requests
    engine: str
    objective: Annotated[str, Among(tuple(OBJECTIVES))]


class Search(TypedDict):
    """What the search did."""

    deployments: Whole
    seconds: Amount


class Rejected(Degrees):
    """A layout that fails: what it breaks first, and by how much."""

    breaks: Annotated[str, Among(("memory", "load", "ttft", "tpot"))]
    short_by_bytes: Amount
    ttft_s: float
    tpot_s: float
    says: str


class Prefill(TypedDict):
    """Instances of one of two pools."""

    tp: Positive
    ep: Positive
    pp: Positive
    instances: Positive


class Decode(Prefill):
    """Instances of one of two pools."""

    requests_each: Amount


class Pools(TypedDict):
    """Prefill and decode apart; null: not asked for, or nothing gained."""

    prefill: Prefill
    decode: Decode
    gpus: Positive
    gpus_without_pools: Positive | None
    ttft_s: Amount
    tpot_s: Amount
    transfer_s: Amount
    requests_per_s: Amount
    tokens_per_s_per_gpu: Amount


class Spot(Degrees):
    """A point of the front of speed against throughput."""

    users: Amount
    tokens_per_s_per_user: Amount
    tokens_per_s_per_gpu: Amount


class Serving(TypedDict):
    """planner serve --json.

    Attributes:
        cures: changes of the question that would let something fit, as options of the command line.
    """

    schema: Literal["planner.serving/1"]
    planner_version: str
    inputs: Inputs
    assumptions: list[str]
    fits_as_requested: bool
    search: Search
    deployments: list[Deployment]
    rule: Rule | None
    rejected: list[Rejected]
    cures: list[str]
    lowest_latency: Deployment | None
    highest_offline_throughput: Deployment | None
    disaggregated: Pools | None
    pareto_front: list[Spot]


class Explained(Degrees):
    """The deployment whose numbers these are."""

    rank: Positive
    users: Above


class ExplainedInputs(Machine):
    """What was asked."""

    engine: str


class ServingExplanation(TypedDict):
    """planner serve --explain --json."""

    schema: Literal["planner.serving-explanation/1"]
    planner_version: str
    inputs: ExplainedInputs
    deployment: Explained
    lines: list[Line]
