"""Random pins, verbs, models and clusters: what fits and what is legal is decided here by trying every plan."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any
from unittest.mock import patch

import numpy as np
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from planner.cli.app import main
from planner.plan import Plan
from planner.questions.sweep import Cell, Shelves, Sweep
from planner.questions.train import usable_memory
from planner.schedules import SCHEDULES, offered
from planner.training.job import Job
from planner.training.moments import peak_memory
from planner.training.policies import module_sets, usual_dispatcher
from planner.training.rule import head_worth
from planner.training.rules import legal
from planner.training.space import Bounds
from tests.jobs import job, library

SEQ = 2048

PLAIN = ("llama3.2-1b", "llama3-8b", "llama3-70b", "mixtral-8x7b")
"""Models that every framework trains: what is legal can be written."""

MODELS = (*PLAIN, "deepseek-v2-lite", "nemotron-h-8b", "qwen2.5-vl-7b", "gemma3-1b", "granite-3.0-1b-a400m")
CLUSTERS = ("1xA100", "8xA100", "2x8xH100", "6xH100", "3x8xH100")
BATCHES = (16, 16, 12, 7)
WRITTEN = ("megatron-core", "torchtitan")
"""Presets whose targets write whatever is legal under them."""

PRESETS = tuple(library().names("framework"))
VERBS = ("recommend", "explain", "launch", "timeline")

CHOICES: dict[str, tuple[tuple[int, ...], ...]] = {
    "tp": ((1,), (2,), (8,), (16,), (1, 2), (3,)),
    "cp": ((1,), (2,), (8,)),
    "ep": ((1,), (2,), (8,)),
    "pp": ((1,), (2,), (3,), (8,), (1, 4)),
    "dp": ((1,), (2,), (8,), (5,), (1, 8)),
    "v": ((1,), (2,), (5,), (2, 4)),
    "micro-batch": ((1,), (2,), (8,), (16,)),
    "zero": ((0,), (1,), (2,), (3,), (0, 1)),
    "sp": ((0,), (1,)),
    "head": ((0,), (1,), (5,)),
    "recompute-layers": ((0,), (3,), (16,), (40,)),
    "etp": ((1,), (2,), (4,)),
    "dp-replicate": ((1,), (2,), (1, 2)),
    "expert-overlap": ((0,), (1,)),
}
"""Values that an option admits."""

NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "schedule": (
        ("1f1b",),
        ("interleaved",),
        ("gpipe",),
        ("naive",),
        ("interleaved", "gpipe"),
        ("naive", "interleaved"),
    ),
    "recompute": (("none",), ("full",), ("block",), ("none", "full"), ("selective",)),
    "recompute-modules": (("core_attn",), ("layernorm", "moe_act"), ("mlp",), ("mla_up_proj",)),
    "dispatcher": (("alltoall",), ("allgather",), ("alltoall", "deepep")),
}

OFTEN = ("tp", "pp", "zero", "micro-batch", "recompute", "dp")
"""Options that rarely exclude each other, so that enough questions have an answer."""

DEGREES = ("tp", "cp", "pp", "dp", "ep", "etp", "dp_replicate")

Pins = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Asked:
    """One question."""

    model: str
    on: str
    preset: str
    pins: tuple[tuple[str, tuple[Any, ...]], ...]
    batch: int = 16

    @property
    def job(self) -> Job:
        """Its job, out of the profiles."""
        return job(self.model, self.on, self.preset, seq=SEQ, batch=self.batch)

    @property
    def words(self) -> list[str]:
        """On the command line, behind the verb."""
        pins = [word for name, values in self.pins for word in (f"--{name}", ",".join(map(str, values)))]
        fixed = ["--seq", str(SEQ), "--global-batch", str(self.batch), "--framework", self.preset]
        return ["--model", self.model, "--gpus", self.on, *fixed, *pins]


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    """A question with two pins at least, so that every plan of it can be tried."""
    options: dict[str, tuple[tuple[Any, ...], ...]] = {**CHOICES, **NAMES}
    names = draw(st.lists(st.sampled_from((*OFTEN, *OFTEN, *sorted(options))), min_size=2, max_size=4, unique=True))
    pins = tuple((name, draw(st.sampled_from(options[name]))) for name in names)
    both = {"recompute", "recompute-modules"}
    pins = tuple(pin for pin in pins if pin[0] != "recompute" or not both <= {*names})
    return Asked(*(draw(st.sampled_from(x)) for x in (MODELS, CLUSTERS, PRESETS)), pins, draw(st.sampled_from(BATCHES)))


def layouts(of: Job, pins: Pins) -> Iterator[tuple[int, ...]]:
    """Every (tp, cp, pp, dp, ep, etp, dp_replicate).

    Unless asked otherwise tp is inside the scale-up domain, cp and dp_replicate are 1, and etp is 1 or tp.
    """
    gpus, moe = of.cluster.gpus, of.model.moe
    tps = pins.get("tp") or range(1, of.cluster.domain + 1)
    pps = pins.get("pp") or range(1, of.model.layers + 1)
    for tp, cp, pp in product(tps, pins.get("cp") or (1,), pps):
        if gpus % (tp * cp * pp) == 0:
            dp = gpus // (tp * cp * pp)
            etps, eps = pins.get("etp") or ({1, tp} if moe else {1}), range(1, (moe.experts if moe else 1) + 1)
            yield from (
                (tp, cp, pp, dp, ep, etp, copies)
                for ep, etp, copies in product(eps, etps, pins.get("dp-replicate") or (1,))
                if dp % copies == 0 and tp * dp * cp // copies % (ep * etp) == 0
            )


def inside(of: Job, pins: Pins) -> list[tuple[int, ...]]:
    """Those layouts of `layouts` that the pins admit."""
    return [
        row
        for row in layouts(of, pins)
        if all(value in pins.get(name, (value,)) for name, value in zip(DEGREES, row, strict=True))
    ]


def sharded(meshes: list[tuple[int, ...]]) -> bool:
    """Whether a layout has ranks to shard over; elsewhere every ZeRO stage is stage 0."""
    return any(row[1] * row[3] > 1 for row in meshes)


def wanted(pins: Pins) -> tuple[str, ...]:
    """Recomputations that are asked for."""
    return ("selective",) if "recompute-modules" in pins else pins.get("recompute") or ("none", "block", "full")


def stages(of: Job, pins: Pins, pp: int) -> Iterator[tuple[int, int, int]]:
    """Every (v, head, k) that may be; the rules tell which are."""
    worth = head_worth(of)
    for v in range(1, of.model.layers // pp + 1):
        for head in range(worth + 1) if v <= 2 else (0,):
            chunk = -(-(of.model.layers + head) // (pp if v == 2 else pp * v))  # two may be whole passes, as DualPipe's
            policies = wanted(pins)
            for k in range(chunk + 1):
                if (k == 0 and {"none", "selective"} & {*policies}) or (
                    k > 0 and ("full" in policies or "block" in policies)
                ):
                    yield v, head, k


def every(of: Job, pins: Pins) -> Iterator[Plan]:
    """Every plan inside the pins, legal or not, a batch of arrays per layout and schedule."""
    asked = pins.get("recompute")
    modules = module_sets(of, Bounds(recompute=frozenset(asked))) if asked else [()]
    modules = [pins["recompute-modules"]] if "recompute-modules" in pins else modules
    tried = pins.get("dispatcher", (usual_dispatcher(of),)) if of.model.moe else ("alltoall",)
    shared = list(product(modules, tried, map(bool, pins.get("expert-overlap", (0, 1)))))
    meshes = inside(of, pins)
    for row in meshes:
        fixed = dict(zip(DEGREES, row, strict=True))
        pp, dp = fixed["pp"], fixed["dp"]
        share, rest = divmod(of.workload.global_batch, dp)
        if rest:
            continue
        bs = [b for b in range(1, share + 1) if share % b == 0 and b in pins.get("micro-batch", (b,))]
        inner = [
            row
            for row in stages(of, pins, pp)
            if all(
                value in pins.get(name, (value,))
                for name, value in zip(("v", "head", "recompute-layers"), row, strict=True)
            )
        ]
        sps, zeros = pins.get("sp", (0, 1)), pins.get("zero", (0, 1, 2, 3)) if sharded(meshes) else (0,)
        rows = np.array([(b, sp, z, *row) for b, sp, z, row in product(bs, sps, zeros, inner)]).reshape(-1, 6)
        for schedule in pins.get("schedule", offered(of.framework.schedules)):
            record = SCHEDULES[schedule]
            takes = rows[:, 3] == record.chunks if record.chunks else rows[:, 3] > 1
            kept = rows[takes & ((rows[:, 4] == 0) | (rows[:, 3] == 1) | record.placement.whole)]
            if len(kept):
                b, sp, zero, v, head, k = kept.T
                same = {name: np.full(len(kept), value) for name, value in fixed.items()}
                m = share // b
                plan = Plan(**same, b=b, m=m, sp=sp, zero=zero, v=v, head=head, recompute_layers=k, schedule=schedule)
                yield from (replace(plan, modules=m, dispatcher=d, overlap=o) for m, d, o in shared)


def policy(of: Job, plan: Plan, pins: Pins) -> Any:
    """Where the recomputation is one that was asked for: all of a chunk is "full", some of it "block"."""
    from planner.stages import chunk_layers

    policies = wanted(pins)
    chunk, k = chunk_layers(of.model.layers, plan), plan.recompute_layers
    named = {"none": k == 0, "full": k == chunk, "block": (k > 0) & (k < chunk)}
    named = {"selective": k == 0} if plan.modules else named
    return np.any([named[name] for name in policies if name in named] or [np.zeros(len(plan), bool)], axis=0)


@cache
def truth(asked: Asked) -> tuple[bool, bool]:
    """Whether a legal plan lies inside the pins, and whether one of them fits."""
    of, pins, found = asked.job, dict(asked.pins), False
    for plan in every(of, pins):
        allowed = plan[legal(of, plan)[0] & policy(of, plan, pins)]
        if len(allowed):
            found = True
            if np.any(peak_memory(of, allowed.floats()).memory.total <= usable_memory(of)):
                return True, True
    return found, False


def said(words: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    screens = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with patch.object(sys, "argv", ["planner", *words]), screens[0], screens[1]:
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    return code, out.getvalue(), err.getvalue()


def some(share: int) -> settings:
    """A share of the examples that the profile asks for: each is a whole command and every plan tried by hand."""
    count = settings.default.max_examples  # type: ignore[union-attr]
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=max(1, count // share), deadline=None, suppress_health_check=checks)


FIRST = Asked("llama3-8b", "8xA100", "megatron-core", (("zero", (0,)), ("tp", (1,)), ("pp", (1,))))
ALONE = Asked("llama3-8b", "8xA100", "megatron-core", (("zero", (1,)), ("tp", (8,)), ("pp", (1,))))
LIGHT = Asked("mixtral-8x7b", "1xA100", "megatron-core", (("recompute", ("selective",)), ("tp", (1,))))
SPARED = Asked("llama3-8b", "6xH100", "torchtitan", (("v", (2, 4)), ("pp", (3,))))
WHOLE = Asked("llama3-8b", "8xA100", "torchtitan", (("tp", (1,)), ("recompute-layers", (3,))))
ALIKE = Asked("llama3-8b", "6xH100", "any", (("schedule", ("interleaved",)), ("pp", (3,))))
PIPED = Asked("llama3-70b", "8xA100", "any", (("schedule", ("interleaved", "gpipe")), ("pp", (1,))))

SPLIT = Asked("mixtral-8x7b", "8xA100", "megatron-core", (("etp", (2,)), ("tp", (4,))))
IDLE = Asked("llama3-70b", "1xA100", "nanotron", (("dispatcher", ("allgather",)), ("tp", (1,))))


@given(questions(), st.sampled_from(VERBS), st.booleans(), st.booleans())
@example(FIRST, "recommend", True, True)
@example(FIRST, "launch", False, False)
@example(ALONE, "recommend", True, False)
@example(PIPED, "recommend", True, False)
@example(SPLIT, "recommend", True, False)
@example(IDLE, "recommend", True, True)
@example(LIGHT, "recommend", True, False)
@example(SPARED, "recommend", True, False)
@example(WHOLE, "recommend", True, False)
@example(ALIKE, "recommend", True, False)
@example(Asked("llama3-8b", "8xA100", "nanotron", (("head", (0,)), ("pp", (2,)))), "recommend", True, False)
@some(4)
def test_every_verb_answers(asked: Asked, verb: str, exact: bool, as_json: bool) -> None:
    """2 for pins that leave no legal plan and for no others, never 70, and 0 under --exact where a plan fits."""
    assume(verb != "launch" or (asked.preset in WRITTEN and asked.model in PLAIN))
    lawful, fits = truth(asked)
    options = (["--exact"] if exact else []) + (["--json"] if as_json and verb != "launch" else [])
    code, out, err = said([verb, *asked.words, *options])
    if not lawful:
        assert code == 2 and out == "" and "no legal plan" in err, (code, err)
        assert_cured(asked, err)
        return
    assert code in (0, 1), (code, err)
    assert code == 0 if fits else (code == 1 or not exact), (code, fits, err)
    if code == 0 and not fits:
        assert "--exact makes that exit 1" in err
    if verb == "recommend" and as_json:
        assert_told(asked, json.loads(out), fits)


def assert_cured(asked: Asked, error: str) -> None:
    """Where the error says which pins have to go, there are legal plans without them."""
    cure = re.search("there are legal plans without (.*)", error)
    gone = {word.removeprefix("--") for word in cure[1].split() if word.startswith("--")} if cure else set[str]()
    assert gone <= dict(asked.pins).keys()
    assert not gone or truth(replace(asked, pins=tuple(pin for pin in asked.pins if pin[0] not in gone)))[0], error
    if cure is None:
        assert not truth(replace(asked, pins=()))[0] or "there are legal plans with " in error, error


def assert_told(asked: Asked, answer: dict[str, Any], fits: bool) -> None:
    """What JSON says of a job that fits or does not: misses inside the pins, and what would do instead."""
    assert answer["fits_as_requested"] == fits
    pins = dict(asked.pins) if sharded(inside(asked.job, dict(asked.pins))) else dict(asked.pins, zero=(0,))
    if asked.job.model.moe is None:
        pins.pop("dispatcher", None)
    for plan in (*answer["plans"], *answer["nearest_misses"]):
        for name, values in pins.items():
            found = plan[{"sp": "sequence_parallel", "head": "head_layers"}.get(name, name.replace("-", "_"))]
            assert tuple(found) == values if isinstance(found, list) else found in values, (name, found)
    if fits:
        assert answer["smallest_cluster_gpus"] is answer["smallest_cluster_reason"] is answer["loosened"] is None
        return
    assert answer["nearest_misses"]
    assert (answer["smallest_cluster_gpus"] is None) == bool(answer["smallest_cluster_reason"])
    if answer["loosened"] is not None:
        gone = {word.split()[0].removeprefix("--") for word in answer["loosened"]["without"]}
        rest = replace(asked, pins=tuple(p for p in asked.pins if p[0] not in gone))
        assert gone <= dict(asked.pins).keys() and answer["loosened"]["plan"]["headroom_bytes"] >= 0
        assert "cp" in gone or truth(rest)[1]


@given(questions())
@some(4)
def test_a_sweep_says_the_same(asked: Asked) -> None:
    """A cell fits exactly where a plan inside the pins does."""
    pins = [(name.replace("-", "_"), ",".join(map(str, values))) for name, values in asked.pins]
    fixed = [("model", asked.model), ("gpus", asked.on), ("framework", asked.preset)]
    record = Sweep({}, Shelves()).run(Cell((*fixed, ("seq", SEQ), ("global_batch", asked.batch), *pins)))
    assert (record["status"] == "fits") == truth(asked)[1], record


@given(questions(), st.booleans())
@some(12)
def test_comparing_and_sizing_answer(asked: Asked, exact: bool) -> None:
    """`compare` needs pins that are legal on both clusters; `size` says 2 where no size is."""
    other = replace(asked, on="8xH100")
    both = [truth(asked), truth(other)] if asked.on != "8xH100" else [truth(asked)] * 2
    words = asked.words
    words[3] = f"{asked.on},8xH100"
    code, _, err = said(["compare", *words, *(["--exact"] if exact else []), "--json"])
    if all(lawful for lawful, _ in both):
        fits = any(fits for _, fits in both)
        assert code == 0 if fits else (code == 1 or not exact), (code, err)
    assert code in (0, 1, 2), err
    words[2:4] = ["--gpu", "A100"]
    code, _, err = said(["size", *words, "--max-gpus", "16", "--json"])
    assert code in (0, 1, 2), err
