"""A model that is named, with what a configuration changes of its shape: `--recipe NAME model.num_layers=8`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from planner.errors import PlannerError
from planner.read.options import Option
from planner.schema.model import Model
from planner.units import whole_number
from planner.wording import schema_problem

SIZES = {
    "num-layers": "layers",
    "hidden-size": "hidden",
    "ffn-hidden-size": "ffn",
    "num-attention-heads": "heads",
    "num-query-groups": "kv_heads",
    "kv-channels": "head_dim",
    "mtp-num-layers": "mtp_layers",
}
EXPERTS = {"num-experts": "experts", "moe-router-topk": "top_k", "moe-ffn-hidden-size": "ffn"}
"""Options of Megatron-LM and the fields of a model, and of its experts, that they size."""

FIXED = {"layers": "pattern", "head_dim": "mla", "kv_heads": "mla"}
"""Fields that another one decides where a model has it."""


def altered(model: Model, given: Mapping[str, Option]) -> tuple[Model, tuple[str, ...]]:
    """The model in the sizes that options give it, and a sentence for all that change.

    Raises:
        PlannerError: no transformer has them.
    """
    sizes = _changes(model, given, SIZES)
    sizes = {name: size for name, size in sizes.items() if not getattr(model, FIXED.get(name, ""), None)}
    inner = _changes(model.moe, given, EXPERTS) if model.moe else {}
    if not sizes and not inner:
        return model, ()
    said = [f"{name} {getattr(model, name)} -> {size}" for name, size in sizes.items()]
    said += [f"experts' {name} {getattr(model.moe, name)} -> {size}" for name, size in inner.items()]
    moe = {"moe": {**dict(model.moe or {}), **inner}} if inner else {}
    fields = {**dict(model), **sizes, **moe, "parameters": None, "parameters_active": None}
    try:
        found = Model.model_validate(fields)
    except ValidationError as error:
        raise PlannerError(f"{model.name} with {', '.join(said)}: {schema_problem(error.errors()[0])}") from None
    return found, (f"{model.name} with {', '.join(said)}",)


def _changes(of: Any, given: Mapping[str, Option], names: Mapping[str, str]) -> dict[str, int]:
    """Fields whose option has another number than the record."""
    asked = {field: whole_number(" ".join(given[name].values)) for name, field in names.items() if name in given}
    return {field: size for field, size in asked.items() if size is not None and size != getattr(of, field)}
