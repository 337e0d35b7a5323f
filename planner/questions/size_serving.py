"""From a load to a deployment: names and numbers as typed to the fewest GPUs of several sorts."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from planner.catalog.library import Library, open_library
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.questions.serve import ask_serve
from planner.questions.size import MOST, check_prices, had_as, kind_names, read_prices, smallest
from planner.sizing.serving import Served, ServeKind, cheapest_served, fewest_served, served


@frozen
class LoadQuestion:
    """A problem with its names resolved; `money`: whether the cheapest is asked for, rather than the fewest."""

    kinds: tuple[ServeKind, ...]
    money: bool
    most: int
    assumptions: tuple[str, ...]


@frozen
class LoadAnswer:
    """The smallest deployment of every kind, and the best of them."""

    question: LoadQuestion
    found: tuple[Served, ...]
    fewest: Served | None
    cheapest: Served | None
    seconds: float

    @property
    def answer(self) -> Served | None:
        """The one that was asked for."""
        return self.cheapest if self.question.money else self.fewest


def ask_load(
    model: str,
    gpu: str,
    *,
    price: Sequence[str] = (),
    objective: str | None = None,
    max_gpus: int | None = None,
    **job: Any,
) -> LoadQuestion:
    """Look up the names; `job` are the options of `ask_serve`, of which a load is required.

    Raises:
        PlannerError: whatever is wrong with the question.
    """
    if objective not in (None, "fewest", "cheapest"):
        raise PlannerError(f"--objective {objective!r:.40} is none for a load", "--objective fewest or cheapest")
    if job.get("rate") is None and job.get("users") is None:
        raise PlannerError("--serve needs a load", "--requests 20/s, or --users 64")
    library = open_library(job.get("profiles"), job.get("strict", False))
    names = kind_names(gpu)
    prices, most = read_prices(price, names, library), max_gpus or MOST
    kinds = tuple(_kind(name, model, library, prices.get(name), most, **job) for name in names)
    money = bool(price) or objective == "cheapest"
    if money:
        check_prices(kinds)
    return LoadQuestion(kinds, money, most, tuple(dict.fromkeys(s for k in kinds for s in k.question.assumptions)))


def _kind(name: str, model: str, library: Library, price: float | None, most: int, **job: Any) -> ServeKind:
    gpus, whole = smallest(name, library)
    question = ask_serve(model, gpus, objective="fewest", **job)
    return ServeKind(name, question, whole, had_as(name, question.job.cluster, whole, library, most), price)


def size_load(question: LoadQuestion) -> LoadAnswer:
    """The smallest deployment on every kind."""
    started = perf_counter()
    found = tuple(served(kind, question.most) for kind in question.kinds)
    cheap = cheapest_served(found) if question.money else None
    return LoadAnswer(question, found, fewest_served(found), cheap, perf_counter() - started)
