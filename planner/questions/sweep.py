"""Many questions in one file: lists of models, clusters, batches and any other option, every combination a cell."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from hashlib import sha256
from inspect import signature
from itertools import product
from math import prod
from typing import Any

from planner.bands import band, memory_range
from planner.catalog.clusters import find_cluster
from planner.catalog.fabric import on_network
from planner.catalog.library import Library, open_library
from planner.catalog.yamlfile import parse_yaml
from planner.errors import PlannerError, suggest
from planner.frozen import frozen, picked
from planner.questions.ask import ask
from planner.questions.given import ADAPTED, MORE
from planner.questions.option_names import ours
from planner.questions.train import Ranked, best
from planner.training.layouts import layout_string
from planner.training.space import recompute_name

KINDS = {name: one.annotation.partition(" ")[0] for name, one in signature(ask).parameters.items()} | MORE
VARIED = {name: kind for name, kind in KINDS.items() if name not in ("model", "gpus", "library", "options")}
OPTIONS = ("model", "gpus", *VARIED)
"""What a sweep may vary: the options of `recommend`, with dashes or underscores."""

SWITCHES = {name for name in OPTIONS if KINDS[name] == "bool"}
ADAPTERS = {"lora_rank", *ADAPTED}
"""Options that a cell without adapters leaves to the others."""

WHOLE = {name for name in OPTIONS if KINDS[name] == "int"}
REAL = {name for name in OPTIONS if KINDS[name] == "float"}
"""Options that are whole numbers, and other numbers; the rest is text, as on the command line."""

MOST_CELLS = 1_000_000


@frozen
class Cell:
    """One question: its options by name, and a name of its own that only they decide."""

    options: tuple[tuple[str, Any], ...]

    @property
    def id(self) -> str:
        """The same for the same options, whatever their order and whatever else is in the sweep."""
        text = json.dumps(dict(sorted(self.options)), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()[:16]


class Shelves(dict[tuple[str | None, bool], Library]):
    """Libraries that are open, by folder and strictness: a profile is read once, not per cell."""

    def __missing__(self, key: tuple[str | None, bool]) -> Library:
        return self.setdefault(key, open_library(*key))


@frozen
class Sweep:
    """Every combination of some options' values.

    Attributes:
        choices: the values of each option, none of them twice.
    """

    choices: dict[str, tuple[Any, ...]]
    shelves: Shelves

    @property
    def count(self) -> int:
        """How many cells."""
        return prod(map(len, self.choices.values()))

    def cells(self) -> Iterator[Cell]:
        """All of them, the last option's values changing first."""
        return (Cell(tuple(zip(self.choices, row, strict=True))) for row in product(*self.choices.values()))

    def left(self, done: Container[str]) -> Iterator[Cell]:
        """The cells that no record is there for yet."""
        return (cell for cell in self.cells() if cell.id not in done)

    def progress(self, done: Mapping[str, bool]) -> tuple[int, bool]:
        """How many cells are done, and whether one of them fits; `done` may hold cells of other sweeps."""
        there = [done[cell.id] for cell in self.cells() if cell.id in done] if done else []
        return len(there), any(there)

    @property
    def columns(self) -> list[str]:
        """Fields of every record, in order."""
        return ["cell", *self.choices, *RESULTS]

    def run(self, cell: Cell) -> dict[str, Any]:
        """The best plan of a cell as one flat record: fits, or why not."""
        options = dict(cell.options)
        record = {"cell": cell.id, **options, **dict.fromkeys(RESULTS)}
        if {"lora", "qlora"} & set(self.choices.get("method", ())) and options["method"] == "full":
            options = {name: value for name, value in options.items() if name not in ADAPTERS}  # of the cells beside it
        try:
            library = self.shelves[options.pop("profiles", None), options.pop("strict", False)]
            question = ask(options.pop("model"), options.pop("gpus"), library=library, **options)
            found = best(question.job, question.bounds)
        except PlannerError as error:
            return record | {"status": "refused", "reason": str(error)}
        if found is None:
            return record | {"status": "does not fit", "reason": "no legal plan fits as asked"}
        return record | {"status": "fits", "reason": ""} | measures(found)


