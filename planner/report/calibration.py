"""A calibration in words and as JSON: errors before and after, what moved, what the runs do not tell."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

from planner import __version__
from planner.accuracy.calibrate import Calibration, Fitted, Run
from planner.units import format_bytes, format_seconds

SHOWN = 60
"""Runs listed one by one."""

READABLE = 112
"""Columns at which sentences are wrapped."""

WORDS = {"step": "step time", "memory": "peak memory"}


def text(result: Calibration, written: list[Path], following: str) -> str:
    """The answer on a terminal or in a pipe."""
    width = max(len("run"), *(len(run.id) for run in result.runs[:SHOWN]))
    lines = [f"{'run':<{width}}  {'':<11}  {'measured':>10}  {'before':>18}  {'after':>18}"]
    lines += [_run(run, width) for run in result.runs[:SHOWN]]
    if len(result.runs) > SHOWN:
        lines.append(f"... and {len(result.runs) - SHOWN} more")
    lines.append("")
    for kind, words in WORDS.items():
        if (errors := result.errors(kind)) is not None:
            lines.append(f"median error of {words}: {errors[0]:.1%} before, {errors[1]:.1%} after")
    lines += ["", "Constants, as factors on the packaged ones"]
    lines += [_constant(one) for one in result.fitted if one.determined]
    if result.reserve is not None:
        sign = "+" if result.reserve >= 0 else "-"
        lines.append(f"  {'reserve':<12} {sign} {format_bytes(abs(result.reserve)):<15} memory beside the analytic sum")
    left = [f"{one.constant.name} ({one.constant.words})" for one in result.fitted if not one.determined]
    if left:
        said = f"not told by these runs, left as packaged: {', '.join(left)}"
        lines += wrap(said, READABLE, initial_indent="  ", subsequent_indent="    ")
    lines += ["", "Written", *(f"  {path}" for path in written), "", f"Next    {following}"]
    return "\n".join(lines) + "\n"


def _run(run: Run, width: int) -> str:
    shown = format_seconds if run.kind == "step" else format_bytes
    before, after = (
        f"{shown(value)} ({error:+.1%})" for value, error in zip((run.before, run.after), run.errors, strict=True)
    )
    return f"{run.id:<{width}}  {WORDS[run.kind]:<11}  {shown(run.measured):>10}  {before:>18}  {after:>18}"


def _constant(one: Fitted) -> str:
    return f"  {one.constant.name:<12} × {one.factor:.3f} ± {one.deviation:.1%}   {one.constant.words}"


def document(result: Calibration, written: list[Path], framework: str, gpus: str) -> dict[str, Any]:
    """The answer as versioned JSON: SI numbers with the unit in the key."""
    summary = {
        name: None if errors is None else {"median_before": errors[0], "median_after": errors[1]}
        for name, errors in (("step_time", result.errors("step")), ("memory", result.errors("memory")))
    }
    return {
        "schema": "planner.calibration/1",
        "planner_version": __version__,
        "summary": summary,
        "runs": [_run_data(run) for run in result.runs],
        "constants": [
            {
                "name": one.constant.name,
                "meaning": one.constant.words,
                "determined": one.determined,
                "factor": one.factor,
                "relative_deviation": one.deviation,
                "posterior_over_prior_width": one.share,
            }
            for one in result.fitted
        ],
        "reserve_shift_bytes": result.reserve,
        "framework": framework,
        "gpus": gpus,
        "files": [str(path) for path in written],
    }


def _run_data(run: Run) -> dict[str, Any]:
    unit = "s" if run.kind == "step" else "bytes"
    values = {"measured": run.measured, "before": run.before, "after": run.after}
    return {"id": run.id, "kind": run.kind} | {f"{name}_{unit}": value for name, value in values.items()}
