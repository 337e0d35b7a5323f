"""Which rule of thumb decided a deployment."""

from __future__ import annotations

from collections.abc import Sequence

from planner.questions.thumbs import LEAST, Decided
from planner.serving.options import Option, per_gpu


def decided_serving(ranked: Sequence[Option], output: int, objective: str) -> Decided | None:
    """The rule that the first deployment gains most by: against the best with stages, or without, where it has some."""
    if not ranked or ranked[0].gpus == 1:
        return None
    first, staged = ranked[0], bool(ranked[0].plan.pp > 1)
    other = next((one for one in ranked if bool(one.plan.pp > 1) != staged), None)
    if other is None:
        return Decided("tp-online", "pp=1", None) if staged else None
    rule = "deep-offline" if staged else "replicas" if first.plan.dp > 1 else "tp-online"
    costs = [[_seconds(one, output), 1.0 / float(per_gpu(one, output)), float(one.tpot)] for one in (first, other)]
    shares = [theirs / own - 1.0 for own, theirs in zip(*costs, strict=True)]
    slower = shares[0] if objective == "latency" else shares[1] if abs(shares[1]) > LEAST else shares[2]
    plan = other.plan
    words = f"tp={plan.tp:.0f} pp={plan.pp:.0f} dp={plan.dp:.0f}"
    return Decided(rule, words, slower) if slower > LEAST else None


def _seconds(option: Option, output: int) -> float:
    """From a request to its last token."""
    return float(option.ttft + (output - 1.0) * option.tpot)
