"""The packaged recipes, by name."""

from __future__ import annotations

from functools import cache

from planner.catalog.library import Library, packaged
from planner.schema.recipe import Recipe


@cache
def packaged_recipe(name: str) -> Recipe:
    """The record of a name, read once.

    Raises:
        UnknownName: no packaged recipe answers to it.
    """
    return Library((packaged(),)).recipe(name).value
