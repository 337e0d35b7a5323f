"""What a script under reading knows, and how words and assignments change it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from planner.read.bash.builtin import Truth
from planner.read.bash.expansion import Scan, fields, whole
from planner.read.bash.expressions import arithmetic, last_of
from planner.read.bash.lexer import raw_words
from planner.read.bash.source import Source
from planner.read.bash.words import Command, Part, Scope, Value, Variable, known, names_of, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[([^\]]*)\])?(\+?)=(.*)", re.DOTALL)


@dataclass(slots=True)
class Assigning:
    """The state of one reading.

    Attributes:
        beside: text of a file next to the script, None if there is none, itself None where none is asked for.
        files: how many of them were read.
        doubt: unknown conditions around the statement, within its function or loop.
        conditional: the same over the whole script.
        branches: conditions around it that are known to hold.
        prefix: words before each command of a text given to another program (`srun bash -c "..."`).
        hidden: variables that `local` covers, one set for each function under reading.
    """

    scope: Scope
    source: Source = field(default_factory=lambda: Source.of(()))
    commands: list[Command] = field(default_factory=list)
    documents: dict[str, str] = field(default_factory=dict)
    ignored: list[tuple[int, str]] = field(default_factory=list)
    functions: dict[str, tuple[Source, Node]] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    prefix: tuple[Value, ...] = ()
    hidden: list[dict[str, Variable | None]] = field(default_factory=list)
    beside: Callable[[str], str | None] | None = None
    files: int = 0
    doubt: int = 0
    conditional: int = 0
    branches: int = 0

    def run(self, node: Node) -> Truth:
        """One statement; whether it succeeds, as far as that is known."""
        raise NotImplementedError

    def script(self, source: Source) -> None:
        """A whole text."""
        raise NotImplementedError

    def line(self, node: Node) -> int:
        """Its line in the script."""
        return self.source.line(node.start_byte)

    def note(self, line: int, why: str) -> None:
        """Something that was not read or not followed."""
        if len(self.ignored) < 1000:
            self.ignored.append((line, why))

    def raw(self, node: Node) -> str:
        """A node as written."""
        return self.source.text[node.start_byte : node.end_byte]

    def fields(self, start: int, end: int) -> list[Value]:
        """Words of a stretch of the text."""
        return fields(self.scope, self.source.text[start:end], lambda i: self.source.line(start + i))

    def whole(self, start: int, end: int, inside: str = "") -> Value:
        """A stretch of the text as one value."""
        return whole(self.scope, self.source.text[start:end], lambda i: self.source.line(start + i), inside)

    def sum(self, start: int, end: int) -> int | None:
        """A stretch of the text as arithmetic."""
        text = known(self.whole(start, end, "<<"))
        return None if text is None else arithmetic(text, self.scope.number, self.scope.assign)

    def assignment(self, start: int, end: int) -> str:
        """NAME=value, NAME+=value, NAME[i]=value, NAME=(...); the name."""
        found = ASSIGNMENT.fullmatch(self.source.text, start, end)
        if not found:
            self.note(self.source.line(start), f"not understood: {self.source.text[start:end][:60]}")
            return ""
        name, index, more, value = found.groups()
        begin = end - len(value)
        if value.startswith("(") and value.endswith(")"):
            self.array(name, begin + 1, end - 1, bool(more))
            return name
        key = Scan(self.scope, "", lambda _: 0).index(name, index or "0")
        old = (self.scope.read(name, key) or [()])[0] if more else ()
        new = self.whole(begin, end)
        self.scope.write(name, tuple(part for part in (*old, *new) if part.text), key)
        return name

    def array(self, name: str, start: int, end: int, more: bool) -> None:
        """NAME=(...) and NAME+=(...)."""
        old = self.scope.variables.get(name, Variable({}))
        self.scope.spend(len(old.items))
        items = dict(old.items) if more else {}
        place = last_of(items) + 1
        for at, word in raw_words(self.scope, self.source.text[start:end]):
            begin = start + at
            keyed = re.match(r"\[([^\]]+)\]=", word)
            if keyed:
                key = Scan(self.scope, "", lambda _: 0).index(name, keyed[1])
                items[key] = self.whole(begin + keyed.end(), begin + len(word))
                place = last_of([key]) + 1 or place
                continue
            for value in self.fields(begin, begin + len(word)):
                items[str(place)] = value
                place += 1
        self.scope.spend(2 * len(items))
        self.scope.variables[name] = replace(old, items=items)

    def declare(self, node: Node) -> Truth:
        """export, declare, local, readonly, typeset."""
        keyword, flags = self.raw(node.children[0]), ""
        for child in node.children[1:]:
            text = self.raw(child)
            if child.type == "variable_assignment":
                name = ASSIGNMENT.match(text)
                self.cover(keyword, name[1] if name else "", flags)
                self.flag(keyword, flags, self.assignment(child.start_byte, child.end_byte))
            elif text.startswith("-"):
                flags += text
            elif child.type not in ("comment", "file_redirect"):
                self.declared(keyword, flags, child)
        return True

    def declared(self, keyword: str, flags: str, node: Node) -> None:
        """A name alone, or a word that only expansion makes an assignment."""
        for value in self.fields(node.start_byte, node.end_byte):
            name, equals, text = text_of(value).partition("=")
            if names_of(value) and not re.match(r"[A-Za-z_]\w*=", text_of(value)):
                self.note(self.line(node), f"{keyword} of a name that is not known: {text_of(value)[:60]}")
            elif re.fullmatch(r"[A-Za-z_]\w*", name):
                self.cover(keyword, name, flags)
                if equals:
                    self.scope.write(name, (Part(text, self.line(node), next(iter(names_of(value)), "")),))
                self.flag(keyword, flags, name)

    def cover(self, keyword: str, name: str, flags: str) -> None:
        """A local variable hides one outside."""
        if keyword in ("local", "declare", "typeset") and self.hidden and "g" not in flags and name:
            self.hidden[-1].setdefault(name, self.scope.variables.pop(name, None))
        if "A" in flags and name:
            self.scope.variables[name] = replace(self.scope.variables.get(name, Variable({})), associative=True)

    def flag(self, keyword: str, flags: str, name: str) -> None:
        """Mark a variable as exported."""
        if (keyword == "export" and "n" not in flags) or "x" in flags:
            old = self.scope.variables.get(name)
            if old:
                self.scope.variables[name] = replace(old, exported=True)

    def exports(self) -> dict[str, str]:
        """What a command finds in its environment."""
        self.scope.spend(len(self.scope.variables))
        return {
            name: text_of(variable.items["0"])
            for name, variable in self.scope.variables.items()
            if variable.exported and "0" in variable.items
        }
