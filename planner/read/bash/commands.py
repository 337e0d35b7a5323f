"""Simple commands: assignments, builtins that change what later words become, files that a script writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from planner.read.bash.builtin import Truth, holds, output
from planner.read.bash.expansion import Scan, fields, whole
from planner.read.bash.expressions import arithmetic
from planner.read.bash.inner import inner_script
from planner.read.bash.lexer import raw_words
from planner.read.bash.source import Source
from planner.read.bash.words import Command, Part, Scope, Value, Variable, known, names_of, text_of, word_of

if TYPE_CHECKING:
    from tree_sitter import Node

ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[([^\]]*)\])?(\+?)=(.*)", re.DOTALL)
CONFIGS = (".json", ".yaml", ".yml", ".toml", ".conf", ".cfg")
SILENT = {"true", ":", "set", "shopt", "ulimit", "trap", "wait", "readonly"}


class Leave(Exception):
    """exit, return, break or continue."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(slots=True)
class Simple:
    """Reads simple commands into `commands`.

    Attributes:
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
        place = max((int(key) for key in items if key.isdigit()), default=-1) + 1
        for at, word in raw_words(self.scope, self.source.text[start:end]):
            begin = start + at
            keyed = re.match(r"\[([^\]]+)\]=", word)
            if keyed:
                key = Scan(self.scope, "", lambda _: 0).index(name, keyed[1])
                items[key] = self.whole(begin + keyed.end(), begin + len(word))
                place = int(key) + 1 if key.isdigit() else place
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

    def simple(self, words: Sequence[Value], own: dict[str, str], line: int) -> Truth:
        """A command with its words expanded."""
        name = known(words[0]) or ""
        special = self.special(name, words, line)
        if special is not None:
            return special()
        if name in self.functions:
            return self.call(name, words[1:])
        if not self.embedded(words, own, line):
            self.emit(words, own, line)
        return None

    def special(self, name: str, words: Sequence[Value], line: int) -> Callable[[], Truth] | None:
        """What is done for a builtin; None for any other command."""
        if name in SILENT or (name == "set" and len(words) > 1):
            return lambda: self.settle(words)
        table: dict[str, Callable[[], Truth]] = {
            "false": lambda: False,
            "[": lambda: holds(words[1:-1], False),
            "test": lambda: holds(words[1:], False),
            "let": lambda: self.let(words[1:]),
            "eval": lambda: self.evaluate(words[1:], line),
            "shift": lambda: self.shift(words[1:]),
            "source": lambda: self.sourced(words, line),
            ".": lambda: self.sourced(words, line),
            **{kind: lambda: self.leave(name, line) for kind in ("exit", "return", "break", "continue")},
            **{kind: lambda: self.filled(words, line) for kind in ("read", "mapfile", "readarray", "getopts")},
        }
        return table.get(name)

    def settle(self, words: Sequence[Value]) -> Truth:
        """set -- a b."""
        if text_of(words[0]) == "set" and len(words) > 1 and text_of(words[1]) == "--":
            self.scope.arguments = tuple(words[2:])
        return True

    def let(self, words: Sequence[Value]) -> Truth:
        """let a=b+1."""
        result: int | None = None
        for word in words:
            text = known(word)
            result = None if text is None else arithmetic(text, self.scope.number, self.scope.assign)
        return None if result is None else result != 0

    def shift(self, words: Sequence[Value]) -> Truth:
        """shift n."""
        count = known(words[0]) if words else "1"
        if self.scope.arguments is not None and count and count.isdigit():
            self.scope.arguments = self.scope.arguments[int(count) :]
        return True

    def sourced(self, words: Sequence[Value], line: int) -> Truth:
        """source file."""
        name = text_of(words[1]) if len(words) > 1 else ""
        self.note(line, f"{name} was not read: what it sets is not known")
        return None

    def filled(self, words: Sequence[Value], line: int) -> Truth:
        """read, mapfile: variables get what is not known."""
        for word in words[1:]:
            self.scope.variables.pop(text_of(word), None)
        self.note(line, f"{text_of(words[0])}: what it reads is not known")
        return None

    def leave(self, kind: str, line: int) -> Truth:
        """exit, return, break, continue: followed where nothing unknown decides over them."""
        if self.doubt:
            return None
        if kind == "exit" and self.branches:
            self.note(line, "exit was not followed; the script was read on")
            return None
        raise Leave(kind)

    def call(self, name: str, words: Sequence[Value]) -> Truth:
        """A function, with its arguments."""
        source, body = self.functions[name]
        self.called.add(name)
        held = self.scope.arguments, self.source, self.doubt, self.branches
        self.scope.arguments, self.source, self.doubt, self.branches = tuple(words), source, 0, 0
        self.hidden.append({})
        self.scope.enter()
        try:
            return self.run(body)
        except Leave as left:
            if left.kind == "exit":
                raise
            return None
        finally:
            self.scope.leave()
            self.scope.arguments, self.source, self.doubt, self.branches = held
            for covered, old in self.hidden.pop().items():
                self.scope.variables.pop(covered, None)
                if old is not None:
                    self.scope.variables[covered] = old

    def emit(self, words: Sequence[Value], own: dict[str, str], line: int) -> None:
        """One command of the script."""
        self.scope.spend(10 * len(words) + 50)
        argv = tuple(word_of(word) for word in (*self.prefix, *words))
        self.commands.append(Command(argv, self.exports() | own, line, self.conditional > 0))

    def evaluate(self, words: Sequence[Value], line: int) -> Truth:
        """eval: the words as a script of their own."""
        self.nested(joined(words), line)
        return None

    def nested(self, value: Value, line: int) -> bool:
        """A text within the script; False when nothing of it is known."""
        if not any(part.text.strip() for part in value if not part.name):
            self.note(line, f"a command that is not known: {text_of(value)[:60]}")
            return False
        self.scope.spend(5 * len(text_of(value)))
        held = self.source
        self.scope.enter()
        try:
            self.script(Source.of(value))
        finally:
            self.scope.leave()
            self.source = held
        return True

    def embedded(self, words: Sequence[Value], own: dict[str, str], line: int) -> bool:
        """bash -c "...", ssh host "...": the commands inside, behind the words before it."""
        found = inner_script([text_of(word) for word in words])
        if not found:
            return False
        value = joined(words[found.start : found.stop])
        value = (replace(value[0], text=value[0].text[found.skip :]), *value[1:]) if value else value
        remote = known(words[0]) == "ssh"
        held = self.scope.variables, self.scope.arguments, self.prefix, self.doubt, self.branches
        kept = {} if remote else {name: v for name, v in held[0].items() if v.exported}
        mine = {name: Variable({"0": (Part(text, line),)}, exported=True) for name, text in own.items()}
        self.scope.variables, self.scope.arguments = kept | mine, tuple(words[found.arguments :])
        self.prefix, self.doubt, self.branches = (*self.prefix, *words[: found.prefix]), 0, 0
        try:
            return self.nested(value, line)
        except Leave:
            return True
        finally:
            self.scope.variables, self.scope.arguments, self.prefix, self.doubt, self.branches = held

    def write(self, name: Value, text: str, more: bool, line: int) -> None:
        """A file that the script writes."""
        key = text_of(name)
        self.scope.spend(len(text))
        if not key.startswith("/dev/"):
            self.documents[key] = (self.documents.get(key, "") if more else "") + text

    def redirected(self, words: Sequence[Value], target: Value, more: bool, body: Value | None, line: int) -> None:
        """What a command with its output in a file writes there."""
        name = known(words[0]) if words else None
        texts = [text_of(word) for word in words]
        if name == "cat" and body is not None and texts[1:] in ([], ["-"]):
            self.write(target, text_of(body), more, line)
        elif name == "echo" and (printed := output(texts)) is not None:
            self.write(target, printed + "\n" * (texts[1:2] != ["-n"]), more, line)
        elif text_of(target).endswith(CONFIGS):
            self.note(line, f"{text_of(target)} is written by {name or 'a command'}, which was not run")


def joined(words: Sequence[Value]) -> Value:
    """Words with blanks between."""
    parts: list[Part] = []
    for word in words:
        parts += ([Part(" ", parts[-1].line)] if parts else []) + list(word)
    return tuple(parts)
