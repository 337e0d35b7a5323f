"""The planner from Python: names in, an answer out that prints itself, in notebooks too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.questions.given import pythons
from planner.report.grid import plain


class Record(dict[str, Any]):
    """An object of the JSON answer whose keys are attributes as well; a list of them is what pandas.DataFrame takes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this answer has no {name!r}; it has {', '.join(self)}") from None


@dataclass(frozen=True)
class Answer:
    """What was asked and what was found, with the keys and units of the command's --json.

    Attributes:
        found: the answer as the planner holds it.
        document: the JSON answer.
        lines: the same as a page of text, for a width in columns.
    """

    found: Any
    document: Mapping[str, Any]
    lines: Callable[[int | None], list[str]]

    @property
    def fits(self) -> bool:
        """Whether something runs as it was asked for; of a script, whether it fits."""
        return bool(self.document.get("fits_as_requested", self.document.get("fits")))

    @cached_property
    def plans(self) -> list[Record]:
        """Plans, best first; deployments, where serving was asked for; the plan of a script."""
        alone = [self.document["plan"]] if self.document.get("plan") else []
        return [Record(one) for one in self.document.get("plans", self.document.get("deployments", alone))]

    def to_dict(self) -> dict[str, Any]:
        """The JSON answer as plain values."""
        document: dict[str, Any] = json.loads(json.dumps(self.document))
        return document

    def __str__(self) -> str:
        """The page, without colours."""
        return "\n".join(map(plain, self.lines(None)))

    def __repr__(self) -> str:
        """The first screen."""
        return "\n".join(map(plain, self.lines(118)[:24]))[:3900]

    def to_pandas(self) -> Any:
        """A pandas.DataFrame of the plans, a row each; what lies inside has dots: "memory_bytes.total".

        Raises:
            PlannerError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError:
            raise PlannerError("pandas is not installed", "pip install pandas, or take answer.plans") from None
        return pandas.DataFrame(_rows(self.plans))

    def _repr_html_(self) -> str:
        """The ranking as a table, what is near and what was assumed below it."""
        from planner.report.page import fragment

        return fragment(self.document)


def _rows(plans: list[Record]) -> list[dict[str, Any]]:
    """Flat records with the same columns: what one lacks is None in it."""
    rows = [dict(_flat(one)) for one in plans]
    names = list(dict.fromkeys(name for row in rows for name in row))
    inner = {name.rpartition(".")[0] for name in names}
    return [{name: row.get(name) for name in names if name not in inner} for row in rows]


def _flat(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", inner


@pythons()
def recommend(model: str, gpus: str, *, top: int = 10, exact: bool = False, **options: Any) -> Answer:
    """The ranked plans of `planner recommend`; options are its own, with underscores: tp=4, pp="2..8", seq=4096.

    Raises:
        PlannerError: whatever is wrong with the question.
    """
    from planner.questions.ask import ask
    from planner.questions.given import MORE, given, typed
    from planner.questions.train import caveats
    from planner.questions.train import recommend as search
    from planner.report.jsonout import recommendation as document
    from planner.report.table import recommendation as page

    asked = given(ask, {"model": model, "gpus": gpus, **options}, MORE)
    question = ask(**asked)
    found = search(question.job, question.bounds, _places(top), exact)
    said = (*question.assumptions, *caveats(question.job, question.bounds))
    words = ["recommend", *typed(asked | {"exact": exact})]
    return Answer(found, document(found, said), lambda width: list(page(found, words, width)))


def serve(model: str, gpus: str, *, top: int = 10, **options: Any) -> Answer:
    """The ranked deployments of `planner serve`; options are its own: input=4000, output=500, tpot="30ms".

    Raises:
        PlannerError: whatever is wrong with the question.
    """
    from planner.questions.serve import answer, ask_serve
    from planner.report.serving import deployments as page
    from planner.report.serving_json import serving as document

    places = _places(top)
    question = ask_serve(model, gpus, **options)
    found = answer(question)
    return Answer(found, document(found, question.assumptions, places), lambda width: list(page(found, places, width)))


def _places(top: int) -> int:
    """How many rows are wanted, as on the command line."""
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= 1000:
        raise PlannerError(f"top must be a whole number between 1 and 1000, not {top!r:.40}")
    return top


@pythons()
def check(
    file: str | Path, gpus: str, *, margin: str = "0%", variables: dict[str, str] | None = None, **options: Any
) -> Answer:
    """The verdict of `planner check` on a script or configuration, which is read and never run.

    `options` are what the file does not say: model, framework, network, seq, global_batch, micro_batch, tp, pp,
    images, image_size; plan, the number of one of a saved answer.
    `found` is the verdict: legal, fits, the fewest edits that make it run.

    Raises:
        PlannerError: whatever is wrong with the file or the question.
    """
    from planner.catalog.library import open_library
    from planner.cli.infile import beside, read_text
    from planner.launch import check as judged
    from planner.launch.targets import TARGETS
    from planner.questions.ask import share_of_memory
    from planner.questions.given import given
    from planner.questions.train import caveats_of
    from planner.read.question import GIVEN, NAMES, understood
    from planner.report.check import document, text

    known = {**dict.fromkeys((*NAMES, *GIVEN)), "gpus": gpus}
    if strange := options.keys() - known.keys():
        raise PlannerError(f"check has no {sorted(strange)[0]!r:.40}", f"it has {', '.join(known)}, margin, variables")
    asked = given(check, known | options, dict.fromkeys(NAMES, "str") | dict.fromkeys(GIVEN, "int"))
    names, numbers = ({key: asked[key] for key in keys} for keys in (NAMES, GIVEN))
    for name, number in numbers.items():
        if number is not None and number < (name != "images"):
            raise PlannerError(f"{name} must be at least {int(name != 'images')}, not {number}")
    if not isinstance(variables, Mapping | None):
        raise PlannerError(f"variables are names with values, not {variables!r:.40}", '{"NODES": 4}')
    outside = {str(name): str(value) for name, value in (variables or {}).items()}
    said = understood(read_text(str(file)), open_library(), beside(str(file)), names, numbers, outside)
    setup, reading, assumed = said
    found = judged.check(reading, setup, TARGETS[reading.target], share_of_memory(margin), None)
    notes = (*reading.notes, *assumed, *caveats_of(setup.job, setup.plan))
    return Answer(found, document(found, str(file), notes), lambda width: text(str(file), found))
