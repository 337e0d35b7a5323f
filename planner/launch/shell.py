"""Launch scripts as the commands that they would run. Nothing is ever run: no process, no file, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from planner.errors import PlannerError
from planner.read.bash.expansion import fields
from planner.read.bash.reader import Reader
from planner.read.bash.slurm import directives, variables
from planner.read.bash.source import Source
from planner.read.bash.unwrap import Launch, strip_launcher
from planner.read.bash.words import ALWAYS_SET, Command, Part, Scope, Script, Variable, Word, text_of, word_of

__all__ = ["Command", "Launch", "Script", "Word", "read_arguments", "read_script", "strip_launcher"]

LONGEST = 200_000
"""Characters of one script; longer ones are refused."""


def checked(text: str) -> str:
    """The text with Unix line ends; raises PlannerError when it is no script."""
    if "\0" in text:
        raise PlannerError("this is not a text file", "give a shell script or the flags of a training command")
    if len(text) > LONGEST:
        raise PlannerError(f"the script is longer than {LONGEST:,} characters")
    lines = text.count("\n")
    return text.replace("\r\n", "\n") if lines and text.count("\r\n") == lines else text


def scope_of(environment: Mapping[str, str], lines: tuple[str, ...]) -> Scope:
    """What a script finds when it starts."""
    positional = {name: value for name, value in environment.items() if name.isdigit()}
    scope = Scope(fallbacks=variables(lines) | positional)
    for name, value in environment.items():
        scope.variables[name] = Variable({"0": (Part(value, 0),)}, exported=True)
    scope.elsewhere = lambda name: name in ALWAYS_SET or (bool(lines) and name.startswith("SLURM_"))
    return scope


def read_script(
    text: str, environment: Mapping[str, str] | None = None, beside: Callable[[str], str | None] | None = None
) -> Script:
    """What a bash script would do, as far as its text tells.

    Variables that nobody sets stay in the words as written, and ${A:-default} takes its default. Where a condition is
    not known all branches are read, their commands marked as conditional.

    Args:
        beside: the text of a file that the script sources or runs, None if there is none.
        environment: variables set before the script starts, and by number its arguments: {"TP": "4", "1": "8B"}.

    Raises:
        PlannerError: no text, too long, or a script that multiplies itself beyond reading.
    """
    text = checked(text)
    lines = directives(text)
    reader = Reader(scope_of(environment or {}, lines), beside=beside)
    reader.script(Source.of(((Part(text, 1)),)))
    scalars = {name: items["0"] for name, v in reader.scope.variables.items() if list(items := v.items) == ["0"]}
    return Script(
        commands=tuple(reader.commands),
        variables={name: text_of(value) for name, value in scalars.items() if name not in (environment or {})},
        documents=dict(reader.documents),
        directives=lines,
        ignored=tuple(sorted(dict.fromkeys(reader.ignored))),
    )


def read_arguments(text: str) -> Command:
    """Bare flags, on one line or many, with or without backslashes at the ends, as one command.

    Raises:
        PlannerError: no text, or too long.
    """
    text = checked(text)
    scope = Scope()
    words = fields(scope, text, Source.of((Part(text, 1),)).line)
    return Command(tuple(word_of(word) for word in words), {}, words[0][0].line if words else 1, False)
