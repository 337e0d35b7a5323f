"""A JSON answer of the planner as the question it came from and its plans: believed no more than any other input."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from planner.catalog.clusters import find_cluster
from planner.catalog.fabric import on_network
from planner.catalog.library import Library
from planner.catalog.yamlfile import dotted
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.launch.megatron_layout import read_layout
from planner.plan import OnePlan, Plan
from planner.schedules import SCHEDULES
from planner.schema.framework import DispatcherName, ModuleName
from planner.schema.model import Model
from planner.schema.workload import Method, Offload, Optimizer, Workload
from planner.training.job import Job
from planner.training.rules import first_broken
from planner.wording import load_json, same_version, schema_problem

SCHEMAS = ("planner.recommendation/1", "planner.explanation/1")

_SERVED = "of a deployment: planner serve ... --launch writes it, --explain has its numbers"
ELSEWHERE = {
    "check": "its plan is the file's: planner check FILE says all of it",
    "serving": _SERVED,
    "serving-explanation": _SERVED,
    "size": "planner recommend --gpus ... --json has the plans of one of its clusters",
    "comparison": "planner recommend --gpus ... --json has the plans of one of its clusters",
    "curve": "planner recommend --gpus ... --json has the plans of one of its sizes",
}
"""Where a plan is to be had beside answers of other kinds."""

Count = Annotated[int, Field(strict=True, ge=1, le=10**9)]
Layers = Annotated[int, Field(strict=True, ge=0, le=10**9)]
Word = Annotated[str, Field(min_length=1, max_length=200)]


ALIKE = (
    *("tp", "cp", "ep", "etp", "pp", "v", "dp", "dp_replicate"),
    *("zero", "recompute_layers", "schedule", "dispatcher"),
)
"""Keys of a plan that are called as Plan's fields are."""


