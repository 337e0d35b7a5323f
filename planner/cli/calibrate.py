"""planner calibrate: fit a machine's profiles to runs of one's own."""

from __future__ import annotations

import re
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.answers import answered
from planner.cli.request import Request, asks, takes_request
from planner.errors import PlannerError

if TYPE_CHECKING:
    from planner.accuracy.corpus import Case
    from planner.accuracy.logruns import Said
    from planner.accuracy.logs import Log

_OUT = "Output"
_RUNS = "CSV files of measured runs (the columns of planner validate)"
_LOG = "Training log of Megatron-LM, DeepSpeed or torchtitan; repeatable"
_NAME = "Name of the new profiles (default: the packaged ones' with -calibrated)"
_JOB = "The job"

CELLS = {
    "tp": "tp",
    "pp": "pp",
    "v": "vp",
    "dp": "dp",
    "cp": "cp",
    "ep": "ep",
    "micro_batch": "micro_batch",
    "zero": "zero_stage",
    "seq": "seq_len",
    "global_batch": "global_batch",
}
"""Options that are whole numbers, and the cells of the common format that they fill."""

MOST = 1000
"""Runs that are fitted at once; the constants are known after fifty."""


def calibrate(
    request: Request,
    files: Annotated[list[Path] | None, typer.Argument(help=_RUNS, show_default=False)] = None,
    log: Annotated[list[Path] | None, asks(None, "--log", says=_LOG)] = None,
    ds_config: Annotated[Path | None, asks(None, "--ds-config", says="DeepSpeed's JSON config, beside its log")] = None,
    out: Annotated[Path, asks(_OUT, "--out", "-o", says="Folder for the profiles")] = Path("calibrated"),
    name: Annotated[str | None, asks(_OUT, "--name", says=_NAME)] = None,
) -> None:
    """Fit the few constants that 1 to 50 of your own runs determine, and write them as profiles.

    Runs come as CSV rows or as training logs. What a log lacks is given by the options of `recommend`: --gpus always,
    --model, --seq, --tp ... where the log does not say. All runs are of one machine and one framework.
    """
    from planner.cli.screen import notes

    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,60}", name):
        raise PlannerError(f"--name {name!r:.60} is no legal name", "letters, digits and . _ + -")
    if not files and not log:
        raise PlannerError(
            "nothing to calibrate to", ["planner calibrate runs.csv", "planner calibrate --log train.log -g 8xA100"]
        )
    cases, said = _cases(request, files or [], log or [], ds_config)
    notes(said, request.quiet)
    from planner.accuracy.calibrate import calibrate as fit
    from planner.accuracy.overlay import commands, overlay, write_overlay
    from planner.report import calibration

    result = fit(cases)
    profiles = overlay(result, name, date.today().isoformat())
    written = write_overlay(profiles, out)
    framework, gpus = commands(profiles, result.job.cluster.gpus)
    following = f"planner recommend --profiles {out} --framework {framework} -g {gpus} -m MODEL"
    answered(
        lambda: calibration.document(result, written, framework, gpus),
        partial(calibration.text, result, written, following),
        request.as_json,
    )


def _cases(
    request: Request, files: list[Path], logs: list[Path], ds_config: Path | None
) -> tuple[list[Case], tuple[str, ...]]:
    """The runs of all files and logs, and what was assumed or left out."""
    from planner.accuracy.logruns import log_cases
    from planner.accuracy.logs import read_log

    cases, notes = _of_tables(request, files) if files else ([], [])
    if logs:
        read = [read_log(path) for path in logs]
        for one in read:
            said, assumed = _said(request, one, ds_config)
            found, more = log_cases(one, said)
            cases += found
            notes += [*assumed, *more]
    if not cases:
        raise PlannerError(
            f"{', '.join(map(str, files))[:200]}: no run that can be used", list(dict.fromkeys(notes))[:5]
        )
    if len(cases) > MOST:
        raise PlannerError(f"{len(cases):,} measurements", f"take {MOST:,} at most; 50 tell as much")
    return cases, tuple(dict.fromkeys(notes))


def _of_tables(request: Request, files: list[Path]) -> tuple[list[Case], list[str]]:
    """Cases with a time or a peak and a plan that is known, and why the others are not among them."""
    from planner.accuracy.corpus import Corpus
    from planner.accuracy.machines import Shelf
    from planner.accuracy.rows import read_table
    from planner.catalog.library import open_library

    corpus = Corpus(Shelf(open_library(request.profiles, request.strict)))
    for path in files:
        corpus.add(read_table(path).rows)
    notes = [f"{skip.id or 'a row'}: {skip.reason}" for skip in corpus.skipped]
    notes += [f"{case.id}: does not say what was recomputed" for case in corpus.cases if case.alternatives]
    usable = [c for c in corpus.cases if not c.alternatives and (c.step is not None or c.peak is not None)]
    return usable, notes


def _said(request: Request, log: Log, ds_config: Path | None) -> tuple[Said, list[str]]:
    """What the options say about a log."""
    from planner.accuracy.logruns import Said, preset_of
    from planner.accuracy.logs import deepspeed_facts
    from planner.accuracy.machines import Shelf
    from planner.catalog.clusters import find_cluster
    from planner.catalog.fabric import on_network
    from planner.catalog.library import open_library
    from planner.questions.ask import adapters

    if not request.gpus:
        raise PlannerError(f"{log.path}: a log does not name its machine", "--gpus 4x8xH100")
    library = open_library(request.profiles, request.strict)
    cells = (deepspeed_facts(ds_config) if ds_config else {}) | _cells(request)
    cluster = find_cluster(on_network(request.gpus, request.network), library)
    shape = library.model(request.model) if request.model else None
    name, notes = request.framework, [*cluster.assumptions, *(shape.assumptions if shape else ())]
    if not name:
        name = preset_of(log, cells)
        notes.append(f"{log.path.name} is a log of {log.kind}: preset {name}; --framework names another")
    preset = library.framework(name)
    fields = ("attention", "method", "optimizer", "offload", "loss")
    workload = {field: getattr(request, field) for field in fields} | adapters(request.method, request.lora_rank)
    layers = _whole("--recompute-layers", request.recompute_layers)
    model = shape.value if shape else None
    said = Said(Shelf(library), model, cluster.value, preset.value, cells, workload, layers)
    return said, [*notes, *preset.assumptions]


def _cells(request: Request) -> dict[str, str]:
    """Options as cells of the common format; those not given are absent."""
    numbers = {cell: _whole(f"--{field.replace('_', '-')}", getattr(request, field)) for field, cell in CELLS.items()}
    cells = {cell: str(value) for cell, value in numbers.items() if value is not None}
    texts = {"recompute": request.recompute, "schedule": request.schedule, "precision": request.precision}
    cells |= {cell: value for cell, value in texts.items() if value is not None}
    if request.sp is not None:
        cells["sequence_parallel"] = "yes" if _whole("--sp", request.sp) else "no"
    from planner.schema.workload import STORING

    return cells | {"flash_attention": "no" if request.attention in STORING else "yes"}


def _whole(option: str, value: str | int | None) -> int | None:
    """One whole number: a run has one layout, not a range."""
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", str(value).strip()):
        raise PlannerError(f"{option} {value!r:.40}: a run has one value", f"{option} 4")
    return int(value)


_model = asks(_JOB, "--model", "-m", says="Model of the logs, as for recommend (default: the log's)")
_gpus = asks(_JOB, "--gpus", "-g", says="Cluster of the logs: 8xA100, 16x8xH100 ...")

command = takes_request(calibrate, model=Annotated[str, _model], gpus=Annotated[str, _gpus])
