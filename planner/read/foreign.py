"""Files of frameworks that are known by name and not read, refused as what they are; and of forks, read as what they
forked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from planner.catalog.yamlfile import table
from planner.errors import PlannerError
from planner.frozen import frozen
from planner.read.tree import Tree

INSTEAD = "ask about the job itself: planner recommend --model M --gpus N --seq S --global-batch B --tp T --pp P"


@frozen
class Foreign:
    """How a framework is known.

    Attributes:
        keys: of its configurations; one is enough, of "a&!b" a without b. programs: words of its commands.
        imports: modules of its Python files. instead: what to ask instead.
    """

    title: str
    keys: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    instead: str = INSTEAD

    def reads(self, tree: Tree) -> bool:
        """Whether a configuration is its."""
        return any(all(_stands(tree, one) for one in key.split("&")) for key in self.keys)

    def runs(self, words: Iterable[str]) -> bool:
        """Whether a command starts it."""
        return any(re.fullmatch(program, word[:200]) for word in words for program in self.programs)

    def writes(self, text: str) -> bool:
        """Whether a Python file is written for it."""
        return any(re.search(rf"(?m)^[ \t]*(?:from|import)[ \t]+{re.escape(name)}\b", text) for name in self.imports)


def _stands(tree: Tree, key: str) -> bool:
    if key.startswith("!"):
        return key[1:] not in tree
    return any(path.startswith(key[:-1]) for path in tree.leaves) if key.endswith(".*") else key in tree


@cache
def known() -> tuple[Foreign, ...]:
    """All of foreign.yaml."""
    return tuple(_known(title, row) for title, row in table("read", "foreign.yaml")["frameworks"].items())


def _known(title: str, row: dict[str, str]) -> Foreign:
    keys, programs, imports = (tuple(row.get(name, "").split()) for name in ("keys", "programs", "imports"))
    return Foreign(title, keys, programs, imports, row.get("instead", INSTEAD))


def fork_of(strange: Iterable[str]) -> str:
    """Whose options these are, which the original's parser does not have; "" where nobody's are known."""
    names = set(strange)
    forks = table("read", "foreign.yaml")["forks"]
    return next((name for name, row in forks.items() if names & set(row["options"].split())), "")


def refuse(tree: Tree | None = None, words: Iterable[str] = (), text: str = "") -> None:
    """Nothing where a configuration, a command or a Python file may be one that is read.

    Raises:
        PlannerError: it is of a framework that is known and not read.
    """
    words = tuple(words)
    for one in known():
        if (tree is not None and one.reads(tree)) or one.runs(words) or (text and one.writes(text)):
            raise PlannerError(f"this is a file of {one.title}, which is not read", one.instead)
