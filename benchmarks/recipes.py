"""Published layouts against the planner's own: `python benchmarks/recipes.py [--write] [PATH ...]`.

A recipe is a layout that NVIDIA, AMD or PyTorch published with a time: Megatron-Bridge's and NeMo's tables and
cards, dgxc-benchmarking, NeMo AutoModel, torchtitan, torchao, Primus. PATH names further measured runs. Of each:

- legal: whether every rule of its framework holds for it, and whether it fits by the planner's memory;
- over best: its step by the planner's own model, over that of the best plan that the search finds for the same job
  (cp 1 to 8 opened, its dispatcher allowed), both by the model: 1.00 is a recipe that the planner would have written;
- regret: among layouts of one job that were measured, how much slower the one is that the planner ranks first;
- retunes: of one job that was published twice with another layout, whether the planner prefers the later one where
  it was measured faster, by tokens per second and accelerator.

--write fills docs/accuracy.md.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from accuracy import MEASURED, PAGE, markdown, read, replaced

from planner.accuracy.corpus import Case
from planner.accuracy.measures import GroupRank, rank_group
from planner.accuracy.predict import Prediction, predict
from planner.accuracy.rows import read_folder, read_table
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.plan import Plan
from planner.questions.ask import parse_range
from planner.questions.train import best
from planner.training.rules import first_broken
from planner.training.space import Bounds

FAMILIES = {
    "Megatron-Bridge": ("mbx", "mbridge", "mbcard", "mbpr", "mbskill"),
    "NeMo": ("dgxc", "nemosum"),
    "NeMo AutoModel": ("automodel", "automodelx"),
    "Megatron-LM": ("mlmrec", "zoo", "mfsdp"),
    "torchtitan": ("tt", "torchao"),
    "Primus": ("primus", "primusq", "primusv2"),
}
"""Who published, and the sources of the corpus that hold it."""

NEAR = 0.03
"""A recipe within this of the planner's best is the planner's own choice, for all that its model can tell."""

REGRET = 0.05
"""A pick may be as much slower than the best measured layout."""

UNTOLD = {"doubtful", "unknown-recompute"}

USELESS = "selective"
"""The rule that a search obeys for its own sake: recomputing the attention core under flash attention gains nothing."""


@frozen
class Recipe:
    """A published layout; broken: the first rule against it; over: its step over the best found, None without one."""

    publisher: str
    prediction: Prediction
    broken: str
    over: float | None


def publisher(source: str) -> str:
    """Who published a source, "" for what is no recipe."""
    return next((name for name, sources in FAMILIES.items() if source in sources), "")


def published(predictions: Iterable[Prediction]) -> list[Prediction]:
    """The first run of each layout of each job."""
    found = {}
    for one in predictions:
        case = one.case
        if publisher(case.source) and case.step is not None and case.labels.isdisjoint(UNTOLD):
            found.setdefault((publisher(case.source), *case.layout[1:]), one)
    return list(found.values())


def held(one: Prediction, known: dict[Any, float | None]) -> Recipe:
    """A layout against the rules and against the search; `known`: what the search found for a job before."""
    job, rule = one.case.job, first_broken(one.case.job, one.plan)
    broken = rule.name if rule is not None and rule.name != USELESS else ""
    key = (id(job), one.plan.dispatcher)
    if key not in known:
        known[key] = searched(one)
    found = known[key]
    return Recipe(publisher(one.case.source), one, broken, None if found is None else one.step / found)


def searched(one: Prediction) -> float | None:
    """Step of the best plan for the job of a recipe; None where nothing fits."""
    job = one.case.job
    bounds = Bounds(ranges={"cp": parse_range("cp", "1..8")}, dispatchers=frozenset({one.plan.dispatcher}))
    if job.model.moe is None:
        bounds = Bounds(ranges=bounds.ranges)
    try:
        found = best(job, bounds)
    except PlannerError:
        return None
    return None if found is None else found.step_time


def by_publisher(recipes: Sequence[Recipe]) -> str:
    """One line each: layouts, legal, fitting, and their step over the best."""
    rows = []
    for name in (*FAMILIES, "all"):
        ones = [r for r in recipes if name in (r.publisher, "all")]
        over = [r.over for r in ones if r.over is not None and not r.broken and r.prediction.fits]
        if ones:
            counts = (len(ones), sum(not r.broken for r in ones), sum(r.prediction.fits for r in ones))
            near = f"{sum(one <= 1 + NEAR for one in over)}/{len(over)}"
            spread = (f"{median(over):.2f}", f"{max(over):.2f}") if over else ("", "")
            rows.append((name, *map(str, counts), near, *spread))
    return markdown(["publisher", "layouts", "legal", "fit", f"within {NEAR:.0%} of best", "median", "most"], rows)


def reasons(recipes: Sequence[Recipe]) -> str:
    """Rules that published layouts break."""
    counts = Counter(r.broken for r in recipes if r.broken)
    return markdown(["rule", "layouts"], [(name, str(count)) for name, count in counts.most_common()])


def farthest(recipes: Sequence[Recipe], most: int = 10) -> str:
    """Recipes that the planner would change most."""
    ones = [r for r in recipes if r.over and not r.broken and r.prediction.fits]
    ones.sort(key=lambda r: -(r.over or 0.0))
    rows = [(r.prediction.case.id, _words(r.prediction), f"{r.over:.2f}") for r in ones[:most]]
    return markdown(["recipe", "layout", "over best"], rows)


def _words(one: Prediction) -> str:
    job, plan = one.case.job, one.plan
    experts = f" ep{plan.ep}" if job.model.moe else ""
    layout = f"tp{plan.tp} cp{plan.cp}{experts} pp{plan.pp} v{plan.v} b{plan.b}"
    return f"{job.model.name} {job.recipe.name}, {job.cluster.gpus} {job.cluster.accelerator.name}, {layout}"


def sweeps(predictions: Sequence[Prediction]) -> tuple[GroupRank, ...]:
    """What following the planner's first choice costs, wherever layouts of one job were measured side by side."""
    told = [p for p in predictions if p.case.step is not None and p.case.labels.isdisjoint(UNTOLD)]
    jobs: dict[Any, list[Prediction]] = defaultdict(list)
    for one in told:
        if publisher(one.case.source):
            jobs[one.case.source, id(one.case.job)].append(one)
    ranked = [_ranked(ones) for ones in jobs.values()]
    return tuple(group for group in ranked if group is not None)


