"""One deployment in the numbers that every serving engine asks for: sizes, nodes, seats, lengths."""

from __future__ import annotations

from math import ceil, floor, sqrt

from planner.frozen import frozen
from planner.plan import OnePlan
from planner.serving.job import ServeJob
from planner.serving.options import Option

SPECIAL = 16
"""Tokens that a tokenizer may add to a prompt."""

ROUND = 64
"""Multiple to which the longest sequence is rounded up."""

SPREAD = 6
"""Standard deviations of a Poisson count that seats are left for."""

SECONDS, FEWEST, PER_USER = 120, 200, 8
"""Prompts of a run: a Poisson run lasts so many seconds and has so many prompts at least; per user in a closed loop."""


@frozen
class Deployment:
    """A chosen deployment (numbers, not arrays).

    Attributes:
        together: the workload's users are a batch that runs at once.
    """

    job: ServeJob
    option: Option
    together: bool = False

    @property
    def plan(self) -> OnePlan:
        """The layout in whole numbers; the load is `seats`."""
        return self.option.plan.scalar()

    @property
    def width(self) -> int:
        """Accelerators of one stage."""
        return int(max(self.plan.tp, self.plan.ep))

    @property
    def copies(self) -> int:
        """Copies of the attention in one stage, each with its own requests."""
        return int(max(self.plan.ep // self.plan.tp, 1))

    @property
    def gpus(self) -> int:
        """Accelerators of one replica."""
        return self.width * int(self.plan.pp)

    @property
    def nodes(self) -> int:
        """Nodes that one replica spans."""
        return ceil(self.gpus / self.job.cluster.used)

    @property
    def local(self) -> int:
        """Replicas that one node starts: as many as it holds, none more than there are."""
        return max(min(self.job.cluster.used // self.gpus, int(self.plan.dp)), 1)

    @property
    def places(self) -> int:
        """Replicas for which the cluster has whole nodes, or whole shares of a node."""
        cluster = self.job.cluster
        return cluster.nodes // self.nodes * max(cluster.used // self.gpus, 1)

    @property
    def users(self) -> int:
        """Requests in flight at one replica, the waiting ones included."""
        return max(ceil(round(float(self.option.served.offered), 6)), 1)

    @property
    def seats(self) -> int:
        """Requests that one replica may run together: the plan's, and where arrivals vary SPREAD deviations more."""
        most, users = max(floor(float(self.option.most)), 1), self.users
        if self.job.workload.rate is not None:
            users = ceil(users + SPREAD * sqrt(users))
        return users if self.together else min(users, most)

    @property
    def length(self) -> int:
        """Longest sequence: a request with a tokenizer's additions, rounded up, within the model's context."""
        wanted = ceil((self.job.workload.length + SPECIAL) / ROUND) * ROUND
        return min(wanted, self.job.model.context)

    @property
    def text(self) -> int:
        """Tokens of a prompt that are neither cached nor of images; benchmarks add those of images by themselves."""
        return self.job.workload.fresh - self.job.image_tokens

    @property
    def chunk(self) -> int:
        """Tokens of one prefill step in all copies of the attention together."""
        return self.copies * self.chunk_per_copy

    @property
    def chunk_per_copy(self) -> int:
        """The same for one copy of the attention, with room for one token of every request that it runs."""
        return max(self.job.engine.chunk, self.seats_per_copy)

    @property
    def seats_per_copy(self) -> int:
        """Seats of one copy of the attention."""
        return ceil(self.seats / self.copies)

    @property
    def dtype(self) -> str:
        """16-bit format of activations: "bfloat16" or "float16"."""
        kept = "fp16" if self.job.workload.weights == "fp16" else self.job.wide
        return {"bf16": "bfloat16", "fp16": "float16"}[kept]

    @property
    def narrowed(self) -> bool:
        """Whether the engine is to quantise 16-bit weights while it loads them."""
        return not self.job.native and self.job.workload.weights not in ("bf16", "fp16")

    @property
    def loads(self) -> tuple[int, ...]:
        """Users of one replica around the plan's: half, all, twice as many."""
        return tuple(sorted({max(self.users // 2, 1), self.users, 2 * self.users}))

    @property
    def rates(self) -> tuple[float, ...]:
        """Requests per second at one replica around its share of the load; nothing in a closed loop."""
        rate = self.job.workload.rate
        return () if rate is None else tuple(float(f"{share * rate / self.plan.dp:.4g}") for share in (0.8, 1.0, 1.2))

    @property
    def prompts(self) -> int:
        """Prompts of one Poisson run."""
        return max(ceil(SECONDS * max(self.rates, default=0.0)), FEWEST)
