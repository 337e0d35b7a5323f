"""The MCP server by the library's own client, in this process: where the extra `mcp` is installed."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from planner.cli import mcp as tools
from planner.errors import PlannerError
from tests.cli.run import run

if find_spec("mcp") is None and not os.environ.get("PLANNER_REQUIRE_MCP"):
    pytest.skip("the extra mcp is not installed", allow_module_level=True)

SCRIPT = (Path(__file__).parents[2] / "docs" / "examples" / "train_13b.sh").read_text(encoding="utf-8")


def called(name: str, **arguments: Any) -> Any:
    """What a client gets of one call."""
    from mcp import Client

    async def ask() -> Any:
        async with Client(tools.server()) as client:
            return await client.call_tool(name, arguments)

    return asyncio.run(ask())


def test_the_tools_are_described() -> None:
    """Four, each with its arguments."""
    from mcp import Client

    async def listed() -> Any:
        async with Client(tools.server()) as client:
            return (await client.list_tools()).tools

    found = {tool.name: tool for tool in asyncio.run(listed())}
    assert set(found) == {"recommend", "serve", "size", "check"}
    assert all(tool.description for tool in found.values())
    assert found["recommend"].input_schema["required"] == ["model", "gpus"]


CALLS: list[tuple[str, dict[str, Any], str, str]] = [
    ("recommend", {"model": "llama3-8b", "gpus": "8xH100", "options": {"seq": 4096, "exact": True}}, "", "plans"),
    ("serve", {"model": "llama3-8b", "gpus": "1xH100", "options": {"users": 8}}, "", "deployments"),
    ("size", {"model": "llama3-8b", "gpu": "H100", "options": {"max_gpus": 16}}, "", "answer"),
    ("check", {"script": SCRIPT, "gpus": "2x8xA100"}, SCRIPT, "problems"),
]


@pytest.mark.parametrize(("name", "arguments", "stdin", "key"), CALLS, ids=[call[0] for call in CALLS])
def test_answers_are_those_of_the_command_line(name: str, arguments: dict[str, Any], stdin: str, key: str) -> None:
    """The very JSON, a job that does not fit among them."""
    found = called(name, **arguments)
    assert not found.is_error
    options = {"top": 3} if name in ("recommend", "serve") else {}
    options |= arguments.get("options", {})
    words = [name, *(["-"] if stdin else [])]
    words += [x for k, v in arguments.items() if k not in ("options", "script") for x in (f"--{k}", v)]
    words += [f"--{k.replace('_', '-')}" + ("" if v is True else f"={v}") for k, v in options.items()]
    told = run([*words, "--json", "-q"], stdin.encode()).json
    assert key in told and found.structured_content[key] == told[key]


@pytest.mark.parametrize(
    ("options", "says"), [({}, "did you mean"), ({"html": "x.html"}, "not for agents"), ({"sqe": 1}, "no option")]
)
def test_mistakes_are_told(options: dict[str, Any], says: str) -> None:
    """The planner's own words and its next step."""
    found = called("recommend", model="lama70b" if not options else "llama3-8b", gpus="8xH100", options=options)
    assert found.is_error and says in found.content[0].text


def test_over_stdin_and_stdout() -> None:
    """The command as agents start it; its tools run commands, which leave its streams alone."""
    from mcp import Client, StdioServerParameters

    async def ask() -> Any:
        command = StdioServerParameters(command=sys.executable, args=["-m", "planner", "mcp"])
        async with Client(command) as client:
            return await client.call_tool("recommend", {"model": "llama3-8b", "gpus": "8xH100"})

    assert asyncio.run(ask()).structured_content["plans"]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install."""
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with pytest.raises(PlannerError, match="needs the package mcp"):
        tools.server()
