"""planner mcp: commands as tools of a Model Context Protocol server; an agent gets the JSON that a shell gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from planner import __version__
from planner.errors import EXIT_FITS, EXIT_NOTHING_FITS, PlannerError

if TYPE_CHECKING:
    from mcp.server import MCPServer

Options = dict[str, str | int | float | bool]
WRITING = ("html", "out", "launch", "json", "quiet", "debug")


def recommend(model: str, gpus: str, options: Options | None = None) -> dict[str, Any]:
    """Rank parallel plans for training a model on a cluster ("8xH100", "16x8xA100"): time, memory, does it fit.

    Options, as on the command line without dashes: {"seq": 8192, "global-batch": 512, "method": "lora", "top": 3}.
    """
    return _answer(["recommend", f"--model={model}", f"--gpus={gpus}"], {"top": 3} | (options or {}))


def serve(model: str, gpus: str, options: Options | None = None) -> dict[str, Any]:
    """Rank deployments for inference. Options: {"input": 4000, "output": 500, "users": 32, "tpot": "30ms"}."""
    return _answer(["serve", f"--model={model}", f"--gpus={gpus}"], {"top": 3} | (options or {}))


def size(model: str, gpu: str, options: Options | None = None) -> dict[str, Any]:
    """How many of which GPUs. Options: {"tokens": "300B", "deadline": "21d", "budget": 250000, "max-gpus": 512}."""
    return _answer(["size", f"--model={model}", f"--gpu={gpu}"], options or {})


def check(script: str, gpus: str, options: Options | None = None) -> dict[str, Any]:
    """Whether the text of a launch script or configuration is legal, fits, and how fast it is; it is never run."""
    return _answer(["check", "-", f"--gpus={gpus}"], options or {}, script)


def _answer(words: list[str], options: Options, stdin: str = "") -> dict[str, Any]:
    """The JSON answer of a command; where something is wrong, a ToolError with the command's words."""
    from mcp.server.mcpserver.exceptions import ToolError

    for name, value in options.items():
        if name.lstrip("-") in WRITING:
            raise ToolError(f"{name} is not for agents: it writes files or changes what comes back")
        if value is not False:
            words.append(f"--{name.lstrip('-').replace('_', '-')}" + ("" if value is True else f"={value}"))
    command = [sys.executable, "-m", "planner", *words, "--json", "-q"]
    ours = os.environ | {"PYTHONSAFEPATH": "1"}  # no folder called planner where the agent happens to stand
    done = subprocess.run(command, input=stdin, capture_output=True, encoding="utf-8", env=ours, check=False)
    if done.returncode not in (EXIT_FITS, EXIT_NOTHING_FITS):
        raise ToolError(done.stderr.strip())
    return dict(json.loads(done.stdout))


def server() -> MCPServer:
    """The server with its four tools; a PlannerError where the library is not there."""
    try:
        from mcp.server import MCPServer
    except ImportError:
        raise PlannerError("planner mcp needs the package mcp", "pip install 'parallelism-planner[mcp]'") from None
    found = MCPServer("planner", version=__version__, instructions="SI units, named in the keys; docs/agents.md")
    for tool in (recommend, serve, size, check):
        found.add_tool(tool)
    return found


def mcp() -> None:
    """Answer as tools of a Model Context Protocol server (stdio): recommend, serve, size, check."""
    found = server()
    with redirect_stdout(sys.__stdout__):  # the library writes bytes
        found.run()
