"""The same question over a range of cluster sizes, and over several clusters side by side."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from planner.catalog.clusters import find_cluster
from planner.catalog.library import Library, open_library
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.questions.ask import Question, ask
from planner.questions.batch import BATCHES
from planner.questions.given import pythons
from planner.questions.size import illegal, types_of
from planner.questions.train import Recommendation, recommend
from planner.schema.hardware import Cluster
from planner.sizing.answers import Rung, pays_until, scaling, short
from planner.sizing.ladder import rungs
from planner.sizing.limits import read_price
from planner.sizing.money import Bill, bill
from planner.sizing.point import Kind, Point, Run, point

MOST_CLUSTERS = 8
"""Clusters that are compared at once: one column each."""


@frozen
class CurveQuestion:
    """One job on clusters of several sizes."""

    kind: Kind
    sizes: tuple[int, ...]
    assumptions: tuple[str, ...]


@frozen
class Curve:
    """The best plan of every size; `unfit` lists the sizes on which nothing fits as asked."""

    question: CurveQuestion
    rungs: list[Rung]
    unfit: tuple[int, ...]
    pays: Point | None
    seconds: float


def is_range(gpus: str) -> bool:
    """Whether --gpus names a range of sizes: "8xA100..128xA100"."""
    return ".." in gpus and "/" not in gpus and "\\" not in gpus


@pythons()
def ask_curve(model: str, gpus: str, **job: Any) -> CurveQuestion:
    """Look up the names; `job` are the options of `ask`.

    Raises:
        PlannerError: the ends are not of one kind, or whatever else is wrong with the question.
    """
    library = open_library(job.get("profiles"), job.get("strict", False))
    ends = [part.strip() for part in gpus.split("..")]
    if len(ends) != 2 or not all(ends):
        raise PlannerError(f"{gpus!r:.60} is no range of clusters", "8xA100..128xA100")
    low, high = (find_cluster(text, library).value for text in ends)
    if (low.node, low.accelerator) != (high.node, high.accelerator):
        what = (
            f"{gpus!r:.60}: {low.accelerator.name} in {low.node.name} and {high.accelerator.name} in {high.node.name}"
        )
        raise PlannerError(f"{what} are no range", "ends of one kind: 8xA100..128xA100")
    if low.gpus > high.gpus:
        raise PlannerError(f"{gpus!r:.60} runs backwards: {low.gpus:,} to {high.gpus:,} GPUs", "8xA100..128xA100")
    question = ask(model, ends[1], library=library, **job)
    named = ends[0].replace(":", "x").split("x", 1)[-1]
    whole = low.used == low.node.count and library.lookup("node", named) is not None  # a range of instances
    batch = any(job.get(name) is not None for name in BATCHES)
    kind = Kind(high.accelerator.name, question.job, question.bounds, whole, batch)
    notes = tuple(s for s in question.assumptions if not s.startswith("global batch"))
    said = () if kind.batch else ("global batch of about 4 M tokens per step at every size; --global-batch sets it",)
    return CurveQuestion(kind, sizes(high, whole, low.gpus), (*notes, *said))


def sizes(high: Cluster, whole: bool, least: int) -> tuple[int, ...]:
    """The rungs of the ladder from `least` GPUs up to a cluster's, both ends included."""
    return tuple(sorted({least, *(n for n in rungs(high, whole, high.gpus) if n > least), high.gpus}))


def curve(question: CurveQuestion) -> Curve:
    """The best plan on every size.

    Raises:
        NoLegalPlan: the options leave no plan that obeys the rules on any size.
    """
    started = perf_counter()
    found = [point(question.kind, n, Run()) for n in question.sizes]
    if not any(found) and all(short(question.kind, n) is None for n in question.sizes):
        raise illegal(question.kind, question.sizes[-1])
    steps = scaling([p for p in found if p is not None])
    unfit = tuple(n for n, p in zip(question.sizes, found, strict=True) if p is None)
    return Curve(question, steps, unfit, pays_until(steps), perf_counter() - started)


@frozen
class Column:
    """One cluster of a comparison, as typed, with its answer and its price."""

    name: str
    question: Question
    answer: Recommendation
    bill: Bill | None


@pythons()
def compare(model: str, gpus: str, *, price: Sequence[str] = (), exact: bool = False, **job: Any) -> tuple[Column, ...]:
    """The best plan on each of several clusters, with commas between them.

    Raises:
        PlannerError: whatever is wrong with the question.
    """
    names = list(dict.fromkeys(part.strip() for part in gpus.split(",") if part.strip()))
    if not 2 <= len(names) <= MOST_CLUSTERS:
        what = f"--gpus names {len(names)} cluster{'' if len(names) == 1 else 's'}"
        raise PlannerError(f"{what}: 2 to {MOST_CLUSTERS} are compared", "--gpus 64xA100,64xH100,32xB200")
    library = open_library(job.get("profiles"), job.get("strict", False))
    questions = {name: ask(model, name, library=library, **job) for name in names}
    prices = _prices(price, questions, library)
    return tuple(
        Column(name, q, recommend(q.job, q.bounds, 1, exact), bill_of(q.job.cluster, prices, library))
        for name, q in questions.items()
    )


def _prices(texts: Sequence[str], questions: dict[str, Question], library: Library) -> dict[str, float]:
    """Price per accelerator and hour by the accelerator's name."""
    found: dict[str, float] = {}
    here = {q.job.cluster.accelerator.name for q in questions.values()}
    for name, value in map(read_price, (part for text in texts for part in text.split(","))):
        device = library.lookup("accelerator", name)
        if device is None or device.value.name not in here:
            raise PlannerError(
                f"--price {name!r:.40} is in none of --gpus", f"priced can be: {', '.join(sorted(here))}"
            )
        found[device.value.name] = value
    return found


def bill_of(cluster: Cluster, prices: dict[str, float], library: Library) -> Bill | None:
    """The user's price, the node's own, or the cheapest of a provider's that holds the same."""
    device, node = cluster.accelerator.name, cluster.node
    types = (node,) if node.price is not None else types_of(device, library)
    return bill(cluster.gpus, cluster.nodes, prices.get(device), types)
