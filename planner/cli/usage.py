"""Mistakes in a command line, in the planner's words: those of typer are others in every version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast, get_args, get_type_hints

import typer

from planner.errors import PlannerError, meant

_USAGE = cast("type[Exception]", typer.BadParameter.__base__)
_WANTED = {int: "a whole number", float: "a number"}


def run(app: typer.Typer, words: list[str]) -> object:
    """Parse the words of a command line and run its command; the exit code that it asks for, if any.

    Raises:
        PlannerError: a command, option or value that the planner does not have.
    """
    try:
        return app(words, standalone_mode=False)
    except _USAGE as error:
        raise _worded(app, error, words) from None


def _worded(app: typer.Typer, error: Exception, words: list[str]) -> PlannerError:
    commands = {info.name: info.callback for info in app.registered_commands if info.name and info.callback}
    command = next((word for word in words if not word.startswith("-")), "")
    if command and command not in commands:
        return PlannerError(
            f"there is no command {command[:80]!r}", _near(command, list(commands), "planner -h lists all")
        )
    name = f"planner {command}".strip()
    return PlannerError(f"{name}: {_problem(error, commands.get(command), words)}", _hint(error, name))


def _problem(error: Exception, command: Callable[..., object] | None, words: list[str]) -> str:
    """What is wrong with the words behind a command."""
    option, parameter = getattr(error, "option_name", None), getattr(error, "param", None)
    if parameter is not None:
        spelled = " / ".join(parameter.opts) if parameter.opts[0].startswith("-") else parameter.name.upper()
        missing = type(error).__name__ == "MissingParameter"
        return f"{spelled} {'is missing' if missing else f'wants {_wanted(command, parameter.name)}'}"
    if option is None:
        return "more words than it takes"
    if hasattr(error, "possibilities"):
        return f"there is no option {str(option)[:80]}"
    return (
        f"{option} {'takes no value' if any(w.startswith(f'{option}=') for w in words) else 'wants a value behind it'}"
    )


def _wanted(command: Callable[..., object] | None, name: str) -> str:
    """The kind of value of one parameter, as the command's own annotations say."""
    kinds = set(_plain(get_type_hints(command)[name])) if command else set()
    return next((words for kind, words in _WANTED.items() if kind in kinds), "another value")


def _plain(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _plain(inner)


def _hint(error: Exception, name: str) -> list[str]:
    options = [name for parameter in getattr(getattr(error, "cmd", None), "params", ()) for name in parameter.opts]
    listed = f"{name} -h lists what it takes"
    return (
        _near(str(getattr(error, "option_name", "")), options, listed) if hasattr(error, "possibilities") else [listed]
    )


def _near(word: str, known: list[str], listed: str) -> list[str]:
    return [*meant(word, known), listed]
