"""planner launch: a plan as flags, configuration and job script."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from planner.cli.ranking import GPUS, MODEL, Answer, chosen, examples_of, leave, of_answer, wants_answer
from planner.cli.request import Request, asks, takes_request, within
from planner.errors import NotAsAsked, PlannerError

if TYPE_CHECKING:
    from planner.launch.program import File, Program, Setup, Target

EXAMPLES = examples_of("launch")
_OUT = "Output"
_TARGET = "Framework to write for: megatron, torchtitan, deepspeed ... (--target all names them; default: what the "
_TARGET += "preset is for)"
_LAUNCHER = "torchrun, slurm, trainjob, skypilot, dstack, deepspeed, or none: bare flags or configuration"


def launch(
    request: Request,
    answer: Answer = None,
    plan: Annotated[int, asks(_OUT, says="Which plan of the ranking")] = 1,
    target: Annotated[str | None, asks(_OUT, says=_TARGET)] = None,
    launcher: Annotated[str, asks(_OUT, says=_LAUNCHER)] = "torchrun",
    out: Annotated[Path | None, asks(_OUT, "--out", "-o", says="Directory to write files to")] = None,
    dry_run: Annotated[bool, asks(_OUT, "--dry-run", says="List the files instead")] = False,
    image: Annotated[str | None, asks(_OUT, says="Container image of the job")] = None,
) -> None:
    """Write a plan for the framework that runs it: flags, configuration files, job script.

    The plan is number --plan of the ranking that `recommend` gives for the same options, or of a JSON answer. What
    comes out is a short run on mock data where the framework has any, so that the plan can be measured.
    """
    within("--plan", plan)
    from planner.cli.infile import read_text
    from planner.cli.screen import notes
    from planner.launch.launchers import LAUNCHERS
    from planner.launch.program import Setup
    from planner.launch.seeing import decoder_alone
    from planner.launch.targets import TARGETS, find_target, known_name

    known_name("--launcher", launcher, (*LAUNCHERS, "none"))
    if request.as_json:
        raise PlannerError("launch writes a framework's own files, no JSON", "planner recommend --json has the plan")
    if target is not None:
        known_name("--target", target, TARGETS)
        request = replace(request, framework=request.framework or TARGETS[target].preset)
    if wants_answer(request, answer, EXAMPLES):
        ranked = of_answer(request, read_text(answer or "-"), plan, EXAMPLES).ranked
        setup, fits, as_asked, facts = Setup(ranked.job, ranked.plan), True, True, ""
    else:
        setup, fits, as_asked, facts = _ranked(request, plan, target)
    chosen = find_target(target, setup)
    _refuse(chosen, setup, as_asked)
    program = chosen.program(setup)
    files = _files(chosen, setup, program, launcher, image, facts, out is None)
    notes(
        (*program.notes, *(() if chosen.towers else decoder_alone(setup)), f"checked against {chosen.versions}"),
        request.quiet,
    )
    deliver(files, out, dry_run, request.quiet)
    leave(fits, as_asked, request.quiet)


def _ranked(request: Request, number: int, target: str | None) -> tuple[Setup, bool, bool, str]:
    """Plan `number` of the ranking, whether it fits, whether it is what was asked, and its numbers in a line."""
    one = chosen(request, number, target)
    from planner.launch.program import Setup
    from planner.report.words import summary

    return Setup(one.ranked.job, one.ranked.plan), one.fits, one.as_asked, summary(one.ranked)


INSTEAD: tuple[dict[str, Any], ...] = (
    {},
    *({"optimizer": name} for name in ("adam-bf16", "adam")),
    *({"attention": "flash"}, {"offload": "none"}, {"loss": "eager"}),
    *({"tower": "frozen"}, {"tower": "trained"}, {"images": 0}),
)
"""What is changed of a job, in this order, until a target runs a plan of it: each of what it has not."""


def _refuse(target: Target, setup: Setup, as_asked: bool) -> None:
    """Stop at what the target cannot express, with the nearest plan that it can.

    Raises:
        PlannerError: NotAsAsked where the plan is no mistake of the user's, but what a job that does not fit gives up.
    """
    from planner.launch.nearest import nearest
    from planner.launch.targets import recipes_of, refusal, rules_of
    from planner.report.words import degrees
    from planner.training.space import recompute_name

    rule = refusal(target, setup)
    if rule is None:
        return
    hints = [f"rule: {rule.name} ({rule.source})"]
    if rule.name == "recipe":
        hints.append(f"recipes that it has: --precision {', '.join(recipes_of(target))}")
    for instead in INSTEAD:
        if any(getattr(setup.job.workload, name) == value for name, value in instead.items()):
            continue
        job = replace(setup.job, workload=setup.job.workload.model_copy(update=instead))
        for one in (change.ranked for change in nearest(job, setup.plan, rules_of(target), keep=1)):
            said = "".join(f"--{name} {value}, " for name, value in instead.items())
            policy = recompute_name(one.job, one.plan)
            hints.append(f"nearest plan that {target.title} runs: {said}{degrees(one.plan)}, recompute {policy}")
        if "nearest" in hints[-1]:
            break
    if len(hints) == 1:
        hints.append(f"no plan of this job is one that {target.title} runs: what is asked of it has to change")
    raise (PlannerError if as_asked else NotAsAsked)(rule.message(setup.job, setup.plan), hints)


def _files(
    target: Target, setup: Setup, program: Program, launcher: str, image: str | None, facts: str, embed: bool
) -> tuple[File, ...]:
    """What is to be written, the main file first."""
    from planner.launch.header import headed, header
    from planner.launch.launchers import LAUNCHERS
    from planner.launch.launchers.launcher import Options
    from planner.launch.program import File, only_file

    lines = header(target, setup, "" if launcher == "none" else facts)
    own = tuple(headed(file, lines) for file in program.files)
    if launcher == "none":
        return own if target.bare is only_file else (headed(File("flags.txt", target.bare(program)), lines), *own)
    options = Options(lines, embed, image=image)
    own = () if embed else own
    return (*LAUNCHERS[launcher].files(setup, program, options), *own)


def deliver(files: tuple[File, ...], out: Path | None, dry_run: bool, quiet: bool) -> None:
    """To stdout, or whole files into a directory."""
    from planner.cli.outfile import save_all
    from planner.cli.screen import notes

    if dry_run:
        where = out or Path()
        sys.stdout.write("".join(f"{where / file.name}  {len(file.text.encode()):,} bytes\n" for file in files))
    elif out is None:
        sys.stdout.write("".join(file.text for file in files))
    else:
        save_all(out, {file.name: file.text for file in files})
        notes(tuple(f"wrote {out / file.name}" for file in files), quiet)


command = takes_request(launch, model=MODEL, gpus=GPUS)
"""What `planner launch` runs."""
