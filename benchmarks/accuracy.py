"""Accuracy on measured runs as markdown tables: run it by hand, `python benchmarks/accuracy.py [--write] [PATH ...]`.

Without paths it scores benchmarks/measured and fills the part "committed" of docs/accuracy.md; with paths (CSV files or
folders of them) it scores those as well and fills the part "everything". Without --write it prints the tables.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill

from planner.accuracy.classes import classes
from planner.accuracy.corpus import Case, Corpus
from planner.accuracy.mapping import DOUBTFUL
from planner.accuracy.predict import Prediction, predict
from planner.accuracy.rows import read_folder, read_table
from planner.accuracy.score import Score, apart, main, score
from planner.report.validation import CLASS_COLUMNS, COLUMNS, cells, class_cells
from planner.schema.base import Record

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "benchmarks" / "measured"
PAGE = ROOT / "docs" / "accuracy.md"
WORST = 12

HEADS = [column.name for column in COLUMNS[1:]]
"""Of the columns that `planner validate` prints, behind the name."""

LINKS = ("efficiency", "latency", "hop_latency", "congestion")
NOT_FITTED = ("zero", "zero_with_pipeline", "uneven_layers", "shard_is_master", "p2p_blocking", "counts_head")


def read(paths: Iterable[Path]) -> Corpus:
    """The cases of files and folders."""
    corpus = Corpus()
    for path in paths:
        for table in read_folder(path)[0] if path.is_dir() else [read_table(path)]:
            corpus.add(table.rows)
    return corpus


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; all columns but the first to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def by_source(whole: Score) -> str:
    """One line per source, and their mean."""
    lines = [cells((s.name, s.step, s.memory, s.ranking, s.fit)) for s in sorted(whole.sources, key=lambda s: s.name)]
    total = cells(("**mean**", whole.step, None, whole.ranking, whole.fit))
    if whole.memory is not None:
        memory = whole.memory
        total[5:8] = [f"{memory.n:,}", f"{memory.median:.1%}", f"{memory.p90:.1%}"]
    return markdown(["source", *HEADS], [*lines, total])


def scored_apart(predictions: Sequence[Prediction]) -> str:
    """One line per kind that the main score leaves out."""
    scores = apart(predictions).items()
    return markdown(["kind", *HEADS], [cells((name, s.step, None, s.ranking, s.fit)) for name, s in scores])


def by_class(predictions: Sequence[Prediction]) -> str:
    """One line per class of run."""
    heads = [column.name for column in CLASS_COLUMNS]
    return markdown(["class", *heads], [class_cells(one) for one in classes(predictions)])


def worst(predictions: Sequence[Prediction]) -> str:
    """The runs of the main score that are predicted worst, one per source and layout family."""
    timed = [p for p in main(predictions) if p.case.step]
    timed.sort(key=lambda p: -abs(p.step / (p.case.step or 1.0) - 1.0))
    return markdown(["run", "plan", "measured", "predicted", "error"], [_line(p) for p in timed[:WORST]])


def _line(p: Prediction) -> list[str]:
    plan, measured = p.plan, p.case.step or 0.0
    words = f"tp{plan.tp} cp{plan.cp} pp{plan.pp} v{plan.v} dp{plan.dp} b{plan.b} m{plan.m} zero{plan.zero}"
    return [p.case.id, words, f"{measured:.3g} s", f"{p.step:.3g} s", f"{p.step / measured - 1:+.0%}"]


def constants(cases: Sequence[Case]) -> str:
    """How many numbers the profiles hold that a fit could move, of those that the main score touches."""
    jobs = {id(c.job): c.job for c in cases if c.main}.values()
    accelerators = {j.cluster.accelerator.name: j.cluster.accelerator.efficiency for j in jobs}
    links = {link.name: link for j in jobs for link in (j.cluster.scaleup, j.cluster.network) if link is not None}
    presets = {j.framework.name: j.framework for j in jobs}
    rows = [
        ("accelerators", accelerators, sum(len(numbers(e)) for e in accelerators.values())),
        ("links", links, sum(len(numbers(k, only=LINKS)) for k in links.values())),
        ("presets", presets, sum(len(numbers(f)) for f in presets.values())),
    ]
    table = markdown(["kind", "profiles", "numbers"], [[name, str(len(of)), str(count)] for name, of, count in rows])
    named = (fill(f"- {name}: {', '.join(sorted(of))}", 118, subsequent_indent="  ") for name, of, _ in rows)
    return table + "\n" + "\n".join(named) + "\n"


def numbers(record: Record, only: Sequence[str] = ()) -> list[str]:
    """Names of a record's numeric fields that are no capability."""
    fields = record.model_dump().items()
    found = [k for k, v in fields if isinstance(v, float | int) and not isinstance(v, bool) and k not in NOT_FITTED]
    return [name for name in found if not only or name in only]


def used(corpus: Corpus) -> str:
    """Rows used and skipped, with reasons."""
    reasons = Counter(skip.reason for skip in corpus.skipped).most_common()
    main_rows = sum(case.main for case in corpus.cases)
    head = f"{len(corpus.cases):,} rows are used, {main_rows:,} of them in the main score."
    return head + f" {len(corpus.skipped):,} are skipped:\n\n" + markdown(["reason", "rows"], _counted(reasons))


def _counted(reasons: list[tuple[str, int]]) -> list[list[str]]:
    return [[reason.replace("|", "/"), f"{count:,}"] for reason, count in reasons[:WORST]]


def report(paths: Sequence[Path]) -> str:
    """All tables."""
    corpus = read(paths)
    predictions = predict(corpus.cases)
    whole = score(main(predictions))
    parts = [
        "By source:\n\n" + by_source(whole),
        "Scored apart:\n\n" + scored_apart(predictions),
        "By class:\n\n" + by_class(predictions),
        "Predicted worst:\n\n" + worst(predictions),
        "Numbers in the profiles that these runs touch:\n\n" + constants(corpus.cases),
        used(corpus),
    ]
    return "\n".join(parts)


def replaced(page: str, part: str, text: str) -> str:
    """The page with what stands between the markers of a part replaced."""
    begin, end = f"<!-- accuracy: {part} -->", f"<!-- end: {part} -->"
    if begin not in page or end not in page:
        raise SystemExit(f"{PAGE}: no markers {begin} ... {end}")
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n\n{text}\n{end}", page, flags=re.DOTALL)


def doubtful() -> str:
    """Rows that contradict their siblings."""
    return markdown(["row", "why it is doubtful"], DOUBTFUL.items())


def run(arguments: Sequence[str]) -> None:
    """Print the tables, or write them into the page."""
    paths = [Path(a) for a in arguments if a != "--write"]
    text, part = report([MEASURED, *paths]), "everything" if paths else "committed"
    if "--write" in arguments:
        page = replaced(PAGE.read_text(encoding="utf-8"), part, text)
        PAGE.write_text(replaced(page, "doubtful", doubtful()), encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    run(sys.argv[1:])
