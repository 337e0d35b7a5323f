"""What is asked of a deployment: requests, number formats, load and service levels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from planner.schema.base import Positive, Record, Whole
from planner.schema.formats import KvType, WeightType

Statistic = Literal["mean", "p99"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ServeWorkload(Record):
    """Requests of one shape, and what is asked of them.

    Attributes:
        input, output: prompt and generated tokens of a request (ISL, OSL); prefix: of the prompt, already cached.
        images: of a prompt, whose tokens are among those that are not cached; image_size: pixels of their sides.
        weights: format of the linear layers (embedding, LM head and norms stay 16-bit); kv: of the KV cache.
        users: requests in flight over the whole deployment (closed loop); rate: requests per second (Poisson). At most
            one of them; neither: the load is searched.
        ttft, tpot: bounds in seconds on the time to first token and on the time per output token after it,
            (E2E - TTFT) / (OSL - 1); statistic: of which they are bounds.
    """

    input: Positive
    output: Positive
    prefix: Whole = 0
    images: Whole = 0
    image_size: Positive = 1024
    weights: WeightType = "bf16"
    kv: KvType = "bf16"
    users: Positive | None = None
    rate: Seconds | None = None
    ttft: Seconds | None = None
    tpot: Seconds | None = None
    statistic: Statistic = "mean"

    @model_validator(mode="after")
    def _is_one_load(self) -> ServeWorkload:
        if self.users is not None and self.rate is not None:
            raise ValueError("users and rate are two ways to give one load: leave one out")
        if self.prefix >= self.input:
            raise ValueError(f"the cached prefix of {self.prefix} leaves nothing of the {self.input} prompt tokens")
        return self

    @property
    def fresh(self) -> int:
        """Prompt tokens that prefill computes."""
        return self.input - self.prefix

    @property
    def length(self) -> int:
        """Tokens of a request when it ends."""
        return self.input + self.output
