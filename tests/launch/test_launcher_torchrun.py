"""run.sh."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from planner.launch import torchtitan
from planner.launch.launchers import Options
from planner.launch.launchers.torchrun import LAUNCHER
from tests.launch.drawn import dense, setup

SPY = """#!/usr/bin/env bash
printf '%s\\n' "$@"
"""


def script(nodes: int, embed: bool = True) -> str:
    """run.sh of a torchtitan plan."""
    wanted = setup(dense(), f"{nodes}x8xA100", zero=3)
    (file,) = LAUNCHER.files(wanted, torchtitan.TARGET.program(wanted), Options(("a plan",), embed))
    assert file.name == "run.sh"
    return file.text


def run(text: str, cwd: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs it with a torchrun that prints its arguments."""
    spy = cwd / "torchrun"
    spy.write_text(SPY)
    spy.chmod(0o755)
    environment = {"PATH": f"{cwd}:{os.environ['PATH']}"} | variables
    call = ["bash", "-c", text, "run.sh", *more]
    return subprocess.run(call, cwd=cwd, env=environment, text=True, capture_output=True, check=False)


def test_one_node(tmp_path: Path) -> None:
    """Stands alone; the user's words come last."""
    done = run(script(1), tmp_path, "--training.steps", "5")
    assert done.stdout.split() == [
        *("--standalone", "--nnodes", "1", "--nproc-per-node", "8", "-m", "torchtitan.train"),
        *("--job.config_file", "train.toml", "--training.steps", "5"),
    ]
    assert (tmp_path / "train.toml").exists()


def test_several_nodes(tmp_path: Path) -> None:
    """Number and first node come from the environment, and are asked for."""
    done = run(script(2), tmp_path, NODE_RANK="1", MASTER_ADDR="first")
    assert "--node-rank\n1\n--master-addr\nfirst\n--master-port\n29500\n" in done.stdout
    missing = run(script(2), tmp_path)
    assert missing.returncode != 0
    assert "NODE_RANK: number of this node, from 0" in missing.stderr


def test_files_beside() -> None:
    """Nothing is written by the script."""
    assert "cat >" not in script(1, embed=False)
    assert script(1).startswith("#!/usr/bin/env bash\n# a plan\nset -euo pipefail\n")
