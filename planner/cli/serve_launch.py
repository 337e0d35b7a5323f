"""planner serve --launch: a deployment as the commands that start and measure it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from planner.cli.request import within
from planner.errors import EXIT_NOTHING_FITS, PlannerError

if TYPE_CHECKING:
    from planner.launch.engines.deployment import Deployment
    from planner.launch.engines.target import ServingTarget
    from planner.questions.serve import ServeAnswer


def check_options(wanted: bool, explain: bool, number: int | None, out: Path | None, as_json: bool) -> None:
    """Refuse options that only make sense with --launch, or not with it.

    Raises:
        PlannerError: which one.
    """
    for name, given in (("--plan", number is not None and not explain), ("--out", out is not None)):
        if given and not wanted:
            raise PlannerError(f"{name} chooses what --launch writes", f"planner serve ... --launch {name} ...")
    if wanted and explain:
        raise PlannerError("--launch writes a script, --explain says how its numbers came about: leave one out")
    if wanted and as_json:
        raise PlannerError("--launch writes a shell script, --json an answer: leave one out")
    if number is not None:
        within("--plan", number)


def launch(answer: ServeAnswer, number: int, out: Path | None, quiet: bool) -> None:
    """Write deployment `number` of the ranking: one script on stdout, or files into a directory."""
    from planner.cli.launch import deliver
    from planner.cli.screen import notes
    from planner.launch.engines import find_engine
    from planner.launch.engines.script import files, notes_of, text
    from planner.launch.program import File

    question, ranked = answer.question, answer.choice.ranked
    target = find_engine(question.job.engine)
    if not ranked:
        notes(("nothing does what was asked: the same without --launch says why",), quiet)
        raise typer.Exit(EXIT_NOTHING_FITS)
    if number > len(ranked):
        raise PlannerError(f"there are {len(ranked)} deployments, no number {number}", "planner serve shows them")
    every = [_runnable(target, answer, n) for n in range(len(ranked))]
    chosen = every[number - 1]
    _refuse(target, chosen, every)
    notes(notes_of(target, chosen), quiet)
    written = files(target, chosen) if out is not None else (File("serve.sh", text(target, chosen)),)
    deliver(written, out, False, quiet)


def _runnable(target: ServingTarget, answer: ServeAnswer, number: int) -> Deployment:
    """Of the layouts that a row of the ranking stands for the first that the engine runs, or the row's own."""
    from planner.launch.engines.deployment import Deployment

    question, choice = answer.question, answer.choice
    options = (choice.ranked[number], *choice.alike[number])
    found = [Deployment(question.job, option, question.together) for option in options]
    return next((d for d in found if target.broken(d) is None), found[0])


def _refuse(target: ServingTarget, chosen: Deployment, every: list[Deployment]) -> None:
    """Stop at what the engine cannot run, with options that avoid it and the next deployment that it can."""
    from planner.report.serving_words import layout

    rule = target.broken(chosen)
    if rule is None:
        return
    hints = [f"rule: {rule.name} ({rule.source})", rule.nearest(chosen)]
    runs = next((n for n, d in enumerate(every, start=1) if target.broken(d) is None), None)
    if runs is not None:
        hints.append(f"best deployment that {target.title} runs: --plan {runs} ({layout(every[runs - 1].option)})")
    raise PlannerError(rule.says(chosen), hints)
