"""The comment on top of everything that is written, and the line in it that `planner check` reads back."""

from __future__ import annotations

import re
from dataclasses import replace
from shlex import join, split
from typing import Any

from planner import __version__
from planner.catalog.clusters import cluster_spec
from planner.catalog.yamlfile import table
from planner.launch.program import File, Setup, Target
from planner.plan import INTEGERS, WHOLE, Plan
from planner.read.reading import Reading
from planner.schema.workload import Workload
from planner.training.trade import trade
from planner.units import whole_number

MARK = "planner-options:"
"""Begins the line with the whole request, of which the file's own keys hold what their framework has words for."""

PLAN = (*(name for name in INTEGERS if name not in ("dp", "m")), "schedule", "modules", "dispatcher", "overlap")
"""Fields of Plan that an option sets: dp and m follow, a layout has none."""

NAMES = {"b": "micro-batch", "graphs": "cuda-graphs", "capacity": "capacity-factor", "context": "cp-comm"}
NAMES |= {"modules": "recompute-modules", "overlap": "expert-overlap"}
NAMES |= {name: name.replace("_", "-") for name in (*Workload.model_fields, *PLAN) if name not in NAMES}
"""Fields of Workload and Plan by the option that sets them."""

USUAL = {name: field.default for name, field in Workload.model_fields.items()}
SAID = table("launch", "tables/header.yaml")
ALWAYS, ASSUMED, UNREAD = (SAID[name].split() for name in ("always", "assumed", "unread"))
SILENT: dict[str, list[str]] = {name: [*ASSUMED, *more.split()] for name, more in SAID["silent"].items()}
CALLED: dict[str, str] = SAID["called"]


def header(target: Target, setup: Setup, facts: str) -> tuple[str, ...]:
    """What the file is, for which plan, checked against what; then the options behind MARK."""
    job = setup.job
    said = f"{job.model.name} on {job.cluster.gpus} x {job.cluster.accelerator.name}"
    lines = [f"planner {__version__}, {said}", f"{target.title}: checked against {target.versions}"]
    lines += [facts] if facts else []
    traded = trade(job, setup.plan)
    words = [*options(setup), *(["--cp-comm", traded.kind] if traded and job.workload.context is None else [])]
    words += ["--layout", ",".join(setup.plan.layout)] if setup.plan.layout else []
    return (*lines, f"{MARK} {join([*words, '--target', target.name])}")


def headed(file: File, lines: tuple[str, ...]) -> File:
    """A file under these lines as comments, where its format has any."""
    comments = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    return file if file.name.endswith(".json") else File(file.name, comments + file.text)


def options(setup: Setup) -> list[str]:
    """The request as the words of a command that asks for this job and plan."""
    job, plan = setup.job, setup.plan
    words = ["--model", job.model.name, "--gpus", cluster_spec(job.cluster), "--framework", job.framework.name]
    plain = Plan()
    for name, option in NAMES.items():
        source, usual = (plan, getattr(plain, name)) if name in PLAN else (job.workload, USUAL[name])
        value = getattr(source, name)
        if value != usual or name in ALWAYS:
            words += [f"--{option}", *_text(value, name)]
    return words


def _text(value: Any, name: str) -> list[str]:
    """The words behind an option: none behind a switch."""
    if isinstance(value, bool):
        return ["1"] if name in PLAN else []
    return [",".join(value) if isinstance(value, tuple) else str(value)]


def read_header(text: str) -> dict[str, str]:
    """The options behind MARK: model, gpus, framework, and fields of Workload and Plan; nothing without such a line."""
    found = re.search(rf"^[^\w\n]*{MARK} (.*)$", text, re.MULTILINE)
    if found is None:
        return {}
    try:
        words = split(found[1])
    except ValueError:
        return {}
    fields = {f"--{option}": name for name, option in NAMES.items()}
    fields |= {f"--{name}": name for name in ("model", "gpus", "framework", "target", "layout")}
    following = [*words[1:], "--"]
    return {
        fields[word]: "true" if value.startswith("--") else value
        for word, value in zip(words, following, strict=True)
        if word in fields
    }


def stated(said: dict[str, str]) -> dict[str, Any]:
    """Fields of Workload and Plan that a header says, numbers as such; what is none is left out."""
    counts = {name: count for name, text in said.items() if (count := whole_number(text)) is not None}
    numbers = {name: count for name, count in counts.items() if name in INTEGERS}
    return numbers | {name: counts.get(name, text) for name, text in said.items() if name in USUAL}


def unread(said: dict[str, str]) -> Reading | None:
    """The plan of a file that holds it in code; None where its target has a format that is read."""
    target = said.get("target", "")
    if target not in UNREAD:
        return None
    note = f"the plan is that of the line {MARK} above the code, which is not read itself"
    fields = stated(said)
    workload = {name: value for name, value in fields.items() if name in USUAL}
    plan = {name: value for name, value in fields.items() if name in INTEGERS}
    plan |= {name: _policy(name, said[name]) for name in WHOLE if name in said}
    return Reading(target, None, workload, plan, notes=(note,), timed_as=said.get("framework", "any"))


def _policy(name: str, text: str) -> Any:
    """A field that holds for a whole batch of plans."""
    if name == "overlap":
        return text in ("1", "true")
    return tuple(text.split(",")) if name in ("modules", "layout") else text


def completed(reading: Reading, said: dict[str, str]) -> Reading:
    """The reading with what is not the default in the line, where the file says no more than the default."""
    if reading.form not in ("transformers", "trl"):
        return reading
    work, fields = reading.workload, stated(said)
    own = {name: fields[name] for name in SILENT.get(said.get("target", ""), ()) if name in fields}
    return replace(reading, workload=work | {k: v for k, v in own.items() if work.get(k, USUAL[k]) == USUAL[k]})


def silent(reading: Reading, name: str) -> bool:
    """Whether a file, being part of a job, does not say a field, so that the line does."""
    if reading.open is None or not reading.form:
        return name in SILENT.get("deepspeed" if reading.open is not None else "", ASSUMED)
    return not reading.keys.get(CALLED.get(name, name), ("", ""))[1]
