"""Profiles that state only what tells them from another one: `like: a100-sxm4-80gb`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from planner.catalog.names import stem
from planner.catalog.yamlfile import Lines, parse_yaml, read_text
from planner.errors import ProfileError

if TYPE_CHECKING:
    from planner.catalog.textfile import Traversable

Written = tuple[dict[str, Any], Lines]

LIKE = "like"
OWN = frozenset(
    (
        *("name", "aliases", "default_for", "source", "notes", "node", "accelerator", "tested", "price"),
        *("hf_id", "checkpoint", "checkpoints"),
    )
)
"""Keys that are said of one profile alone."""


def written(path: Traversable, file_of: Callable[[str], Traversable | None], above: tuple[str, ...] = ()) -> Written:
    """The keys of a profile, those of the one that it is like among them, and the lines of its own.

    `file_of` finds a profile of the same kind by its name.

    Raises:
        ProfileError: it is like a profile that does not exist, or like itself.
    """
    value, lines = parse_yaml(read_text(path), str(path))
    if LIKE not in value:
        return value, lines
    base = value.pop(LIKE)
    where, seen = f"{path}:{lines[(LIKE,)]}: {LIKE}: {base!r:.60}", (*above, stem(path))
    file = file_of(base) if isinstance(base, str) else None
    if file is None:
        raise ProfileError(f"{where} is no profile of this kind", "its full name, that of its file")
    if stem(file) in seen:
        raise ProfileError(f"{where} is like this one in turn", "one of them must state its own facts")
    return _over(written(file, file_of, seen)[0], value, str(base)), lines


def _over(base: dict[str, Any], own: dict[str, Any], name: str) -> dict[str, Any]:
    """Keys of `base` below those of `own`; what was measured of one part is assumed of another."""
    passed_on = {key: value for key, value in base.items() if key not in OWN}
    return {**_assumed(passed_on, own, name), **{key: _nested(base.get(key), own[key], name) for key in own}}


def _nested(base: object, own: object, name: str) -> object:
    """A mapping that changes some keys of the other's; anything else as it is written."""
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    return _assumed(base, own, name) | {key: _nested(base.get(key), own[key], name) for key in own}


def _assumed(base: dict[str, Any], own: dict[str, Any], name: str) -> dict[str, Any]:
    """Facts that are passed on, with a trust and a source that say so."""
    found = {key: _assumed(value, {}, name) if isinstance(value, dict) else value for key, value in base.items()}
    if "trust" in found:
        found["trust"] = "assumed"
        found |= {"source": f"as {name}: {found['source']}"} if "source" in found and "source" not in own else {}
    return found
