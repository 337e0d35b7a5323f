"""Scores: step time, ranking, memory and the verdict fits or not, per source and over sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from planner.accuracy.mapping import SAID
from planner.accuracy.measures import Confusion, Errors, GroupRank, errors, mean_errors, rank_group, split
from planner.accuracy.predict import Prediction
from planner.frozen import frozen
from planner.units import GIB


@frozen
class MemoryErrors:
    """Errors of peak memory; `gib` is the median of predicted - measured, in GiB and with its sign."""

    relative: Errors
    gib: float


@frozen
class Ranking:
    """Sweep groups together; Spearman is the mean over `correlated` groups of three layouts and more."""

    groups: int
    mean_regret: float
    median_regret: float
    spearman: float | None
    correlated: int


@frozen
class Source:
    """The scores of one source; None where it measured nothing of the kind."""

    name: str
    step: Errors | None
    memory: MemoryErrors | None
    ranking: Ranking | None
    fit: Confusion


@frozen
class Score:
    """Scores of a set of predictions.

    Attributes:
        step, memory: sources with equal weight. ranking: groups with equal weight. fit: verdicts with equal weight.
        family_ranking: groups of a source first, then sources, with equal weight.
    """

    step: Errors | None
    memory: Errors | None
    ranking: Ranking | None
    family_ranking: Ranking | None
    fit: Confusion
    sources: tuple[Source, ...]
    groups: tuple[GroupRank, ...]


def score(predictions: Sequence[Prediction]) -> Score:
    """Score predictions; which of them belong together is the caller's choice (see `main` and `apart`)."""
    groups = rank_groups(predictions)
    by_source = split(predictions, lambda p: p.case.source)
    sources = tuple(_source(name, ps, [g for g in groups if g.source == name]) for name, ps in by_source.items())
    return Score(
        step=mean_errors([s.step for s in sources if s.step]),
        memory=mean_errors([s.memory.relative for s in sources if s.memory]),
        ranking=ranking(groups),
        family_ranking=_over_sources([s.ranking for s in sources if s.ranking]),
        fit=sum((s.fit for s in sources), Confusion()),
        sources=sources,
        groups=groups,
    )


def main(predictions: Iterable[Prediction]) -> list[Prediction]:
    """Dense 16-bit runs of known recomputation, without doubtful ones."""
    return [p for p in predictions if p.case.main]


def apart(predictions: Sequence[Prediction]) -> dict[str, Score]:
    """A score for each kind that the main score leaves out; a run may be of several kinds."""
    kinds = ((label, [p for p in predictions if label in p.case.labels]) for label in SAID["apart"])
    return {label: score(of_kind) for label, of_kind in kinds if of_kind}


def step_errors(predictions: Iterable[Prediction]) -> Errors | None:
    """Errors of step times; None where none was measured."""
    timed = [p for p in predictions if p.case.step is not None]
    return errors([p.step for p in timed], [p.case.step or 0.0 for p in timed]) if timed else None


def _source(name: str, predictions: Sequence[Prediction], groups: Sequence[GroupRank]) -> Source:
    weighed, step = [p for p in predictions if p.case.peak is not None], step_errors(predictions)
    return Source(name, step, _memory(weighed) if weighed else None, ranking(groups), verdicts(predictions))


def _memory(weighed: Sequence[Prediction]) -> MemoryErrors:
    predicted = np.array([p.peak for p in weighed])
    measured = np.array([p.case.peak for p in weighed], dtype=np.float64)
    return MemoryErrors(errors(predicted, measured), float(np.median(predicted - measured)) / GIB)


def rank_groups(predictions: Iterable[Prediction]) -> tuple[GroupRank, ...]:
    """Every sweep group with something to rank; a layout measured more than once counts with its median."""
    timed = (p for p in predictions if p.case.step is not None and p.case.group)
    ranked = []
    for (source, group), members in split(timed, lambda p: (p.case.source, p.case.group)).items():
        layouts = split(members, lambda p: p.case.layout).values()
        predicted = np.array([float(np.median([p.step for p in same])) for same in layouts])
        measured = np.array([float(np.median([p.case.step or 0.0 for p in same])) for same in layouts])
        ranked.append(rank_group(group, source, predicted, measured))
    return tuple(group for group in ranked if group is not None)


def ranking(groups: Sequence[GroupRank]) -> Ranking | None:
    """Regret and rank correlation over groups; None without any."""
    if not groups:
        return None
    regrets = [g.regret for g in groups]
    rho = [g.spearman for g in groups if g.spearman is not None]
    agreement = float(np.mean(rho)) if rho else None
    return Ranking(len(groups), float(np.mean(regrets)), float(np.median(regrets)), agreement, len(rho))


def _over_sources(each: Sequence[Ranking]) -> Ranking | None:
    if not each:
        return None
    rho = [r.spearman for r in each if r.spearman is not None]
    return Ranking(
        groups=sum(r.groups for r in each),
        mean_regret=float(np.mean([r.mean_regret for r in each])),
        median_regret=float(np.median([r.median_regret for r in each])),
        spearman=float(np.mean(rho)) if rho else None,
        correlated=sum(r.correlated for r in each),
    )


def verdicts(predictions: Iterable[Prediction]) -> Confusion:
    """Fits or not, each layout once: one that has a time or a peak did fit, others are labelled."""
    counted: dict[tuple[bool, bool], int] = defaultdict(int)
    for same in split(predictions, lambda p: p.case.layout).values():
        failed = all(p.case.fit == "oom" for p in same)
        counted[failed, same[0].fits] += 1
    return Confusion(counted[False, True], counted[False, False], counted[True, False], counted[True, True])
