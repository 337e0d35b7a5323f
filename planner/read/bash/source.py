"""A text under reading: its syntax tree, and the line that each character comes from."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from planner.errors import PlannerError
from planner.read.bash.words import Value

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


LONGEST_LINE = 8_000
"""In a script with here-documents, in which the grammar needs time that grows with the square of it."""

SLICE, MOST_READS = 256, 50_000
"""Bytes that the grammar is given at a time, and how often; a script of 200,000 characters takes some 2,000 reads."""


@cache
def parser() -> Parser:
    """The grammar, loaded once."""
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def parsed(text: bytes) -> Node:
    """The syntax tree of a text. The grammar goes back over what is broken again and again: its reads are counted.

    Raises:
        PlannerError: more than MOST_READS.
    """
    reads = 0

    def read(start: int, _: object) -> bytes:
        nonlocal reads
        reads += 1
        return text[start : start + SLICE] if reads <= MOST_READS else b""

    root = parser().parse(read).root_node
    if reads > MOST_READS:
        raise PlannerError("this is no shell script, or a broken one", "give the flags of the training command alone")
    return root


@dataclass(slots=True)
class Source:
    """A text under reading, and the script's line of each of its characters."""

    text: str
    starts: list[int]
    lines: list[int]

    @classmethod
    def of(cls, value: Value) -> Source:
        """From the parts of a value, each of which knows its line."""
        text, starts, lines = "", [0], [value[0].line if value else 1]
        for part in value:
            breaks = [i + 1 for i, char in enumerate(part.text) if char == "\n"]
            starts += [len(text), *(len(text) + i for i in breaks)]
            lines += [part.line, *(part.line + n for n in range(1, len(breaks) + 1))]
            text += part.text
        return cls(text, starts, lines)

    def line(self, at: int) -> int:
        """The line of a character."""
        return self.lines[bisect_right(self.starts, at) - 1]

    def tree(self) -> Node:
        """The syntax tree; one byte for each character, so that places agree."""
        if "<<" in self.text and re.search(f"[^\n]{{{LONGEST_LINE}}}", self.text):
            raise PlannerError(f"a line is longer than {LONGEST_LINE:,} characters")
        return parsed(re.sub(r"[^\x00-\x7f]", "x", self.text).encode("ascii"))
