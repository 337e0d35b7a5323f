"""run.sbatch: one task per node, each of which starts torchrun for the node's accelerators.

Options: SchedMD/slurm sbatch and srun; the first host is the rendezvous. Slurm numbers nodes in the order of their
names, which follows the network's topology where the site sorted them so.
"""

from __future__ import annotations

from shlex import quote

from planner.launch.launchers import shell
from planner.launch.launchers.launcher import Launcher, Options
from planner.launch.program import File, Program, Setup

NAME = "run.sbatch"


def files(setup: Setup, program: Program, options: Options) -> tuple[File, ...]:
    """One batch script; arguments given to it go to the program."""
    text = "#!/usr/bin/env bash\n" + shell.comments(options.header) + directives(setup, options)
    text += "set -euo pipefail\n\n" + shell.here_documents(program.files, options.embed)
    return (File(NAME, text + MASTER + on_node(setup, program) + srun(options)),)


def directives(setup: Setup, options: Options) -> str:
    """What is asked of Slurm."""
    cluster = setup.job.cluster
    lines = [
        f"--job-name={options.name}",
        f"--nodes={cluster.nodes}",
        "--ntasks-per-node=1",
        f"--gpus-per-node={cluster.used}",
        "--exclusive",
        "--output=%x-%j.out",
    ]
    return "".join(f"#SBATCH {line}\n" for line in lines)


MASTER = f"""hosts=($(scontrol show hostnames "$SLURM_JOB_NODELIST"))
export MASTER_ADDR="${{hosts[0]}}"
export MASTER_PORT="${{MASTER_PORT:-{shell.PORT}}}"

"""


def on_node(setup: Setup, program: Program) -> str:
    """What every node runs, as a text that srun hands to bash."""
    where = shell.place(setup, '"$SLURM_NODEID"', '"$MASTER_ADDR"', '"$MASTER_PORT"')
    body = shell.variables(program) + shell.command(program, where)
    return f"node_script={quote(body)}\n"


def srun(options: Options) -> str:
    """One task per node, in a container where an image is given (NVIDIA/pyxis)."""
    image = options.image
    mounts = ['--container-mounts "$PWD:$PWD"', '--container-workdir "$PWD"']
    container = [f"--container-image {quote(image)}", *mounts] if image else []
    return shell.continued(["srun", *container, 'bash -euo pipefail -c "$node_script" bash "$@"'])


LAUNCHER = Launcher("slurm", "Slurm", "bash -n only (no Slurm at hand)", files)
