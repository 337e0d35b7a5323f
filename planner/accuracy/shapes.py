"""The model of a row: its own columns first, then what its source says, then the catalogue's model of that name."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from planner.accuracy.machines import Shelf
from planner.accuracy.mapping import DEFAULT_SHAPES, Facts
from planner.accuracy.rows import Row, Unusable, whole
from planner.schema.model import Model
from planner.wording import schema_problem

_DIMENSIONS = (("layers", "n_layers"), ("hidden", "hidden"), ("ffn", "ffn_hidden"), ("heads", "n_heads"))


def find_model(shelf: Shelf, row: Row, facts: Facts) -> tuple[Model, tuple[str, ...]]:
    """The shape of the model that a row trained.

    A catalogue model counts only for dimensions that the row lacks, and for the details (head size, biases, tied
    embeddings) when hidden size and heads agree. Mixtures of experts come from the catalogue alone: the columns do
    not hold expert widths. "(cut to 12 layers)" keeps everything but the depth.

    Raises:
        Unusable: dimensions are missing, or contradict one another.
    """
    known = _catalogued(shelf, row)
    if known is not None and known.moe is not None:
        return known.model_copy(update={"layers": whole(row, "n_layers") or known.layers}), ("catalog-shape",)
    if whole(row, "n_experts", least=0):
        raise Unusable("mixture of experts without its expert width")
    fields, labels = _fields(row, known, facts)
    try:
        return Model.model_validate(fields), labels
    except ValidationError as error:
        raise Unusable(f"shape: {schema_problem(error.errors()[0])}") from None


def _catalogued(shelf: Shelf, row: Row) -> Model | None:
    """The catalogue's model of that name, unless its width or heads contradict the row."""
    name = re.sub(r"\s*\(.*\)|-LoRA$", "", row.get("model", "")).strip()
    found: Model | None = shelf.find("model", name) if re.fullmatch(r"[\w.+ -]{2,60}", name) else None
    if found is None or found.hidden != (whole(row, "hidden") or found.hidden):
        return None
    return found if found.heads == (whole(row, "n_heads") or found.heads) else None


def _fields(row: Row, known: Model | None, facts: Facts) -> tuple[dict[str, Any], tuple[str, ...]]:
    own = {field: whole(row, column) for field, column in _DIMENSIONS} | {"vocab": whole(row, "vocab")}
    missing = [name for name, value in own.items() if value is None]
    if known is None and missing:
        raise Unusable(f"no {', '.join(missing)}")
    sizes = {name: getattr(known, name) if value is None else value for name, value in own.items()}
    kv_heads = whole(row, "n_kv_heads") or (known.kv_heads if known else sizes["heads"])
    base = DEFAULT_SHAPES.get(row.get("gated_mlp", ""), DEFAULT_SHAPES[""])
    if known is not None:
        base = {name: getattr(known, name) for name in base}
    if known is None and sizes["hidden"] % sizes["heads"]:
        raise Unusable(f"hidden {sizes['hidden']} is no multiple of {sizes['heads']} heads")
    fields = base | facts.shape | sizes
    fields |= {
        "name": re.sub(r"[^\w.+-]+", "-", row.get("model", "")).strip("-_.+")[:80] or "model",
        "source": row.get("source", "")[:2000] or "a measured run",
        "family": "measured",
        "kv_heads": kv_heads,
        "head_dim": known.head_dim if known else sizes["hidden"] // sizes["heads"],
        "context": whole(row, "seq_len") or (known.context if known else None),
    }
    if tied := row.get("tied_embeddings"):
        fields["tied_embeddings"] = tied == "yes"
    if fields["context"] is None:
        raise Unusable("no sequence length")
    labels = ("catalog-shape",) if missing else ()
    return fields, labels if whole(row, "seq_len") else (*labels, "assumed-seq")
