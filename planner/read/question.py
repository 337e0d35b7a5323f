"""A script or configuration that people have, understood: its job, its plan, and what had to be assumed."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from planner.catalog.clusters import find_cluster
from planner.catalog.fabric import on_network
from planner.catalog.library import Library, unknown
from planner.errors import PlannerError
from planner.launch.check import setup_of
from planner.launch.header import completed, read_header, silent, stated, unread
from planner.launch.program import Setup
from planner.read.answer import read_answer
from planner.read.context import Context
from planner.read.format import find_format
from planner.read.reading import Reading
from planner.read.script import kind_of, read_any
from planner.schema.hardware import Cluster
from planner.schema.model import Model

PRESETS = {
    "megatron": "megatron-core",
    "megatron-deepspeed": "megatron-deepspeed",
    "deepspeed": "megatron-deepspeed",
    "torchtitan": "torchtitan",
}
"""Whose kernels a file is timed with unless --framework says."""


NAMES = ("model", "gpus", "framework", "network")
GIVEN = ("seq", "global_batch", "micro_batch", "tp", "pp", "images", "image_size", "plan")
"""What may be said beside a file: names, and numbers; of an answer of the planner, which of its plans."""


def understood(
    text: str,
    library: Library,
    beside: Callable[[str], str | None],
    names: dict[str, str | None],
    given: dict[str, Any],
    variables: dict[str, str],
) -> tuple[Setup, Reading, tuple[str, ...]]:
    """The job and plan of a file; what is said beside it goes before what its own header says.

    Args:
        beside: the text of a file that it names, None where there is none. variables: what it takes from outside.
        names: by NAMES. given: by GIVEN, None where it is not said.

    Raises:
        PlannerError: whatever is wrong with the file or with what is said.
    """
    number, given = given.get("plan"), {name: value for name, value in given.items() if name != "plan"}
    said = read_header(text)
    if kind_of(text) == "json" and '"schema": "planner.' in text[:300]:
        return _answered(text, library, names, given, number or 1)
    if number is not None:
        raise PlannerError("the file holds one plan: --plan chooses among those of an answer", "leave --plan out")
    cluster, assumed = _cluster(library, names["gpus"] or said.get("gpus"), names["network"])
    shape = _model(library, names["model"], said.get("model"))
    vocabulary = shape.vocab if shape else None
    known = Context(cluster.gpus, vocabulary, variables, beside, cluster.nodes, partial(_known, library), given["seq"])
    reading = unread(said) or completed(read_any(text, known), said)
    if shape is None and reading.model is None and reading.model_name:
        shape, called = _named(library, reading.model_name)
        assumed = (*assumed, *called)
    timed = reading.timed_as or _preset(library, reading, cluster.gpus)
    preset = library.framework(names["framework"] or said.get("framework") or timed)
    own = {name: value for name, value in stated(said).items() if silent(reading, name)}
    fields = own | {{"micro_batch": "b"}.get(n, n): value for n, value in given.items() if value is not None}
    setup, more = setup_of(reading, cluster, preset.value, shape, **fields)
    return setup, reading, (*assumed, *more, *_unheeded(setup, given))


def _unheeded(setup: Setup, given: dict[str, Any]) -> tuple[str, ...]:
    """What was said beside a file that says otherwise, which holds."""
    plan, job = setup.plan, setup.job.workload
    holds = {"micro_batch": plan.b, "tp": plan.tp, "pp": plan.pp}
    held = {name: holds.get(name, getattr(job, name, None)) for name, said in given.items() if said is not None}
    return tuple(
        f"--{name.replace('_', '-')} {given[name]:,} changes nothing: the file says {value:,}"
        for name, value in held.items()
        if value != given[name] and (name != "image_size" or job.images)
    )


def _preset(library: Library, reading: Reading, gpus: int) -> str:
    """Whose speed the file is timed with."""
    if not reading.form:
        return PRESETS[reading.target]
    own = ("deepspeed-zero3",) if reading.target == "deepspeed" and reading.plan.get("zero") == 3 and gpus > 1 else ()
    first, *rest = find_format(reading.form).presets
    if first == "hf" and reading.target == "accelerate" and reading.plan.get("zero", 0) > 1:
        first, rest = "hf-fsdp", ["hf", *rest]
    known = library.names("framework")
    zero = reading.plan.get("zero", 0)
    fsdp = zero > 0 and reading.target != "deepspeed"
    for name in (first, *own, *rest):
        preset = library.framework(name).value if name in known else None
        if preset is not None and zero in preset.zero and not (preset.tunes and fsdp and not preset.shard_is_master):
            return str(name)
    return "any"


def _known(library: Library, name: str) -> Model | None:
    """A model by what a file calls it, None where nobody knows it."""
    try:
        return _named(library, name)[0]
    except PlannerError:
        return None


def _named(library: Library, name: str) -> tuple[Model, tuple[str, ...]]:
    """The model that a file names, by its name, its Hugging Face id or the last part of its path.

    Raises:
        UnknownName: none of them is known; says what comes near.
    """
    last = name.rstrip("/").rpartition("/")[2]
    bare = re.sub(r"(?i)([_-](unsloth|bnb|mcore|4bit|bf16|fp8|hf|dynamic|base|instruct))+$", "", last)
    for one in dict.fromkeys((name, last, bare)):
        found = library.lookup("model", one) if one else None
        if found is not None:
            model: Model = found.value
            same = one == name or name.count("/") == 1
            return model, found.assumptions if same else (f"{name:.80} is taken as {model.name}, by its last part",)

    error = unknown(library, ("model",), last or name)
    raise type(error)(
        f"the file trains {name!r:.80}, which is no model that is known here",
        (*error.hint[:1], "name it: --model llama3.1-8b, or a config.json"),
    )


def _answered(
    text: str, library: Library, names: dict[str, str | None], given: dict[str, Any], number: int
) -> tuple[Setup, Reading, tuple[str, ...]]:
    """Plan `number` of an answer of the planner."""
    job, plan = read_answer(text, library, names["gpus"], names["framework"], names["network"]).chosen(number)
    target = job.framework.target or "megatron"
    setup, model = Setup(job, plan), names["model"]
    other = (f"--model {model} changes nothing: the answer is of {job.model.name}",) if model else ()
    return setup, Reading(target, job.model), (*other, *_unheeded(setup, given))


def _cluster(library: Library, text: str | None, network: str | None) -> tuple[Cluster, tuple[str, ...]]:

    if text is None:
        raise PlannerError("--gpus is missing: a script does not say what it runs on", "--gpus 4x8xH100")
    found = find_cluster(on_network(text, network), library)
    return found.value, found.assumptions


def _model(library: Library, named: str | None, said: str | None) -> Model | None:
    """The model that the user names, or the one in the header if the catalogue has it."""
    if named is not None:
        return library.model(named).value
    found = library.lookup("model", said) if said else None
    model: Model | None = found.value if found else None
    return model
