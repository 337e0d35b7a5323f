"""The model of a row: its own columns first, then what its source says, then the catalogue's model of that name."""

from __future__ import annotations

import re
from typing import Any

from planner.accuracy.machines import Shelf
from planner.accuracy.mapping import SAID, Facts
from planner.accuracy.rows import Row, Unusable, usable, whole
from planner.schema.model import Model

_DIMENSIONS = (("layers", "n_layers"), ("hidden", "hidden"), ("ffn", "ffn_hidden"), ("heads", "n_heads"))


def find_model(shelf: Shelf, row: Row, facts: Facts) -> tuple[Model, tuple[str, ...]]:
    """The shape of the model that a row trained.

    A catalogue model counts only for dimensions that the row lacks, and for the details (head size, biases, tied
    embeddings) when hidden size and heads agree. "(cut to 12 layers)" keeps everything but the depth.

    Raises:
        Unusable: dimensions are missing, or contradict one another.
    """
    known = _catalogued(shelf, row)
    if known is not None and known.moe is not None:
        return _cut(row, known, facts), ("catalog-shape",)
    fields, labels = _fields(row, known, facts)
    if whole(row, "n_experts", least=0):
        fields |= _experts(row) | _latent(row)
    return usable(Model, fields, "shape"), labels


def _cut(row: Row, known: Model, facts: Facts) -> Model:
    """A catalogue model of experts with the depth, the leading dense layers and the predictions of the row."""
    changes: dict[str, Any] = {"layers": whole(row, "n_layers") or known.layers, "mtp_layers": _predictions(row, known)}
    dense = whole(row, "n_dense_layers", least=0)
    routed = {"dense_layers": dense} if dense is not None else {}
    if known.moe is not None:
        changes["moe"] = known.moe.model_copy(update=routed | facts.routing)
    return known.model_copy(update=changes)


def _predictions(row: Row, known: Model) -> int:
    """Prediction (MTP) layers: what the notes say, else the catalogue's."""
    said = re.search(r"(\d+) MTP layer", row.get("notes", ""))
    return int(said[1]) if said else known.mtp_layers


def _experts(row: Row) -> dict[str, Any]:
    """The experts that the columns describe."""
    top_k, width = whole(row, "top_k"), whole(row, "moe_ffn")
    if top_k is None or width is None:
        raise Unusable("mixture of experts without its expert width")
    counts = {"experts": whole(row, "n_experts"), "top_k": top_k, "ffn": width}
    beside = {"shared_experts": "n_shared_experts", "dense_layers": "n_dense_layers"}
    return {"moe": counts | {name: whole(row, column, least=0) or 0 for name, column in beside.items()}}


def _latent(row: Row) -> dict[str, Any]:
    """Multi-head latent attention, where the row has its ranks."""
    rank = whole(row, "kv_lora_rank", least=0)
    if not rank:
        return {}
    names = {"qk_nope_dim": "qk_nope", "qk_rope_dim": "qk_rope", "v_head_dim": "v_head"}
    widths = {name: whole(row, column) for name, column in names.items()}
    query = whole(row, "q_lora_rank", least=0) or None
    return {"mla": widths | {"kv_lora_rank": rank, "q_lora_rank": query}}


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
    base = SAID["shapes"]["yes" if row.get("gated_mlp") == "yes" else "no"]
    if known is not None:
        base = {name: getattr(known, name) for name in base}
    if known is None and not whole(row, "head_dim") and sizes["hidden"] % sizes["heads"]:
        raise Unusable(f"hidden {sizes['hidden']} is no multiple of {sizes['heads']} heads")
    fields = base | facts.shape | sizes
    fields |= {
        "name": re.sub(r"[^\w.+-]+", "-", row.get("model", "")).strip("-_.+")[:80] or "model",
        "source": row.get("source", "")[:2000] or "a measured run",
        "family": "measured",
        "kv_heads": kv_heads,
        "head_dim": known.head_dim if known else whole(row, "head_dim") or sizes["hidden"] // sizes["heads"],
        "context": whole(row, "seq_len") or (known.context if known else None),
    }
    if tied := row.get("tied_embeddings"):
        fields["tied_embeddings"] = tied == "yes"
    if fields["context"] is None:
        raise Unusable("no sequence length")
    labels = ("catalog-shape",) if missing else ()
    return fields, labels if whole(row, "seq_len") else (*labels, "assumed-seq")
