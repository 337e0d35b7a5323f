"""What docs/recipes shows works: run where the tool is here, held against the tool's own models where they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.frameworks.launchers import bash_accepts, dstack_accepts, skypilot_accepts

RECIPES = Path(__file__).parents[1] / "docs" / "recipes"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def tools(tmp_path: Path) -> dict[str, str]:
    """An environment in which `planner` is this checkout and `sbatch` says how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, line in (
        ("planner", f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m planner "$@"'),
        ("sbatch", 'echo "$@"'),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def run(command: list[str], environment: dict[str, str], **options: Any) -> subprocess.CompletedProcess[str]:
    """A command as a tool would call it."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60, **options)


def terraform(query: dict[str, str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The external data source's program with a query on stdin."""
    return run([sys.executable, str(RECIPES / "terraform" / "size.py")], environment, input=json.dumps(query))


def test_terraform(tools: dict[str, str]) -> None:
    """Strings in, strings out; what keeps no limits or is no question is an error with a reason."""
    good = terraform({"model": "llama2-7b", "gpu": "p5.48xlarge", "seq": "4096", "max_gpus": "32"}, tools)
    assert good.returncode == 0, good.stderr
    answer = json.loads(good.stdout)
    assert all(isinstance(value, str) for value in answer.values())
    assert (answer["nodes"], answer["instance"]) == ("1", "p5.48xlarge")
    late = {"model": "llama2-7b", "gpu": "H100", "tokens": "1e13", "deadline": "1d", "max_gpus": "16"}
    nothing, wrong = terraform(late, tools), terraform({"model": "llama2-7b", "gpu": "H1000"}, tools)
    assert nothing.returncode == 1 and "no size" in nothing.stderr and nothing.stdout == ""
    assert wrong.returncode == 2 and "did you mean" in wrong.stderr and wrong.stdout == ""
    text = (RECIPES / "terraform" / "main.tf").read_text()
    assert "size.py" in text and text.count("{") == text.count("}")


def test_terraform_formats_it() -> None:
    """Terraform reads the file, and would not lay it out otherwise."""
    if shutil.which("terraform") is None:
        pytest.skip("no terraform here")
    environment = {k: v for k, v in os.environ.items() if k != "TF_CLI_CONFIG_FILE"}
    done = run(["terraform", "fmt", "-check", "-diff", str(RECIPES / "terraform")], environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_skypilot() -> None:
    """SkyPilot's own model takes the task."""
    verdict = skypilot_accepts((RECIPES / "skypilot.yaml").read_text())
    assert verdict.ok, verdict.error


def test_dstack() -> None:
    """dstack's own model takes the task."""
    verdict = dstack_accepts((RECIPES / "train.dstack.yml").read_text())
    assert verdict.ok, verdict.error


@pytest.mark.parametrize("name", ["skypilot.yaml", "train.dstack.yml"])
def test_tasks_say_what_the_planner_says(tools: dict[str, str], name: str) -> None:
    """The size in the first line is today's, and the command in the task fits on it."""
    text = (RECIPES / name).read_text()
    task = yaml.safe_load(text)
    command = text.splitlines()[0].removeprefix("# ").split("   says ")[0].split()
    said = run(command, tools).stdout.split()
    assert said == [str(task.get("num_nodes") or task.get("nodes")), "8"]
    shown = {"SKYPILOT_NUM_NODES": said[0], "SKYPILOT_NUM_GPUS_PER_NODE": "8", "MODEL": "llama3-70b"}
    shown |= {"DSTACK_NODES_NUM": said[0], "DSTACK_GPUS_PER_NODE": "8"}
    line = task.get("run") or task["commands"][-1]
    done = run(["bash", "-c", line], tools | shown)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_slurm(tools: dict[str, str]) -> None:
    """sbatch is called with the planner's nodes, or not at all."""
    script = RECIPES / "submit.sh"
    assert bash_accepts(script.read_text()).ok
    good = run(["bash", str(script), "train.sbatch", "--model", "llama2-7b", "--gpu", "H100"], tools)
    assert good.returncode == 0 and good.stdout.split()[-1] == "train.sbatch" and "--nodes 1" in good.stdout
    small = ["--model", "llama3-70b", "--gpu", "L4", "--max-gpus", "8"]
    none = run(["bash", str(script), "train.sbatch", *small], tools)
    assert none.returncode == 1 and none.stdout == ""


def test_github_actions(tools: dict[str, str]) -> None:
    """The gate's command runs and passes; it would stop what does not fit."""
    workflow = yaml.safe_load((RECIPES / "fits.yml").read_text())
    command = workflow["jobs"]["fits"]["steps"][-1]["run"].split()
    assert run(command, tools).returncode == 0
    worse = ["llama3-70b" if word == "llama3-8b" else word for word in command]
    assert run(worse, tools).returncode == 1


def test_make(tools: dict[str, str], tmp_path: Path) -> None:
    """Answers are made once."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    make = ["make", "-f", str(RECIPES / "Makefile"), "MODELS=gpt2-xl", "GPU=A100"]
    assert run(make, tools, cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "gpt2-xl.size.json").read_text())["schema"] == "planner.size/1"
    assert "Nothing to be done" in run(make, tools, cwd=tmp_path).stdout


def test_fleets() -> None:
    """The shell on the page is shell."""
    text = (RECIPES / "README.md").read_text()
    for block in text.split("```bash\n")[1:]:
        assert bash_accepts(block.split("```")[0]).ok
