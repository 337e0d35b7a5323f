"""task.dstack.yml: a dstack task.

Fields and variables DSTACK_*: dstackai/dstack docs/concepts/tasks.md, core/models/configurations.py. Several nodes
need a fleet with `placement: cluster`. Ranks of a node are consecutive.
"""

from __future__ import annotations

from typing import Any

from planner.launch.launchers import shell
from planner.launch.launchers.launcher import Launcher, Options, called, image, names, yaml_text
from planner.launch.program import File, Program, Setup

NAME = "task.dstack.yml"
NAMES = names("dstack")

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
