"""A script that people already have, held against its framework and its cluster; and what to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import Any

from pydantic import ValidationError

from planner.accuracy.diagnose import Cause, Suspect, causes, suspects
from planner.bands import band, fit_verdict, memory_range
from planner.catalog.recipes import packaged_recipe
from planner.errors import NoLegalPlan, PlannerError
from planner.frozen import frozen
from planner.launch.header import PLAN
from planner.launch.nearest import Change, nearest
from planner.launch.program import Setup, Target
from planner.launch.targets import TARGETS
from planner.plan import OnePlan, Plan, Range
from planner.questions.train import Ranked, rank, recommend, usable_memory
from planner.read.placement import NO_PLACEMENT, placed
from planner.read.reading import Problem, Reading
from planner.schema.framework import Framework
from planner.schema.hardware import Cluster
from planner.schema.model import Model
from planner.schema.workload import Workload
from planner.search import Candidate
from planner.stages import chunk_layers, lettered
from planner.training.adapters import experts_said, fused, named_alike, on_experts, stored_base
from planner.training.defaults import default_precision, default_sequence, usual_batch
from planner.training.frameworks import FRAMEWORK_RULES
from planner.training.job import Job
from planner.training.rule import MEGATRON, Rule
from planner.training.rules import rules_of
from planner.training.space import Bounds
from planner.wording import schema_problem

WORTH = 0.10
"""Share of the step that an edit must save to be proposed to a script that runs."""

DEGREES = ("tp", "cp", "ep", "etp", "pp", "v", "dp_replicate")
"""Settings that are left alone where the file's format has no key for them."""

FREEZING = ("llamafactory", "swift", "swift-megatron")
"""Formats whose trainer freezes a vision tower unless it is told not to (hiyouga/LLaMA-Factory
hparams/finetuning_args.py, freeze_vision_tower; modelscope/ms-swift swift/arguments/tuner_args.py, freeze_vit)."""

LESS = 0.95
"""Share of the memory of a plan that ran out which its cure may take."""

PLANS = 3
"""Edits proposed."""

ARITHMETIC = "arithmetic of degrees and batch"
"""Source of rules that no framework escapes, said of files of those that they were not read from."""


@frozen
class Measured:
    """What a user measured of the script: seconds per step, bytes on the fullest rank, and what would explain them.

    Attributes:
        outside: whether the step lies outside the band of its prediction, or there is no band.
        suspects: then the constants that alone would explain it, the likeliest first; maybe none would.
        ran_out: the run ended for want of memory; strange: the peak lies outside its band, or there is none; causes:
            what would explain either.
    """

    step: float | None = None
    memory: float | None = None
    outside: bool = False
    suspects: tuple[Suspect, ...] = ()
    ran_out: bool = False
    strange: bool = False
    causes: tuple[Cause, ...] = ()


@frozen
class Verdict:
    """What is to be said of a script.

    Attributes:
        ranked: its plan with all numbers; None where the numbers of the script make no plan.
        problems: why its framework refuses it. capacity: bytes there are; margin: share of them to be left free.
        changes: fewest changes first; of a script that runs, those that save WORTH of the step.
        best: the fastest plan of the same job. measured: what the user measured, if anything.
    """

    reading: Reading
    setup: Setup
    ranked: Ranked | None
    problems: tuple[Problem, ...]
    capacity: float
    margin: float
    changes: tuple[Change, ...]
    best: Ranked | None
    measured: Measured | None = None

    @property
    def legal(self) -> bool:
        """Whether the framework runs it."""
        return not self.problems

    @property
    def headroom(self) -> float:
        """Bytes left free on the fullest rank after the margin; negative: short."""
        return self.capacity * (1.0 - self.margin) - (self.ranked.need if self.ranked else 0.0)

    @property
    def fits(self) -> bool:
        """Whether the fullest rank has the memory, margin included."""
        return self.ranked is not None and self.headroom >= 0.0

    @property
    def tight(self) -> bool:
        """Whether the limit lies inside the band of the peak."""
        one, limit = self.ranked, self.capacity * (1.0 - self.margin)
        return one is not None and fit_verdict(one.job, one.need, limit) == "tight"


