"""What README, tutorial and the page on inference show is what today's code prints; PLANNER_REGENERATE=1 renews it."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import shell as shell  # the fixture
from tests.cli.run import Shell

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    *(f"docs/{name}.md" for name in ("tutorial", "tutorial-fine-tuning", "tutorial-platform", "serving")),
]
SH = re.compile(r"^```sh\nplanner (.*?)(?: >.*)?\n```", re.MULTILINE)
BLOCK = re.compile(r"```console\n\$ (planner [^\n]*)\n(.*?)```\n", re.S)


def printed(shell: Shell, command: str) -> str:
    """What a command prints on stdout, with the seconds it took left out; understands `| head -N`."""
    command, _, pipe = command.partition(" | ")
    lines = shell(*shlex.split(command)[1:]).out.splitlines()
    if pipe:
        lines = lines[: int(pipe.removeprefix("head -"))]
    return "".join(re.sub(r" · \d+\.\d\d s$", "", line).rstrip() + "\n" for line in lines)


@pytest.mark.parametrize("page", PAGES)
def test_console_blocks_are_real_output(shell: Shell, page: str) -> None:
    """Every console block equals what its command prints today."""
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    today = BLOCK.sub(lambda block: f"```console\n$ {block[1]}\n{printed(shell, block[1])}```\n", text)
    if os.environ.get("PLANNER_REGENERATE"):
        path.write_text(today, encoding="utf-8")
    assert today == path.read_text(encoding="utf-8")
    assert BLOCK.search(text)


@pytest.mark.parametrize("page", [page for page in PAGES if "tutorial" in page])
def test_other_commands_of_tutorials_run(shell: Shell, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those whose output is not shown: an answer, whatever it is."""
    monkeypatch.chdir(ROOT)
    for command in SH.findall((ROOT / page).read_text(encoding="utf-8")):
        found = shell(*shlex.split(command))
        assert found.code in (0, 1) and found.out, found.err


def test_ci_calls_the_readmes_commands() -> None:
    """.ci/run installs, answers and tests with the very commands that the README gives."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"Install and pass the tests:\n\n```sh\n(.*?)\n```", text)
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("install -q", "install")
    assert command and command[1] in run
    main = re.search(r"run the main job .*?\n\n```sh\n(.*?)\n```", text, re.DOTALL)
    assert main and main[1] in run


def test_readme_counts_the_profiles() -> None:
    """The numbers of profiles in the README are those of the catalogue."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for kind in ("models", "accelerators", "nodes"):
        count = len(list((ROOT / "profiles" / kind).glob("*.yaml")))
        assert f"{count} {kind}" in text
