"""A JSON answer of the planner as the question it came from and its plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from planner.catalog.clusters import find_cluster
from planner.catalog.library import Library
from planner.catalog.yamlfile import dotted
from planner.errors import PlannerError
from planner.plan import Plan
from planner.schema.model import Model
from planner.schema.workload import Workload
from planner.training.job import Job
from planner.wording import load_json, schema_problem

SCHEMAS = ("planner.recommendation/1", "planner.explanation/1")

DEGREES = {
    "tp": "tp",
    "cp": "cp",
    "ep": "ep",
    "pp": "pp",
    "v": "v",
    "dp": "dp",
    "b": "micro_batch",
    "m": "micro_batches",
    "zero": "zero",
    "recompute_layers": "recompute_layers",
    "head": "head_layers",
}
"""Fields of Plan and their keys in JSON."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A recommendation or explanation that was read back.

    Attributes:
        jobs: of each plan, relaxed where it had to be.
    """

    jobs: tuple[Job, ...]
    plans: tuple[Plan, ...]

    def chosen(self, number: int) -> tuple[Job, Plan]:
        """Plan `number`, counted from 1.

        Raises:
            PlannerError: there are fewer.
        """
        if not 1 <= number <= len(self.plans):
            raise PlannerError(f"there are {len(self.plans)} plans, no number {number}", "--plan 1 is the best")
        return self.jobs[number - 1], self.plans[number - 1]


def read_answer(text: str, library: Library, gpus: str | None = None, framework: str | None = None) -> Answer:
    """The jobs and plans of `planner recommend --json` or `explain --json`; options replace what it says.

    Raises:
        PlannerError: not such a JSON, or names that the catalogue does not have.
    """
    data = read_object(text)
    if data.get("schema") not in SCHEMAS:
        raise PlannerError(f"schema {data.get('schema')!r:.60} is none of a plan", f"wanted: {' or '.join(SCHEMAS)}")
    try:
        found = data["plans"] if "plans" in data else [data["plan"]]
        job = _job(data["inputs"], library, gpus, framework)
        jobs = tuple(_relaxed(job, plan) for plan in found)
        return Answer(jobs, tuple(_plan(plan) for plan in found))
    except ValidationError as error:
        problem = error.errors()[0]
        raise _broken(f"{dotted(problem['loc'])}: {schema_problem(problem)}") from None
    except KeyError as error:
        raise _broken(f"no {error.args[0]!r:.40}") from None
    except (TypeError, ValueError):
        raise _broken("a value is of another kind than the planner writes") from None


def _broken(said: str) -> PlannerError:
    return PlannerError(f"this JSON is no whole answer of the planner: {said}", "give it unchanged")


def read_object(text: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        PlannerError: no JSON, or none that is an object.
    """
    data = load_json(text)
    if not isinstance(data, dict):
        raise PlannerError("this JSON is no object", "planner recommend ... --json writes one")
    return data


def _job(inputs: dict[str, Any], library: Library, gpus: str | None, framework: str | None) -> Job:
    model = Model.model_validate(inputs["model"]["profile"])
    cluster = find_cluster(gpus or inputs["cluster"]["spec"], library).value
    if gpus is None and cluster.gpus != inputs["cluster"]["gpus"]:
        raise PlannerError("the cluster of this answer is in no catalogue", "name it: --gpus")
    preset = library.framework(framework or inputs["framework"]).value
    return Job(model, cluster, Workload.model_validate(inputs["workload"]), preset)


def _relaxed(job: Job, plan: dict[str, Any]) -> Job:
    """The job with what was given up for this plan."""
    changed = {name: plan[name] for name in ("optimizer", "method", "offload")}
    workload = Workload(**(job.workload.model_dump() | changed))
    return Job(job.model, job.cluster, workload, job.framework)


def _plan(plan: dict[str, Any]) -> Plan:
    degrees: dict[str, Any] = {ours: int(plan[theirs]) for ours, theirs in DEGREES.items()}
    selective = plan["recompute"] == "selective"
    return Plan(**degrees, sp=int(plan["sequence_parallel"]), schedule=str(plan["schedule"]), selective=selective)