def setup_of(
    reading: Reading, cluster: Cluster, framework: Framework, model: Model | None = None, **given: Any
) -> tuple[Setup, tuple[str, ...]]:
    """The job and plan that a reading means on a cluster, and a sentence for everything that neither of them says.

    `given` are fields of Workload and Plan that the user states; what the script says goes before them.

    Raises:
        PlannerError: no model, degrees that do not divide the cluster ...
    """
    shape = reading.model or model
    if shape is None:
        raise PlannerError("this file does not say which model it trains", "name it: --model llama3.1-8b")
    other: tuple[str, ...] = ()
    if reading.model is not None and model is not None:
        shape, other = _named(reading.model, model)
    plan, notes = _plan(reading, cluster, shape, given)
    preset = framework.model_copy(update=reading.preset)
    workload, more = _workload(reading, shape, cluster, plan, given, preset)
    m = max(workload.global_batch // (plan.b * plan.dp), 1)
    recipe = packaged_recipe(workload.precision).model_copy(update=reading.recipe) if reading.recipe else None
    job = Job(shape, cluster, workload, preset, recipe)
    return Setup(job, replace(plan, m=m)), (*other, *notes, *more, *experts_said(job))


def _named(read: Model, named: Model) -> tuple[Model, tuple[str, ...]]:
    """The shape that the script has, under the name of the model that it is said to be."""
    if all(getattr(read, name) == getattr(named, name) for name in ("layers", "hidden", "heads")):
        return read.model_copy(update={"name": named.name}), ()
    shape = f"{read.layers} layers of {read.hidden:,}"
    return read, (f"the script trains {shape}, not {named.name}; of that only the vocabulary is taken",)


def _plan(reading: Reading, cluster: Cluster, model: Model, given: dict[str, Any]) -> tuple[OnePlan, tuple[str, ...]]:
    """The plan with dp out of the cluster, and what takes the model to know: stages and recomputed layers."""
    fields = {name: value for name, value in given.items() if name in PLAN and value is not None} | reading.plan
    plan = Plan(**({"b": 1} | (reading.open or {}) | fields | {"dp": 1, "m": 1}))
    dp = max(cluster.gpus // plan.gpus, 1)
    stated = reading.plan.get("dp")
    differ = stated is not None and stated != dp
    notes = [f"the script is for {stated * plan.gpus} GPUs; dp is {dp} on {cluster.gpus}"] if differ else []
    if "b" not in fields and reading.open:
        notes.append(f"micro-batch {plan.b}, the framework's default: the file does not say; --micro-batch sets it")
    plan = replace(plan, dp=dp)
    if dp * plan.cp == 1:
        plan = replace(plan, zero=0)
    if reading.stages is not None and plan.pp > 1:
        plan = _dealt(plan, reading.stages.layers(model.layers, plan.pp), model, notes)
    if reading.recomputed:
        chunk = float(chunk_layers(model.layers, plan))
        plan = replace(plan, recompute_layers=max(int(reading.recomputed * chunk + 1e-9), 1))
    return plan, tuple(notes)


def _dealt(plan: OnePlan, stages: list[int], model: Model, notes: list[str]) -> OnePlan:
    """The plan with v and the placement out of the layers of every stage."""
    v = max(len(stages) // plan.pp, 1)
    where = placed(lettered(stages), model, plan.pp, v)
    if not where:
        notes.append(NO_PLACEMENT)
    return replace(plan, v=v, **where)


def _workload(
    reading: Reading, model: Model, cluster: Cluster, plan: OnePlan, given: dict[str, Any], preset: Framework
) -> tuple[Workload, tuple[str, ...]]:
    """The workload: what the script says, what the user says, defaults."""
    fields = {k: v for k, v in given.items() if k in Workload.model_fields and v is not None} | reading.workload
    notes = _seen(fields, reading, model, given)
    fields |= stored_base(model, fields.get("method"))
    fields |= _adapted(fields.get("lora_targets"), model, preset)
    if "seq" not in fields:
        fields["seq"] = default_sequence(model)
        notes.append(f"sequence {fields['seq']:,} tokens: the file does not say; --seq sets it")
    if "global_batch" not in fields:
        fields["global_batch"], why = _usual(reading, fields, cluster, plan, preset.tunes)
        notes.append(f"global batch {fields['global_batch']:,}, {why}: the file does not say; --global-batch sets it")
    fields.setdefault("precision", default_precision(cluster))
    try:
        return Workload.model_validate(fields), tuple(notes)
    except ValidationError as error:
        problem = error.errors()[0]
        raise PlannerError(f"{problem['loc'][0]} {problem['input']!r:.40}: {schema_problem(problem)}") from None


def dropped(reading: Reading, job: Job) -> tuple[Problem, ...]:
    """PEFT's refusal of dropout before adapters on experts in one tensor."""
    if not (reading.dropout and on_experts(job)):
        return ()
    said = f"lora_dropout is {reading.dropout:g}, and PEFT refuses any but 0 where adapters are on experts"
    return (Problem("experts_dropout", said, 0, "PEFT tuners/lora/layer.py, ParamWrapper, as it is built"),)


def _adapted(targets: str | None, model: Model, preset: Framework) -> dict[str, Any]:
    """Layers with adapters where a file means all modules of a model, which experts in one tensor are none of."""
    if targets == "modules":
        return {"lora_targets": "all-linear" if named_alike(model) or not fused(model, preset) else "no-experts"}
    return {"lora_targets": "all-linear"} if targets == "no-experts" and model.moe is None else {}


def _seen(fields: dict[str, Any], reading: Reading, model: Model, given: dict[str, Any]) -> list[str]:
    """Sets what a file says of a vision tower where there is one, and of images where there are any; and says so."""
    most = reading.workload.get("image_size")
    if most:
        side = given.get("image_size") or Workload.model_fields["image_size"].default
        resized = model.tower is not None and model.tower.image is None and fields.get("images")
        fields["image_size"] = min(side, most) if resized else side
    if model.tower is None:
        fields.pop("tower", None)
    elif reading.form in FREEZING and "tower" not in fields:
        fields["tower"] = "frozen"
        return ["the vision tower is frozen, as the framework has it: the file does not say"]
    return []


def _usual(reading: Reading, fields: dict[str, Any], cluster: Cluster, plan: OnePlan, tunes: bool) -> tuple[int, str]:
    """Sequences a step where nothing says, and why: the framework's own default, else what its kind of training has."""
    if reading.open:
        return plan.b * plan.dp * int(reading.open["m"]), "micro-batches as the framework has them"
    tuned = tunes or fields.get("method", "full") != "full"
    why = "as fine-tuning has it" if tuned else "about 4 M tokens"
    return usual_batch(fields["seq"], cluster.gpus, tuned), why


def check(
    reading: Reading, setup: Setup, target: Target, margin: float = 0.0, tick: Callable[[int], None] | None = None
) -> Verdict:
    """Legal, fits, how fast, what to change."""
    job, plan = setup.job, setup.plan
    problems = (*reading.problems, *_broken(reading, target, setup), *dropped(reading, setup.job))
    sound = plan.gpus == job.cluster.gpus and plan.b * plan.m * plan.dp == job.workload.global_batch
    ranked = rank(job, Candidate(plan, 0.0, 0.0)) if sound else None
    capacity = usable_memory(job)
    runs = ranked is not None and not problems and ranked.need <= capacity * (1.0 - margin)
    limit = ranked.step_time * (1.0 - WORTH) if ranked is not None and runs else float("inf")
    found = _nearest(reading, target, setup, margin, limit)
    return Verdict(
        reading, setup, ranked, problems, capacity, margin, tuple(found), _best(job, _kept(reading, plan), tick)
    )


def _kept(reading: Reading, plan: OnePlan) -> Bounds:
    """The plans that the file's format has words for."""
    return Bounds({name: Range(getattr(plan, name), getattr(plan, name)) for name in _held(reading)})


def _best(job: Job, bounds: Bounds, tick: Callable[[int], None] | None) -> Ranked | None:
    """The first plan of the job's own ranking; None where none fits as asked, or none is legal at all."""
    try:
        found = recommend(job, bounds, 1, exact=True, tick=tick).ranked
    except NoLegalPlan:
        return None
    return found[0] if found else None


def _nearest(
    reading: Reading, target: Target, setup: Setup, margin: float, limit: float = float("inf")
) -> list[Change]:
    """The fewest edits that the file's format has words for."""
    rules = FRAMEWORK_RULES.get(target.name, ()) if reading.form else target.rules
    return nearest(setup.job, setup.plan, rules, margin, limit, PLANS, _held(reading))


def _held(reading: Reading) -> list[str]:
    """Settings that the file's format has no key for: degrees, FSDP's sharing of weights, the other ZeRO stages."""
    held = [name for name in DEGREES if reading.form and name not in reading.keys]
    key, said = reading.keys.get("zero", ("", ""))
    alone = reading.form and not key and reading.plan.get("zero") == 3 and reading.target != "megatron"
    return [*held, "zero"] if alone or said.lower() in ("true", "false") else held


def compared(verdict: Verdict, step: float | None, memory: float | None, ran_out: bool = False) -> Verdict:
    """The verdict with what was measured beside it, and of a run that ran out of memory what explains and cures it."""
    ranked = verdict.ranked
    if (step is None and memory is None and not ran_out) or ranked is None:
        return verdict
    width = band(ranked.job, ranked.plan).width
    outside = step is not None and (width is None or abs(log(step / ranked.step_time)) > width)
    found = tuple(suspects(ranked.job, ranked.plan, step)) if step is not None and outside else ()
    ends = memory_range(ranked.job, ranked.need)
    strange = memory is not None and (ends is None or not ends[0] <= memory <= ends[1])
    why = _why(verdict, ranked, memory, ran_out, strange)
    measured = Measured(step, memory, outside, found, ran_out, strange, why)
    return replace(verdict, measured=measured, changes=_cures(verdict, ranked) if ran_out else verdict.changes)


def _why(verdict: Verdict, ranked: Ranked, memory: float | None, ran_out: bool, strange: bool) -> tuple[Cause, ...]:
    """Causes of a run that ran out, or of a peak outside its band."""
    job, plan = ranked.job, ranked.plan
    if ran_out:
        return tuple(causes(job, plan, max(verdict.capacity, memory or 0.0), True)) if verdict.fits else ()
    return tuple(causes(job, plan, memory)) if memory is not None and strange else ()


def _cures(verdict: Verdict, ranked: Ranked) -> tuple[Change, ...]:
    """The fewest edits that need LESS of what did not suffice."""
    room = min(LESS * ranked.need / verdict.capacity, 1.0 - verdict.margin)
    return tuple(_nearest(verdict.reading, TARGETS[verdict.reading.target], verdict.setup, 1.0 - room))


def _broken(reading: Reading, target: Target, setup: Setup) -> tuple[Problem, ...]:
    """Rules of the planner that the script breaks and its framework's own checks, where there are any, do not cover.

    Where a framework's checks were read off its options, only what the planner knows besides is added; what a target
    cannot write says nothing of a file in another format.
    """
    job, plan = setup.job, setup.plan
    rules = (*(() if reading.form else target.rules), *(() if target.name == "megatron" else rules_of(job)))
    said = {problem.rule for problem in reading.problems}
    broken = {r.name: r for r in rules if r.name not in said and not r.holds(job, plan)}
    return tuple(Problem(r.name, r.message(job, plan), 0, _source(r, target)) for r in broken.values())


def _source(rule: Rule, target: Target) -> str:
    """Where a rule was read; of one that Megatron-LM has as well as every other framework, that it is arithmetic."""
    return ARITHMETIC if rule.source.startswith(MEGATRON) and not target.name.startswith("megatron") else rule.source
