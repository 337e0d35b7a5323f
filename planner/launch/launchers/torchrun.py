"""run.sh: torchrun on every node, started by hand or by whatever the cluster has.

Options: pytorch/pytorch torch/distributed/run.py. Ranks of a node are consecutive, so that what is laid out fastest
(tensor parallelism, in every framework here) stays inside it.
"""

from __future__ import annotations

from planner.launch.launchers import shell
from planner.launch.launchers.launcher import Launcher, Options
from planner.launch.program import File, Program, Setup

NAME = "run.sh"
NODE = '"${NODE_RANK:?number of this node, from 0}"'
ADDRESS = '"${MASTER_ADDR:?name of the first node}"'


def files(setup: Setup, program: Program, options: Options) -> tuple[File, ...]:
    """One script; arguments given to it go to the program."""
    text = "#!/usr/bin/env bash\n" + shell.comments(options.header) + "set -euo pipefail\n\n"
    text += shell.variables(program) + shell.here_documents(program.files, options.embed)
    return (File(NAME, text + shell.command(program, shell.place(setup, NODE, ADDRESS))),)


LAUNCHER = Launcher("torchrun", "torchrun", "torch 2.13.0", files)
