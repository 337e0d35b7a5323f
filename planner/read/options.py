"""Options of a command line as its framework's parser would take them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from planner.errors import PlannerError
from planner.frozen import frozen
from planner.launch.shell import Word
from planner.read.table import Given, NotModelled

NUMBER = re.compile(r"-?\d+")


@frozen
class Option:
    """One option as it was given last, with its values; `unknown`: variables in them that nothing sets."""

    values: tuple[str, ...]
    line: int
    unknown: tuple[str, ...] = ()


@frozen
class Options:
    """All options of one command.

    Attributes:
        given: by name without dashes. strange: options that the framework does not have, with their lines.
        stray: words that belong to no option.
    """

    given: dict[str, Option]
    strange: tuple[tuple[str, int], ...] = ()
    stray: tuple[Word, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def everything(self) -> list[Given]:
        """All of them as the words of a command."""
        return [Given(f"--{name}", " ".join(one.values) or "true", one.line) for name, one in self.given.items()]

    def named(self, name: str, touches: tuple[str, ...], why: str) -> NotModelled:
        """An option that the answer does not account for."""
        return NotModelled(f"--{name}", " ".join(self.texts(name)), touches, why, self.line(name))

    def line(self, name: str) -> int:
        """Where an option was given; 0: nowhere."""
        return self.given[name].line if name in self.given else 0

    def texts(self, name: str) -> tuple[str, ...]:
        """Values of an option.

        Raises:
            PlannerError: a variable in them is never set.
        """
        option = self.given.get(name, Option((), 0))
        if option.unknown:
            names = ", ".join(dict.fromkeys(option.unknown))
            first = option.unknown[0].strip("${}")
            raise PlannerError(
                f"line {option.line}: --{name} needs {names}, which nothing sets",
                f"give it a value: --set {first if first.isidentifier() or first.isdigit() else 'NAME'}=VALUE",
            )
        return option.values

    def text(self, name: str, default: str = "") -> str:
        """The one value of an option."""
        values = self.texts(name)
        return values[0] if values else default

    def whole(self, name: str, default: int | None = None) -> int | None:
        """The value of an option that is a whole number.

        Raises:
            PlannerError: it is none.
        """
        text = self.text(name)
        if not text:
            return default
        if not NUMBER.fullmatch(text) or len(text) > 15:
            raise PlannerError(f"line {self.line(name)}: --{name} wants a whole number, not {text!r:.40}")
        return int(text)


@cache
def known_options(framework: str) -> dict[str, str]:
    """Options that a framework's parser has, and how many values each takes: "0", "1", "3", "+", "*".

    The lists in planner/launch/options say which versions they were taken from.
    """
    return listed_options((files("planner.launch") / "options" / f"{framework}.txt").read_text(encoding="utf-8"))


def listed_options(text: str) -> dict[str, str]:
    """A list of options, one on each line with the values it takes, as a mapping."""
    lines = (line.split() for line in text.splitlines() if line.startswith("--"))
    return {name: values for name, values, *_ in lines}


ARGUMENTS = ("$@", "$*")
"""What a script is given besides: nothing, as far as it tells."""


def read_options(words: Sequence[Word], known: dict[str, str]) -> Options:
    """Sort words into options, as argparse does: the last one counts, "--a=b" is "--a b", no abbreviations."""
    words = [word for word in words if word.text not in ARGUMENTS]
    given: dict[str, Option] = {}
    strange: list[tuple[str, int]] = []
    stray: list[Word] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.text.startswith("--") or len(word.text) < 3:
            stray.append(word)
            continue
        name, equals, value = word.text.partition("=")
        count = known.get(name)
        taken = [Word(value, word.line, word.unknown)] if equals else _values(words, at, count)
        at += 0 if equals else len(taken)
        if count is None:
            strange.append((name, word.line))
        unknown = tuple(u for w in taken for u in w.unknown)
        given[name[2:]] = Option(tuple(w.text for w in taken), word.line, unknown)
    return Options(given, tuple(strange), tuple(stray))


def _values(words: Sequence[Word], start: int, count: str | None) -> list[Word]:
    """The words from `start` that are values of the option before; of an unknown one, all up to the next option."""
    most = int(count) if count is not None and count.isdigit() else 10**6
    taken: list[Word] = []
    for place in range(start, len(words)):
        word = words[place]
        option = word.text.startswith("-") and not NUMBER.match(word.text)
        if len(taken) >= most or option:
            break
        taken.append(word)
    return taken
