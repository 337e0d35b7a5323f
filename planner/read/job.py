"""What a configuration says of a job, in fields that all frameworks share, before a cluster is known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import isfinite, isqrt, prod
from typing import Any, get_args

from planner.catalog.yamlfile import table
from planner.errors import PlannerError
from planner.read.format import Format
from planner.read.table import Given, NotModelled, text_of
from planner.read.tree import Leaf, Tree
from planner.schema.workload import Workload

SAID = table("read", "fields.yaml")

WHOLE, MAY_BE_ZERO, FLAGS, ONE, OFF_AT_ZERO = (
    tuple(SAID[name].split()) for name in ("whole", "may_be_zero", "flags", "one", "off_at_zero")
)
"""Fields that are whole numbers, of these those that may be 0, switches, fields that are said once; ends of keys."""

BOTH = ("memory", "time")
WORDS: dict[str, list[tuple[str, Any]]] = SAID["words"]
"""Values by what they mean; whatever matches none is named as not modelled."""

WHY = {name: (tuple(touches.split()), why) for name, (touches, why) in SAID["why"].items()}


@dataclass(slots=True)
class Job:
    """Fields with the leaf that says each.

    Attributes:
        values: by field, the format's defaults included. said: by field, what the file itself gives.
        not_modelled, notes: what the answer does not account for, what was assumed.
    """

    format: Format
    values: dict[str, Any]
    said: dict[str, Leaf] = field(default_factory=dict)
    not_modelled: list[NotModelled] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def get(self, name: str, default: Any = None) -> Any:
        """A field, or the default."""
        found = self.values.get(name)
        return default if found is None else found

    def name(self, option: Leaf, touches: Iterable[str], why: str) -> None:
        """Something that is left out of account, once."""
        one = NotModelled(option.key.lstrip("-"), text_of(option.value), tuple(touches), why, option.line)
        if all(old.option != one.option for old in self.not_modelled):
            self.not_modelled.append(one)


def read_job(tree: Tree, form: Format) -> Job:
    """Every key of a configuration by its format's table: into a field, aside, or by name.

    Raises:
        PlannerError: a value that a field cannot have, or a variable that nothing sets.
    """
    job, seen = Job(form, dict(form.defaults)), form.shaped(tree)
    spelled = []
    for path, leaf in seen.leaves.items():
        group = form.table.group(path)
        if group is not None and group.kind == "modelled":
            _take(job, group.to, leaf)
        spelled.append((path, leaf))
    named = form.table.not_modelled(
        Given(path, text_of(leaf.value), leaf.line)
        for path, leaf in spelled
        if form.table.group(path) is not None or truth(leaf)
    )
    if "precision" not in job.said and (plain := _switched_off(seen, form)):
        job.name(plain, BOTH, "a run in fp32 is weighed and timed as one in bf16")
    known = {one.option for one in job.not_modelled}
    job.not_modelled += [one for one in named if one.option not in known]
    return job


def _take(job: Job, to: str, leaf: Leaf) -> None:
    """One value into its field; what the file says first stays."""
    name, _, fixed = to.partition("=")
    if leaf.value is None or name == "set" or (leaf.key.endswith(OFF_AT_ZERO) and whole(leaf) == 0):
        return
    if name in job.said and name in SAID["wider"] and _meant(job, to, leaf) == SAID["wider"][name]:
        del job.said[name]
    if name in job.said:
        if name in ONE and _meant(job, to, leaf) not in (None, job.values[name]):
            job.name(leaf, (*BOTH, "legality"), f"{job.said[name].key} is taken")
        return
    if name == "recompute" and fixed == "full" and not truth(leaf):
        job.values[name], job.said[name] = "none", leaf
        return
    found = _meant(job, to, leaf)
    if found is not None:
        job.values[name], job.said[name] = found, leaf


def _meant(job: Job, to: str, leaf: Leaf) -> Any:
    """What a key would make of a field; None where it is switched off or says nothing."""
    name, switch, fixed = to.partition("=")
    if switch:
        return (int(fixed) if fixed.isdigit() else fixed) if truth(leaf) else None
    return _value(job, name, leaf)


def _switched_off(seen: Tree, form: Format) -> Leaf | None:
    """A switch of a precision below fp32 that is off."""
    for path, leaf in seen.leaves.items():
        group = form.table.group(path)
        if group is not None and group.to.startswith("precision=") and leaf.value is not None and not truth(leaf):
            return leaf
    return None


def _value(job: Job, name: str, leaf: Leaf) -> Any:
    if name == "image_size" and isinstance(leaf.value, list):
        sides = [whole(replace(leaf, value=side)) or 0 for side in leaf.value]
        return _within(name, isqrt(prod(sides)), leaf)
    if name in WHOLE:
        return _within(name, whole(leaf), leaf)
    if name == "model" and not isinstance(leaf.value, str):
        raise PlannerError(f"{_where(leaf)}{leaf.key} wants the name of a model, not {text_of(leaf.value)!r:.40}")
    if name in FLAGS:
        return truth(leaf)
    if name == "targets":
        return _targets(job, leaf)
    if name not in WORDS:
        return leaf.value
    text = text_of(leaf.value).strip().lower()
    for pattern, meaning in () if name == "optimizer" and re.match(SAID["projected"], text) else WORDS[name]:
        if re.fullmatch(pattern, text):
            return meaning
    if name == "method" and re.fullmatch(SAID["adapters"], text):
        job.name(leaf, BOTH, "weighed and timed as LoRA on every linear layer")
        return "lora"
    if text not in ("auto", "default"):
        touches, why = WHY.get(name, (BOTH, "this value is not modelled"))
        job.name(leaf, touches, why)
    return SAID["stand_in"].get(name)


def _within(name: str, number: int | None, leaf: Leaf) -> int | None:
    """The number, which is positive but for ranks, bits and stages.

    Raises:
        PlannerError: it is not.
    """
    low, high = (0, 3) if name == "zero" else (0 if name in MAY_BE_ZERO else 1, 10**12)
    if number is not None and not low <= number <= high:
        limits = f"from {low} to {high}" if high < 10 else "positive"
        raise PlannerError(f"{_where(leaf)}{leaf.key} must be {limits}, not {number}")
    return number


def _where(leaf: Leaf) -> str:
    return f"line {leaf.line}: " if leaf.line else ""


TARGETS = {frozenset(names.split()): part for names, part in SAID["targets"].items()}
"""Linear layers with adapters."""

FINDERS = ("llamafactory", "llamafactory-v1", "axolotl", "swift")
"""Trainers that look for the linear modules of a model themselves, and hand their names to PEFT."""


def _targets(job: Job, leaf: Leaf) -> str:
    """Layers with adapters; other sets than attentions and feed-forwards are named, and taken as what holds them."""
    words = frozenset(re.findall(r"[\w.-]+", text_of(leaf.value).lower()))
    if words in TARGETS:
        found = len(words) == 1 and words <= {"all", "all-linear"} and job.format.name in FINDERS
        return "modules" if found else TARGETS[words]
    plain = isinstance(leaf.value, list) or not re.search(r"[*|\\]", text_of(leaf.value))
    experts = any(re.fullmatch(SAID["in_experts"], one) for one in words) if plain else "expert" in text_of(leaf.value)
    narrow = all(re.fullmatch(SAID["in_attention"], one) for one in words)
    wide = "attention" if narrow else "all-linear" if experts else "no-experts"
    job.name(leaf, BOTH, SAID["widest"][wide])
    return wide


def truth(leaf: Leaf) -> bool:
    """Whether a switch is on: true, 1, yes, or anything that is not off."""
    return text_of(leaf.value).strip().lower() not in ("false", "0", "no", "off", "none", "null", "")


def whole(leaf: Leaf) -> int | None:
    """A whole number; None for what is left open: auto, -1, null.

    Raises:
        PlannerError: no number, or a variable that nothing sets.
    """
    text = text_of(leaf.value).strip()
    if "$" in text:
        name = text.strip("${}")
        hint = f"give it a value: --set {name if name.isidentifier() else 'NAME'}=VALUE"
        raise PlannerError(f"{_where(leaf)}{leaf.key} needs {text:.60}, which nothing sets", hint)
    if re.fullmatch(r"auto|null|none|-1|default|true|false|", text.lower()):
        return None
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        number = -1.0
    if not isfinite(number) or number != int(min(max(number, -1.0), 1e15)) or number < 0:
        raise PlannerError(f"{_where(leaf)}{leaf.key} wants a whole number, not {text!r:.40}")
    return int(number)


def modelled(name: str, value: Any) -> bool:
    """Whether a field of Workload can have a value."""
    known = Workload.model_fields.get(name)
    if known is None:
        return False
    options = [one for part in (known.annotation, *get_args(known.annotation)) for one in get_args(part)]
    words = [one for one in options if isinstance(one, str)]
    return not words or value in words
