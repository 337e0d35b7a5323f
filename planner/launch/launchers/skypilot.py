"""task.yaml: a SkyPilot task.

Fields: skypilot-org/skypilot sky/utils/schemas.py; variables: docs/source/running-jobs/environment-variables.rst.
Node 0 is the first line of SKYPILOT_NODE_IPS; ranks of a node are consecutive.
"""

from __future__ import annotations

from typing import Any

from planner.launch.launchers import shell
from planner.launch.launchers.launcher import Launcher, Options, called, names, yaml_text
from planner.launch.program import File, Program, Setup

NAME = "task.yaml"
NAMES = names("skypilot")

MASTER = 'MASTER_ADDR="$(sed -n 1p <<< "$SKYPILOT_NODE_IPS")"\n'


def files(setup: Setup, program: Program, options: Options) -> tuple[File, ...]:
    """One task; the directory it is launched from goes along."""
    return (File(NAME, yaml_text(options.header, task(setup, program, options))),)


def task(setup: Setup, program: Program, options: Options) -> dict[str, Any]:
    """The task."""
    cluster = setup.job.cluster
    name = called(cluster.accelerator, NAMES, "SkyPilot")
    resources: dict[str, Any] = {"accelerators": f"{name}:{cluster.used}"}
    resources |= {"network_tier": "best"} if cluster.nodes > 1 else {}
    resources |= {"image_id": f"docker:{options.image}"} if options.image else {}
    return {
        "name": options.name,
        "resources": resources,
        "num_nodes": cluster.nodes,
        "workdir": ".",
        "run": script(setup, program, options),
    }


def script(setup: Setup, program: Program, options: Options) -> str:
    """What every node runs."""
    text = "set -euo pipefail\n" + shell.variables(program) + shell.here_documents(program.files, options.embed)
    where = shell.place(setup, '"$SKYPILOT_NODE_RANK"', '"$MASTER_ADDR"', f"{shell.PORT}")
    return text + (MASTER if where.nodes > 1 else "") + shell.command(program, where, more="")


LAUNCHER = Launcher("skypilot", "SkyPilot", "skypilot 0.14.1", files)