def read_sweep(text: str, where: str) -> Sweep:
    """A sweep in YAML: options, each with one value or a list of them.

    Raises:
        PlannerError: no mapping, an unknown option, a value that no option has, or a name that no profile answers to.
    """
    value, _ = parse_yaml(text, where)
    if not isinstance(value, dict) or not value:
        raise PlannerError(f"{where}: a sweep is a list of options with their values", _EXAMPLE)
    choices: dict[str, tuple[Any, ...]] = {}
    for key, found in value.items():
        name = _option(str(key), where)
        if name in choices:
            raise PlannerError(f"{where}: {key}: {name} is there already", "one list per option")
        choices[name] = _values(name, str(key), found, where)
    for name in ("model", "gpus"):
        if name not in choices:
            raise PlannerError(f"{where}: {name} is missing", _EXAMPLE)
    sweep = Sweep(choices, Shelves())
    if sweep.count > MOST_CELLS:
        raise PlannerError(f"{where}: {sweep.count:,} cells, at most {MOST_CELLS:,}", "split the file")
    _check_names(sweep)
    return sweep


_EXAMPLE = ("model: [llama3.1-8b, llama3.1-70b]", "gpus: [8xH100, 2x8xH100]", "global-batch: [256, 512]")


def _option(key: str, where: str) -> str:
    """The option that a key names; "models" and "clusters" are taken for what they are."""
    name = ours(key).replace("-", "_")
    name = {"models": "model", "clusters": "gpus", "cluster": "gpus", "batch": "global_batch"}.get(name, name)
    if name not in OPTIONS:
        near = suggest(name, OPTIONS)
        raise PlannerError(f"{where}: {key!r:.40} is no option of a sweep", f"known: {', '.join(near or OPTIONS)}")
    return name


def _values(name: str, key: str, found: object, where: str) -> tuple[Any, ...]:
    values = found if isinstance(found, list) else [found]
    if not values:
        raise PlannerError(f"{where}: {key} has no values")
    for value in values:
        if not _is_value(name, value):
            kind = "true or false" if name in SWITCHES else "a whole number" if name in WHOLE else "a word or a number"
            raise PlannerError(f"{where}: {key}: {value!r:.40} is not {kind}")
    plain = (value if name in WHOLE | REAL or isinstance(value, bool) else str(value) for value in values)
    return tuple(dict.fromkeys(plain))


def _is_value(name: str, value: object) -> bool:
    """Whether an option can have it. A word has no line breaks: a record is a line."""
    if name in SWITCHES or isinstance(value, bool):
        return name in SWITCHES and isinstance(value, bool)
    if name in REAL:
        return isinstance(value, int | float)
    return isinstance(value, int) or (name not in WHOLE and isinstance(value, str) and value.isprintable())


def _check_names(sweep: Sweep) -> None:
    """Look every name up once, so that a typing mistake does not fill a file with refusals."""
    for profiles in sweep.choices.get("profiles", (None,)):
        library = sweep.shelves[profiles, False]
        for name in sweep.choices["model"]:
            library.model(name)
        for text, network in product(sweep.choices["gpus"], sweep.choices.get("network", (None,))):
            find_cluster(on_network(text, network), library)
        for name in sweep.choices.get("framework", ()):
            library.framework(name)


def measures(one: Ranked) -> dict[str, Any]:
    """What a record says of a cell's best plan, in order."""
    plan, peak = one.plan, memory_range(one.job, one.need)
    low, high = (peak[0], peak[-1]) if peak else (None, None)
    own = {
        "step_time_band": band(one.job, plan).width,
        "memory_band_low_bytes": low,
        "memory_band_high_bytes": high,
        "usable_memory_bytes": one.capacity,
        "plan_recompute": recompute_name(one.job, plan),
        "plan_sequence_parallel": bool(plan.sp),
        "plan_recompute_modules": ",".join(plan.modules),
        "plan_layout": None if plan.layout is None else layout_string(plan.layout),
    }
    return picked(one, MEASURES, **own)


MEASURES = """
accelerator=job.cluster.accelerator.name total_gpus=job.cluster.gpus nodes=job.cluster.nodes
sequences_per_step=job.workload.global_batch tokens_per_sequence=job.workload.seq step_time_s=step_time step_time_band
tokens_per_second mfu peak_memory_bytes=need memory_band_low_bytes memory_band_high_bytes usable_memory_bytes
plan_tp=plan.tp plan_cp=plan.cp plan_ep=plan.ep plan_etp=plan.etp plan_pp=plan.pp plan_v=plan.v plan_dp=plan.dp
plan_micro_batch=plan.b plan_micro_batches=plan.m plan_zero=plan.zero plan_schedule=plan.schedule plan_recompute
plan_dispatcher=plan.dispatcher plan_expert_overlap=plan.overlap plan_dp_replicate=plan.dp_replicate
plan_sequence_parallel plan_head_layers=plan.head plan_recompute_layers=plan.recompute_layers plan_recompute_modules
plan_layout
"""

RESULTS = ("status", "reason", *(word.partition("=")[0] for word in MEASURES.split()))
"""Fields of a record behind the cell's own options, in order."""
