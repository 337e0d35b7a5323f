"""A calibration in words and as JSON: errors before and after, what moved, what the runs do not tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from planner import __version__
from planner.accuracy.calibrate import Calibration, Run
from planner.frozen import picked
from planner.report.grid import columns, prose, tables
from planner.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from planner.documents import scores as form

SHOWN = 60
"""Runs listed one by one."""

WORDS = {"step": "step time", "memory": "peak memory"}

COLUMNS = columns("run<|kind:1<=|measured|before|after")


def text(result: Calibration, written: list[Path], following: str, width: int | None) -> Iterator[str]:
    """The answer in lines, on a terminal or in a pipe."""
    yield from tables(COLUMNS, [[_run(run) for run in result.runs[:SHOWN]]], width)
    if len(result.runs) > SHOWN:
        yield f"... and {len(result.runs) - SHOWN} more"
    yield ""
    for kind, words in WORDS.items():
        if (errors := result.errors(kind)) is not None:
            yield f"median error of {words}: {errors[0]:.1%} before, {errors[1]:.1%} after"
    yield from ("", "Constants, as factors on the packaged ones")
    for one in result.fitted:
        if one.determined:
            moved = f"× {one.factor:.3f} ± {one.deviation:.1%}"
            yield f"  {one.constant.name:<12} {moved}   {one.constant.words}"
    if result.reserve is not None:
        sign = "+" if result.reserve >= 0 else "-"
        yield f"  {'reserve':<12} {sign} {format_bytes(abs(result.reserve)):<15} memory beside the analytic sum"
    left = [f"{one.constant.name} ({one.constant.words})" for one in result.fitted if not one.determined]
    if left:
        yield from prose([f"  not told by these runs, left as packaged: {', '.join(left)}"], width, 4)
    yield from ("", "Written", *(f"  {path}" for path in written), "", f"Next    {following}")


def _run(run: Run) -> list[str]:
    shown = format_seconds if run.kind == "step" else format_bytes
    before, after = (
        f"{shown(value)} ({error:+.1%})" for value, error in zip((run.before, run.after), run.errors, strict=True)
    )
    return [run.id, f"{WORDS[run.kind]:<11}", f"{shown(run.measured):>10}", f"{before:>18}", f"{after:>18}"]


def document(result: Calibration, written: list[Path], framework: str, gpus: str) -> form.Calibration:
    """The answer as versioned JSON: SI numbers with the unit in the key."""
    return {
        "schema": "planner.calibration/1",
        "planner_version": __version__,
        "summary": {"step_time": _medians(result.errors("step")), "memory": _medians(result.errors("memory"))},
        "runs": [_run_data(run) for run in result.runs],
        "constants": [cast("form.Constant", picked(one, CONSTANT)) for one in result.fitted],
        "reserve_shift_bytes": result.reserve,
        "framework": framework,
        "gpus": gpus,
        "files": [str(path) for path in written],
    }


CONSTANT = "name=constant.name meaning=constant.words determined factor relative_deviation=deviation "
CONSTANT += "posterior_over_prior_width=share"
"""Fields of a constant in JSON."""


def _medians(errors: tuple[float, float] | None) -> form.Medians | None:
    return None if errors is None else {"median_before": errors[0], "median_after": errors[1]}


def _run_data(run: Run) -> form.StepRun | form.MemoryRun:
    unit = "s" if run.kind == "step" else "bytes"
    values = {f"{name}_{unit}": getattr(run, name) for name in ("measured", "before", "after")}
    return cast("form.StepRun | form.MemoryRun", {"id": run.id, "kind": run.kind, **values})
