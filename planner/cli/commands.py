"""The commands by name, imported and built when they are named."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import typer

from planner.cli.slim import as_named, repeated

HOMES = {
    "recommend": "recommend",
    "serve": "command",
    "size": "command",
    "explain": "command",
    "launch": "command",
    "check": "check",
    "timeline": "command",
    "validate": "validate",
    "calibrate": "command",
    "compare": "command",
    "report": "report",
    "diff": "diff",
    "sweep": "sweep",
    "show": "show",
    "mcp": "mcp",
    "help": "topics",
}
"""Command -> its function in the module of that name, in the order in which help lists them."""


def of_deployments(words: list[str]) -> list[str]:
    """ "explain --serve ..." means "serve --explain ...": its options are those of `serve`."""
    if words[:1] == ["explain"] and "--serve" in words:
        return ["serve", "--explain", *(word for word in words[1:] if word != "--serve")]
    return words


def register(app: typer.Typer, words: Sequence[str]) -> tuple[str, ...]:
    """Give the app the one command that the words name; all of them, for help, completion or a suggestion, else.

    The others need not be imported and built then. What is to be said of the words is returned.
    """
    named = next((word for word in words if not word.startswith("-")), "")
    app.registered_commands.clear()
    for name in [named] if named in HOMES else HOMES:
        command = getattr(import_module(f"planner.cli.{name}"), HOMES[name])
        app.command(name)(as_named(command, words) if named in HOMES else command)
    again = repeated(command, words) if named in HOMES else ()
    return tuple(f"{name} is given more than once: the last one counts" for name in again)
