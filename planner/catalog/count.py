"""A profile's stated parameters against those of its shape: one of them is a slip where they are far apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.blocks.counts import active_parameters, parameters
from planner.catalog.yamlfile import parse_yaml, read_text
from planner.errors import ProfileError
from planner.units import format_count

if TYPE_CHECKING:
    from planner.catalog.textfile import Traversable
    from planner.schema.model import Model

TOTAL, ACTIVE = 0.05, 0.20
"""How far a published count may be off: it is rounded ("7 B" of 6.74), and some leave embedding and head out of the
parameters per token (gpt-oss-20b: 3.6 of 4.2 B)."""


def check_count(model: Model, path: Traversable) -> None:
    """Refuse a model whose stated counts are not those of its shape; what is not stated is not compared.

    Raises:
        ProfileError: the key, both numbers.
    """
    for key, stated, counted, off in (
        ("parameters", model.parameters, float(parameters(model).total), TOTAL),
        ("parameters_active", model.parameters_active, float(active_parameters(model)), ACTIVE),
    ):
        if stated is not None and abs(stated - counted) > off * counted:
            lines = parse_yaml(read_text(path), str(path))[1]
            line = lines.get((key,), 1)  # the count may be that of the profile that this one is like
            said = f"{path}:{line}: {key}: {format_count(stated)} stated, but this shape has {format_count(counted)}"
            raise ProfileError(said, f"correct the shape or the count; without {key} nothing is compared")