def _ranked(ones: Sequence[Prediction]) -> GroupRank | None:
    """The layouts of one job; one that was measured more than once counts with its median."""
    layouts: dict[Plan, list[Prediction]] = defaultdict(list)
    for one in ones:
        layouts[one.plan].append(one)
    if len(layouts) < 2:
        return None
    predicted = np.array([median(p.step for p in same) for same in layouts.values()])
    measured = np.array([median(p.case.step or 0.0 for p in same) for same in layouts.values()])
    job, first = ones[0].case.job, ones[0].case
    name = f"{first.source}: {job.model.name} {job.recipe.name}, {job.cluster.gpus} {job.cluster.accelerator.name}"
    return rank_group(name, first.source, predicted, measured)


def regrets(groups: Sequence[GroupRank]) -> str:
    """One line per sweep, and their mean."""
    rows = [(g.name, str(g.layouts), f"{g.spread - 1:.0%}", f"{g.regret:.1%}") for g in groups]
    over = sum(g.regret > REGRET for g in groups)
    rows.append(
        (f"**{len(groups)} sweeps**, {over} above {REGRET:.0%}", "", "", f"{mean(g.regret for g in groups):.1%}")
    )
    return markdown(["sweep", "layouts", "spread", "regret"], rows)


def retunes(predictions: Sequence[Prediction], releases: dict[str, str]) -> list[tuple[str, str, float, float]]:
    """(earlier id, later id, measured, predicted) speed-up of a later layout of the same job, per token."""
    series: dict[Any, list[Prediction]] = defaultdict(list)
    for one in predictions:
        job, case = one.case.job, one.case
        if publisher(case.source) and case.step and releases.get(case.id) and case.labels.isdisjoint(UNTOLD):
            same = (job.model.name, job.cluster.accelerator.name, job.cluster.gpus, job.recipe.name, job.workload.seq)
            series[(publisher(case.source), case.source, *same)].append(one)
    found = []
    for ones in series.values():
        ones.sort(key=lambda p: releases[p.case.id])
        for early, late in pairwise(ones):
            if early.plan != late.plan and releases[early.case.id] != releases[late.case.id]:
                measured = _rate(late.case, late.case.step or 0.0) / _rate(early.case, early.case.step or 0.0)
                found.append(
                    (early.case.id, late.case.id, measured, _rate(late.case, late.step) / _rate(early.case, early.step))
                )
    return found


def _rate(case: Case, step: float) -> float:
    work = case.job.workload
    return work.global_batch * work.seq / step


def signs(found: Sequence[tuple[str, str, float, float]], noise: float = 0.05) -> str:
    """Retunes worth more than the noise between releases, and whether the planner agrees on their sign."""
    rows = [(early, late, f"{m - 1:+.0%}", f"{p - 1:+.0%}") for early, late, m, p in found if abs(m - 1) > noise]
    right = sum((m > 1) == (p > 1) for _, _, m, p in found if abs(m - 1) > noise)
    return markdown(
        ["earlier", "later", "measured", "predicted"], [*rows, (f"**{right} of {len(rows)} by sign**", "", "", "")]
    )


def report(paths: Sequence[Path]) -> str:
    """All tables."""
    predictions = predict(read([MEASURED, *paths]).cases)
    known: dict[Any, float | None] = {}
    recipes = [held(one, known) for one in published(predictions)]
    parts = [by_publisher(recipes), reasons(recipes), farthest(recipes), regrets(sweeps(predictions))]
    return "\n".join([*parts, signs(retunes(predictions, releases([MEASURED, *paths])))])


def releases(paths: Iterable[Path]) -> dict[str, str]:
    """The release that a row names, by id."""
    tables = [table for path in paths for table in (read_folder(path)[0] if path.is_dir() else [read_table(path)])]
    return {row["id"]: row.get("release", "") for table in tables for row in table.rows}


if __name__ == "__main__":
    words = sys.argv[1:]
    text = report([Path(word) for word in words if word != "--write"])
    sys.stdout.write(text)
    if "--write" in words:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), "recipes", text), encoding="utf-8")
