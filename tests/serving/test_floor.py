"""A floor under the accuracy on the published deployments that come with the source: predicting worse fails here."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from planner.accuracy.serving_corpus import ServeCorpus, read_rows
from planner.accuracy.serving_score import ServePrediction, main, predict, score
from planner.report.serving_words import BAND

MEASURED = Path(__file__).parents[2] / "benchmarks" / "measured-serving"

AT_MOST = {
    "ttft": 0.25,
    "tpot": 0.12,
    "offline": 0.12,
    "isolated ttft": 0.20,
    "pcie pipeline": 0.20,
    "latency": 0.12,
    "static": 0.12,
}
"""Mean |error| that may not be exceeded."""

ROWS = {"ttft": 17, "tpot": 17, "offline": 138, "isolated ttft": 24, "pcie pipeline": 4, "latency": 234, "static": 24}
"""Rows that are scored at least, so that no floor is kept by leaving rows out."""


@cache
def predictions() -> tuple[ServePrediction, ...]:
    """Of all committed rows."""
    corpus = ServeCorpus()
    for path in sorted(MEASURED.glob("*.csv")):
        corpus.add(read_rows(path))
    return tuple(predict(case) for case in corpus.cases)


def counted() -> list[ServePrediction]:
    """Those of dense models on measured links, from verified rows."""
    return main(predictions())


@pytest.mark.parametrize("kind", AT_MOST)
def test_mean_errors(kind: str) -> None:
    """Per score."""
    found = score(counted()).sizes[kind]
    assert found.n >= ROWS[kind]
    assert found.mean <= AT_MOST[kind]


def test_order_of_layouts() -> None:
    """Of all pairs of layouts in one workload."""
    found = score(counted()).order
    assert found.pairs >= 300 and found.share >= 0.97


def test_choices_under_a_bound() -> None:
    """Few of them break it, and the others are close to the best."""
    found = score(counted()).picks
    assert found.n >= 100
    assert found.violating <= 0.10 and found.regret <= 0.05


def test_the_band_of_the_screen_is_the_measured_error() -> None:
    """What `serve` calls a tie is no more than the mean error of the time per token."""
    assert abs(score(counted()).sizes["tpot"].mean - BAND) < 0.02


def test_rows_are_where_they_belong() -> None:
    """Ids are unique, nothing comes from a sample that may not be passed on, doubtful rows are labelled."""
    ids = [p.case.id + p.case.kind for p in predictions()]
    assert len(ids) == len(set(ids))
    assert not [p for p in predictions() if "aiconfigurator" in p.case.source]
    assert sum("unverified" in p.case.labels for p in predictions()) == 4
    assert all("moe" in p.case.labels for p in predictions() if p.case.job.model.moe is not None)


def test_pcie_tensor_parallelism_is_not_scored_with_the_others() -> None:
    """Its all-reduce differs eightfold between boxes."""
    assert not [p for p in counted() if p.case.plan.tp > 1 and p.case.job.cluster.scaleup.kind == "pcie"]  # type: ignore[union-attr]


WRITTEN = {
    "TPOT, mean error": "tpot",
    "offline throughput": "offline",
    "isolated TTFT": "isolated ttft",
    "static batch, latency": "latency",
    "pipeline of 1, 2, 4, 8 stages over PCIe": "pcie pipeline",
}


@pytest.mark.parametrize(("words", "kind"), WRITTEN.items(), ids=list(WRITTEN))
def test_the_documented_accuracy_is_the_measured_one(words: str, kind: str) -> None:
    """The column "committed" of docs/serving.md."""
    page = (MEASURED.parents[1] / "docs" / "serving.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {words} |"))
    found = score(counted()).sizes[kind]
    assert [cell.strip() for cell in line.split("|")][3:5] == [f"{100 * found.mean:.1f} %", str(found.n)]
