"""Many questions in one file: lists of models, clusters, batches and any other option, every combination a cell."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from inspect import Parameter, signature
from itertools import product
from typing import Any

from planner.accuracy.bands import band
from planner.catalog.clusters import find_cluster
from planner.catalog.library import open_library
from planner.catalog.yamlfile import parse_yaml
from planner.errors import PlannerError, suggest
from planner.question import ask
from planner.recommend import best, usable_memory
from planner.report.words import recompute_name

PINS = ("tp", "cp", "ep", "pp", "dp", "v", "zero", "sp", "head", "recompute_layers")
OPTIONS = (*(n for n, p in signature(ask).parameters.items() if p.kind is not Parameter.VAR_KEYWORD), *PINS)
"""What a sweep may vary: the options of `recommend`, with dashes or underscores."""

WHOLE = {"seq", "global_batch", "lora_rank"}
"""Options that are whole numbers; the rest is text, as on the command line."""

MOST_CELLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Cell:
    """One question: its options by name, and a name of its own that only they decide."""

    options: tuple[tuple[str, Any], ...]

    @property
    def id(self) -> str:
        """The same for the same options, whatever their order and whatever else is in the sweep."""
        text = json.dumps(dict(sorted(self.options)), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()[:16]


def read_sweep(text: str, where: str) -> tuple[Cell, ...]:
    """The cells of a sweep in YAML: options, each with one value or a list of them.

    Raises:
        PlannerError: no mapping, an unknown option, a value that no option has, or a name that no profile answers to.
    """
    value, _ = parse_yaml(text, where)
    if not isinstance(value, dict) or not value:
        raise PlannerError(f"{where}: a sweep is a list of options with their values", _EXAMPLE)
    choices = {_option(str(key), where): _values(str(key), found, where) for key, found in value.items()}
    for name in ("model", "gpus"):
        if name not in choices:
            raise PlannerError(f"{where}: {name} is missing", _EXAMPLE)
    count = 1
    for found in choices.values():
        count *= len(found)
    if count > MOST_CELLS:
        raise PlannerError(f"{where}: {count:,} cells, at most {MOST_CELLS:,}", "split the file")
    _check_names(choices)
    cells = (Cell(tuple(zip(choices, row, strict=True))) for row in product(*choices.values()))
    return tuple({cell.id: cell for cell in cells}.values())


_EXAMPLE = ("model: [llama3.1-8b, llama3.1-70b]", "gpus: [8xH100, 2x8xH100]", "global-batch: [256, 512]")


def _option(key: str, where: str) -> str:
    """The option that a key names; "models" and "clusters" are taken for what they are."""
    name = key.replace("-", "_")
    name = {"models": "model", "clusters": "gpus", "cluster": "gpus", "batch": "global_batch"}.get(name, name)
    if name not in OPTIONS:
        near = suggest(name, OPTIONS)
        raise PlannerError(f"{where}: {key!r:.40} is no option of a sweep", f"known: {', '.join(near or OPTIONS)}")
    return name


def _values(key: str, found: object, where: str) -> list[Any]:
    values = found if isinstance(found, list) else [found]
    name = _option(key, where)
    if not values:
        raise PlannerError(f"{where}: {key} has no values")
    for value in values:
        wrong = not isinstance(value, int) if name in WHOLE else not isinstance(value, str | int)
        if (wrong or isinstance(value, bool)) and not (name == "strict" and isinstance(value, bool)):
            kind = "a whole number" if name in WHOLE else "a word or a number"
            raise PlannerError(f"{where}: {key}: {value!r:.40} is not {kind}")
    return [value if name in WHOLE or isinstance(value, bool) else str(value) for value in values]


def _check_names(choices: dict[str, list[Any]]) -> None:
    """Look every name up once, so that a typing mistake does not fill a file with refusals."""
    for profiles in choices.get("profiles", [None]):
        library = open_library(profiles)
        for name in choices["model"]:
            library.model(name)
        for text in choices["gpus"]:
            find_cluster(text, library)
        for name in choices.get("framework", []):
            library.framework(name)


def run_cell(cell: Cell) -> dict[str, Any]:
    """The best plan of a cell as one flat record: fits, or why not."""
    options = dict(cell.options)
    record: dict[str, Any] = {"cell": cell.id, **options}
    try:
        question = ask(options.pop("model"), options.pop("gpus"), **options)
        found = best(question.job, question.bounds)
    except PlannerError as error:
        return record | empty() | {"status": "refused", "reason": str(error)}
    if found is None:
        return record | empty() | {"status": "does not fit", "reason": "no legal plan fits as asked"}
    p, job = found.plan, question.job
    return record | {
        "status": "fits",
        "reason": "",
        "accelerator": job.cluster.accelerator.name,
        "total_gpus": job.cluster.gpus,
        "nodes": job.cluster.nodes,
        "sequences_per_step": job.workload.global_batch,
        "tokens_per_sequence": job.workload.seq,
        "step_time_s": found.step_time,
        "step_time_band": band(job, p).width,
        "tokens_per_second": float(found.tokens_per_second),
        "mfu": float(found.mfu),
        "peak_memory_bytes": found.need,
        "usable_memory_bytes": usable_memory(job),
        "plan_tp": p.tp,
        "plan_cp": p.cp,
        "plan_ep": p.ep,
        "plan_pp": p.pp,
        "plan_v": p.v,
        "plan_dp": p.dp,
        "plan_micro_batch": p.b,
        "plan_micro_batches": p.m,
        "plan_zero": p.zero,
        "plan_schedule": p.schedule,
        "plan_recompute": recompute_name(job, p),
    }


RESULTS = [
    *("status", "reason", "accelerator", "total_gpus", "nodes", "sequences_per_step", "tokens_per_sequence"),
    *("step_time_s", "step_time_band", "tokens_per_second", "mfu", "peak_memory_bytes", "usable_memory_bytes"),
    *("plan_tp", "plan_cp", "plan_ep", "plan_pp", "plan_v", "plan_dp", "plan_micro_batch", "plan_micro_batches"),
    *("plan_zero", "plan_schedule", "plan_recompute"),
]
"""Fields of a record behind the cell's own options, in order."""


def empty() -> dict[str, Any]:
    """A record's results before there are any."""
    return dict.fromkeys(RESULTS)


def columns(cells: Sequence[Cell]) -> list[str]:
    """Fields of every record of a sweep, in order."""
    return ["cell", *(name for name, _ in cells[0].options), *RESULTS]


def left(cells: Sequence[Cell], done: Container[str]) -> Iterator[Cell]:
    """The cells that no record is there for yet."""
    return (cell for cell in cells if cell.id not in done)
