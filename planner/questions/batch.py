"""Sequences per step, by the other ways in which people say it: tokens per step, or gradient accumulation."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from planner.errors import PlannerError
from planner.plan import Range

BATCHES = ("global_batch", "batch_tokens", "gradient_accumulation_steps")
"""Options of `planner.ask` that say the batch."""


def sequences(
    given: int | None, tokens: int | None, accumulation: int | None, seq: int, gpus: int, ranges: Mapping[str, Range]
) -> tuple[int | None, tuple[str, ...]]:
    """The global batch, and how it was reckoned; None where nothing says.

    Accumulation means m micro-batches of b sequences on each of dp ranks; dp is what pinned degrees leave of the
    GPUs, one that is not pinned counts as 1.

    Raises:
        PlannerError: more than one way, or less than one sequence.
    """
    said = {"--global-batch": given, "--batch-tokens": tokens, "--gradient-accumulation-steps": accumulation}
    named = [option for option, value in said.items() if value is not None]
    if len(named) > 1:
        raise PlannerError(f"{' and '.join(named)} both say the batch", "one of them")
    if tokens is not None:
        if tokens < seq:
            raise PlannerError(f"--batch-tokens {tokens:,} is less than one sequence of {seq:,} tokens", "--seq")
        batch = tokens // seq
        return batch, (f"global batch {batch:,} sequences of {seq:,} tokens: {batch * seq:,} tokens per step",)
    if accumulation is not None:
        b, degrees = _pinned(ranges, "b"), prod(_pinned(ranges, name) for name in ("tp", "pp", "cp"))
        dp = max(gpus // degrees, 1)
        batch = b * accumulation * dp
        return batch, (f"global batch {batch:,} sequences: {b} x {accumulation} accumulated x dp {dp}",)
    return given, ()


def _pinned(ranges: Mapping[str, Range], name: str) -> int:
    """The one value of a pin; 1 where it is free."""
    found = ranges.get(name)
    return found.low if found is not None and found.low == found.high else 1