class _Read(BaseModel):
    """Some keys of an object; the others are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PlanRecord(_Read):
    """The keys of a plan that make it: its numbers are computed anew."""

    tp: Count
    cp: Count
    ep: Count
    etp: Count = 1
    pp: Count
    v: Count
    dp: Count
    dp_replicate: Count = 1
    micro_batch: Count
    micro_batches: Count
    sequence_parallel: Annotated[bool, Field(strict=True)]
    zero: Annotated[int, Field(strict=True, ge=0, le=3)]
    schedule: Word
    recompute: Literal["none", "selective", "full", "block"]
    recompute_layers: Layers
    recompute_modules: tuple[ModuleName, ...] | None = None
    dispatcher: DispatcherName = "alltoall"
    expert_overlap: Annotated[bool, Field(strict=True)] = False
    head_layers: Layers
    layout: Annotated[str, Field(max_length=10_000)] | None = None
    optimizer: Optimizer
    method: Method
    offload: Offload
    framework: Word | None = None

    @model_validator(mode="after")
    def _means_one_thing(self) -> PlanRecord:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule {self.schedule!r:.40} is unknown; known: {', '.join(SCHEDULES)}")
        if (self.recompute in ("full", "block")) != (self.recompute_layers > 0):
            raise ValueError(f"recompute is {self.recompute}, but recompute_layers {self.recompute_layers}")
        if self.recompute_modules and self.recompute != "selective":
            raise ValueError(f"recompute is {self.recompute}, but recompute_modules {self.recompute_modules[0]}")
        return self

    @property
    def plan(self) -> OnePlan:
        """As the planner computes with it."""
        return Plan(
            **{name: getattr(self, name) for name in ALIKE},
            b=self.micro_batch,
            m=self.micro_batches,
            sp=int(self.sequence_parallel),
            head=self.head_layers,
            modules=(self.recompute_modules or ("core_attn",)) if self.recompute == "selective" else (),
            overlap=self.expert_overlap,
            layout=None if self.layout is None else read_layout(self.layout),
        )

    def job(self, asked: Job, library: Library, framework: str | None) -> Job:
        """The job with what was given up for this plan, for its own preset unless another is asked for."""
        given_up = {"optimizer": self.optimizer, "method": self.method, "offload": self.offload}
        preset = asked.framework if framework or not self.framework else library.framework(self.framework).value
        return replace(asked, workload=asked.workload.model_copy(update=given_up), framework=preset)


class _Shape(_Read):
    profile: Model


class _Machines(_Read):
    spec: Word
    gpus: Count


class _Inputs(_Read):
    model: _Shape
    cluster: _Machines
    workload: Workload
    framework: Word
    memory_margin: float = Field(default=0.0, ge=0.0, lt=1.0)


class _Answer(_Read):
    """A recommendation has plans, an explanation one plan."""

    inputs: _Inputs
    plans: tuple[PlanRecord, ...] | None = None
    plan: PlanRecord | None = None

    @model_validator(mode="after")
    def _has_a_plan(self) -> _Answer:
        if self.plans is None and self.plan is None:
            raise ValueError("neither plans nor plan")
        return self


@frozen
class Answer:
    """A recommendation or explanation that was read back.

    Attributes:
        jobs: of each plan, relaxed where it had to be.
    """

    jobs: tuple[Job, ...]
    plans: tuple[OnePlan, ...]

    def chosen(self, number: int) -> tuple[Job, OnePlan]:
        """Plan `number`, counted from 1.

        Raises:
            PlannerError: there are fewer, or it breaks a rule of its job.
        """
        if not 1 <= number <= len(self.plans):
            raise PlannerError(f"there are {len(self.plans)} plans, no number {number}", "--plan 1 is the best")
        job, plan = self.jobs[number - 1], self.plans[number - 1]
        rule = first_broken(job, plan)
        if rule is not None:
            raise PlannerError(
                f"plan {number} of this answer does not run: {rule.message(job, plan)}",
                (f"rule: {rule.name} ({rule.source})", "give the answer unchanged, or ask planner recommend anew"),
            )
        return job, plan


def read_answer(
    text: str, library: Library, gpus: str | None = None, framework: str | None = None, network: str | None = None
) -> Answer:
    """The jobs and plans of `planner recommend --json` or `explain --json`; options replace what it says.

    Raises:
        PlannerError: not such a JSON, a key that cannot be, or names that the catalogue does not have.
    """
    data = read_object(text)
    same_version(data)
    if data.get("schema") not in SCHEMAS:
        kind = str(data.get("schema")).partition("/")[0].removeprefix("planner.")
        wanted = (f"wanted: {' or '.join(SCHEMAS)}", ELSEWHERE.get(kind, "planner recommend ... --json writes one"))
        raise PlannerError(f"schema {data.get('schema')!r:.60} is none of a plan", wanted)
    try:
        said = _Answer.model_validate(data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = f"{dotted(problem['loc'])}: " if problem["loc"] else ""
        raise PlannerError(
            f"this JSON is no whole answer of the planner: {key}{schema_problem(problem)}", "give it unchanged"
        ) from None
    job = _job(said.inputs, library, on_network(gpus or said.inputs.cluster.spec, network), framework)
    plans = (said.plan,) if said.plans is None and said.plan is not None else said.plans or ()
    return Answer(tuple(found.job(job, library, framework) for found in plans), tuple(found.plan for found in plans))


def read_object(text: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        PlannerError: no JSON, or none that is an object.
    """
    data = load_json(text)
    if not isinstance(data, dict):
        raise PlannerError("this JSON is no object", "planner recommend ... --json writes one")
    return data


def _job(said: _Inputs, library: Library, gpus: str, framework: str | None) -> Job:
    cluster = find_cluster(gpus, library).value
    if gpus == said.cluster.spec and cluster.gpus != said.cluster.gpus:
        raise PlannerError("the cluster of this answer is in no catalogue", "name it: --gpus")
    preset, recipe = library.framework(framework or said.framework).value, library.recipe(said.workload.precision).value
    return Job(said.model.profile, cluster, said.workload, preset, recipe, margin=said.memory_margin)
