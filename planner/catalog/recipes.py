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


def recipe_spelled(framework: str, wanted: object) -> str | None:
    """Name of the packaged recipe that a framework is asked for in these words, or None.

    Of Megatron-LM's options one is enough: {"fp8-recipe": "tensorwise"}.
    """
    for name in Library((packaged(),)).names("recipe"):
        words = getattr(packaged_recipe(name).spelled, framework)
        if words == wanted or (isinstance(wanted, dict) and words and wanted.items() <= words.items()):
            return name
    return None
