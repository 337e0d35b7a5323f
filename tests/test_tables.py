"""Every expression of every packaged table: a misspelt name or value fails here, and not a user."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import planner
from planner.catalog.expressions import PLAIN, told
from planner.catalog.yamlfile import table
from planner.launch.engines.deployment import Deployment
from planner.launch.shell import read_arguments
from planner.plan import Plan
from planner.read.megatron_facts import Facts, read_facts
from planner.read.megatron_rules import FOUND, Words, numbers
from planner.read.options import Options, known_options, read_options
from planner.schema.workload import Workload
from planner.training.job import Job
from planner.training.rule import _numbers
from planner.training.trade import Trade
from tests import jobs
from tests.expressions import Known, fields, member, refused
from tests.launch.test_megatron_checks import flags

ROOT = Path(planner.__file__).parent
TARGETS = sorted(path.stem for path in (ROOT / "launch" / "tables").glob("*.yaml") if path.stem != "header")

PARTS = (
    *("arguments", "batch", "checkpoint", "config", "constants", "deepspeed", "fields", "flags", "gradients"),
    *("groups", "mock", "model", "narrow", "optimizer"),
)
"""Parts of a target's table whose texts are expressions."""

DATA = (
    *("title", "versions", "bare", "writes", "expresses", "preset", "towers", "form", "trainer", "source", "adapted"),
    *("adapted_source", "templates", "templates_source", "images", "parts", "liger", "losses", "fixed", "seeing"),
    *("unseeing", "vision", "as_it_was", "names", "sections", "implied", "activations", "dtypes", "shape", "sharding"),
    *("flavors", "families"),
)
"""Parts whose texts are text."""

KINDS: dict[str, Any] = {"traded": Trade | None}
"""Types of what targets give to their tables beside the job and the plan."""


