"""Simple commands: assignments, builtins that change what later words become, files that a script writes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from planner.read.bash.assign import Assigning
from planner.read.bash.builtin import Truth, formatted, holds, output
from planner.read.bash.expressions import arithmetic
from planner.read.bash.inner import SHELLS, Inner, inner_script, script_file
from planner.read.bash.source import Source
from planner.read.bash.words import Command, Part, Value, Variable, known, text_of, word_of
from planner.units import whole_number

CONFIGS = (".json", ".yaml", ".yml", ".toml", ".conf", ".cfg")
MOST_FILES = 32
"""Other files that one script may read."""

SILENT = {"true", ":", "set", "shopt", "ulimit", "trap", "wait", "readonly"}


class Leave(Exception):
    """exit, return, break or continue."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(slots=True)
class Simple(Assigning):
    """Reads simple commands into `commands`."""

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
        if name == "printf" and len(words) > 3 and text_of(words[1]) == "-v":
            return lambda: self.print_to(text_of(words[2]), words[3:], line)
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

    def print_to(self, name: str, words: Sequence[Value], line: int) -> Truth:
        """printf -v name format [argument...]."""
        texts = [text for text in map(known, words) if text is not None]
        printed = formatted(texts[0], texts[1:]) if len(texts) == len(words) else None
        if printed is None:
            return self.filled((words[0], (Part(name, line),)), line)
        self.scope.write(name, (Part(printed, line),))
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
        count = whole_number(known(words[0]) or "") if words else 1
        if self.scope.arguments is not None and count is not None:
            self.scope.arguments = self.scope.arguments[count:]
        return True

    def sourced(self, words: Sequence[Value], line: int) -> Truth:
        """source file [argument...]."""
        text = self.file(words[1]) if len(words) > 1 else None
        if text is None:
            name = text_of(words[1]) if len(words) > 1 else ""
            self.note(line, f"{name} was not read: what it sets is not known")
            self.scope.partial = True
            return None
        held = self.scope.arguments
        self.scope.arguments = tuple(words[2:]) if len(words) > 2 else held
        self.nested(on_line(text, line), line)
        self.scope.arguments = held
        return True

    def file(self, name: Value) -> str | None:
        """A file that the script writes itself, or one beside it; what of its path is not known is left out."""
        known_part = [i for i, part in enumerate(name) if part.name]
        path = text_of(name[known_part[-1] + 1 :] if known_part else name).lstrip("/" if known_part else "")
        path = posixpath.normpath(path) if path else ""
        self.files += 1
        if not path or self.files > MOST_FILES:
            return None
        text = self.documents.get(path)
        return self.beside(path) if text is None and self.beside else text

    def take(self, words: Sequence[Value], own: dict[str, str], said: Value, line: int) -> Truth:
        """read [-r] [-a] name... of a text: cut at blanks or at IFS, the last name has what is left."""
        options = [text_of(word) for word in words if text_of(word).startswith("-")]
        names = [text_of(word) for word in words if not text_of(word).startswith("-")]
        text = known(said)
        if text is None or not names or any(option.strip("-ra") for option in options):
            return self.filled((words[0], *words), line)
        signs = own.get("IFS", " \t\n")
        cut = "[" + re.escape(signs) + "]" + ("+" if not signs.strip() else "")
        text = text.strip() if not signs.strip() else text
        if any("a" in option for option in options):
            items: dict[str, Value] = {str(place): (Part(one, line),) for place, one in enumerate(re.split(cut, text))}
            self.scope.variables[names[0]] = Variable(items)
            return True
        parts = re.split(cut, text, maxsplit=len(names) - 1) if signs else [text]
        for name, part in zip(names, [*parts, *[""] * len(names)], strict=False):
            self.scope.write(name, (Part(part, line),))
        return True

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
        texts = [text_of(word) for word in words]
        found = inner_script(texts)
        if found:
            value = joined(words[found.start : found.stop])
            value = (replace(value[0], text=value[0].text[found.skip :]), *value[1:]) if value else value
        elif (place := script_file(texts)) is not None:
            text = self.file(words[place])
            if text is None:
                if self.beside:
                    self.note(line, f"{texts[place]:.80} is not beside the script: what it runs is not known")
                return False
            start = next((i for i, t in enumerate(texts[:place]) if t.rpartition("/")[2] in SHELLS), 0)
            found, value = Inner(start, place, place + 1, place + 1), on_line(text, line)
        else:
            return False
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


def on_line(text: str, line: int) -> Value:
    """The text of another file, all of it counted as one line of this script."""
    return tuple(Part(one, line) for one in text.splitlines(keepends=True))


def joined(words: Sequence[Value]) -> Value:
    """Words with blanks between."""
    parts: list[Part] = []
    for word in words:
        parts += ([Part(" ", parts[-1].line)] if parts else []) + list(word)
    return tuple(parts)
