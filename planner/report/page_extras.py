"""What a page draws besides the JSON answer: of the whole space, and of one plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.questions.layout_map import places
from planner.questions.serve import ServeAnswer
from planner.questions.train import Ranked, Recommendation
from planner.report.explain import as_data, explanation
from planner.report.explain_serving import explanation as explanation_of
from planner.report.panels import Clock, Panel
from planner.report.picture import picture
from planner.report.timeline_svg import svg
from planner.report.whatif import maps, sensitivities, why_not
from planner.schedules import SCHEDULES
from planner.simulate import replay_plan
from planner.training.space import Bounds

MOST_OPERATIONS = 1200
"""Operations of a timeline that is drawn into the page: fewer micro-batches than the plan's show the same picture."""


def extras(answer: Recommendation, bounds: Bounds) -> dict[str, Any]:
    """Keyword arguments for `page`: of the whole space, and of the first plan."""
    every, first = places(answer.job, bounds), answer.ranked[0] if answer.ranked else None
    asked = first if answer.fits else None
    found: dict[str, Any] = {
        "maps": maps(answer.job, asked, every),
        "why": why_not(answer.job, asked, every),
        "changes": sensitivities(asked, every) if asked else [],
    }
    return found | (of_plan(first) if first else {})


def of_plan(one: Ranked, number: int = 1) -> dict[str, Any]:
    """What is drawn of one plan: its formulas, its timeline, and which accelerator holds what."""
    lines = as_data(explanation(one))
    return {"lines": lines, "timeline": drawing(one), "picture": picture(one, number, standalone=False)}


def of_deployment(found: ServeAnswer) -> dict[str, Any]:
    """The formulas of the first deployment."""
    if not found.choice.ranked:
        return {}
    question, first = found.question, found.choice.ranked[0]
    return {"lines": as_data(explanation_of(question.job, first, question.objective))}


def drawing(first: Ranked) -> str:
    """The plan's timeline as SVG, of as many rounds of micro-batches as can be read; or why there is none."""
    plan = first.plan
    if plan.pp == 1:
        return "No pipeline, nothing to draw."
    m = min(plan.m, plan.pp * max(1, MOST_OPERATIONS // (2 * plan.pp**2 * plan.v)))
    if plan.pp * m * plan.v > MOST_OPERATIONS:
        return "Too many operations for this page; planner timeline --out FILE draws them."
    caption = f"{m:,} of {plan.m:,} micro-batches" if m < plan.m else f"{m:,} micro-batches"
    panel = Panel(f"plan 1: {SCHEDULES[plan.schedule].title}", caption, replay_plan(first.job, replace(plan, m=m)))
    return svg([panel], Clock(False), standalone=False)