def given(target: str) -> set[str]:
    """Names that a target's module may give to its table: of keyword arguments, and keys of dictionaries."""
    tree = ast.parse((ROOT / "launch" / f"{target.replace('-', '_')}.py").read_text(encoding="utf-8"))
    names = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    keys = (key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys)
    return names | {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def launched(target: str) -> Known:
    """What `planner.launch.described.Words` answer."""
    more = given(target)

    def known(name: str) -> Any:
        for record in (Plan, Workload):
            if name in fields(record):
                return fields(record)[name]
        if name in ("job", "plan"):
            return {"job": Job, "plan": Plan}[name]
        return KINDS.get(name, Any) if name in more and not hasattr(Job, name) else member(Job, name)

    return known


def texts(said: Any) -> Iterator[str]:
    """Texts of a part, however deep; of a list, those of its groups."""
    if isinstance(said, dict):
        for value in said.values():
            yield from texts(value) if not isinstance(value, str) else (value,)
    elif isinstance(said, list):
        for group in said:
            yield from texts(group) if isinstance(group, dict) else ()


def named(sentence: str) -> list[str]:
    """What a sentence has in braces."""
    return [name for _, name, _, _ in Formatter().parse(sentence) if name is not None]


@pytest.mark.parametrize("target", TARGETS)
def test_targets(target: str) -> None:
    """Parts, conditions of rules and notes, and what their sentences name."""
    said, known = table("launch", f"tables/{target}.yaml"), launched(target)
    assert set(said) - {"rules", "notes"} <= {*PARTS, *DATA}
    rules = [row for row in said.get("rules", {}).values() if row]
    notes = [row for row in said.get("notes", []) if isinstance(row, dict)]
    expressions = [text for part in PARTS for text in texts(said.get(part, {}))]
    expressions += [row["holds"] for row in rules] + [row["if"] for row in notes if "if" in row]
    expressions += [name for row in notes for name in named(row["says"]) if name != "adapters"]
    assert not [wrong for text in expressions for wrong in refused(text, known)]
    words = _numbers(jobs.job("llama3-8b", "8xA100", seq=8192, batch=512), Plan(dp=8, m=64))
    assert {name for row in rules for name in named(row["says"])} <= set(words)


FACTS = read_facts(read_options(read_arguments(flags()).words, known_options("megatron")), 32, {})
OPTIONS = {name[2:] for name in known_options("megatron")}


def asked(name: str) -> Any:
    """What `planner.read.megatron_rules.Words` answer."""
    words = Words(FACTS)
    if name in FOUND or name in words:
        return {"options": Options, "environment": dict}.get(name, Any)
    if hasattr(Facts, name):
        return member(Facts, name)
    if name.replace("_", "-") not in OPTIONS:
        raise LookupError(name)
    return Any


def test_megatron() -> None:
    """Conditions of its checks, fields of a model in their words, and what their sentences name."""
    said = table("read", "megatron-checks.yaml")
    rows = [row for part in ("parallel", "switches", "pairs") for row in said[part].values()] + said["named"]
    conditions = [row[word] for row in rows for word in ("holds", "with", "where", "value") if word in row]
    conditions += texts(table("read", "megatron-facts.yaml")["model"])
    assert not [wrong for text in conditions for wrong in refused(text, asked, OPTIONS)]
    sentences = [row[word] for row in rows for word in ("says", "why") if word in row]
    assert {name for one in sentences for name in named(one)} <= set(numbers(FACTS))
    options = {row[word] for row in rows for word in ("option", "needs", "apart") if word in row}
    assert options <= OPTIONS


@pytest.mark.parametrize("name", table("read", "shapes.yaml"))
def test_shapes(name: str) -> None:
    """Each field may name those above it."""
    words: dict[str, Any] = dict.fromkeys(("seq", "vocabulary", "count", "on", "get"), Any)
    for field, text in table("read", "shapes.yaml")[name]["fields"].items():
        assert not refused(text, words.__getitem__)
        words[field] = Any


@pytest.mark.parametrize("name", table("launch", "launchers/manifests.yaml"))
def test_manifests(name: str) -> None:
    """Documents of launchers."""
    words = dict.fromkeys(("name", "nodes", "used", "image", "usual", "called", "resource", "script"), Any)
    document = table("launch", "launchers/manifests.yaml")[name]["document"]
    assert not [wrong for text in texts(document) for wrong in refused(text, words.__getitem__)]


def test_engines() -> None:
    """Conditions on a deployment, and what their sentences take of it."""
    said = table("launch", "engines/rules.yaml")
    words: dict[str, Any] = {"d": Deployment, "title": str, "parts": str, "each": int, "here": int}
    for row in said["rules"].values():
        taken = [name for word in ("says", "nearest") for name in named(row[word])]
        assert not [wrong for text in (row["holds"], *taken) for wrong in refused(text, words.__getitem__)]
    for own in said["engines"].values():
        for rule in own["rules"].split():
            assert set(named(said["rules"][rule]["source"])) <= set(own)


@pytest.mark.parametrize(
    "text",
    [
        "offlod == 'optimizer'",
        "offload == 'optimiser'",
        "offload in ('optimizer', 'parameter')",
        "{'alloter': 1}[context]",
        "model.moe.expert",
        "model.tower.moe",
        "cluster.gpu",
        "job.base.byte",
        "traded.kinds",
        "job.__class__",
        "().__class__.__base__",
        "__import__('os')",
        "open('file')",
        "(lambda: 1)()",
        "[name for name in plan]",
        "(tp := 2)",
        "tp ==",
        "model.unheard()",
        "precision.mro",
    ],
)
def test_what_is_refused(text: str) -> None:
    """Misspelt names, attributes and words; calls, attributes and forms that no table needs."""
    assert refused(text, launched("megatron"))


def test_what_is_misspelt_of_options() -> None:
    """An option that Megatron-LM does not have would count as one that was not given."""
    assert not refused("has('swiglu') and squared_relu", asked, OPTIONS)
    assert refused("has('swiglue')", asked, OPTIONS) and refused("square_relu", asked, OPTIONS)


def test_an_expression_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked."""
    assert told("tp * 21", {"tp": 2}) == 42
    monkeypatch.setattr("builtins.compile", None)
    assert told("tp * 21", {"tp": 3}) == 63 and "open" not in PLAIN
