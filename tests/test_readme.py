"""What README, tutorial, tour and the page on inference show is what code prints; PLANNER_REGENERATE=1 renews it."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import shell as shell  # the fixture
from tests.cli.run import Shell

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [
    "README.md",
    *(f"docs/{name}.md" for name in ("tutorial", "tutorial-fine-tuning", "tutorial-platform", "tour", "serving")),
]
SH = re.compile(r"^```sh\nplanner (.*?)(?: >.*)?\n```", re.MULTILINE)
LONGEST = 120
PICTURE = ROOT / "docs" / "images" / "plan.svg"

SOURCES = {
    "kor22": "Korthikanti et al. 2022, GPT 22B to 1T, A100",
    "meg21": "Narayanan et al. 2021, GPT 1.7B to 530B, A100",
    "bloom": "BLOOM's trials, GPT 18B to 200B, A100",
    "tr3m": "BigScience, GPT 1.3B, V100",
    "gpt2v100": "BigScience, GPT 39B and 52B, V100",
    "intern": "InternEvo, InternLM 7B, A100",
    "mosaic": "LLM Foundry, MPT 1B to 13B, H100 and A100",
    "tt": "torchtitan, Llama 8B to 70B, H100 and A100",
    "automodel": "NeMo AutoModel, Llama 70B, H100",
    "zb": "Zero Bubble, GPT 1.5B and 6.2B, A100",
    "simumax": "SimuMax, layers of Llama 70B and 405B, B200",
    "stas": "ML Engineering, Llama 8B, H200 and B200",
}
"""Sources of the main score by their prefix, as people call them."""
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
    text = (ROOT / page).read_text(encoding="utf-8")
    renewed(ROOT / page, BLOCK.sub(lambda block: f"```console\n$ {block[1]}\n{printed(shell, block[1])}```\n", text))
    assert BLOCK.search(text)


@pytest.mark.parametrize("page", [page for page in PAGES if "tutorial" in page])
def test_other_commands_of_tutorials_run(shell: Shell, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those whose output is not shown: an answer, whatever it is."""
    monkeypatch.chdir(ROOT)
    for command in SH.findall((ROOT / page).read_text(encoding="utf-8")):
        found = shell(*shlex.split(command))
        assert found.code in (0, 1) and found.out, found.err


def renewed(path: Path, text: str) -> None:
    """A file that is made: what is in it is what is made now."""
    if os.environ.get("PLANNER_REGENERATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_accuracy_table(shell: Shell) -> None:
    """A row for every source of the main score under its name, their mean below: what `planner validate` finds."""
    found = shell("validate -q --json").json
    assert {one["source"] for one in found["sources"]} == set(SOURCES)
    by_prefix = {one["source"]: one for one in found["sources"]}
    rows = [accuracy(title, by_prefix[prefix]) for prefix, title in SOURCES.items()]
    table = "\n".join([*HEAD, *rows, accuracy("**All**, sources weighing the same", found["summary"])])
    text = README.read_text(encoding="utf-8")
    block = re.compile(r"(<!-- accuracy -->\n).*?(<!-- /accuracy -->)", re.S)
    renewed(README, block.sub(lambda m: f"{m[1]}{table}\n{m[2]}", text))


HEAD = (
    "| measured runs | runs | step time off by | 90% within | peaks | memory off by | ranking |",
    "|---|---:|---:|---:|---:|---:|---:|",
)


def accuracy(title: str, one: dict[str, Any]) -> str:
    """A row of the table."""
    time, memory, ranking = one["step_time"], one["memory"], one["ranking"]

    def said(value: float | None) -> str:
        return "" if value is None else f"{value:.1%}"

    cells = [f"{time['n']}", said(time["median"]), said(time["p90"]), f"{memory['n'] or ''}", said(memory["median"])]
    return f"| {title} | {' | '.join(cells)} | {said(ranking['mean_regret'])} |"


def test_picture(shell: Shell, tmp_path: Path) -> None:
    """The drawing of the README is that of the command above it."""
    command = re.search(r"`planner (explain [^`]* --picture )plan\.svg`", README.read_text(encoding="utf-8"))
    assert command and shell(f"{command[1]}{tmp_path / 'plan.svg'} -q").code == 0
    renewed(PICTURE, (tmp_path / "plan.svg").read_text(encoding="utf-8"))
    assert f"]({PICTURE.relative_to(ROOT)})" in README.read_text(encoding="utf-8")


def test_one_screen_or_two() -> None:
    """Whoever reads it reads all of it."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_ci_calls_the_readmes_commands() -> None:
    """.ci/run installs, answers and tests with the very commands that the README gives."""
    text = README.read_text(encoding="utf-8")
    command = re.search(r"Install and pass the tests:\n\n```sh\n(.*?)\n```", text)
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("install -q", "install")
    assert command and command[1] in run
    main = re.search(r"run the main job .*?\n\n```sh\n(.*?)\n```", text, re.DOTALL)
    assert main and main[1] in run


def test_readme_counts_the_profiles() -> None:
    """The numbers of profiles in the README are those of the catalogue."""
    text = README.read_text(encoding="utf-8")
    for kind in ("models", "accelerators", "nodes"):
        count = len(list((ROOT / "profiles" / kind).glob("*.yaml")))
        assert f"{count} {kind}" in text
