"""What a serving layout must obey, as named masks. "Why not?" is the first rule that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Any

import numpy as np

from planner.frozen import frozen
from planner.masks import divides, first_of, obeying
from planner.plan import Mask, Plan, Truth, divisors
from planner.schema.model import Model
from planner.serving.job import ServeJob, width


@frozen
class ServeRule:
    """A condition on layouts.

    Attributes:
        name: as shown to users and in JSON.
        holds: (job, plan) -> bool or array of bool, true where the plan obeys.
        says: a sentence with the job's and the plan's numbers as {placeholders}.
    """

    name: str
    holds: Callable[[ServeJob, Plan], Truth]
    says: str

    def message(self, job: ServeJob, plan: Plan) -> str:
        """The sentence for one plan."""
        return self.says.format(**_numbers(job, plan))


def _numbers(job: ServeJob, plan: Plan) -> dict[str, Any]:
    model, moe = job.model, job.model.moe
    gpus = job.cluster.gpus
    return plan.degrees | {
        "width": int(np.max(width(plan))),
        "gpus": gpus,
        "heads": _heads(model),
        "kv_heads": model.kv_heads,
        "ffn": moe.ffn if moe else model.ffn,
        "layers": model.layers,
        "model": model.name,
        "experts": moe.experts if moe else 0,
        "legal_ep": ", ".join(str(n) for n in divisors(moe.experts if moe else 1) if n <= gpus),
        "legal_tp": ", ".join(str(t) for t in divisors(_heads(model)) if t <= gpus),
    }


def _heads(model: Model) -> int:
    """What tp has to divide: heads of every mixer."""
    linear, others = model.delta_rule, (model.state_space, model.lightning)
    counts = [model.heads, *(mixer.heads for mixer in others if mixer)]
    return gcd(*counts, *((linear.key_heads, linear.value_heads) if linear else ()))


def _kv_heads(job: ServeJob, plan: Plan) -> Truth:
    both = divides(plan.tp, job.model.kv_heads) | divides(job.model.kv_heads, plan.tp)
    return both | (job.model.mla is not None)


def _ffn(job: ServeJob, plan: Plan) -> Truth:
    model = job.model
    split = width(plan) // plan.ep
    return divides(plan.tp, model.ffn) if model.moe is None else divides(split, model.moe.ffn)


def _experts(job: ServeJob, plan: Plan) -> Truth:
    return True if job.model.moe is None else divides(plan.ep, job.model.moe.experts)


def _nested(job: ServeJob, plan: Plan) -> Truth:
    del job
    return divides(plan.tp, plan.ep) | divides(plan.ep, plan.tp)


RULES: tuple[ServeRule, ...] = (
    ServeRule(
        "heads",
        lambda j, p: divides(p.tp, _heads(j.model)),
        "tp={tp} does not divide the {heads} attention heads; legal: {legal_tp}",
    ),
    ServeRule("kv_heads", _kv_heads, "tp={tp} neither divides nor is a multiple of the {kv_heads} key/value heads"),
    ServeRule("ffn", _ffn, "tp={tp} does not divide the feed-forward width {ffn}"),
    ServeRule("layers", lambda j, p: p.pp <= j.model.layers, "pp={pp} stages exceed the {layers} layers"),
    ServeRule(
        "dense", lambda j, p: (p.ep == 1) | (j.model.moe is not None), "{model} has no experts: ep must be 1, not {ep}"
    ),
    ServeRule("experts", _experts, "ep={ep} does not divide the {experts} experts; legal: {legal_ep}"),
    ServeRule("nested", _nested, "of ep={ep} and tp={tp} one must divide the other"),
    ServeRule(
        "gpus",
        lambda j, p: (p.dp >= 1) & (width(p) * p.pp * p.dp <= j.cluster.gpus),
        "{width} x pp={pp} x dp={dp} exceed the {gpus} GPUs of the cluster",
    ),
)


def legal(job: ServeJob, plan: Plan) -> tuple[Mask, dict[str, int]]:
    """Mask of the plans that obey every rule, and how many broke each rule first."""
    return obeying(RULES, job, plan)


def first_broken(job: ServeJob, plan: Plan) -> ServeRule | None:
    """The first rule that one plan breaks, or None."""
    return first_of(RULES, job, plan)
