"""Accuracy of deployments on measured runs: run it by hand, `python benchmarks/serving.py [PATH ...]`.

Scores benchmarks/measured-serving, and with paths (CSV files or folders of them) also those and both together.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from planner.accuracy.serving_corpus import ServeCorpus, read_rows
from planner.accuracy.serving_score import predict
from planner.cli.screen import show, width
from planner.report.serving_validation import tables

COMMITTED = Path(__file__).parents[1] / "benchmarks" / "measured-serving"


def read(paths: Iterable[Path]) -> ServeCorpus:
    """The cases of files and folders, each id and metric once."""
    corpus, seen = ServeCorpus(), set()
    for path in paths:
        for file in sorted(path.glob("*.csv")) if path.is_dir() else [path]:
            fresh = [row for row in read_rows(file) if (row["id"], row["metric"]) not in seen]
            seen.update((row["id"], row["metric"]) for row in fresh)
            corpus.add(fresh)
    return corpus


def main(paths: list[Path]) -> None:
    """Print the tables of the committed rows, and of all rows."""
    for title, chosen in (("committed", [COMMITTED]), ("with " + ", ".join(map(str, paths)), [COMMITTED, *paths])):
        if title == "committed" or paths:
            corpus = read(chosen)
            show((title, *tables([predict(case) for case in corpus.cases], corpus.skipped, width())))


if __name__ == "__main__":
    main([Path(text) for text in sys.argv[1:]])
