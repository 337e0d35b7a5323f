"""run.sbatch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from planner.launch import megatron_deepspeed
from planner.launch.launchers import Options
from planner.launch.launchers.slurm import LAUNCHER
from tests.launch.drawn import dense, setup


def script(image: str | None = None) -> str:
    """run.sbatch of a plan that needs a variable."""
    wanted = setup(dense(), "2x8xA100", tp=2, sp=1, zero=1)
    options = Options(("a plan",), embed=True, name="toy", image=image)
    (file,) = LAUNCHER.files(wanted, megatron_deepspeed.TARGET.program(wanted), options)
    assert file.name == "run.sbatch"
    return file.text


def test_directives() -> None:
    """Above the first command, where Slurm reads them."""
    head = script().split("set -euo pipefail")[0].splitlines()
    assert [line for line in head if line.startswith("#SBATCH")] == [
        "#SBATCH --job-name=toy",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --gpus-per-node=8",
        "#SBATCH --exclusive",
        "#SBATCH --output=%x-%j.out",
    ]
    assert all(line.startswith("#") for line in head)


def test_it_runs(tmp_path: Path) -> None:
    """With stand-ins for Slurm and torchrun: the first host is met, the node knows its number and its variable."""
    stand_ins = {
        "scontrol": "printf 'node7\\nnode8\\n'",
        "srun": 'SLURM_NODEID=1 exec "$@"',
        "torchrun": 'printf "%s\\n" "$CUDA_DEVICE_MAX_CONNECTIONS" "$@"',
    }
    for name, body in stand_ins.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node[7-8]"}
    call = ["bash", "-c", script(), "run.sbatch", "--lr", "2"]
    done = subprocess.run(call, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False)
    words = done.stdout.split()
    assert words[:5] == ["1", "--nnodes", "2", "--nproc-per-node", "8"], done.stderr
    assert words[5:11] == ["--node-rank", "1", "--master-addr", "node7", "--master-port", "29500"]
    assert words[11] == "pretrain_gpt.py"
    assert words[-2:] == ["--lr", "2"]
    assert (tmp_path / "ds_config.json").exists()


def test_container() -> None:
    """Only where an image is given."""
    assert "--container-image nvcr.io/x" in script("nvcr.io/x")
    assert "--container" not in script()
