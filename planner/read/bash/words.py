"""Words of a shell script: what quoting, expansion and splitting make of the characters, without running anything.

A value is a run of parts, each known text or, as written, something that only a running shell could tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from planner.errors import PlannerError
from planner.frozen import frozen
from planner.units import whole_number


@frozen
class Word:
    """One argument of a command.

    Attributes:
        text: after expansion; what is not known stays as written, "$FOO" or "$(hostname)".
        line: where it stands in the script, from 1; of a flag in a variable, where the variable was set.
        unknown: variables and command substitutions in it that are not known.
    """

    text: str
    line: int
    unknown: tuple[str, ...] = ()


@frozen
class Command:
    """One command that the script would run.

    Attributes:
        environment: variables exported to it, and those set before its name.
        conditional: it may or may not run: a condition before it is not known.
    """

    words: tuple[Word, ...]
    environment: dict[str, str]
    line: int
    conditional: bool


@frozen
class Script:
    """What a script would do.

    Attributes:
        variables: scalars at its end, as text.
        documents: files that it writes itself, from here-documents and `echo`, by name.
        directives: its "#SBATCH" lines, without that word and without comments.
        ignored: line and reason of everything that was not read or not followed.
    """

    commands: tuple[Command, ...]
    variables: dict[str, str]
    documents: dict[str, str]
    directives: tuple[str, ...]
    ignored: tuple[tuple[int, str], ...]


@frozen
class Part:
    """Some text of one value. `name` is what is not known about it, "" if all is; quoted text is never split."""

    text: str
    line: int
    name: str = ""
    quoted: bool = False


Value = tuple[Part, ...]
Piece = Part | None
"""None stands between two words that quoting does not join: the elements of "${A[@]}"."""
At = Callable[[int], int]
"""The line of the script that a character of a text comes from."""

STEPS = 2_000_000
"""Characters, words and statements that one script may cost; a second of work."""
LONGEST_VALUE = 200_000
DEPTH = 40
ALWAYS_SET = {"PWD", "OLDPWD", "HOME", "USER", "HOSTNAME", "RANDOM", "PATH", "SHELL", "BASH_SOURCE", "UID", "SECONDS"}


def text_of(value: Value) -> str:
    """The text, what is unknown as it was written."""
    return "".join(part.text for part in value)


def names_of(value: Value) -> tuple[str, ...]:
    """What is unknown about it."""
    return tuple(dict.fromkeys(part.name for part in value if part.name))


def word_of(value: Value) -> Word:
    """A word as the public sees it."""
    return Word(text_of(value), value[0].line if value else 0, names_of(value))


def known(value: Value) -> str | None:
    """The text, or None when part of it is unknown."""
    return None if any(part.name for part in value) else text_of(value)


@frozen
class Variable:
    """A shell variable; a scalar is element "0"."""

    items: dict[str, Value]
    exported: bool = False
    associative: bool = False


@dataclass(slots=True)
class Scope:
    """Everything an expansion can read.

    Attributes:
        variables: what the script and its environment set.
        fallbacks: read when no variable of the name is set.
        arguments: positional parameters; None when they are not known.
        partial: whether a file that may set variables was not read.
        elsewhere: whether a variable is set by someone else, though nobody knows to what.
    """

    variables: dict[str, Variable] = field(default_factory=dict)
    fallbacks: dict[str, str] = field(default_factory=dict)
    arguments: tuple[Value, ...] | None = None
    elsewhere: Callable[[str], bool] = ALWAYS_SET.__contains__
    partial: bool = False
    steps: int = 0
    depth: int = 0

    def spend(self, steps: int) -> None:
        """Raises PlannerError once the script has cost more than STEPS."""
        self.steps += steps
        if self.steps > STEPS:
            raise PlannerError("the script does too much to be read", "give the flags of the training command alone")

    def enter(self) -> None:
        """Raises PlannerError below DEPTH; leave() must follow."""
        self.depth += 1
        if self.depth > DEPTH:
            raise PlannerError("the script is nested too deeply", "give the flags of the training command alone")

    def leave(self) -> None:
        """The other half of enter()."""
        self.depth -= 1

    def read(self, name: str, index: str = "") -> list[Value] | None:
        """Values of a parameter, several for [@] and $@; None when it is not set or not known."""
        if name in "@*":
            return None if self.arguments is None else list(self.arguments)
        if name.isdigit():
            place = (whole_number(name) or 0) - 1
            if self.arguments is None or place < 0:
                return [(Part(self.fallbacks[name], 0),)] if name in self.fallbacks else None
            return [self.arguments[place]] if place < len(self.arguments) else None
        if name not in self.variables:
            return [(Part(self.fallbacks[name], 0),)] if name in self.fallbacks else None
        items = self.variables[name].items
        if index in ("@", "*"):
            return list(items.values())
        return [items[index]] if index in items else None

    def write(self, name: str, value: Value, index: str = "0") -> None:
        """Set a scalar or one element."""
        if sum(len(part.text) for part in value) > LONGEST_VALUE:
            raise PlannerError(f"variable {name} grows past {LONGEST_VALUE:,} characters")
        self.spend(sum(len(part.text) for part in value) + 1)
        old = self.variables.get(name, Variable({}))
        self.spend(len(old.items))
        self.variables[name] = replace(old, items={**old.items, index: value})

    def number(self, name: str) -> str | None:
        """A variable inside arithmetic."""
        key, _, index = name.partition("[")
        values = self.read(key, index.rstrip("]") or "0")
        return known(values[0]) if values else None

    def assign(self, name: str, value: int) -> None:
        """What arithmetic sets."""
        key, _, index = name.partition("[")
        self.write(key, (Part(str(value), 0),), index.rstrip("]") or "0")
