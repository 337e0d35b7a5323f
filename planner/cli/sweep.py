"""planner sweep: every combination of a file's options, on all cores, resumable."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from planner.cli.streams import stop_if_gone
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS, PlannerError

if TYPE_CHECKING:
    from planner.sweep import Cell

BATCH = 8
"""Cells that a process is handed at a time."""

_File = Annotated[str, typer.Argument(metavar="FILE", help="Sweep in YAML, - for stdin")]
_Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="File to append to, .ndjson or .csv; cells in it are skipped (default: stdout)"),
]
_Jobs = Annotated[int | None, typer.Option("--jobs", "-j", help="Processes (default: all cores)")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr")]
_Dry = Annotated[bool, typer.Option("--dry-run", help="Count the cells instead")]


def sweep(file: _File, out: _Out = None, jobs: _Jobs = None, quiet: _Quiet = False, dry_run: _Dry = False) -> None:
    """Rank every combination of a file's options: one record per cell, as NDJSON or CSV.

    The file gives options of `recommend`, each with a value or a list: model, gpus, global-batch, seq, tp ... An
    interrupted sweep goes on where it stopped when it is called again with the same --out.
    """
    from planner.cli.infile import read_text
    from planner.sweep import columns, left, read_sweep

    if jobs is not None and not 1 <= jobs <= 1024:
        raise PlannerError(f"--jobs must be between 1 and 1024, not {jobs}")
    cells = read_sweep(read_text(file), "stdin" if file == "-" else file)
    table = Table(out, columns(cells))
    done = table.repair(write=not dry_run)
    todo = list(left(cells, done))
    if dry_run:
        sys.stdout.write(f"{len(cells):,} cells, {len(todo):,} to do\n")
        return
    fits = any(done[cell.id] for cell in cells if cell.id in done)
    with _stoppable() as stop, table.opened() as write, _progress(len(cells), len(cells) - len(todo), quiet) as tick:
        for records in _run(todo, jobs or os.cpu_count() or 1, stop):
            write(records)
            stop_if_gone()
            tick(len(records))
            fits = fits or any(record["status"] == "fits" for record in records)
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)
    raise typer.Exit(EXIT_FITS if fits else EXIT_NOTHING_FITS)


def _run(cells: Sequence[Cell], jobs: int, stop: Stop) -> Iterator[list[dict[str, Any]]]:
    """Records of all cells in batches, as they come; what runs when a signal arrives is still waited for."""
    batches = iter([cells[i : i + BATCH] for i in range(0, len(cells), BATCH)])
    batches = takewhile(lambda _: stop.signal is None, batches)
    if jobs == 1 or len(cells) <= BATCH:
        yield from map(_batch, batches)
        return
    with ProcessPoolExecutor(jobs, initializer=_deaf) as pool:
        running: set[Future[list[dict[str, Any]]]] = {pool.submit(_batch, b) for b in islice(batches, 2 * jobs)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            yield [record for future in ended for record in future.result()]
            running |= {pool.submit(_batch, b) for b in islice(batches, len(ended))}


def _batch(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    from planner.sweep import run_cell

    return [run_cell(cell) for cell in cells]


def _deaf() -> None:
    """Signals are for the parent, which takes what is being done and stops."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@dataclass(slots=True)
class Stop:
    """The signal that asked for an end, None while there was none."""

    signal: int | None = None


@contextmanager
def _stoppable() -> Iterator[Stop]:
    """Ctrl-C and a scheduler's SIGTERM end the sweep after the cells that are being done; a second one, at once."""
    stop = Stop()

    def hear(number: int, _: object) -> None:
        if stop.signal is not None:
            raise KeyboardInterrupt
        stop.signal = number

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class Table:
    """Where records go: a file that is only appended to, or stdout.

    Attributes:
        columns: fields of every record, in order.
    """

    path: Path | None
    columns: list[str]

    @property
    def is_csv(self) -> bool:
        """By the file's name; stdout is NDJSON."""
        return self.path is not None and self.path.suffix.lower() == ".csv"

    def repair(self, write: bool) -> dict[str, bool]:
        """Cells that are in the file already, and whether each fits; a torn last line is cut off if `write`.

        Raises:
            PlannerError: the file is of another sweep or of no sweep at all.
        """
        if self.path is None or not self.path.exists():
            self._check_place()
            return {}
        if self.path.is_dir():
            raise PlannerError(f"--out {self.path} is a directory", f"--out {self.path / 'results.ndjson'}")
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        done = self._read(whole.decode("utf-8", errors="replace"))
        if write and len(whole) < len(data):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        return done

    def _check_place(self) -> None:
        if self.path is not None and not self.path.parent.is_dir():
            raise PlannerError(f"--out {self.path}: there is no directory {self.path.parent}", "create it first")

    def _read(self, text: str) -> dict[str, bool]:
        rows: Iterable[dict[str, Any]]
        if self.is_csv:
            reader = csv.DictReader(io.StringIO(text))
            if text and list(reader.fieldnames or ()) != self.columns:
                raise PlannerError(f"--out {self.path} has other columns than this sweep", "name another file")
            rows = reader
        else:
            rows = (self._record(n, line) for n, line in enumerate(text.splitlines(), start=1))
        return {str(row["cell"]): row["status"] == "fits" for row in rows}

    def _record(self, number: int, line: str) -> dict[str, Any]:
        try:
            record = json.loads(line)
            return {"cell": record["cell"], "status": record["status"]}
        except (ValueError, KeyError, TypeError):
            raise PlannerError(
                f"--out {self.path}, line {number} is no record of a sweep", "name another file"
            ) from None

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """A function that appends records, each flushed whole."""
        if self.path is None:
            yield lambda records: self._append(sys.stdout, records)
            return
        with self.path.open("a", encoding="utf-8", newline="") as file:
            if self.is_csv and file.tell() == 0:
                file.write(_row(self.columns))
            yield lambda records: self._append(file, records)

    def _append(self, file: TextIO, records: list[dict[str, Any]]) -> None:
        line = (lambda r: _row([r[name] for name in self.columns])) if self.is_csv else _json
        file.write("".join(line(record) for record in records))
        file.flush()


def _json(record: dict[str, Any]) -> str:
    return json.dumps({"schema": "planner.sweep/1", **record}, allow_nan=False) + "\n"


def _row(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


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

    yield tick
    if shown:
        sys.stderr.write("\r\x1b[K")
    if not quiet:
        rate = count[0] / max(perf_counter() - started, 1e-9)
        sys.stderr.write(f"note: {count[0]:,} cells done, {done:,} were there already, {rate:,.0f} cells/s\n")
