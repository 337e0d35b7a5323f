"""task.dstack.yml: a dstack task.

Fields and variables DSTACK_*: dstackai/dstack docs/concepts/tasks.md, core/models/configurations.py. Several nodes
need a fleet with `placement: cluster`. Ranks of a node are consecutive.
"""

from __future__ import annotations

from typing import Any

from planner.launch.launchers import shell
from planner.launch.launchers.launcher import Launcher, Options, called, image, yaml_text
from planner.launch.program import File, Program, Setup

NAME = "task.dstack.yml"
NAMES = {
    "a10g-24gb": "A10G:24GB",
    "a100-pcie-40gb": "A100:40GB",
    "a100-pcie-80gb": "A100:80GB",
    "a100-sxm4-40gb": "A100:40GB",
    "a100-sxm4-80gb": "A100:80GB",
    "b200-sxm-180gb": "B200:180GB",
    "b300-sxm-288gb": "B300:270GB",
    "gaudi2-96gb": "intel:Gaudi2:96GB",
    "gaudi3-128gb": "intel:Gaudi3:128GB",
    "gb200-nvl72": "GB200:186GB",
    "gb300-nvl72": "GB300:270GB",
    "gh200-96gb": "GH200:96GB",
    "h100-nvl-94gb": "H100NVL:94GB",
    "h100-pcie-80gb": "H100:80GB",
    "h100-sxm5-80gb": "H100:80GB",
    "h200-nvl-141gb": "H200NVL:141GB",
    "h200-sxm-141gb": "H200:141GB",
    "l4-24gb": "L4:24GB",
    "l40s-48gb": "L40S:48GB",
    "mi300x-192gb": "MI300X:192GB",
    "mi325x-256gb": "MI325X:288GB",
    "mi350x-288gb": "MI350X:288GB",
    "mi355x-288gb": "MI355X:288GB",
    "rtx-4090-24gb": "RTX4090:24GB",
    "rtx-pro-6000-server": "RTXPRO6000:96GB",
    "v100-pcie-16gb": "V100:16GB",
    "v100-sxm2-16gb": "V100:16GB",
    "v100-sxm2-32gb": "V100:32GB",
}
"""Accelerators and their memory as dstack counts it (gpuhunt 0.1.34, _internal/constraints.py)."""

SHARED_MEMORY = "24GB"
"""For data loaders and NCCL, as in dstack's own examples of distributed tasks."""


def files(setup: Setup, program: Program, options: Options) -> tuple[File, ...]:
    """One task; the directory it is applied from goes along."""
    return (File(NAME, yaml_text(options.header, task(setup, program, options))),)


def task(setup: Setup, program: Program, options: Options) -> dict[str, Any]:
    """The task."""
    cluster = setup.job.cluster
    container = image(cluster.accelerator, options)
    return {
        "type": "task",
        "name": options.name,
        "nodes": cluster.nodes,
        **({"image": container} if container else {}),
        "files": ["."],
        "commands": [script(setup, program, options)],
        "resources": {
            "gpu": f"{called(cluster.accelerator, NAMES, 'dstack')}:{cluster.used}",
            "shm_size": SHARED_MEMORY,
        },
    }


def script(setup: Setup, program: Program, options: Options) -> str:
    """What every node runs."""
    text = "set -eu\n" + shell.variables(program) + shell.here_documents(program.files, options.embed)
    where = shell.place(setup, '"$DSTACK_NODE_RANK"', '"$DSTACK_MASTER_NODE_IP"', f"{shell.PORT}")
    return text + shell.command(program, where, more="")


LAUNCHER = Launcher("dstack", "dstack", "dstack 0.22.5", files)
