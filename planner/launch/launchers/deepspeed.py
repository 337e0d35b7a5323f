"""run.sh and hostfile: DeepSpeed's own launcher, which reaches the nodes over ssh.

Options: deepspeedai/DeepSpeed launcher/runner.py. Ranks are numbered through the hostfile's lines in order, so that
what is laid out fastest stays inside a node; put neighbours in the network next to each other.
"""

from __future__ import annotations

from shlex import join

from planner.errors import PlannerError
from planner.launch.launchers import shell
from planner.launch.launchers.launcher import Launcher, Options
from planner.launch.program import File, Program, Setup

NAME = "run.sh"
HOSTS = "hostfile"
VARIABLES = ".deepspeed_env"
"""Read from the current directory; its variables are set on every node."""

PLACEHOLDER = "names of your nodes in place of worker-1, worker-2 ..."


def files(setup: Setup, program: Program, options: Options) -> tuple[File, ...]:
    """run.sh; for several nodes also hostfile and, where variables are needed, .deepspeed_env.

    Raises:
        PlannerError: a program that another starter must start.
    """
    if other := shell.starter(program):
        raise PlannerError(f"the deepspeed launcher does not start `{other.strip()}`", "choose --launcher torchrun")
    several = setup.job.cluster.nodes > 1
    beside = (hostfile(setup, options), *variables(program)) if several else ()
    text = "#!/usr/bin/env bash\n" + shell.comments(options.header) + "set -euo pipefail\n\n"
    text += shell.variables(program) + shell.here_documents((*program.files, *beside), options.embed)
    main = File(NAME, text + shell.continued([*runner(setup), *script(program), '"$@"']))
    return (main,) if options.embed else (main, *beside)


def hostfile(setup: Setup, options: Options) -> File:
    """One line per node. The launcher skips comments."""
    cluster = setup.job.cluster
    lines = "".join(f"worker-{node} slots={cluster.used}\n" for node in range(1, cluster.nodes + 1))
    return File(HOSTS, shell.comments((*options.header, PLACEHOLDER)) + lines)


def variables(program: Program) -> tuple[File, ...]:
    """The launcher passes few of the caller's variables on, but all of this file."""
    text = "".join(f"{name}={value}\n" for name, value in program.environment.items())
    return (File(VARIABLES, text),) if text else ()


def runner(setup: Setup) -> list[str]:
    """The command. Ranks learn their number from LOCAL_RANK, not from an argument that they may not know."""
    cluster = setup.job.cluster
    hosts = [f"--hostfile {HOSTS}"] if cluster.nodes > 1 else []
    sizes = [f"--num_nodes {cluster.nodes}", f"--num_gpus {cluster.used}"]
    return ["deepspeed", *hosts, *sizes, f'--master_port "${{MASTER_PORT:-{shell.PORT}}}"', "--no_local_rank"]


def script(program: Program) -> list[str]:
    """The script and its flags; modules go behind --module."""
    name = program.script.removeprefix("-m ")
    module = ["--module"] if name != program.script else []
    return [*module, join([name]), *map(join, program.flags)]


LAUNCHER = Launcher("deepspeed", "DeepSpeed launcher", "deepspeed 0.19.8", files)
