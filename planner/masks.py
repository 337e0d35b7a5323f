"""Rules as masks over plans: what training and serving share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from planner.plan import Mask, Num, Plan, Truth

Asked = TypeVar("Asked")
Asked_contra = TypeVar("Asked_contra", contravariant=True)


class NamedMask(Protocol[Asked_contra]):
    """A rule: its name, and where plans of a job obey it."""

    @property
    def name(self) -> str:
        """As shown to users and in JSON."""
        ...

    @property
    def holds(self) -> Callable[[Asked_contra, Plan], Truth]:
        """(job, plan) -> bool or array of bool."""
        ...


Rule = TypeVar("Rule", bound=NamedMask[Any])


def divides(divisor: Num, number: Num) -> Truth:
    """Without a rest."""
    whole: Truth = np.asarray(number) % divisor == 0
    return whole


Holds = Callable[[Any, Any, Plan], Truth]
"""(rule, job, plan) -> where plans obey it."""


def asked(rule: NamedMask[Asked], job: Asked, plan: Plan) -> Truth:
    """What the rule says."""
    return rule.holds(job, plan)


def obeying(
    rules: Sequence[NamedMask[Asked]], job: Asked, plan: Plan, holds: Holds = asked
) -> tuple[Mask, dict[str, int]]:
    """Mask of the plans that obey every rule, and how many broke each rule first; `holds`, where that is known."""
    mask: Truth = np.True_
    broken: dict[str, int] = {}
    for rule in rules:
        said = holds(rule, job, plan)
        if said is True or (obeys := np.asarray(said)).all():
            continue
        first = mask & ~obeys
        if lost := int(np.count_nonzero(first)) * (len(plan) // first.size):
            broken[rule.name] = lost
        mask = mask & obeys
    return np.broadcast_to(mask, plan.shape), broken


def first_of(rules: Sequence[Rule], job: Any, plan: Plan) -> Rule | None:
    """The first rule that one plan breaks, or None."""
    return next((rule for rule in rules if not np.all(rule.holds(job, plan))), None)
