"""What the page of an answer takes from each verb's JSON: the rows, the title, and what was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from planner.errors import PlannerError
from planner.report.page_rows import KINDS, Kind, Row
from planner.sizing.answers import OBJECTIVES
from planner.units import format_count

Document = Mapping[str, Any]


def rows_of(document: Document) -> tuple[Kind, list[Row]]:
    """The rows of an answer, best first, and what they have.

    Raises:
        PlannerError: an answer that has no page.
    """
    schema = str(document.get("schema", "")).partition("/")[0].removeprefix("planner.")
    if schema not in ROWS:
        raise PlannerError(
            f"schema {document.get('schema')!r:.60} is no answer that has a page",
            "answers that have one: recommend, serve, size, compare, check, explain with --json; sweep",
        )
    rows, kind = ROWS[schema], KINDS.get(schema, KINDS["training"])
    kind = _of_cells(kind, document) if schema == "sweep" else kind
    return kind, [{"rank": n, **row} for n, row in enumerate(rows(document), start=1)]


def _compared(document: Document) -> list[Row]:
    """The best plan on every one of several clusters."""
    more = ("usd_per_hour", "usable_memory_bytes")
    found = [c for c in document["clusters"] if c["plan"]]
    return [_unranked(c["plan"]) | {key: c[key] for key in more} | {"cluster": c["name"]} for c in found]


def _loads(document: Document) -> list[Row]:
    return _titled(document, [{**one["deployment"], **one} for one in document["each_gpu"]], ("answer", "cheapest"))


def _titled(document: Document, rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Rows with what they are the best in; the answer leads."""
    best = {name: document[name] for name in names if document.get(name)}
    found = []
    for row in rows:
        is_ = [name for name, one in best.items() if all(one[key] == row[key] for key in ("gpu", "gpus", "nodes"))]
        found.append({**row, "is": is_})
    return sorted(found, key=lambda row: "answer" not in row["is"])


def _checked(document: Document) -> list[Row]:
    """The plan of a file, the best one, and changes to what is written."""
    found = [(["as written"], document["plan"]), (["best"], document["best"])]
    for one in document["changes"]:
        found.append(([edit[2:] for edit in one["edits"] if edit.startswith("+ ")] or ["less"], one["plan"]))
    return [_unranked(plan) | {"is": name} for name, plan in found if plan]


def _explained(document: Document) -> list[Row]:
    plan = document["plan"]
    return [{**plan, "usable_memory_bytes": plan["memory_bytes"]["total"] + plan["headroom_bytes"]}]


def _swept(document: Document) -> list[Row]:
    """Cells that fit, fastest first; the plan's fields under the names that they have elsewhere."""
    found: list[Row] = []
    for cell in document["cells"]:
        if cell["status"] == "fits":
            plan = {key.removeprefix("plan_"): value for key, value in cell.items()}
            peak = cell["peak_memory_bytes"]
            ends = {end: cell.get(f"memory_band_{end}") for end in ("low_bytes", "high_bytes")}
            more = {"memory_band": ends} if all(ends.values()) else {}
            found.append(plan | {"memory_bytes": {"peak": peak, "total": peak}} | more)
    return sorted(found, key=lambda row: -row["tokens_per_second"])


def _of_cells(kind: Kind, document: Document) -> Kind:
    """The kind with the options of a sweep in front of the plan's dimensions."""
    given = list(dict.fromkeys(key for cell in document["cells"] for key in cell))
    options = given[: given.index("status")] if "status" in given else given
    asked = {key: key.replace("_", " ") for key in options if key not in ("schema", "cell")}
    return replace(kind, dimensions=asked | kind.dimensions)


def _unranked(plan: Row) -> dict[str, Any]:
    return {key: value for key, value in plan.items() if key != "rank"}


ROWS: dict[str, Callable[[Document], Sequence[Row]]] = {
    "recommendation": lambda document: document["plans"],
    "serving": lambda document: document["deployments"],
    "comparison": _compared,
    "curve": lambda document: [{**_unranked(row["plan"]), **row} for row in document["curve"]],
    "check": _checked,
    "sweep": _swept,
    "explanation": _explained,
    "size": lambda document: _titled(document, document["points"], ("answer", *OBJECTIVES)),
    "size-serving": _loads,
}
"""By the schema of the answer."""


def title_of(document: Document) -> str:
    """ "llama3.1-70b on 64 × h100-sxm5-80gb"."""
    if "cells" in document:
        fit = sum(cell["status"] == "fits" for cell in document["cells"])
        return f"A sweep of {len(document['cells']):,} cells, {fit:,} fit"
    inputs = _inputs(document)
    name = inputs["model"]["name"]
    if "clusters" in document:
        return f"{name} on {', '.join(c['name'] for c in document['clusters'])}"
    if "cluster" in inputs:
        return f"{name} on {inputs['cluster']['gpus']:,} × {inputs['cluster']['accelerator']}"
    if "sizes" in inputs:
        return f"{name} on {inputs['sizes'][0]:,} to {inputs['sizes'][-1]:,} × {inputs['accelerator']}"
    return f"A cluster for {name}"


def facts_of(document: Document) -> str:
    """The size of the model, the work and who does it, in a line."""
    if "cells" in document:
        named = [dict.fromkeys(str(cell[key]) for cell in document["cells"]) for key in ("model", "gpus")]
        return " · ".join(", ".join(names) for names in named)
    inputs = _inputs(document)
    work = inputs["workload"]
    said = [f"{format_count(inputs['model']['parameters'])} parameters"]
    if "input" in work:
        said.append(f"{work['input']:,} tokens in, {work['output']:,} out")
    else:
        batch = f"{work['global_batch']:,} sequences × " if work["global_batch"] else "sequences of "
        said.append(f"{batch}{work['seq']:,} tokens, {work['precision']}")
    if inputs.get("tokens"):
        said.append(f"{format_count(inputs['tokens'])} tokens in all")
    said += [str(inputs[key]) for key in ("framework", "engine") if inputs.get(key)]
    return " · ".join(said)


def _inputs(document: Document) -> Mapping[str, Any]:
    found: Mapping[str, Any] = document["inputs"] if "inputs" in document else document["clusters"][0]["inputs"]
    return found
