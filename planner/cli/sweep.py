"""planner sweep: every combination of a file's options, on all cores, resumable."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from planner.cli.answers import Html, written
from planner.cli.request import within
from planner.cli.streams import stop_if_gone
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS

PATIENCE = 1.0
"""Seconds from a signal to the end, whoever does not read what is written."""


def sweep(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Sweep in YAML, - for stdin")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="File to append to, .ndjson or .csv; cells in it are skipped (default: stdout)"
        ),
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Processes (default: all cores)")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the cells instead")] = False,
    html: Html = None,
) -> None:
    """Rank every combination of a file's options: one record per cell, as NDJSON or CSV.

    The file gives options of `recommend`, each with a value or a list: model, gpus, global-batch, seq, tp ... An
    interrupted sweep goes on where it stopped when it is called again with the same --out. A page, --html, shows all
    cells of an .ndjson file, else those of this call.
    """
    from planner.cli.infile import read_text
    from planner.cli.sweepfile import Table
    from planner.cli.workers import answers
    from planner.questions.sweep import read_sweep

    if jobs is not None:
        within("--jobs", jobs, 1024)
    question = read_sweep(read_text(file), "stdin" if file == "-" else file)
    table = Table(out, question.columns)
    if dry_run:
        there, _ = question.progress(table.done())
        sys.stdout.write(f"{question.count:,} cells, {question.count - there:,} to do\n")
        return
    kept: list[dict[str, Any]] = []
    with _stoppable() as stop, table.opened() as (done, write):
        there, fits = question.progress(done)
        processes = min(jobs or os.cpu_count() or 1, question.count - there)
        with _progress(question.count, there, quiet) as tick:
            for records in answers(question.run, question.left(done), processes, stop.asked):
                write(records)
                kept += records if html is not None else ()
                stop_if_gone()
                tick(len(records))
                fits = fits or any(record["status"] == "fits" for record in records)
    if html is not None:
        _page(html, out, kept, quiet)
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)
    raise typer.Exit(EXIT_FITS if fits else EXIT_NOTHING_FITS)


def _page(path: Path, out: Path | None, kept: list[dict[str, Any]], quiet: bool) -> None:
    """The page of the file's cells, or of those that were answered now."""
    from planner.cli.report import document, swept

    whole = out is not None and out.is_file() and out.suffix.lower() != ".csv"
    written(path, document(str(out), out.read_text(encoding="utf-8")) if whole and out else swept(kept), quiet)


@dataclass(slots=True)
class Stop:
    """The signal that asked for an end, None while there was none."""

    signal: int | None = None

    def asked(self) -> bool:
        """Whether there was one."""
        return self.signal is not None

    def hear(self, number: int, _: object) -> None:
        """End after what is finished is written; at once when it comes again, or when the writing takes too long."""
        if self.signal is not None:
            os._exit(128 + self.signal)
        self.signal = number
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)


@contextmanager
def _stoppable() -> Iterator[Stop]:
    """Ctrl-C, a scheduler's SIGTERM and the alarm that they set end the sweep."""
    stop = Stop()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name)]
    before = {number: signal.signal(number, stop.hear) for number in numbers}
    try:
        yield stop
    finally:
        if stop.signal is not None and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(total: int, done: int, quiet: bool) -> Iterator[Any]:
    """A bar on stderr, with the time that is left; silent when stderr is no terminal."""
    started, count = perf_counter(), [0]
    shown = not quiet and sys.stderr.isatty()

    def tick(more: int) -> None:
        count[0] += more
        if shown:
            share = (done + count[0]) / total
            left = (perf_counter() - started) / count[0] * (total - done - count[0])
            bar = "█" * int(30 * share)
            sys.stderr.write(f"\r{bar:·<30} {done + count[0]:,} of {total:,} cells, {left:.0f} s left \x1b[K")
            sys.stderr.flush()

    try:
        yield tick
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
    if not quiet:
        rate = count[0] / max(perf_counter() - started, 1e-9)
        sys.stderr.write(f"note: {count[0]:,} cells done, {done:,} were there already, {rate:,.0f} cells/s\n")
