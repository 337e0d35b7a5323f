"""docs/examples/plans.ipynb runs, and shows what it gives today: PLANNER_REGENERATE=1 renews its outputs."""

from __future__ import annotations

import ast
import io
import json
import os
import re
from contextlib import redirect_stdout
from typing import Any

from tests.docs.markdown import DOCS

PATH = DOCS / "examples" / "plans.ipynb"
SECONDS = re.compile(r" · \d+\.\d\d s$", re.MULTILINE)


def executed(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The outputs of a cell: what it prints, and what its last expression is."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(ast.Module(body, []), PATH.name, "exec"), names)
        value = eval(compile(ast.Expression(last.value), PATH.name, "eval"), names) if last else None
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": lines(printed.getvalue())})
    if value is not None:
        data = {"text/plain": lines(repr(value))}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = lines(value._repr_html_())
        outputs.append({"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return outputs


def lines(text: str) -> list[str]:
    """As notebooks keep text, without the seconds that a search took."""
    return SECONDS.sub("", text).splitlines(keepends=True)


def test_cells_give_what_they_show() -> None:
    """All of them, one after the other."""
    notebook = json.loads(PATH.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell["outputs"], cell["execution_count"] = executed("".join(cell["source"]), names, count), count
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("PLANNER_REGENERATE"):
        PATH.write_text(text, encoding="utf-8")
    assert PATH.read_text(encoding="utf-8") == text
    assert count >= 5


def test_it_is_a_notebook() -> None:
    """Of the format that it names: nbformat 4.5 wants an id for every cell, and outputs for code alone."""
    notebook = json.loads(PATH.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[\w-]{1,64}", one) for one in ids)
    assert all(("outputs" in cell) == (cell["cell_type"] == "code") for cell in notebook["cells"])
