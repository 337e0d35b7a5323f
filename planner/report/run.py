"""A whole run of so many tokens with the plans of a ranking: days, GPU-hours and, where a price is known, money."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import TYPE_CHECKING

from planner.bands import band
from planner.questions.train import Ranked
from planner.report.sizing_json import price
from planner.report.sizing_words import price_words, usd
from planner.sizing.money import Bill
from planner.sizing.point import training_time
from planner.units import format_count, format_seconds

if TYPE_CHECKING:
    from planner.documents.training import Run, RunOf


def run_json(plans: Sequence[Ranked], tokens: float, paid: Bill | None) -> Run:
    """The run for JSON: every plan in the order of the ranking; null money where no price is known."""
    return {
        "tokens": tokens,
        "usd_per_hour": None if paid is None else paid.usd_per_hour,
        "price": None if paid is None else price(paid),
        "plans": [_run(n, one, tokens, paid) for n, one in enumerate(plans, start=1)],
    }


def _run(number: int, one: Ranked, tokens: float, paid: Bill | None) -> RunOf:
    """t = tokens / (tokens per second); between t e^-w and t e^w with band w; without failures and restarts."""
    seconds = training_time(tokens, one.tokens_per_second)
    width = band(one.job, one.plan).width
    hours = seconds / 3600.0
    return {
        "rank": number,
        "time_s": seconds,
        "time_low_s": None if width is None else seconds * exp(-width),
        "time_high_s": None if width is None else seconds * exp(width),
        "gpu_hours": hours * one.job.cluster.gpus,
        "cost_usd": None if paid is None else hours * paid.usd_per_hour,
    }


def run_lines(plans: Sequence[Ranked], tokens: float, paid: Bill | None) -> list[str]:
    """The run with the first plan, and whose price it is."""
    if not plans:
        return []
    found = _run(1, plans[0], tokens, paid)
    ends = [format_seconds(end) for end in (found["time_low_s"], found["time_high_s"]) if end is not None]
    between = f" ({' to '.join(ends)})" if ends else " (no band: nothing like it was measured)"
    money = "no price known" if found["cost_usd"] is None else usd(found["cost_usd"])
    lines = [
        f"Run     {format_count(tokens)} tokens with plan 1: {format_seconds(found['time_s'])}{between}, "
        f"{format_count(found['gpu_hours'])} GPU-hours, {money}; no failures or restarts in it (planner size has them)."
    ]
    return lines + ([] if paid is None else [f"Price   {price_words(paid)}."])
