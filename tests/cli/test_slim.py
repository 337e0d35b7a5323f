"""A command with the options that are named does what the whole one does."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from planner.cli.commands import HOMES
from planner.cli.request import Request, takes_request
from planner.cli.slim import as_named
from planner.cli.usage import run
from tests.cli.run import Shell

LINES = (
    "--model a --gpus b",
    "-m a -g b --tp 4 --json -q",
    "--model=a --gpus=b --seq 32k --offload optimizer --profiles x",
    "-m a -g b --batch-tokens 4M --imbalance 1.5 --exact --top 3",
    "-ma -g b --margin -1",
)


def _parsed(words: list[str], slim: bool) -> tuple[Request, int]:
    seen: list[tuple[Request, int]] = []

    @takes_request
    def command(request: Request, top: int = 10) -> None:
        seen.append((request, top))

    app = typer.Typer()
    app.command()(as_named(command, words) if slim else command)
    run(app, words)
    return seen[0]


@pytest.mark.parametrize("line", LINES)
def test_the_request_is_the_same(line: str) -> None:
    """Whatever is named, by any of its names, and whatever is left to its default."""
    assert _parsed(line.split(), slim=True) == _parsed(line.split(), slim=False)


def test_only_what_is_named_is_built() -> None:
    """Of more than fifty options two, and what belongs to no option."""
    request, _ = _parsed(["-m", "a", "-g", "b", "--tp", "4"], slim=True)
    assert request == replace(Request("a", "b"), tp="4")

    @takes_request
    def command(request: Request) -> None: ...

    def built(*words: str) -> list[str]:
        return list(inspect.signature(as_named(command, words)).parameters)

    assert built("-m", "a", "--gpus=b", "--tp", "4") == ["model", "gpus", "tp"]
    whole = built("--help")
    assert len(whole) > 50 and built("--tpp", "4") == built("-m", "a", "-ma") == whole


@pytest.mark.parametrize("name", HOMES)
def test_every_command_keeps_what_it_needs(name: str) -> None:
    """Arguments, required options, and lists: without any option named."""
    from importlib import import_module

    command: Any = getattr(import_module(f"planner.cli.{name}"), HOMES[name])
    every = inspect.signature(command, eval_str=True).parameters.values()
    kept = inspect.signature(as_named(command, [name, str(Path("x"))])).parameters
    assert [one.name for one in every if one.default is inspect.Parameter.empty or isinstance(one.default, tuple)] == [
        one for one in kept if kept[one].default is inspect.Parameter.empty or isinstance(kept[one].default, tuple)
    ]


def test_an_option_that_is_given_twice_is_named(shell: Shell) -> None:
    """The last one counts, by whatever name; a list, or a switch, may come again."""
    line = "recommend -m llama3.1-8b -g 8xA100 --tp 2 --gpus 8xH100 --tp=4 --json --json --top 1"
    found = shell(line)
    said = [note for note in found.err.splitlines() if "more than once" in note]
    assert said == [f"note: {name} is given more than once: the last one counts" for name in ("--gpus", "--tp")]
    assert "h100" in str(found.json["inputs"]["cluster"])
    assert "more than once" not in shell(line + " -q").err
